"""A workload's proxy, or a gateway: Istio's agent, which starts and configures Envoy."""

import json
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from support.certificates import Authority
from support.client import TIMEOUT_SECONDS
from support.process import PATIENCE_SECONDS, wait_until

from .control_plane import mesh_configuration
from .daemon import Daemon
from .paths import PROGRAMS

#: In place of istiod's: it has nobody to ask who its proxies are.
AUTHORITY = Authority("mesh")

#: Where the agent looks for a certificate that somebody else has made, before it asks istiod for one.
CERTIFICATES = "var/run/secrets/workload-spiffe-credentials"

#: The prefix of the names that Istio gives to filters of extensions.
EXTENSION = "extensions.istio.io/"


@dataclass(frozen=True)
class Workload:
    """Whose proxy it is, and the first of its ten ports."""

    name: str
    namespace: str
    labels: dict[str, str]
    ports: int
    #: What is `sidecar` in one place and `router` in another.
    kind: str = "sidecar"

    @property
    def principal(self) -> str:
        """Its name in the mesh (SPIFFE), without the scheme, as Istio writes it."""
        return f"cluster.local/ns/{self.namespace}/sa/{self.name}"

    @property
    def admin(self) -> str:
        """Where Envoy is administrated."""
        return f"http://127.0.0.1:{self.ports}"

    @property
    def agent(self) -> str:
        """Where the agent serves metrics and probes: 15020 in a cluster."""
        return f"http://127.0.0.1:{self.ports + 1}"

    @property
    def prometheus(self) -> str:
        """Where Envoy itself serves metrics: 15090 in a cluster."""
        return f"http://127.0.0.1:{self.ports + 3}"


class Proxy:
    """The proxy of a workload, with secrets in its environment, and maybe an addition to Envoy's bootstrap.

    `configuration` are members of its `proxy.istio.io/config`.

    As a context manager it runs for the length of the block.
    """

    def __init__(
        self,
        workload: Workload,
        directory: Path,
        secrets: dict[str, str],
        bootstrap: str | None = None,
        **configuration: object,
    ):
        self.workload = workload
        directory = directory / workload.name
        directory.mkdir(parents=True, exist_ok=True)
        mesh = directory / "mesh.yaml"
        whole = mesh_configuration(
            configPath=str(directory / "etc"),
            proxyAdminPort=workload.ports,
            statusPort=workload.ports + 1,
            **configuration,
        )
        mesh.write_text(yaml.safe_dump(whole), encoding="utf-8")
        write_certificate(directory / CERTIFICATES, workload)
        environment = {
            "INSTANCE_IP": "127.0.0.1",
            "POD_NAME": workload.name,
            "POD_NAMESPACE": workload.namespace,
            "ISTIO_META_WORKLOAD_NAME": workload.name,
            "ISTIO_META_CLUSTER_ID": "Kubernetes",
            "ISTIO_META_INTERCEPTION_MODE": "NONE",
            "ISTIO_METAJSON_LABELS": json.dumps(workload.labels),
            "ENVOY_STATUS_PORT": str(workload.ports + 2),
            "ENVOY_PROMETHEUS_PORT": str(workload.ports + 3),
        }
        command = [
            str(PROGRAMS / "pilot-agent"),
            "proxy",
            workload.kind,
            f"--domain={workload.namespace}.svc",
        ]
        command += [f"--meshConfig={mesh}", "--proxyLogLevel=warning", "--log_output_level=default:info"]
        if bootstrap is not None:
            # As the annotation `sidecar.istio.io/bootstrapOverride` has it.
            addition = directory / "custom_bootstrap.json"
            addition.write_text(bootstrap, encoding="utf-8")
            environment["ISTIO_BOOTSTRAP_OVERRIDE"] = str(addition)
        self.daemon = Daemon(workload.name, command, directory, environment | secrets)

    def __enter__(self) -> "Proxy":
        self.daemon.await_serving(self._is_ready)
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.workload.admin}/ready", trust_env=False).text == "LIVE\n"
        except httpx.HTTPError:
            return False

    def dump(self, resource: str) -> str:
        """A part of Envoy's configuration, as it is in effect."""
        url = f"{self.workload.admin}/config_dump?resource={resource}"
        return httpx.get(url, trust_env=False, timeout=TIMEOUT_SECONDS).raise_for_status().text

    def await_no_extension(self) -> None:
        """Wait until no filter of a WasmPlugin or TrafficExtension is left."""
        wait_until(
            lambda: EXTENSION not in self.dump("dynamic_listeners"), PATIENCE_SECONDS, "the filters are gone"
        )


def write_certificate(directory: Path, workload: Workload) -> None:
    """Give a workload its certificate, as a volume of its pod would."""
    directory.mkdir(parents=True)
    certificate = AUTHORITY.sign(f"spiffe://{workload.principal}")
    (directory / "cert-chain.pem").write_text(certificate.certificate, encoding="ascii")
    (directory / "key.pem").write_text(certificate.key, encoding="ascii")
    (directory / "root-cert.pem").write_text(AUTHORITY.certificate, encoding="ascii")
