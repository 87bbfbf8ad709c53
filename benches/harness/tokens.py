"""Keys and tokens as an identity provider makes them. They protect nothing, and live as long as a run."""

import base64
import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import jwt
import pyotp
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ISSUER = "https://sso.corp.example/realms/agents"
AUDIENCE = "https://agent.mesh.example"
SUBJECT = "8f14e45f-ceea-467f-a8f1-1c2b3d4e5f60"
CLIENT = "agent-mrpink"
LIFETIME_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Key:
    """A provider's key pair, for one algorithm."""

    algorithm: str
    kid: str
    private: Any

    @classmethod
    def generate(cls, algorithm: str, kid: str | None = None) -> "Key":
        """A new key."""
        kid = kid or f"{algorithm.lower()}-{uuid.uuid4().hex[:20]}"
        match algorithm:
            case "RS256" | "PS256":
                return cls(algorithm, kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))
            case "ES256":
                return cls(algorithm, kid, ec.generate_private_key(ec.SECP256R1()))
            case "ES384":
                return cls(algorithm, kid, ec.generate_private_key(ec.SECP384R1()))
            case "EdDSA":
                return cls(algorithm, kid, ed25519.Ed25519PrivateKey.generate())
        raise ValueError(algorithm)

    def public_jwk(self) -> dict:
        """The public half, as it stands in a key set (RFC 7517)."""
        implementation = jwt.get_algorithm_by_name(self.algorithm)
        jwk = json.loads(implementation.to_jwk(self.private.public_key()))
        jwk.pop("key_ops", None)
        return jwk | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def private_pem(self) -> str:
        """The private half, as `openssl genpkey` writes it (RFC 7468 §10)."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sign(self, claims: dict) -> str:
        """A token with exactly these claims."""
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers={"kid": self.kid})


def claims(number: int = 0, **changes: Any) -> dict:
    """Claims as of a service account: so many, and so long, as providers put into access tokens."""
    now = int(time.time())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUBJECT,
        "azp": CLIENT,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        "jti": str(uuid.UUID(int=number, version=4)),
        "typ": "Bearer",
        "acr": "1",
        "allowed-origins": ["https://agent.mesh.example"],
        "realm_access": {"roles": ["offline_access", "default-roles-agents", "uma_authorization"]},
        "scope": "openid profile email a2a.invoke",
        "clientHost": "10.244.1.17",
        "email_verified": False,
        "preferred_username": "service-account-agent-mrpink",
        "clientAddress": "10.244.1.17",
        "client_id": CLIENT,
    } | changes


def expired(key: Key) -> str:
    """A token that was good once."""
    now = int(time.time())
    return key.sign(claims(iat=now - 7200, exp=now - 3600))


def with_bad_signature(token: str) -> str:
    """The same token with another bit in its signature: not in the last digit, where a bit may mean nothing."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def bearer(token: str) -> tuple[str, str]:
    """The header that carries a token."""
    return ("authorization", f"Bearer {token}")


def sha256(text: str) -> str:
    """As a policy holds API keys."""
    return hashlib.sha256(text.encode()).hexdigest()


def code(seed: str) -> str:
    """The TOTP code of now (RFC 6238)."""
    return pyotp.TOTP(seed).now()


def filler_jwks(count: int) -> list[dict]:
    """Keys that sign nothing here. Ed25519: thousands are made in a moment."""
    filler = [Key.generate("EdDSA", f"filler-{number:05}") for number in range(count)]
    return [key.public_jwk() for key in filler]


def payload_bytes(token: str) -> int:
    """How long a token's payload is."""
    payload = token.split(".")[1]
    return len(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
