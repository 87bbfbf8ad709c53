"""An HTTP/2 server without TLS whose answers end with trailers, which gRPC is not alone in doing (RFC 9113 §8.1)."""

import socketserver

import h2.config
import h2.connection
import h2.events

from .loopback import Loopback

TRAILERS = {"x-last-word": "said"}


class Trailing(Loopback):
    """The server. As a context manager it runs for the length of the block, on a free port of its own.

    Every request is answered with the same document, in pieces. `says_length`: beforehand, with `content-length`.
    """

    def __init__(self, document: bytes, says_length: bool, piece: int = 1000):
        server = _Server(("127.0.0.1", 0), _Handler)
        super().__init__(server)
        headers = {":status": "200", "content-type": "application/json"}
        server.headers = headers | ({"content-length": str(len(document))} if says_length else {})
        server.pieces = [document[start : start + piece] for start in range(0, len(document), piece)]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    headers: dict[str, str]
    pieces: list[bytes]


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Answer what comes on one connection."""
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        self.request.sendall(connection.data_to_send())
        while received := self.request.recv(65536):
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.RequestReceived):
                    self._answer(connection, event.stream_id)
            self.request.sendall(connection.data_to_send())

    def _answer(self, connection: h2.connection.H2Connection, stream: int) -> None:
        connection.send_headers(stream, self.server.headers.items())
        for piece in self.server.pieces:
            # Each leaves by itself, and within the window that every client opens (RFC 9113 §6.9.2).
            connection.send_data(stream, piece)
            self.request.sendall(connection.data_to_send())
        connection.send_headers(stream, TRAILERS.items(), end_stream=True)
