"""What goes wrong with key sets: what callers see, what the log and the counters say, and that it passes.

Faults of a real oidc-provider where it has them, of a double where it has not. A fault at the start lets nobody in,
with 503 and not with 401; a fault later changes nothing for callers, until the last good set is too old.
"""

import concurrent.futures
import contextlib
import threading
import time
from itertools import pairwise

import httpx
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import AUDIENCE, ENVIRONMENT, bearer, claims, policy, rule
from support.client import TIMEOUT_SECONDS, Client, refusal
from support.credentials import SigningKey, new_secret
from support.dynamic import Dynamic
from support.identity_provider import OidcProvider, audience
from support.key_server_double import DISCOVERY, JWKS, KeyServerDouble, Reply, as_json, key_set
from support.load import Load
from support.metrics import metric
from support.paths import OUTPUT
from support.ports import free_port
from support.process import PATIENCE_SECONDS, wait_until

INVALID = (401, "Invalid or missing authentication credentials")
NO_KEYS = (503, "Unable to fetch signing keys")

KEY = SigningKey.generate("ES256", "double-1")
NEXT_KEY = SigningKey.generate("ES256", "double-2")

#: How long a request waits for keys here, and a fetch for its answer.
WAIT_SECONDS = 1
TIMEOUT = {"timeout_seconds": 1}

#: As short as they may be: a test waits for them.
QUICK = {"seconds": 1, "unknown_kid_interval_seconds": 1}

LIMITS = {"key_wait_seconds": WAIT_SECONDS}

#: A second's refresh, a second's back-off and the next of two, and what the machine adds.
SOON_SECONDS = 8

SHARED_STATE_KEY = new_secret("shared state key")

TEN_MEGABYTES = b'{"keys": [' + b" " * 10_000_000 + b"]}"


class Faults:
    """A double and a provider for each fault, all behind one Envoy."""

    def __init__(self, stack, sidecar, names, faulty, **cache):
        self.doubles = {name: stack.enter_context(KeyServerDouble(name, [KEY])) for name in names}
        if faulty:
            for double in self.doubles.values():
                FAULTS[double.name](double)
        providers = {name: discovered(double, name, **cache) for name, double in self.doubles.items()}
        ports = {name: double.port for name, double in self.doubles.items()}
        self.client = sidecar(
            policy(rule("agent", ["jwt"]), providers=providers, peers={}, limits=LIMITS), **ports
        )

    def answer(self, name, key=KEY):
        """What a good token of a provider gets."""
        return self.client.get("/", bearer(self.doubles[name].token(key, claims)))

    def failures(self, name):
        """How many fetches of a provider have failed."""
        envoy = self.client.envoy
        every = metric(envoy, "peergate_key_fetches_total", provider=name)
        good = metric(envoy, "peergate_key_fetches_total", provider=name, outcome="ok")
        return every - good - metric(envoy, "peergate_key_fetches_total", provider=name, outcome="unchanged")


def no_json(double):
    double.reply(JWKS, Reply(b"<html>Sign in</html>"))


def cut_off(double):
    double.reply(JWKS, Reply(key_set(KEY.public_jwk()).body[:-5]))


def nothing(double):
    double.reply(JWKS, Reply(b""))


def no_set(double):
    double.reply(JWKS, as_json([KEY.public_jwk()]))


def no_list(double):
    double.reply(JWKS, as_json({"keys": KEY.public_jwk()}))


def metadata_that_is_none(double):
    double.reply(DISCOVERY, Reply(b"not now"))


def metadata_without_keys(double):
    double.reply(DISCOVERY, as_json({"issuer": double.issuer}))


def internal_error(double):
    double.reply(DISCOVERY, Reply(b"{}", status=500))


def internal_error_of_the_keys(double):
    """The metadata is there and the keys are not."""
    double.reply(JWKS, Reply(key_set(KEY.public_jwk()).body, status=500))


def drip(double):
    """A byte every tenth of a second: the whole would take half a minute."""
    double.reply(JWKS, key_set(KEY.public_jwk(), drip_seconds=0.1))


