"""Attacks on where keys come from, and by those who know none. `docs/attacks.md` names each of these."""

import concurrent.futures
import secrets
import statistics
import threading
import time

import httpx
import pytest

from support.cast import AUDIENCE, bearer, claims, policy, rule
from support.client import TIMEOUT_SECONDS, refusal
from support.credentials import SigningKey
from support.key_server_double import DISCOVERY, JWKS, KeyServerDouble, Reply, as_json, key_set
from support.load import Load
from support.metrics import metric
from support.process import PATIENCE_SECONDS, wait_until
from support.tokens import segment

INVALID = (401, "Invalid or missing authentication credentials")
NO_KEYS = (503, "Unable to fetch signing keys")

KEY = SigningKey.generate("ES256", "double-1")
ATTACKERS_KEY = SigningKey.generate("ES256", "double-1")

#: How often keys may be asked for on account of a `kid` that nobody knows.
INTERVAL_SECONDS = 2


def discovered(double, cluster, **cache):
    jwks = {"discovery": {"cluster": cluster, "timeout_seconds": 5}} | ({"cache": cache} if cache else {})
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
