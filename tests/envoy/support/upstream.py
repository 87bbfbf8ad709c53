"""A small HTTP/1.1 server that stands behind Envoy and remembers what it received."""

import enum
import json
import ssl
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from .loopback import Loopback


class Failure(enum.Enum):
    """What may become of a request in place of an answer."""

    #: The connection is closed.
    HANG_UP = enum.auto()
    #: The answer comes late.
    STALL = enum.auto()


@dataclass(frozen=True)
class Redirect:
    """The caller is sent elsewhere."""

    location: str


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    trailers: list[str]

    @property
    def path(self) -> str:
        """The target up to its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded parameters in their order."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    def values(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for other, value in self.headers if other.lower() == name]

    def header(self, name: str) -> str | None:
        """The value of a header that must not stand more than once; None if it is absent."""
        values = self.values(name)
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def names(self) -> set[str]:
        """The names of all headers, in lower case."""
        return {name.lower() for name, _ in self.headers}


class Upstream(Loopback):
    """The server. As a context manager it runs for the length of the block, on a free port of its own."""

    def __init__(self, name: str, tls: ssl.SSLContext | None = None):
        self.name = name
        self.received: list[Received] = []
        #: What becomes of the next requests, in their order, before one is answered as usual. A number is a status.
        self.failures: list[int | Failure | Redirect] = []
        server = _Server(("127.0.0.1", 0), _Handler)
        super().__init__(server)
        server.upstream = self
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)

    def answer_headers(self, received: Received) -> dict[str, str]:  # noqa: ARG002
        """Further headers of the answer."""
        return {}

    def answer_to(self, received: Received) -> dict:
        """What the caller is told: who it was taken for, and the names of its parameters, for a value may be a key."""
        identity = {
            name.lower(): value
            for name, value in received.headers
            if name.lower().startswith(("x-agent-", "rb-auth-"))
        }
        parameters = [name for name, _ in received.query]
        return {"served_by": self.name, "path": received.path, "parameters": parameters, "caller": identity}

    def only(self) -> Received:
        """The one request that arrived since the last `forget`."""
        (request,) = self.received
        return request

    def forget(self) -> None:
        """Forget what was received, and fail no more."""
        self.received.clear()
        self.failures.clear()


#: How late an answer comes that does.
STALL_SECONDS = 1.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    upstream: Upstream

    def handle_error(self, *connection: object) -> None:
        """Say nothing of a connection that breaks: whoever asked may have got an answer elsewhere and left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*connection)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # The head and the body of an answer are two writes: the second would wait 40 ms for the first to be acknowledged.
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        trailers: list[str] = []
        body = self._chunks(trailers) if self.headers["transfer-encoding"] else self._length()
        received = Received(self.command, self.path, list(self.headers.items()), body, trailers)
        self.server.upstream.received.append(received)
        if self.headers["upgrade"] == "websocket":
            self._echo()
            return
        match self.server.upstream.failures.pop(0) if self.server.upstream.failures else None:
            case None:
                self._send(received)
            case Redirect(location):
                self._send(received, 302, location)
            case Failure.HANG_UP:
                self.close_connection = True
            case Failure.STALL:
                time.sleep(STALL_SECONDS)
                self._send(received)
            case status:
                self._send(received, status)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _send(self, received: Received, status: int = 200, location: str | None = None) -> None:
        answer = json.dumps(self.server.upstream.answer_to(received)).encode() + b"\n"
        self.send_response(status)
        if location is not None:
            self.send_header("location", location)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        for name, value in self.server.upstream.answer_headers(received).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _echo(self) -> None:
        """Accept an upgrade and send back all that comes, until the other end closes."""
        self.send_response(101)
        self.send_header("upgrade", self.headers["upgrade"])
        self.send_header("connection", "upgrade")
        self.end_headers()
        while data := self.rfile.read1(4096):
            self.wfile.write(data)
        self.close_connection = True

    def _length(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"] or 0))

    def _chunks(self, trailers: list[str]) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while line := self.rfile.readline().strip():
            trailers.append(line.decode("latin-1").lower())
        return body

    def log_message(self, *_: object) -> None:
        """Say nothing: what arrived is remembered."""
