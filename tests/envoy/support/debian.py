"""Programs that the distribution packages: `make debian` has apt fetch them (`tests/debian.py`)."""

from pathlib import Path
from shutil import which

import pytest

from .paths import ROOT

#: Where `make debian` unpacks them.
_DIRECTORY = ROOT / ".venv/debian/usr/bin"


def program(name: str) -> Path:
    """Where a program is: unpacked here, else in PATH. Where it is nowhere, the test is skipped."""
    unpacked = _DIRECTORY / name
    found = str(unpacked) if unpacked.exists() else which(name)
    if found is None:
        pytest.skip(f"no {name}: neither `make debian` nor PATH has it here")
    return Path(found)
