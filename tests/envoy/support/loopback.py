"""A server of a test's own process, which runs for the length of a block."""

import socketserver
import threading
from typing import Self


class Loopback:
    """What serves on a free port of its own, in a thread. As a context manager it runs for the length of the block."""

    def __init__(self, server: socketserver.TCPServer):
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._server.server_address[1]
