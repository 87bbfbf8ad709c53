"""The filter's counters and gauges, as Envoy holds them: under one name with the labels in it."""

from .process import Envoy

#: What Envoy puts before the metrics of modules.
PREFIX = "wasmcustom."


def metric(envoy: Envoy, name: str, **labels: str) -> int:
    """The sum of those of a name that have these labels, and maybe others; 0 where there is none."""
    total = 0
    for line in envoy.admin(f"/stats?filter=^{PREFIX}{name}").splitlines():
        full, _, value = line.partition(": ")
        its_name, *parts = full.removeprefix(PREFIX).split(".")
        its_labels = dict(zip(parts[::2], parts[1::2], strict=True))
        if its_name == name and labels.items() <= its_labels.items():
            total += int(value)
    return total