def redirect(double):
    double.reply(JWKS, Reply(status=302, headers={"location": f"{double.issuer}/elsewhere"}))
    double.reply("/elsewhere", key_set(KEY.public_jwk()))


def ten_megabytes(double):
    double.reply(JWKS, Reply(TEN_MEGABYTES))


def wrong_issuer(double):
    double.reply(DISCOVERY, as_json(double.metadata(issuer=double.issuer + "/")))


def empty_set(double):
    double.reply(JWKS, key_set())


def no_usable_key(double):
    weak = {"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "kid": KEY.kid, "alg": "HS256"}
    double.reply(JWKS, key_set(weak, KEY.public_jwk() | {"use": "enc"}))


FAULTS = {
    fault.__name__: fault
    for fault in (
        no_json,
        cut_off,
        nothing,
        no_set,
        no_list,
        metadata_that_is_none,
        metadata_without_keys,
        internal_error,
        internal_error_of_the_keys,
        drip,
        redirect,
        ten_megabytes,
        wrong_issuer,
        empty_set,
        no_usable_key,
    )
}


def discovered(double, cluster, **cache):
    """A provider whose keys are found by discovery."""
    jwks = {"discovery": {"cluster": cluster, **TIMEOUT}} | ({"cache": cache} if cache else {})
    return {"issuer": double.issuer, "audiences": [AUDIENCE], "jwks": jwks}


@pytest.fixture(scope="module")
def at_start(sidecar):
    """Every fault is there from the start."""
    with contextlib.ExitStack() as stack:
        yield Faults(stack, sidecar, FAULTS, faulty=True)


@pytest.fixture(scope="module")
def later(sidecar):
    """Every provider is well, and is asked again every second."""
    with contextlib.ExitStack() as stack:
        yield Faults(stack, sidecar, FAULTS, faulty=False, **QUICK)


def lets_nobody_in(faults, name):
    """A request waits for its time, and is then told that it is not its fault."""
    began = time.monotonic()
    answer = faults.answer(name)
    assert refusal(answer) == NO_KEYS
    assert int(answer.headers["retry-after"]) >= 1
    assert time.monotonic() - began < WAIT_SECONDS + SOON_SECONDS
    assert faults.failures(name) >= 1


def changes_nothing(faults, name):
    """The last good set stays while the fault is there; when it is over, the next one comes."""
    double = faults.doubles[name]
    assert faults.answer(name).status_code == 200
    before = faults.failures(name)
    FAULTS[name](double)
    wait_until(lambda: faults.failures(name) > before, SOON_SECONDS, "a fetch has failed")
    assert faults.answer(name).status_code == 200
    double.reply(DISCOVERY, as_json(double.metadata()))
    double.publish(NEXT_KEY)
    wait_until(lambda: faults.answer(name, NEXT_KEY).status_code == 200, SOON_SECONDS, "the next set came")
    assert refusal(faults.answer(name)) == INVALID


def test_500_at_start(at_start):
    lets_nobody_in(at_start, "internal_error")


def test_500_later(later):
    changes_nothing(later, "internal_error")


def test_metadata_answers_and_the_keys_do_not_at_start(at_start):
    lets_nobody_in(at_start, "internal_error_of_the_keys")


def test_metadata_answers_and_the_keys_do_not_later(later):
    changes_nothing(later, "internal_error_of_the_keys")


def test_slow_drip_at_start(at_start):
    lets_nobody_in(at_start, "drip")


def test_slow_drip_later(later):
    changes_nothing(later, "drip")


def test_redirect_at_start(at_start):
    lets_nobody_in(at_start, "redirect")
    assert at_start.doubles["redirect"].calls("/elsewhere") == 0


def test_redirect_later(later):
    changes_nothing(later, "redirect")
    assert later.doubles["redirect"].calls("/elsewhere") == 0


def test_10_megabytes_at_start(at_start):
    lets_nobody_in(at_start, "ten_megabytes")


def test_10_megabytes_later(later):
    changes_nothing(later, "ten_megabytes")


GARBAGE = [
    "no_json",
    "cut_off",
    "nothing",
    "no_set",
    "no_list",
    "metadata_that_is_none",
    "metadata_without_keys",
]


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_at_start(at_start, name):
    lets_nobody_in(at_start, name)


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_later(later, name):
    changes_nothing(later, name)


def test_wrong_issuer_at_start(at_start):
    lets_nobody_in(at_start, "wrong_issuer")
    assert at_start.doubles["wrong_issuer"].calls(JWKS) == 0


def test_wrong_issuer_later(later):
    changes_nothing(later, "wrong_issuer")


@pytest.mark.parametrize("name", ["empty_set", "no_usable_key"])
def test_empty_set_at_start(at_start, name):
    lets_nobody_in(at_start, name)


@pytest.mark.parametrize("name", ["empty_set", "no_usable_key"])
def test_empty_set_later(later, name):
    changes_nothing(later, name)


def of_oidc_provider(issuer, **cache):
    jwks = {"discovery": {"cluster": "idp", **TIMEOUT}, "cache": QUICK | cache}
    provider = {"issuer": issuer, "audiences": [audience("RS256")], "jwks": jwks}
    return policy(rule("agent", ["jwt"]), provider=provider, limits=LIMITS)


def test_down_at_start(sidecar):
    """Nobody listens; when oidc-provider comes up, its callers are let in without anybody doing anything."""
    provider = OidcProvider("oidc-provider-late", port=free_port())
    client = sidecar(of_oidc_provider(f"http://127.0.0.1:{provider.port}"), idp=provider.port)
    # Whose token it is does not matter yet, only that its issuer is known.
    early = KEY.sign(claims(iss=f"http://127.0.0.1:{provider.port}", aud=audience("RS256")), "early token")
    assert refusal(client.get("/", bearer(early))) == NO_KEYS
    with provider:
        token = provider.token()
        wait_until(lambda: client.get("/", bearer(token)).status_code == 200, SOON_SECONDS, "the keys came")
        assert refusal(client.get("/", bearer(early))) == INVALID


def test_down_later(sidecar):
    """The last good set serves until it is `max_stale_seconds` old, and then nobody is let in."""
    with OidcProvider("oidc-provider-gone") as provider:
        client = sidecar(of_oidc_provider(provider.issuer, max_stale_seconds=4), idp=provider.port)
        token = provider.token()
        assert client.get("/", bearer(token)).status_code == 200
        provider.stop()
        stopped = time.monotonic()
        with Load(client.port, lambda: [token], callers=1) as load:
            wait_until(
                lambda: client.get("/", bearer(token)).status_code == 503, SOON_SECONDS, "the set is too old"
            )
    last = max(each.ended for each in load.answers if each.status == 200)
    assert last - stopped > 2
    assert refusal(client.get("/", bearer(token))) == NO_KEYS


def test_slow_later(sidecar):
    """oidc-provider takes connections and does not answer. Nobody notices; when it answers again, all is as before."""
    with OidcProvider("oidc-provider-frozen") as provider:
        client = sidecar(of_oidc_provider(provider.issuer), idp=provider.port)
        token = provider.token()
        assert client.get("/", bearer(token)).status_code == 200
        failures = lambda: metric(client.envoy, "peergate_key_fetches_total", outcome="status")  # noqa: E731
        before = failures()
        with Load(client.port, lambda: [token]) as load:
            provider.freeze()
            wait_until(lambda: failures() > before, SOON_SECONDS, "a fetch has run out of time")
            load.flows()
            provider.thaw()
        assert load.refused() == []
        assert max(each.seconds for each in load.answers) < WAIT_SECONDS
        provider.rotate()
        new = provider.token()
        wait_until(lambda: client.get("/", bearer(new)).status_code == 200, SOON_SECONDS, "the next set came")


def test_rotated_while_tokens_of_both_keys_are_in_flight(sidecar):
    """A token of the new key waits for the fetch; meanwhile the old one is good, and with the new set it is not."""
    answers = threading.Event()
    with KeyServerDouble("rotating", [KEY]) as double:
        provider = discovered(double, "idp")
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), idp=double.port)
        old, new = double.token(KEY, claims), double.token(NEXT_KEY, claims)
        assert client.get("/", bearer(old)).status_code == 200
        double.reply(JWKS, key_set(NEXT_KEY.public_jwk(), after=answers))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = [pool.submit(get, client, new) for _ in range(3)]
            wait_until(lambda: double.calls() == 2, PATIENCE_SECONDS, "the set is asked for")
            assert client.get("/", bearer(old)).status_code == 200
            assert not any(each.done() for each in waiting)
            answers.set()
            assert [each.result().status_code for each in waiting] == [200, 200, 200]
        assert refusal(client.get("/", bearer(old))) == INVALID
        assert double.calls() == 2


