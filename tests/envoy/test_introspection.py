"""Opaque tokens of callers, which oidc-provider and zitadel are asked about (RFC 7662), on a real Envoy."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import bearer
from support.cast import token as jwt_of_the_cast
from support.client import Client, refusal
from support.exchange import oauth_client, private_key_jwt, variable_of
from support.identity_provider import AWKWARD_SECRET, OidcProvider, Zitadel
from support.introspection import INACTIVE, OPAQUE, introspection, policy, rule
from support.process import PATIENCE_SECONDS, wait_until
from support.registry import remember


@pytest.fixture(scope="module")
def oidc():
    with OidcProvider("oidc-provider-introspection") as server:
        yield server


@pytest.fixture(scope="module")
def client(envoy, agent, oidc):
    """A client for each way to say who one is asks about the same tokens."""
    names = ["in-the-header", "in-the-form", "signs-es256", "signs-rs256", "signs-ps256"]
    secret = {"secret": {"env": "AWKWARD_SECRET"}}
    auth = {
        "in-the-header": {"method": "client_secret_basic"} | secret,
        "in-the-form": {"method": "client_secret_post"} | secret,
    }
    environment = {"AWKWARD_SECRET": AWKWARD_SECRET}
    for name, key in oidc.client_keys.items():
        if name not in names:
            continue
        environment[variable_of(key)] = key.private_pem()
        auth[name] = private_key_jwt(key, oidc.issuer)
    clients = {
        name: oauth_client(oidc.token_endpoint, "oidc", client_id=name, auth=auth[name]) for name in names
    }
    asked = {
        name: introspection(oidc.introspection_endpoint, "oidc", oidc.issuer, name, peer_claim="client_id")
        for name in names
    }
    users = introspection(oidc.introspection_endpoint, "oidc", oidc.issuer, "in-the-header")
    rules = [rule(name, f"introspection:{name}") for name in names]
    scoped = rule("scoped", "introspection:in-the-header", scopes=["write"])
    both = rule("both", "introspection:in-the-header", "jwt")
    user = rule("user", "introspection:users")
    peers = {"caller": {"display_name": "A client", "tokens": dict.fromkeys(names, "caller")}}
    policed = policy(asked | {"users": users}, clients, scoped, both, user, *rules, peers=peers)
    clusters = [cluster("agent", agent.port), cluster("oidc", oidc.port)]
    started = envoy(
        bootstrap([listener("inbound", [peergate(policed, environment)], "agent")], clusters), environment
    )
    with Client(started) as client:
        yield client


@pytest.mark.parametrize(
    "name", ["in-the-header", "in-the-form", "signs-es256", "signs-rs256", "signs-ps256"]
)
def test_an_active_token(client, agent, oidc, name):
    assert client.get(f"/{name}", bearer(oidc.opaque_token())).status_code == 200
    received = agent.only()
    assert received.header("x-agent-peer") == "caller"
    assert received.header("x-agent-iss") == oidc.issuer
    assert received.values("authorization") == []


def test_the_token_of_a_user(client, agent, oidc):
    assert client.get("/user", bearer(oidc.user_token("bob", OPAQUE))).status_code == 200
    assert agent.only().header("x-agent-sub") == "bob"


def test_garbage_is_not_active(client, agent):
    unknown = remember("an opaque token that nobody issued", "nobody-issued-this-token")
    assert refusal(client.get("/in-the-header", bearer(unknown))) == INACTIVE
    assert agent.received == []


def test_a_revoked_token_is_not_active_once_it_is_forgotten(client, oidc):
    token = oidc.opaque_token()
    assert client.get("/in-the-header", bearer(token)).status_code == 200
    oidc.revoke(token)
    wait_until(
        lambda: client.get("/in-the-header", bearer(token)).status_code == 401,
        PATIENCE_SECONDS,
        "it was forgotten",
    )
    assert refusal(client.get("/in-the-header", bearer(token))) == INACTIVE


def test_scopes(client, oidc):
    assert client.get("/scoped", bearer(oidc.opaque_token("read"))).status_code == 403
    assert client.get("/scoped", bearer(oidc.opaque_token("read write"))).status_code == 200


def test_beside_a_provider_of_jwts(client, agent, oidc):
    """A JWT is not asked about: oidc-provider would call that a mistake."""
    before = oidc.calls("/token/introspection")
    assert client.get("/both", bearer(jwt_of_the_cast())).status_code == 200
    assert agent.only().header("x-agent-sub") == "mrpink"
    assert oidc.calls("/token/introspection") == before
    assert client.get("/both", bearer(oidc.opaque_token())).status_code == 200
    assert oidc.calls("/token/introspection") == before + 1


def test_a_client_that_is_no_audience_is_told_that_the_token_is_not_active(envoy, agent):
    """By zitadel: what Keycloak and it say of a good token to the wrong client."""
    with Zitadel("zitadel-introspection") as zitadel:
        environment = {"SECRET": zitadel.secret}
        auth = {"method": "client_secret_basic", "secret": {"env": "SECRET"}}
        clients, asked, rules = {}, {}, []
        for name in ("caller", "peergate"):
            clients[name] = oauth_client(zitadel.token_endpoint, "zitadel", client_id=name, auth=auth)
            uri = zitadel.introspection_endpoint
            anybody = {"audiences": None, "insecure_any_audience": True}
            asked[name] = introspection(uri, "zitadel", zitadel.issuer, name, **anybody)
            rules.append(rule(name, f"introspection:{name}"))
        filters = [peergate(policy(asked, clients, *rules), environment)]
        clusters = [cluster("agent", agent.port), cluster("zitadel", zitadel.port)]
        started = envoy(bootstrap([listener("inbound", filters, "agent")], clusters), environment)
        with Client(started) as client:
            token = zitadel.user_token()
            assert client.get("/caller", bearer(token)).status_code == 200
            assert refusal(client.get("/peergate", bearer(token))) == INACTIVE
