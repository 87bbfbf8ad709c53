"""A server of the `mcp` SDK over streamable HTTP, on loopback, for the tests.

It prints its port when it serves, and knows nothing of tokens. What reached it is told below `/test/received`, to
whoever asks it directly: a policy does not know that path.
"""

import json
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse

(SETTINGS,) = [json.loads(argument) for argument in sys.argv[1:]]

SERVER = MCPServer("search", log_level="WARNING")

#: Of each request its method, its path with its query, and its headers.
RECEIVED: list[dict] = []


@SERVER.tool()
def search(words: str) -> str:
    """Find what is known."""
    return f"found {words}"


@SERVER.tool()
def delete(name: str) -> str:
    """Have something be known no more."""
    return f"deleted {name}"


@SERVER.tool()
def caller(context: Context) -> str:
    """Who called, as the filter says it."""
    return context.request_context.request.headers.get("x-agent-sub", "nobody")


@SERVER.custom_route("/test/received", methods=["GET"])
async def received(_: Request) -> JSONResponse:
    """Tell what was received, and forget it."""
    told = [each for each in RECEIVED if not each["target"].startswith("/test/")]
    RECEIVED.clear()
    return JSONResponse(told)


class Remembering:
    """Remembers each request before the SDK sees it."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send) -> None:
        """One request."""
        if scope["type"] == "http":
            query = scope["query_string"].decode("latin-1")
            headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
            target = scope["path"] + (f"?{query}" if query else "")
            RECEIVED.append({"method": scope["method"], "target": target, "headers": headers})
        await self._app(scope, receive, send)


def main() -> None:
    """Serve until it is stopped."""
    listening = socket.create_server(("127.0.0.1", 0))
    # Behind a proxy the host is that of the resource, which the SDK's server refuses unless it is told.
    security = TransportSecuritySettings(allowed_hosts=SETTINGS["hosts"])
    application = Remembering(
        SERVER.streamable_http_app(
            streamable_http_path="/mcp", json_response=SETTINGS["json"], transport_security=security
        )
    )
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=1))
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
