"""Holds the two filters of the like-for-like rows to each other: an upstream must not see which of them was there."""

import httpx

from support import bootstrap
from support.process import Envoy
from support.upstream import Upstream

from . import listeners, policies
from .duel import WrongAnswer
from .rows import Things

#: These differ with each request.
OWN = {"x-request-id", "host"}


def check(things: Things) -> None:
    """Send one request through both.

    Raises `WrongAnswer` if what arrives differs, or is not what the job asks for.
    """
    jwks = [things.key.public_jwk()]
    policy = policies.inbound(policies.provider(jwks, ["RS256"]))
    filters = {
        "jwt_authn": [listeners.jwt_authn(jwks, cached=True)],
        "peergate": things.peergate("peergate", policy),
    }
    built = [listeners.listener(name, each, "upstream") for name, each in filters.items()]
    with Upstream("upstream") as upstream:
        clusters = [bootstrap.cluster("upstream", upstream.port)]
        with Envoy("same-job", listeners.configuration(built, clusters), things.directory) as envoy:
            for name in filters:
                url = envoy.url(name)
                httpx.get(url, headers=things.headers(), trust_env=False).raise_for_status()
    native, ours = (
        sorted((name.lower(), value) for name, value in received.headers if name.lower() not in OWN)
        for received in upstream.received
    )
    if native != ours:
        raise WrongAnswer(f"the filters do not do the same: {set(native) ^ set(ours)}")
    names = {name for name, _ in ours}
    if not listeners.CLAIM_HEADERS.keys() <= names or "authorization" in names:
        raise WrongAnswer(f"the filters do not do the job: {sorted(names)}")
