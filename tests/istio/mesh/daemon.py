"""A program of the mesh as a child process: its log, its end."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from support.process import die_with_parent, stop, wait_until

from .paths import LOGS

#: Longer than any part of the mesh takes to begin to serve, with a busy machine.
START_SECONDS = 120


class DidNotStart(Exception):
    """A program ended instead of serving. The text holds the end of its log."""


class Daemon:
    """One program. `directory` is where it runs; its log is `<name>.log`."""

    def __init__(self, name: str, command: list[str], directory: Path, environment: dict[str, str]):
        LOGS.mkdir(parents=True, exist_ok=True)
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log_file = LOGS / f"{name}.log"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def await_serving(self, serves: Callable[[], bool]) -> None:
        """Wait until it serves.

        Raises `DidNotStart`, or `TimeoutError`.
        """

        def begun() -> bool:
            if self._process.poll() is not None:
                raise DidNotStart(
                    f"{self.name} exited with {self._process.returncode}:\n{self.log()[-2000:]}"
                )
            return serves()

        try:
            wait_until(begun, START_SECONDS, f"{self.name} serves")
        except BaseException:
            self.stop()
            raise

    def log(self) -> str:
        """All that it has printed."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def ask_to_stop(self) -> None:
        """Begin to stop it: several that are asked at once are gone sooner."""
        self._process.terminate()

    def stop(self) -> None:
        """Stop it, by its process id."""
        stop(self._process)
