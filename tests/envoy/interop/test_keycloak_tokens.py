"""Keycloak as an authorization server, asked without the filter in between. `make interop` runs this."""

import pytest

from support import oauth_client
from support.identity_provider import AWKWARD_SECRET
from support.keycloak import EXCHANGING, FORBIDDEN_UPSTREAM, UPSTREAMS
from support.oauth_client import ACCESS_TOKEN, ask, basic, basic_raw, post, refusal, signed, token_type
from support.registry import remember_token
from support.tokens import payload

SECRET, SIGNS = EXCHANGING


def exchange(keycloak, *members, client=None, subject=None):
    client = client or basic(SECRET, keycloak.secret)
    return oauth_client.exchange(keycloak.token_endpoint, client, subject or keycloak.token(), *members)


def issued(answer):
    answer = answer.raise_for_status().json()
    remember_token("exchanged by Keycloak", answer["access_token"])
    return answer


def audiences(answer):
    """An audience is a text, and several are a list."""
    aud = payload(issued(answer)["access_token"]).get("aud", [])
    return [aud] if isinstance(aud, str) else sorted(aud)


@pytest.mark.parametrize("asked", [UPSTREAMS[:1], UPSTREAMS[1:], UPSTREAMS])
def test_each_audience_that_is_asked_for_stands_in_the_token(keycloak, asked):
    assert audiences(exchange(keycloak, *[("audience", each) for each in asked])) == list(asked)


def test_an_answer(keycloak):
    answer = issued(exchange(keycloak, ("audience", UPSTREAMS[0])))
    assert answer["token_type"] == "Bearer"
    assert answer["issued_token_type"] == ACCESS_TOKEN
    assert 0 < answer["expires_in"] <= 300
    assert payload(answer["access_token"])["sub"] == payload(keycloak.token())["sub"]
    assert "act" not in payload(answer["access_token"])


def test_without_an_audience_the_token_is_for_all_that_the_client_may(keycloak):
    assert audiences(exchange(keycloak)) == list(UPSTREAMS)


def test_a_resource_is_passed_over(keycloak):
    assert audiences(exchange(keycloak, ("resource", "https://a.tests.example"))) == list(UPSTREAMS)


def test_an_actor_is_passed_over(keycloak):
    actor = [("actor_token", keycloak.token()), ("actor_token_type", ACCESS_TOKEN)]
    answer = issued(exchange(keycloak, ("audience", UPSTREAMS[0]), *actor))
    assert "act" not in payload(answer["access_token"])


def test_an_audience_that_nobody_knows_is_called_an_invalid_client(keycloak):
    """A wrong secret has another name."""
    assert refusal(exchange(keycloak, ("audience", "nobody"))) == (400, "invalid_client")
    wrong = exchange(keycloak, client=basic(SECRET, "wrong-secret"))
    assert refusal(wrong) == (401, "unauthorized_client")


def test_an_audience_that_the_client_may_not_have_is_refused(keycloak):
    assert refusal(exchange(keycloak, ("audience", FORBIDDEN_UPSTREAM))) == (400, "invalid_request")


def test_a_client_that_the_subject_is_not_for_is_refused(keycloak):
    subject = oauth_client.client_credentials(keycloak.token_endpoint, basic("stranger", keycloak.secret))
    subject = remember_token("token of the stranger", subject.raise_for_status().json()["access_token"])
    assert refusal(exchange(keycloak, subject=subject)) == (403, "access_denied")


def test_a_subject_that_is_called_a_jwt_is_refused(keycloak):
    members = [
        ("grant_type", oauth_client.TOKEN_EXCHANGE),
        ("subject_token", keycloak.token()),
        ("subject_token_type", token_type("jwt")),
    ]
    answer = ask(keycloak.token_endpoint, basic(SECRET, keycloak.secret), *members)
    assert refusal(answer) == (400, "invalid_request")


def test_garbage_is_refused(keycloak):
    assert refusal(exchange(keycloak, subject="garbage")) == (400, "invalid_request")


def test_the_secret_in_the_form(keycloak):
    assert audiences(exchange(keycloak, client=post(SECRET, keycloak.secret))) == list(UPSTREAMS)


def test_an_assertion_is_used_once(keycloak):
    proof = signed(SIGNS, keycloak.client_key, keycloak.issuer)
    assert audiences(exchange(keycloak, client=proof)) == list(UPSTREAMS)
    assert refusal(exchange(keycloak, client=proof)) == (400, "invalid_client")


def test_an_assertion_for_the_token_endpoint(keycloak):
    proof = signed(SIGNS, keycloak.client_key, keycloak.token_endpoint)
    assert audiences(exchange(keycloak, client=proof)) == list(UPSTREAMS)


def test_basic_credentials_are_encoded(keycloak):
    good = basic("awkward", AWKWARD_SECRET)
    issued(oauth_client.client_credentials(keycloak.token_endpoint, good))
    raw = basic_raw("awkward", AWKWARD_SECRET)
    raw = oauth_client.client_credentials(keycloak.token_endpoint, raw)
    assert refusal(raw) == (401, "unauthorized_client")


def test_introspection_says_inactive_to_a_client_that_is_no_audience(keycloak):
    token = keycloak.token()
    ours = oauth_client.introspect(keycloak.introspection_endpoint, basic(SECRET, keycloak.secret), token)
    assert (ours["active"], ours["iss"]) == (True, keycloak.issuer)
    others = oauth_client.introspect(
        keycloak.introspection_endpoint, basic("stranger", keycloak.secret), token
    )
    assert others == {"active": False}


def test_a_token_of_the_clients_own(keycloak):
    answer = oauth_client.client_credentials(keycloak.token_endpoint, basic(SECRET, keycloak.secret))
    assert payload(issued(answer)["access_token"])["azp"] == SECRET
