"""Attacks on where keys come from, and by those who know none. `docs/attacks.md` names each of these."""

import concurrent.futures
import hashlib
import secrets
import statistics
import threading
import time

import httpx
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import AUDIENCE, ENVIRONMENT, bearer, claims, policy, rule
from support.client import TIMEOUT_SECONDS, Client, refusal
from support.credentials import SigningKey, new_secret
from support.hostile import REMEMBERED, hostile_module
from support.key_server_double import DISCOVERY, JWKS, KeyServerDouble, Reply, as_json, key_set
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


def discovered(double, name, **cache):
    jwks = {"discovery": {"cluster": name, "timeout_seconds": 5}} | ({"cache": cache} if cache else {})
    return {"issuer": double.issuer, "audiences": [AUDIENCE], "jwks": jwks}


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


@pytest.fixture(scope="module", params=[outage, garbage, ten_megabytes, redirect, metadata_of_somebody_else])
def attacked(request, sidecar):
    """A provider that was well, until this."""
    with KeyServerDouble(request.param.__name__, [KEY]) as double:
        provider = discovered(double, "idp", seconds=1, unknown_kid_interval_seconds=1)
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), idp=double.port)
        assert client.get("/", bearer(double.token(KEY, claims))).status_code == 200
        calls = double.calls(DISCOVERY)
        request.param(double)
        wait_until(lambda: failed(client) > 1, PATIENCE_SECONDS, "two fetches have failed")
        assert double.calls(DISCOVERY) > calls
        yield client, double


def test_a_key_source_that_is_down_or_not_itself_installs_no_keys(attacked):
    """CVE-2026-31837: the last good set stays, and no other keys come, not even those of a default."""
    client, double = attacked
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
        providers = {"known": discovered(known, "known"), "coming": discovered(coming, "coming")}
        for provider in providers.values():
            provider["jwks"]["discovery"]["timeout_seconds"] = 20
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
            wait_until(lambda: active(client) == 20, PATIENCE_SECONDS, "all places are taken")
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


def planted(double):
    """A record that is good for a while, and a key set of the attacker's, as the filter itself would store them."""
    now = int(time.time() * 1000)
    later = now + 30_000
    record = f"1000 {now} {now} {now + 60_000} 0 1 0 0"
    # It must be newer than the one that stands there.
    document = f"1000\n{later}\n".encode() + key_set(ATTACKERS_KEY.public_jwk()).body
    name = name_of_source(double)
    return {f"{name}.keys": document, f"{name}.record": record.encode()}


def name_of_source(double):
    """The name under which the workers share what they know of a provider."""
    parts = [double.issuer, "", f"idp {double.issuer}{DISCOVERY}", ""]
    canonical = "".join(f"{len(part)}:{part}" for part in parts)
    return f"peergate.keys.1.{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"


def test_another_module_that_writes_the_shared_data_changes_nothing_where_it_is_sealed(envoy, agent):
    with KeyServerDouble("sealed", [KEY]) as double:
        module = hostile_module(OUTPUT / "envoy/hostile-sealed.wasm", planted(double))
        with Neighbours(envoy, agent, double, module) as neighbours:
            assert neighbours.status(KEY) == 200
            assert neighbours.overrun(KEY, ATTACKERS_KEY) == [{200}, {401}]


def test_another_module_that_shares_the_vm_id_is_trusted_where_nothing_is_sealed(envoy, agent):
    """Why a `vm_id` must be the filter's own. It also shows that the attack above is one."""
    with KeyServerDouble("unsealed", [KEY]) as double:
        module = hostile_module(OUTPUT / "envoy/hostile-unsealed.wasm", planted(double))
        with Neighbours(envoy, agent, double, module, sealed=False) as neighbours:
            assert neighbours.status(KEY) == 200
            assert neighbours.overrun(ATTACKERS_KEY) == [{401, 200}]


def test_another_module_cannot_bring_back_a_set_of_before(envoy, agent):
    """A retired key may have been stolen. What was sealed when it was good is not good again."""
    with KeyServerDouble("replayed", [RETIRED_KEY]) as double:
        name = name_of_source(double)
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


def test_another_module_cannot_stop_the_fetches(envoy, agent):
    """It says for ever that somebody is at it, and that nothing is due."""
    with KeyServerDouble("stopped", [RETIRED_KEY]) as double:
        name = name_of_source(double)
        far = int(time.time() * 1000) + 10_000
        module = hostile_module(
            OUTPUT / "envoy/hostile-stopped.wasm",
            {f"{name}.record": f"1 {far} {far} {far} {far} 1 0 0".encode()},
        )
        with Neighbours(envoy, agent, double, module, seconds=1) as neighbours:
            assert neighbours.status(RETIRED_KEY) == 200
            double.publish(KEY)
            retired = lambda: neighbours.overrun(RETIRED_KEY) == [{401}]  # noqa: E731
            wait_until(retired, PATIENCE_SECONDS, "the key is retired all the same")


def failed(client):
    """How many fetches have not come to a key set."""
    envoy = client.envoy
    good = sum(metric(envoy, "peergate_key_fetches_total", outcome=each) for each in ("ok", "unchanged"))
    return metric(envoy, "peergate_key_fetches_total") - good


def get(client, token):
    """An answer on a connection of its own."""
    url = f"http://127.0.0.1:{client.port}/"
    return httpx.get(url, headers=bearer(token), trust_env=False, timeout=TIMEOUT_SECONDS)


def active(client):
    """How many requests are in Envoy."""
    (line,) = client.envoy.admin("/stats?filter=^http.inbound.downstream_rq_active$").splitlines()
    return int(line.partition(": ")[2])
