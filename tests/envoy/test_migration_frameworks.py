"""docs/migration-frameworks.md: each policy does what it says the framework did, on a real Envoy.

The frameworks themselves do not run here: what they answer is written there from their sources.
"""

import json

import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client, refusal
from support.credentials import new_secret, new_seed, totp, wrong_totp
from support.documents import blocks

#: In the order of the document.
ROCKBOT, CREWAI, CONTEXTFORGE = (
    yaml.safe_load(block.text) for block in blocks("docs/migration-frameworks.md") if block.language == "yaml"
)

#: Examples, which the document itself tells.
KEY = "sk-example-not-a-secret-0123456789"
TOKEN = "tk-example-not-a-secret-0123456789"

SEED = new_seed("migration: seed of mrpink")
OUTGOING_SEED = new_seed("migration: seed of the outgoing calls")
CHARLIES_TOKEN = new_secret("migration: token for charlie")
TAVILY_KEY = new_secret("migration: key of tavily")
ENVIRONMENT = {
    "MRPINK_TOTP": SEED,
    "A2A_TOTP_SEED": OUTGOING_SEED,
    "CHARLIE_TOKEN": CHARLIES_TOKEN,
    "TAVILY_KEY": TAVILY_KEY,
}

TAVILY = "outbound|443||mcp.tavily.com"


@pytest.fixture(scope="module")
def running(envoy, agent, api):
    listeners = [
        listener("rockbot", [peergate(ROCKBOT)], "agent"),
        listener("crewai", [peergate(CREWAI, ENVIRONMENT)], "agent"),
        listener("crewai-out", [peergate(CREWAI, ENVIRONMENT)], "charlie", direction="OUTBOUND"),
        listener("contextforge", [peergate(CONTEXTFORGE, ENVIRONMENT)], TAVILY, direction="OUTBOUND"),
    ]
    clusters = [
        cluster("agent", agent.port),
        cluster("charlie", api.port),
        cluster(TAVILY, api.port),
        cluster("login", 1),
    ]
    return envoy(bootstrap(listeners, clusters), ENVIRONMENT)


def test_rockbots_keys_carry_claims_that_nobody_forges(running, agent):
    with Client(running, "rockbot") as client:
        assert client.get("/", {"x-api-key": KEY, "rb-auth-claims": '{"sub":"admin"}'}).status_code == 200
        assert client.get("/", {"rb-auth-claims": '{"sub":"admin"}'}).status_code == 401
    (request,) = agent.received
    assert json.loads(request.header("rb-auth-claims")) == {
        "sub": "peer-agent",
        "name": "Peer Agent",
        "iss": "api-key",
    }
    assert request.header("x-agent-peer") == "peer-agent"
    assert request.header("x-api-key") is None


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "Missing or invalid Authorization header"),
        ({"authorization": f"Bearer {TOKEN}"}, "Missing X-TOTP header"),
        ({"authorization": f"Bearer {TOKEN}", "x-totp": wrong_totp(SEED)}, "Invalid TOTP code"),
    ],
)
def test_crewais_callers_are_told_the_same(running, headers, text):
    with Client(running, "crewai") as client:
        assert refusal(client.get("/", headers)) == (401, text)


def test_crewais_callers_are_let_in_with_both(running, agent):
    with Client(running, "crewai") as client:
        answer = client.get("/", {"authorization": f"Bearer {TOKEN}", "x-totp": totp(SEED)})
    assert answer.status_code == 200
    assert agent.received[0].header("x-agent-peer") == "mrpink"


def test_crewais_calls_get_token_and_code(running, api):
    with Client(running, "crewai-out") as client:
        assert client.get("/", {"host": "charlie.mesh.example"}).status_code == 200
    (request,) = api.received
    assert request.header("authorization") == f"Bearer {CHARLIES_TOKEN}"
    assert request.header("x-totp") in {totp(OUTGOING_SEED), totp(OUTGOING_SEED, -1)}


def test_contextforges_upstream_gets_its_key_and_others_do_not(running, api):
    with Client(running, "contextforge") as client:
        assert client.get("/mcp", {"host": "mcp.tavily.com"}).status_code == 200
        assert client.get("/mcp", {"host": "other.example"}).status_code == 200
    with_key, without = api.received
    assert with_key.query == [("tavilyApiKey", TAVILY_KEY)]
    assert without.query == []
