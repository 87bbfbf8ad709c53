"""The recipe for Keycloak in docs/token-exchange.md, with one that is set up as it says. `make interop` runs this."""

import contextlib
import re

import httpx
import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import bearer
from support.exchange import injected
from support.keycloak import EXCHANGING, Keycloak
from support.oauth_client import client_credentials, refusal, signed
from support.paths import ROOT
from support.process import PATIENCE_SECONDS, wait_until
from support.registry import remember_token
from support.tokens import payload

GUIDE = (ROOT / "docs/token-exchange.md").read_text(encoding="utf-8")
(RECIPE,) = map(yaml.safe_load, re.findall(r"^### Keycloak\n.*?^```yaml\n(.*?)^```", GUIDE, re.S | re.M))

PROVIDER = RECIPE["inbound"]["providers"]["keycloak"]
CLIENT = RECIPE["outbound"]["oauth_clients"]["keycloak"]
(RULE,) = RECIPE["outbound"]["rules"]

#: The client that asks, and the upstream.
AGENT, (SEARCH,) = CLIENT["client_id"], RULE["token"]["audience"]

#: By which the world knows the server; it is asked elsewhere, as in a cluster.
HOSTNAME = PROVIDER["issuer"].partition("/realms/")[0]


@pytest.fixture(scope="module")
def keycloak():
    with Keycloak("keycloak-guide", HOSTNAME) as server:
        for each in ("caller", AGENT, SEARCH):
            server.create_client(each)
        # The three settings.
        server.let_exchange(AGENT)
        server.create_scope("for-agent", AGENT)
        server.give_scope("caller", "for-agent")
        server.create_scope("for-search", SEARCH)
        server.give_scope(AGENT, "for-search")
        yield server


@pytest.fixture(scope="module")
def running(envoy, agent, api, keycloak):
    """The recipe in both directions, as in a sidecar."""
    environment = {"KEYCLOAK_SECRET": keycloak.secret}
    (upstream,) = RULE["match"]["clusters"]
    ports = {
        "agent": agent.port,
        upstream: api.port,
        CLIENT["token_endpoint"]["cluster"]: keycloak.port,
        PROVIDER["jwks"]["discovery"]["cluster"]: keycloak.port,
    }
    listeners = [
        listener("inbound", [peergate(RECIPE, environment)], "agent"),
        listener("outbound", [peergate(RECIPE, environment)], upstream, "OUTBOUND"),
    ]
    return envoy(bootstrap(listeners, [cluster(*each) for each in ports.items()]), environment)


def call(running, token):
    (host,) = RULE["match"]["hosts"]
    headers = {"host": host} | bearer(token)
    return httpx.get(running.url("outbound"), headers=headers, trust_env=False, timeout=20)


def test_the_upstream_gets_a_token_of_its_own(running, agent, api, keycloak):
    mine = keycloak.token_of("caller")
    url = running.url("inbound")
    assert httpx.get(url, headers=bearer(mine), trust_env=False, timeout=20).status_code == 200
    # The agent passes on what it was called with.
    assert agent.only().header("authorization") == f"Bearer {mine}"
    assert call(running, mine).status_code == 200
    claims = injected(api)
    assert (claims["iss"], claims["aud"], claims["azp"]) == (PROVIDER["issuer"], SEARCH, AGENT)
    assert claims["sub"] == payload(mine)["sub"]
    assert "act" not in claims


def test_an_assertion_is_for_the_issuer_or_the_endpoint_below_its_hostname(keycloak):
    _, signs = EXCHANGING
    for audience in (PROVIDER["issuer"], f"{HOSTNAME}{keycloak.token_path}"):
        answer = client_credentials(keycloak.token_endpoint, signed(signs, keycloak.client_key, audience))
        remember_token("token of a client that signs", answer.raise_for_status().json()["access_token"])
    for audience in (CLIENT["token_endpoint"]["uri"], keycloak.token_endpoint):
        refused = client_credentials(keycloak.token_endpoint, signed(signs, keycloak.client_key, audience))
        assert refusal(refused) == (400, "invalid_client")


@contextlib.contextmanager
def without_exchange(keycloak):
    keycloak.let_exchange(AGENT, False)
    try:
        yield
    finally:
        keycloak.let_exchange(AGENT)


@contextlib.contextmanager
def without_scope(keycloak, client, name):
    keycloak.take_scope(client, name)
    try:
        yield
    finally:
        keycloak.give_scope(client, name)


@pytest.mark.parametrize(
    ("missing", "status", "says"),
    [
        (without_exchange, 502, "invalid_request"),
        (lambda keycloak: without_scope(keycloak, "caller", "for-agent"), 401, "audience_invalid"),
        (lambda keycloak: without_scope(keycloak, AGENT, "for-search"), 502, "invalid_request"),
    ],
    ids=["the exchange is off", "callers' tokens are not for it", "its tokens are not for the upstream"],
)
def test_without_one_of_the_settings(running, api, keycloak, missing, status, says):
    before = running.log().count(says)
    with missing(keycloak):
        assert call(running, keycloak.token_of("caller")).status_code == status
    wait_until(lambda: running.log().count(says) > before, PATIENCE_SECONDS, f"the log says {says}")
    assert api.received == []
    assert call(running, keycloak.token_of("caller")).status_code == 200
