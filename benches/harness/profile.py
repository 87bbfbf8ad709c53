"""Whose code a request's time is spent in, by `perf`, where the machine has it: Envoy's, the VM's, the kernel's."""

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.process import Envoy

from . import processor
from .duel import CLIENTS, Contender
from .h2load import H2load

#: What is looked at: a group and its contender.
PROFILED = (
    ("warm", "no-filter"),
    ("warm", "empty-same-exports"),
    ("warm", "jwt_authn"),
    ("warm", "peergate"),
    ("whole-job", "peergate"),
    ("refused", "peergate-garbage"),
)

#: Whose code it is, by the name that perf gives to where it lies.
OWNERS = {"envoy": "Envoy and V8", "JIT": "the module", "kernel": "the kernel", "": "libraries"}

SECONDS = 2.0
SAMPLES_PER_SECOND = 2000
WARM_UP_REQUESTS = 5000


@dataclass(frozen=True)
class Profile:
    """Microseconds of one request by owner."""

    name: str
    microseconds: dict[str, float]


def is_possible() -> bool:
    """Whether there is `perf`."""
    return shutil.which("perf") is not None


def profile(envoy: Envoy, h2load: H2load, name: str, contender: Contender) -> Profile:
    """Run load for a while, and look every now and then what Envoy does."""
    url = envoy.url(contender.name) + contender.path
    warm = h2load.run(url, contender.headers(), WARM_UP_REQUESTS, CLIENTS)
    requests = int(warm.requests / warm.seconds * SECONDS)
    before = processor.nanoseconds(envoy.pid)
    load = threading.Thread(target=h2load.run, args=(url, contender.headers(), requests, CLIENTS))
    load.start()
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory, "perf.data")
        command = ["perf", "record", "--event", "cpu-clock", "--freq", str(SAMPLES_PER_SECOND)]
        seconds = str(SECONDS / 2)
        subprocess.run(
            [*command, "--pid", str(envoy.pid), "--output", str(data), "sleep", seconds],
            capture_output=True,
            check=True,
        )
        said = subprocess.run(
            ["perf", "report", "--input", str(data), "--sort", "dso", "--stdio"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    load.join()
    spent = (processor.nanoseconds(envoy.pid) - before) / requests / 1000
    return Profile(name, {owner: share * spent for owner, share in _shares(said).items()})


def table(profiles: Sequence[Profile]) -> str:
    """In Markdown."""
    owners = list(OWNERS.values())
    lines = [
        "| µs of a request in the code of | " + " | ".join(owners) + " |",
        "|---|" + "---|" * len(owners),
    ]
    lines += [
        f"| {each.name} | " + " | ".join(f"{each.microseconds[owner]:.1f}" for owner in owners) + " |"
        for each in profiles
    ]
    return "\n".join(lines)


def _shares(said: str) -> dict[str, float]:
    shares = dict.fromkeys(OWNERS.values(), 0.0)
    for percent, place in re.findall(r"^\s+([\d.]+)%\s+(.+?)\s*$", said, re.MULTILINE):
        owner = next(owner for mark, owner in OWNERS.items() if mark in place)
        shares[owner] += float(percent) / 100
    return shares
