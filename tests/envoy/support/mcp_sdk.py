"""The `mcp` SDK as its users run it: a server and a client, each in a process of its own.

`make sdks` installs it into `.venv/mcp`, beside nothing else: its dependencies are not those of the tests. The two
programs are in `tests/sdk/mcp`; a client's browser is that of `IdentityProvider`.
"""

import contextlib
import json
import select
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from .identity_provider import CALLBACK
from .paths import OUTPUT, ROOT
from .process import die_with_parent, stop
from .registry import remember, remember_token

PYTHON = ROOT / ".venv/mcp/bin/python"

PROGRAMS = ROOT / "tests/sdk/mcp"

#: Longer than anything that the SDK waits for here.
PATIENCE_SECONDS = 30


class _Program:
    """One of the programs, which reads and writes lines. As a context manager it runs for the length of the block."""

    def __init__(self, program: str, name: str, **settings: object):
        log = OUTPUT / "sdk" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                [str(PYTHON), str(PROGRAMS / program), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._log = log

    def __enter__(self) -> "_Program":
        # Two of them start side by side: what the first line says is waited for here.
        try:
            self._begin(self._line())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _begin(self, line: str) -> None:
        """Take the first line."""
        raise NotImplementedError

    def _stop(self) -> None:
        stop(self._process)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def _line(self) -> str:
        # One line is on its way at a time: none waits where `select` does not see it.
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        assert line, f"{self._log} says:\n{self._log.read_text(encoding='utf-8')}"
        return line


@dataclass(frozen=True)
class Arrived:
    """A request that reached the server."""

    method: str
    target: str
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """The value of a header; None if it is absent."""
        values = [value for other, value in self.headers if other == name]
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None


class McpServer(_Program):
    """The server. Its tools are `search`, `delete` and `caller`."""

    def __init__(self, name: str, hosts: list[str], json_response: bool = False):
        super().__init__("server.py", name, hosts=hosts, json=json_response)
        self.port = 0

    def _begin(self, line: str) -> None:
        self.port = json.loads(line)["port"]

    def received(self) -> list[Arrived]:
        """What has reached it since it was last asked."""
        told = httpx.get(f"http://127.0.0.1:{self.port}/test/received", trust_env=False).raise_for_status()
        return [
            Arrived(each["method"], each["target"], [tuple(pair) for pair in each["headers"]])
            for each in told.json()
        ]


@dataclass(frozen=True)
class Session:
    """What came of a session of the client."""

    #: What each call came to: `text` or `error`.
    results: list[dict]
    #: Why it never came to a call.
    error: dict | None
    #: Each request that the SDK has sent, in their order.
    asked: list[dict]
    #: The pages that its user was sent to.
    opened: list[httpx.URL]
    #: What it has kept: its tokens, and who it is at the authorization server.
    tokens: dict | None
    client: dict | None

    def texts(self) -> list[str]:
        """What the tools said. No call has failed."""
        assert self.error is None, self.error
        assert all("text" in each and not each["is_error"] for each in self.results), self.results
        return [each["text"] for each in self.results]

    def seen(self) -> list[tuple[str, int]]:
        """Each request by its path and the status of its answer."""
        return [(httpx.URL(each["url"]).path, each["status"]) for each in self.asked]


class McpClient(_Program):
    """The client. `hosts` are names with their ports on loopback, `authority` is who signs their certificates."""

    def __init__(self, name: str, hosts: dict[str, int], authority: Path):
        super().__init__("client.py", name, hosts=hosts, authority=str(authority))

    def _begin(self, line: str) -> None:
        assert json.loads(line) == {"ready": True}

    def session(
        self,
        url: str,
        *calls: tuple[str, dict],
        browser: Callable[[str], dict[str, str]] | None = None,
        **members: object,
    ) -> Session:
        """Connect to a server, call tools, and see what came of it.

        `browser` opens a page and gives what it brings back: without it the client has no login. Further members are
        those of `client.py`: `code`, `mode`, and `tokens` and `client` of a session before.
        """
        self._tell({"url": url, "calls": calls, "login": browser is not None, "callback": CALLBACK} | members)
        opened = []
        while "open" in (said := json.loads(self._line())):
            opened.append(httpx.URL(said["open"]))
            try:
                came_back = browser(said["open"])
            except BaseException:
                # The next session is not to read what is left of this one.
                self._tell({"error": "the browser failed"})
                self._line()
                raise
            if "code" in came_back:
                remember("code of an MCP client", came_back["code"])
            self._tell(came_back)
        for token in ("access_token", "refresh_token"):
            if said["tokens"] and token in said["tokens"]:
                remember_token(f"{token} of an MCP client", said["tokens"][token])
        if said["client"] and "client_secret" in said["client"]:
            remember("secret of an MCP client", said["client"]["client_secret"])
        return Session(opened=opened, **said)

    def _tell(self, what: dict) -> None:
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