def test_a_cluster_that_does_not_exist(sidecar):
    """It is a fault of the source like any other; the other provider is not touched by it."""
    with KeyServerDouble("good", [KEY]) as good, KeyServerDouble("nowhere", [KEY]) as lost:
        providers = {"good": discovered(good, "good"), "lost": discovered(lost, "no-such-cluster")}
        rules = rule("agent", ["jwt"])
        client = sidecar(policy(rules, providers=providers, peers={}, limits=LIMITS), good=good.port)
        assert client.get("/", bearer(good.token(KEY, claims))).status_code == 200
        assert refusal(client.get("/", bearer(lost.token(KEY, claims)))) == NO_KEYS
        client.envoy.await_log("keys of provider `lost`: down since ")
        client.envoy.await_log(": the proxy has no such cluster; there are none")


def test_clients_that_leave_while_they_wait(sidecar, agent):
    """Their places are free again, nothing traps, and the others get what they waited for."""
    answers = threading.Event()
    with KeyServerDouble("held", [KEY]) as double:
        double.reply(JWKS, key_set(KEY.public_jwk(), after=answers))
        provider = discovered(double, "idp")
        provider["jwks"]["discovery"]["timeout_seconds"] = 20
        limits = {"key_wait_seconds": 20, "waiting_requests": 5}
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider, limits=limits), idp=double.port)
        token = double.token(KEY, claims)
        request = f"GET /left HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        leaving = [client.connection() for _ in range(5)]
        for connection in leaving:
            connection.sendall(request)
        await_active(client, 5)
        for connection in leaving:
            connection.close()
        await_active(client, 0)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = [pool.submit(get, client, token) for _ in range(5)]
            await_active(client, 5)
            assert not any(each.done() for each in waiting)
            answers.set()
            assert [each.result().status_code for each in waiting] == [200] * 5
        assert {request.path for request in agent.received} == {"/"}
        reloads = client.envoy.admin("/stats?filter=vm_reload")
        assert [line for line in reloads.splitlines() if not line.endswith(": 0")] == []


