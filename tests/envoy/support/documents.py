"""The documents of the project, and what stands in their fenced blocks.

A block is ```` ```language ````, and where the reader shall save it under a name, ```` ```yaml title=policy.yaml ````.
"""

import os
import re
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

from .paths import MODULE, PROGRAM, ROOT

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)

_NOT_DOCUMENTS = {"CHANGELOG.md"}

#: A minute is long for a reader who follows a guide.
_SECONDS = 120


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    document: str
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """Every document that belongs to the project, by its path within it."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(set(listed.stdout.splitlines()) - _NOT_DOCUMENTS)


def blocks(document: str) -> list[Block]:
    """The blocks of a document, in its order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, _, rest = match["info"].partition(" ")
        title = re.search(r"\btitle=(\S+)", rest)
        line = text.count("\n", 0, match.start()) + 1
        body = textwrap.dedent(match["text"])
        found.append(Block(document, line, language, title[1] if title else None, body))
    return found


def anchors(document: str) -> set[str]:
    """What can be linked to in a document, as GitHub names headings."""
    text = _FENCE.sub("", (ROOT / document).read_text(encoding="utf-8"))
    names: set[str] = set()
    for heading in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        unique = name
        while unique in names:
            unique = f"{name}-{number}"
            number += 1
        names.add(unique)
    return names


def links(document: str) -> set[str]:
    """The targets of the links in a document, without those to elsewhere."""
    text = _FENCE.sub("", (ROOT / document).read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return {target for target in targets if not re.match(r"[a-z]+:", target)}


#: What a reader has and a test has not. Each checks that what it is told to load is there, and does nothing else.
_DOUBLES = r"""
make() {
  for word in "$@"; do
    [[ $word == *=* ]] || grep -q "^$word:" "$PROJECT/Makefile" || { echo "make: no target $word" >&2; return 1; }
  done
  # What is printed last: the name of what was pushed.
  [[ "$*" != "push IMAGE="* ]] || echo "${2#IMAGE=}" | sed -E "s/:[^:]*$/@sha256:$(printf '5%.0s' {1..64})/"
}
_files_are_there() {
  while [ $# -gt 0 ]; do
    case $1 in
      -f|--filename|--patch-file)
        [ "$2" = - ] && cat > /dev/null || [ -e "$2" ] || { echo "no file $2" >&2; return 1; } ;;
      --from-file=*) [ -e "${1##*=}" ] || { echo "no file ${1##*=}" >&2; return 1; } ;;
    esac
    shift
  done
}
kubectl() { _files_are_there "$@"; }
istioctl() { _files_are_there "$@"; }
"""


class Reader:
    """Somebody who follows a document in a copy of the project: saves what has a title, types what is to be typed.

    `make`, `kubectl` and `istioctl` are doubles, which only look whether the targets and files are there; that of
    `make push` prints a name with a digest.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        for each in ROOT.iterdir():
            if each.name not in {"target", ".git"}:
                (folder / each.name).symlink_to(each)
        for name, file in {"target/peergate.wasm": MODULE, "target/release/peergate": PROGRAM}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(file)

    def save(self, block: Block) -> None:
        """Save a block under its title."""
        assert block.title
        file = self.folder / block.title
        assert not file.is_symlink(), f"{block} would overwrite a file of the project"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")

    def type(self, typed: list[Block], environment: dict[str, str] | None = None) -> list[str]:
        """Type the commands of blocks, one behind the other in one shell; what each block has printed."""
        mark = "--- end of a block ---"
        lines = [_DOUBLES, "trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT"]
        for block in typed:
            commands = commands_of(block)
            lines += [f"echo '>>> {block}' >&2", commands, f"echo '{mark}'"]
        path = f"{self.folder / 'target/release'}:{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder), "PROJECT": str(ROOT)} | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout.split(f"{mark}\n")[:-1]


def commands_of(block: Block) -> str:
    """What is to be typed: all of an `sh` block; of a `console` block what stands behind `$ ` or `> `."""
    if block.language == "sh":
        return block.text
    return "\n".join(line[2:] for line in block.text.splitlines() if line.startswith(("$ ", "> ")))


def output_of(block: Block) -> str:
    """What a `console` block says is printed."""
    return "\n".join(line for line in block.text.splitlines() if not line.startswith(("$ ", "> ")))


def fits(printed: str, said: str) -> bool:
    """Whether an output is what a document says. `…` stands for anything within a line; alone, for any lines."""
    pattern = ""
    for line in said.strip().splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, line.rstrip().split("…"))) + r" *\n"
    return re.fullmatch(pattern, printed.strip() + "\n") is not None
