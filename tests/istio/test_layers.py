"""A default for the mesh, one for the namespace, and a workload's own: the shipped manifests, on one stream."""

import httpx
import pytest

from mesh.shipped import shipped
from mesh.watching import await_realm, await_status, await_true
from mesh.world import NAMESPACE
from support import crds
from support.cast import MRPINK_SEED, bearer
from support.client import refusal
from support.credentials import totp
from support.published import MRWHITE_KEY, mint

KINDS = ("wasmplugin", "trafficextension")

#: What the defaults make of `https://${WORKLOAD}.${NAMESPACE}.example` in the agent's sidecar.
FOR_THE_WORKLOAD = f"https://agent.{NAMESPACE}.example"


@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_policy_decides(kind, apply, kubernetes, image, inbound, agent):
    (mesh,), (namespace,), (own,) = (
        shipped(f"{kind}/{name}.yaml", image) for name in ("mesh", "namespace", "sidecar-inbound")
    )
    known = bearer(mint(FOR_THE_WORKLOAD))
    apply(mesh)
    await_realm(inbound, "mesh")
    assert inbound.get("/", headers=known).status_code == 200
    # Names of the node are in effect: the same token is no good for another workload.
    elsewhere = inbound.get("/", headers=bearer(mint(f"https://other.{NAMESPACE}.example")))
    assert refusal(elsewhere) == (401, "Invalid token audience")

    apply(namespace)
    await_realm(inbound, "agents")
    assert inbound.get("/", headers=known).status_code == 200

    apply(own)
    await_realm(inbound, "agent")
    assert refusal(inbound.get("/", headers=known)) == (401, "Invalid token audience")
    good = bearer(mint("https://agent.example")) | {"X-TOTP": totp(MRPINK_SEED)}
    agent.forget()
    assert inbound.get("/", headers=good).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"

    # And back again.
    kubernetes.delete(own)
    await_realm(inbound, "agents")
    kubernetes.delete(namespace)
    await_realm(inbound, "mesh")


@pytest.mark.parametrize("kind", KINDS)
def test_a_default_in_shadow_refuses_nobody(kind, apply, image, inbound, proxies):
    """By the two lines at the head of mesh.yaml. A rule in shadow is not that: nothing is behind it."""
    (mesh,) = shipped(f"{kind}/mesh.yaml", image)
    policy = crds.plugin(mesh)["pluginConfig"]
    apply(mesh)
    await_realm(inbound, "mesh")
    policy |= {"enforcement": "shadow", "insecure_shadow_all": True}
    apply(mesh)
    await_status(lambda: inbound.get("/"), 200)
    counters = f"{proxies['agent'].workload.prometheus}/stats/prometheus"
    counted = "_outcome_shadow_deny_reason_credentials_missing_rule_anybody_known"
    await_true(lambda: counted in httpx.get(counters, trust_env=False).text, "what would be is counted")
    del policy["enforcement"], policy["insecure_shadow_all"]
    policy["inbound"]["rules"][-1]["enforcement"] = "shadow"
    apply(mesh)
    await_status(lambda: inbound.get("/"), 403)


def test_a_canary_beside_a_policy_that_stands_aside(apply, kubernetes, image, registry, inbound):
    """As docs/runbook.md has it, with two modules. No request is refused on the way."""
    (own,) = shipped("wasmplugin/sidecar-inbound.yaml", image)
    apply(own)
    await_realm(inbound, "agent")
    good = bearer(mint("https://agent.example"))
    seen = set()

    def realm_is(realm):
        seen.add(inbound.get("/reports/1", headers={"X-Api-Key": MRWHITE_KEY}).status_code)
        return f'realm="{realm}"' in inbound.get("/", headers=good).headers["www-authenticate"]

    own["spec"]["pluginConfig"] |= {"fallback": True}
    own["spec"]["pluginConfig"]["inbound"]["errors"]["realm"] = "aside"
    apply(own)
    await_true(lambda: realm_is("aside"), "the old one decides alone")
    (canary,) = shipped("wasmplugin/sidecar-inbound.yaml", registry.push("canary"))
    canary["metadata"]["name"] = "peergate-inbound-canary"
    canary["spec"]["priority"] += 1
    canary["spec"]["pluginConfig"]["inbound"]["errors"]["realm"] = "canary"
    apply(canary)
    await_true(lambda: realm_is("canary"), "the canary decides, and the old one stands aside")
    kubernetes.delete(canary)
    await_true(lambda: realm_is("aside"), "the old one decides again")
    assert seen == {200}