def test_start_up_under_load_shows_no_401(envoy, agent):
    """Callers are there before Envoy is, and the keys take a second: everybody waits, and nobody is told no."""
    answers = threading.Event()
    with KeyServerDouble("starting", [KEY]) as double:
        double.reply(JWKS, key_set(KEY.public_jwk(), after=answers))
        provider = discovered(double, "idp") | {}
        provider["jwks"]["discovery"]["timeout_seconds"] = 20
        filters = [
            peergate(
                policy(rule("agent", ["jwt"]), provider=provider, limits={"key_wait_seconds": 20}),
                ENVIRONMENT,
            )
        ]
        built = listener("inbound", filters, "agent")
        built["address"]["socket_address"]["port_value"] = port = free_port()
        clusters = [cluster("agent", agent.port), cluster("idp", double.port)]
        token = double.token(KEY, claims)
        with Load(port, lambda: [token], callers=6) as load:
            started = envoy(bootstrap([built], clusters), ENVIRONMENT, workers=2)
            with Client(started) as client:
                await_active(client, 6)
                assert load.answers == []
                answers.set()
                load.flows(50)
        assert load.refused() == []
        assert double.calls() == 1


def test_several_workers_ask_once(sidecar):
    """At the start and at each refresh, however many there are."""
    with KeyServerDouble("shared", [KEY]) as double:
        provider = discovered(double, "idp", **QUICK)
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), workers=4, idp=double.port)
        token = double.token(KEY, claims)
        with Load(client.port, lambda: [token], callers=6) as load:
            wait_until(lambda: double.calls() >= 5, SOON_SECONDS, "it was asked five times")
        assert load.refused() == []
        gaps = gaps_between(double.times[JWKS])
        # 80 to 95 % of a second, less what a call may be late and the next is not.
        assert min(gaps) > 0.6, gaps


