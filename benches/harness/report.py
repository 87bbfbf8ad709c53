"""What a run has found, as a file for programs, as a table for people, and into docs/performance.md."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

#: Between these lines docs/performance.md holds what the last run has found.
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Result:
    """One row. `us` and `reference_us` are in `unit`, which is microseconds of CPU time for most."""

    name: str
    ratio: float | None
    goal: float | None
    holds: bool | None
    us: float
    reference_us: float | None
    #: The quartiles of the ratios of pairs.
    spread: tuple[float, float] | None
    unit: str
    says: str
    #: Latency with all connections busy, in microseconds: p50 and p99 of the subject and of the reference.
    latency: tuple[float, float] | None = None
    reference_latency: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """One word."""
        return {True: "met", False: "NOT MET", None: ""}[self.holds]


def judged(ratio: float, goal: float | None) -> bool | None:
    """Whether a goal is met, by the figure that is printed."""
    return None if goal is None else round(ratio, 3) <= goal


def write_json(results: Iterable[Result], file: Path) -> None:
    """The whole report as a list."""
    file.write_text(
        json.dumps([asdict(each) for each in results], indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def read_json(file: Path) -> list[Result]:
    """What an earlier run has written."""
    return [Result(**each) for each in json.loads(file.read_text(encoding="utf-8"))]


def table(results: Sequence[Result]) -> str:
    """A table in Markdown, wide enough to read as text."""
    head = ["row", "ratio", "spread", "goal", "", "measured", "reference", "what"]
    lines = [head, *(_cells(each) for each in results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    ruler = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [head, ruler, *lines[1:]]
    )


def layers(results: Sequence[Result]) -> str | None:
    """Where the time of a cache hit goes, layer by layer; None where a row of it was not measured."""
    by_name = {each.name: each for each in results}
    needed = (
        "floor/jwt_authn",
        "floor/needed-exports",
        "floor/same-exports",
        "floor/bare-calls",
        "warm/direct",
    )
    if not by_name.keys() >= set(needed):
        return None
    native, fewest, same, bare, whole = (by_name[name] for name in needed)
    assert native.reference_us is not None
    lines = [
        "| layer | µs | sum |",
        "|---|---|---|",
        f"| Envoy without a filter | | {native.reference_us:.1f} |",
    ]
    total = native.reference_us
    for name, now in (
        ("entering the VM: a filter with the exports that it needs, which does nothing", fewest.us),
        ("the module's further exports", same.us),
        ("the calls of the host that a hit cannot do without", bare.us),
        ("peergate: further calls, and its own code", whole.us),
    ):
        lines.append(f"| {name} | {now - total:+.1f} | {now:.1f} |")
        total = now
    lines.append(
        f"| `jwt_authn` with cache, for comparison | {native.us - native.reference_us:+.1f} | {native.us:.1f} |"
    )
    return "\n".join(lines)


def update(document: Path, text: str) -> None:
    """Put a text between the markers of a document."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _cells(result: Result) -> list[str]:
    return [
        result.name,
        "" if result.ratio is None else f"{result.ratio:.3f}",
        "" if result.spread is None else f"{result.spread[0]:.3f} to {result.spread[1]:.3f}",
        "" if result.goal is None else f"≤ {result.goal:g}",
        result.verdict,
        _quantity(result.us, result.unit),
        "" if result.reference_us is None else _quantity(result.reference_us, result.unit),
        result.says,
    ]


def _quantity(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if value >= 1000 else f"{value:.4g} {unit}"
