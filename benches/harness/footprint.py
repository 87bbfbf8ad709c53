"""What the filter takes besides time: memory, room on disk, a longer start."""

import contextlib
import re
import socket
import statistics
import time
from pathlib import Path

from support.process import Envoy, wait_until

from . import listeners, policies, tokens
from .crowd import Crowd, request
from .report import Result, judged
from .rows import Things

#: The goals.
MAX_MODULE_BYTES = 1024 * 1024
MAX_MEMORY_BYTES = 8 * 1024 * 1024
CACHED_TOKENS = 10_000

#: How many workers an Envoy is measured with.
WORKERS = (1, 2, 4)

#: V8 reserves 8 GiB for the memory of each VM and makes readable what the VM has grown to.
RESERVED_BYTES = 8 << 30


def module_size(things: Things) -> Result:
    """The module as a file."""
    size = things.module.stat().st_size
    return _limited(
        "module/size", size / 1024, MAX_MODULE_BYTES / 1024, "KiB", "the module, against the limit"
    )


def memory(things: Things) -> list[Result]:
    """The linear memory of the worker's VM, before and after many different tokens."""
    policy, requests = _many_tokens(things)
    listener = listeners.listener("peergate", things.peergate("peergate", policy))
    with (
        Envoy("memory", listeners.configuration([listener]), things.directory) as envoy,
        Crowd(envoy.port("peergate")) as client,
    ):
        refused = client.send(requests[:1])
        before, resident_before = max(linear_memories(envoy.pid)), _resident(envoy.pid)
        # Twice: the second time each is found, and what was freed meanwhile is used again.
        refused += client.send(requests) + client.send(requests)
        after, resident_after = max(linear_memories(envoy.pid)), _resident(envoy.pid)
    assert refused == 0, f"{refused} tokens were refused"
    mebibyte = 1 << 20
    says = f"linear memory of the worker's VM after {CACHED_TOKENS} different tokens, against the limit"
    return [
        _limited("memory/vm", after / mebibyte, MAX_MEMORY_BYTES / mebibyte, "MiB", says),
        _plain("memory/vm-at-start", before / mebibyte, "MiB", "the same after one token"),
        _plain(
            "memory/process",
            (resident_after - resident_before) / mebibyte,
            "MiB",
            "what the whole Envoy has grown by meanwhile (resident)",
        ),
    ]


def by_workers(things: Things) -> str:
    """What Envoy holds resident with one worker and more, and what each worker of it is; a table."""
    lines = [
        "| workers | Envoy alone | with the filter, one token | after 10000 tokens | linear memory of each worker |",
        "| --- | --- | --- | --- | --- |",
    ]
    for count in WORKERS:
        bare = _held(things, "bare", [], [request([])], count)[0]
        policy, requests = _many_tokens(things)
        first, last, memory = _held(things, "held", things.peergate("peergate", policy), requests, count)
        cells = [f"{each / (1 << 20):.1f} MiB" for each in (bare, first, last, memory)]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _held(
    things: Things, name: str, filters: list[dict], requests: list[bytes], workers: int
) -> tuple[int, int, int]:
    """Resident after one request to each worker, after all of them twice, and the largest linear memory."""
    listener = listeners.listener(name, filters)
    # So many connections, one after the other: one for each worker.
    listener["connection_balance_config"] = {"exact_balance": {}}
    built = listeners.configuration([listener])
    with (
        Envoy(f"workers-{name}-{workers}", built, things.directory, workers=workers) as envoy,
        contextlib.ExitStack() as stack,
    ):
        crowds = [stack.enter_context(Crowd(envoy.port(name), 1)) for _ in range(workers)]
        refused = sum(crowd.send(requests[:1]) for crowd in crowds)
        before = _resident(envoy.pid)
        refused += sum(crowd.send(requests) for crowd in crowds for _ in range(2))
        assert refused == 0, f"{refused} requests were refused"
        return before, _resident(envoy.pid), max(linear_memories(envoy.pid))


def _many_tokens(things: Things) -> tuple[dict, list[bytes]]:
    """A policy that remembers so many tokens, and a request with each of them."""
    key = tokens.Key.generate("EdDSA")
    provider = policies.provider([key.public_jwk()], ["EdDSA"])
    policy = policies.inbound(provider, things.cache(CACHED_TOKENS), forward={})
    return policy, [
        request([tokens.bearer(key.sign(tokens.claims(number, sub=f"agent-{number:05}")))])
        for number in range(CACHED_TOKENS)
    ]


