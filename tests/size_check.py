"""Holds the project to its sizes: no Rust file that is too long to read at once, and a module that is quick to load."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "target/peergate.wasm"

MAX_LINES = 500
MAX_MODULE_BYTES = 1024 * 1024


def main() -> int:
    """Check everything and say all that is too big. 0: nothing is."""
    too_big = [
        f"{file.relative_to(ROOT)}: {lines} lines, at most {MAX_LINES}"
        for file in sorted((ROOT / "src").rglob("*.rs"))
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    ]
    size = MODULE.stat().st_size
    if size > MAX_MODULE_BYTES:
        too_big.append(f"{MODULE.relative_to(ROOT)}: {size} bytes, at most {MAX_MODULE_BYTES}")
    for each in too_big:
        print(each, file=sys.stderr)
    print(f"size check: the module has {size} bytes, {MAX_MODULE_BYTES - size} to spare")
    return 1 if too_big else 0


if __name__ == "__main__":
    sys.exit(main())
