"""Tokens for upstreams from Keycloak, by the filter. `make interop` runs this; it is no part of `make test`."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import AUDIENCE
from support.client import Client
from support.exchange import call, injected, oauth_client, policy, private_key_jwt, rule, variable_of
from support.identity_provider import AWKWARD_SECRET
from support.keycloak import EXCHANGING, FORBIDDEN_UPSTREAM, UPSTREAMS, Keycloak
from support.tokens import payload

SECRET, SIGNS = EXCHANGING


@pytest.fixture(scope="module")
def keycloak():
    with Keycloak("keycloak-exchange") as server:
        yield server


@pytest.fixture(scope="module")
def client(envoy, api, keycloak):
    environment = {
        "KEYCLOAK_SECRET": keycloak.secret,
        "AWKWARD_SECRET": AWKWARD_SECRET,
        variable_of(keycloak.client_key): keycloak.client_key.private_pem(),
    }
    basic = {"method": "client_secret_basic", "secret": {"env": "KEYCLOAK_SECRET"}}
    auths = {
        "secret": (SECRET, basic),
        "posts": (SECRET, basic | {"method": "client_secret_post"}),
        "signs": (SIGNS, private_key_jwt(keycloak.client_key, keycloak.issuer)),
        "awkward": ("awkward", basic | {"secret": {"env": "AWKWARD_SECRET"}}),
        "stranger": ("stranger", basic),
        "wrong": (SECRET, basic | {"secret": {"env": "AWKWARD_SECRET"}}),
    }
    clients = {
        name: oauth_client(keycloak.token_endpoint, "keycloak", client_id=client_id, auth=auth)
        for name, (client_id, auth) in auths.items()
    }
    asked = {"requested_token_type": "access_token"}
    rules = [
        *(rule(each, "secret", audience=[each], **asked) for each in UPSTREAMS),
        *(
            rule(each, each, audience=[UPSTREAMS[0]], **asked)
            for each in ("posts", "signs", "stranger", "wrong")
        ),
        rule("both", "secret", audience=list(UPSTREAMS), **asked),
        rule("unknown", "secret", audience=["nobody"], **asked),
        rule("forbidden", "secret", audience=[FORBIDDEN_UPSTREAM], **asked),
        rule("jwt", "secret", subject={"from_header": "authorization", "type": "jwt"}),
        rule("own", "awkward", grant="client_credentials"),
    ]
    provider = {
        "issuer": keycloak.issuer,
        "audiences": [AUDIENCE],
        "jwks": {"discovery": {"cluster": "keycloak"}},
    }
    filters = [peergate(policy(clients, *rules, providers={"keycloak": provider}), environment)]
    clusters = [cluster("api", api.port), cluster("keycloak", keycloak.port)]
    started = envoy(bootstrap([listener("outbound", filters, "api", "OUTBOUND")], clusters), environment)
    with Client(started, "outbound") as client:
        yield client


def audiences(claims):
    return [claims["aud"]] if isinstance(claims["aud"], str) else sorted(claims["aud"])


@pytest.mark.parametrize("name", UPSTREAMS)
def test_each_upstream_gets_a_token_of_its_own(client, api, keycloak, name):
    mine = keycloak.token()
    assert call(client, name, mine).status_code == 200
    claims = injected(api)
    assert (audiences(claims), claims["sub"]) == ([name], payload(mine)["sub"])
    assert mine not in str(api.only().headers)


def test_two_audiences(client, api, keycloak):
    assert call(client, "both", keycloak.token()).status_code == 200
    assert audiences(injected(api)) == list(UPSTREAMS)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_two_callers_never_share_a_token(client, api, keycloak, algorithm):
    mine = keycloak.token(algorithm)
    assert call(client, UPSTREAMS[0], mine).status_code == 200
    assert injected(api)["sub"] == payload(mine)["sub"]


@pytest.mark.parametrize("name", ["posts", "signs"])
def test_each_way_to_say_who_the_client_is(client, api, keycloak, name):
    """Keycloak refuses an assertion that it has seen: so there are two calls, with two callers."""
    for _ in range(2):
        api.forget()
        assert call(client, name, keycloak.token()).status_code == 200
        assert audiences(injected(api)) == [UPSTREAMS[0]]


def test_a_token_of_the_clients_own(client, api):
    assert call(client, "own").status_code == 200
    assert injected(api)["azp"] == "awkward"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unknown", "invalid_client"),
        ("wrong", "unauthorized_client"),
        ("forbidden", "invalid_request"),
        ("jwt", "invalid_request"),
    ],
)
def test_what_keycloak_refuses(client, api, keycloak, name, says):
    before = client.envoy.log().count(says)
    answer = call(client, name, keycloak.token())
    assert answer.status_code == 502
    assert says not in answer.text
    assert api.received == []
    client.envoy.await_log(says)
    assert client.envoy.log().count(says) > before


def test_a_client_that_the_callers_token_is_not_for(client, api, keycloak):
    assert call(client, "stranger", keycloak.token()).status_code == 502
    assert api.received == []
    assert client.envoy.await_access_log(listener="outbound", status=502)["rule"] == "stranger"
