"""What `peergate render istio-…` makes: Kubernetes takes it, and the policies in it are good ones.

What an EnvoyFilter puts into a sidecar is tried in a plain Envoy, with Istio's part played: whether Istio itself
puts it there is not known here.
"""

import json
import subprocess

import pytest
import yaml

from support import crds
from support.bootstrap import bootstrap, cluster, listener
from support.client import Client, refusal
from support.credentials import SigningKey, new_secret, new_seed
from support.paths import MODULE, PROGRAM, ROOT

FOLDER = ROOT / "tests/render"
IMAGE = "oci://registry.example/peergate@sha256:" + "0" * 64

WORKLOAD = ("--namespace", "agents", "--selector", "app=charlie")
PAIR = ("--namespace", "istio-ingress", "--selector", "istio=ingressgateway", "--pair")
FORMS = {
    "istio": WORKLOAD,
    "door": (*PAIR, "--sidecar-namespace", "agents", "--sidecar-selector", "app=agent"),
    "mesh": ("--namespace", "istio-system"),
}

KEYS = {name: new_secret(f"render: {name}") for name in ("MCP_KEY", "MAPS_KEY", "TOOLS_TOKEN", "MRWHITE_KEY")}
SEEDS = {name: new_seed(f"render: {name}") for name in ("MRPINK_TOTP", "CHARLIE_TOTP")}
ENVIRONMENT = KEYS | SEEDS | {"ASSERTION_KEY": SigningKey.generate("ES256", "render").private_pem()}


def render(kind, name, *arguments):
    command = [
        PROGRAM,
        "render",
        f"istio-{kind}",
        FOLDER / f"{name}.policy.yaml",
        "--image",
        IMAGE,
        *arguments,
    ]
    text = subprocess.run(command, capture_output=True, check=True, text=True, env={}).stdout
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("kind", ["wasmplugin", "trafficextension"])
@pytest.mark.parametrize("name", FORMS)
def test_kubernetes_takes_every_resource(kind, name):
    manifests = render(kind, name, *FORMS[name])
    for manifest in manifests:
        assert crds.faults(manifest) == [], manifest
    assert manifests[0]["kind"].lower() == kind


@pytest.mark.parametrize("name", ["door", "door in one namespace", "mesh", "istio"])
def test_no_resource_replaces_another(name):
    arguments = FORMS[name.split(" ")[0]]
    if "one namespace" in name:
        arguments = ["agents" if each == "istio-ingress" else each for each in arguments]
    manifests = render("wasmplugin", name.split(" ")[0], *arguments)
    names = [
        (each["kind"], each["metadata"]["namespace"], each["metadata"]["name"])
        for each in manifests
        if each is not None
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", FORMS)
def test_both_kinds_say_the_same(name):
    plugins, extensions = (render(kind, name, *FORMS[name]) for kind in ("wasmplugin", "trafficextension"))
    assert len(plugins) == len(extensions)
    for plugin, extension in zip(plugins, extensions, strict=True):
        wasm = extension["spec"].pop("wasm", {})
        assert plugin["spec"] == extension["spec"] | wasm


@pytest.mark.parametrize("name", FORMS)
def test_every_policy_in_it_is_a_good_one_and_gets_its_variables(name, tmp_path):
    """The program says no word but of what the author was told: keys in URLs."""
    seen = 0
    for manifest in render("wasmplugin", name, *FORMS[name]):
        for policy, variables in policies(manifest):
            file = tmp_path / "policy.json"
            file.write_text(json.dumps(policy), encoding="utf-8")
            command = [PROGRAM, "check", file, "--workload", "charlie", "--namespace", "agents"]
            given = {variable: ENVIRONMENT[variable] for variable in variables if variable in ENVIRONMENT}
            checked = subprocess.run(command, capture_output=True, text=True, env=given)
            assert (checked.returncode, checked.stdout) == (0, "ok\n"), checked.stderr
            seen += 1
    assert seen == {"istio": 2, "door": 2, "mesh": 1}[name]


def test_a_workloads_own_runs_before_the_defaults():
    priorities = [
        render("wasmplugin", *arguments)[0]["spec"]["priority"]
        for arguments in (("istio", *WORKLOAD), ("mesh", "--namespace", "agents"), ("mesh", *FORMS["mesh"]))
    ]
    assert priorities == [30, 20, 10]


@pytest.fixture(scope="module")
def sidecar(envoy, api):
    """The way out of a sidecar as Istio would leave it: its clusters, its routes, the plugin and the patches."""
    addresses = [
        f"--cluster=outbound|{port}||{host}=http://127.0.0.1:{api.port}" for port, host in HOSTS.items()
    ]
    manifests = render("wasmplugin", "istio", *WORKLOAD, *addresses)
    plugin = next(each for each in manifests if each["kind"] == "WasmPlugin")["spec"]
    patches = next(each for each in manifests if each["kind"] == "EnvoyFilter")["spec"]["configPatches"]
    # What comes in is another's business here, and would ask an issuer for keys.
    policy = {name: value for name, value in plugin["pluginConfig"].items() if name != "inbound"}
    outbound = listener("outbound", [wasm(policy, plugin)], "tools", direction="OUTBOUND")
    routes = outbound["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
    routes["virtual_hosts"] = [
        {
            "name": f"{host}:{port}",
            "domains": [host, f"{host}:{port}"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": f"outbound|{port}||{host}"}}],
        }
        for port, host in {**HOSTS, **OTHERS}.items()
    ]
    clusters = [cluster(f"outbound|{port}||{host}", api.port) for port, host in {**HOSTS, **OTHERS}.items()]
    configuration = bootstrap([outbound], clusters)
    configuration["bootstrap_extensions"] = [
        {
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
            },
        }
    ]
    (extension,) = (patch["patch"]["value"] for patch in patches if patch["applyTo"] == "EXTENSION_CONFIG")
    code = extension["typed_config"]["config"]["vm_config"]["code"]
    assert code.pop("remote")["http_uri"]["uri"] == IMAGE
    code["local"] = {"filename": str(MODULE)}
    for patch in patches:
        apply(patch, configuration["static_resources"], routes, extension)
    with Client(envoy(configuration, ENVIRONMENT), "outbound") as client:
        yield client


#: Of the policy, by their ports: those whose calls get a key, and another.
HOSTS = {443: "mcp.example", 80: "maps.example"}
OTHERS = {8080: "tools.example"}


def wasm(policy, plugin):
    """What Istio makes of a plugin."""
    return {
        "name": "agents.peergate",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "agents.peergate",
                "failure_policy": plugin["failStrategy"],
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(MODULE)}},
                    "environment_variables": {
                        "host_env_keys": [each["name"] for each in plugin["vmConfig"]["env"]]
                    },
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": json.dumps(policy),
                },
            },
        },
    }


