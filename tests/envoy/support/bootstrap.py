"""Builds Envoy configurations for the tests. What is not under test is as in `envoy/demo.yaml`."""

import json
from collections.abc import Iterable
from pathlib import Path

import yaml

from .paths import DEMO_CONFIGURATION, MODULE

#: What the tests want to know of a request; never its query.
ACCESS_LOG_FIELDS = {
    "listener": "",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "reason": "%FILTER_STATE(wasm.peergate.reason:PLAIN)%",
    "rule": "%FILTER_STATE(wasm.peergate.rule:PLAIN)%",
    "peer": "%FILTER_STATE(wasm.peergate.peer:PLAIN)%",
    "sub": "%FILTER_STATE(wasm.peergate.sub:PLAIN)%",
    "iss": "%FILTER_STATE(wasm.peergate.iss:PLAIN)%",
    "method": "%FILTER_STATE(wasm.peergate.method:PLAIN)%",
}


def bootstrap(listeners: Iterable[dict], clusters: Iterable[dict], node_id: str = "tests") -> dict:
    """A whole configuration, with the tags of the shipped one, so that the metrics come out as shipped."""
    demo = yaml.safe_load(DEMO_CONFIGURATION.read_text(encoding="utf-8"))
    return {
        "node": {"id": node_id, "cluster": "tests"},
        "stats_config": demo["stats_config"],
        "admin": {"address": loopback(0)},
        "static_resources": {"listeners": list(listeners), "clusters": list(clusters)},
    }


def listener(
    name: str,
    filters: Iterable[dict],
    routes: dict[str, str] | str,
    direction: str = "INBOUND",
    **manager_members: object,
) -> dict:
    """An HTTP listener. `routes`: the cluster for everything, or a cluster for each host."""
    if isinstance(routes, str):
        routes = {"*": routes}
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "stream_idle_timeout": "30s",
        "access_log": [
            _stdout_log({"log_format": {"json_format": ACCESS_LOG_FIELDS | {"listener": name}}}),
            # Envoy's own format, as in a proxy whose operator did not think of it.
            _stdout_log({}),
        ],
        "http_filters": [*filters, _ROUTER],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": cluster,
                    "domains": [host],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
                }
                for host, cluster in routes.items()
            ]
        },
    } | manager_members
    return {
        "name": name,
        "traffic_direction": direction,
        "address": loopback(0),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def cluster(name: str, port: int, http2: bool = False) -> dict:
    """A cluster with one endpoint on loopback."""
    endpoint = {"endpoint": {"address": loopback(port)}}
    built = {
        "name": name,
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if http2:
        options = {
            "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        built["typed_extension_protocol_options"] = {_HTTP_PROTOCOL_OPTIONS: options}
    return built


def within(built: dict, filters: Iterable[dict]) -> dict:
    """A cluster with HTTP filters of its own: they run once for each attempt, behind the route and every rewrite."""
    options = {
        "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
    }
    options |= built.get("typed_extension_protocol_options", {}).get(_HTTP_PROTOCOL_OPTIONS, {})
    options["http_filters"] = [*filters, _UPSTREAM_CODEC]
    return built | {"typed_extension_protocol_options": {_HTTP_PROTOCOL_OPTIONS: options}}


def peergate(
    policy: dict, environment: Iterable[str] = (), form: str = "struct", module: Path = MODULE
) -> dict:
    """The filter with a policy, given as `struct` (plain YAML in the Envoy file) or as `json` (a string)."""
    if form == "struct":
        configuration = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": policy}
    else:
        configuration = {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(policy),
        }
    vm: dict = {
        "vm_id": "peergate",
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": str(module)}},
    }
    if environment:
        vm["environment_variables"] = {"host_env_keys": sorted(environment)}
    return {
        "name": "peergate",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "peergate",
                "failure_policy": "FAIL_RELOAD",
                "vm_config": vm,
                "configuration": configuration,
            },
        },
    }


def loopback(port: int) -> dict:
    """An address; port 0 lets the kernel choose a free one."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _stdout_log(members: dict) -> dict:
    kind = {"@type": f"{_EXTENSIONS}.access_loggers.stream.v3.StdoutAccessLog"}
    return {"name": "envoy.access_loggers.stdout", "typed_config": kind | members}


_EXTENSIONS = "type.googleapis.com/envoy.extensions"

_HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_UPSTREAM_CODEC = {
    "name": "envoy.filters.http.upstream_codec",
    "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.upstream_codec.v3.UpstreamCodec"},
}

_ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
}
