"""Real Envoys, and what stands behind them."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT
from support.client import Client
from support.paths import MODULE, OUTPUT
from support.process import Envoy
from support.upstream import Upstream

# Read when gRPC is first used. Its handlers of fork(2) are for children that go on to use it; in a child that becomes
# an Envoy at once they sometimes abort it, where a gRPC server runs in this process.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


def pytest_sessionstart() -> None:
    """Without the module no test can say anything."""
    if not MODULE.exists():
        pytest.exit(f"{MODULE} is not there: run `make build`", returncode=1)


@pytest.fixture(scope="session")
def agent() -> Iterator[Upstream]:
    """The workload that the filter protects."""
    with Upstream("agent") as upstream:
        yield upstream


@pytest.fixture(scope="session")
def api() -> Iterator[Upstream]:
    """What the workload calls."""
    with Upstream("api") as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def _forget(agent: Upstream, api: Upstream) -> None:
    """Each test sees its own requests only."""
    agent.forget()
    api.forget()


@pytest.fixture(scope="module")
def envoy(request: pytest.FixtureRequest) -> Iterator[Callable[..., Envoy]]:
    """Starts an Envoy with a configuration. It stops when the tests of the module are through."""
    topic = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    with contextlib.ExitStack() as stack:
        started: list[Envoy] = []

        def start(configuration: dict, environment: dict[str, str] | None = None, **options: Any) -> Envoy:
            name = f"{topic}-{len(started) + 1}"
            started.append(Envoy(name, configuration, OUTPUT / "envoy", environment, **options))
            return stack.enter_context(started[-1])

        yield start
        for each in started:
            each.ask_to_stop()


@pytest.fixture(scope="module")
def sidecar(envoy: Callable[..., Envoy], agent: Upstream) -> Iterator[Callable[..., Client]]:
    """Starts an Envoy with a policy in front of the agent, and gives a client of it.

    Further clusters are named with their ports: `idp=8080`.
    """
    with contextlib.ExitStack() as stack:

        def start(policy: dict, workers: int = 1, **ports: int) -> Client:
            filters = [peergate(policy, ENVIRONMENT)]
            clusters = [cluster(name, port) for name, port in ({"agent": agent.port} | ports).items()]
            configuration = bootstrap([listener("inbound", filters, "agent")], clusters)
            return stack.enter_context(Client(envoy(configuration, ENVIRONMENT, workers=workers)))

        yield start
