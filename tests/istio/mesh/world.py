"""The mesh of the tests: an agent with a sidecar, a gateway before it, and another agent, charlie, whom it calls.

All stand on loopback. No traffic is captured (`captureMode: NONE`): callers ask the ports of the sidecar's listeners.
"""

from support.cast import ENVIRONMENT
from support.credentials import SigningKey, new_secret, new_seed

from .control_plane import ROOT_NAMESPACE
from .proxy import Workload

NAMESPACE, GATEWAY_NAMESPACE = "agents", "istio-ingress"

#: Where callers reach the agent, past the gateway and through it, and where the agent reaches others.
INBOUND, OUTBOUND, GATEWAY = 9080, 80, 9082

#: Where a gateway with a certificate listens, and the port of its service for that.
GATEWAY_TLS, HTTPS = 9083, 443

#: By which name the gateway is known outside, as in istio/behind-a-gateway.yaml.
GATEWAY_NAME = "agents.example"

CHARLIE_SEED = new_seed("mesh: TOTP seed of charlie")
API_TOKEN = new_secret("mesh: token of the API")
SEARCH_KEY = new_secret("mesh: key of the search API")

#: What the containers of the proxies get from Secrets.
SECRETS = ENVIRONMENT | {
    "CHARLIE_TOTP": CHARLIE_SEED,
    "API_TOKEN": API_TOKEN,
    "SEARCH_KEY": SEARCH_KEY,
    "ASSERTION_KEY": SigningKey.generate("ES256", "assertion").private_pem(),
}

#: Services, as Kubernetes would name them.
AGENT_HOST = "agent.agents.svc.cluster.local"
CHARLIE_HOST = "charlie.agents.svc.cluster.local"
GATEWAY_HOST = "istio-ingressgateway.istio-ingress.svc.cluster.local"

AGENT = Workload("agent", NAMESPACE, {"app": "agent"}, 15000)
INGRESS = Workload("ingress", GATEWAY_NAMESPACE, {"istio": "ingressgateway"}, 15100, kind="router")


def resource(group: str, kind: str, name: str, spec: dict, namespace: str = NAMESPACE) -> dict:
    """A resource of Istio, in the newest version of its group."""
    version = {"networking": "v1", "security": "v1", "telemetry": "v1", "extensions": "v1alpha1"}[group]
    if kind == "EnvoyFilter":
        version = "v1alpha3"
    return {
        "apiVersion": f"{group}.istio.io/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def landscape(agent_port: int, charlie_port: int) -> list[dict]:
    """Everything but policies: listeners, services, routes."""
    return [
        resource(
            "networking",
            "Sidecar",
            "agent",
            {
                "workloadSelector": {"labels": AGENT.labels},
                "ingress": [
                    {
                        "port": {"number": INBOUND, "protocol": "HTTP", "name": "http"},
                        "bind": "127.0.0.1",
                        "captureMode": "NONE",
                        "defaultEndpoint": f"127.0.0.1:{agent_port}",
                    }
                ],
                "egress": [
                    {
                        "port": {"number": OUTBOUND, "protocol": "HTTP", "name": "http"},
                        "bind": "127.0.0.1",
                        "captureMode": "NONE",
                        "hosts": ["./*", f"{GATEWAY_NAMESPACE}/*"],
                    },
                    # Without it the sidecar has no cluster for this port of the gateway.
                    {
                        "port": {"number": HTTPS, "protocol": "HTTPS", "name": "https"},
                        "bind": "127.0.0.1",
                        "captureMode": "NONE",
                        "hosts": [f"{GATEWAY_NAMESPACE}/*"],
                    },
                ],
            },
        ),
        service("agent", AGENT_HOST, INBOUND),
        service("charlie", CHARLIE_HOST, charlie_port),
        gateway_service(),
        resource("security", "PeerAuthentication", "default", {"mtls": {"mode": "DISABLE"}}, ROOT_NAMESPACE),
        resource(
            "networking",
            "Gateway",
            "ingress",
            {
                "selector": INGRESS.labels,
                "servers": [
                    {"port": {"number": GATEWAY, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
                ],
            },
            GATEWAY_NAMESPACE,
        ),
        resource(
            "networking",
            "VirtualService",
            "agent",
            {
                "hosts": ["*"],
                "gateways": [f"{GATEWAY_NAMESPACE}/ingress"],
                "http": [{"route": [{"destination": {"host": AGENT_HOST, "port": {"number": OUTBOUND}}}]}],
            },
            GATEWAY_NAMESPACE,
        ),
    ]


def cluster(host: str) -> str:
    """The name that Istio gives to the cluster of a service."""
    return f"outbound|{OUTBOUND}||{host}"


def service(name: str, host: str, port: int, namespace: str = NAMESPACE) -> dict:
    """A service whose one endpoint is on loopback."""
    return resource(
        "networking",
        "ServiceEntry",
        name,
        {
            "hosts": [host],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": OUTBOUND, "targetPort": port, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": "127.0.0.1"}],
        },
        namespace,
    )


def gateway_service() -> dict:
    """That of the gateway, which has a port for TLS as well."""
    made = service("gateway", GATEWAY_HOST, GATEWAY, GATEWAY_NAMESPACE)
    tls = {"number": HTTPS, "targetPort": GATEWAY_TLS, "name": "https", "protocol": "HTTPS"}
    made["spec"]["ports"].append(tls)
    return made


def gateway_with_tls(certificate: str) -> dict:
    """What makes the gateway listen for TLS, with a file that has its certificate and key."""
    tls = {"mode": "SIMPLE", "serverCertificate": certificate, "privateKey": certificate}
    port = {"number": GATEWAY_TLS, "name": "https", "protocol": "HTTPS"}
    spec = {"selector": INGRESS.labels, "servers": [{"port": port, "hosts": [GATEWAY_NAME], "tls": tls}]}
    return resource("networking", "Gateway", "ingress-tls", spec, GATEWAY_NAMESPACE)


def plugin(
    kind: str,
    policy: dict,
    url: str,
    name: str = "peergate",
    namespace: str = NAMESPACE,
    phase: str = "AUTHN",
    priority: int | None = None,
    selector: dict[str, str] | None = None,
    match: list[dict] | None = None,
    **module: object,
) -> dict:
    """A WasmPlugin or TrafficExtension; `module` are members that say how the module is loaded.

    It is given all secrets of the cast, by name, from the environment of the proxy.
    """
    placement: dict = {"phase": phase}
    if priority is not None:
        placement["priority"] = priority
    if selector is not None:
        placement["selector"] = {"matchLabels": selector}
    if match is not None:
        placement["match"] = match
    variables = [{"name": name, "valueFrom": "HOST"} for name in sorted(ENVIRONMENT)]
    loaded = {
        "url": url,
        "failStrategy": "FAIL_RELOAD",
        "pluginConfig": policy,
        "vmConfig": {"env": variables},
    }
    loaded |= module
    spec = placement | ({"wasm": loaded} if kind == "TrafficExtension" else loaded)
    return resource("extensions", kind, name, spec, namespace)
