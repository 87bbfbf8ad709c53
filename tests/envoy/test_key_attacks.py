"""Attacks on where keys come from, and by those who know none. `docs/attacks.md` names each of these."""

import concurrent.futures
import contextlib
import secrets
import statistics
import threading
import time

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, bearer, claims, policy, rule
from support.client import Client, refusal
from support.credentials import SigningKey, new_secret
from support.hostile import REMEMBERED, hostile_module, name_of_source
from support.key_server_double import DISCOVERY, JWKS, KeyServerDouble, Reply, as_json, key_set
from support.keys import await_active, discovered, get
from support.load import Load
from support.metrics import metric
from support.paths import OUTPUT
from support.process import PATIENCE_SECONDS, wait_until
from support.tokens import segment

INVALID = (401, "Invalid or missing authentication credentials")
NO_KEYS = (503, "Unable to fetch signing keys")

KEY = SigningKey.generate("ES256", "double-1")
ATTACKERS_KEY = SigningKey.generate("ES256", "double-1")
RETIRED_KEY = SigningKey.generate("ES256", "double-0")

#: How often keys may be asked for on account of a `kid` that nobody knows.
INTERVAL_SECONDS = 2

#: Some ticks of the filter, which come every second.
OVERRUN_SECONDS = 2.5

SHARED_STATE_KEY = new_secret("shared state key")


def unknown_kid(double):
    """A token of a key that is not there. It needs no key: nobody can say that its signature is wrong."""
    header = {"alg": "ES256", "kid": secrets.token_hex(8)}
    payload = claims(iss=double.issuer)
    return f"{segment(header)}.{segment(payload)}.{'A' * 86}"


def attackers_set(double):
    double.reply(JWKS, key_set(ATTACKERS_KEY.public_jwk()))


def outage(double):
    double.reply(DISCOVERY, Reply(status=503))
    double.reply(JWKS, Reply(status=503))


def garbage(double):
    double.reply(JWKS, Reply(b"<html>"))


def ten_megabytes(double):
    """It begins as a good set that would be somebody else's."""
    body = key_set(ATTACKERS_KEY.public_jwk()).body
    double.reply(JWKS, Reply(body[:-2] + b" " * 10_000_000 + body[-2:]))


def redirect(double):
    double.reply(JWKS, Reply(status=307, headers={"location": f"{double.issuer}/attacker"}))
    double.reply("/attacker", key_set(ATTACKERS_KEY.public_jwk()))


def metadata_of_somebody_else(double):
    """The keys are the attacker's, and so is the issuer that the metadata names."""
    double.reply(DISCOVERY, as_json(double.metadata(issuer="https://attacker.example")))
    attackers_set(double)


ATTACKS = [outage, garbage, ten_megabytes, redirect, metadata_of_somebody_else]


@pytest.fixture(scope="module")
def attacked(sidecar):
    """Providers that were well, until each had one of these; two fetches have failed since."""
    with contextlib.ExitStack() as stack:
        doubles = {
            each.__name__: stack.enter_context(KeyServerDouble(each.__name__, [KEY])) for each in ATTACKS
        }
        providers = {name: discovered(double, name, seconds=1) for name, double in doubles.items()}
        ports = {name: double.port for name, double in doubles.items()}
        client = sidecar(policy(rule("agent", ["jwt"]), providers=providers, peers={}), **ports)
        for attack, double in zip(ATTACKS, doubles.values(), strict=True):
            assert client.get("/", bearer(double.token(KEY, claims))).status_code == 200
            attack(double)
        wait_until(
            lambda: all(failed(client, name) > 1 for name in doubles), PATIENCE_SECONDS, "fetches fail"
        )
        yield client, doubles


@pytest.mark.parametrize("attack", [attack.__name__ for attack in ATTACKS])
def test_a_key_source_that_is_down_or_not_itself_installs_no_keys(attacked, attack):
    """CVE-2026-31837: the last good set stays, and no other keys come, not even those of a default."""
    client, doubles = attacked
    double = doubles[attack]
    assert client.get("/", bearer(double.token(KEY, claims))).status_code == 200
    assert refusal(client.get("/", bearer(double.token(ATTACKERS_KEY, claims)))) == INVALID
    assert double.calls("/attacker") == 0


