"""The mesh, which runs once for all tests, and what a test puts into it."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mesh.control_plane import ROOT_NAMESPACE, Istiod
from mesh.images import Registry
from mesh.kubernetes_double import KubernetesDouble
from mesh.proxy import Proxy
from mesh.shipped import exported, shipped
from mesh.world import (
    AGENT,
    GATEWAY,
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
    INBOUND,
    INGRESS,
    NAMESPACE,
    OUTBOUND,
    SECRETS,
    gateway_with_tls,
    landscape,
)
from support.certificates import Authority
from support.client import TIMEOUT_SECONDS
from support.process import PATIENCE_SECONDS, wait_until
from support.upstream import Upstream


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """Where the parts of the mesh run."""
    path = Path(tempfile.mkdtemp(prefix="peergate-istio-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def agent() -> Iterator[Upstream]:
    """The workload."""
    with Upstream("agent") as upstream:
        yield upstream


@pytest.fixture(scope="session")
def charlie() -> Iterator[Upstream]:
    """What the workload calls."""
    with Upstream("charlie") as upstream:
        yield upstream


@pytest.fixture(scope="session")
def registry(directory: Path) -> Iterator[Registry]:
    """A registry for images."""
    with Registry(directory / "registry") as registry:
        yield registry


@pytest.fixture(scope="session")
def image(registry: Registry) -> str:
    """What `make image` has made, by its digest."""
    return registry.push("peergate")


@pytest.fixture(scope="session")
def authority(directory: Path) -> Path:
    """Who has signed the gateway's certificate."""
    authority = Authority("mesh")
    file = directory / "gateway-authority.pem"
    file.write_text(authority.certificate, encoding="ascii")
    authority.sign(hosts=[GATEWAY_NAME]).write(directory, "gateway")
    return file


@pytest.fixture(scope="session")
def kubernetes(agent: Upstream, charlie: Upstream, authority: Path) -> Iterator[KubernetesDouble]:
    """The double, with the landscape."""
    with KubernetesDouble() as double:
        double.namespaces(ROOT_NAMESPACE, GATEWAY_NAMESPACE, NAMESPACE)
        double.apply(*landscape(agent.port, charlie.port))
        double.apply(gateway_with_tls(str(authority.with_name("gateway.pem"))))
        yield double


@pytest.fixture(scope="session")
def istiod(kubernetes: KubernetesDouble, directory: Path) -> Iterator[Istiod]:
    """The control plane."""
    with Istiod(kubernetes, directory / "istiod") as istiod:
        yield istiod


@pytest.fixture(scope="session")
def proxies(istiod: Istiod, directory: Path) -> Iterator[dict[str, Proxy]]:  # noqa: ARG001
    """The agent's sidecar and the gateway."""
    with contextlib.ExitStack() as stack:
        (labels,) = shipped("metrics.yaml")
        started = {
            "agent": Proxy(AGENT, directory, SECRETS),
            # The one has labels of metrics, the other has none.
            "ingress": Proxy(
                INGRESS,
                directory,
                SECRETS,
                labels["data"]["custom_bootstrap.json"],
                **exported("metrics.yaml"),
            ),
        }
        for proxy in started.values():
            stack.enter_context(proxy)
        for port in (INBOUND, OUTBOUND, GATEWAY):
            wait_until(lambda port=port: _answers(port), PATIENCE_SECONDS, f"port {port} answers")
        yield started
        for proxy in started.values():
            proxy.daemon.ask_to_stop()


@pytest.fixture
def apply(
    kubernetes: KubernetesDouble, proxies: dict[str, Proxy], agent: Upstream, charlie: Upstream
) -> Iterator[Callable[..., None]]:
    """Applies manifests. They are gone from the proxies when the test is over."""
    agent.forget()
    charlie.forget()
    applied: list[dict] = []

    def apply(*manifests: dict) -> None:
        applied.extend(manifests)
        kubernetes.apply(*manifests)

    yield apply
    kubernetes.delete(*applied)
    for proxy in proxies.values():
        proxy.await_no_extension()
    wait_until(lambda: _answers(INBOUND), PATIENCE_SECONDS, "the agent can be asked in the clear")


@pytest.fixture(scope="session")
def inbound(proxies: dict[str, Proxy]) -> Iterator[httpx.Client]:  # noqa: ARG001
    """Who calls the agent past the gateway."""
    with _client(INBOUND) as client:
        yield client


@pytest.fixture(scope="session")
def outbound(proxies: dict[str, Proxy]) -> Iterator[httpx.Client]:  # noqa: ARG001
    """The agent, as it calls others."""
    with _client(OUTBOUND) as client:
        yield client


@pytest.fixture(scope="session")
def gateway(proxies: dict[str, Proxy]) -> Iterator[httpx.Client]:  # noqa: ARG001
    """Who calls the gateway."""
    with _client(GATEWAY) as client:
        yield client


def _client(port: int) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        trust_env=False,
        timeout=TIMEOUT_SECONDS,
        # A connection that is open when a filter comes or goes has one more request without the change.
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
    except httpx.HTTPError:
        return False
    return True
