"""The plot of docs/performance.md: ratios as bars. Drawn by hand, for nothing else here needs a library for it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from .report import Result

BAR, GAP, LABELS, WIDTH, VALUES = 16, 8, 230, 420, 150
TOP, BOTTOM = 64, 28

#: Ratios from here on are cut off: a bar says so by its number.
HIGHEST = 3.0

MET, MISSED, PLAIN, GOAL, TEXT = "#2e7d32", "#c62828", "#607d8b", "#000000", "#222222"


def write(results: Sequence[Result], file: Path, machine: str) -> None:
    """Draw every row that has a ratio, but those of the start, which are of another size."""
    shown = [each for each in results if each.ratio is not None and not each.name.startswith("start/")]
    height = TOP + len(shown) * (BAR + GAP) + BOTTOM
    width = LABELS + WIDTH + VALUES
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(
            8,
            20,
            "Each row against its reference: CPU time, and where its name says so latency, memory, size",
            size=13,
        ),
        _text(
            8,
            38,
            "Lower is better; 1.0: the same. Black: the goal. Grey: quartiles of pairs of runs.",
            size=11,
        ),
        _text(8, 53, machine, size=9),
    ]
    for tick in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
        x = _x(tick)
        parts.append(
            f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - BOTTOM}" '
            f'stroke="{"#555555" if tick == 1.0 else "#dddddd"}"/>'
        )
        parts.append(_text(x - 8, height - 10, f"{tick:.1f}", size=11))
    for number, each in enumerate(shown):
        parts += _bar(each, TOP + number * (BAR + GAP) + GAP // 2)
    file.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _bar(result: Result, y: int) -> list[str]:
    colour = {True: MET, False: MISSED, None: PLAIN}[result.holds]
    assert result.ratio is not None
    parts = [
        _text(8, y + 12, result.name),
        f'<rect x="{LABELS}" y="{y}" width="{_x(result.ratio) - LABELS:.1f}" height="{BAR}" fill="{colour}"/>',
        _text(LABELS + WIDTH + 8, y + 12, _label(result)),
    ]
    if result.spread is not None:
        low, high = (_x(each) for each in result.spread)
        middle = y + BAR / 2
        parts.append(
            f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="#bdbdbd" stroke-width="3"/>'
        )
    if result.goal is not None:
        x = _x(result.goal)
        parts.append(
            f'<line x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + BAR + 3}" stroke="{GOAL}" stroke-width="2"/>'
        )
    return parts


def _label(result: Result) -> str:
    goal = "" if result.goal is None else f" (≤ {result.goal:g} {result.verdict})"
    return f"{result.ratio:.2f}{goal}"


def _x(ratio: float) -> float:
    return LABELS + WIDTH * min(ratio, HIGHEST) / HIGHEST


def _text(x: float, y: float, text: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{TEXT}">{escape(text)}</text>'
