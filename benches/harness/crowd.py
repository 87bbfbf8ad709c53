"""A client that sends requests which all differ: h2load repeats one.

It writes one request on each of its connections, then reads all the answers: a client in Python that waited for each of
them would have the proxy sleep and wake for every request.
"""

import re
import socket
from collections.abc import Sequence

#: Connections, and so requests that are under way at once.
CONNECTIONS = 32

TIMEOUT_SECONDS = 30

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


def request(headers: Sequence[tuple[str, str]], path: str = "/") -> bytes:
    """One request as bytes."""
    lines = [f"GET {path} HTTP/1.1", "host: agent", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Crowd:
    """Connections to a listener."""

    def __init__(self, port: int, connections: int = CONNECTIONS):
        self._sockets = [
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) for _ in range(connections)
        ]

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    def send(self, requests: Sequence[bytes]) -> int:
        """Send all of them, and count the answers that were not 200."""
        refused = 0
        for start in range(0, len(requests), len(self._sockets)):
            batch = list(zip(self._sockets, requests[start : start + len(self._sockets)], strict=False))
            for connection, each in batch:
                connection.sendall(each)
            refused += sum(not _answer(connection).startswith(b"HTTP/1.1 200 ") for connection, _ in batch)
        return refused


def _answer(connection: socket.socket) -> bytes:
    """A whole answer; its head."""
    received = b""
    while True:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("the listener has closed the connection")
        received += part
        head, end, body = received.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head + b"\r\n")
        if end and len(body) >= (int(length.group(1)) if length else 0):
            return head
