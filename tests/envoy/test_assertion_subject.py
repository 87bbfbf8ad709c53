"""The assertion as the subject of an exchange: it stands for the verified token, which the agent never sees.

One Envoy is the sidecar, with a listener on either side of the agent. The authorization server is the double, which
knows what it was asked; `test_sidecar_subject.py` has a real one, an agent that copies the header, and four workers.
"""

import time

import jwt
import pytest
from jwt.utils import base64url_decode, base64url_encode

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, MRWHITE_KEY, bearer, policy, rule, seconds_from_now, token
from support.client import Client
from support.credentials import SigningKey
from support.exchange import BASIC, CLIENT_SECRET, call, injected, oauth_client
from support.exchange import rule as outbound_rule
from support.token_server_double import TokenServerDouble
from support.tokens import segment

KEY = SigningKey.generate("ES256", "sidecar")
ATTACKER = SigningKey.generate("ES256", "sidecar")
SECRETS = ENVIRONMENT | {"KEY": KEY.private_pem().replace("\n", " "), "CLIENT_SECRET": CLIENT_SECRET}
HEADER = "x-agent-assertion"


@pytest.fixture(scope="module")
def double():
    with TokenServerDouble("double") as server:
        yield server


@pytest.fixture(autouse=True)
def _forget_requests(double):
    double.forget()


def sidecar(envoy, agent, api, double):
    """Both halves of one policy, before an agent and behind it."""
    assertion = {
        "keys": [{"kid": KEY.kid, "key": {"env": "KEY"}}],
        "issuer": "https://mesh.tests.example",
        "audience": "agent",
    }
    both = policy(rule("agent", ["jwt", "api_key"]), forward={"assertion": assertion})
    both["outbound"] = {
        "oauth_clients": {"sts": oauth_client(double.token_endpoint, auth=BASIC)},
        "rules": [
            outbound_rule(name, audience=[name], subject={"from_header": HEADER}) for name in ("a", "b")
        ],
    }
    filters = [peergate(both, SECRETS)]
    listeners = [
        listener("inbound", filters, "agent"),
        listener("outbound", filters, "api", "OUTBOUND"),
    ]
    clusters = [cluster("agent", agent.port), cluster("api", api.port), cluster("sts", double.port)]
    return envoy(bootstrap(listeners, clusters), SECRETS)


@pytest.fixture(scope="module")
def sides(envoy, agent, api, double):
    """Clients of the listeners: a caller of the agent, and the agent itself."""
    running = sidecar(envoy, agent, api, double)
    with Client(running) as caller, Client(running, "outbound") as itself:
        yield caller, itself


def asserted(caller, agent, headers):
    """What the agent gets to see of a caller."""
    assert caller.get("/", headers).status_code == 200
    received = agent.received.pop()
    assert received.header("authorization") is None
    return received.header(HEADER)


def calls(itself, name, assertion):
    """The status of a call that the agent makes with it."""
    return call(itself, name, **{HEADER.replace("-", "_"): assertion}).status_code


def test_the_assertion_resolves_to_the_callers_token(sides, agent, api, double):
    caller, itself = sides
    users = token()
    assertion = asserted(caller, agent, bearer(users))
    assert calls(itself, "a", assertion) == 200
    assert double.only_request().value("subject_token") == users
    assert api.only().header(HEADER) is None
    assert injected(api)["aud"] in ("a", ["a"])


def test_two_callers_are_two_subjects_and_two_upstreams_two_tokens(sides, agent, api, double):
    caller, itself = sides
    pink, brown = token(), token("mrbrown")
    of_pink, of_brown = (asserted(caller, agent, bearer(each)) for each in (pink, brown))
    for name, assertion in [("a", of_pink), ("b", of_pink), ("a", of_brown), ("a", of_pink)]:
        assert calls(itself, name, assertion) == 200
    asked = [(request.value("subject_token"), request.value("audience")) for request in double.requests]
    assert asked == [(pink, "a"), (pink, "b"), (brown, "a")]
    given = [received.header("authorization") for received in api.received]
    assert given[0] == given[3]
    assert len(set(given)) == 3


def test_an_assertion_that_is_not_ours_is_no_subject(envoy, sides, agent, api, double):
    """Forged, of another process, expired, or with a changed `jti`: a missing subject, and nobody is asked."""
    caller, itself = sides
    good = asserted(caller, agent, bearer(token()))
    head, body, signature = good.split(".")
    said = jwt.decode(good, options={"verify_signature": False})
    changed = jwt.encode(said | {"jti": said["jti"][::-1]}, None, algorithm="none").split(".")[1]
    other = sidecar(envoy, agent, api, double)
    with Client(other) as caller_of_other:
        of_another_process = asserted(caller_of_other, agent, bearer(token()))
    turned = bytearray(base64url_decode(signature))
    turned[5] ^= 1
    # The same key, the same claims: what counts is who has made it.
    signed_again = KEY.sign(said, "assertion signed again", {"typ": "peergate+jwt"})
    forged = ATTACKER.sign(said, "forged assertion", {"typ": "peergate+jwt"})
    soon = token(exp=seconds_from_now(2), iat=seconds_from_now(-10))
    expired = asserted(caller, agent, bearer(soon))
    keys = asserted(caller, agent, {"X-Api-Key": MRWHITE_KEY})
    time.sleep(max(0, jwt.decode(expired, options={"verify_signature": False})["exp"] + 0.1 - time.time()))
    bad = [
        f"{head}.{changed}.{signature}",
        f"{head}.{body}.{base64url_encode(bytes(turned)).decode()}",
        f"{segment({'alg': 'none'})}.{body}.",
        "garbage",
        forged,
        of_another_process,
        signed_again,
        expired,
        keys,
        good[:-1],
        token(),
    ]
    for assertion in bad:
        assert calls(itself, "a", assertion) == 403
    assert call(itself, "a").status_code == 403
    assert (api.received, double.requests) == ([], [])
    assert calls(itself, "a", good) == 200
