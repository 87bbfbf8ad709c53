"""Parts of tokens, for tests that read them or write what no library would."""

import base64
import json


def segment(document: dict) -> str:
    """An object as a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def payload(token: str) -> dict:
    """The claims of a token, as they stand there."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
