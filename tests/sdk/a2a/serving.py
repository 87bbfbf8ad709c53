"""What the agents of both releases have in common: several of them in one process, each on a port of its own."""

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

#: Longer than any test takes to tell an agent that waits to go on.
PATIENCE_SECONDS = 20


def serve(application: Callable[[dict], Any]) -> None:
    """Read the settings of each agent from a line, print a line with their ports, and serve until told to stop.

    The ports are open before the agents are built: who comes early waits.
    """
    agents = json.loads(sys.stdin.readline())
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in agents}
    ports = {name: each.getsockname()[1] for name, each in sockets.items()}
    print(json.dumps(ports), flush=True)
    applications = {ports[name]: application(settings) for name, settings in agents.items()}

    async def by_port(scope: dict, receive: Callable, send: Callable) -> None:
        await applications[scope["server"][1]](scope, receive, send)

    config = uvicorn.Config(by_port, lifespan="off", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=list(sockets.values()))
