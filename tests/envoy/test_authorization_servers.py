"""What real authorization servers do when they are asked as the filter asks them: no filter is in between.

A server that does something else after an update fails here, and not somewhere behind the filter.
"""

import httpx
import jwt
import pytest

from support import oauth_client
from support.identity_provider import AWKWARD_SECRET, OidcProvider, Zitadel, audience
from support.oauth_client import ACCESS_TOKEN, ask, basic, basic_raw, post, refusal, signed, token_type
from support.registry import remember, remember_token
from support.tokens import payload

UPSTREAM_A, UPSTREAM_B = "https://a.tests.example", "https://b.tests.example"


@pytest.fixture(scope="module")
def zitadel():
    with Zitadel("zitadel-as") as server:
        yield server


@pytest.fixture(scope="module")
def oidc():
    with OidcProvider("oidc-provider-as") as server:
        yield server


def exchange(zitadel, subject, *members, requested=ACCESS_TOKEN):
    asked = [("requested_token_type", requested)] if requested else []
    client = basic("peergate", zitadel.secret)
    return oauth_client.exchange(zitadel.token_endpoint, client, subject, *asked, *members)


@pytest.mark.parametrize("audiences", [[UPSTREAM_A], [UPSTREAM_A, UPSTREAM_B]])
def test_each_audience_that_is_asked_for_stands_in_the_token(zitadel, audiences):
    answer = exchange(zitadel, zitadel.user_token(), *[("audience", each) for each in audiences])
    issued = answer.raise_for_status().json()
    claims = payload(remember_token("exchanged by zitadel", issued["access_token"]))
    assert issued["token_type"] == "Bearer"
    assert issued["issued_token_type"] == ACCESS_TOKEN
    assert 0 < issued["expires_in"] <= 300
    assert claims["sub"] == zitadel.subjects[0]
    assert claims["aud"] == audiences
    assert "act" not in claims


def test_without_an_audience_the_token_is_for_the_client_itself(zitadel):
    answer = exchange(zitadel, zitadel.user_token())
    token = remember_token("exchanged by zitadel", answer.raise_for_status().json()["access_token"])
    assert payload(token)["aud"] == ["peergate"]


def test_a_token_of_each_user_is_exchanged_for_one_of_the_same(zitadel):
    for user, subject in zip(zitadel.users, zitadel.subjects, strict=True):
        answer = exchange(zitadel, zitadel.user_token(user), ("audience", UPSTREAM_A))
        token = remember_token("exchanged by zitadel", answer.raise_for_status().json()["access_token"])
        assert payload(token)["sub"] == subject


def test_a_resource_is_passed_over(zitadel):
    answer = exchange(zitadel, zitadel.user_token(), ("resource", UPSTREAM_A))
    token = remember_token("exchanged by zitadel", answer.raise_for_status().json()["access_token"])
    assert payload(token)["aud"] == ["peergate"]


def test_an_actor_is_taken_and_not_named(zitadel):
    token = zitadel.user_token()
    actor = [("actor_token", token), ("actor_token_type", ACCESS_TOKEN)]
    answer = exchange(zitadel, token, ("audience", UPSTREAM_A), *actor)
    token = remember_token("exchanged by zitadel", answer.raise_for_status().json()["access_token"])
    assert "act" not in payload(token)


def test_without_a_requested_type_the_answer_says_refresh_token(zitadel):
    issued = exchange(zitadel, zitadel.user_token(), requested=None).raise_for_status().json()
    remember_token("exchanged by zitadel", issued["access_token"])
    remember("refresh token of zitadel", issued["refresh_token"])
    assert issued["issued_token_type"] == token_type("refresh_token")
    assert issued["token_type"] == "Bearer"


def test_an_id_token_cannot_be_injected(zitadel):
    answer = exchange(zitadel, zitadel.user_token(), requested=token_type("id_token"))
    issued = answer.raise_for_status().json()
    remember_token("id token of zitadel", issued["access_token"])
    assert issued["token_type"] == "N_A"


def test_a_jwt_is_an_answer_without_a_token(zitadel):
    answer = exchange(zitadel, zitadel.user_token(), requested=token_type("jwt"))
    issued = answer.raise_for_status().json()
    assert (issued.get("access_token", ""), issued.get("token_type", "")) == ("", "")


def test_an_opaque_subject_has_it_hang_up(zitadel):
    with pytest.raises(httpx.RemoteProtocolError):
        exchange(zitadel, zitadel.opaque_token())


def test_garbage_is_refused(zitadel):
    assert refusal(exchange(zitadel, "garbage")) == (400, "invalid_request")


def test_a_subject_that_a_rotation_has_left_behind_is_refused():
    with Zitadel("zitadel-as-rotated") as server:
        token = server.user_token()
        server.rotate()
        assert refusal(exchange(server, token)) == (400, "invalid_request")


def test_the_secret_may_not_stand_in_the_form(zitadel):
    answer = oauth_client.exchange(
        zitadel.token_endpoint, post("peergate", zitadel.secret), zitadel.user_token()
    )
    assert refusal(answer) == (401, "invalid_client")


