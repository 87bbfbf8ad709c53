"""Listeners of Envoy: each with one way of authentication, all else the same."""

import json
from collections.abc import Iterable
from pathlib import Path

from support import bootstrap

from .tokens import AUDIENCE, ISSUER

EXTENSIONS = "type.googleapis.com/envoy.extensions"

#: What both filters forward, and from which claim.
CLAIM_HEADERS = {"x-jwt-sub": "sub", "x-jwt-client": "azp"}

#: Envoy's default is 100, and 4096 bytes for a token.
NATIVE_CACHE_ENTRIES = 1000


def listener(
    name: str, filters: Iterable[dict], cluster: str | None = None, direction: str = "INBOUND"
) -> dict:
    """A listener without access logs. Without a cluster it answers by itself."""
    built = bootstrap.listener(name, filters, cluster or "none", direction, access_log=[])
    if cluster is None:
        manager = built["filter_chains"][0]["filters"][0]["typed_config"]
        for host in manager["route_config"]["virtual_hosts"]:
            host["routes"] = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    return built


def configuration(listeners: Iterable[dict], clusters: Iterable[dict] = ()) -> dict:
    """A whole configuration. Metrics are as of the demo."""
    return bootstrap.bootstrap(listeners, clusters, "bench")


def wasm(name: str, module: Path, configuration: str = "") -> dict:
    """A WebAssembly filter in a VM of its own: nothing that another listener does is in its memory or its caches."""
    return {
        "name": name,
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "failure_policy": "FAIL_RELOAD",
                "allow_on_headers_stop_iteration": True,
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(module)}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
            },
        },
    }


def peergate(name: str, module: Path, policy: dict) -> dict:
    """The filter with a policy."""
    return wasm(name, module, json.dumps(policy))


def jwt_authn(keys: Iterable[dict], cached: bool) -> dict:
    """Envoy's own filter: checks the same, forwards the same two claims, takes the token off."""
    provider: dict = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": False,
        "local_jwks": {"inline_string": json.dumps({"keys": list(keys)})},
        "claim_to_headers": [
            {"header_name": header, "claim_name": claim} for header, claim in CLAIM_HEADERS.items()
        ],
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": NATIVE_CACHE_ENTRIES}
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"idp": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
        },
    }


def ext_authz(cluster: str) -> dict:
    """A call to a gRPC service for each request."""
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "2s"},
        },
    }


def api_key_auth(client: str, key: str) -> dict:
    """Envoy's own filter for API keys: forwards the client's name, takes the key off."""
    return {
        "name": "envoy.filters.http.api_key_auth",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.api_key_auth.v3.ApiKeyAuth",
            "credentials": [{"key": key, "client": client}],
            "key_sources": [{"header": "x-api-key"}],
            "forwarding": {"header": "x-client-id", "hide_credentials": True},
        },
    }
