"""What the tests of opaque tokens have in common: a policy that has an authorization server asked about them."""

from typing import Any

from .exchange import PROVIDERS
from .identity_provider import audience

INACTIVE = (401, "Token is not active")
UNAVAILABLE = (503, "Token introspection service unavailable")

#: Whom the tokens are for.
OPAQUE = audience("opaque")

#: So long the filter waits for the server.
TIMEOUT_SECONDS = 1

CACHE_SECONDS = 1


def introspection(uri: str, cluster: str, issuer: str, client: str, **members: Any) -> dict:
    """Where tokens are asked about, and by which client; `None` takes a member away."""
    endpoint = {"uri": uri, "cluster": cluster, "timeout_seconds": TIMEOUT_SECONDS}
    asked = {"endpoint": endpoint, "client": client, "issuer": issuer, "audiences": [OPAQUE]}
    asked |= {"cache_seconds": CACHE_SECONDS} | members
    return {name: value for name, value in asked.items() if value is not None}


def policy(introspections: dict, clients: dict, *rules: dict, peers: dict | None = None) -> dict:
    """A policy for callers with opaque tokens, and a provider of JWTs."""
    inbound = {
        "introspection": introspections,
        "peers": peers or {},
        "rules": list(rules),
        "providers": PROVIDERS,
        "errors": {"realm": "tests"},
    }
    return {"version": 1, "inbound": inbound, "outbound": {"oauth_clients": clients}}


def rule(name: str, *accept: str, **require: Any) -> dict:
    """A rule for everything below a path of its name."""
    built = {"name": name, "match": {"path_prefixes": [f"/{name}"]}, "accept": list(accept)}
    return built | ({"require": require} if require else {})
