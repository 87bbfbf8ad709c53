"""Measures peergate in a real Envoy, beside what Envoy has itself. `make bench` runs it; benches/README.md says how."""

import argparse
import contextlib
import datetime
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import (
    calls,
    costs,
    footprint,
    listeners,
    plot,
    processor,
    profile,
    report,
    rows,
    same_job,
    tokens,
)
from harness.duel import Contender, Duel, Effort, Samples, ratio
from harness.h2load import H2load, NoLoadGenerator
from harness.report import Result, judged
from harness.rows import Group, Row, Things
from support import bootstrap
from support.paths import MODULE, ROOT
from support.process import Envoy, EnvoyDidNotStart
from support.token_server_double import TokenServerDouble

OUTPUT = ROOT / "target/bench"
CRATES = OUTPUT / "crates"
EMPTY_SDK = CRATES / "wasm32-wasip1/release/empty_filter.wasm"
EXT_AUTHZ = CRATES / "release/ext-authz"
DOCUMENT = ROOT / "docs/performance.md"
PLOT = ROOT / "docs/performance.svg"

FULL = Effort(rounds=13, seconds=0.45, warm_up_seconds=0.8)
QUICK = Effort(rounds=7, seconds=0.3, warm_up_seconds=0.5)


def main() -> int:
    """Measure what is asked for. 0 also where a goal is not met: the report says so."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    envoys_place, others_place = processor.places()
    try:
        h2load = H2load.find(others_place)
    except NoLoadGenerator as error:
        print(error, file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {others_place} if others_place is not None else os.sched_getaffinity(0))
    bench = Bench(arguments, h2load, envoys_place)
    begin = time.monotonic()
    bench.run()
    print(f"\n{len(bench.results)} rows in {time.monotonic() - begin:.0f} s")
    bench.write()
    return 0


def parse_arguments() -> argparse.Namespace:
    """What the Makefile hands over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", type=Path, default=MODULE, help="the module to measure")
    parser.add_argument("--rows", default="*", help="names or patterns of rows, parted by commas or spaces")
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    parser.add_argument("--update-docs", action="store_true", help="rewrite docs/performance.md and its plot")
    return parser.parse_args()


