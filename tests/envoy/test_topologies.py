"""docs/topologies.md: the filter where Envoy Gateway would put it, in a plain Envoy; docs/kubernetes-secrets.md.

What Envoy Gateway makes of an `EnvoyExtensionPolicy` is taken from its source (1.9.1, `internal/xds/translator`): a
filter that is off, whose module comes from its controller by HTTP, and routes that turn it on.
"""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from support import crds, kubernetes
from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import KEYS, bearer
from support.client import Client
from support.credentials import lasting, new_seed, totp
from support.documents import blocks
from support.paths import MODULE
from support.ports import free_port
from support.process import PATIENCE_SECONDS, Envoy, wait_until

MANIFESTS = [yaml.safe_load(block.text) for block in blocks("docs/topologies.md") if block.language == "yaml"]

SEED = new_seed("TOTP seed of a caller of Envoy Gateway")

FILTER = "envoy.filters.http.wasm/envoyextensionpolicy/agents/peergate/wasm/0"


@pytest.fixture(scope="module")
def controller():
    """What serves the module to the proxies: the port."""
    module = MODULE.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(module)))
            self.end_headers()
            self.wfile.write(module)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def shown() -> dict:
    """The module of the manifest that names an image."""
    ((wasm,),) = [
        each["spec"]["wasm"] for each in MANIFESTS if each["spec"]["wasm"][0]["code"]["type"] == "Image"
    ]
    return wasm


def as_envoy_gateway_builds_it(wasm: dict) -> dict:
    policy = json.loads(json.dumps(wasm["config"]))
    (provider,) = policy["inbound"]["providers"].values()
    provider["jwks"] = {"inline": {"keys": [KEYS["ES256"].public_jwk()]}}
    return {
        "name": FILTER,
        "disabled": True,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": wasm["name"],
                "fail_open": wasm["failOpen"],
                "vm_config": {
                    "vm_id": FILTER,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {
                        "remote": {
                            "http_uri": {
                                "uri": "https://envoy-gateway:18002/module.wasm",
                                "cluster": "wasm_cluster",
                                "timeout": "10s",
                            },
                            # That of the module: the image's digest is for the controller.
                            "sha256": hashlib.sha256(MODULE.read_bytes()).hexdigest(),
                        }
                    },
                    "environment_variables": {"host_env_keys": wasm["env"]["hostKeys"]},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": json.dumps(policy),
                },
            },
        },
    }


@pytest.fixture(scope="module")
def gateway(envoy, agent, controller):
    turned_on = {
        "typed_per_filter_config": {
            FILTER: {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
        }
    }
    to_the_agent = {"route": {"cluster": "httproute/agents/agent/rule/0"}}
    routes = [
        # A route with a policy of its own, which has no wasm.
        {"match": {"prefix": "/of-its-own"}} | to_the_agent,
        {"match": {"prefix": "/"}} | to_the_agent | turned_on,
    ]
    hosts = {"virtual_hosts": [{"name": "agents", "domains": ["*"], "routes": routes}]}
    filters = [as_envoy_gateway_builds_it(shown())]
    listeners = [listener("http", filters, "agent", "UNSPECIFIED", route_config=hosts)]
    clusters = [
        cluster("httproute/agents/agent/rule/0", agent.port),
        cluster("wasm_cluster", controller),
    ]
    configuration = bootstrap(listeners, clusters, "envoy-agents-agents-0a1b2c3d-4e5f6-7890a")
    with Client(envoy(configuration, {"MRPINK_TOTP": SEED}), "http") as client:
        # Until the module has come: closed.
        wait_until(lambda: client.get("/").status_code == 401, PATIENCE_SECONDS, "the module has come")
        yield client


def token() -> str:
    claims = {"iss": "https://issuer.example", "aud": "https://agent.example", "sub": "mrpink"}
    return KEYS["ES256"].sign(claims | lasting(600), "token for Envoy Gateway")


def test_the_manifests_are_such_as_are_shown():
    assert [each["kind"] for each in MANIFESTS] == ["EnvoyExtensionPolicy"] * 2
    for each in MANIFESTS:
        assert crds.faults(each) == []
        assert len(crds.policies(each)) == 1


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("failStrategy", "FAIL_RELOAD", "spec.wasm[0]: Additional properties are not allowed"),
        ("code", {"type": "Image"}, "spec.wasm[0].code: If type is Image, image field needs to be set."),
        ("config", "version: 1", None),
    ],
)
def test_the_schema_sees_what_is_wrong(place, value, fault):
    """But nothing in a policy: that is for `peergate check`."""
    manifest = json.loads(json.dumps(MANIFESTS[0]))
    manifest["spec"]["wasm"][0][place] = value
    assert any(fault in each for each in crds.faults(manifest)) if fault else crds.faults(manifest) == []


