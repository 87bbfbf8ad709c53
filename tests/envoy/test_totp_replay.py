"""Codes that come again, at several workers of one Envoy."""

import re
import time

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import (
    ENVIRONMENT,
    MRPINK_NEXT_SEED,
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
from support.credentials import STEP_SECONDS, totp
from support.dynamic import Dynamic
from support.metrics import metric
from support.paths import OUTPUT
from support.process import PATIENCE_SECONDS, wait_until
from support.stage import Answer, Stage

INVALID = (401, "Invalid TOTP code")
#: Each is a peer with mrpink's seed, so that every round of a race has a code of its own.
RACERS = [f"racer-{number}" for number in range(60)]
CONNECTIONS = 6


def once(name, path, **members):
    accept = ["jwt", "api_key"]
    return rule(name, accept, path, require={"totp": {"replay": "one_time"}}, **members)


def replaying(**members):
    return policy(
        once("once", "/once"),
        once("mcp", "/mcp", protocol="mcp"),
        rule("bound", ["jwt"], "/bound", require={"totp": {"replay": "per_token"}}),
        rule("agent", ["jwt", "api_key"], require={"totp": True}),
        peers=PEERS | {name: {"totp_seeds": [{"env": "MRPINK_TOTP"}]} for name in RACERS},
        **members,
    )


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(replaying(), workers=2)


@pytest.fixture
def connections(client):
    """Connections of both workers. The kernel deals them out by chance: one time in 32 one worker gets all."""
    opened, by_worker = [], [0]
    while min(by_worker) == 0:
        close(opened)
        before = connections_by_worker(client.envoy)
        opened += (client.connection() for _ in range(CONNECTIONS))
        wanted = sum(before) + CONNECTIONS
        wait_until(
            lambda wanted=wanted: sum(connections_by_worker(client.envoy)) >= wanted,
            PATIENCE_SECONDS,
            "all are taken",
        )
        after = connections_by_worker(client.envoy)
        by_worker = [later - earlier for later, earlier in zip(after, before, strict=True)]
    yield opened
    close(opened)


def close(connections):
    while connections:
        connections.pop().close()


def connections_by_worker(envoy):
    """How many each worker has had."""
    listeners = envoy.admin("/stats?filter=listener.*worker_.*downstream_cx_total")
    return [int(line.rpartition(" ")[2]) for line in listeners.splitlines() if "admin" not in line]


def fresh(subject, path, **claims):
    """A request with a token of its own and the code of the moment."""
    lines = [f"GET {path} HTTP/1.1", "Host: agent.tests.example", f"X-TOTP: {totp(MRPINK_SEED)}"]
    lines += [f"{name}: {value}" for name, value in bearer(token(subject, **claims)).items()]
    return "\r\n".join([*lines, "", ""]).encode()


def race(connections, requests):
    """Sends a request on each connection, all but its last byte, and then the last bytes; how they were answered."""
    for connection, request in zip(connections, requests, strict=True):
        connection.sendall(request[:-1])
    for connection in connections:
        connection.sendall(b"\n")
    return [status(connection) for connection in connections]


def status(connection):
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, body = answer.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split(b" ")[1])


def early_in_a_step():
    """So that what follows fits into one step."""
    left = STEP_SECONDS - time.time() % STEP_SECONDS
    if left < 3:
        time.sleep(left)


def test_of_racing_requests_one_wins(client, connections, agent):
    """Each round is a new code, and every request of it has a token of its own."""
    for racer in RACERS:
        requests = [fresh(racer, "/once", jti=str(number)) for number in range(CONNECTIONS)]
        assert sorted(race(connections, requests)) == [200] + [401] * (CONNECTIONS - 1), racer
    assert len(agent.received) == len(RACERS)
    by_worker = connections_by_worker(client.envoy)
    assert len(by_worker) == 2
    assert min(by_worker) > 0, "both workers have taken part"
    replayed = metric(client.envoy, "peergate_requests_total", reason="totp_replayed", rule="once")
    assert replayed == len(RACERS) * (CONNECTIONS - 1)


