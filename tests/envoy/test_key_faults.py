"""What goes wrong with key sets: what callers see, what the log and the counters say, and that it passes.

Faults of a real oidc-provider where it has them, of a double where it has not. A fault at the start lets nobody in,
with 503 and not with 401; a fault later changes nothing for callers, until the last good set is too old.
What workers and policies have to do with it is in `test_key_workers.py`.
"""

import concurrent.futures
import contextlib
import re
import threading
import time
from dataclasses import dataclass, field

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, bearer, claims, policy, rule
from support.client import Client, refusal
from support.credentials import SigningKey
from support.identity_provider import OidcProvider, audience
from support.key_faults import FAULTS, KEY
from support.key_server_double import DISCOVERY, JWKS, KeyServerDouble, as_json, key_set
from support.keys import await_active, discovered, get
from support.load import Load
from support.metrics import metric
from support.ports import free_port
from support.process import PATIENCE_SECONDS, wait_until

INVALID = (401, "Invalid or missing authentication credentials")
NO_KEYS = (503, "Unable to fetch signing keys")

NEXT_KEY = SigningKey.generate("ES256", "double-2")

#: How long a request waits for keys here, and a fetch for its answer.
WAIT_SECONDS = 1
LIMITS = {"key_wait_seconds": WAIT_SECONDS}

#: As short as they may be: a test waits for them.
QUICK = {"seconds": 1, "unknown_kid_interval_seconds": 1}

#: A second's refresh, a second's back-off and the next of two, and what the machine adds.
SOON_SECONDS = 10


@dataclass
class Seen:
    """What was seen of a fault."""

    double: KeyServerDouble
    #: What a good token got before, while it was there, and after it.
    before: object = None
    during: object = None
    after: object = None
    #: What one of the key of before got after it.
    of_old_key: object = None
    #: How many fetches had its outcome.
    counted: int = 0
    log: list[str] = field(default_factory=list)


class Faults:
    """A double and a provider for each fault, all behind one Envoy, so that all are waited for at once."""

    def __init__(self, stack, sidecar, faulty, **cache):
        self.seen = {name: Seen(stack.enter_context(KeyServerDouble(name, [KEY]))) for name in FAULTS}
        if faulty:
            self.inject()
        providers = {name: discovered(seen.double, name, **cache) for name, seen in self.seen.items()}
        ports = {name: seen.double.port for name, seen in self.seen.items()}
        self.client = sidecar(
            policy(rule("agent", ["jwt"]), providers=providers, peers={}, limits=LIMITS), **ports
        )

    def inject(self):
        """Let each double have its fault."""
        for name, seen in self.seen.items():
            FAULTS[name].inject(seen.double)

    def mend(self):
        """Let each be as it was, with another key."""
        for seen in self.seen.values():
            seen.double.reply(DISCOVERY, as_json(seen.double.metadata()))
            seen.double.publish(NEXT_KEY)

    def answers(self, key=KEY):
        """What a good token of each provider gets, all at once."""
        with concurrent.futures.ThreadPoolExecutor(len(self.seen)) as pool:
            sent = {
                name: pool.submit(get, self.client, seen.double.token(key, claims))
                for name, seen in self.seen.items()
            }
            return {name: answer.result() for name, answer in sent.items()}

    def note(self):
        """Count what the faults came to, once each has; one that does not is its test's business."""
        with contextlib.suppress(TimeoutError):
            wait_until(self._all_counted, SOON_SECONDS, "each fault is counted")
        for name, seen in self.seen.items():
            seen.counted = self._counted(name)
            seen.log = re.findall(f"peergate: keys of provider `{name}`: (.*)", self.client.envoy.log())

    def _all_counted(self):
        return all(self._counted(name) for name in FAULTS)

    def _counted(self, name):
        outcome = FAULTS[name].outcome
        return metric(self.client.envoy, "peergate_key_fetches_total", provider=name, outcome=outcome)


