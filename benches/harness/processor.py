"""CPU time of a process, and which processor it may run on."""

import contextlib
import os
from pathlib import Path


def nanoseconds(pid: int) -> int:
    """What all threads of a process have spent on a processor.

    `/proc/<pid>/task/*/schedstat` has the nanoseconds that `/proc/<pid>/stat` rounds to ticks of 10 ms. Threads that
    have ended are missing from it: Envoy's live as long as it does. Where the kernel has no such file, the ticks.
    """
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if (file := task / "schedstat").exists():
                total += int(file.read_text(encoding="ascii").split()[0])
    return total or _ticks(pid) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def _ticks(pid: int) -> int:
    """`utime` and `stime` of proc_pid_stat(5), counted behind the name, which may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def pin(pid: int, processor: int | None) -> None:
    """Keep all threads of a process on one processor."""
    if processor is None:
        return
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {processor})


def places() -> tuple[int | None, int | None]:
    """A processor for Envoy and one for everything else; none where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def model() -> str:
    """What the kernel calls the processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"
