"""A default for the mesh, one for the namespace, and a workload's own: the shipped manifests, on one stream."""

import pytest

from mesh.shipped import shipped
from mesh.watching import await_realm
from mesh.world import NAMESPACE
from support.cast import MRPINK_SEED, bearer
from support.client import refusal
from support.credentials import totp
from support.published import mint

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
