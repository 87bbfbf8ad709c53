"""The manifests in `istio/` keep their promises in a real Istio, as WasmPlugin and as TrafficExtension."""

import contextlib
import json
import re

import httpx
import pytest

from mesh.shipped import shipped
from mesh.watching import await_realm, await_status, await_true
from mesh.world import AGENT_HOST, API_TOKEN, CHARLIE_HOST, CHARLIE_SEED
from support.cast import MRPINK_SEED, bearer
from support.certificates import tls_server
from support.client import refusal
from support.credentials import totp
from support.published import ISSUER, MRWHITE_KEY, mint
from support.upstream import Upstream

KINDS = ("wasmplugin", "trafficextension")

NO_CREDENTIALS = (401, "Missing or invalid Authorization header")
CARD = "/.well-known/agent-card.json"


def code(seed):
    return {"X-TOTP": totp(seed)}


@pytest.mark.parametrize("kind", KINDS)
def test_sidecar_inbound(kind, apply, image, inbound, agent):
    apply(*shipped(f"{kind}/sidecar-inbound.yaml", image))
    await_realm(inbound, "agent")
    known = bearer(mint("https://agent.example"))
    assert refusal(inbound.get("/")) == NO_CREDENTIALS
    assert refusal(inbound.get("/", headers=known)) == (401, "Missing X-TOTP header")
    agent.forget()
    assert inbound.get("/", headers=known | code(MRPINK_SEED)).status_code == 200
    assert agent.only().header("x-agent-iss") == ISSUER
    assert inbound.get(CARD).status_code == 200
    assert inbound.get("/reports/today", headers={"X-Api-Key": MRWHITE_KEY}).status_code == 200
    assert inbound.get("/tasks", headers={"X-Api-Key": MRWHITE_KEY}).status_code == 401


@pytest.mark.parametrize("kind", KINDS)
def test_sidecar_outbound_and_a_host_outside(kind, apply, image, outbound, charlie, tmp_path):
    with contextlib.ExitStack() as stack:
        authorities, tls = tls_server(tmp_path, "api.example")
        api = stack.enter_context(Upstream("api", tls))
        service, rule = shipped("outbound-host.yaml")
        # In place of DNS, and of the authorities of the proxy's system.
        service["spec"] |= {"resolution": "STATIC", "endpoints": [{"address": "127.0.0.1"}]}
        service["spec"]["ports"][0]["targetPort"] = api.port
        assert rule["spec"]["trafficPolicy"]["tls"]["caCertificates"] == "system"
        rule["spec"]["trafficPolicy"]["tls"]["caCertificates"] = str(authorities)
        apply(service, rule, *shipped(f"{kind}/sidecar-outbound.yaml", image))
        await_status(lambda: outbound.get("/", headers={"Host": AGENT_HOST}), 403)
        await_status(lambda: outbound.get("/", headers={"Host": CHARLIE_HOST}), 200)
        charlie.forget()
        assert outbound.get("/", headers={"Host": CHARLIE_HOST, "X-TOTP": "000000"}).status_code == 200
        assert charlie.only().header("x-totp") in {totp(CHARLIE_SEED, -1), totp(CHARLIE_SEED)}
        await_status(lambda: outbound.get("/", headers={"Host": "api.example"}), 200)
        assert api.received[-1].header("authorization") == f"Bearer {API_TOKEN}"