class Bench:
    """A run: rows are measured and shown one after the other."""

    def __init__(self, arguments: argparse.Namespace, h2load: H2load, place: int | None):
        self.results: list[Result] = []
        #: Further tables, by their titles.
        self._tables: dict[str, str] = {}
        self._arguments = arguments
        self._patterns = arguments.rows.replace(",", " ").split()
        self._effort = QUICK if arguments.quick else FULL
        self._h2load = h2load
        self._place = place
        self._things = Things(arguments.module.resolve(), OUTPUT, False, EMPTY_SDK)

    def run(self) -> None:
        """All rows that are asked for."""
        self._things.has_cache = self._has_cache()
        print(self._machine())
        if not self._things.has_cache:
            print("(this module has no `token_cache_entries`)")
        same_job.check(self._things)
        for group in rows.groups(self._things):
            if wanted := [row for row in group.rows if row.is_wanted(self._patterns)]:
                self._run_group(group, wanted)
        if self._wants("module/size"):
            self._show([footprint.module_size(self._things)])
        if self._wants("memory"):
            self._show(footprint.memory(self._things))
        if self._wants("workers"):
            self._tables["What Envoy holds resident, by its workers:"] = footprint.by_workers(self._things)
        if self._wants("start"):
            self._show(footprint.start(self._things, 3 if self._arguments.quick else 7))
        if self._wants("calls"):
            self._tables["Calls between Envoy and the module for one request:"] = calls.table(
                calls.count(self._things)
            )
        if self._wants("costs"):
            contenders = costs.contenders(OUTPUT, self._things.headers())
            with self._stage(Group("costs", lambda: contenders, []), contenders) as (envoy, _):
                samples = Duel(envoy, self._h2load, OUTPUT).run(contenders, self._effort)
            self._tables["What one call costs:"] = costs.table(costs.costs(samples))
        if self._wants("profile") and profile.is_possible():
            self._tables["Whose code it is, by `perf`:"] = profile.table(self._profiles())

    def write(self) -> None:
        """The report as JSON, as a table, and as a plot; into the documentation where that is asked for."""
        if not self.results and not self._tables:
            print("no row has such a name", file=sys.stderr)
            return
        report.write_json(self.results, OUTPUT / "report.json")
        if layers := report.layers(self.results):
            self._tables = {"Where the time of a cache hit goes:": layers} | self._tables
        parts = [self._machine(), *([report.table(self.results)] if self.results else [])]
        parts += [part for table in self._tables.items() for part in table]
        text = "\n\n".join(parts)
        (OUTPUT / "report.md").write_text(text + "\n", encoding="utf-8")
        plot.write(self.results, OUTPUT / "report.svg", self._machine())
        print("\n" + "\n\n".join(parts[1:]))
        print(f"\n{(OUTPUT / 'report.json').relative_to(ROOT)}, report.md, report.svg")
        if self._arguments.update_docs:
            report.update(DOCUMENT, text)
            plot.write(self.results, PLOT, self._machine())
            print(f"{DOCUMENT.relative_to(ROOT)}, {PLOT.relative_to(ROOT)}")

    def _wants(self, name: str) -> bool:
        row = Row(name, "", "", None, "")
        return row.is_wanted(self._patterns) or any(each.startswith(f"{name}/") for each in self._patterns)

    def _run_group(self, group: Group, wanted: Sequence[Row]) -> None:
        used = {name for row in wanted for name in (row.subject, row.reference)}
        contenders = [each for each in group.contenders() if each.name in used]
        samples = {each.name: Samples() for each in contenders}
        starts = 1 if self._arguments.quick else group.starts
        effort = self._effort.part(starts)
        for _ in range(starts):
            with self._stage(group, contenders) as (envoy, service):
                duel = Duel(envoy, self._h2load, OUTPUT, service)
                if group.at_rate is None:
                    found = duel.run(contenders, effort)
                else:
                    found = duel.run_at_rate(contenders, effort, group.at_rate)
            for name, each in found.items():
                samples[name].add(each)
        self._show([_result(row, samples) for row in wanted])

    @contextlib.contextmanager
    def _stage(self, group: Group, contenders: Sequence[Contender]) -> Iterator[tuple[Envoy, int | None]]:
        """An Envoy with the contenders' listeners, and what stands behind it: the process of a service is told."""
        with contextlib.ExitStack() as stack:
            clusters, service = [], None
            if any(each.cluster == "upstream" for each in contenders):
                answering = listeners.configuration([listeners.listener("upstream", [])])
                upstream = stack.enter_context(Envoy("upstream", answering, OUTPUT))
                processor.pin(upstream.pid, self._h2load.processor)
                clusters.append(bootstrap.cluster("upstream", upstream.port("upstream")))
            if group.has_token_server:
                tokens = stack.enter_context(TokenServerDouble("bench"))
                clusters.append(bootstrap.cluster("sts", tokens.port))
            if group.has_authz:
                port, service = stack.enter_context(authorization_service(self._things.seed))
                clusters.append(bootstrap.cluster("authz", port, http2=True))
            built = [
                listeners.listener(each.name, each.filters, each.cluster, each.direction)
                for each in contenders
            ]
            envoy = stack.enter_context(Envoy(group.name, listeners.configuration(built, clusters), OUTPUT))
            processor.pin(envoy.pid, self._place)
            yield envoy, service

    def _profiles(self) -> list[profile.Profile]:
        """Each in an Envoy of its own."""
        found = []
        for group in rows.groups(self._things):
            wanted = [name for of, name in profile.PROFILED if of == group.name]
            for contender in (each for each in group.contenders() if each.name in wanted) if wanted else ():
                with self._stage(group, [contender]) as (envoy, _):
                    name = f"{group.name}/{contender.name}"
                    found.append(profile.profile(envoy, self._h2load, name, contender))
        return found

    def _has_cache(self) -> bool:
        """Whether the module knows `token_cache_entries`, by trying."""
        jwks = [self._things.key.public_jwk()]
        policy = json.dumps(rows.policies.inbound(rows.policies.provider(jwks, ["RS256"]), 0))
        built = [listeners.listener("probe", [listeners.wasm("probe", self._things.module, policy)])]
        try:
            with Envoy("probe", listeners.configuration(built), OUTPUT):
                return True
        except EnvoyDidNotStart as error:
            if "token_cache_entries" not in str(error):
                raise
            return False

    def _show(self, results: Sequence[Result]) -> None:
        self.results += results
        for each in results:
            ratio = "" if each.ratio is None else f"{each.ratio:7.3f}"
            goal = "" if each.goal is None else f"≤ {each.goal:g} {each.verdict}"
            print(f"{each.name:32} {ratio:>8} {each.us:10.4g} {each.unit:4} {goal}", flush=True)

    def _machine(self) -> str:
        """What ran where."""
        said = subprocess.run(
            [str(ROOT / ".venv/bin/envoy"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        version = said.rpartition("version:")[2].split("/")[1]
        size = tokens.payload_bytes(self._things.token)
        return (
            f"{processor.model()}, {os.cpu_count()} cores; Envoy {version}, one worker; h2load {self._h2load.version}; "
            f"tokens of {len(self._things.token)} bytes ({size} of claims); {datetime.date.today().isoformat()}"
            f"{', a quick run' if self._arguments.quick else ''}"
        )


@contextlib.contextmanager
def authorization_service(seed: str) -> Iterator[tuple[int, int]]:
    """The gRPC service of `ext_authz`: its port, and its process."""
    process = subprocess.Popen([str(EXT_AUTHZ), tokens.CLIENT, seed], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait()


def _result(row: Row, samples: dict[str, Samples]) -> Result:
    subject, reference = samples[row.subject], samples[row.reference]
    one, other = getattr(subject, row.of), getattr(reference, row.of)
    middle, spread = ratio(one, other)
    return Result(
        row.name,
        middle,
        row.goal,
        judged(middle, row.goal),
        statistics.median(one),
        statistics.median(other),
        spread,
        "µs",
        row.says,
        _latency(subject),
        _latency(reference),
    )


def _latency(samples: Samples) -> tuple[float, float] | None:
    return (statistics.median(samples.p50), statistics.median(samples.p99)) if samples.p50 else None


if __name__ == "__main__":
    sys.exit(main())
