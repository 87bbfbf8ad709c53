"""What the configurations in `envoy/` hold as examples, and the private halves that the whole world knows."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .credentials import SigningKey, lasting
from .registry import remember

ISSUER = "https://issuer.example"

#: Its SHA-256 digest stands in the configurations.
MRWHITE_KEY = remember("sample: API key of mrwhite", "demo-api-key-of-mrwhite")

#: RFC 8037, appendix A.1.
_PRIVATE = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")


def mint(audience: str, subject: str = "mrpink", **claims: object) -> str:
    """A token of the example provider."""
    key = SigningKey("EdDSA", "rfc8037", Ed25519PrivateKey.from_private_bytes(_PRIVATE))
    claims = {"iss": ISSUER, "aud": audience, "sub": subject} | lasting(3600) | claims
    return key.sign(claims, f"sample: token of {subject}")
