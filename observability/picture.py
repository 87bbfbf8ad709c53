"""Draws the dashboard with real data: `make dashboard-picture`.

A real Envoy with the filter has mixed traffic for some minutes, among it somebody who guesses codes and an identity
provider that fails for a while. A real Prometheus scrapes it. Then each panel of `dashboard.json` is drawn from
Prometheus's answers to its own queries. Grafana has no part in it: the picture shows what is asked and what comes, not
how Grafana paints it.
"""

import argparse
import contextlib
import html
import json
import math
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from support.cast import KEYS, MRPINK_SEED, MRWHITE_KEY, bearer, claims, token
from support.client import Client
from support.credentials import totp, wrong_totp
from support.exchange import call
from support.key_server_double import JWKS, Reply
from support.paths import ROOT
from support.process import Envoy
from support.prometheus import Prometheus, expression
from support.sinks import Sinks
from support.watched import GUESSED_KEY, GUESSED_SEED, Watched

DASHBOARD = json.loads((ROOT / "observability/dashboard.json").read_text(encoding="utf-8"))
DIRECTORY = ROOT / "target/dashboard"

#: A rule that is tried, as docs/operations.md says.
SHADOW = {
    "name": "stricter",
    "match": {"path_prefixes": ["/reports"]},
    "accept": ["jwt", "api_key"],
    "require": {"scopes": ["reports.delete"]},
    "enforcement": "shadow",
}

#: How often everything happens, how long requests come at one height, and how many points a line has.
ROUND_SECONDS, WAVE_SECONDS, POINTS = 4, 60, 90


