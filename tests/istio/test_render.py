"""What `peergate render istio-…` makes of a policy runs as it is: every part of it, second hop included."""

import contextlib
import json
import ssl
import subprocess

import pytest
import yaml

from mesh.watching import await_realm, await_status
from mesh.world import AGENT_HOST, API_TOKEN, CHARLIE_HOST, CHARLIE_SEED, SEARCH_KEY, cluster
from support.cast import MRPINK_SEED, PROVIDER, bearer, token
from support.certificates import Authority
from support.client import refusal
from support.credentials import totp
from support.paths import PROGRAM
from support.upstream import Upstream

FORMS = ("istio-wasmplugin", "istio-trafficextension")

POLICY = {
    "version": 1,
    "inbound": {
        "providers": {"tests": PROVIDER},
        "peers": {"mrpink": {"totp_seeds": [{"env": "MRPINK_TOTP"}]}},
        "rules": [{"name": "agent", "accept": ["jwt"], "require": {"totp": True}}],
        "errors": {"realm": "rendered"},
    },
    "outbound": {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": ["search.example"],
        "on_no_match": "deny",
        "rules": [
            {
                "name": "charlie",
                "match": {"hosts": [CHARLIE_HOST], "clusters": [cluster(CHARLIE_HOST)]},
                "totp": {"seed": {"env": "CHARLIE_TOTP"}},
            },
            {
                "name": "api",
                "match": {"hosts": ["api.example"], "clusters": [cluster("api.example")]},
                "headers": {"authorization": {"prefix": "Bearer ", "value": {"env": "API_TOKEN"}}},
            },
            {
                "name": "search",
                "match": {"hosts": ["search.example"], "clusters": [cluster("search.example")]},
                "query_params": {"apiKey": {"env": "SEARCH_KEY"}},
            },
        ],
    },
}

GATEWAY_POLICY = {
    "version": 1,
    "inbound": {
        "providers": {"tests": PROVIDER},
        "peers": {"mrpink": {"totp_seeds": [{"env": "MRPINK_TOTP"}]}},
        "rules": [{"name": "agents", "accept": ["jwt"], "require": {"totp": True}}],
        "forward": {
            "assertion": {
                "keys": [{"kid": "2026-11", "key": {"env": "ASSERTION_KEY"}}],
                "issuer": "https://mesh.example",
                "audience": "https://agents.example",
                "jwks_path": "/.well-known/mesh/jwks.json",
            }
        },
        "errors": {"realm": "rendered-pair"},
    },
}


def rendered(form, policy, tmp_path, *arguments):
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    done = subprocess.run(
        [PROGRAM, "render", form, file, *arguments], capture_output=True, text=True, check=True
    )
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest is not None]


def brought_here(manifests, ports, authorities):
    """In place of DNS, of ports of the Internet, and of the authorities of the proxy's system."""
    for manifest in manifests:
        match manifest["kind"]:
            case "ServiceEntry":
                (host,) = manifest["spec"]["hosts"]
                manifest["spec"] |= {"resolution": "STATIC", "endpoints": [{"address": "127.0.0.1"}]}
                manifest["spec"]["ports"][0]["targetPort"] = ports[host]
            case "DestinationRule":
                (settings,) = manifest["spec"]["trafficPolicy"]["portLevelSettings"]
                settings["tls"]["caCertificates"] = str(authorities)
    text = json.dumps(manifests).replace("/etc/ssl/certs/ca-certificates.crt", str(authorities))
    for host, port in ports.items():
        text = text.replace(
            f'"address": "{host}", "port_value": 443', f'"address": "127.0.0.1", "port_value": {port}'
        )
    return json.loads(text)


@pytest.fixture
def outside(tmp_path):
    """Hosts outside the mesh, by TLS, and the authorities that vouch for them."""
    authority = Authority("outside")
    file = tmp_path / "authorities.pem"
    file.write_text(authority.certificate, encoding="ascii")
    with contextlib.ExitStack() as stack:
        hosts = {}
        for host in ("api.example", "search.example"):
            hosts[host] = stack.enter_context(Upstream(host, server_context(authority, host, tmp_path)))
        yield hosts, file


def server_context(authority, host, directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.sign(hosts=[host]).write(directory, host))
    return context


@pytest.mark.parametrize("form", FORMS)
def test_a_sidecar_both_ways(form, apply, image, outside, inbound, outbound, agent, charlie, tmp_path):
    hosts, authorities = outside
    manifests = rendered(
        form, POLICY, tmp_path, "--namespace", "agents", "--selector", "app=agent", "--image", image
    )
    apply(*brought_here(manifests, {name: host.port for name, host in hosts.items()}, authorities))
    await_realm(inbound, "rendered")
    good = bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
    agent.forget()
    assert inbound.get("/", headers=good).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"

    def call(host, path="/"):
        return outbound.get(path, headers={"Host": host})

    await_status(lambda: call(CHARLIE_HOST), 200)
    assert charlie.received[-1].header("x-totp") in {totp(CHARLIE_SEED, -1), totp(CHARLIE_SEED)}
    assert refusal(call(AGENT_HOST)) == (403, "Call not allowed")
    await_status(lambda: call("api.example"), 200)
    assert hosts["api.example"].received[-1].header("authorization") == f"Bearer {API_TOKEN}"
    await_status(lambda: call("search.example", "/search?apiKey=mine&q=agents"), 200)
    assert sorted(hosts["search.example"].received[-1].query) == [("apiKey", SEARCH_KEY), ("q", "agents")]


@pytest.mark.parametrize("form", FORMS)
def test_a_gateway_and_the_sidecars_behind_it(form, apply, image, gateway, inbound, agent, tmp_path):
    place = ["--namespace", "istio-ingress", "--selector", "istio=ingressgateway", "--image", image]
    pair = ["--pair", "--sidecar-namespace", "agents", "--sidecar-selector", "app=agent"]
    apply(*rendered(form, GATEWAY_POLICY, tmp_path, *place, *pair))
    await_realm(gateway, "rendered-pair")
    await_status(lambda: inbound.get("/"), 401)
    good = bearer(token())
    assert refusal(gateway.get("/", headers=good)) == (401, "Missing X-TOTP header")
    await_status(lambda: gateway.get("/", headers=good | {"X-TOTP": totp(MRPINK_SEED)}), 200)
    assert agent.received[-1].header("x-agent-peer") == "mrpink"
    assert inbound.get("/", headers=good | {"X-TOTP": totp(MRPINK_SEED)}).status_code == 401
