"""Looks for every registered secret in everything that the tests captured, and fails if one is there.

The tests write the secrets that they use into `target/test-output/secrets/*.txt`, one per line, as
`label<TAB>secret` (without a tab the whole line is the secret), and what they capture into `*.log` files below
`target/test-output`. A find is reported by file, line and label; the secret itself is never printed.

Each secret is looked for as it is, percent-encoded, and base64-encoded at each of the three alignments at which it
may stand within something longer. Before it looks, the check proves on a planted secret that it can see.
"""

import base64
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

OUTPUT = Path(__file__).resolve().parents[1] / "target/test-output"


def main() -> int:
    """Check the planted secret, then the captured output. 0: nothing found; 1: anything else."""
    try:
        prove_that_it_sees()
        secrets = registered(OUTPUT)
        logs = captured(OUTPUT)
        finds = list(search(secrets, logs))
    except CannotCheck as error:
        print(f"secrets check: {error}", file=sys.stderr)
        return 1
    for find in finds:
        print(f"{find.file}:{find.line}: holds the secret «{find.label}», {find.form}", file=sys.stderr)
    if finds:
        print(f"secrets check: {len(finds)} finds", file=sys.stderr)
        return 1
    print(f"secrets check: none of {len(secrets)} secrets in {len(logs)} logs ({total(logs)} KiB)")
    return 0


class CannotCheck(Exception):
    """There is nothing to check, or the check does not see what it should: no reason to pass."""


@dataclass(frozen=True)
class Find:
    """A place that holds a secret."""

    file: Path
    line: int
    label: str
    form: str


def registered(output: Path) -> dict[str, str]:
    """Every secret with its label."""
    secrets = {}
    for file in sorted((output / "secrets").glob("*.txt")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            label, tab, secret = line.partition("\t")
            secret, label = (secret, label) if tab else (line, f"{file.name} line {number}")
            if len(secret) < SHORTEST_SECRET:
                raise CannotCheck(f"{file}:{number}: too short to be looked for")
            secrets.setdefault(secret, label)
    if not secrets:
        raise CannotCheck(f"no secret is registered in {output}/secrets: have the tests run?")
    return secrets


def captured(output: Path) -> list[Path]:
    """Every log that holds anything."""
    logs = [log for log in sorted(output.rglob("*.log")) if log.stat().st_size]
    if not logs:
        raise CannotCheck(f"no log in {output}: have the tests run?")
    return logs


def search(secrets: dict[str, str], logs: list[Path]) -> Iterator[Find]:
    """Every place in `logs` that holds one of `secrets` in any form."""
    beginnings: dict[bytes, list[tuple[str, str, bytes]]] = {}
    for secret, label in secrets.items():
        for needle, form in forms(secret.encode()).items():
            beginnings.setdefault(needle[:SHORTEST_SECRET], []).append((label, form, needle))
    for log in logs:
        text = log.read_bytes()
        present = list(dict.fromkeys(found(text, beginnings)))
        if not present:
            continue
        for number, line in enumerate(text.split(b"\n"), start=1):
            yield from (Find(log, number, label, form) for label, form, needle in present if needle in line)


def found(
    text: bytes, beginnings: dict[bytes, list[tuple[str, str, bytes]]]
) -> Iterator[tuple[str, str, bytes]]:
    """The needles that a text holds, by their beginnings: one pass, however many there are."""
    for start in range(len(text) - SHORTEST_SECRET + 1):
        if (candidates := beginnings.get(text[start : start + SHORTEST_SECRET])) is not None:
            yield from (each for each in candidates if text.startswith(each[2], start))


def forms(secret: bytes) -> dict[bytes, str]:
    """The ways in which a secret may be written, and what each is called."""
    percent = quote(secret, safe="").encode()
    written = {secret: "as it is"}
    for needle in (
        percent,
        percent.replace(b"%20", b"+"),
        lower_case_escapes(percent),
        b"".join(b"%%%02X" % byte for byte in secret),
    ):
        written.setdefault(needle, "percent-encoded")
    for before in range(3):
        # The first and the last sextet may also hold bits of the neighbours: they are not part of the needle.
        whole = base64.b64encode(bytes(before) + secret)
        start, end = (before * 8 + 5) // 6, (before + len(secret)) * 8 // 6
        for needle in (whole[start:end], whole[start:end].replace(b"+", b"-").replace(b"/", b"_")):
            written.setdefault(needle, "in base64")
    return written


def prove_that_it_sees() -> None:
    """Plant a secret in each form among other text, and find it; look where none is, and find nothing."""
    planted = 'pl@nted secret/of "this" check?'
    traces = {
        "as it is": f"key={planted};",
        "percent-encoded": f"GET /?key={quote(planted, safe='')} HTTP/1.1",
        "in base64": base64.b64encode(f"user:{planted}".encode()).decode(),
    }
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory)
        expect_refusal(registered, output)
        expect_refusal(captured, output)
        (output / "secrets").mkdir()
        (output / "secrets/self.txt").write_text(f"planted\t{planted}\n", encoding="utf-8")
        (output / "envoy").mkdir()
        log = output / "envoy/self.log"
        for form, trace in traces.items():
            log.write_text(f"a line\n{trace}\nanother\n", encoding="utf-8")
            finds = list(search(registered(output), captured(output)))
            if finds != [Find(log, 2, "planted", form)]:
                raise CannotCheck(f"the planted secret was not seen {form}")
        log.write_text("a line without it\n", encoding="utf-8")
        if list(search(registered(output), captured(output))):
            raise CannotCheck("a secret was seen where none is")


def expect_refusal(read, output: Path) -> None:
    """Prove that `read` does not pass over an empty directory."""
    try:
        read(output)
    except CannotCheck:
        return
    raise CannotCheck(f"an empty directory passed {read.__name__}")


def lower_case_escapes(percent: bytes) -> bytes:
    """`%2F` as `%2f`."""
    first, *rest = percent.split(b"%")
    return b"%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def total(logs: list[Path]) -> int:
    """The size of all logs in KiB."""
    return sum(log.stat().st_size for log in logs) // 1024


#: Shorter values would be found by chance.
SHORTEST_SECRET = 8


if __name__ == "__main__":
    sys.exit(main())
