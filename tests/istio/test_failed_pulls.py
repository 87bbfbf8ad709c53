"""A module that cannot be pulled: what callers see then depends on `failStrategy` alone."""

import time

import pytest

from mesh.watching import await_status
from mesh.world import AGENT, plugin
from support.cast import bearer, policy, rule, token

KINDS = ("WasmPlugin", "TrafficExtension")
POLICY = policy(rule("agent", ["jwt"]))

#: How often callers ask while nothing shall change.
TRIES = 20

#: In which something would have happened that shall not: changes are in effect within a quarter of that.
LONG_ENOUGH_SECONDS = 1


@pytest.fixture
def nowhere(registry):
    """The URL of an image that nobody has pushed."""
    return registry.image("nowhere") + "@sha256:" + "0" * 64


def guard(kind, url, **members):
    return plugin(kind, POLICY, url, selector=AGENT.labels, match=[{"mode": "SERVER"}], **members)


def ask(inbound):
    return inbound.get("/", headers=bearer(token()))


@pytest.mark.parametrize("strategy", ["FAIL_CLOSE", "FAIL_RELOAD"])
@pytest.mark.parametrize("kind", KINDS)
def test_closed_until_the_resource_changes(kind, strategy, apply, nowhere, image, inbound, agent):
    apply(guard(kind, nowhere, failStrategy=strategy))
    answer = await_status(lambda: ask(inbound), 403)
    assert answer.text == "RBAC: access denied"
    agent.forget()
    assert {ask(inbound).status_code for _ in range(TRIES)} == {403}
    assert agent.received == []
    apply(guard(kind, image, failStrategy=strategy))
    await_status(lambda: ask(inbound), 200)
    assert inbound.get("/").status_code == 401


@pytest.mark.parametrize("kind", KINDS)
def test_fail_open_lets_everybody_pass(kind, apply, nowhere, image, inbound):
    """Why no manifest of this project has it."""
    apply(guard(kind, nowhere, failStrategy="FAIL_OPEN"))
    forged = {"X-Agent-Peer": "admin"}
    answer = await_status(lambda: inbound.get("/", headers=forged), 200)
    assert answer.json()["caller"] == {"x-agent-peer": "admin"}
    apply(guard(kind, image, failStrategy="FAIL_OPEN"))
    await_status(lambda: inbound.get("/"), 401)


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_pull_replaces_a_filter_that_runs(kind, apply, nowhere, image, inbound):
    apply(guard(kind, image, failStrategy="FAIL_CLOSE"))
    await_status(lambda: inbound.get("/"), 401)
    apply(guard(kind, nowhere, failStrategy="FAIL_CLOSE"))
    await_status(lambda: ask(inbound), 403)
    apply(guard(kind, image, failStrategy="FAIL_CLOSE"))
    await_status(lambda: ask(inbound), 200)


def test_a_module_that_was_pulled_needs_its_registry_no_more(apply, image, inbound, registry):
    apply(guard("WasmPlugin", image))
    await_status(lambda: inbound.get("/"), 401)
    registry.stop()
    try:
        changed = policy(rule("agent", ["jwt"]), errors={"verbose": False})
        apply(plugin("WasmPlugin", changed, image, selector=AGENT.labels, match=[{"mode": "SERVER"}]))
        await_status(lambda: ask(inbound), 200)
    finally:
        registry.start()


def test_a_digest_that_is_another_is_not_run(apply, image, inbound):
    apply(
        guard("TrafficExtension", image.partition("@")[0] + ":v1", sha256="0" * 64, failStrategy="FAIL_CLOSE")
    )
    answer = await_status(lambda: ask(inbound), 403)
    assert answer.text == "RBAC: access denied"


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_not_tried_again_before_the_resource_changes(kind, apply, inbound, registry):
    name = f"later-{kind.lower()}"
    url = registry.image(name) + ":v1"
    resource = guard(kind, url)
    apply(resource)
    await_status(lambda: ask(inbound), 403)
    registry.push(name)
    pulls = registry.pulls()
    time.sleep(LONG_ENOUGH_SECONDS)
    assert ask(inbound).status_code == 403
    assert registry.pulls() == pulls
    # An annotation will do, as docs/runbook.md says: one that Istio looks at where the spec is the same.
    resource["metadata"]["annotations"] = {"istio.io/retried-at": "1795299181"}
    apply(resource)
    await_status(lambda: ask(inbound), 200)


def test_a_tag_that_is_moved_is_not_pulled(apply, inbound, registry):
    """Why all manifests name digests."""
    registry.push("moving")
    apply(guard("WasmPlugin", registry.image("moving") + ":v1"))
    await_status(lambda: inbound.get("/"), 401)
    registry.push_another("moving", b"no module at all")
    # The tool that pushes has asked, too.
    pulls = registry.pulls()
    time.sleep(LONG_ENOUGH_SECONDS)
    assert registry.pulls() == pulls
    assert ask(inbound).status_code == 200
