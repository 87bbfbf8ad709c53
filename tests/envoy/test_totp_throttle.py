"""Codes that fail: who waits then, and who does not."""

import pytest

from support.bootstrap import cluster, peergate
from support.cast import (
    ENVIRONMENT,
    MRPINK_SEED,
    MRWHITE_KEY,
    MRWHITE_SEED,
    PEERS,
    bearer,
    policy,
    rule,
    token,
)
from support.client import Client, problem, refusal
from support.credentials import totp, wrong_totp
from support.dynamic import Dynamic
from support.metrics import metric
from support.paths import OUTPUT
from support.process import PATIENCE_SECONDS, wait_until

INVALID = (401, "Invalid TOTP code")
THROTTLED = (429, "Too many failed TOTP codes")
#: A peer for each test: what is remembered of one says nothing of another.
NAMES = ["guessed", "victim", "shared", "many"]


def throttling(**members):
    accept = ["jwt", "api_key"]
    return policy(
        rule("agent", accept, require={"totp": True}),
        peers=PEERS | {name: {"totp_seeds": [{"env": "MRPINK_TOTP"}]} for name in NAMES},
        **members,
    )


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(throttling(), workers=2)


def tries(client, headers, count):
    """How so many requests were answered, each on a connection of its own: None where one was let in."""
    lines = [f"{name}: {value}".encode() for name, value in headers.items()]
    answers = [client.raw_get("/", *lines) for _ in range(count)]
    return [None if status == 200 else problem(status, body) for status, body in answers]


def right(token):
    return bearer(token) | {"X-TOTP": totp(MRPINK_SEED)}


def wrong(token):
    return bearer(token) | {"X-TOTP": wrong_totp(MRPINK_SEED)}


def test_guesses_over_many_connections_and_workers(client, agent):
    stolen = token("guessed")
    assert tries(client, wrong(stolen), 20) == [INVALID] * 5 + [THROTTLED] * 15
    assert tries(client, right(stolen), 10) == [THROTTLED] * 10
    answer = client.get("/", right(stolen))
    assert refusal(answer) == THROTTLED
    assert 280 <= int(answer.headers["retry-after"]) <= 300
    assert "www-authenticate" not in answer.headers
    assert agent.received == []
    # Another peer is free.
    headers = {"X-Api-Key": MRWHITE_KEY, "X-TOTP": totp(MRWHITE_SEED)}
    assert client.get("/", headers).status_code == 200
    client.envoy.await_access_log(reason="totp_throttled", status=429, peer="guessed")
    assert metric(client.envoy, "peergate_requests_total", reason="totp_throttled", outcome="deny") >= 19


def test_a_victim_is_not_locked_out(client, agent):
    """Neither by who has no good first factor, nor by a thief of another token of the same peer."""
    code = {"X-TOTP": wrong_totp(MRPINK_SEED)}
    stale = bearer(token("victim", aud="https://another.example")) | code
    assert {status for status, _ in tries(client, stale, 8) + tries(client, code, 8)} == {401}
    stolen = token("victim", jti="stolen")
    assert tries(client, wrong(stolen), 8) == [INVALID] * 5 + [THROTTLED] * 3
    owners = token("victim", jti="owners")
    assert tries(client, right(owners), 8) == [None] * 8
    assert [request.header("x-agent-peer") for request in agent.received] == ["victim"] * 8


def test_thief_and_owner_share_a_token(client):
    """A success resets nothing."""
    shared = token("shared")
    for _ in range(5):
        assert tries(client, right(shared), 4) == [None] * 4
        assert refusal(client.get("/", wrong(shared))) == INVALID
    assert refusal(client.get("/", wrong(shared))) == THROTTLED
    assert refusal(client.get("/", right(shared))) == THROTTLED


def test_many_stolen_tokens_have_a_ceiling(client):
    statuses = []
    for number in range(25):
        headers = wrong(token("many", jti=str(number)))
        statuses += [client.get("/", headers).status_code for _ in range(5)]
    assert statuses == [401] * 100 + [429] * 25


def test_a_grpc_caller_is_told_that_resources_are_exhausted(client):
    headers = wrong(token("mrpink", jti="grpc")) | {"content-type": "application/grpc"}
    answers = [client.request("POST", "/a.B/C", headers) for _ in range(6)]
    assert [answer.headers["grpc-status"] for answer in answers] == ["16"] * 5 + ["8"]


def test_the_throttle_outlives_a_change_of_the_policy(envoy, agent):
    dynamic = Dynamic("listener", OUTPUT / "envoy/dynamic", "totp-throttle")
    dynamic.put(peergate(throttling(), ENVIRONMENT))
    running = envoy(dynamic.bootstrap(cluster("agent", agent.port)), ENVIRONMENT, workers=2)
    stolen = token("guessed")
    changed = policy(
        rule("changed", ["jwt"], require={"totp": {"window_steps": 0}}),
        peers={"guessed": {"totp_seeds": [{"env": "MRWHITE_TOTP"}, {"env": "MRPINK_TOTP"}]}},
        totp={"throttle": {"window_seconds": 200}},
    )
    with Client(running) as client:
        assert tries(client, wrong(stolen), 5) == [INVALID] * 5
        dynamic.put(peergate(changed, ENVIRONMENT))

        def is_changed():
            assert tries(client, right(stolen), 1) == [THROTTLED]
            return any(line["rule"] == "changed" for line in running.access_log())

        wait_until(is_changed, PATIENCE_SECONDS, "the policy has changed")
        running.await_access_log(rule="changed", reason="totp_throttled")
    with Client(running) as client:
        # What was seen before counts for as long as it did then.
        assert 200 < int(client.get("/", right(stolen)).headers["retry-after"]) <= 300
