"""Programs for the tests that Debian packages and no package registry has: fetched by apt, unpacked beside the tests.

    python3 tests/debian.py .venv/debian prometheus docker-registry

Nobody has to be root, nothing is installed, and apt's own lists are neither read nor written, so that they may be
empty: its state lives below the directory. The versions are those of the distribution (its archive keeps no others),
and apt verifies their signatures. Where there is no apt, nothing is fetched: `support/debian.py` takes the programs
from PATH, or has the tests skipped that need them.
"""

import subprocess
import sys
from pathlib import Path
from shutil import rmtree, which


def main(directory: str, *packages: str) -> int:
    """Unpack the packages below a directory. 0: they are there, or this is no system of Debian's kind."""
    if which("apt-get") is None or which("dpkg-deb") is None:
        print(
            f"no apt here: tests that need a program of {', '.join(packages)} take it from PATH, or are skipped"
        )
        return 0
    target = Path(directory).resolve()
    # What the last try has left; no package is built upon another.
    rmtree(target, ignore_errors=True)
    state, archives = target / "apt", target / "archives"
    for each in (state / "lists/partial", state / "cache/archives/partial", archives):
        each.mkdir(parents=True)
    (state / "status").touch()
    try:
        run(["apt-get", *options(state), "--quiet=2", "update"], archives)
        run(["apt-get", *options(state), "--quiet=2", "download", *packages], archives)
        for archive in sorted(archives.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(archive), str(target)], archives)
    except subprocess.CalledProcessError as failure:
        print(f"{' '.join(packages)}: {failure.cmd[0]} ended with {failure.returncode}", file=sys.stderr)
        return 1
    # Ten times the size of the programs.
    rmtree(state)
    rmtree(archives)
    return 0


def options(state: Path) -> list[str]:
    """Has apt keep everything below a directory, and take its sources and its keys from the system."""
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        # Where root runs this, apt would become a user who may not write here.
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 3,
        # What only people who choose packages read.
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::IndexTargets::deb::CNF::DefaultEnabled": "false",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def run(command: list[str], directory: Path) -> None:
    """Run a command there; what it says is shown."""
    subprocess.run(command, cwd=directory, check=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
