"""An upstream that plays parts: it fails, redirects, waits, and speaks websocket, as a test tells it to."""

import base64
import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from .upstream import Received, Upstream, _Handler

#: Longer than any test waits, should one forget to let an answer go.
PATIENCE_SECONDS = 20

#: RFC 6455 §1.3.
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Answer:
    """What one request is answered with."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: The body comes in chunks of so many bytes, without a length.
    chunk: int | None = None
    #: The answer waits until this is set.
    after: threading.Event | None = None
    #: The last byte of the body waits until this is set.
    end_after: threading.Event | None = None


class Stage(Upstream):
    """An `Upstream` with a script; what is not in it is answered as ever."""

    def __init__(self, name: str):
        super().__init__(name)
        self._server.RequestHandlerClass = _Player
        self._script: dict[str, list[Answer]] = {}

    def play(self, path: str, *answers: Answer) -> None:
        """The next requests for a path are answered so, one after the other."""
        self._script.setdefault(path, []).extend(answers)

    def next(self, path: str) -> Answer | None:
        """The part of a request, which nobody plays twice."""
        parts = self._script.get(path)
        return parts.pop(0) if parts else None

    def forget(self) -> None:
        """Forget what was received, and the script."""
        super().forget()
        self._script.clear()


class _Player(_Handler):
    def _play(self) -> None:
        answer = self.server.upstream.next(self.path.partition("?")[0])
        if self.headers["upgrade"] == "websocket":
            self._remember(b"")
            self._websocket()
        elif answer is None:
            super()._answer()
        else:
            self._remember(self._chunks([]) if self.headers["transfer-encoding"] else self._length())
            self._perform(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _play  # noqa: N815

    def _remember(self, body: bytes) -> None:
        received = Received(self.command, self.path, list(self.headers.items()), body, [])
        self.server.upstream.received.append(received)

    def _perform(self, answer: Answer) -> None:
        if answer.after is not None:
            answer.after.wait(PATIENCE_SECONDS)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunk is None:
            self.send_header("content-length", str(len(answer.body)))
        else:
            self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.end_after is not None:
            self.wfile.write(answer.body[:-1])
            answer.end_after.wait(PATIENCE_SECONDS)
            self.wfile.write(answer.body[-1:])
            return
        if answer.chunk is None:
            self.wfile.write(answer.body)
            return
        # The last one is empty (RFC 9112 §7.1).
        for start in range(0, len(answer.body) + answer.chunk, answer.chunk):
            part = answer.body[start : start + answer.chunk]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            if not part:
                break

    def _websocket(self) -> None:
        """Shake hands (RFC 6455 §4.2.2), then send each short message back, without its mask (§5.3)."""
        self.send_response(101)
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "Upgrade")
        # A handshake that began as one of HTTP/2 has no key (RFC 8441 §5).
        if key := self.headers["sec-websocket-key"]:
            self.send_header("sec-websocket-accept", websocket_accept(key))
        self.end_headers()
        self.wfile.flush()
        while head := self.rfile.read(2):
            message = read_message(head, self.rfile.read)
            self.wfile.write(bytes([head[0], len(message)]) + message)
        self.close_connection = True

    def handle_one_request(self) -> None:
        """A client that leaves is no error of the stage."""
        try:
            BaseHTTPRequestHandler.handle_one_request(self)
        except ConnectionError:
            self.close_connection = True


def websocket_accept(key: str) -> str:
    """The proof that a server has read the handshake (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()


def read_message(head: bytes, read: object) -> bytes:
    """The payload of a masked frame of less than 126 bytes (RFC 6455 §5.2)."""
    length = head[1] & 0x7F
    mask = read(4)
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(read(length)))