def start(things: Things, rounds: int) -> list[Result]:
    """How long Envoy takes until a listener answers, without the filter and with it."""
    jwks = [things.key.public_jwk()]
    small = policies.inbound(policies.provider(jwks, ["RS256"]))
    rules = [
        {"name": f"agent-{number}", "match": {"path_prefixes": [f"/agents/{number}"]}, "accept": ["jwt"]}
        for number in range(10_000)
    ]
    large = policies.inbound(policies.provider(jwks, ["RS256"]), rules=rules)
    variants = {
        "without": [],
        "empty": [listeners.wasm("empty", things.empty_like_module)],
        "small": things.peergate("small", small),
        "large": things.peergate("large", large),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, filters in variants.items():
            built = listeners.configuration([listeners.listener(name, filters)])
            envoy = Envoy(f"start-{name}", built, things.directory)
            begin = time.perf_counter()
            with envoy:
                wait_until(
                    lambda envoy=envoy, name=name: _answers(envoy.port(name)), 60, "the listener answers"
                )
                seconds[name].append(time.perf_counter() - begin)
    middle = {name: statistics.median(values) * 1000 for name, values in seconds.items()}
    milliseconds = on_configure(things, small), on_configure(things, large)
    return [
        Result(
            "start/until-it-answers",
            middle["small"] / middle["without"],
            None,
            None,
            middle["small"],
            middle["without"],
            None,
            "ms",
            "from the start of Envoy to the first answer, with one rule, against no filter",
        ),
        _plain("start/empty-filter", middle["empty"], "ms", "the same with an empty filter"),
        _plain("start/10000-rules", middle["large"], "ms", "the same with 10 000 rules"),
        _plain("start/on_configure", milliseconds[0], "ms", "reading a policy of one rule, in one VM"),
        _plain("start/on_configure/10000-rules", milliseconds[1], "ms", "reading one of 10 000 rules"),
    ]


def on_configure(things: Things, policy: dict) -> float:
    """Milliseconds that the slowest VM spends on its configuration, by Envoy's own log of its calls."""
    listener = listeners.listener("peergate", things.peergate("peergate", policy))
    built = listeners.configuration([listener])
    with Envoy("configure", built, things.directory, arguments=TRACE) as envoy:
        log = envoy.log()
    begun: dict[str, float] = {}
    spent = [0.0]
    for line in log.splitlines():
        if not (found := CALL.match(line)):
            continue
        hours, minutes, seconds, thread, direction, name = found.groups()
        now = (int(hours) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000
        if name == "proxy_on_configure":
            if direction == "host->vm":
                begun[thread] = now
            else:
                spent.append(now - begun.pop(thread))
    return max(spent)


#: Has Envoy log each call between it and a module.
TRACE = ("--component-log-level", "wasm:trace")

#: A line of that log.
CALL = re.compile(
    r"\[\S+ (\d+):(\d+):([\d.]+)\]\[(\d+)\]\[trace\]\[wasm\] \[[^]]*\] \[(host->vm|host<-vm|vm->host|vm<-host)\] "
    r"(?:env\.|wasi_snapshot_preview1\.)?(\w+)"
)


def linear_memories(pid: int) -> list[int]:
    """The sizes of the linear memories in a process: what is readable at the head of each reservation."""
    found, previous = [0], None
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        begin, _, rest = line.partition("-")
        end, rights = rest.split()[:2]
        here = (int(begin, 16), int(end, 16), rights)
        if (
            previous is not None
            and previous[2].startswith("rw")
            and rights.startswith("---")
            and here[1] - previous[0] == RESERVED_BYTES
        ):
            found.append(previous[1] - previous[0])
        previous = here
    return found


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def _answers(port: int) -> bool:
    """Whether anything is answered, be it a refusal."""

    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request([]))
        return connection.recv(64).startswith(b"HTTP/1.1")


def _limited(name: str, value: float, limit: float, unit: str, says: str) -> Result:
    ratio = value / limit
    return Result(name, ratio, 1.0, judged(ratio, 1.0), value, limit, None, unit, says)


def _plain(name: str, value: float, unit: str, says: str) -> Result:
    return Result(name, None, None, None, value, None, None, unit, says)
