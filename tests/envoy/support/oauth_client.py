"""A client of authorization servers, in Python: it shows what a server does before the filter asks it the same."""

import base64
import secrets
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

import httpx

from .credentials import SigningKey, lasting

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_BEARER_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

#: How long a client's word of who it is lasts.
ASSERTION_SECONDS = 60


def token_type(name: str) -> str:
    """The identifier of a type of token (RFC 8693 §3)."""
    return f"urn:ietf:params:oauth:token-type:{name}"


ACCESS_TOKEN = token_type("access_token")


@dataclass(frozen=True)
class Proof:
    """How a client says who it is: headers and members of the form."""

    headers: tuple[tuple[str, str], ...] = ()
    members: tuple[tuple[str, str], ...] = ()


def none(client_id: str) -> Proof:
    """A public client (RFC 6749 §3.2.1)."""
    return Proof(members=(("client_id", client_id),))


def basic(client_id: str, secret: str) -> Proof:
    """As RFC 6749 §2.3.1 has it: both are form-urlencoded before they are joined."""
    return basic_raw(quote_plus(client_id), quote_plus(secret))


def basic_raw(client_id: str, secret: str) -> Proof:
    """As those servers want it that decode nothing."""
    joined = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return Proof(headers=(("authorization", f"Basic {joined}"),))


def post(client_id: str, secret: str) -> Proof:
    """In the form."""
    return Proof(members=(("client_id", client_id), ("client_secret", secret)))


def signed(client_id: str, key: SigningKey, audience: str) -> Proof:
    """A word of its own for each call (RFC 7523 §2.2)."""
    claims = {"iss": client_id, "sub": client_id, "aud": audience, "jti": secrets.token_urlsafe(16)}
    assertion = key.sign(claims | lasting(ASSERTION_SECONDS), f"assertion of {client_id}")
    return Proof(
        members=(("client_assertion_type", JWT_BEARER_ASSERTION), ("client_assertion", assertion)),
    )


def ask(endpoint: str, proof: Proof, *members: tuple[str, str]) -> httpx.Response:
    """Post a form, its members in this order."""
    return httpx.post(
        endpoint,
        content=urlencode([*members, *proof.members]),
        headers=[("content-type", "application/x-www-form-urlencoded"), *proof.headers],
        trust_env=False,
        timeout=20,
    )


def exchange(endpoint: str, proof: Proof, subject: str, *members: tuple[str, str]) -> httpx.Response:
    """Exchange a token (RFC 8693 §2.1)."""
    return ask(
        endpoint,
        proof,
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
        *members,
    )


def client_credentials(endpoint: str, proof: Proof, *members: tuple[str, str]) -> httpx.Response:
    """Ask for a token of the client's own (RFC 6749 §4.4)."""
    return ask(endpoint, proof, ("grant_type", "client_credentials"), *members)


def introspect(endpoint: str, proof: Proof, token: str) -> dict:
    """Ask about a token (RFC 7662 §2.1)."""
    return ask(endpoint, proof, ("token", token)).raise_for_status().json()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal (RFC 6749 §5.2)."""
    return answer.status_code, answer.json()["error"]
