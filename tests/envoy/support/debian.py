"""Programs that the distribution packages: `make debian` has apt fetch them (`tests/debian.py`)."""

from pathlib import Path
from shutil import which

import pytest

from .paths import ROOT

#: Where `make debian` unpacks them.
_DIRECTORY = ROOT / ".venv/debian/usr/bin"


def find(name: str) -> Path | None:
    """Where a program is: unpacked here, else in PATH."""
    unpacked = _DIRECTORY / name
    found = str(unpacked) if unpacked.exists() else which(name)
    return Path(found) if found else None


def program(name: str) -> Path:
    """Where a program is. Where it is nowhere, the test is skipped."""
    found = find(name)
    if found is None:
        pytest.skip(f"no {name}: neither `make debian` nor PATH has it here")
    return found
