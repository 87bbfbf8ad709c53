"""Tokens that zitadel exchanges for two upstreams of one agent, each with an audience of its own, on a real Envoy."""

import httpx
import jwt
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client
from support.exchange import call, host, injected, policy, rule
from support.identity_provider import Zitadel
from support.registry import remember
from support.tokens import payload
from support.upstream import Upstream

A, B = "https://a.tests.example", "https://b.tests.example"


@pytest.fixture(scope="module")
def zitadel():
    with Zitadel("zitadel-exchange") as server:
        yield server


@pytest.fixture(scope="module")
def other():
    with Upstream("other") as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def _forget_here(other):
    other.forget()


@pytest.fixture(scope="module")
def client(envoy, api, other, zitadel):
    provider = {
        "issuer": zitadel.issuer,
        "audiences": ["caller"],
        "jwks": {"discovery": {"cluster": "zitadel"}},
    }
    secret = remember("secret of zitadel's client", zitadel.secret)
    auth = {"method": "client_secret_basic", "secret": {"env": "ZITADEL_SECRET"}}
    endpoint = {"token_endpoint": {"uri": zitadel.token_endpoint, "cluster": "zitadel"}}
    known = endpoint | {"client_id": "peergate", "auth": auth}
    unverified = {"from_header": "authorization", "insecure_unverified_subject": True}
    access = {"requested_token_type": "access_token"}
    rules = [
        rule("a", "zitadel", "a", audience=[A], **access),
        rule("b", "zitadel", "b", audience=[B], **access),
        rule("both", "zitadel", "a", audience=[B, A], **access),
        rule("unspecified", "zitadel", "a", audience=[A]),
        rule("id", "zitadel", "a", requested_token_type="id_token"),
        rule("jwt", "zitadel", "a", requested_token_type="jwt"),
        rule("opaque", "zitadel", "a", subject=unverified),
    ]
    filters = [
        peergate(policy({"zitadel": known}, *rules, providers={"zitadel": provider}), ["ZITADEL_SECRET"])
    ]
    routes = {"*": "a", host("b"): "b"}
    clusters = [cluster("a", api.port), cluster("b", other.port), cluster("zitadel", zitadel.port)]
    started = envoy(
        bootstrap([listener("outbound", filters, routes, "OUTBOUND")], clusters),
        {"ZITADEL_SECRET": secret},
    )
    with Client(started, "outbound") as client:
        yield client


def test_two_upstreams_of_one_agent_get_two_tokens_with_two_audiences(client, api, other, zitadel):
    mine = zitadel.user_token()
    assert call(client, "a", mine).status_code == 200
    assert call(client, "b", mine).status_code == 200
    first, second = injected(api), injected(other)
    assert (first["aud"], second["aud"]) == ([A], [B])
    assert first["sub"] == second["sub"] == payload(mine)["sub"]
    assert first["jti"] != second["jti"]
    for upstream in (api, other):
        assert mine not in str(upstream.only().headers)
        assert "peergate" not in str(upstream.only().headers)


def test_two_callers_never_share_a_token(client, api, zitadel):
    for user, subject in zip(zitadel.users, zitadel.subjects, strict=True):
        mine = zitadel.user_token(user)
        for _ in range(2):
            api.forget()
            assert call(client, "a", mine).status_code == 200
            assert injected(api)["sub"] == subject


def test_what_is_injected_is_signed_by_the_server(client, api, zitadel):
    assert call(client, "both", zitadel.user_token()).status_code == 200
    value = api.only().header("authorization").removeprefix("Bearer ")
    keys = jwt.PyJWKSet.from_dict(httpx.get(zitadel.issuer + "keys", trust_env=False).json())
    key = keys[jwt.get_unverified_header(value)["kid"]]
    claims = jwt.decode(value, key, ["RS256"], audience=A, issuer=zitadel.issuer)
    assert claims["aud"] == [B, A]


def test_without_a_requested_type_a_token_beside_a_refresh_token_is_taken(client, api, zitadel):
    """Its `issued_token_type` says what was not asked for, so nobody looks at it."""
    assert call(client, "unspecified", zitadel.user_token()).status_code == 200
    assert injected(api)["aud"] == [A]


@pytest.mark.parametrize("name", ["id", "jwt"])
def test_what_is_no_bearer_token_is_not_injected(client, api, zitadel, name):
    """An id token comes as `N_A`, a JWT not at all."""
    assert call(client, name, zitadel.user_token()).status_code == 502
    assert api.received == []


def test_a_subject_of_before_a_rotation_is_refused(client, api, zitadel):
    mine = zitadel.user_token()
    zitadel.rotate()
    assert call(client, "a", mine).status_code in (401, 403, 502)
    assert api.received == []


def test_a_server_that_hangs_up(client, api, zitadel):
    """zitadel's does when the subject is opaque."""
    assert call(client, "opaque", zitadel.opaque_token()).status_code == 503
    assert api.received == []