def test_workers_ask_for_themselves_where_nothing_may_be_shared(envoy, agent):
    """Without a `vm_id` of its own, as in Istio, and without `shared_state_key`."""
    with KeyServerDouble("apart", [KEY]) as double, unnamed(envoy, agent, double, workers=2) as client:
        token = double.token(KEY, claims)
        assert {get(client, token).status_code for _ in range(12)} == {200}
        assert 2 <= double.calls() <= 4


def test_workers_ask_once_where_what_they_share_is_sealed(envoy, agent):
    with KeyServerDouble("sealed", [KEY]) as double:
        sealing = {"shared_state_key": {"env": "SHARED_STATE_KEY"}}
        with unnamed(envoy, agent, double, workers=2, **sealing) as client:
            token = double.token(KEY, claims)
            assert {get(client, token).status_code for _ in range(12)} == {200}
            assert double.calls() == 1


def test_a_jwks_uri_of_another_host(sidecar):
    """The operator says where the keys are, whatever the metadata says."""
    with KeyServerDouble("here", [KEY]) as here, KeyServerDouble("there", [NEXT_KEY]) as there:
        provider = discovered(here, "here")
        provider["jwks"]["jwks_uri"] = {
            "uri": f"http://keys.tests.example:{there.port}/jwks",
            "cluster": "there",
        }
        rules = rule("agent", ["jwt"])
        client = sidecar(policy(rules, provider=provider), here=here.port, there=there.port)
        assert client.get("/", bearer(here.token(NEXT_KEY, claims))).status_code == 200
        assert here.calls(JWKS) == 0
        (asked,) = there.received
        assert (asked.method, asked.target) == ("GET", "/jwks")
        assert asked.header("host") == f"keys.tests.example:{there.port}"


@pytest.mark.parametrize("shares", [True, False], ids=["shared", "each worker for itself"])
@pytest.mark.parametrize("change", ["a rule", "how long a set may be used"])
def test_a_policy_that_changes_while_the_provider_is_down(envoy, agent, change, shares):
    """The keys of before are as good as they were: it is the outage in which an operator changes a policy."""
    with KeyServerDouble("down", [KEY]) as double:
        provider = discovered(double, "idp", max_stale_seconds=700)
        dynamic = Dynamic("listener", OUTPUT / "envoy/dynamic", f"keys {change} {shares}")

        def put(*rules, provider=provider):
            filters = peergate(policy(*rules, provider=provider, limits=LIMITS), ENVIRONMENT)
            if not shares:
                del filters["typed_config"]["config"]["vm_config"]["vm_id"]
            dynamic.put(filters)

        put(rule("before", ["jwt"]))
        running = envoy(
            dynamic.bootstrap(cluster("agent", agent.port), cluster("idp", double.port)), ENVIRONMENT
        )
        with Client(running) as client:
            token = bearer(double.token(KEY, claims))
            assert client.get("/", token).status_code == 200
            for path in (DISCOVERY, JWKS):
                double.reply(path, Reply(status=503))
            longer = discovered(double, "idp", max_stale_seconds=3600)
            put(rule("after", ["jwt"]), provider=provider if change == "a rule" else longer)
            with Load(client.port, lambda: [token["Authorization"].removeprefix("Bearer ")]) as load:
                running.await_access_log(rule="after")
                load.flows()
            assert load.refused() == []


def get(client, token):
    """An answer on a connection of its own."""
    url = f"http://127.0.0.1:{client.port}/"
    return httpx.get(url, headers=bearer(token), trust_env=False, timeout=TIMEOUT_SECONDS)


def await_active(client, count):
    """Wait until so many requests are in Envoy."""

    def active():
        (line,) = client.envoy.admin("/stats?filter=^http.inbound.downstream_rq_active$").splitlines()
        return int(line.partition(": ")[2])

    wait_until(lambda: active() == count, PATIENCE_SECONDS, f"{count} requests are there")


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
