"""A client that sends requests which all differ: h2load repeats one.

Requests are written in batches on one connection and answered in their order (HTTP/1.1 pipelining), so that a client in
Python does not starve the proxy.
"""

import socket
from collections.abc import Sequence

#: As many as fit into the buffers of a socket, so that neither side waits for the other to read.
BATCH = 32

TIMEOUT_SECONDS = 30


def request(headers: Sequence[tuple[str, str]], path: str = "/") -> bytes:
    """One request as bytes."""
    lines = [f"GET {path} HTTP/1.1", "host: agent", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Pipeline:
    """A connection to a listener."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, requests: Sequence[bytes]) -> int:
        """Send all of them, and count the answers that were not 200."""
        refused = 0
        for start in range(0, len(requests), BATCH):
            batch = requests[start : start + BATCH]
            self._socket.sendall(b"".join(batch))
            refused += len(batch) - self._answers(len(batch))
        return refused

    def _answers(self, count: int) -> int:
        """Wait for so many answers without a body; how many of them were 200."""
        received = b""
        while received.count(b"\r\n\r\n") < count:
            part = self._socket.recv(1 << 20)
            if not part:
                raise ConnectionError("the listener has closed the connection")
            received += part
        return received.count(b"HTTP/1.1 200 ")