def test_a_route_that_turns_it_on_asks_who_is_calling(gateway, agent):
    assert gateway.get("/").status_code == 401
    assert gateway.get("/", bearer(token())).status_code == 401
    assert agent.received == []
    headers = bearer(token()) | {"x-totp": totp(SEED), "x-agent-peer": "admin"}
    assert gateway.get("/", headers).status_code == 200
    assert agent.only().values("x-agent-peer") == ["mrpink"]


def test_while_the_module_is_not_there_nothing_passes(envoy, agent):
    """Envoy itself fetches it, and whoever should serve it is down."""
    config = as_envoy_gateway_builds_it(shown())
    clusters = [cluster("agent", agent.port), cluster("wasm_cluster", free_port())]
    listeners = [listener("http", [config | {"disabled": False}], "agent")]
    with Client(envoy(bootstrap(listeners, clusters), {"MRPINK_TOTP": SEED}), "http") as client:
        assert [client.get("/").status_code for _ in range(3)] == [503] * 3
    assert agent.received == []


def test_without_the_file_envoy_does_not_start(tmp_path, agent):
    filters = [peergate({"version": 1, "inbound": {}}, module=tmp_path / "peergate.wasm")]
    configuration = bootstrap([listener("inbound", filters, "agent")], [cluster("agent", agent.port)])
    envoy = Envoy("no-file", configuration, tmp_path)
    assert envoy.validate() != 0
    assert "peergate.wasm" in envoy.log()


def test_a_route_with_a_policy_of_its_own_is_open(gateway, agent):
    assert gateway.get("/of-its-own", {"x-agent-peer": "admin"}).status_code == 200
    assert agent.only().values("x-agent-peer") == ["admin"]


def manifests_of(document: str) -> dict[str, list[dict]]:
    """Those that a document shows, by their kind."""
    found: dict[str, list[dict]] = {}
    for block in blocks(document):
        if block.language == "yaml":
            for manifest in yaml.safe_load_all(block.text):
                found.setdefault(manifest["kind"], []).append(manifest)
    return found


def test_in_each_topology_the_secret_is_the_one_that_is_made():
    document = "docs/kubernetes-secrets.md"
    made = next(block.text for block in blocks(document) if "create secret" in block.text)
    assert "secret generic peergate --namespace agents --from-file=MRPINK_TOTP=seed.txt" in made
    wanted = [
        {"name": "MRPINK_TOTP", "valueFrom": {"secretKeyRef": {"name": "peergate", "key": "MRPINK_TOTP"}}}
    ]
    shown = manifests_of(document)
    pods = [each["spec"]["template"]["spec"] for each in shown["Deployment"]]
    (parameters,) = shown["ConfigMap"]
    laid_over = yaml.safe_load(parameters["data"]["deployment"])
    pods.append(laid_over["spec"]["template"]["spec"])
    containers = [
        each for pod in pods for each in pod["containers"] if each["name"] in {"istio-proxy", "envoy"}
    ]
    assert len(containers) == 3
    (proxy,) = shown["EnvoyProxy"]
    containers.append(proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"])
    assert [each["env"] for each in containers] == [wanted] * 4
    (plugin,) = shown["WasmPlugin"]
    assert plugin["spec"]["vmConfig"]["env"] == [{"name": "MRPINK_TOTP", "valueFrom": "HOST"}]
    # What is laid over a Deployment is a part of one.
    whole = json.loads(json.dumps(shown["Deployment"][0]))
    whole["spec"]["template"]["spec"]["containers"][1] |= laid_over["spec"]["template"]["spec"]["containers"][
        0
    ]
    assert kubernetes.faults(whole) == []
    references = [each["spec"]["infrastructure"]["parametersRef"] for each in shown["Gateway"]]
    assert [(each["kind"], each["name"]) for each in references] == [
        (each["kind"], each["metadata"]["name"]) for each in (parameters, proxy)
    ]
