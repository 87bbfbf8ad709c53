"""Tokens for upstreams that do not come: nothing is injected, and nobody learns why but the operator.

The faults are a double's: what it answers here no server in the tests does by itself.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import token
from support.client import Client, refusal
from support.exchange import CLIENT, CLIENT_SECRET, ENVIRONMENT, call, injected, oauth_client, policy, rule
from support.key_server_double import Reply, as_json
from support.keys import await_active
from support.ports import free_port
from support.process import PATIENCE_SECONDS, wait_until
from support.registry import remember
from support.token_server_double import TokenServerDouble
from support.token_server_double import refusal as refused

#: So long the filter waits for the server.
TIMEOUT_SECONDS = 1

UNAVAILABLE = (503, "Token service unavailable")
REFUSED = (502, "Unable to get a token for the upstream")

#: What stands in bad answers, and must never be seen again.
LEAKED = remember("secret in a bad answer", "leaked-by-the-token-server")

GOOD = {"access_token": LEAKED, "token_type": "Bearer", "expires_in": 300}


@dataclass(frozen=True)
class Fault:
    """A fault, what the caller is told, and what the log says of it."""

    reply: Callable[[], Reply]
    told: tuple[int, str] = REFUSED
    says: str = ""


def without(name: str) -> Reply:
    """A good answer that lacks a member."""
    return as_json({each: value for each, value in GOOD.items() if each != name})


def changed(**members: object) -> Reply:
    """A good answer with other members."""
    return as_json(GOOD | members)


def never() -> Reply:
    """The answer comes when nobody waits for it."""
    return as_json(GOOD, after=threading.Event())


TEN_MEGABYTES = b'{"access_token": "' + b"a" * 10_000_000 + b'", "token_type": "Bearer"}'

FAULTS = {
    # Answers that are none.
    "never": Fault(never, UNAVAILABLE),
    "slow_drip": Fault(lambda: as_json(GOOD, drip_seconds=0.1), UNAVAILABLE),
    "hangs_up": Fault(lambda: Reply(hang_up=True), UNAVAILABLE),
    "cut_off": Fault(lambda: as_json(GOOD, cut_off=5), UNAVAILABLE),
    "internal_error": Fault(lambda: as_json(GOOD, status=500), UNAVAILABLE),
    "unavailable": Fault(lambda: as_json(GOOD, status=503), UNAVAILABLE),
    "too_many_requests": Fault(lambda: refused("slow_down", status=429)),
    # Answers that are no tokens.
    "redirect": Fault(lambda: Reply(status=302, headers={"location": "/elsewhere"})),
    "created": Fault(lambda: as_json(GOOD, status=201)),
    "no_content": Fault(lambda: Reply(status=204)),
    "empty": Fault(lambda: Reply(headers={"content-type": "application/json"})),
    "html": Fault(lambda: Reply(b"<html>Sign in</html>", headers={"content-type": "text/html"})),
    "garbage": Fault(lambda: Reply(b'{"access_token": ')),
    "no_utf8": Fault(lambda: Reply(b'{"access_token": "\xff", "token_type": "Bearer"}')),
    "array": Fault(lambda: as_json([GOOD])),
    "nested_deeply": Fault(lambda: Reply(b'{"a":' * 100_000)),
    "ten_megabytes": Fault(lambda: Reply(TEN_MEGABYTES)),
    "duplicate_members": Fault(
        lambda: Reply(b'{"access_token": "one-token", "access_token": "another", "token_type": "Bearer"}')
    ),
    "no_access_token": Fault(lambda: without("access_token")),
    "no_token_type": Fault(lambda: without("token_type")),
    "empty_access_token": Fault(lambda: changed(access_token="")),
    "access_token_of_another_type": Fault(lambda: changed(access_token=[LEAKED])),
    "not_applicable": Fault(lambda: changed(token_type="N_A")),
    "dpop": Fault(lambda: changed(token_type="DPoP")),
    "mac": Fault(lambda: changed(token_type="mac")),
    "line_feed_in_the_token": Fault(lambda: changed(access_token=f"{LEAKED}\r\nx-admin: true")),
    "nul_in_the_token": Fault(lambda: changed(access_token=f"{LEAKED}\0")),
    "space_in_the_token": Fault(lambda: changed(access_token=f"{LEAKED} more")),
    "letters_beyond_ascii_in_the_token": Fault(lambda: changed(access_token=f"{LEAKED}ü")),
    "comma_in_the_token": Fault(lambda: changed(access_token=f"{LEAKED},more")),
    "expires_in_negative": Fault(lambda: changed(expires_in=-1)),
    "expires_in_a_string": Fault(lambda: changed(expires_in="300")),
    "token_of_a_megabyte": Fault(lambda: changed(access_token="a" * 1_000_000)),
    # Refusals.
    "invalid_client": Fault(lambda: refused("invalid_client", status=401), says="invalid_client"),
    "invalid_grant": Fault(lambda: refused("invalid_grant"), says="invalid_grant"),
    "access_denied": Fault(lambda: refused("access_denied", status=403), says="access_denied"),
    "not_found": Fault(lambda: Reply(b"not here", status=404)),
    "line_feed_in_the_error": Fault(lambda: refused(f"invalid\r\n[critical] {LEAKED}", "a\nb")),
    "secret_in_the_error": Fault(lambda: refused("invalid_request", f"{LEAKED} {CLIENT_SECRET}")),
    "error_of_a_megabyte": Fault(lambda: refused("e" * 1_000_000)),
}

#: Answers that look odd, and are good.
ODD = {
    "lower_case_bearer": {"token_type": "bearer"},
    "upper_case_bearer": {"token_type": "BEARER"},
    "further_members": {"refresh_token": LEAKED, "nested": {"access_token": LEAKED}},
    "expires_in_missing": {"expires_in": None},
    "expires_in_zero": {"expires_in": 0},
    "expires_in_huge": {"expires_in": 10**30},
    "expires_in_a_fraction": {"expires_in": 299.5},
    "another_issued_type_where_none_was_asked_for": {
        "issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"
    },
}


@pytest.fixture(scope="module")
def double():
    with TokenServerDouble("token-server-faults") as double:
        yield double


@pytest.fixture(autouse=True)
def _forget_here(double):
    double.forget()


def quick(double, port=None):
    """A client that does not wait long."""
    client = oauth_client(f"http://127.0.0.1:{port or double.port}/token")
    client["token_endpoint"]["timeout_seconds"] = TIMEOUT_SECONDS
    return client


@pytest.fixture(scope="module")
def client(envoy, api, double):
    """One server, one that is down, and a cluster that is not there."""
    down = quick(double)
    down["token_endpoint"]["cluster"] = "down"
    nowhere = quick(double)
    nowhere["token_endpoint"]["cluster"] = "nowhere"
    rules = [
        rule("plain", audience=["a"]),
        rule("requested", requested_token_type="access_token"),
        rule("down", "down"),
        rule("nowhere", "nowhere"),
        rule("strip", on_failure="insecure_strip"),
        rule("forward", on_failure="insecure_forward"),
        rule("own", grant="client_credentials"),
        rule("actor", actor="client_credentials"),
    ]
    filters = [
        peergate(policy({"sts": quick(double), "down": down, "nowhere": nowhere}, *rules), ENVIRONMENT)
    ]
    clusters = [cluster("api", api.port), cluster("sts", double.port), cluster("down", free_port())]
    started = envoy(bootstrap([listener("outbound", filters, "api", "OUTBOUND")], clusters), ENVIRONMENT)
    with Client(started, "outbound") as client:
        yield client


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_injected_and_nothing_is_told(client, api, double, name):
    fault = FAULTS[name]
    double.always = fault.reply()
    mine = token()
    began = time.monotonic()
    answer = call(client, "plain", mine)
    assert time.monotonic() - began < TIMEOUT_SECONDS + 2
    assert refusal(answer) == fault.told
    assert api.received == []
    assert len(double.requests) == 1
    told = str(answer.headers) + answer.text
    for secret in (LEAKED, CLIENT_SECRET, mine, "invalid_", "denied", CLIENT):
        assert secret not in told
    if fault.says:
        client.envoy.await_log(fault.says)


@pytest.mark.parametrize("name", FAULTS)
def test_a_server_that_was_bad_is_good_again(client, api, double, name):
    """For another caller at once: what went wrong is remembered for the one token at most."""
    double.always = FAULTS[name].reply()
    call(client, "plain", token())
    double.forget()
    assert call(client, "plain", token()).status_code == 200
    assert injected(api)["sub"] == "mrpink"


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_good(client, api, double, name):
    double.changes = ODD[name]
    assert call(client, "plain", token()).status_code == 200
    assert injected(api)["sub"] == "mrpink"
    assert LEAKED not in str(api.only().headers)


@pytest.mark.parametrize("issued", ["refresh_token", "id_token", None])
def test_another_type_than_was_asked_for(client, api, double, issued):
    """RFC 8693 §2.2.1 has it in every answer to an exchange."""
    double.changes = {"issued_token_type": issued and f"urn:ietf:params:oauth:token-type:{issued}"}
    assert refusal(call(client, "requested", token())) == REFUSED
    assert api.received == []


def test_no_line_of_the_log_is_the_servers(client, double):
    for name in ("line_feed_in_the_error", "secret_in_the_error", "error_of_a_megabyte"):
        double.always = FAULTS[name].reply()
        call(client, "plain", token())
    call(client, "own")
    log = client.envoy.log()
    for line in log.splitlines():
        assert not line.startswith(("[critical]", "b\r", "b\n"))
        assert len(line) < 4096
    assert LEAKED not in log
    assert CLIENT_SECRET not in log


@pytest.mark.parametrize("name", ["down", "nowhere"])
def test_a_server_that_is_not_there(client, api, name):
    assert refusal(call(client, name, token())) == UNAVAILABLE
    assert api.received == []


def test_the_client_itself_gets_none(client, api, double):
    double.always = refused("invalid_client", status=401)
    for name in ("own", "actor"):
        assert refusal(call(client, name, token())) == REFUSED
    assert api.received == []


@pytest.mark.parametrize("name", ["never", "internal_error", "invalid_grant", "no_access_token"])
def test_without_a_token(client, api, double, name):
    double.always = FAULTS[name].reply()
    assert call(client, "strip", token()).status_code == 200
    assert api.only().values("authorization") == []


@pytest.mark.parametrize("name", ["never", "internal_error", "invalid_grant", "no_access_token"])
def test_with_the_callers_own(client, api, double, name):
    double.always = FAULTS[name].reply()
    mine = token()
    assert call(client, "forward", mine).status_code == 200
    assert api.only().values("authorization") == [f"Bearer {mine}"]


def test_a_good_answer_is_used_all_the_same(client, api):
    for name in ("strip", "forward"):
        api.forget()
        assert call(client, name, token()).status_code == 200
        assert injected(api)["sub"] == "mrpink"


@pytest.mark.parametrize("name", ["strip", "forward"])
def test_a_subject_that_does_not_verify_is_no_failure_of_the_server(client, api, double, name):
    assert call(client, name, token(exp=int(time.time()) - 600)).status_code == 401
    assert (api.received, double.requests) == ([], [])


def test_callers_that_leave_while_they_wait(client, api, double):
    """What was asked for comes all the same, and the next caller with that token has it."""
    double.after = threading.Event()
    mine = token()
    request = f"GET /left HTTP/1.1\r\nHost: plain.tests.example\r\nAuthorization: Bearer {mine}\r\n\r\n"
    leaving = [client.connection() for _ in range(3)]
    for connection in leaving:
        connection.sendall(request.encode())
    await_active(client, 3, "outbound")
    wait_until(lambda: double.requests, PATIENCE_SECONDS, "the server is asked")
    for connection in leaving:
        connection.close()
    await_active(client, 0, "outbound")
    double.after.set()
    assert call(client, "plain", mine, "/stayed").status_code == 200
    assert {received.path for received in api.received} == {"/stayed"}
    assert len(double.requests) == 1
    reloads = client.envoy.admin("/stats?filter=vm_reload")
    assert [line for line in reloads.splitlines() if not line.endswith(": 0")] == []


def test_the_first_of_several_leaves(client, api, double):
    """It was the one that asked; the others get what it asked for."""
    double.after = threading.Event()
    mine = token()
    with client.connection() as first:
        first.sendall(
            f"GET /first HTTP/1.1\r\nHost: plain.tests.example\r\nAuthorization: Bearer {mine}\r\n\r\n".encode()
        )
        wait_until(lambda: double.requests, PATIENCE_SECONDS, "the server is asked")
        answers: list[int] = []
        second = threading.Thread(target=lambda: answers.append(call(client, "plain", mine).status_code))
        second.start()
        await_active(client, 2, "outbound")
    await_active(client, 1, "outbound")
    double.after.set()
    second.join()
    assert answers == [200]
    assert len(double.requests) == 1
    assert len(api.received) == 1


def test_a_refusal_is_remembered_for_the_token(client, double):
    """Whoever is refused can make the server work once, and not with each call."""
    double.always = refused("invalid_grant")
    mine = token()
    assert [call(client, "plain", mine).status_code for _ in range(5)] == [502] * 5
    assert len(double.requests) == 1
    assert call(client, "plain", token()).status_code == 502
    assert len(double.requests) == 2


def test_a_body_waits_with_its_request(client, api, double):
    double.after = threading.Event()
    body = b"x" * 100_000
    answers: list[int] = []
    headers = [("Host", "plain.tests.example"), ("Authorization", f"Bearer {token()}")]

    def post():
        answers.append(client.request("POST", "/body", headers, body).status_code)

    posting = threading.Thread(target=post)
    posting.start()
    wait_until(lambda: double.requests, PATIENCE_SECONDS, "the server is asked")
    assert api.received == []
    double.after.set()
    posting.join()
    assert answers == [200]
    assert api.only().body == body


def test_json_of_the_double_is_json():
    """The faults are what they say."""
    assert json.loads(FAULTS["not_applicable"].reply().body)["token_type"] == "N_A"
    assert len(FAULTS["ten_megabytes"].reply().body) > 10_000_000
