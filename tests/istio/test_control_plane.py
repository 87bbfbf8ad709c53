"""What istiod says of the manifests of this project, before any proxy sees them: admission, injection."""

import pytest
import yaml

from mesh.paths import MANIFESTS
from support import crds
from support.paths import ROOT

MANIFEST_FILES = sorted(
    str(file.relative_to(ROOT)) for file in MANIFESTS.rglob("*.yaml") if not file.name.endswith(".patch.yaml")
)


def manifests(file):
    return list(yaml.safe_load_all((ROOT / file).read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", MANIFEST_FILES)
def test_the_webhook_admits_every_resource(file, istiod):
    for manifest in manifests(file):
        if crds.is_istio(manifest):
            assert istiod.validate(manifest) is None


def test_the_webhook_sees_what_is_wrong(istiod):
    """So that its good word means something."""
    (manifest,) = manifests("istio/wasmplugin/gateway.yaml")
    manifest["spec"]["url"] = ""
    assert "url" in istiod.validate(manifest)


def test_what_the_pod_says_of_the_proxy_is_laid_over_what_is_injected(istiod):
    """Where secrets get into the proxy's environment: istio/agent-secrets.patch.yaml."""
    (patch,) = manifests("istio/agent-secrets.patch.yaml")
    (patched,) = patch["spec"]["template"]["spec"]["containers"]
    agent = {"name": "agent", "image": "registry.example/agent:1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "agent-1",
            "namespace": "agents",
            "labels": {"app": "agent", "sidecar.istio.io/inject": "true"},
        },
        "spec": {"containers": [agent, patched]},
    }
    (proxy,) = proxies(injected(pod, istiod.inject(pod)))
    environment = {each["name"]: each for each in proxy["env"]}
    assert len(patched["env"]) > 1
    for variable in patched["env"]:
        assert environment[variable["name"]] == variable
    # What Istio injects is there as well.
    assert environment["POD_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
    assert proxy["image"].startswith("gcr.io/istio-") or "proxyv2" in proxy["image"]
    assert proxy["args"][:2] == ["proxy", "sidecar"]


def test_so_it_is_with_a_gateway_that_is_injected(istiod):
    variable = {
        "name": "MRPINK_TOTP",
        "valueFrom": {"secretKeyRef": {"name": "peergate", "key": "MRPINK_TOTP"}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "ingress-1",
            "namespace": "istio-ingress",
            "labels": {"istio": "ingressgateway", "sidecar.istio.io/inject": "true"},
            "annotations": {"inject.istio.io/templates": "gateway"},
        },
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto", "env": [variable]}]},
    }
    (proxy,) = proxies(injected(pod, istiod.inject(pod)))
    assert variable in proxy["env"]
    assert proxy["args"][:2] == ["proxy", "router"]


def test_probes_of_the_kubelet_do_not_pass_the_filter(istiod):
    """What istio/wasmplugin/sidecar-inbound.yaml says of them: Istio's agent asks the workload."""
    probe = {"httpGet": {"path": "/livez", "port": 8080}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent-1", "namespace": "agents", "labels": {"sidecar.istio.io/inject": "true"}},
        "spec": {
            "containers": [{"name": "agent", "image": "registry.example/agent:1", "livenessProbe": probe}]
        },
    }
    whole = injected(pod, istiod.inject(pod))
    (agent,) = [each for each in whole["spec"]["containers"] if each["name"] == "agent"]
    assert agent["livenessProbe"]["httpGet"] == {"path": "/app-health/agent/livez", "port": 15020}


def test_a_pod_can_add_to_the_bootstrap_of_its_proxy(istiod):
    """Where labels of metrics come from: istio/metrics.yaml."""
    (configuration,) = manifests("istio/metrics.yaml")
    name = configuration["metadata"]["name"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "agent-1",
            "namespace": "agents",
            "labels": {"sidecar.istio.io/inject": "true"},
            "annotations": {"sidecar.istio.io/bootstrapOverride": name},
        },
        "spec": {"containers": [{"name": "agent", "image": "registry.example/agent:1"}]},
    }
    whole = injected(pod, istiod.inject(pod))
    (proxy,) = proxies(whole)
    (file,) = [each["value"] for each in proxy["env"] if each["name"] == "ISTIO_BOOTSTRAP_OVERRIDE"]
    (volume,) = [each for each in whole["spec"]["volumes"] if each.get("configMap", {}).get("name") == name]
    (mount,) = [each for each in proxy["volumeMounts"] if each["name"] == volume["name"]]
    assert file.rpartition("/") == (mount["mountPath"], "/", *configuration["data"])


def proxies(pod):
    """The proxy's container; newer versions of Kubernetes have it among the first ones."""
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    return [each for each in containers if each["name"] == "istio-proxy"]


def injected(pod, patch):
    """A pod with a JSON Patch (RFC 6902) in it, as far as the webhook uses that: `add`, `replace`, `remove`."""
    whole = {**pod}
    for operation in patch:
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        ]
        holder = whole
        for part in parents:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        match operation["op"], holder:
            case "add", list():
                holder.insert(len(holder) if last == "-" else int(last), operation["value"])
            case "remove", list():
                del holder[int(last)]
            case "replace", list():
                holder[int(last)] = operation["value"]
            case "remove", dict():
                del holder[last]
            case (("add" | "replace"), dict()):
                holder[last] = operation["value"]
            case _:
                raise AssertionError(operation)
    return whole
