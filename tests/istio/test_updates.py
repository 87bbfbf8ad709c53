"""What becomes of callers while the policy or the module changes: nobody is lost."""

import httpx
import pytest

from mesh.watching import await_realm, await_status
from mesh.world import AGENT, INBOUND, plugin
from support.cast import bearer, policy, rule, token
from support.client import TIMEOUT_SECONDS
from support.load import Load
from support.paths import MODULE
from support.process import PATIENCE_SECONDS, wait_until

KINDS = ("WasmPlugin", "TrafficExtension")


def guard(**inbound):
    """Tokens, without a second factor."""
    return policy(rule("agent", ["jwt"]), **inbound)


@pytest.fixture
def on_the_sidecar(apply, image):
    """Applies a policy to the agent's sidecar, and waits until strangers are kept out."""

    def put(kind, policy, url=image, **members):
        apply(plugin(kind, policy, url, selector=AGENT.labels, match=[{"mode": "SERVER"}], **members))

    return put


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_the_policy_loses_no_request(kind, on_the_sidecar, inbound):
    good = token()
    on_the_sidecar(kind, guard(errors={"realm": "before"}))
    await_realm(inbound, "before")
    with Load(INBOUND, lambda: [good]) as load, open_connection(inbound) as open_already:
        load.flows()
        assert 'realm="before"' in open_already.get("/").headers["www-authenticate"]
        on_the_sidecar(kind, guard(errors={"realm": "after"}))
        await_realm(inbound, "after")
        # What is open already is asked by the new one, too.
        assert 'realm="after"' in open_already.get("/").headers["www-authenticate"]
        load.flows()
    assert load.refused() == []


def open_connection(inbound):
    """A client that keeps its connection."""
    return httpx.Client(base_url=inbound.base_url, trust_env=False, timeout=TIMEOUT_SECONDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_the_module_loses_no_request(kind, on_the_sidecar, inbound, registry):
    """Another digest: the same code, but for a custom section with a name that nobody reads."""
    good = token()
    on_the_sidecar(kind, guard())
    await_status(lambda: inbound.get("/"), 401)
    # WebAssembly core specification, 5.5.3: section 0, its size, the length of its name, its name.
    name = kind.encode()
    section = b"\x00" + bytes([1 + len(name), len(name)]) + name
    other = registry.push_another("another", MODULE.read_bytes() + section)
    pulled = registry.pulls()
    with Load(INBOUND, lambda: [good]) as load:
        load.flows()
        on_the_sidecar(kind, guard(errors={"realm": "other"}), other)
        await_realm(inbound, "other")
        load.flows()
    assert load.refused() == []
    assert registry.pulls() > pulled


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_that_is_refused_leaves_the_last_one_in_effect(kind, on_the_sidecar, inbound, proxies):
    good = token()
    on_the_sidecar(kind, guard())
    await_status(lambda: inbound.get("/"), 401)
    bad = guard()
    bad["inbound"]["rulez"] = bad["inbound"].pop("rules")
    log = proxies[AGENT.name].daemon
    with Load(INBOUND, lambda: [good]) as load:
        load.flows()
        on_the_sidecar(kind, bad)
        wait_until(lambda: "rulez" in log.log(), PATIENCE_SECONDS, "the proxy's log says why")
        load.flows()
        assert inbound.get("/").status_code == 401
    assert load.refused() == []
    # What puts it right is in effect at once.
    on_the_sidecar(kind, guard(errors={"realm": "right"}))
    await_realm(inbound, "right")


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_that_is_refused_at_first_lets_nobody_in(kind, on_the_sidecar, inbound, agent):
    # A name that no filter had: while a listener drains that had one, its last good policy is in effect.
    name = f"first-{kind.lower()}"
    on_the_sidecar(kind, {"version": 1, "inbound": {"rulez": []}}, name=name)
    answer = await_status(lambda: inbound.get("/", headers=bearer(token())), 500)
    assert answer.text == ""
    agent.forget()
    assert inbound.get("/").status_code == 500
    assert agent.received == []
    on_the_sidecar(kind, guard(), name=name)
    await_status(lambda: inbound.get("/", headers=bearer(token())), 200)


def test_what_was_deleted_lives_on_while_its_listener_drains(on_the_sidecar, inbound, kubernetes, proxies):
    """A resource that comes again under its name begins with the last good policy of that name, not with nothing."""
    place = {"selector": AGENT.labels, "match": [{"mode": "SERVER"}]}
    resource = plugin(
        "WasmPlugin", guard(errors={"realm": "deleted"}), "file:///nowhere", name="again", **place
    )
    on_the_sidecar("WasmPlugin", guard(errors={"realm": "deleted"}), name="again")
    await_realm(inbound, "deleted")
    kubernetes.delete(resource)
    proxies[AGENT.name].await_no_extension()
    await_status(lambda: inbound.get("/"), 200)
    on_the_sidecar("WasmPlugin", {"version": 1, "inbound": {"rulez": []}}, name="again")
    await_realm(inbound, "deleted")
