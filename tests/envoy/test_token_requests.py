"""What an authorization server is asked for tokens, as it received it: a double, behind a real Envoy."""

import time

import jwt
import pytest

from support.cast import token
from support.client import Client
from support.exchange import (
    CLIENT,
    CLIENT_SECRET,
    RESOURCES,
    RULES,
    SIGNING,
    agents_proxy,
    call,
    clients_of,
    environment,
    injected,
    policy,
)
from support.identity_provider import AWKWARD_SECRET
from support.oauth_client import ACCESS_TOKEN, JWT_BEARER, JWT_BEARER_ASSERTION, TOKEN_EXCHANGE, token_type
from support.token_server_double import TOKEN, TokenServerDouble
from support.tokens import payload

A, B = "https://a.tests.example", "https://b.tests.example"


@pytest.fixture(scope="module")
def double():
    with TokenServerDouble("token-server") as double:
        yield double


@pytest.fixture(autouse=True)
def _forget_here(double):
    double.forget()


@pytest.fixture(scope="module")
def client(envoy, api, double):
    started = envoy(agents_proxy(policy(clients_of(double), *RULES), api, double), environment())
    with Client(started, "outbound") as client:
        yield client


def test_a_request(client, api, double):
    mine = token()
    assert call(client, "bare", mine).status_code == 200
    request = double.only_request()
    received = request.received
    assert (received.method, received.target) == ("POST", TOKEN)
    assert received.header("host") == f"127.0.0.1:{double.port}"
    assert received.header("content-type") == "application/x-www-form-urlencoded"
    assert received.header("accept") == "application/json"
    assert received.header("content-length") == str(len(received.body))
    assert request.members == [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", mine),
        ("subject_token_type", ACCESS_TOKEN),
    ]
    assert request.basic == (CLIENT, CLIENT_SECRET)
    assert injected(api)["sub"] == "mrpink"


def test_targets_are_repeated_in_their_order(client, api, double):
    assert call(client, "targets", token()).status_code == 200
    request = double.only_request()
    assert request.values("resource") == RESOURCES
    assert request.values("audience") == ["b", "a"]
    assert request.value("scope") == "write read"
    assert injected(api)["aud"] == ["b", "a", *RESOURCES]


def test_what_is_unset_is_absent_and_never_empty(client, double):
    for name in ("bare", "own", "public", "posts"):
        assert call(client, name, token()).status_code == 200
    assert len(double.requests) == 4
    for request in double.requests:
        assert [name for name, value in request.members if value == ""] == []
    for name in (
        "resource",
        "audience",
        "scope",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
    ):
        assert name not in double.requests[0].names


def test_the_type_of_the_subject(client, double):
    assert call(client, "jwt", token()).status_code == 200
    assert double.only_request().value("subject_token_type") == token_type("jwt")


def test_a_requested_type(client, double):
    assert call(client, "requested", token()).status_code == 200
    assert double.only_request().value("requested_token_type") == ACCESS_TOKEN


def test_a_subject_in_another_header(client, api, double):
    """It does not go on to the upstream, and the caller's own `Authorization` is replaced."""
    mine = token()
    assert (
        call(client, "other-header", x_user_token=mine, authorization="Basic bWluZTptaW5l").status_code == 200
    )
    assert double.only_request().value("subject_token") == mine
    assert injected(api)["sub"] == "mrpink"
    assert api.only().values("x-user-token") == []


def test_an_actor_in_a_header(client, api, double):
    actor = token("mrwhite")
    assert call(client, "actor-header", token(), x_actor_token=actor).status_code == 200
    request = double.only_request()
    assert (request.value("actor_token"), request.value("actor_token_type")) == (actor, ACCESS_TOKEN)
    assert injected(api)["act"] == {"sub": "mrwhite"}
    assert api.only().values("x-actor-token") == []