def main() -> int:
    """Have it all happen, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=240, help="how long there is traffic")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/dashboard.svg")
    arguments = parser.parse_args()
    with happening() as (watched, prometheus):
        began = time.time()
        Traffic(watched, arguments.seconds).run()
        prometheus.await_scrape()
        drawn = Drawing(prometheus, began, time.time()).svg()
    arguments.output.write_text(drawn, encoding="utf-8")
    print(f"{arguments.output}: {len(drawn.encode()) // 1024} KiB")
    return 0


@contextlib.contextmanager
def happening() -> Iterator[tuple[Watched, Prometheus]]:
    """The proxy with everything around it, and a Prometheus that scrapes it."""
    with contextlib.ExitStack() as stack:

        def start(configuration: dict, environment: dict[str, str]) -> Envoy:
            return stack.enter_context(Envoy("envoy", configuration, DIRECTORY, environment, workers=2))

        sinks = stack.enter_context(Sinks(DIRECTORY / "sinks"))
        cache = {"seconds": 10, "max_stale_seconds": 40, "unknown_kid_interval_seconds": 1}
        watched = stack.enter_context(Watched(start, DIRECTORY, SHADOW, sinks=sinks, cache=cache))
        target = watched.envoy.admin_url.removeprefix("http://")
        yield watched, stack.enter_context(Prometheus(DIRECTORY, target))


class Traffic:
    """Callers and an agent, for so many seconds."""

    def __init__(self, watched: Watched, seconds: float):
        self._watched, self._seconds = watched, seconds
        self._until = time.monotonic() + seconds
        self._random = random.Random(1)

    def run(self) -> None:
        """What comes always comes in a thread; what happens once in a while comes here."""
        usual = threading.Thread(target=self._usual, daemon=True)
        usual.start()
        began = time.monotonic()
        happens = [
            (0.3, self._guess),
            (0.45, self._watched.rotate),
            (0.55, self._fail),
            (0.75, self._recover),
        ]
        while (now := time.monotonic()) < self._until:
            while happens and now - began > happens[0][0] * self._seconds:
                happens.pop(0)[1]()
            for happens_always in (self._watched.cards, self._watched.opaque_tokens, self._watched.calls):
                # Of two who ask a server that fails once, either may get the failure.
                with contextlib.suppress(AssertionError):
                    happens_always()
            time.sleep(ROUND_SECONDS)
        usual.join()

    def _usual(self) -> None:
        envoy, idp = self._watched.envoy, self._watched.idp
        with Client(envoy) as inbound, Client(envoy, "outbound") as outbound:
            mine = token(scope="reports.delete")
            kinds = [
                (30, lambda: inbound.get("/", bearer(mine) | {"X-TOTP": totp(MRPINK_SEED)})),
                (
                    5,
                    lambda: inbound.get(
                        "/", bearer(token(key=KEYS["EdDSA"])) | {"X-TOTP": totp(MRPINK_SEED)}
                    ),
                ),
                (25, lambda: inbound.get("/reports", bearer(mine))),
                (10, lambda: inbound.get("/reports", {"X-Api-Key": MRWHITE_KEY})),
                (15, lambda: inbound.get("/reports", bearer(idp.token(self._watched.key, claims)))),
                (3, lambda: inbound.get("/reports")),
                (2, lambda: inbound.get("/reports", bearer(token(aud="https://another.example")))),
                (1, lambda: inbound.get("/", bearer(mine))),
                (20, lambda: call(outbound, "charlie", mine)),
            ]
            weights = [weight for weight, _ in kinds]
            while time.monotonic() < self._until:
                self._random.choices([do for _, do in kinds], weights)[0]()
                time.sleep(0.02 + 0.01 * math.sin(time.monotonic() * math.tau / WAVE_SECONDS))

    def _guess(self) -> None:
        def guess() -> None:
            headers = {"X-Api-Key": GUESSED_KEY}
            with Client(self._watched.envoy) as inbound:
                for _ in range(2):
                    inbound.get("/once", headers | {"X-TOTP": totp(GUESSED_SEED)})
                for _ in range(100):
                    inbound.get("/once", headers | {"X-TOTP": wrong_totp(GUESSED_SEED)})
                    time.sleep(0.2)

        threading.Thread(target=guess, daemon=True).start()

    def _fail(self) -> None:
        self._watched.idp.reply(JWKS, Reply(status=503))

    def _recover(self) -> None:
        self._watched.publish()


# The drawing. A cell of the grid has so many pixels.
CELL, LINE, GAP = 50, 24, 6
COLORS = (
    "#3f7fbf",
    "#e0752d",
    "#5aa454",
    "#a352cc",
    "#c4a000",
    "#bf1b00",
    "#1f9e9e",
    "#8f3bb8",
    "#705da0",
    "#58140c",
    "#0a50a1",
    "#967302",
    "#b877d9",
    "#3f6833",
)
NAMED = {"green": "#4f9a4f", "red": "#d44a3a", "orange": "#e0752d", "blue": "#3f7fbf"}


class Drawing:
    """The dashboard as an SVG."""

    def __init__(self, prometheus: Prometheus, began: float, ended: float):
        self._prometheus, self._began, self._ended = prometheus, began, ended
        variables = {"$namespace": ".*", "$instance": ".*", "$rule": ".*"}
        self._variables = variables | {"$__rate_interval": "20s", "$__range": f"{int(ended - began)}s"}
        self._parts: list[str] = []

    def svg(self) -> str:
        """All of it."""
        for panel in DASHBOARD["panels"]:
            self._panel(panel)
        last = DASHBOARD["panels"][-1]["gridPos"]
        height = (last["y"] + last["h"]) * LINE + GAP
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * CELL} {height}" font-size="11" '
            'font-family="Helvetica, Arial, sans-serif">'
            "<style>.t{font-size:12px;font-weight:600;fill:#24292e}.m{fill:#6a737d}"
            ".p{fill:#fff;stroke:#d8dce0}.g{stroke:#eceff2}.l{fill:none;stroke-width:1.3}</style>"
            f'<rect width="{24 * CELL}" height="{height}" fill="#f4f5f5"/>'
        )
        return "\n".join([head, *self._parts, "</svg>"]) + "\n"

    def _panel(self, panel: dict) -> None:
        place = panel["gridPos"]
        x, y = place["x"] * CELL + GAP // 2, place["y"] * LINE + GAP // 2
        w, h = place["w"] * CELL - GAP, place["h"] * LINE - GAP
        if panel["type"] == "row":
            self._text(x + 4, y + 14, panel["title"], "t")
            return
        self._parts.append(f'<rect class="p" x="{x}" y="{y}" width="{w}" height="{h}" rx="3"/>')
        self._text(x + 8, y + 16, _fitting(panel["title"], w - 16, 6.4), "t")
        draw = {"stat": self._stat, "timeseries": self._lines, "table": self._table}[panel["type"]]
        draw(panel, x + 8, y + 24, w - 16, h - 30)

    def _stat(self, panel: dict, x: int, y: int, w: int, h: int) -> None:
        (target,) = panel["targets"]
        values = [value for _, value in self._prometheus.query(expression(target, self._variables))]
        defaults = panel["fieldConfig"]["defaults"]
        color = NAMED["green"]
        for step in defaults["thresholds"]["steps"][1:]:
            if values and values[0] >= step["value"]:
                color = NAMED[step["color"]]
        shown = defaults["noValue"]
        if values:
            shown = _shown(values[0], defaults["unit"], defaults.get("decimals"))
        for mapping in defaults["mappings"]:
            if values and mapping["options"]["from"] <= values[0] <= mapping["options"]["to"]:
                shown = mapping["options"]["result"]["text"]
        size = 26 if len(shown) < 9 else 16
        self._parts.append(
            f'<text x="{x + w // 2}" y="{y + h // 2 + 12}" text-anchor="middle" font-size="{size}" fill="{color}">'
            f"{html.escape(shown)}</text>"
        )

    def _table(self, panel: dict, x: int, y: int, w: int, h: int) -> None:
        (target,) = panel["targets"]
        answers = self._prometheus.query(expression(target, self._variables))
        answers = sorted(answers, key=lambda answer: -answer[1])[: h // 16 - 1]
        names = sorted({name for labels, _ in answers for name in labels})
        (value_name,) = panel["transformations"][0]["options"]["renameByName"].values()
        width = w // (len(names) + 1)
        rows = [[*names, value_name]]
        rows += [[*(labels.get(name, "") for name in names), f"{value:.0f}"] for labels, value in answers]
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                text = _fitting(text, width, 6)
                self._text(x + column * width, y + 12 + row * 16, text, "m" if row == 0 else "")

    def _lines(self, panel: dict, x: int, y: int, w: int, h: int) -> None:
        series = self._series(panel)
        unit = panel["fieldConfig"]["defaults"]["unit"]
        stacks = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
        legend = min(w * 11 // 20, 28 + max((len(name) for name, _ in series), default=0) * 6 + 52)
        left, plot_w, plot_h = x + 34, w - legend - 42, h - 14
        below: dict[float, float] = {}
        lines = []
        for name, points in series:
            if stacks:
                points = [(at, value + below.get(at, 0.0)) for at, value in points]
                below |= dict(points)
            lines.append((name, points))
        top = _round_up(max((value for _, points in lines for _, value in points), default=0.0))
        for part in (0, 0.5, 1):
            level = y + plot_h - part * plot_h
            self._parts.append(f'<path class="g" d="M{left} {level:.0f}h{plot_w}"/>')
            shown = _shown(top * part, unit)
            self._small(left - 4, level + 4, shown, "end")
        for number, (name, points) in enumerate(lines):
            color = _color(panel, name, number)
            for run in _runs(points, (self._ended - self._began) / POINTS * 2.5):
                place = [
                    f"{left + (at - self._began) / (self._ended - self._began) * plot_w:.0f} "
                    f"{y + plot_h - value / top * plot_h:.1f}"
                    for at, value in run
                ]
                self._parts.append(f'<path class="l" stroke="{color}" d="M{"L".join(place)}"/>')
        for part in (0, 0.5, 1):
            at = time.strftime("%H:%M", time.gmtime(self._began + part * (self._ended - self._began)))
            anchor = ("start", "middle", "end")[int(part * 2)]
            self._small(left + part * plot_w, y + h, at, anchor)
        self._legend(panel, series, left + plot_w + 12, y, legend - 16, h // 13, unit)

    def _legend(self, panel: dict, series: list, x: int, y: int, w: int, room: int, unit: str) -> None:
        for number, (name, points) in enumerate(series[:room]):
            if number == room - 1 and len(series) > room:
                self._text(x + 12, y + 9 + number * 13, f"… {len(series) - number} more", "m")
                break
            color = _color(panel, name, number)
            self._parts.append(
                f'<rect x="{x}" y="{y + 3 + number * 13}" width="8" height="4" fill="{color}"/>'
            )
            self._text(x + 12, y + 9 + number * 13, _fitting(name, w - 58, 6), "")
            self._small(x + w, y + 9 + number * 13, _shown(points[-1][1], unit), "end")

    def _series(self, panel: dict) -> list[tuple[str, list[tuple[float, float]]]]:
        step = (self._ended - self._began) / POINTS
        found = []
        for target in panel["targets"]:
            asked = expression(target, self._variables)
            for labels, points in self._prometheus.query_range(asked, self._began, self._ended, step):
                name = target["legendFormat"]
                for label in re.findall(r"{{(\w+)}}", name):
                    name = name.replace(f"{{{{{label}}}}}", labels.get(label, ""))
                # Which port it was is of no interest.
                name = re.sub(r"127\.0\.0\.1:\d+", "proxy", name)
                if points := [(at, value) for at, value in points if math.isfinite(value)]:
                    found.append((name, points))
        return sorted(found)

    def _small(self, x: float, y: float, text: str, anchor: str) -> None:
        self._parts.append(
            f'<text class="m" x="{x:.0f}" y="{y:.0f}" font-size="9" text-anchor="{anchor}">{html.escape(text)}</text>'
        )

    def _text(self, x: float, y: float, text: str, kind: str) -> None:
        named = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{named} x="{x:.0f}" y="{y:.0f}">{html.escape(text)}</text>')


def _color(panel: dict, name: str, number: int) -> str:
    for override in panel["fieldConfig"]["overrides"]:
        if re.search(override["matcher"]["options"], name):
            return NAMED[override["properties"][0]["value"]["fixedColor"]]
    return COLORS[number % len(COLORS)]


def _runs(points: list[tuple[float, float]], gap: float) -> list[list[tuple[float, float]]]:
    """A line is broken where nothing was there."""
    runs = [points[:1]]
    for before, after in pairwise(points):
        if after[0] - before[0] > gap:
            runs.append([])
        runs[-1].append(after)
    return runs


def _round_up(value: float) -> float:
    """One, two or five times a power of ten, at least as large."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value * 0.999)


def _shown(value: float, unit: str, decimals: int | None = None) -> str:
    """A value with its unit, as Grafana would write it, more or less."""
    match unit:
        case "percentunit":
            return f"{value * 100:.1f} %"
        case "s":
            return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"
        case "ms":
            return f"{value:.3g} ms"
        case "reqps" | "ops":
            return f"{value:.3g}/s"
        case _:
            return f"{value:.3g}" if decimals is None else f"{value:.{decimals}f}"


def _fitting(text: str, width: float, character: float) -> str:
    """As much of a text as there is room for."""
    room = int(width / character)
    return text if len(text) <= room else text[: max(room - 1, 1)] + "…"


if __name__ == "__main__":
    sys.exit(main())
