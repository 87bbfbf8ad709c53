"""Key sets and Envoy's workers: one asks for all, where they may share, and a policy that changes loses nothing."""

import contextlib
from itertools import pairwise

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, claims, policy, rule
from support.client import Client
from support.credentials import new_secret
from support.dynamic import Dynamic
from support.key_faults import KEY
from support.key_server_double import DISCOVERY, JWKS, KeyServerDouble, Reply
from support.keys import discovered, everywhere, get
from support.load import Load
from support.paths import OUTPUT
from support.process import PATIENCE_SECONDS, wait_until

SHARED_STATE_KEY = new_secret("shared state key")


def test_several_workers_ask_once(sidecar):
    """At the start and at each refresh, however many there are."""
    with KeyServerDouble("shared", [KEY]) as double:
        provider = discovered(double, "idp", seconds=1)
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), workers=4, idp=double.port)
        token = double.token(KEY, claims)
        with Load(client.port, lambda: [token], callers=6) as load:
            wait_until(lambda: double.calls() >= 4, PATIENCE_SECONDS, "it was asked four times")
        assert load.refused() == []
        gaps = gaps_between(double.times[JWKS])
        # 80 to 95 % of a second, less what a call may be late and the next is not.
        assert min(gaps) > 0.6, gaps


def test_workers_ask_for_themselves_where_nothing_may_be_shared(envoy, agent):
    """Without a `vm_id` of its own, as in Istio, and without `shared_state_key`."""
    with KeyServerDouble("apart", [KEY]) as double, unnamed(envoy, agent, double, workers=2) as client:
        token = double.token(KEY, claims)
        assert everywhere(client, token) == {200}
        assert 2 <= double.calls() <= 4


def test_workers_ask_once_where_what_they_share_is_sealed(envoy, agent):
    with KeyServerDouble("sealed", [KEY]) as double:
        sealing = {"shared_state_key": {"env": "SHARED_STATE_KEY"}}
        with unnamed(envoy, agent, double, workers=2, **sealing) as client:
            token = double.token(KEY, claims)
            assert everywhere(client, token) == {200}
            assert double.calls() == 1


@pytest.mark.parametrize("shares", [True, False], ids=["shared", "each worker for itself"])
def test_a_policy_that_changes_while_the_provider_is_down(envoy, agent, shares):
    """The keys of before are as good as they were: it is in an outage that an operator changes a policy."""
    with KeyServerDouble("down", [KEY]) as double:
        dynamic = Dynamic("listener", OUTPUT / "envoy/dynamic", "keys-shared" if shares else "keys-apart")

        def put(name, **cache):
            provider = discovered(double, "idp", **cache)
            filters = peergate(policy(rule(name, ["jwt"]), provider=provider), ENVIRONMENT)
            if not shares:
                del filters["typed_config"]["config"]["vm_config"]["vm_id"]
            dynamic.put(filters)

        put("before")
        clusters = [cluster("agent", agent.port), cluster("idp", double.port)]
        running = envoy(dynamic.bootstrap(*clusters), ENVIRONMENT)
        token = double.token(KEY, claims)
        with Client(running) as client:
            assert get(client, token).status_code == 200
            for path in (DISCOVERY, JWKS):
                double.reply(path, Reply(status=503))
            with Load(client.port, lambda: [token]) as load:
                put("another-rule")
                running.await_access_log(rule="another-rule")
                put("another-cache", max_stale_seconds=7200)
                running.await_access_log(rule="another-cache")
                load.flows()
        assert load.refused() == []


def gaps_between(times):
    return [later - earlier for earlier, later in pairwise(times)]


@contextlib.contextmanager
def unnamed(envoy, agent, double, workers, **members):
    """A client of an Envoy whose virtual machines have no name, as Istio makes them."""
    environment = ENVIRONMENT | {"SHARED_STATE_KEY": SHARED_STATE_KEY}
    provider = discovered(double, "idp")
    filters = peergate(policy(rule("agent", ["jwt"]), provider=provider) | members, environment)
    del filters["typed_config"]["config"]["vm_config"]["vm_id"]
    clusters = [cluster("agent", agent.port), cluster("idp", double.port)]
    started = envoy(
        bootstrap([listener("inbound", [filters], "agent")], clusters), environment, workers=workers
    )
    with Client(started) as client:
        yield client
