"""Clients of connections that carry something else once the answer is there: websocket (RFC 6455), CONNECT.

Over HTTP/1.1 and HTTP/2 (RFC 8441), byte by byte, for other clients would refuse what the tests send.
"""

import base64
import os
import socket

import h2.config
import h2.connection
import h2.events

from .client import TIMEOUT_SECONDS
from .stage import websocket_accept

#: The key of every handshake: nobody is protected by it, a server just shows that it has read it.
WEBSOCKET_KEY = base64.b64encode(bytes(range(16))).decode()
WEBSOCKET_ACCEPT = websocket_accept(WEBSOCKET_KEY)


class Http1:
    """One request over HTTP/1.1, given as lines, and the connection behind it."""

    def __init__(self, port: int, *lines: str):
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._stream = self._connection.makefile("rb")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self.status, self.headers = self._head()
        self.body = self._stream.read(int(self.headers.get("content-length", 0)))

    def __enter__(self) -> "Http1":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._connection.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def receive(self, count: int) -> bytes:
        """So many bytes, or fewer if the other side ends."""
        return self._stream.read(count)

    def _head(self) -> tuple[int, dict[str, str]]:
        status = int(self._stream.readline().split()[1])
        headers = {}
        while line := self._stream.readline().strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return status, headers


class Http2:
    """One request over HTTP/2 without TLS, given as headers, and the stream behind it."""

    def __init__(self, port: int, *headers: tuple[str, str]):
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        configuration = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(configuration)
        self._h2.initiate_connection()
        self._h2.send_headers(1, headers)
        self._flush()
        self._data = b""
        self._has_ended = False
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.was_reset = False
        while not self.headers:
            self._read()
        self.status = int(self.headers[":status"])

    def __enter__(self) -> "Http2":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def body(self) -> bytes:
        """All up to the end of the stream."""
        while not self._has_ended:
            self._read()
        return self._data

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._h2.send_data(1, data)
        self._flush()

    def receive(self, count: int) -> bytes:
        """So many bytes, or fewer if the other side ends."""
        while len(self._data) < count and not self._has_ended:
            self._read()
        data, self._data = self._data[:count], self._data[count:]
        return data

    def _read(self) -> None:
        received = self._connection.recv(65536)
        if not received:
            self._has_ended = True
        for event in self._h2.receive_data(received):
            match event:
                case h2.events.ResponseReceived():
                    self.headers = {text(name): text(value) for name, value in event.headers}
                case h2.events.TrailersReceived():
                    self.trailers = {text(name): text(value) for name, value in event.headers}
                case h2.events.DataReceived():
                    self._data += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
                case h2.events.StreamEnded():
                    self._has_ended = True
                case h2.events.StreamReset():
                    self._has_ended = self.was_reset = True
        self._flush()

    def _flush(self) -> None:
        self._connection.sendall(self._h2.data_to_send())


def say(tunnel: Http1 | Http2, message: bytes) -> bytes:
    """Send a message of less than 126 bytes as websocket clients do, masked (RFC 6455 §5.2), and read the answer."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(message))
    tunnel.send(bytes([0x82, 0x80 | len(message)]) + mask + masked)
    head = tunnel.receive(2)
    assert head[0] == 0x82
    return tunnel.receive(head[1])


def websocket_http1(port: int, target: str, host: str, *lines: str, connection: str = "Upgrade") -> Http1:
    """A handshake over HTTP/1.1 (RFC 6455 §4.1)."""
    return Http1(
        port,
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        f"Connection: {connection}",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {WEBSOCKET_KEY}",
        *lines,
    )


def websocket_http2(port: int, target: str, host: str, *headers: tuple[str, str]) -> Http2:
    """A handshake over HTTP/2, an extended CONNECT (RFC 8441 §4)."""
    return Http2(
        port,
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", target),
        (":authority", host),
        ("sec-websocket-version", "13"),
        *headers,
    )


def text(value: bytes | str) -> str:
    """A header as text: the library gives either."""
    return value if isinstance(value, str) else value.decode("latin-1")
