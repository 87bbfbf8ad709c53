"""Makes the credentials of the demo and the tests. Each one is registered as a secret the moment it exists."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

import jwt
import pyotp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from .registry import remember, remember_token

#: The last line of a key in PEM may hold a few bytes, which occur by chance.
SHORTEST_LINE = 24

#: The length of a step, RFC 6238 §4.1.
STEP_SECONDS = 30


@dataclass(frozen=True)
class SigningKey:
    """A provider's key pair with its algorithm."""

    algorithm: str
    kid: str
    private: Any

    @classmethod
    def generate(cls, algorithm: str, kid: str) -> "SigningKey":
        """A new key for `RS256`, `PS256`, `ES256` or `EdDSA`."""
        match algorithm:
            case "RS256" | "PS256":
                return cls(algorithm, kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))
            case "ES256":
                return cls(algorithm, kid, ec.generate_private_key(ec.SECP256R1()))
            case "EdDSA":
                return cls(algorithm, kid, ed25519.Ed25519PrivateKey.generate())
        raise ValueError(algorithm)

    def public_jwk(self) -> dict:
        """The public half, as it stands in a provider's key set (RFC 7517)."""
        implementation = jwt.get_algorithm_by_name(self.algorithm)
        jwk = json.loads(implementation.to_jwk(self.private.public_key()))
        jwk.pop("key_ops", None)
        return jwk | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def private_pem(self) -> str:
        """The private half, as `openssl genpkey` writes it (RFC 7468 §10); its lines are secrets."""
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        for line in pem.splitlines()[1:-1]:
            if len(line) >= SHORTEST_LINE:
                remember(f"a line of the private key {self.kid}", line)
        return pem

    def sign(self, claims: dict, label: str = "token", header: dict | None = None) -> str:
        """A token with exactly these claims."""
        header = {"kid": self.kid} | (header or {})
        token = jwt.encode(claims, self.private, algorithm=self.algorithm, headers=header)
        return remember_token(label, token)


def lasting(seconds: int) -> dict:
    """The claims `iat` and `exp` of a token that is good for so long; negative: for so long it has been expired."""
    now = int(time.time())
    return {"iat": min(now, now + seconds), "exp": now + seconds}


def new_secret(label: str) -> str:
    """A new API key or static token."""
    return remember(label, secrets.token_urlsafe(24))


def new_seed(label: str) -> str:
    """A new TOTP seed of 160 bits, in Base32."""
    return remember(label, pyotp.random_base32())


def totp(seed: str, steps: int = 0) -> str:
    """The code of a seed, now or some steps away."""
    return pyotp.TOTP(seed, interval=STEP_SECONDS).at(int(time.time()), counter_offset=steps)


def wrong_totp(seed: str) -> str:
    """A code that is good in none of the steps that a verifier may look at."""
    good = {totp(seed, steps) for steps in range(-4, 5)}
    return next(code for code in (f"{number:06}" for number in range(1_000_000)) if code not in good)
