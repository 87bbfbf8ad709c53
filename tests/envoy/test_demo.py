"""The demo comes out as it says, and leaves nothing behind."""

import os
import re
import shlex
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from support.paths import OUTPUT, ROOT
from support.process import PATIENCE_SECONDS, wait_until

DIRECTORY = OUTPUT / "demo"


@pytest.fixture
def demo():
    """Starts the demo; whatever becomes of the test, it does not outlive it."""
    started = []

    def start(*arguments, **environment):
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "envoy/demo.py", "--directory", DIRECTORY, *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": "tests/envoy", "PYTHONUNBUFFERED": "1"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Whoever runs the tests in the background may ignore the signal, and children with it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def test_each_step_comes_out_as_said(demo):
    process = demo()
    output, _ = process.communicate(timeout=60)
    (DIRECTORY / "output.log").write_text(output, encoding="utf-8")
    assert process.returncode == 0, output
    assert output.endswith("All 16 requests came out as said.\n")
    assert "\x1b" not in output


def test_a_demo_that_cannot_run_says_why(demo):
    process = demo(PEERGATE_MODULE="/nowhere/peergate_filter.wasm")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "/nowhere/peergate_filter.wasm" in output
    assert "Traceback" not in output


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="the children of a process are read from /proc"
)
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill"])
def test_it_stays_up_until_it_is_told_to_stop(demo, ending):
    process = demo("--keep")
    lines = []
    while not (lines and lines[-1].startswith("Ctrl-C")):
        lines.append(process.stdout.readline())
        assert lines[-1], "the demo ended: " + "".join(lines)
    envoys = children(process.pid)
    assert len(envoys) == 1
    variables = dict(line.strip().split("=", 1) for line in lines if line.startswith("TOKEN="))
    commands = [line for line in lines if line.startswith("curl ")]
    assert [run(command, variables) for command in commands] == [401, 401, 200, 200, 200, 200]
    process.send_signal(ending)
    process.wait(PATIENCE_SECONDS)
    assert process.returncode == (0 if ending == signal.SIGINT else 128 + signal.SIGTERM)
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in envoys), PATIENCE_SECONDS, "Envoy ends"
    )


def children(pid):
    """The ids of the processes that a process started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]


def run(command, variables):
    """Do what a pasted curl command does, and give the status."""
    expanded = re.sub(
        r"\$\((.*)\)",
        lambda match: subprocess.check_output(["/bin/sh", "-c", match[1]], text=True).strip(),
        command,
    )
    for name, value in variables.items():
        expanded = expanded.replace(f"${name}", value)
    *options, url = shlex.split(expanded)[1:]
    headers = [tuple(value.split(": ", 1)) for flag, value in pairwise(options) if flag == "-H"]
    return httpx.get(url, headers=headers, trust_env=False).status_code
