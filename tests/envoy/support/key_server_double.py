"""A double of an identity provider's key server: it does what no real one does when it is asked to.

Its metadata and key sets are scripted, and so are its faults: an answer that drips, that never comes, that is far too
long, that leads elsewhere. It remembers each call.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler

from .credentials import SigningKey
from .upstream import Received, Upstream, _Handler

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/jwks"

#: What real providers say (oidc-provider: with a charset).
KEY_SET_TYPE = "application/jwk-set+json"

#: Longer than any test waits, should one forget to let an answer go.
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Reply:
    """What a path is answered with."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: The answer waits until this is set.
    after: threading.Event | None = None
    #: So long it takes over each byte.
    drip_seconds: float = 0
    #: The connection is closed in place of an answer.
    hang_up: bool = False
    #: So many bytes of the body come less than were announced.
    cut_off: int = 0


class KeyServerDouble(Upstream):
    """The server. As a context manager it runs for the length of the block, on a free port of its own.

    `path` is that of the issuer; the metadata is below it.
    """

    def __init__(self, name: str, keys: list[SigningKey] = (), path: str = ""):
        super().__init__(name)
        self._server.RequestHandlerClass = _Replier
        self._replies: dict[str, Reply] = {}
        self._path = path
        #: When each call came, in seconds of the monotonic clock.
        self.times: dict[str, list[float]] = {}
        self.reply(DISCOVERY, as_json(self.metadata()))
        self.publish(*keys)

    @property
    def issuer(self) -> str:
        """Its name in tokens."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    @property
    def jwks_uri(self) -> str:
        """Where its keys are."""
        return self.issuer + JWKS

    def metadata(self, **changes: object) -> dict:
        """What it says of itself."""
        return {"issuer": self.issuer, "jwks_uri": self.jwks_uri} | changes

    def publish(self, *keys: SigningKey, **headers: str) -> None:
        """Have these keys in the set, and no others; further headers as `cache_control="…"`."""
        published = key_set(*(key.public_jwk() for key in keys))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply(JWKS, replace(published, headers=published.headers | named))

    def reply(self, path: str, reply: Reply) -> None:
        """Answer a path below the issuer so from now on."""
        self._replies[self._path + path] = reply

    def replies_to(self, received: Received) -> Reply:
        """What a call is answered with now."""
        self.times.setdefault(received.path, []).append(time.monotonic())
        return self._replies.get(received.path, Reply(status=404))

    def calls(self, path: str = JWKS) -> int:
        """How many requests for a path below the issuer it has had."""
        return len(self.times.get(self._path + path, []))

    def token(self, key: SigningKey, claims: Callable[..., dict], **changes: object) -> str:
        """A token of this issuer."""
        return key.sign(claims(iss=self.issuer, **changes), f"token of the double {self.name}")


def as_json(document: object, **members: object) -> Reply:
    """A document as providers send it."""
    return replace(
        Reply(json.dumps(document).encode(), headers={"content-type": "application/json"}), **members
    )


def key_set(*jwks: dict, **members: object) -> Reply:
    """A key set of these keys, whatever they are."""
    body = json.dumps({"keys": list(jwks)}).encode()
    return replace(Reply(body, headers={"content-type": KEY_SET_TYPE}), **members)


class _Replier(_Handler):
    def _reply(self) -> None:
        body = self._chunks([]) if self.headers["transfer-encoding"] else self._length()
        received = Received(self.command, self.path, list(self.headers.items()), body, [])
        self.server.upstream.received.append(received)
        reply = self.server.upstream.replies_to(received)
        if reply.after is not None:
            reply.after.wait(PATIENCE_SECONDS)
        if reply.hang_up:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        if reply.cut_off:
            self.wfile.write(reply.body[: -reply.cut_off])
            self.close_connection = True
        elif reply.drip_seconds:
            for byte in reply.body:
                self.wfile.write(bytes([byte]))
                time.sleep(reply.drip_seconds)
        else:
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _reply  # noqa: N815

    def handle_one_request(self) -> None:
        """Whoever asked may have given up."""
        try:
            BaseHTTPRequestHandler.handle_one_request(self)
        except ConnectionError:
            self.close_connection = True
