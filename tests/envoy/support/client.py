"""Sends requests to Envoy and reads its refusals."""

import http.client
import json
import socket

import httpx

from .process import Envoy

#: Longer than anything that Envoy or the filter waits for in the tests.
TIMEOUT_SECONDS = 20


class Client:
    """A client of one listener, over HTTP/1.1 or HTTP/2 without TLS."""

    def __init__(self, envoy: Envoy, listener: str = "inbound", http2: bool = False):
        self.envoy = envoy
        self.port = envoy.port(listener)
        self._session = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            http1=not http2,
            http2=http2,
            trust_env=False,
            timeout=TIMEOUT_SECONDS,
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str = "/", headers: dict[str, str] | list[tuple[str, str]] = ()) -> httpx.Response:
        """A GET. A list of headers may repeat a name."""
        return self.request("GET", path, headers)

    def request(
        self,
        method: str,
        path: str = "/",
        headers: dict[str, str] | list[tuple[str, str]] = (),
        content: object = None,
    ) -> httpx.Response:
        """Any request. A generator as content is sent in chunks."""
        return self._session.request(method, path, headers=headers, content=content)

    def connection(self) -> socket.socket:
        """A TCP connection to the listener."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS)

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Send bytes as they are over HTTP/1.1; status and body of the answer."""
        with self.connection() as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.read()

    def raw_get(self, target: str, *headers: bytes) -> tuple[int, bytes]:
        """A GET of a target that other clients would tidy up first, with lines of headers as they are."""
        lines = [f"GET {target} HTTP/1.1".encode("latin-1"), b"Host: agent.tests.example", *headers]
        return self.raw(b"\r\n".join([*lines, b"", b""]))


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and text of a refusal, once its form was held against RFC 9457."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    return problem(answer.status_code, answer.content)


def problem(status: int, body: bytes) -> tuple[int, str]:
    """Status and text of a problem document."""
    document = json.loads(body)
    detail = document.pop("detail")
    assert document == {"type": "about:blank", "title": http.client.responses[status], "status": status}
    return status, detail
