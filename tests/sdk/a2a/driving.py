"""What the clients of both releases have in common: lines of steps come in, lines with what came of them go out."""

import asyncio
import json
import sys
import time

import httpx
import pyotp


class Session:
    """A user of the SDK. Each step is a method of a subclass; what it returns is told, and so are its `errors`.

    `asked` says where the agent is and what the user has: `url`, `token`, `seed` (or a `code` as it is), `transport`,
    and the `keys`, as JWKs, that signatures of cards are verified with.
    """

    errors: tuple[type[Exception], ...] = ()

    def __init__(self, asked: dict):
        self.asked = asked
        self.http = httpx.AsyncClient(trust_env=False, timeout=20)

    def token(self) -> str | None:
        """The user's token."""
        return self.asked.get("token")

    def code(self) -> str | None:
        """The current code of the user's seed."""
        seed = self.asked.get("seed")
        return pyotp.TOTP(seed).at(int(time.time())) if seed else self.asked.get("code")


def drive(kind: type[Session]) -> None:
    """Do what the lines of standard input ask for, until there are no more."""
    asyncio.run(_drive(kind))


async def _drive(kind: type[Session]) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        session = kind(asked)
        outcomes = [await _step(session, *step) for step in asked["steps"]]
        await session.http.aclose()
        print(json.dumps(outcomes), flush=True)


async def _step(session: Session, name: str, *arguments: object) -> dict:
    try:
        return {"ok": await getattr(session, name)(*arguments)}
    except session.errors as error:
        return {"error": type(error).__name__, "text": str(error), "said": _said(error)}


def _said(error: Exception) -> object:
    """The body of the answer that the SDK made an exception of, as far as its user can get at it."""
    response = getattr(error.__cause__, "response", None)
    try:
        return response and response.json()
    except httpx.ResponseNotRead:
        return "not read"
