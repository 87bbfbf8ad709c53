"""Istiod itself, with the double of the Kubernetes API and without certificates: proxies reach it in the clear."""

import base64
import json
import uuid
from pathlib import Path
from types import SimpleNamespace

import httpx
import yaml

from support.documents import blocks

from .daemon import Daemon
from .kubernetes_double import KubernetesDouble
from .paths import (
    BOOTSTRAP_TEMPLATE,
    CHART_VALUES,
    ENVOY,
    GATEWAY_INJECTION_TEMPLATE,
    INJECTION_TEMPLATE,
    PROGRAMS,
)

#: Where the control plane's own resources, and those for the whole mesh, are.
ROOT_NAMESPACE = "istio-system"

#: Its ports; nobody else listens in this network.
PORTS = SimpleNamespace(webhooks=8081, discovery=15010, monitoring=15014)

#: No certificates, no webhooks that call istiod by way of Kubernetes, no Gateway API.
ENVIRONMENT = {
    "ENABLE_CA_SERVER": "false",
    "PILOT_CERT_PROVIDER": "none",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "PILOT_ENABLE_GATEWAY_API": "false",
    # Envoy is that of its own project: Istio's has filters of Istio's besides, for metadata between proxies and ALPN.
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "CLUSTER_ID": "Kubernetes",
    "POD_NAMESPACE": ROOT_NAMESPACE,
}


def access_log_format() -> str:
    """The one that istio/README.md shows."""
    (shown,) = [block.text for block in blocks("istio/README.md") if block.text.startswith("[%START_TIME%]")]
    return shown


def mesh_configuration(**proxy: object) -> dict:
    """Istio's mesh configuration; `proxy` are members of its `defaultConfig`."""
    return {
        "rootNamespace": ROOT_NAMESPACE,
        "accessLogFile": "/dev/stdout",
        "accessLogFormat": access_log_format(),
        "enablePrometheusMerge": False,
        "enableAutoMtls": False,
        "defaultConfig": {
            "discoveryAddress": f"127.0.0.1:{PORTS.discovery}",
            "controlPlaneAuthPolicy": "NONE",
            "binaryPath": str(ENVOY),
            "proxyBootstrapTemplatePath": str(BOOTSTRAP_TEMPLATE),
            "concurrency": 2,
            "terminationDrainDuration": "1s",
        }
        | proxy,
    }


class Istiod:
    """The control plane. As a context manager it runs for the length of the block."""

    def __init__(self, kubernetes: KubernetesDouble, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        mesh = directory / "mesh.yaml"
        mesh.write_text(yaml.safe_dump(mesh_configuration()), encoding="utf-8")
        self._write_injection(directory / "var/lib/istio/inject")
        arguments = {
            "kubeconfig": self._write_kubeconfig(directory / "kubeconfig", kubernetes.url),
            # The registry of services is that of ServiceEntries alone.
            "registries": "",
            "meshConfig": mesh,
            "httpAddr": f"127.0.0.1:{PORTS.webhooks}",
            # Without a port for TLS the webhooks are served on the one above.
            "httpsAddr": "",
            "grpcAddr": f"127.0.0.1:{PORTS.discovery}",
            "secureGRPCAddr": "",
            "monitoringAddr": f"127.0.0.1:{PORTS.monitoring}",
        }
        command = [str(PROGRAMS / "pilot-discovery"), "discovery"]
        command += [f"--{name}={value}" for name, value in arguments.items()]
        self._daemon = Daemon("istiod", command, directory, ENVIRONMENT)

    def __enter__(self) -> "Istiod":
        self._daemon.await_serving(lambda: answers(f"http://127.0.0.1:{PORTS.webhooks}/ready"))
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.stop()

    def validate(self, manifest: dict) -> str | None:
        """What the webhook says against a resource, as Kubernetes would ask it; None: it is admitted."""
        response = self._review("validate", manifest)
        return None if response["allowed"] else response["status"]["message"]

    def inject(self, pod: dict) -> list[dict]:
        """The JSON Patch (RFC 6902) with which the webhook makes a pod one of the mesh."""
        response = self._review("inject", pod)
        assert response["allowed"], response
        return json.loads(base64.b64decode(response["patch"]))

    def _review(self, webhook: str, value: dict) -> dict:
        group, _, version = value["apiVersion"].rpartition("/")
        review = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": str(uuid.uuid4()),
                "kind": {"group": group, "version": version, "kind": value["kind"]},
                "namespace": value["metadata"].get("namespace", ""),
                "operation": "CREATE",
                "object": value,
            },
        }
        url = f"http://127.0.0.1:{PORTS.webhooks}/{webhook}"
        return httpx.post(url, json=review, trust_env=False).raise_for_status().json()["response"]

    @staticmethod
    def _write_kubeconfig(file: Path, server: str) -> Path:
        names = {"cluster": "double", "user": "istiod"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "double", "cluster": {"server": server}}],
            "users": [{"name": "istiod", "user": {}}],
            "contexts": [{"name": "mesh", "context": names}],
            "current-context": "mesh",
        }
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        return file

    @staticmethod
    def _write_injection(directory: Path) -> None:
        """What an installation writes into the ConfigMap `istio-sidecar-injector`: Istio's own template and values."""
        directory.mkdir(parents=True, exist_ok=True)
        configuration = {
            "policy": "enabled",
            "defaultTemplates": ["sidecar"],
            "templates": {
                "sidecar": INJECTION_TEMPLATE.read_text(encoding="utf-8"),
                "gateway": GATEWAY_INJECTION_TEMPLATE.read_text(encoding="utf-8"),
            },
        }
        (directory / "config").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        values = yaml.safe_load(CHART_VALUES.read_text(encoding="utf-8"))["_internal_defaults_do_not_set"]
        (directory / "values").write_text(json.dumps(values), encoding="utf-8")


def answers(url: str) -> bool:
    """Whether a server answers with 200."""
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
