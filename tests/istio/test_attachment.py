"""A WasmPlugin and a TrafficExtension put the filter where they say: before the agent, behind it, at the gateway."""

import httpx
import pytest

from mesh.watching import await_realm, await_status
from mesh.world import AGENT, AGENT_HOST, CHARLIE_HOST, GATEWAY_NAMESPACE, INGRESS, cluster, plugin
from support.cast import ENVIRONMENT, ISSUER, MRPINK_SEED, MRWHITE_SEED, bearer, policy, rule, token
from support.client import TIMEOUT_SECONDS, refusal
from support.credentials import totp, wrong_totp
from support.process import PATIENCE_SECONDS, wait_until

KINDS = ("WasmPlugin", "TrafficExtension")

POLICY = policy(rule("agent", ["jwt"], require={"totp": True}))


CALLS_OUT = {
    "version": 1,
    "outbound": {
        "rules": [
            {
                "name": "charlie",
                "match": {"hosts": [CHARLIE_HOST], "clusters": [cluster(CHARLIE_HOST)]},
                "totp": {"seed": {"env": "MRWHITE_TOTP"}},
            }
        ]
    },
}


def identity(request):
    return {name: value for name, value in request.headers if name.startswith("x-agent-")}


def assert_guarded(client, agent):
    """Only a token and a code let a caller in, and the agent is told who it is."""
    await_status(lambda: client.get("/"), 401)
    agent.forget()
    assert refusal(client.get("/")) == (401, "Missing or invalid Authorization header")
    known = bearer(token())
    assert refusal(client.get("/", headers=known)) == (401, "Missing X-TOTP header")
    assert refusal(client.get("/", headers=known | {"X-TOTP": wrong_totp(MRPINK_SEED)})) == (
        401,
        "Invalid TOTP code",
    )
    assert agent.received == []
    good = known | {"X-TOTP": totp(MRPINK_SEED), "X-Agent-Peer": "admin"}
    assert client.get("/tasks", headers=good).status_code == 200
    assert identity(agent.only()) == {
        "x-agent-peer": "mrpink",
        "x-agent-sub": "mrpink",
        "x-agent-iss": ISSUER,
        "x-agent-auth": "jwt",
    }
    assert agent.only().names() & {"authorization", "x-totp"} == set()


@pytest.mark.parametrize("kind", KINDS)
def test_sidecar_inbound(kind, apply, image, inbound, outbound, agent, charlie):
    apply(
        plugin(
            kind,
            POLICY,
            image,
            selector=AGENT.labels,
            match=[{"mode": "SERVER"}],
        )
    )
    assert_guarded(inbound, agent)
    # The agent's own calls go on as they are.
    assert outbound.get("/", headers={"Host": CHARLIE_HOST}).status_code == 200
    assert identity(charlie.only()) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_sidecar_outbound(kind, apply, image, inbound, outbound, agent, charlie):
    apply(
        plugin(
            kind,
            CALLS_OUT,
            image,
            selector=AGENT.labels,
            match=[{"mode": "CLIENT"}],
        )
    )

    def is_given_a_code():
        charlie.forget()
        assert outbound.get("/", headers={"Host": CHARLIE_HOST, "X-TOTP": "000000"}).status_code == 200
        return charlie.only().header("x-totp") != "000000"

    wait_until(is_given_a_code, PATIENCE_SECONDS, "charlie is sent a code")
    assert charlie.only().header("x-totp") in {totp(MRWHITE_SEED, -1), totp(MRWHITE_SEED)}
    # Nobody is asked who he is on his way in, and other calls are given nothing.
    agent.forget()
    assert inbound.get("/").status_code == 200
    assert outbound.get("/", headers={"Host": AGENT_HOST}).status_code == 200
    assert [request.values("x-totp") for request in agent.received] == [[], []]


@pytest.mark.parametrize("kind", KINDS)
def test_gateway(kind, apply, image, gateway, inbound, agent):
    """Istio marks a gateway's listeners OUTBOUND: it asks who is calling nevertheless."""
    apply(
        plugin(
            kind,
            POLICY,
            image,
            namespace=GATEWAY_NAMESPACE,
            selector=INGRESS.labels,
        )
    )
    assert_guarded(gateway, agent)
    assert inbound.get("/").status_code == 200


def test_variables_come_from_the_container_and_from_the_resource(apply, image, inbound):
    """`valueFrom: HOST` and `value`; names in texts are those of the node, too."""
    named = policy(
        rule("agent", ["jwt"], require={"totp": True}), errors={"realm": "${WORKLOAD}.${NAMESPACE}.${STAGE}"}
    )
    variables = [{"name": name, "valueFrom": "HOST"} for name in sorted(ENVIRONMENT)]
    variables.append({"name": "STAGE", "value": "trial"})
    apply(plugin("WasmPlugin", named, image, selector=AGENT.labels, vmConfig={"env": variables}))
    await_realm(inbound, f"{AGENT.name}.{AGENT.namespace}.trial")
    good = bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
    assert inbound.get("/", headers=good).status_code == 200


def test_a_connection_that_is_open_has_one_more_request_without_a_filter_that_comes(apply, image, inbound):
    """Istio drains listeners that change: a changed policy is in effect at once, a new filter on new connections."""
    with httpx.Client(base_url=inbound.base_url, trust_env=False, timeout=TIMEOUT_SECONDS) as open_already:
        assert open_already.get("/").status_code == 200
        apply(plugin("WasmPlugin", POLICY, image, selector=AGENT.labels, match=[{"mode": "SERVER"}]))
        await_status(lambda: inbound.get("/"), 401)
        last = open_already.get("/")
        assert (last.status_code, last.headers["connection"]) == (200, "close")
        assert open_already.get("/").status_code == 401
