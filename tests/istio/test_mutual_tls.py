"""Istio's mutual TLS between a gateway and a sidecar: the filter knows the caller by its certificate."""

import httpx
import pytest

from mesh.shipped import shipped
from mesh.watching import await_status, await_true
from mesh.world import AGENT, AGENT_HOST, GATEWAY_NAMESPACE, INGRESS, plugin, resource
from support.cast import bearer, policy, rule, token

POLICY = policy(
    rule("both", ["jwt", "mtls"], "/both"),
    rule("mesh", ["mtls"]),
    mtls={"listener_validates_client_certificates": True},
    peers={"ingress": {"tokens": {}, "principals": [f"spiffe://{INGRESS.principal}"]}, "mrpink": {}},
)


@pytest.fixture
def mutual_tls(apply, inbound):
    """The shipped STRICT, and a gateway that has a certificate to show."""
    strict, _ = shipped("authorization.yaml")
    rule = {"host": AGENT_HOST, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}
    apply(strict, resource("networking", "DestinationRule", "agent", rule, GATEWAY_NAMESPACE))

    def is_closed():
        try:
            inbound.get("/")
        except httpx.TransportError:
            return True
        return False

    await_true(is_closed, "nobody asks in the clear")


@pytest.mark.usefixtures("mutual_tls")
def test_the_certificate_says_who_calls(apply, image, gateway, agent):
    apply(plugin("WasmPlugin", POLICY, image, selector=AGENT.labels, match=[{"mode": "SERVER"}]))
    await_true(
        lambda: gateway.get("/").json().get("caller", {}).get("x-agent-peer") == "ingress",
        "the filter is there",
    )
    agent.forget()
    assert gateway.get("/", headers={"X-Agent-Peer": "admin"}).status_code == 200
    assert agent.only().header("x-agent-peer") == "ingress"
    assert agent.only().header("x-agent-sub") == f"spiffe://{INGRESS.principal}"
    assert agent.only().header("x-agent-iss") == "mtls"
    agent.forget()
    assert gateway.get("/both", headers=bearer(token("mrpink"))).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"


@pytest.mark.usefixtures("mutual_tls")
def test_an_authorization_policy_can_ask_for_both(apply, image, gateway):
    """The workload by Istio's word, the caller by the filter's."""
    spec = {
        "selector": {"matchLabels": AGENT.labels},
        "rules": [
            {
                "from": [{"source": {"principals": [INGRESS.principal]}}],
                "when": [{"key": "request.headers[x-agent-peer]", "values": ["mrpink"]}],
            }
        ],
    }
    apply(
        plugin("WasmPlugin", POLICY, image, selector=AGENT.labels, match=[{"mode": "SERVER"}]),
        resource("security", "AuthorizationPolicy", "agent", spec),
    )
    await_status(lambda: gateway.get("/both"), 403)
    assert gateway.get("/both", headers=bearer(token("mrpink"))).status_code == 200
