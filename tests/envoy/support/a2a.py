"""Agents and clients that are built with releases of a2a-sdk, as child processes; `make sdks` installs these.

The programs are in `tests/sdk`. A client takes what its user has to write about credentials from the guide.
"""

import json
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .paths import OUTPUT, ROOT
from .process import die_with_parent

GUIDE = ROOT / "docs/agent-cards.md"

#: The releases, newest first, in the order in which the guide has code for them.
RELEASES = ("a2a-1", "a2a-0.3")

#: Longer than anything that an SDK waits for here.
PATIENCE_SECONDS = 30

#: They have nothing to finish; after this they are killed.
STOP_SECONDS = 5

#: What stands for the body of a refusal that the SDK closes unread.
NOT_READ = "not read"

#: What the programs of both releases have in common.
_COMMON = ROOT / "tests/sdk/a2a"


class Program:
    """A program of a release that reads lines and answers each with a line.

    As a context manager it runs for the length of the block. Python also looks for modules in `modules`.
    """

    def __init__(self, kind: str, release: str, *modules: Path):
        directory = OUTPUT / "sdk"
        directory.mkdir(parents=True, exist_ok=True)
        self._log_file = directory / f"{release}-{kind}.log"
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [ROOT / f".venv/{release}/bin/python", ROOT / f"tests/sdk/{release}/{kind}.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PYTHONPATH": ":".join(map(str, (_COMMON, *modules)))},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ask(self, line: object) -> object:
        """Write a line, and read the answer to it."""
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        answer = self._process.stdout.readline() if ready else ""
        assert answer, f"{self._log_file} says:\n{self._log_file.read_text(encoding='utf-8')}"
        return json.loads(answer)


@contextmanager
def agents(release: str, settings: dict[str, dict]) -> Iterator[dict[str, int]]:
    """Agents by name, each on a port."""
    with Program("server", release) as program:
        yield program.ask(settings)


@contextmanager
def client(release: str) -> Iterator[Program]:
    """A client, with the code that the guide has for its release."""
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    code = dict(zip(RELEASES, blocks, strict=True))[release]
    modules = OUTPUT / "sdk" / release
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "documented.py").write_text(code, encoding="utf-8")
    with Program("client", release, modules) as program:
        yield program


class Refused(Exception):
    """What the user of an SDK gets in place of an answer: the exception's name and text, and the body behind it."""

    def __init__(self, error: str, text: str, said: object):
        super().__init__(f"{error}: {text} ({said})")
        self.error, self.text, self.said = error, text, said


class User:
    """A user of an SDK. `usual` is what every step has, unless a test says something else."""

    def __init__(self, program: Program, **usual: object):
        self._program, self._usual = program, usual

    def but(self, **members: object) -> "User":
        """The same user with something else in hand."""
        return User(self._program, **(self._usual | members))

    def does(self, *steps: str | list) -> list:
        """What came of each step, in one session; an exception of the SDK is a `Refused` in its place."""
        asked = self._usual | {"steps": [step if isinstance(step, list) else [step] for step in steps]}
        return [
            outcome["ok"] if "ok" in outcome else Refused(outcome["error"], outcome["text"], outcome["said"])
            for outcome in self._program.ask(asked)
        ]
