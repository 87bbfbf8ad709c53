"""The second factor: a code in `X-TOTP`, after the first factor was good."""

import pytest

from support.cast import (
    MRBLONDE_TOKEN,
    MRPINK_NEXT_SEED,
    MRPINK_SEED,
    MRWHITE_KEY,
    MRWHITE_SEED,
    REALM,
    bearer,
    policy,
    rule,
    token,
)
from support.client import problem, refusal
from support.credentials import totp, wrong_totp

MISSING = "Missing X-TOTP header"
NOT_CONFIGURED = "TOTP not configured for this peer"
INVALID = "Invalid TOTP code"


@pytest.fixture(scope="module")
def client(sidecar):
    accept = ["jwt", "api_key", "bearer_token"]
    return sidecar(
        policy(
            rule("mcp", accept, "/mcp", require={"totp": True}, protocol="mcp"),
            rule("agent", accept, require={"totp": True}),
            # These tests fail often; test_totp_throttle.py is about that.
            totp={"throttle": {"max_failures": 1000}},
        )
    )


def test_a_good_code(client, agent):
    assert client.get("/", bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"
    assert agent.only().values("x-totp") == []


def test_a_good_code_with_an_api_key(client, agent):
    headers = {"X-Api-Key": MRWHITE_KEY, "X-TOTP": totp(MRWHITE_SEED)}
    assert client.get("/", headers).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrwhite"


def test_a_code_of_the_next_seed_while_seeds_rotate(client):
    assert client.get("/", bearer(token()) | {"X-TOTP": totp(MRPINK_NEXT_SEED)}).status_code == 200


def test_a_code_is_good_more_than_once(client, agent):
    headers = bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
    assert [client.get("/", headers).status_code for _ in range(3)] == [200, 200, 200]
    assert len(agent.received) == 3


@pytest.mark.parametrize("steps", [-3, 3])
def test_a_code_outside_the_window(client, agent, steps):
    answer = client.get("/", bearer(token()) | {"X-TOTP": totp(MRPINK_SEED, steps)})
    assert refusal(answer) == (401, INVALID)
    assert agent.received == []


def test_no_code(client, agent):
    answer = client.get("/", bearer(token()))
    assert refusal(answer) == (401, MISSING)
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="{REALM}", error="insufficient_user_authentication", '
        f'error_description="{MISSING}", TOTP realm="{REALM}"'
    )
    assert agent.received == []


def test_an_empty_code_is_a_missing_one(client):
    authorization = f"Authorization: Bearer {token()}".encode()
    assert problem(*client.raw_get("/", authorization, b"X-TOTP:")) == (401, MISSING)


def test_a_wrong_code(client, agent):
    answer = client.get("/", bearer(token()) | {"X-TOTP": wrong_totp(MRPINK_SEED)})
    assert refusal(answer) == (401, INVALID)
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="{REALM}", error="insufficient_user_authentication", '
        f'error_description="{INVALID}", TOTP realm="{REALM}"'
    )
    assert agent.received == []


@pytest.mark.parametrize("form", ["{}0", "0{}", "{} 0", "x{}", "{:.5}"])
def test_a_code_has_six_digits_and_nothing_else(client, form):
    code = form.format(totp(MRPINK_SEED))
    assert refusal(client.get("/", bearer(token()) | {"X-TOTP": code})) == (401, INVALID)


def test_digits_of_another_script_are_no_digits(client):
    digits = totp(MRPINK_SEED).translate({ord("0") + digit: 0x0660 + digit for digit in range(10)})
    authorization = f"Authorization: Bearer {token()}".encode()
    answer = client.raw_get("/", authorization, b"X-TOTP: " + digits.encode())
    assert problem(*answer) == (401, INVALID)


def test_the_code_of_another_peer(client):
    assert refusal(client.get("/", bearer(token()) | {"X-TOTP": totp(MRWHITE_SEED)})) == (401, INVALID)


def test_two_codes(client, agent):
    headers = [*bearer(token()).items(), *[("X-TOTP", totp(MRPINK_SEED))] * 2]
    assert refusal(client.get("/", headers)) == (400, "More than one credential of a kind")
    assert agent.received == []


@pytest.mark.parametrize(
    "credential",
    [bearer(token("mrbrown")), bearer(token("mrgray")), bearer(MRBLONDE_TOKEN)],
    ids=["a peer without a seed", "a caller without a peer", "a static token"],
)
def test_a_caller_without_a_seed(client, credential):
    assert refusal(client.get("/", credential | {"X-TOTP": totp(MRPINK_SEED)})) == (401, NOT_CONFIGURED)


def test_a_missing_code_is_said_before_a_missing_seed(client):
    assert refusal(client.get("/", bearer(token("mrbrown")))) == (401, MISSING)


@pytest.mark.parametrize("code", [{}, {"X-TOTP": "000000"}], ids=["no code", "some code"])
def test_the_first_factor_is_looked_at_first(client, code):
    stale = bearer(token(aud="https://another.example"))
    assert refusal(client.get("/", stale | code)) == (401, "Invalid token audience")
    assert refusal(client.get("/", code)) == (401, "Missing or invalid Authorization header")


def test_an_mcp_client_is_refused_with_403(client):
    """Any 401 would make it start its OAuth flow anew, although its token is good."""
    answer = client.get("/mcp", bearer(token()))
    message = {"code": -32000, "message": MISSING}
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"jsonrpc": "2.0", "id": None, "error": message}
    assert "www-authenticate" not in answer.headers