def test_introspection_says_inactive_to_a_client_that_is_no_audience(zitadel):
    """It still says until when the token is good."""
    token = zitadel.user_token()
    ours = oauth_client.introspect(zitadel.introspection_endpoint, basic("caller", zitadel.secret), token)
    assert ours["active"]
    assert ours["sub"] == zitadel.subjects[0]
    others = basic("peergate", zitadel.secret)
    inactive = oauth_client.introspect(zitadel.introspection_endpoint, others, token)
    assert inactive == {"active": False, "exp": payload(token)["exp"]}


def client_credentials(oidc, client, *members):
    members = members or (("resource", audience("ES256")),)
    return oauth_client.client_credentials(oidc.token_endpoint, client, *members)


def test_basic_credentials_are_encoded(oidc):
    good = client_credentials(oidc, basic("in-the-header", AWKWARD_SECRET))
    remember_token("token of oidc-provider", good.raise_for_status().json()["access_token"])
    raw = client_credentials(oidc, basic_raw("in-the-header", AWKWARD_SECRET))
    assert refusal(raw) == (401, "invalid_client")


def test_credentials_in_the_form(oidc):
    good = client_credentials(oidc, post("in-the-form", AWKWARD_SECRET))
    remember_token("token of oidc-provider", good.raise_for_status().json()["access_token"])


def test_one_resource_and_no_more(oidc):
    client = basic("caller", oidc.secret)
    two = [("resource", audience("ES256")), ("resource", audience("RS256"))]
    assert refusal(client_credentials(oidc, client, *two)) == (400, "invalid_target")
    unknown = client_credentials(oidc, client, ("resource", "https://unknown.tests.example"))
    assert refusal(unknown) == (400, "invalid_target")


def test_a_token_of_the_client_itself(oidc):
    answer = client_credentials(
        oidc, basic("caller", oidc.secret), ("resource", audience("ES256")), ("scope", "read")
    )
    issued = answer.raise_for_status().json()
    token = remember_token("token of oidc-provider", issued["access_token"])
    assert (issued["token_type"], issued["expires_in"], issued["scope"]) == ("Bearer", 300, "read")
    assert payload(token)["aud"] == audience("ES256")
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("to", ["issuer", "token_endpoint"])
def test_assertions_of_clients(oidc, algorithm, to):
    client = f"signs-{algorithm.lower()}"
    proof = signed(client, oidc.client_keys[client], getattr(oidc, to))
    token = client_credentials(oidc, proof).raise_for_status().json()["access_token"]
    assert payload(remember_token("token of oidc-provider", token))["client_id"] == client


def test_an_assertion_is_used_once(oidc):
    proof = signed("signs-es256", oidc.client_keys["signs-es256"], oidc.issuer)
    good = client_credentials(oidc, proof)
    remember_token("token of oidc-provider", good.raise_for_status().json()["access_token"])
    assert refusal(client_credentials(oidc, proof)) == (401, "invalid_client")


def test_introspection_of_an_opaque_token(oidc):
    token = oidc.opaque_token("read write")
    said = oauth_client.introspect(oidc.introspection_endpoint, basic("in-the-header", AWKWARD_SECRET), token)
    assert {name: said[name] for name in ("active", "client_id", "iss", "aud", "scope", "token_type")} == {
        "active": True,
        "client_id": "caller",
        "iss": oidc.issuer,
        "aud": audience("opaque"),
        "scope": "read write",
        "token_type": "Bearer",
    }
    assert said["exp"] - said["iat"] == 300
    # Nobody stands behind a client.
    assert "sub" not in said


def test_introspection_of_the_opaque_token_of_a_user(oidc):
    token = oidc.user_token("bob", audience("opaque"))
    assert "." not in token
    said = oauth_client.introspect(oidc.introspection_endpoint, basic("caller", oidc.secret), token)
    assert (said["active"], said["sub"]) == (True, "bob")


def test_introspection_of_a_revoked_token_and_of_garbage(oidc):
    client = basic("caller", oidc.secret)
    token = oidc.opaque_token()
    assert oauth_client.introspect(oidc.introspection_endpoint, client, token)["active"]
    oidc.revoke(token)
    assert oauth_client.introspect(oidc.introspection_endpoint, client, token) == {"active": False}
    assert oauth_client.introspect(oidc.introspection_endpoint, client, "garbage") == {"active": False}


def test_introspection_of_a_jwt_is_an_error(oidc):
    answer = ask(oidc.introspection_endpoint, basic("caller", oidc.secret), ("token", oidc.token()))
    assert refusal(answer) == (400, "unsupported_token_type")


def test_introspection_with_an_assertion(oidc):
    proof = signed("signs-eddsa", oidc.client_keys["signs-eddsa"], oidc.issuer)
    assert oauth_client.introspect(oidc.introspection_endpoint, proof, oidc.opaque_token())["active"]


def test_introspection_for_nobody_is_refused(oidc):
    answer = ask(oidc.introspection_endpoint, basic("caller", "wrong-secret"), ("token", "garbage"))
    assert refusal(answer) == (401, "invalid_client")


def test_it_exchanges_nothing(oidc):
    client = basic("caller", oidc.secret)
    answer = oauth_client.exchange(oidc.token_endpoint, client, oidc.token())
    assert refusal(answer) == (400, "unsupported_grant_type")
