"""Should a module ever trap: with the failure policy that is shipped, the request is refused, not let through."""

from pathlib import Path

import pytest
import wasmtime
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client
from support.paths import DEMO_CONFIGURATION, OUTPUT
from support.process import PATIENCE_SECONDS, wait_until


@pytest.fixture(scope="module")
def trapping_module():
    """`trap.wat`, assembled."""
    module = OUTPUT / "envoy/trap.wasm"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_bytes(wasmtime.wat2wasm(Path(__file__).with_name("trap.wat").read_text(encoding="utf-8")))
    return module


@pytest.fixture(scope="module")
def client(envoy, agent, trapping_module):
    filters = [peergate({"version": 1}, module=trapping_module)]
    running = envoy(bootstrap([listener("inbound", filters, "agent")], [cluster("agent", agent.port)]))
    with Client(running) as client:
        yield client


def counted(client, what):
    """A counter of the filter's virtual machines."""
    name, _, value = client.envoy.admin(f"/stats?filter=^wasm.peergate.{what}$").strip().partition(": ")
    assert name == f"wasm.peergate.{what}"
    return int(value)


def test_a_trap_refuses_the_request_and_a_new_machine_serves_the_next(client, agent):
    assert client.get("/before").status_code == 200
    for _ in range(3):
        assert client.request("POST", "/trap", content=b"a body").status_code == 503
    assert [request.path for request in agent.received] == ["/before"]
    wait_until(lambda: client.get("/after").status_code == 200, PATIENCE_SECONDS, "a new machine serves")
    assert [request.path for request in agent.received] == ["/before", "/after"]
    # An alert asks for this (observability/alerts.yaml). `vm_reload` itself counts something else.
    assert counted(client, "vm_reload_success") >= 1


def test_what_is_shipped_has_the_policy_that_was_tested_here():
    tested = peergate({})["typed_config"]["config"]["failure_policy"]
    demo = yaml.safe_load(DEMO_CONFIGURATION.read_text(encoding="utf-8"))
    managers = [
        filters["typed_config"]
        for listener in demo["static_resources"]["listeners"]
        for chain in listener["filter_chains"]
        for filters in chain["filters"]
    ]
    shipped = [manager["http_filters"][0]["typed_config"]["config"] for manager in managers]
    assert [config["failure_policy"] for config in shipped] == [tested, tested] == ["FAIL_RELOAD"] * 2