def test_a_flood_of_unknown_kids_costs_one_call_per_interval(sidecar):
    """Whatever comes in over four workers; who has a good token does not notice."""
    with KeyServerDouble("flooded", [KEY]) as double:
        provider = discovered(double, "idp", unknown_kid_interval_seconds=INTERVAL_SECONDS)
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), workers=4, idp=double.port)
        good = double.token(KEY, claims)
        with Load(client.port, lambda: [good], callers=2) as quiet:
            quiet.flows(100)
        before = double.calls()
        began = time.monotonic()
        with (
            Load(client.port, lambda: [good], callers=2) as load,
            Load(client.port, lambda: [unknown_kid(double)], callers=6) as flood,
        ):
            wait_until(
                lambda: time.monotonic() - began > 3 * INTERVAL_SECONDS, PATIENCE_SECONDS, "time passes"
            )
        intervals = (time.monotonic() - began) / INTERVAL_SECONDS
        assert 2 <= double.calls() - before <= intervals + 1
        assert len(flood.answers) > 100
        assert {each.status for each in flood.answers} == {401}
        assert load.refused() == []
        # Nobody waited for a fetch, whatever the machine was busy with.
        usual = statistics.median(each.seconds for each in quiet.answers)
        during = statistics.median(each.seconds for each in load.answers)
        assert during < max(20 * usual, 0.1), (usual, during)


def test_unknown_kids_do_not_fill_the_waiting_places(sidecar):
    """They have a tenth of them. The others are for those whose keys are on their way."""
    answers = threading.Event()
    with KeyServerDouble("known", [KEY]) as known, KeyServerDouble("coming", [KEY]) as coming:
        coming.reply(JWKS, key_set(KEY.public_jwk(), after=answers))
        providers = {each.name: discovered(each, each.name, timeout_seconds=20) for each in (known, coming)}
        limits = {"key_wait_seconds": 20, "waiting_requests": 20}
        rules = rule("agent", ["jwt"])
        client = sidecar(
            policy(rules, providers=providers, peers={}, limits=limits), known=known.port, coming=coming.port
        )
        assert client.get("/", bearer(known.token(KEY, claims))).status_code == 200
        known.reply(JWKS, key_set(KEY.public_jwk(), after=answers))
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            strangers = [pool.submit(get, client, unknown_kid(known)) for _ in range(10)]
            wait_until(
                lambda: sum(each.done() for each in strangers) == 8, PATIENCE_SECONDS, "eight have no place"
            )
            callers = [pool.submit(get, client, coming.token(KEY, claims)) for _ in range(18)]
            await_active(client, 20)
            assert not any(each.done() for each in callers)
            # The next one finds no place, and is not told that its token is bad.
            assert refusal(get(client, coming.token(KEY, claims))) == NO_KEYS
            answers.set()
            assert [each.result().status_code for each in callers] == [200] * 18
            assert [refusal(each.result()) for each in strangers] == [INVALID] * 10
        assert known.calls() == 2


class Neighbours:
    """Two listeners of one proxy: one with the filter, one with a module of somebody else's under the same `vm_id`."""

    def __init__(self, envoy, agent, double, module, sealed=True, **cache):
        self.double = double
        members = {"shared_state_key": {"env": "SHARED_STATE_KEY"}} if sealed else {}
        environment = ENVIRONMENT | {"SHARED_STATE_KEY": SHARED_STATE_KEY}
        provider = discovered(double, "idp", unknown_kid_interval_seconds=1, **cache)
        filters = peergate(policy(rule("agent", ["jwt"]), provider=provider) | members, environment)
        listeners = [
            listener("inbound", [filters], "agent"),
            listener("hostile", [peergate({}, module=module)], "agent"),
        ]
        clusters = [cluster("agent", agent.port), cluster("idp", double.port)]
        self.envoy = envoy(bootstrap(listeners, clusters), environment)

    def __enter__(self):
        self.client, self.hostile = Client(self.envoy), Client(self.envoy, "hostile")
        return self

    def __exit__(self, *_):
        self.client.__exit__()
        self.hostile.__exit__()

    def status(self, key):
        """What a token of a key gets."""
        return self.client.get("/", bearer(self.double.token(key, claims))).status_code

    def overrun(self, *keys):
        """Have the module write for some ticks of the filter; what tokens of these keys get meanwhile."""
        end = time.monotonic() + OVERRUN_SECONDS
        seen = [set() for _ in keys]
        while time.monotonic() < end:
            assert self.hostile.get("/").status_code == 200
            for key, statuses in zip(keys, seen, strict=True):
                statuses.add(self.status(key))
        return seen


def planted(double, sealed):
    """A record that is good for a while, and a key set of the attacker's, as the filter itself would store them."""
    now = int(time.time() * 1000)
    later = now + 30_000
    record = f"1000 {now} {now} {now + 60_000} 0 1 0 0"
    # It must be newer than the one that stands there.
    document = f"1000\n{later}\n".encode() + key_set(ATTACKERS_KEY.public_jwk()).body
    name = name_of_source(double, "idp", SHARED_STATE_KEY if sealed else None)
    return {f"{name}.keys": document, f"{name}.record": record.encode()}


