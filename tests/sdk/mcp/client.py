"""A client of the `mcp` SDK, as a user of the SDK writes it, for the tests.

Each line that it reads is a session, in JSON; each that it writes is a page to open in a browser (`open`: it then reads
where the browser was sent back to) or what came of the session. Its one argument says where names are: `hosts`, the
ports on loopback by name, and `authority`, the file of who signs their certificates.
"""

import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp.shared.exceptions import MCPError

(SETTINGS,) = [json.loads(argument) for argument in sys.argv[1:]]

#: Longer than anything that a test waits for.
TIMEOUT_SECONDS = 20

#: What is told of a form that the SDK has sent: the rest of it is secret.
TOLD_OF_FORMS = ("grant_type", "resource", "scope")


class LoginFailed(Exception):
    """The authorization server sent the browser back without a code (RFC 6749 §4.1.2.1)."""


class Remembered:
    """The SDK's `TokenStorage`, in memory."""

    def __init__(self, session: dict):
        tokens, client = session.get("tokens"), session.get("client")
        self.tokens = OAuthToken.model_validate(tokens) if tokens else None
        self.client = OAuthClientInformationFull.model_validate(client) if client else None

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens of before."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep new ones."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """What this client is at the authorization server."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep what it has become there."""
        self.client = client_info


class Loopback(httpx2.AsyncHTTPTransport):
    """Finds names on loopback, as a resolver would, and remembers what was asked."""

    def __init__(self):
        super().__init__(verify=ssl.create_default_context(cafile=SETTINGS["authority"]), trust_env=False)
        self.asked: list[dict] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it where the name is."""
        sent, url = request, request.url
        if port := SETTINGS["hosts"].get(url.host):
            sent = httpx2.Request(
                request.method,
                url.copy_with(host="127.0.0.1", port=port),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions | {"sni_hostname": url.host},
            )
        answer = await super().handle_async_request(sent)
        told = {"method": request.method, "url": str(url.copy_with(query=None)), "status": answer.status_code}
        told["has_code"] = "x-totp" in request.headers
        if request.headers.get("content-type") == "application/x-www-form-urlencoded":
            form = dict(parse_qsl(request.content.decode()))
            told["form"] = {name: form[name] for name in TOLD_OF_FORMS if name in form}
        self.asked.append(told)
        return answer


async def open_in_browser(url: str) -> None:
    """The SDK's `redirect_handler`."""
    tell({"open": url})


async def come_back() -> AuthorizationCodeResult:
    """The SDK's `callback_handler`."""
    brought = json.loads(await anyio.to_thread.run_sync(sys.stdin.readline))
    if "error" in brought:
        raise LoginFailed(brought["error"])
    return AuthorizationCodeResult.model_validate(brought)


def authentication(session: dict, storage: Remembered) -> OAuthClientProvider | None:
    """The SDK's own, if the session logs in."""
    if not session.get("login", True):
        return None
    return OAuthClientProvider(
        session["url"],
        OAuthClientMetadata(client_name="a client of the tests", redirect_uris=[session["callback"]]),
        storage,
        open_in_browser,
        come_back,
    )


def second_factor(session: dict) -> Callable[[httpx2.Request], Awaitable[None]]:
    """Puts a code onto what goes to the server, and onto nothing that goes to the authorization server."""

    async def add(request: httpx2.Request) -> None:
        if "code" in session and request.url.host == httpx2.URL(session["url"]).host:
            request.headers["X-TOTP"] = session["code"]

    return add


async def run(session: dict) -> dict:
    """Connect, call tools one after the other, and say what a user of the SDK sees."""
    storage, transport = Remembered(session), Loopback()
    said: dict = {"results": [], "error": None}
    try:
        async with httpx2.AsyncClient(
            transport=transport,
            auth=authentication(session, storage),
            event_hooks={"request": [second_factor(session)]},
            timeout=TIMEOUT_SECONDS,
        ) as http:
            server = streamable_http_client(session["url"], http_client=http)
            mode = session.get("mode", "auto")
            async with Client(server, mode=mode) as client:
                for name, arguments in session.get("calls", []):
                    said["results"].append(await called(client, name, arguments))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user sees
        said["error"] = described(error)
    for name, kept in (("tokens", storage.tokens), ("client", storage.client)):
        said[name] = kept.model_dump(mode="json", exclude_none=True) if kept else None
    return said | {"asked": transport.asked}


async def called(client: Client, name: str, arguments: dict) -> dict:
    """What one call came to. A session outlives a call that is refused."""
    try:
        result = await client.call_tool(name, arguments)
    except MCPError as error:
        return {"error": described(error)}
    return {"text": "".join(each.text for each in result.content), "is_error": bool(result.is_error)}


def described(error: BaseException) -> dict:
    """What stands at the end of a traceback; of a group, of the first in it."""
    groups = []
    while isinstance(error, BaseExceptionGroup):
        groups.append(type(error).__name__)
        error = error.exceptions[0]
    code = getattr(getattr(error, "error", None), "code", None)
    return {"type": type(error).__name__, "text": str(error), "code": code, "within": groups}


def tell(what: dict) -> None:
    """Write a line."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    tell({"ready": True})
    for line in sys.stdin:
        tell(anyio.run(run, json.loads(line)))
