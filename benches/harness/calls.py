"""Calls between Envoy and the module for one request, by Envoy's own log of them."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from support.process import Envoy

from . import listeners, rows
from .crowd import Crowd, request
from .duel import Contender
from .footprint import CALL, TRACE
from .rows import Things

#: What is counted: a group and its contender.
COUNTED = (
    ("warm", "peergate"),
    ("warm", "peergate-defaults"),
    ("warm", "empty-same-exports"),
    ("whole-job", "peergate"),
    ("api-key", "peergate"),
    ("refused", "peergate-garbage"),
    ("refused", "peergate-bad-signature"),
)

#: The log is written by another thread.
SETTLE_SECONDS = 0.3


@dataclass(frozen=True)
class Calls:
    """What one request takes, once the one before it has warmed everything."""

    name: str
    host: Counter
    callbacks: Counter


def count(things: Things) -> list[Calls]:
    """Each in an Envoy of its own."""
    contenders = {
        (group.name, each.name): each
        for group in rows.groups(things)
        if group.name in {name for name, _ in COUNTED}
        for each in group.contenders()
    }
    return [_count(f"{group}/{name}", contenders[group, name], things) for group, name in COUNTED]


def _count(name: str, contender: Contender, things: Things) -> Calls:
    built = listeners.listener(contender.name, contender.filters)
    with Envoy("calls", listeners.configuration([built]), things.directory, arguments=TRACE) as envoy:
        with Crowd(envoy.port(contender.name)) as client:
            one = request(contender.headers(), contender.path)
            client.send([one])
            time.sleep(SETTLE_SECONDS)
            before = len(envoy.log())
            client.send([one])
            time.sleep(SETTLE_SECONDS)
        log = envoy.log()[before:]
    seen = {"vm->host": Counter[str](), "host->vm": Counter[str]()}
    for line in log.splitlines():
        if (found := CALL.match(line)) and found.group(5) in seen:
            seen[found.group(5)][found.group(6)] += 1
    # A tick may fall into the time of a request; it is none of its costs.
    seen["host->vm"].pop("proxy_on_tick", None)
    return Calls(name, seen["vm->host"], seen["host->vm"])


def table(counted: Sequence[Calls]) -> str:
    """In Markdown: a column for each request."""
    names = sorted({name for each in counted for name in each.host})
    callbacks = sorted({name for each in counted for name in each.callbacks})
    lines = [
        "| call | " + " | ".join(each.name for each in counted) + " |",
        "|---|" + "---|" * len(counted),
        "| **of the module to Envoy** | " + " | ".join(f"**{each.host.total()}**" for each in counted) + " |",
        *(
            f"| `{name}` | " + " | ".join(str(each.host[name] or "") for each in counted) + " |"
            for name in names
        ),
        "| **of Envoy to the module** | "
        + " | ".join(f"**{each.callbacks.total()}**" for each in counted)
        + " |",
        *(
            f"| `{name}` | " + " | ".join(str(each.callbacks[name] or "") for each in counted) + " |"
            for name in callbacks
        ),
    ]
    return "\n".join(lines)