@pytest.fixture(scope="module")
def at_start(sidecar):
    """Every fault is there from the start."""
    with contextlib.ExitStack() as stack:
        faults = Faults(stack, sidecar, faulty=True)
        for name, answer in faults.answers().items():
            faults.seen[name].during = answer
        faults.note()
        yield faults.seen


@pytest.fixture(scope="module")
def later(sidecar):
    """Every provider is well, and is asked every second; then each has its fault, and then it has not."""
    with contextlib.ExitStack() as stack:
        faults = Faults(stack, sidecar, faulty=False, **QUICK)
        for name, answer in faults.answers().items():
            faults.seen[name].before = answer
        faults.inject()
        faults.note()
        for name, answer in faults.answers().items():
            faults.seen[name].during = answer
        faults.mend()
        end = time.monotonic() + SOON_SECONDS
        while time.monotonic() < end:
            answers = faults.answers(NEXT_KEY)
            if {answer.status_code for answer in answers.values()} == {200}:
                break
        for name, answer in answers.items():
            faults.seen[name].after = answer
        for name, answer in faults.answers().items():
            faults.seen[name].of_old_key = answer
        yield faults.seen


def lets_nobody_in(at_start, name):
    """A request waits as long as that is of use, and is then told that it is not its fault."""
    seen, fault = at_start[name], FAULTS[name]
    assert refusal(seen.during) == NO_KEYS
    assert int(seen.during.headers["retry-after"]) >= 1
    # It waits no longer where the next try would come too late for it.
    assert seen.during.elapsed.total_seconds() < WAIT_SECONDS + SOON_SECONDS
    assert seen.counted >= 1
    assert re.fullmatch(down_since(1, f"{fault.says}; there are none"), seen.log[0]), seen.log


def changes_nothing(later, name):
    """The last good set stays while the fault is there; when it is over, the next one comes."""
    seen, fault = later[name], FAULTS[name]
    assert (seen.before.status_code, seen.during.status_code) == (200, 200)
    assert seen.counted >= 1
    assert seen.log[0] == "1 fetched"
    assert re.fullmatch(down_since(1, f"{fault.says}; the keys of before stay"), seen.log[1]), seen.log
    assert seen.after.status_code == 200
    assert refusal(seen.of_old_key) == INVALID


def down_since(failures, why):
    """What the log says of a source that is down."""
    return rf"down since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ \({failures} failed\): {re.escape(why)}"


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
    assert at_start["redirect"].double.calls("/elsewhere") == 0


def test_redirect_later(later):
    changes_nothing(later, "redirect")
    assert later["redirect"].double.calls("/elsewhere") == 0


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
    assert at_start["wrong_issuer"].double.calls(JWKS) == 0


def test_wrong_issuer_later(later):
    changes_nothing(later, "wrong_issuer")


@pytest.mark.parametrize("name", ["empty_set", "no_usable_key"])
def test_empty_set_at_start(at_start, name):
    lets_nobody_in(at_start, name)


@pytest.mark.parametrize("name", ["empty_set", "no_usable_key"])
def test_empty_set_later(later, name):
    changes_nothing(later, name)


def test_keys_on_another_host_at_start(at_start):
    lets_nobody_in(at_start, "keys_on_another_host")


def test_keys_on_another_host_later(later):
    changes_nothing(later, "keys_on_another_host")


def of_oidc_provider(issuer, **cache):
    jwks = {"discovery": {"cluster": "idp", "timeout_seconds": 1}, "cache": QUICK | cache}
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
        client = sidecar(of_oidc_provider(provider.issuer, max_stale_seconds=3), idp=provider.port)
        token = provider.token()
        assert client.get("/", bearer(token)).status_code == 200
        provider.stop()
        stopped = time.monotonic()
        with Load(client.port, lambda: [token], callers=1) as load:
            wait_until(
                lambda: client.get("/", bearer(token)).status_code == 503, SOON_SECONDS, "the set is too old"
            )
    last = max(each.ended for each in load.answers if each.status == 200)
    assert last - stopped > 1
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
        provider = discovered(double, "idp", timeout_seconds=20)
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
        provider = discovered(double, "idp", timeout_seconds=20)
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