def test_of_racing_tokens_one_has_the_code(connections):
    for racer in RACERS[:20]:
        requests = [fresh(racer, "/bound", jti=str(number)) for number in range(CONNECTIONS)]
        assert sorted(race(connections, requests)) == [200] + [401] * (CONNECTIONS - 1), racer


def test_a_code_is_used_up_whatever_it_comes_with(client):
    early_in_a_step()
    code = {"X-TOTP": totp(MRWHITE_SEED)}
    lines = [f"X-Api-Key: {MRWHITE_KEY}".encode(), f"X-TOTP: {totp(MRWHITE_SEED)}".encode()]
    # A connection for each, so that both workers meet it.
    statuses = [client.raw_get("/once", *lines)[0] for _ in range(8)]
    assert statuses == [200] + [401] * 7
    owners = bearer(token("mrwhite"))
    assert refusal(client.get("/once", owners | code)) == INVALID
    assert refusal(client.get("/once", owners | {"X-TOTP": totp(MRWHITE_SEED, -1)})) == INVALID
    # Where codes may come again, it may.
    assert client.get("/", owners | code).status_code == 200
    assert client.get("/once", owners | {"X-TOTP": totp(MRWHITE_SEED, 1)}).status_code == 200


def test_a_code_of_the_next_seed_is_no_newer_one(client):
    early_in_a_step()
    good = bearer(token())
    assert client.get("/once", good | {"X-TOTP": totp(MRPINK_SEED)}).status_code == 200
    assert refusal(client.get("/once", good | {"X-TOTP": totp(MRPINK_NEXT_SEED)})) == INVALID
    mcp = client.get("/mcp", good | {"X-TOTP": totp(MRPINK_SEED)})
    assert (mcp.status_code, mcp.json()["error"]["message"]) == (403, "Invalid TOTP code")
    client.envoy.await_access_log(reason="totp_replayed", rule="mcp", status=403, peer="mrpink")


def test_used_codes_outlive_a_change_of_the_policy(envoy, agent):
    """Rules, limits and seeds change while the proxy runs."""
    dynamic = Dynamic("listener", OUTPUT / "envoy/dynamic", "totp-replay")
    dynamic.put(peergate(replaying(), ENVIRONMENT))
    running = envoy(dynamic.bootstrap(cluster("agent", agent.port)), ENVIRONMENT, workers=2)
    early_in_a_step()
    with Client(running) as client:
        code = bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
        assert client.get("/once", code).status_code == 200
        changed = policy(once("changed", "/"), limits={"token_cache_entries": 0})
        changed["inbound"]["totp"] = {"throttle": {"max_failures": 9}}
        dynamic.put(peergate(changed, ENVIRONMENT))
        lines = [f"{name}: {value}".encode() for name, value in code.items()]

        def is_changed():
            assert problem(*client.raw_get("/once", *lines)) == INVALID
            return any(line["rule"] == "changed" for line in running.access_log())

        wait_until(is_changed, PATIENCE_SECONDS, "the policy has changed")
        running.await_access_log(rule="changed", reason="totp_replayed")


def test_a_redirect_that_envoy_follows_carries_no_code(envoy):
    """The code is used up by the first run, and the second one is not given it: it is asked for a code of its own."""
    follow = {"max_internal_redirects": 1, "redirect_response_codes": [302]}
    follow["allow_cross_scheme_redirect"] = True
    with Stage("redirecting") as stage:
        route = {"cluster": "agent", "internal_redirect_policy": follow}
        host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
        built = policy(once("once", "/"), provider={"forward": True})
        filters = [peergate(built, ENVIRONMENT)]
        routes = {"route_config": {"virtual_hosts": [host]}}
        inbound = listener("inbound", filters, {}, "INBOUND", **routes)
        running = envoy(bootstrap([inbound], [cluster("agent", stage.port)]), ENVIRONMENT)
        with Client(running) as client:
            stage.play("/first", Answer(302, {"location": "http://agent.tests.example/second"}))
            headers = {"Host": "agent.tests.example", "X-TOTP": totp(MRPINK_SEED)} | bearer(token())
            assert refusal(client.get("/first", headers)) == (401, "Missing X-TOTP header")
            assert stage.only().path == "/first"
            # And so does one that is not followed use up one code.
            assert refusal(client.get("/third", headers)) == INVALID
