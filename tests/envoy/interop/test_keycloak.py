"""Keys from Keycloak. `make interop` runs this; it is no part of `make test`."""

import time

import httpx
import jwt
import pytest

from support.cast import AUDIENCE, bearer, policy, rule
from support.keycloak import SIGNING
from support.load import Load
from support.metrics import metric
from support.process import PATIENCE_SECONDS, wait_until

#: How long one unknown `kid` keeps others from having the key set fetched.
UNKNOWN_KID_SECONDS = 1


@pytest.fixture(scope="module")
def client(sidecar, keycloak):
    """The keys are found at the place that the issuer says."""
    cache = {"seconds": 2, "unknown_kid_interval_seconds": UNKNOWN_KID_SECONDS}
    provider = {
        "issuer": keycloak.issuer,
        "audiences": [AUDIENCE],
        "jwks": {"discovery": {"cluster": "keycloak"}, "cache": cache},
        "peer_claim": "azp",
    }
    peers = {"caller-es256": {}}
    return sidecar(policy(rule("agent", ["jwt"]), provider=provider, peers=peers), keycloak=keycloak.port)


@pytest.mark.parametrize("algorithm", SIGNING)
def test_tokens_of_each_algorithm(client, agent, keycloak, algorithm):
    token = keycloak.token(algorithm)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert client.get("/", bearer(token)).status_code == 200
    assert agent.only().header("x-agent-iss") == keycloak.issuer


def test_a_service_account_is_the_peer_of_its_client(client, agent, keycloak):
    assert client.get("/", bearer(keycloak.token("ES256"))).status_code == 200
    assert agent.only().header("x-agent-peer") == "caller-es256"


def test_its_key_for_encryption_is_skipped(client, keycloak):
    assert client.get("/", bearer(keycloak.token())).status_code == 200
    published = httpx.get(f"{keycloak.issuer}/protocol/openid-connect/certs", trust_env=False).json()["keys"]
    assert sorted(key["use"] for key in published) == ["enc", "sig", "sig", "sig", "sig"]
    assert metric(client.envoy, "peergate_keys_skipped_total", provider="tests") >= 1


@pytest.mark.parametrize(
    "place",
    [
        "/realms/agents/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/realms/agents",
    ],
    ids=["below the issuer", "before its path, RFC 8414 §3.1"],
)
def test_metadata_of_rfc_8414(sidecar, keycloak, place):
    uri = f"http://127.0.0.1:{keycloak.port}{place}"
    provider = {
        "issuer": keycloak.issuer,
        "audiences": [AUDIENCE],
        "jwks": {"discovery": {"uri": uri, "cluster": "keycloak"}},
    }
    client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), keycloak=keycloak.port)
    assert client.get("/", bearer(keycloak.token())).status_code == 200


@pytest.mark.parametrize("algorithm", SIGNING)
def test_rotation_by_the_administrator_while_requests_flow(client, keycloak, algorithm):
    old = keycloak.token(algorithm)
    good = [old]
    with Load(client.port, lambda: list(good)) as load:
        load.flows()
        keycloak.rotate(algorithm)
        new = keycloak.token(algorithm)
        assert jwt.get_unverified_header(new)["kid"] != jwt.get_unverified_header(old)["kid"]
        good.append(new)
        load.flows()
        good.remove(old)
        load.flows()
        keycloak.retire(algorithm)
        began = time.monotonic()
        wait_until(
            lambda: client.get("/", bearer(old)).status_code == 401,
            PATIENCE_SECONDS,
            "the old key verifies nothing",
        )
        load.flows()
    assert load.refused() == []
    assert time.monotonic() - began < 10
    # The retired key is one that nobody knows: its last token has had the set fetched. Keycloak makes the next key of a
    # curve at once, and until the interval is over its tokens would be refused, as docs/keys.md says.
    time.sleep(UNKNOWN_KID_SECONDS)