@pytest.mark.parametrize("kind", KINDS)
def test_gateway_and_a_sidecar_behind_it(kind, apply, image, gateway, inbound, agent, authority):
    believer, keys = shipped("behind-a-gateway.yaml", image)
    # In place of the authorities of the proxy's system.
    (settings,) = keys["spec"]["trafficPolicy"]["portLevelSettings"]
    settings["tls"]["caCertificates"] = str(authority)
    apply(keys, believer, *shipped(f"{kind}/gateway.yaml", image))
    await_realm(gateway, "agents")
    await_realm(inbound, "agent")
    assert refusal(gateway.get("/")) == NO_CREDENTIALS
    known = bearer(mint("https://agents.example"))
    assert refusal(gateway.get("/", headers=known)) == (401, "Missing X-TOTP header")
    await_status(lambda: gateway.get("/", headers=known | code(MRPINK_SEED)), 200)
    agent.forget()
    assert gateway.get("/", headers=known | code(MRPINK_SEED)).status_code == 200
    received = agent.only()
    assert received.header("x-agent-peer") == "mrpink"
    assert received.header("x-agent-iss") == ISSUER
    assertion = received.header("x-agent-assertion")
    assert received.names() & {"authorization", "x-totp"} == set()
    # Round the gateway nobody gets in, but with what the gateway signs.
    for headers in (known | code(MRPINK_SEED), {"X-Agent-Peer": "mrpink"}):
        assert inbound.get("/", headers=headers).status_code == 401
    assert inbound.get("/", headers={"X-Agent-Assertion": assertion}).status_code == 200
    keys = json.loads(gateway.get("/.well-known/mesh/jwks.json").text)["keys"]
    assert [key["kid"] for key in keys] == ["2026-11"]


def test_the_access_log_says_why_and_who(apply, image, inbound, proxies):
    """With the format in istio/README.md."""
    apply(*shipped("wasmplugin/sidecar-inbound.yaml", image))
    await_realm(inbound, "agent")
    good = bearer(mint("https://agent.example")) | code(MRPINK_SEED)
    # The sidecar of the test before, which has the same realm, may go on for a moment.
    await_status(lambda: inbound.get("/known", headers=good), 200)
    assert inbound.get("/stranger").status_code == 401
    log = proxies["agent"].daemon
    refused = '"GET /stranger" 401 peergate_credentials_missing peer=- reason=credentials_missing'
    await_true(lambda: refused in log.log(), "the refusal is logged")
    await_true(lambda: '"GET /known" 200 via_upstream peer=mrpink reason=ok' in log.log(), "so is the caller")


def test_counters_with_labels_and_without(apply, image, gateway, inbound, proxies):
    """The gateway's bootstrap has the addition of metrics.yaml, and its annotation; the sidecar's has none."""
    apply(*shipped("wasmplugin/gateway.yaml", image), *shipped("wasmplugin/sidecar-inbound.yaml", image))
    await_realm(gateway, "agents")
    await_realm(inbound, "agent")
    for url in (proxies["ingress"].workload.prometheus, proxies["ingress"].workload.agent):
        labels = 'direction="inbound",outcome="deny",reason="credentials_missing",rule="agents"'
        assert f"peergate_requests_total{{{labels}}}" in counters(url)
    for url in (proxies["agent"].workload.prometheus, proxies["agent"].workload.agent):
        parts = "direction_inbound_outcome_deny_reason_credentials_missing_rule_agent"
        assert f"peergate_requests_total_{parts}{{}}" in counters(url)
    # So it is with what Envoy counts of the filter's configuration, for which alerts ask.
    accepted = "envoy_extension_config_discovery_http_filter_.*peergate.*_update_success{}"
    for name, exported in (("ingress", True), ("agent", False)):
        text = httpx.get(f"{proxies[name].workload.prometheus}/stats/prometheus", trust_env=False).text
        assert (re.search(f"^{accepted} [1-9]", text, re.MULTILINE) is not None) == exported
    agent = httpx.get(f"{proxies['agent'].workload.agent}/stats/prometheus", trust_env=False).text
    assert 'istio_agent_wasm_config_conversion_count{result="success"}' in agent


def counters(url):
    """The filter's counters, as Prometheus would get them."""
    lines = httpx.get(f"{url}/stats/prometheus", trust_env=False).text.splitlines()
    return {line.rpartition(" ")[0] for line in lines if line.startswith("peergate_")}
