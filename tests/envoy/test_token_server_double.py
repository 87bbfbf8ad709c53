"""The double of an authorization server, asked without the filter: what the tests with the filter build on."""

import httpx
import pytest

from support import oauth_client
from support.cast import token
from support.key_server_double import Reply
from support.oauth_client import (
    ACCESS_TOKEN,
    JWT_BEARER,
    TOKEN_EXCHANGE,
    ask,
    basic,
    none,
    post,
    refusal,
    signed,
)
from support.token_server_double import TokenServerDouble
from support.tokens import payload

SECRET = "s+e%41c=r&t"
A, B = "https://a.tests.example", "https://b.tests.example"


@pytest.fixture(scope="module")
def double():
    with TokenServerDouble("token-server") as double:
        yield double


@pytest.fixture(autouse=True)
def _forget_here(double):
    double.forget()


def test_it_puts_every_target_into_the_token_and_echoes_the_actor(double):
    members = [
        ("resource", A),
        ("resource", B),
        ("audience", "b"),
        ("audience", "a"),
        ("actor_token", token("mrwhite")),
        ("actor_token_type", ACCESS_TOKEN),
        ("scope", "read write"),
    ]
    answer = oauth_client.exchange(double.token_endpoint, basic("agent", SECRET), token("mrpink"), *members)
    issued = answer.raise_for_status().json()
    claims = payload(issued.pop("access_token"))
    assert issued == {"token_type": "Bearer", "expires_in": 300, "issued_token_type": ACCESS_TOKEN}
    assert (claims["sub"], claims["act"], claims["client_id"]) == ("mrpink", {"sub": "mrwhite"}, "agent")
    assert claims["aud"] == ["b", "a", A, B]


def test_it_remembers_a_request_as_it_came(double):
    members = [("audience", "b"), ("resource", A), ("audience", "a"), ("empty", "")]
    oauth_client.exchange(double.token_endpoint, basic("a gent", SECRET), "subject", *members)
    request = double.only_request()
    assert request.names == [
        *("grant_type", "subject_token", "subject_token_type", "audience", "resource", "audience", "empty")
    ]
    assert (request.values("audience"), request.value("grant_type")) == (["b", "a"], TOKEN_EXCHANGE)
    assert request.basic == ("a+gent", "s%2Be%2541c%3Dr%26t")
    assert request.client == "a gent"
    assert request.received.body.startswith(
        b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&"
    )
    assert double.calls("/token") == 1


def test_a_token_of_the_clients_own(double):
    for proof in (none("agent"), post("agent", SECRET), signed("agent", double.key, double.issuer)):
        answer = oauth_client.client_credentials(double.token_endpoint, proof, ("scope", "read"))
        claims = payload(answer.raise_for_status().json()["access_token"])
        assert (claims["sub"], claims["aud"], claims["scope"]) == ("agent", ["agent"], "read")


def test_an_assertion_is_used_once(double):
    proof = signed("agent", double.key, double.issuer)
    assert oauth_client.client_credentials(double.token_endpoint, proof).status_code == 200
    assert refusal(oauth_client.client_credentials(double.token_endpoint, proof)) == (400, "invalid_client")


ON_BEHALF_OF = [
    ("grant_type", JWT_BEARER),
    ("scope", "api://b/.default"),
    ("requested_token_use", "on_behalf_of"),
]


def test_on_behalf_of_as_entra_id_has_it(double):
    members = [*ON_BEHALF_OF, ("assertion", token("mrpink"))]
    issued = ask(double.on_behalf_of_endpoint, post("agent", SECRET), *members).raise_for_status().json()
    claims = payload(issued["access_token"])
    assert (claims["sub"], claims["scope"], issued["ext_expires_in"]) == ("mrpink", "api://b/.default", 300)


@pytest.mark.parametrize(
    "members",
    [
        [("grant_type", TOKEN_EXCHANGE), ("subject_token", "x"), ("subject_token_type", ACCESS_TOKEN)],
        [*ON_BEHALF_OF],
        [*ON_BEHALF_OF[:2], ("assertion", "x")],
        [*ON_BEHALF_OF, ("assertion", "x"), ("audience", "b")],
    ],
    ids=["RFC 8693", "no assertion", "no requested_token_use", "audience"],
)
def test_other_requests_are_refused_as_entra_id_does(double, members):
    answer = ask(double.on_behalf_of_endpoint, post("agent", SECRET), *members)
    assert answer.status_code == 400
    assert answer.json()["error_description"].startswith("AADSTS")


def test_introspection(double):
    opaque = double.opaque(sub="mrpink", aud=A)
    said = oauth_client.introspect(double.introspection_endpoint, basic("agent", SECRET), opaque)
    assert (said["active"], said["sub"], said["aud"], said["iss"]) == (True, "mrpink", A, double.issuer)
    assert oauth_client.introspect(double.introspection_endpoint, basic("agent", SECRET), "x") == {
        "active": False
    }


def test_answers_that_a_test_makes_up(double):
    ask_it = lambda: oauth_client.client_credentials(double.token_endpoint, none("agent"))  # noqa: E731
    double.next = [Reply(status=500), Reply(hang_up=True), Reply(b'{"access_token": "abc"}', cut_off=4)]
    assert ask_it().status_code == 500
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            ask_it()
    double.changes = {"token_type": "bearer", "expires_in": None}
    issued = ask_it().json()
    assert (issued["token_type"], "expires_in" in issued) == ("bearer", False)
    assert double.calls("/token") == 4
