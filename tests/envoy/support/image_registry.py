"""Debian's docker-registry as a child process on loopback: a registry of images as everybody runs one."""

import subprocess
from pathlib import Path

import httpx
import yaml

from .debian import program
from .paths import OUTPUT
from .ports import free_port
from .process import die_with_parent, stop, wait_until

#: It has nothing to load; a busy machine takes its time.
START_SECONDS = 20


class ImageRegistry:
    """A registry that is empty when it starts. As a context manager it runs for the length of the block.

    It speaks plain HTTP, which clients of images allow on loopback, and asks nobody who they are.
    """

    def __init__(self, name: str, directory: Path):
        self.host = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.host}"
        self._log_file = OUTPUT / "image-registry" / f"{name}.log"
        self._settings_file = directory / "registry.yml"
        self._process: subprocess.Popen | None = None
        settings = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(directory / "images")}},
            "http": {"addr": self.host},
        }
        self._settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")

    def __enter__(self) -> "ImageRegistry":
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [program("docker-registry"), "serve", self._settings_file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # It would send traces wherever the environment says.
                env={"OTEL_TRACES_EXPORTER": "none"},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            wait_until(self._serves, START_SECONDS, f"{self.host} is a registry")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        stop(process)

    def get(self, path: str, accept: str = "*/*") -> httpx.Response:
        """What it answers below `/v2/`, whatever that is."""
        return httpx.get(f"{self.url}/v2/{path}", headers={"accept": accept}, trust_env=False)

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"see {self._log_file}"
        try:
            return self.get("").status_code == 200
        except httpx.HTTPError:
            return False