def test_another_module_that_writes_the_shared_data_changes_nothing_where_it_is_sealed(envoy, agent):
    with KeyServerDouble("sealed", [KEY]) as double:
        module = hostile_module(OUTPUT / "envoy/hostile-sealed.wasm", planted(double, sealed=True))
        with Neighbours(envoy, agent, double, module) as neighbours:
            assert neighbours.status(KEY) == 200
            assert neighbours.overrun(KEY, ATTACKERS_KEY) == [{200}, {401}]


def test_another_module_that_shares_the_vm_id_is_trusted_where_nothing_is_sealed(envoy, agent):
    """Why a `vm_id` must be the filter's own. It also shows that the attack above is one."""
    with KeyServerDouble("unsealed", [KEY]) as double:
        module = hostile_module(OUTPUT / "envoy/hostile-unsealed.wasm", planted(double, sealed=False))
        with Neighbours(envoy, agent, double, module, sealed=False) as neighbours:
            assert neighbours.status(KEY) == 200
            assert neighbours.overrun(ATTACKERS_KEY) == [{401, 200}]


def test_another_module_cannot_bring_back_a_set_of_before(envoy, agent):
    """A retired key may have been stolen. What was sealed when it was good is not good again."""
    with KeyServerDouble("replayed", [RETIRED_KEY]) as double:
        name = name_of_source(double, "idp", SHARED_STATE_KEY)
        now = int(time.time() * 1000)
        # The first set that was stored; the record says that no other is due for a while.
        record = f"1 {now} {now} {now + 600_000} 0 1 0 0".encode()
        writes = {f"{name}.keys": REMEMBERED, f"{name}.record": record}
        module = hostile_module(OUTPUT / "envoy/hostile-replayed.wasm", writes, remembers=f"{name}.keys")
        with Neighbours(envoy, agent, double, module) as neighbours:
            assert neighbours.status(RETIRED_KEY) == 200
            assert neighbours.hostile.request("POST", "/", content=b"remember").status_code == 200
            double.publish(KEY)
            # It is not known yet, so that the provider is asked.
            assert neighbours.status(KEY) == 200
            assert neighbours.overrun(KEY, RETIRED_KEY) == [{200}, {401}]
            neighbours.envoy.await_log("what stands in shared data was not written by this filter")


def failed(client, provider):
    """How many fetches have not come to a key set."""
    every = metric(client.envoy, "peergate_key_fetches_total", provider=provider)
    good = ("ok", "unchanged")
    return every - sum(
        metric(client.envoy, "peergate_key_fetches_total", provider=provider, outcome=each) for each in good
    )


@pytest.mark.parametrize("bodies_come_early", [True, False])
def test_forged_trailers_while_a_request_waits(envoy, agent, bodies_come_early):
    answers = threading.Event()
    trailers = {"enable_trailers": True}
    with KeyServerDouble("trailers", [KEY]) as double:
        double.reply(JWKS, key_set(KEY.public_jwk(), after=answers))
        provider = discovered(double, "idp", timeout_seconds=20)
        limits = {"key_wait_seconds": 15}
        own = peergate(policy(rule("agent", ["jwt"]), provider=provider, limits=limits), ENVIRONMENT)
        own["typed_config"]["config"]["allow_on_headers_stop_iteration"] = bodies_come_early
        upstream = cluster("agent", agent.port)
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        upstream["typed_extension_protocol_options"] = {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http_protocol_options": trailers},
            }
        }
        inbound = listener("inbound", [own], "agent", http_protocol_options=trailers)
        running = envoy(bootstrap([inbound], [upstream, cluster("idp", double.port)]), ENVIRONMENT)
        with Client(running) as client, concurrent.futures.ThreadPoolExecutor(1) as pool:
            headers = bearer(double.token(KEY, claims))["Authorization"]
            forged = [
                "X-Agent-Peer: boss",
                "x_agent_sub: boss",
                "Rb-Auth-Claims: {}",
                "Authorization: Bearer other",
                "X-Checksum: 1",
            ]
            request = [
                "POST / HTTP/1.1",
                "Host: agent.tests.example",
                f"Authorization: {headers}",
                "Transfer-Encoding: chunked",
                "",
                "2",
                "hi",
                "0",
                *forged,
                "",
                "",
            ]
            waiting = pool.submit(client.raw, "\r\n".join(request).encode())
            await_active(client, 1)
            # All of it has come, as far as it comes while the filter waits.
            time.sleep(0.5)
            answers.set()
            status, *_ = waiting.result()
        assert status == 200
        assert agent.only().trailers == ["x-checksum: 1"]
