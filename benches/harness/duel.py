"""Short runs in turns on the listeners of one Envoy, so that what disturbs the machine disturbs all of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from support.process import Envoy

from . import crowd, processor
from .h2load import H2load, Load

#: Connections of a run; each has one request under way.
CLIENTS = 8

#: Where requests come at a rate, connections must not run out.
CLIENTS_AT_A_RATE = 32

#: Requests that find out how many make a run of the wanted length.
CALIBRATION_REQUESTS = 1500

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Contender:
    """A listener, and the request that is sent to it. The listener has the contender's name."""

    name: str
    filters: list[dict]
    headers: Callable[[], Headers] = list
    path: str = "/"
    #: None: the listener answers by itself.
    cluster: str | None = None
    direction: str = "INBOUND"
    refuses: bool = False
    #: Requests that are sent once, before anything is measured.
    before: Sequence[bytes] = ()
    #: The same, of requests that are to be refused.
    refused_before: Sequence[bytes] = ()
    #: Requests that are sent in place of one and the same, each in its turn.
    all_different: Sequence[bytes] = ()


@dataclass
class Samples:
    """What was measured of a contender: one value for each round."""

    microseconds: list[float] = field(default_factory=list)
    #: The same, with what stands beside Envoy.
    with_service: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)

    def add(self, other: "Samples") -> None:
        """Append what was measured in another Envoy."""
        self.microseconds += other.microseconds
        self.with_service += other.with_service
        self.p50 += other.p50
        self.p99 += other.p99
        self.rate += other.rate


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    rounds: int
    seconds: float
    warm_up_seconds: float

    def part(self, parts: int) -> "Effort":
        """As much in so many parts as this in one."""
        return replace(self, rounds=-(-self.rounds // parts))


class WrongAnswer(Exception):
    """A listener did not answer as the row takes for granted: what was measured would be something else."""


class Duel:
    """Measures contenders on a running Envoy."""

    def __init__(self, envoy: Envoy, h2load: H2load, directory: Path, service: int | None = None):
        self._envoy = envoy
        self._h2load = h2load
        self._latencies = directory / "latencies.tsv"
        self._ports: dict[str, int] = {}
        #: The process of a service that takes part in the work.
        self._service = service

    def run(self, contenders: Sequence[Contender], effort: Effort) -> dict[str, Samples]:
        """CPU time per request, and latency with all connections busy."""
        requests = {each.name: self._warm_up(each, effort) for each in contenders}
        samples = {each.name: Samples() for each in contenders}
        for number in range(effort.rounds):
            # There and back again: who comes first has no advantage over all rounds.
            for each in contenders if number % 2 == 0 else reversed(contenders):
                self._measure(each, requests[each.name], samples[each.name])
        return samples

    def run_at_rate(
        self, contenders: Sequence[Contender], effort: Effort, share: float
    ) -> dict[str, Samples]:
        """Latency at a rate that is a share of what the slowest of them can do."""
        rates = {each.name: Samples() for each in contenders}
        requests = {each.name: self._warm_up(each, effort) for each in contenders}
        for _ in range(3):
            for each in contenders:
                self._measure(each, requests[each.name], rates[each.name])
        rate = share * min(statistics.median(each.rate) for each in rates.values())
        samples = {each.name: Samples() for each in contenders}
        for number in range(effort.rounds):
            for each in contenders if number % 2 == 0 else reversed(contenders):
                self._measure(each, int(rate * effort.seconds), samples[each.name], rate)
        return samples

    def _warm_up(self, contender: Contender, effort: Effort) -> int:
        """How many requests make a run, once the machine code is made and caches are filled."""
        self._port(contender)
        if contender.before:
            with crowd.Crowd(self._port(contender)) as client:
                refused = client.send(contender.before)
            if refused:
                raise WrongAnswer(f"{contender.name}: {refused} of {len(contender.before)} were refused")
        if contender.refused_before:
            with crowd.Crowd(self._port(contender)) as client:
                refused = client.send(contender.refused_before)
            if refused != len(contender.refused_before):
                raise WrongAnswer(
                    f"{contender.name}: {refused} of {len(contender.refused_before)} were refused"
                )
        if contender.all_different:
            self._cycle(contender, len(contender.all_different))
            return len(contender.all_different)
        rate = 0.0
        for seconds in (None, effort.warm_up_seconds):
            count = CALIBRATION_REQUESTS if seconds is None else max(int(rate * seconds), CLIENTS)
            load = self._load(contender, count)
            rate = load.requests / load.seconds
        return max(int(rate * effort.seconds), CLIENTS)

    def _measure(
        self, contender: Contender, requests: int, samples: Samples, rate: float | None = None
    ) -> None:
        before, before_service = processor.nanoseconds(self._envoy.pid), self._of_service()
        load = (
            self._cycle(contender, requests)
            if contender.all_different
            else self._load(contender, requests, rate)
        )
        spent = processor.nanoseconds(self._envoy.pid) - before
        samples.microseconds.append(spent / load.requests / 1000)
        spent += self._of_service() - before_service
        samples.with_service.append(spent / load.requests / 1000)
        samples.rate.append(load.requests / load.seconds)
        if load.latencies:
            latencies = sorted(load.latencies)
            samples.p50.append(latencies[len(latencies) // 2])
            samples.p99.append(latencies[len(latencies) * 99 // 100])

    def _load(self, contender: Contender, requests: int, rate: float | None = None) -> Load:
        load = self._h2load.run(
            f"http://127.0.0.1:{self._port(contender)}{contender.path}",
            contender.headers(),
            requests,
            CLIENTS if rate is None else CLIENTS_AT_A_RATE,
            rate,
            self._latencies,
        )
        wanted = {400} if contender.refuses else {200}
        if load.statuses.keys() != wanted or load.requests != requests:
            raise WrongAnswer(f"{contender.name}: {load.requests} of {requests} requests, {load.statuses}")
        return load

    def _cycle(self, contender: Contender, requests: int) -> Load:
        with crowd.Crowd(self._port(contender)) as client:
            start = time.perf_counter()
            refused = client.send(contender.all_different[:requests])
            seconds = time.perf_counter() - start
        if refused:
            raise WrongAnswer(f"{contender.name}: {refused} of {requests} were refused")
        return Load(requests, seconds, {200: requests}, [])

    def _port(self, contender: Contender) -> int:
        """Envoy is asked once: its answer would be a part of what is measured."""
        if contender.name not in self._ports:
            self._ports[contender.name] = self._envoy.port(contender.name)
        return self._ports[contender.name]

    def _of_service(self) -> int:
        return 0 if self._service is None else processor.nanoseconds(self._service)


def ratio(subject: Sequence[float], reference: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The median of the ratios of pairs, and the quartiles."""
    ratios = sorted(one / other for one, other in zip(subject, reference, strict=True))
    if len(ratios) == 1:
        return ratios[0], (ratios[0], ratios[0])
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, (low, high)
