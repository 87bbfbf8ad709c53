"""The load generator: `h2load` of nghttp2, from PATH or unpacked from Debian's packages below `.venv`, without root."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT

#: The version that the figures in docs/performance.md were made with. Another distribution has another one; the
#: report names the one that ran.
KNOWN_VERSION = "1.52.0"

#: Where packages are unpacked.
UNPACKED = ROOT / ".venv/h2load"

#: What every system has that runs Rust and Python.
ALWAYS_THERE = {"libc6", "libgcc-s1", "libstdc++6"}

#: How often libraries of libraries are looked for.
DEPTH = 4


class NoLoadGenerator(Exception):
    """There is no `h2load`, and it cannot be fetched here."""


@dataclass(frozen=True)
class Load:
    """What one run of h2load has seen."""

    requests: int
    seconds: float
    statuses: dict[int, int]
    #: Of each request, in microseconds, where they were asked for.
    latencies: list[int]


class H2load:
    """An `h2load` that runs. It is pinned to a processor where there is one for it alone."""

    def __init__(self, binary: Path, libraries: Path | None, processor: int | None):
        self._command = [str(binary)]
        self._environment = {"PATH": os.environ.get("PATH", "")}
        if libraries is not None:
            self._environment["LD_LIBRARY_PATH"] = str(libraries)
        self.processor = processor
        said = self._run(["--version"])
        self.version = said.split("/")[-1].strip()

    @classmethod
    def find(cls, processor: int | None) -> "H2load":
        """The one of the machine, else one that is fetched.

        Raises `NoLoadGenerator`.
        """
        if installed := shutil.which("h2load"):
            return cls(Path(installed), None, processor)
        binary = UNPACKED / "usr/bin/h2load"
        if not (UNPACKED / ".complete").exists():
            _fetch()
        return cls(binary, _libraries(), processor)

    def run(
        self,
        url: str,
        headers: Iterable[tuple[str, str]],
        requests: int,
        clients: int,
        rate: float | None = None,
        log: Path | None = None,
    ) -> Load:
        """So many requests over HTTP/1.1, one after the other on each connection; `rate`: so many a second in all."""
        arguments = ["--h1", f"--requests={requests}", f"--clients={clients}", "--threads=1"]
        if rate is not None:
            # Per client. Clients that start at once would send at once for ever: one starts each millisecond.
            arguments += [f"--rps={rate / clients:.3f}", "--rate=1", "--rate-period=1ms"]
        if log is not None:
            log.unlink(missing_ok=True)
            arguments.append(f"--log-file={log}")
        arguments += [f"--header={name}: {value}" for name, value in headers]
        said = self._run([*arguments, url])
        return Load(
            requests=int(_found(r"requests: \d+ total, \d+ started, (\d+) done", said)),
            seconds=_seconds(_found(r"finished in ([\d.]+(?:us|ms|s|m|h))", said)),
            statuses=_statuses(log) if log is not None else _classes(said),
            latencies=_latencies(log) if log is not None else [],
        )

    def _run(self, arguments: Sequence[str]) -> str:
        pinned = ["taskset", "-c", str(self.processor)] if self.processor is not None else []
        done = subprocess.run(
            [*pinned, *self._command, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"h2load failed with {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout


def _classes(said: str) -> dict[int, int]:
    """Statuses by their hundreds: h2load prints no more."""
    found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    assert found is not None, said
    return {(index + 2) * 100: int(count) for index, count in enumerate(found.groups()) if int(count)}


def _rows(log: Path) -> list[list[str]]:
    """The lines of a log: start in microseconds, status, duration in microseconds."""
    return [line.split("\t") for line in log.read_text(encoding="ascii").splitlines()]


def _statuses(log: Path) -> dict[int, int]:
    statuses: dict[int, int] = {}
    for row in _rows(log):
        hundred = int(row[1]) // 100 * 100
        statuses[hundred] = statuses.get(hundred, 0) + 1
    return statuses


def _latencies(log: Path) -> list[int]:
    return [int(row[2]) for row in _rows(log)]


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"h2load says nothing like {pattern}: {text}")
    return found.group(1)


def _seconds(text: str) -> float:
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * units[unit]


def _fetch() -> None:
    """Download h2load's package and those of the libraries that the machine lacks, and unpack them."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NoLoadGenerator(
            "`h2load` is not on PATH (package nghttp2-client, or nghttp2), and there is no apt-get"
        )
    packages = UNPACKED / "packages"
    shutil.rmtree(UNPACKED, ignore_errors=True)
    packages.mkdir(parents=True)
    wanted, had = {"nghttp2-client"}, set(ALWAYS_THERE)
    for _ in range(DEPTH):
        for package in sorted(wanted):
            done = subprocess.run(
                ["apt-get", "download", package], cwd=packages, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise NoLoadGenerator(f"`apt-get download {package}` failed: {done.stderr.strip()}")
        for file in packages.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(file), str(UNPACKED)], check=True)
        had |= wanted
        if not _lacks_libraries(UNPACKED / "usr/bin/h2load"):
            (UNPACKED / ".complete").touch()
            return
        wanted = {need for package in had - ALWAYS_THERE for need in _needs(package)} - had
    raise NoLoadGenerator("libraries of `h2load` are missing; install the package nghttp2-client")


def _needs(package: str) -> set[str]:
    said = subprocess.run(
        ["apt-cache", "depends", package], capture_output=True, text=True, check=False
    ).stdout
    return set(re.findall(r"^ {2}Depends: ([\w.+-]+)$", said, re.MULTILINE))


def _libraries() -> Path:
    """The one directory of libraries below the unpacked packages: it is named for the processor."""
    directories = sorted((UNPACKED / "usr/lib").glob("*-linux-gnu"))
    return directories[0] if directories else UNPACKED / "usr/lib"


def _lacks_libraries(binary: Path) -> bool:
    environment = os.environ | {"LD_LIBRARY_PATH": str(_libraries())}
    said = subprocess.run(["ldd", str(binary)], env=environment, capture_output=True, text=True, check=False)
    return "not found" in said.stdout
