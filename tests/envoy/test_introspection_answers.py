"""What is made of answers about opaque tokens (RFC 7662 §2.2): those of a double, behind a real Envoy."""

import concurrent.futures
import threading
import time

import httpx
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import bearer
from support.client import Client, refusal
from support.exchange import CLIENT, CLIENT_SECRET, oauth_client
from support.introspection import (
    INACTIVE,
    OPAQUE,
    TIMEOUT_SECONDS,
    UNAVAILABLE,
    introspection,
    policy,
    rule,
)
from support.key_server_double import Reply, as_json
from support.keys import await_active
from support.oauth_client import JWT_BEARER_ASSERTION
from support.process import PATIENCE_SECONDS, wait_until
from support.registry import remember
from support.token_server_double import INTROSPECTION, TokenServerDouble
from support.token_server_double import refusal as refused


@pytest.fixture(scope="module")
def double():
    with TokenServerDouble("introspection") as double:
        yield double


@pytest.fixture(autouse=True)
def _forget_here(double):
    double.forget()


@pytest.fixture(scope="module")
def start(envoy, agent, double):
    """Starts an Envoy that asks the double."""

    def start(workers=1, **members):
        clients = {"sts": oauth_client(double.token_endpoint)}
        asked = introspection(double.introspection_endpoint, "sts", double.issuer, "sts", **members)
        rules = [
            rule("agent", "introspection:sts"),
            rule("optional", "introspection:sts", "none"),
            rule("scoped", "introspection:sts", scopes=["read", "write"]),
        ]
        environment = {"CLIENT_SECRET": CLIENT_SECRET}
        filters = [peergate(policy({"sts": asked}, clients, *rules), environment)]
        clusters = [cluster("agent", agent.port), cluster("sts", double.port)]
        configuration = bootstrap([listener("inbound", filters, "agent")], clusters)
        return Client(envoy(configuration, environment, workers=workers))

    return start


@pytest.fixture(scope="module")
def client(start):
    with start() as client:
        yield client


def ask(client, token, path="/agent"):
    """What a caller with this token gets."""
    return client.get(path, bearer(token))


def good(double, **changes):
    """An opaque token of a caller; `None` takes a member of what is said of it away."""
    token = double.opaque(sub="mrpink", aud=OPAQUE, scope="read")
    said = double.tokens[token] | changes
    double.tokens[token] = {name: value for name, value in said.items() if value is not None}
    return token


def test_a_request(client, double):
    token = good(double)
    assert ask(client, token).status_code == 200
    request = double.only_request()
    assert (request.received.method, request.received.target) == ("POST", INTROSPECTION)
    assert request.received.header("content-type") == "application/x-www-form-urlencoded"
    assert request.received.header("accept") == "application/json"
    assert request.basic == (CLIENT, CLIENT_SECRET)
    assert ("token", token) in request.members
    assert set(request.names) <= {"token", "token_type_hint"}
    assert JWT_BEARER_ASSERTION not in str(request.members)


def test_a_token_that_no_header_may_carry_is_not_asked_about(client, double):
    for bad in ("a b", "a,b", "x" * 9000):
        assert client.raw_get("/agent", b"authorization: Bearer " + bad.encode())[0] in (400, 401)
    assert double.requests == []


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"aud": "https://other.tests.example"},
        {"aud": ["https://other.tests.example"]},
        {"aud": f"{OPAQUE} https://other.tests.example"},
        {"iss": "https://other.tests.example"},
        {"exp": 1},
        {"nbf": 9_999_999_999},
        {"token_type": "DPoP"},
        {"exp": "tomorrow"},
    ],
    ids=["inactive", "aud", "aud in a list", "aud joined by a space", "iss", "exp", "nbf", "DPoP", "no exp"],
)
def test_what_is_refused(client, agent, double, changes):
    """The caller is not told which of it; the log says so."""
    assert refusal(ask(client, good(double, **changes))) == INACTIVE
    assert client.envoy.await_access_log(reason="token_inactive")["rule"] == "agent"
    assert agent.received == []


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"exp": None},
        {"aud": None},
        {"aud": ["https://other.tests.example", OPAQUE]},
        {"token_type": "bearer", "username": "Mr Pink", "nested": {"a": [1]}},
    ],
    ids=["no iss", "no exp", "no aud", "one of several aud", "more"],
)
def test_what_is_accepted(client, agent, double, changes):
    assert ask(client, good(double, **changes)).status_code == 200
    assert agent.only().header("x-agent-sub") == "mrpink"