def apply(patch, resources, routes, extension):
    """One patch, as the documentation of EnvoyFilter says; nothing is discovered here."""
    value = patch["patch"]["value"]
    match patch["applyTo"], patch["patch"]["operation"]:
        case "EXTENSION_CONFIG", "ADD":
            pass
        case "CLUSTER", "ADD":
            options = value.get("typed_extension_protocol_options", {})
            for protocol in options.values():
                protocol["http_filters"][0] = extension
            resources["clusters"].append(value)
        case "LISTENER", "ADD":
            resources["listeners"].append(value)
        case "HTTP_ROUTE" | "VIRTUAL_HOST" as kind, "MERGE":
            name = patch["match"]["routeConfiguration"]["vhost"]["name"]
            (host,) = [each for each in routes["virtual_hosts"] if each["name"] == name]
            if kind == "VIRTUAL_HOST":
                host |= value
            for route in host["routes"]:
                route["route"] |= value.get("route", {})
        case other:
            pytest.fail(f"{other}")


@pytest.mark.parametrize(("port", "parameter", "key"), [(443, "apiKey", "MCP_KEY"), (80, "key", "MAPS_KEY")])
def test_a_key_is_put_on_behind_the_second_hop(sidecar, api, port, parameter, key):
    assert sidecar.get("/search?q=1", {"Host": f"{HOSTS[port]}:{port}"}).status_code == 200
    assert api.only().target == f"/search?q=1&{parameter}={KEYS[key]}"
    assert KEYS[key] not in sidecar.envoy.log()


def test_others_get_none(sidecar, api):
    """The rule for tools names the cluster that Istio makes for another port."""
    assert refusal(sidecar.get("/", {"Host": "tools.example"})) == (403, "Call not allowed")
    assert api.received == []


def policies(manifest):
    """Each policy in a resource, with the variables that it is given."""
    if (plugin := crds.plugin(manifest)) is not None:
        yield plugin["pluginConfig"], [each["name"] for each in plugin.get("vmConfig", {}).get("env", [])]
    if manifest["kind"] == "EnvoyFilter":
        for patch in manifest["spec"]["configPatches"]:
            for config in wasm_configs(patch):
                keys = config["vm_config"]["environment_variables"]["host_env_keys"]
                yield config["configuration"]["value"], keys


def wasm_configs(value):
    match value:
        case {"vm_config": _}:
            yield value
        case dict():
            for each in value.values():
                yield from wasm_configs(each)
        case list():
            for each in value:
                yield from wasm_configs(each)
