"""The filter's counters, as Prometheus reads them."""

import re

from .process import Envoy


def metrics(envoy: Envoy) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every metric of the filter, by its name and labels."""
    found = {}
    for line in envoy.admin("/stats/prometheus").splitlines():
        if match := re.fullmatch(r"(peergate_\w+)\{(.*)\} (\S+)", line):
            name, labels, value = match.groups()
            found[name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))] = float(value)
    return found


def metric(envoy: Envoy, name: str, **labels: str) -> float:
    """The sum of those of a name that have these labels, and maybe others; 0 where there is none."""
    return sum(
        value
        for (other, its_labels), value in metrics(envoy).items()
        if other == name and labels.items() <= dict(its_labels).items()
    )