def test_the_client_itself_as_the_actor(client, api, double):
    """Its own token is asked for once, whoever calls."""
    for subject in ("mrpink", "mrwhite"):
        api.forget()
        assert call(client, "actor-itself", token(subject)).status_code == 200
        claims = injected(api)
        assert (claims["sub"], claims["act"]) == (subject, {"sub": CLIENT})
    assert [request.value("grant_type") for request in double.requests] == [
        "client_credentials",
        TOKEN_EXCHANGE,
        TOKEN_EXCHANGE,
    ]


def test_further_parameters(client, double):
    assert call(client, "adds", token()).status_code == 200
    request = double.only_request()
    assert (request.value("requested_token_use"), request.value("tenant")) == ("on_behalf_of", "a b&c")


def test_on_behalf_of_as_entra_id_wants_it(client, api, double):
    mine = token()
    assert call(client, "entra", mine).status_code == 200
    assert sorted(double.only_request().members) == sorted(
        [
            ("grant_type", JWT_BEARER),
            ("client_id", CLIENT),
            ("client_secret", CLIENT_SECRET),
            ("assertion", mine),
            ("scope", "api://b/.default"),
            ("requested_token_use", "on_behalf_of"),
        ]
    )
    assert injected(api)["sub"] == "mrpink"


def test_a_public_client(client, double):
    assert call(client, "public", token()).status_code == 200
    request = double.only_request()
    assert (request.basic, request.value("client_id")) == (None, CLIENT)


def test_basic_credentials_are_encoded_before_they_are_joined(client, double):
    assert call(client, "encoded", token()).status_code == 200
    request = double.only_request()
    assert request.basic == (CLIENT, "s%2Be%2541c%3Dr%26t")
    assert "client_id" not in request.names


def test_basic_credentials_for_servers_that_decode_nothing(client, double):
    assert call(client, "raw", token()).status_code == 200
    assert double.only_request().basic == (CLIENT, AWKWARD_SECRET)


def test_credentials_in_the_form(client, double):
    assert call(client, "posts", token()).status_code == 200
    request = double.only_request()
    assert (request.value("client_id"), request.value("client_secret")) == (CLIENT, AWKWARD_SECRET)
    assert request.basic is None


@pytest.mark.parametrize("name", SIGNING)
def test_a_signed_assertion_is_used_once(client, double, name):
    for _ in range(2):
        assert call(client, name, token()).status_code == 200
    assert list(double.used_assertions.values())[-2:] == [1, 1]
    for request in double.requests:
        assert request.value("client_assertion_type") == JWT_BEARER_ASSERTION
        assert request.basic is None
        assert "client_secret" not in request.names
        key = SIGNING[name]
        assertion = request.value("client_assertion")
        claims = jwt.decode(
            assertion, key.private.public_key(), [key.algorithm], audience=double.issuer, issuer=CLIENT
        )
        assert claims["sub"] == CLIENT
        assert 0 < claims["exp"] - time.time() <= 300
        assert claims["iat"] <= time.time() + 1
        assert jwt.get_unverified_header(assertion)["kid"] == key.kid


def test_one_token_for_all_calls(client, api, double):
    for _ in range(3):
        assert call(client, "own-b").status_code == 200
    request = double.only_request()
    assert request.members == [("grant_type", "client_credentials"), ("audience", "b"), ("scope", "read")]
    tokens = {received.header("authorization") for received in api.received}
    assert len(tokens) == 1
    assert payload(tokens.pop())["sub"] == CLIENT


def test_a_missing_subject_where_that_was_asked_for(client, api):
    assert call(client, "own-if-missing").status_code == 200
    assert injected(api)["sub"] == CLIENT
    api.forget()
    assert call(client, "own-if-missing", token()).status_code == 200
    assert injected(api)["sub"] == "mrpink"


def test_a_bad_subject_is_no_missing_one(client, api, double):
    for bad in (
        "garbage",
        token(iss="https://attacker.tests.example"),
        token(exp=int(time.time()) - 600),
    ):
        assert call(client, "own-if-missing", bad).status_code != 200
    assert (api.received, double.requests) == ([], [])
