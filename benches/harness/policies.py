"""Policies of peergate for the rows."""

from collections.abc import Iterable
from typing import Any

from .listeners import CLAIM_HEADERS
from .tokens import AUDIENCE, ISSUER

#: Nothing is forwarded but what `jwt_authn` forwards as well.
NO_IDENTITY_HEADERS = {"identity_headers": dict.fromkeys(("peer", "sub", "iss", "method"))}


def provider(keys: Iterable[dict], algorithms: Iterable[str], **members: Any) -> dict:
    """The provider of the tokens here."""
    return {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "jwks": {"inline": {"keys": list(keys)}},
        "algorithms": list(algorithms),
        "claim_to_headers": CLAIM_HEADERS,
    } | members


def inbound(given: dict, cache: int | None = None, **members: Any) -> dict:
    """A policy that asks every request for a token. `cache`: how many verified tokens are kept; None: as it comes."""
    rest: dict = {"rules": [{"name": "agent", "accept": ["jwt"]}], "forward": NO_IDENTITY_HEADERS}
    if cache is not None:
        rest["limits"] = {"token_cache_entries": cache}
    return {"version": 1, "inbound": {"providers": {"idp": given}} | rest | members}
