"""Tokens for upstreams from Keycloak, by the filter. `make interop` runs this; it is no part of `make test`."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import AUDIENCE
from support.client import Client
from support.exchange import call, injected, oauth_client, policy, private_key_jwt, rule, variable_of
from support.identity_provider import AWKWARD_SECRET
from support.keycloak import ELSEWHERE, EXCHANGING, FORBIDDEN_UPSTREAM, UPSTREAMS
from support.metrics import metric
from support.tokens import payload

SECRET, SIGNS = EXCHANGING


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
    """Keycloak refuses an assertion that it has seen: so there are two calls, with two tokens of a caller."""
    for _ in range(2):
        api.forget()
        assert call(client, name, keycloak.token()).status_code == 200
        assert audiences(injected(api)) == [UPSTREAMS[0]]
    assert metric(client.envoy, "peergate_token_requests_total", client=name, outcome="ok") == 2


def test_a_token_of_the_clients_own(client, api):
    assert call(client, "own").status_code == 200
    assert injected(api)["azp"] == "awkward"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unknown", "status 400, `invalid_client`"),
        ("wrong", "status 401, `unauthorized_client`"),
        ("forbidden", "status 400, `invalid_request`"),
        ("jwt", "status 400, `invalid_request`"),
        # It may not exchange at all.
        ("stranger", "status 400, `invalid_request`"),
    ],
)
def test_what_keycloak_refuses(client, api, keycloak, name, says):
    refused(client, api, name, keycloak.token(), says)


def test_a_client_that_the_callers_token_is_not_for(client, api, keycloak):
    """The filter takes the token, for it is for the agent."""
    refused(client, api, UPSTREAMS[0], keycloak.token_of(ELSEWHERE), "status 403, `access_denied`")


def refused(client, api, name, token, says):
    answer = call(client, name, token)
    assert answer.status_code == 502
    assert answer.json()["detail"] == "Unable to get a token for the upstream"
    assert api.received == []
    client.envoy.await_log(f"reason=token_refused rule={name} ")
    (line,) = [line for line in client.envoy.log().splitlines() if f"token_refused rule={name} " in line]
    assert says in line
