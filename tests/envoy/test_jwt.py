"""Tokens of a provider with an inline key set: which are accepted, and what the others are told."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support.cast import AUDIENCE, ISSUER, KEYS, REALM, bearer, claims, policy, rule, seconds_from_now, token
from support.client import problem, refusal
from support.credentials import SigningKey

INVALID = "Invalid or missing authentication credentials"
NO_BEARER = "Missing or invalid Authorization header"


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(policy(rule("agent", ["jwt"])))


@pytest.mark.parametrize("algorithm", KEYS)
def test_each_algorithm_is_accepted(client, agent, algorithm):
    answer = client.get("/tasks", bearer(token(key=KEYS[algorithm])))
    assert answer.status_code == 200
    assert agent.only().header("x-agent-sub") == "mrpink"


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer    "])
def test_the_scheme_has_no_case_and_spaces_may_follow(client, scheme):
    assert client.get("/", {"Authorization": scheme + token()}).status_code == 200


def test_one_of_several_audiences_suffices(client):
    audiences = ["https://another.example", AUDIENCE]
    assert client.get("/", bearer(token(aud=audiences))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"exp": -61}, "Token has expired", id="expired beyond the skew"),
        pytest.param({"nbf": 120}, INVALID, id="not yet valid"),
        pytest.param({"iat": 120}, INVALID, id="issued in the future"),
    ],
)
def test_a_token_outside_its_time_is_refused(client, changes, text):
    times = {claim: seconds_from_now(seconds) for claim, seconds in changes.items()}
    assert refusal(client.get("/", bearer(token(**times)))) == (401, text)


def test_the_clocks_may_differ_by_a_minute(client):
    for changes in ({"exp": seconds_from_now(-50)}, {"nbf": seconds_from_now(50)}):
        assert client.get("/", bearer(token(**changes))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"aud": "https://another.example"}, "Invalid token audience", id="another audience"),
        pytest.param({"aud": None}, "Invalid token audience", id="no audience"),
        pytest.param({"aud": AUDIENCE + "/"}, "Invalid token audience", id="audience with a slash"),
        pytest.param({"iss": "https://another.example"}, "Invalid token issuer", id="another issuer"),
        pytest.param({"iss": ISSUER + "/"}, "Invalid token issuer", id="issuer with a slash"),
        pytest.param({"sub": None}, "Missing required claim: sub", id="no subject"),
        pytest.param({"exp": None}, "Missing required claim: exp", id="no expiry"),
        pytest.param({"exp": "tomorrow"}, INVALID, id="expiry that is text"),
    ],
)
def test_a_token_with_wrong_claims_is_refused(client, agent, changes, text):
    answer = client.get("/", bearer(handmade(**changes)))
    assert refusal(answer) == (401, text)
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="{REALM}", error="invalid_token", error_description="{text}"'
    )
    assert agent.received == []


def test_a_token_signed_by_another_key_is_refused(client):
    stranger = SigningKey.generate("ES256", KEYS["ES256"].kid)
    assert refusal(client.get("/", bearer(token(key=stranger)))) == (401, INVALID)


def test_a_token_of_an_unknown_key_is_refused(client):
    stranger = SigningKey.generate("ES256", "es256-2")
    assert refusal(client.get("/", bearer(token(key=stranger)))) == (401, INVALID)


def test_the_key_decides_the_algorithm(client):
    """The key is there under the same `kid`, for another algorithm of its kind."""
    confused = SigningKey("PS256", KEYS["RS256"].kid, KEYS["RS256"].private)
    assert refusal(client.get("/", bearer(token(key=confused)))) == (401, INVALID)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
def test_a_token_without_signature_is_refused(client, algorithm):
    unsigned = encoded({"alg": algorithm}) + "." + encoded(claims()) + "."
    assert refusal(client.get("/", bearer(unsigned))) == (401, INVALID)


def test_a_public_key_is_no_shared_secret(client):
    """An RS256 key used as the secret of HS256 (CVE-2016-10555)."""
    public = KEYS["RS256"].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = encoded({"alg": "HS256", "kid": KEYS["RS256"].kid}) + "." + encoded(claims())
    signature = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    assert refusal(client.get("/", bearer(f"{signed}.{unpadded(signature)}"))) == (401, INVALID)


def test_critical_extensions_are_refused(client):
    extended = KEYS["ES256"].sign(claims(), header={"crit": ["exp"], "exp": 1})
    assert refusal(client.get("/", bearer(extended))) == (401, INVALID)


def test_changed_claims_are_refused(client):
    header, _, signature = token("mrbrown").split(".")
    assert refusal(client.get("/", bearer(f"{header}.{encoded(claims())}.{signature}"))) == (401, INVALID)


@pytest.mark.parametrize("garbage", ["x", "a.b", "a.b.c", "a.b.c.d.e", "....", "=.=.=", "e30.e30.e30"])
def test_garbage_is_refused(client, garbage):
    assert refusal(client.get("/", bearer(garbage))) == (401, INVALID)


def test_a_very_long_token_is_refused(client):
    assert refusal(client.get("/", bearer("a" * 20_000))) == (401, INVALID)


def test_without_credentials_the_challenge_names_no_error(client, agent):
    answer = client.get("/")
    assert refusal(answer) == (401, NO_BEARER)
    assert answer.headers["www-authenticate"] == f'Bearer realm="{REALM}"'
    assert agent.received == []


@pytest.mark.parametrize("before", ["", "Basic ", "Bearer\t", "Bearer", "x Bearer ", "Token ", "Bearer x "])
def test_a_token_counts_only_behind_its_scheme(client, before):
    assert refusal(client.get("/", {"Authorization": before + token()})) == (401, NO_BEARER)


@pytest.mark.parametrize("empty", [b"Bearer", b"Bearer ", b"Bearer  \t", b""])
def test_an_empty_token_is_refused(client, empty):
    assert problem(*client.raw_get("/", b"Authorization: " + empty)) == (401, NO_BEARER)


def test_two_authorization_headers_are_refused(client, agent):
    good, bad = ("Authorization", f"Bearer {token()}"), ("Authorization", "Bearer x.y.z")
    for headers in ([good, bad], [bad, good], [good, good]):
        answer = client.get("/", headers)
        assert refusal(answer) == (400, "More than one credential of a kind")
        assert answer.headers["www-authenticate"] == (
            f'Bearer realm="{REALM}", error="invalid_request", '
            'error_description="More than one credential of a kind"'
        )
    assert agent.received == []


def handmade(**changes: object) -> str:
    """A token that is signed as it should be, with claims that a token library refuses to write."""
    key = KEYS["EdDSA"]
    signed = encoded({"alg": "EdDSA", "kid": key.kid}) + "." + encoded(claims(**changes))
    return f"{signed}.{unpadded(key.private.sign(signed.encode()))}"


def encoded(document: dict) -> str:
    """A segment of a token."""
    return unpadded(json.dumps(document).encode())


def unpadded(octets: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
