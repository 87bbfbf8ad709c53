"""The check of Istio's manifests, on what it shall see: without this, a good word of it says nothing."""

import copy

import pytest
import yaml

from support import crds
from support.paths import ISTIO_CRDS

WASM_PLUGIN = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: peergate, namespace: agents, labels: {app: agent}}
spec:
  selector: {matchLabels: {app: agent}}
  url: oci://registry.example/peergate@sha256:0000000000000000000000000000000000000000000000000000000000000000
  phase: AUTHN
  failStrategy: FAIL_RELOAD
  priority: 10
  match: [{mode: SERVER, ports: [{number: 8080}]}]
  vmConfig: {env: [{name: SEED, valueFrom: HOST}, {name: NAME, value: of-the-agent}]}
  pluginConfig: {version: 1, inbound: {any: {thing: [1, two]}}}
"""

TRAFFIC_EXTENSION = """
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: peergate}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]
  phase: AUTHN
  wasm: {url: "file:///peergate.wasm", pluginConfig: {version: 1}}
"""

SERVICE_ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: [api.example]
  ports: [{number: 80, targetPort: 443, name: http, protocol: HTTP}]
  resolution: DNS
"""

DESTINATION_RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api.example
  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 2s}}, tls: {mode: SIMPLE}}
"""

FAULTS = {
    "an apiVersion that is not served": (
        WASM_PLUGIN,
        {"apiVersion": "extensions.istio.io/v1"},
        ["`extensions.istio.io/v1 WasmPlugin`: Istio has no such resource"],
    ),
    "a member that Istio does not know": (
        WASM_PLUGIN,
        {"spec.failPolicy": "FAIL_CLOSE"},
        ["spec: Additional properties are not allowed ('failPolicy' was unexpected)"],
    ),
    "a member below a list": (
        WASM_PLUGIN,
        {"spec.match.0.port": 80},
        ["spec.match[0]: Additional properties are not allowed ('port' was unexpected)"],
    ),
    "a member beside the spec": (
        WASM_PLUGIN,
        {"pluginConfig": {}},
        ["$: Additional properties are not allowed ('pluginConfig' was unexpected)"],
    ),
    "no url": (WASM_PLUGIN, {"spec.url": None}, ["spec: 'url' is a required property"]),
    "a wrong enum": (
        WASM_PLUGIN,
        {"spec.failStrategy": "FAIL_CLOSED"},
        ["spec.failStrategy: 'FAIL_CLOSED' is not one of ['FAIL_CLOSE', 'FAIL_OPEN', 'FAIL_RELOAD']"],
    ),
    "a wrong type": (
        WASM_PLUGIN,
        {"spec.priority": "10"},
        ["spec.priority: '10' is not of type 'integer', 'null'"],
    ),
    "a number that is too large": (
        WASM_PLUGIN,
        {"spec.priority": 2**31},
        ["spec.priority: 2147483648 is not a 'int32'"],
    ),
    "a digest with its algorithm": (
        WASM_PLUGIN,
        {"spec.sha256": "sha256:00"},
        ["spec.sha256: 'sha256:00' does not match '(^$|^[a-f0-9]{64}$)'"],
    ),
    "a scheme that no proxy fetches": (
        WASM_PLUGIN,
        {"spec.url": "ftp://x/y"},
        ["spec.url: url must have schema one of [http, https, file, oci]"],
    ),
    "a selector beside targetRefs": (
        WASM_PLUGIN,
        {"spec.targetRefs": [{"kind": "Gateway", "name": "waypoint"}]},
        ["spec: only one of targetRefs or selector can be set"],
    ),
    "a value beside valueFrom": (
        WASM_PLUGIN,
        {"spec.vmConfig.env.0.value": "x"},
        ["spec.vmConfig.env[0]: value may only be set when valueFrom is INLINE"],
    ),
    "a variable twice": (
        WASM_PLUGIN,
        {"spec.vmConfig.env.1.name": "SEED"},
        ["spec.vmConfig.env: name SEED stands more than once"],
    ),
    "a wildcard in a selector": (
        WASM_PLUGIN,
        {"spec.selector.matchLabels.app": "a*"},
        ["spec.selector.matchLabels.app: wildcard not allowed in label value match"],
    ),
    "a name that is none": (
        WASM_PLUGIN,
        {"metadata.name": "Peer_Gate"},
        ["metadata.name: is no DNS subdomain"],
    ),
    "a namespace that is none": (
        WASM_PLUGIN,
        {"metadata.namespace": "a.b"},
        ["metadata.namespace: is no DNS label"],
    ),
    "a label that is a number": (
        WASM_PLUGIN,
        {"metadata.labels.app": 1},
        ["metadata.labels.app: is no string"],
    ),
    "metadata that is none": (
        WASM_PLUGIN,
        {"metadata": None},
        [
            "metadata: is not an object",
            "$: 'metadata' is a required property",
        ],
    ),
    "wasm and lua": (
        TRAFFIC_EXTENSION,
        {"spec.lua": {"inlineCode": "x"}},
        ["spec: exactly one of wasm or lua must be set"],
    ),
    "neither wasm nor lua": (
        TRAFFIC_EXTENSION,
        {"spec.wasm": None},
        ["spec: exactly one of wasm or lua must be set"],
    ),
    "the form of the other kind": (
        TRAFFIC_EXTENSION,
        {"spec.url": "file:///x"},
        ["spec: Additional properties are not allowed ('url' was unexpected)"],
    ),
    "a port that is none": (
        SERVICE_ENTRY,
        {"spec.ports.0.number": 70000},
        ["spec.ports[0].number: port must be between 1-65535"],
    ),
    "addresses that no resolution has": (
        SERVICE_ENTRY,
        {"spec.addresses": ["10.0.0.0/8"]},
        ["spec: CIDR addresses are allowed only for NONE/STATIC resolution types"],
    ),
    "a duration that is too short": (
        DESTINATION_RULE,
        {"spec.trafficPolicy.connectionPool.tcp.connectTimeout": "1us"},
        ["spec.trafficPolicy.connectionPool.tcp.connectTimeout: must be a valid duration greater than 1ms"],
    ),
}


@pytest.mark.parametrize("manifest", [WASM_PLUGIN, TRAFFIC_EXTENSION, SERVICE_ENTRY, DESTINATION_RULE])
def test_what_is_good_passes(manifest):
    assert crds.faults(yaml.safe_load(manifest)) == []


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_said(name):
    manifest, changes, faults = FAULTS[name]
    assert crds.faults(changed(yaml.safe_load(manifest), changes)) == faults


def test_every_rule_of_every_resource_is_one_that_can_be_asked():
    """A rule with an unknown function would only be seen with the first manifest that meets it."""

    def rules(schema):
        if isinstance(schema, dict):
            for rule in schema.get("x-kubernetes-validations", ()):
                yield rule["rule"]
            for each in schema.values():
                yield from rules(each)
        elif isinstance(schema, list):
            for each in schema:
                yield from rules(each)

    schemas = crds._schemas(ISTIO_CRDS).values()
    expressions = {rule for schema in schemas for rule in rules(schema)}
    assert len(expressions) > 30
    for expression in expressions:
        crds._rule(expression)


def test_the_module_is_found_in_both_kinds():
    assert crds.plugin(yaml.safe_load(WASM_PLUGIN))["pluginConfig"]["version"] == 1
    assert crds.plugin(yaml.safe_load(TRAFFIC_EXTENSION))["pluginConfig"] == {"version": 1}
    assert crds.plugin(yaml.safe_load(SERVICE_ENTRY)) is None
    assert crds.is_istio(yaml.safe_load(SERVICE_ENTRY))
    assert not crds.is_istio({"apiVersion": "apps/v1", "kind": "Deployment"})


def changed(manifest, changes):
    """A manifest with members set, or taken away by None; a number is an index."""
    manifest = copy.deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = path.split(".")
        holder = manifest
        for name in parents:
            holder = holder[int(name)] if name.isdigit() else holder[name]
        if value is None:
            del holder[last]
        else:
            holder[last] = value
    return manifest
