"""Who takes part in the tests: one provider of tokens, and peers with every kind of credential.

`policy()` makes a policy of them; a test says what it changes.
"""

import hashlib
import time
from typing import Any

from .credentials import SigningKey, lasting, new_secret, new_seed

ISSUER = "https://issuer.tests.example/realms/agents"
AUDIENCE = "https://agent.tests.example"
REALM = "tests"

#: One key for each algorithm.
KEYS = {
    algorithm: SigningKey.generate(algorithm, f"{algorithm.lower()}-1")
    for algorithm in ("RS256", "PS256", "ES256", "EdDSA")
}

MRPINK_SEED = new_seed("TOTP seed of mrpink")
MRPINK_NEXT_SEED = new_seed("next TOTP seed of mrpink")
MRWHITE_SEED = new_seed("TOTP seed of mrwhite")
MRWHITE_KEY = new_secret("API key of mrwhite")
MRWHITE_NEXT_KEY = new_secret("next API key of mrwhite")
MRBLONDE_TOKEN = new_secret("static token of mrblonde")
MRBLONDE_NEXT_TOKEN = new_secret("next static token of mrblonde")

#: The environment of Envoy: secrets that the policy only names.
ENVIRONMENT = {
    "MRPINK_TOTP": MRPINK_SEED,
    "MRPINK_NEXT_TOTP": MRPINK_NEXT_SEED,
    "MRWHITE_TOTP": MRWHITE_SEED,
    "MRWHITE_NEXT_KEY": MRWHITE_NEXT_KEY,
    "MRBLONDE_NEXT_TOKEN": MRBLONDE_NEXT_TOKEN,
}

PROVIDER = {
    "issuer": ISSUER,
    "audiences": [AUDIENCE],
    "jwks": {"inline": {"keys": [key.public_jwk() for key in KEYS.values()]}},
}


def sha256(secret: str) -> str:
    """As the policy holds keys."""
    return hashlib.sha256(secret.encode()).hexdigest()


PEERS: dict[str, Any] = {
    # Tokens and a second factor, with a seed that rotates.
    "mrpink": {
        "display_name": "Mr Pink",
        "totp_seeds": [{"env": "MRPINK_TOTP"}, {"env": "MRPINK_NEXT_TOTP"}],
    },
    # API keys and a second factor.
    "mrwhite": {
        "display_name": "Mr White",
        "api_keys": [{"sha256": sha256(MRWHITE_KEY)}, {"env": "MRWHITE_NEXT_KEY"}],
        "totp_seeds": [{"env": "MRWHITE_TOTP"}],
        "scopes": ["reports.read", "reports.write"],
    },
    # Static tokens.
    "mrblonde": {
        "display_name": "Mr Blonde",
        "bearer_tokens": [{"sha256": sha256(MRBLONDE_TOKEN)}, {"env": "MRBLONDE_NEXT_TOKEN"}],
    },
    # Tokens, and no seed.
    "mrbrown": {"display_name": "Mr Brown"},
}


def policy(*rules: dict, provider: dict | None = None, **inbound: Any) -> dict:
    """A policy with these rules; members of `inbound` and of the provider replace the usual ones."""
    return {
        "version": 1,
        "inbound": {
            "providers": {"tests": PROVIDER | (provider or {})},
            "peers": PEERS,
            "rules": list(rules),
            "forward": {"rb_auth_claims": True},
            "errors": {"realm": REALM},
        }
        | inbound,
    }


def rule(name: str, accept: list[str], path: str = "/", **members: Any) -> dict:
    """A rule for everything below a path."""
    return {"name": name, "match": {"path_prefixes": [path]}, "accept": accept, **members}


def claims(subject: str = "mrpink", **changes: Any) -> dict:
    """The claims of a good token; `None` takes one away."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject} | lasting(3600)
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(subject: str = "mrpink", key: SigningKey | None = None, **changes: Any) -> str:
    """A token; without changes a good one."""
    return (key or KEYS["ES256"]).sign(claims(subject, **changes), f"token of {subject}")


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def seconds_from_now(seconds: int) -> int:
    """A NumericDate (RFC 7519 §2)."""
    return int(time.time()) + seconds
