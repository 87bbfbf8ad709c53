"""API keys and static bearer tokens: which are accepted, and how they go together with tokens."""

import pytest

from support.cast import (
    MRBLONDE_NEXT_TOKEN,
    MRBLONDE_TOKEN,
    MRWHITE_KEY,
    MRWHITE_NEXT_KEY,
    REALM,
    bearer,
    policy,
    rule,
    seconds_from_now,
    sha256,
    token,
)
from support.client import problem, refusal

INVALID = "Invalid or missing authentication credentials"


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(
        policy(
            rule("tokens", ["jwt"], "/tokens"),
            rule("keys", ["api_key"], "/keys"),
            rule("static", ["bearer_token"], "/static"),
            rule("optional", ["api_key", "none"], "/optional"),
            rule("any", ["jwt", "api_key", "bearer_token"]),
        )
    )


@pytest.mark.parametrize("key", [MRWHITE_KEY, MRWHITE_NEXT_KEY], ids=["by digest", "by environment"])
def test_an_api_key_is_its_peer(client, agent, key):
    assert client.get("/keys", {"X-Api-Key": key}).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrwhite"
    assert agent.only().header("x-agent-auth") == "api_key"


@pytest.mark.parametrize("static", [MRBLONDE_TOKEN, MRBLONDE_NEXT_TOKEN], ids=["by digest", "by environment"])
def test_a_static_token_is_its_peer(client, agent, static):
    assert client.get("/static", bearer(static)).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrblonde"
    assert agent.only().header("x-agent-auth") == "bearer_token"


@pytest.mark.parametrize(
    "key",
    [MRWHITE_KEY[:-1], MRWHITE_KEY + "x", MRWHITE_KEY.swapcase(), MRBLONDE_TOKEN, sha256(MRWHITE_KEY)],
    ids=["shorter", "longer", "other case", "a static token", "the digest"],
)
def test_anything_else_is_no_api_key(client, agent, key):
    answer = client.get("/keys", {"X-Api-Key": key})
    assert refusal(answer) == (401, INVALID)
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="{REALM}", error="invalid_token", error_description="{INVALID}"'
    )
    assert agent.received == []


@pytest.mark.parametrize("path", ["/keys", "/optional", "/any"])
def test_an_empty_api_key_is_invalid_and_not_absent(client, path):
    assert problem(*client.raw_get(path, b"X-Api-Key:")) == (401, INVALID)


def test_two_api_keys_are_refused(client, agent):
    keys = [("X-Api-Key", MRWHITE_KEY), ("X-Api-Key", MRWHITE_KEY)]
    assert refusal(client.get("/keys", keys)) == (400, "More than one credential of a kind")
    assert agent.received == []


def test_no_key_where_one_is_wanted(client):
    assert refusal(client.get("/keys")) == (401, "Missing or invalid Authorization header")


def test_an_unknown_bearer_token_is_refused(client):
    assert refusal(client.get("/static", bearer(MRBLONDE_TOKEN[:-1]))) == (401, INVALID)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/tokens", {"X-Api-Key": MRWHITE_KEY}),
        ("/tokens", bearer(MRBLONDE_TOKEN)),
        ("/keys", bearer(MRBLONDE_TOKEN)),
        ("/keys", bearer(token())),
        ("/static", bearer(token())),
        ("/optional", bearer(token())),
    ],
)
def test_a_valid_credential_of_a_kind_that_the_rule_does_not_accept_is_refused(client, agent, path, headers):
    assert refusal(client.get(path, headers)) == (401, INVALID)
    assert client.envoy.await_access_log(path=path, reason="credential_not_accepted")["status"] == 401
    assert agent.received == []


def test_optional_means_absent_or_valid(client, agent):
    assert client.get("/optional").status_code == 200
    assert client.get("/optional", {"X-Api-Key": MRWHITE_KEY}).status_code == 200
    assert [request.header("x-agent-peer") for request in agent.received] == [None, "mrwhite"]
    assert refusal(client.get("/optional", {"X-Api-Key": "of nobody"})) == (401, INVALID)


def test_of_a_token_and_a_key_the_token_is_the_identity(client, agent):
    assert client.get("/any", bearer(token()) | {"X-Api-Key": MRWHITE_KEY}).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"
    assert agent.only().header("x-agent-auth") == "jwt"


def test_of_a_token_and_a_key_none_may_be_invalid(client, agent):
    expired = token(exp=seconds_from_now(-600))
    assert refusal(client.get("/any", bearer(token()) | {"X-Api-Key": "of nobody"})) == (401, INVALID)
    both = bearer(expired) | {"X-Api-Key": MRWHITE_KEY}
    assert refusal(client.get("/any", both)) == (401, "Token has expired")
    assert agent.received == []