@pytest.mark.parametrize(
    "scope", ["read write", ["read", "write"]], ids=["a text", "a list, as Spring has it"]
)
def test_scopes(client, double, scope):
    assert ask(client, good(double, scope=scope), "/scoped").status_code == 200
    assert ask(client, good(double), "/scoped").status_code == 403


@pytest.mark.parametrize("active", ["true", 1, None, [True]])
def test_only_true_is_active(client, agent, double, active):
    assert ask(client, good(double, active=active)).status_code in (401, 503)
    assert agent.received == []


def faults():
    """Answers that are none."""
    active = {"active": True, "sub": "mrpink", "aud": OPAQUE}
    return {
        "never": as_json(active, after=threading.Event()),
        "slow_drip": as_json(active, drip_seconds=0.1),
        "hangs_up": Reply(hang_up=True),
        "internal_error": as_json(active, status=500),
        "unauthorized": refused("invalid_client", status=401),
        "bad_request": refused("invalid_request"),
        "redirect": Reply(status=302, headers={"location": "/elsewhere"}),
        "empty": Reply(),
        "html": Reply(b"<html>Sign in</html>"),
        "garbage": Reply(b'{"active": tru'),
        "array": as_json([active]),
        "duplicate_members": Reply(b'{"active": false, "active": true, "sub": "mrpink"}'),
        "ten_megabytes": Reply(b'{"active": true, "sub": "' + b"a" * 10_000_000 + b'"}'),
    }


@pytest.mark.parametrize("name", faults())
def test_a_server_that_does_not_answer_lets_nobody_in(client, agent, double, name):
    """Nor does it say that the token is bad, and the next caller is asked about again."""
    double.always = faults()[name]
    token = good(double)
    began = time.monotonic()
    for path in ("/agent", "/optional"):
        answer = ask(client, token, path)
        assert refusal(answer) == UNAVAILABLE
        assert "retry-after" in answer.headers
    assert time.monotonic() - began < 2 * TIMEOUT_SECONDS + 2
    assert agent.received == []
    double.forget()
    assert ask(client, good(double)).status_code == 200


def test_a_server_that_is_down(envoy, agent):
    with TokenServerDouble("introspection-down") as double:
        uri, issuer = double.introspection_endpoint, double.issuer
        port = double.port
    clients = {"sts": oauth_client(f"{issuer}/token")}
    asked = introspection(uri, "sts", issuer, "sts")
    environment = {"CLIENT_SECRET": CLIENT_SECRET}
    filters = [peergate(policy({"sts": asked}, clients, rule("agent", "introspection:sts")), environment)]
    clusters = [cluster("agent", agent.port), cluster("sts", port)]
    started = envoy(bootstrap([listener("inbound", filters, "agent")], clusters), environment)
    with Client(started) as client:
        assert refusal(ask(client, remember("opaque token", "an-opaque-token-of-nobody"))) == UNAVAILABLE


def test_a_token_is_asked_about_once_in_a_while(client, double):
    token = good(double)
    for _ in range(3):
        assert ask(client, token).status_code == 200
    assert len(double.requests) == 1
    wait_until(
        lambda: ask(client, token).status_code == 200 and len(double.requests) > 1,
        PATIENCE_SECONDS,
        "it was asked about again",
    )


def test_not_longer_than_the_token_is_good(start, double):
    with start(cache_seconds=60) as client:
        token = good(double, exp=int(time.time()) + 2)
        assert ask(client, token).status_code == 200
        wait_until(
            lambda: len(double.requests) > 1 or ask(client, token).status_code == 401,
            PATIENCE_SECONDS + 60,
            "it is good no more",
        )


def test_two_tokens_are_two_callers(client, agent, double):
    for subject in ("mrpink", "mrwhite"):
        agent.forget()
        assert ask(client, good(double, sub=subject)).status_code == 200
        assert agent.only().header("x-agent-sub") == subject


def test_concurrent_callers_with_one_token_are_one_question(start, double):
    with start(workers=4) as client:
        double.after = threading.Event()
        token = good(double)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            waiting = [pool.submit(ask_apart, client, token) for _ in range(12)]
            await_active(client, 12)
            double.after.set()
            assert [each.result() for each in waiting] == [200] * 12
        assert len(double.requests) == 1


def ask_apart(client, token):
    """The status that a caller gets on a connection of its own."""
    url = f"http://127.0.0.1:{client.port}/agent"
    return httpx.get(url, headers=bearer(token), trust_env=False, timeout=20).status_code
