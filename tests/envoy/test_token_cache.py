"""Tokens for upstreams that are kept: for whom, how long, and by how many workers, on a real Envoy with a double."""

import concurrent.futures
import threading
import time

import pytest

from support.cast import token
from support.client import Client
from support.exchange import RULES, agents_proxy, call, clients_of, environment, injected, policy
from support.keys import await_active
from support.process import PATIENCE_SECONDS, wait_until
from support.token_server_double import TokenServerDouble


@pytest.fixture(scope="module")
def double():
    with TokenServerDouble("token-server-cache") as double:
        yield double


@pytest.fixture(autouse=True)
def _forget_here(double):
    double.forget()


@pytest.fixture(scope="module")
def start(envoy, api, double):
    def start(workers=1):
        configuration = agents_proxy(policy(clients_of(double), *RULES), api, double)
        return envoy(configuration, environment(), workers=workers)

    return start


@pytest.fixture(scope="module")
def client(start):
    with Client(start(), "outbound") as client:
        yield client


@pytest.fixture(scope="module")
def four_workers(start):
    with Client(start(workers=4), "outbound") as client:
        yield client


#: A token is not used in the last seconds that it is good for.
MARGIN_SECONDS = 5


def test_one_exchange_for_calls_of_one_caller_to_one_upstream(client, api, double):
    mine = token()
    for _ in range(3):
        assert call(client, "plain", mine).status_code == 200
    assert len(double.requests) == 1
    assert len({received.header("authorization") for received in api.received}) == 1


def test_two_upstreams_two_exchanges(client, api, double):
    mine = token()
    for name in ("plain", "plain-b"):
        api.forget()
        assert call(client, name, mine).status_code == 200
        assert injected(api)["aud"] == [name.removeprefix("plain").strip("-") or "a"]
    assert len(double.requests) == 2


def test_two_callers_two_exchanges(client, api, double):
    for subject in ("mrpink", "mrwhite"):
        mine = token(subject)
        for _ in range(2):
            api.forget()
            assert call(client, "plain", mine).status_code == 200
            assert injected(api)["sub"] == subject
    assert len(double.requests) == 2


def test_two_tokens_of_one_caller_two_exchanges(client, double):
    """What counts is the token, not who is in it: one may say less than the other."""
    for _ in range(2):
        assert call(client, "plain", token()).status_code == 200
    assert len(double.requests) == 2


def test_another_scope_is_another_token(client, api, double):
    mine = token()
    for name, scope in (("plain", None), ("scoped", "read"), ("scoped-more", "read write")):
        api.forget()
        assert call(client, name, mine).status_code == 200
        assert injected(api).get("scope") == scope
    assert len(double.requests) == 3


def test_another_actor_is_another_token(client, api, double):
    mine = token()
    for actor in ("mrwhite", "mrblonde"):
        api.forget()
        assert call(client, "actor-header", mine, x_actor_token=token(actor)).status_code == 200
        assert injected(api)["act"] == {"sub": actor}
    assert len(double.requests) == 2


def test_two_clients_at_one_server_share_nothing(client, double):
    mine = token()
    for name in ("bare", "public", "posts"):
        assert call(client, name, mine).status_code == 200
    # The same name and the same members, but not the same way to say who it is.
    assert len(double.requests) == 3


def test_a_token_is_renewed_before_it_has_expired(client, api, double):
    double.seconds = MARGIN_SECONDS + 1
    mine = token()
    assert call(client, "plain", mine).status_code == 200
    first = api.only().header("authorization")

    def renewed():
        api.forget()
        assert call(client, "plain", mine).status_code == 200
        assert injected(api)["exp"] > time.time()
        return api.only().header("authorization") != first

    wait_until(renewed, PATIENCE_SECONDS, "the token was renewed")
    assert len(double.requests) == 2


def test_a_token_is_not_kept_longer_than_the_subject_is_good(client, double):
    """The subject has expired, within the skew that is allowed: what was got for it may not be used for long."""
    mine = token(exp=int(time.time()) + 2)
    assert call(client, "plain", mine).status_code == 200
    assert asked_again(client, double, mine)


def test_a_token_that_does_not_say_how_long_it_is_good(client, api, double):
    """Its own `exp` says so."""
    double.changes = {"expires_in": None}
    double.seconds = MARGIN_SECONDS + 1
    mine = token()
    assert call(client, "plain", mine).status_code == 200
    assert injected(api)["sub"] == "mrpink"
    assert asked_again(client, double, mine)


@pytest.mark.parametrize("expires_in", [0, 1])
def test_a_token_that_is_over_at_once_serves_those_who_wait(client, api, double, expires_in):
    double.changes = {"expires_in": expires_in}
    mine = token()
    assert call(client, "plain", mine).status_code == 200
    assert injected(api)["sub"] == "mrpink"
    assert asked_again(client, double, mine)


def test_an_upstream_that_says_401_has_the_token_forgotten(client, api, double):
    """The call is not repeated: it may have had an effect."""
    mine = token()
    api.failures.append(401)
    assert call(client, "plain", mine).status_code == 401
    assert len(api.received) == 1
    refused = api.only().header("authorization")
    api.forget()
    assert call(client, "plain", mine).status_code == 200
    assert api.only().header("authorization") != refused
    assert len(double.requests) == 2


def test_an_upstream_that_says_403_does_not(client, api, double):
    mine = token()
    api.failures.append(403)
    assert [call(client, "plain", mine).status_code for _ in range(2)] == [403, 200]
    assert len(double.requests) == 1


def test_concurrent_misses_of_one_worker_make_one_exchange(client, api, double):
    shared_between(client, api, double, callers=10)


def test_concurrent_misses_of_four_workers_make_one_exchange(four_workers, api, double):
    """The server counts: all calls come before it answers the first."""
    for _ in range(5):
        shared_between(four_workers, api, double, callers=20)


def test_workers_share_what_one_of_them_has_got(four_workers, double):
    mine = token()
    assert [call(four_workers, "plain", mine).status_code for _ in range(20)] == [200] * 20
    assert len(double.requests) == 1


def shared_between(client, api, double, callers):
    """Calls that come while the server takes its time: one exchange, one token."""
    api.forget()
    double.forget()
    mine, double.after = token(), threading.Event()
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        waiting = [pool.submit(call, client, "plain", mine) for _ in range(callers)]
        await_active(client, callers, "outbound")
        assert not any(each.done() for each in waiting)
        double.after.set()
        assert [each.result().status_code for each in waiting] == [200] * callers
    assert len(double.requests) == 1
    assert len({received.header("authorization") for received in api.received}) == 1


def asked_again(client, double, mine):
    """Call until another token was asked for; how often it was asked for says that there was no more than that."""

    def is_so():
        assert call(client, "plain", mine).status_code == 200
        return len(double.requests) > 1

    wait_until(is_so, PATIENCE_SECONDS, "it was asked for again")
    return len(double.requests) == 2
