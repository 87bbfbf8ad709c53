"""A caller's token on its way through an agent: in by one listener of a sidecar, out by another, exchanged by zitadel.

Only the agent knows which of its calls is for which caller. What it passes on is one header: the caller's token, or the
filter's own assertion, behind which the proxy finds the token that the agent never sees.
"""

import concurrent.futures
import json
from dataclasses import dataclass

import httpx
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import bearer
from support.client import Client
from support.credentials import SigningKey
from support.identity_provider import Zitadel
from support.registry import remember_token
from support.relay import Relay
from support.tokens import payload
from support.upstream import Upstream

TOOLS = {"a": "https://a.tests.example", "b": "https://b.tests.example"}

ASSERTION = "x-agent-assertion"

KEY = SigningKey.generate("ES256", "sidecar-1")

ATTACKER = SigningKey.generate("ES256", "sidecar-1")


@pytest.fixture(scope="module")
def zitadel():
    with Zitadel("zitadel-sidecar") as server:
        yield server


class Tool(Upstream):
    """It says whose token it was given."""

    def answer_to(self, received):
        return {"sub": given(received)["sub"]}


@pytest.fixture(scope="module")
def tool():
    with Tool("tool") as upstream:
        yield upstream


def policy(zitadel, header):
    """One policy for both halves."""
    provider = {
        "issuer": zitadel.issuer,
        "audiences": ["caller"],
        "jwks": {"discovery": {"cluster": "zitadel"}},
        "forward": header == "authorization",
    }
    inbound = {"providers": {"zitadel": provider}, "rules": [{"name": "agent", "accept": ["jwt"]}]}
    if header == ASSERTION:
        key = {"kid": KEY.kid, "alg": KEY.algorithm, "key": {"env": "ASSERTION_KEY"}}
        inbound["forward"] = {
            "assertion": {
                "header": ASSERTION,
                "keys": [key],
                "issuer": "https://mesh.tests.example",
                "audience": "https://agent.tests.example",
            }
        }
    auth = {"method": "client_secret_basic", "secret": {"env": "ZITADEL_SECRET"}}
    endpoint = {"uri": zitadel.token_endpoint, "cluster": "zitadel"}
    client = {"token_endpoint": endpoint, "client_id": "peergate", "auth": auth}

    def rule(name, audience):
        token = {
            "client": "zitadel",
            "audience": [audience],
            "requested_token_type": "access_token",
            "subject": {"from_header": header},
        }
        return {
            "name": name,
            "match": {"hosts": [f"{name}.tests.example"], "clusters": ["tool"]},
            "token": token,
        }

    rules = [rule(name, audience) for name, audience in TOOLS.items()]
    return {
        "version": 1,
        "inbound": inbound,
        "outbound": {"oauth_clients": {"zitadel": client}, "rules": rules},
    }


@pytest.fixture(scope="module")
def sidecar_of(envoy, zitadel, tool):
    """Starts the sidecar of an agent, and gives a client of its inbound listener."""

    def start(relay, policy, workers=1):
        environment = {"ZITADEL_SECRET": zitadel.secret, "ASSERTION_KEY": KEY.private_pem()}
        filters = [peergate(policy, environment)]
        listeners = [
            listener("inbound", filters, "agent"),
            listener("outbound", filters, "tool", "OUTBOUND"),
        ]
        clusters = [
            cluster("agent", relay.port),
            cluster("tool", tool.port),
            cluster("zitadel", zitadel.port),
        ]
        started = envoy(bootstrap(listeners, clusters), environment, workers=workers)
        relay.outbound = started.port("outbound")
        return Client(started)

    return start


def ask(client, token, tool="a"):
    """Ask the agent to call a tool, on a connection of its own."""
    url = f"http://127.0.0.1:{client.port}/{tool}"
    answer = httpx.get(url, headers=bearer(token), trust_env=False, timeout=20).raise_for_status()
    return answer.json()


def given(received):
    """The claims of the token that a tool was given."""
    value = received.header("authorization").removeprefix("Bearer ")
    return payload(remember_token("exchanged token", value))


@dataclass(frozen=True)
class Sidecar:
    """A client of the inbound listener, and the agent behind it."""

    client: Client
    relay: Relay


@pytest.fixture(scope="module")
def passing(sidecar_of, zitadel):
    """The agent gets the token, and passes it on as agent kits do."""
    with (
        Relay("agent", "authorization") as relay,
        sidecar_of(relay, policy(zitadel, "authorization"), workers=4) as client,
    ):
        yield Sidecar(client, relay)


@pytest.fixture(scope="module")
def asserting(sidecar_of, zitadel):
    """The agent gets the filter's assertion, and passes that on."""
    with (
        Relay("agent", ASSERTION) as relay,
        sidecar_of(relay, policy(zitadel, ASSERTION), workers=4) as client,
    ):
        yield Sidecar(client, relay)


@pytest.fixture(params=["passing", "asserting"])
def either(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _forget_before(request, tool):
    tool.forget()
    for name in ("passing", "asserting", "either"):
        if name in request.fixturenames:
            request.getfixturevalue(name).relay.forget()


@pytest.mark.parametrize("name", TOOLS)
def test_the_tool_gets_a_token_of_its_own(passing, tool, zitadel, name):
    mine = zitadel.user_token()
    assert ask(passing.client, mine, name)["status"] == 200
    assert passing.relay.only().header("authorization") == f"Bearer {mine}"
    claims = given(tool.only())
    assert (claims["sub"], claims["aud"]) == (zitadel.subjects[0], [TOOLS[name]])
    assert mine not in str(tool.only().headers)


def test_each_caller_is_itself(passing, tool, zitadel):
    for user, subject in zip(zitadel.users, zitadel.subjects, strict=True):
        tool.forget()
        assert ask(passing.client, zitadel.user_token(user))["status"] == 200
        assert given(tool.only())["sub"] == subject


@pytest.mark.parametrize(
    "passed",
    [None, "Bearer garbage", "Bearer a.b.c", "Basic YWdlbnQ6YWdlbnQ="],
)
def test_what_does_not_verify_is_not_exchanged(passing, tool, zitadel, passed):
    """An agent that was talked into sending something else, or nothing."""
    mine = zitadel.user_token()
    before = zitadel.calls("/oauth/token")
    passing.relay.passes = lambda _: passed
    assert ask(passing.client, mine)["status"] in (401, 403)
    assert tool.received == []
    assert zitadel.calls("/oauth/token") == before


def test_a_token_of_somebody_else_is_not_exchanged(passing, tool, zitadel):
    """With the claims of a good one, and another key."""
    mine = zitadel.user_token()
    forged = ATTACKER.sign(payload(mine), "forged token")
    passing.relay.passes = lambda _: f"Bearer {forged}"
    assert ask(passing.client, mine)["status"] in (401, 403)
    assert tool.received == []


@pytest.mark.parametrize("name", TOOLS)
def test_the_agent_never_sees_the_token_nor_the_tool_the_assertion(asserting, tool, zitadel, name):
    mine = zitadel.user_token()
    assert ask(asserting.client, mine, name)["status"] == 200
    at_agent, at_tool = asserting.relay.only(), tool.only()
    assert mine not in str(at_agent.headers)
    assert mine.rpartition(".")[2] not in str(at_agent.headers)
    assert at_agent.values("authorization") == []
    assertion = remember_token("assertion", at_agent.header(ASSERTION))
    assert payload(assertion)["sub"] == zitadel.subjects[0]
    claims = given(at_tool)
    assert (claims["sub"], claims["aud"]) == (zitadel.subjects[0], [TOOLS[name]])
    assert at_tool.values(ASSERTION) == []
    assert assertion not in str(at_tool.headers)
    assert mine not in str(at_tool.headers)


def test_many_callers_at_once_are_not_mixed_up(either, tool, zitadel):
    """Both halves run on whichever of four workers Envoy has, and the workers know each other's assertions."""
    tokens = {
        subject: zitadel.user_token(user)
        for user, subject in zip(zitadel.users, zitadel.subjects, strict=True)
    }

    def seen(subject):
        return json.loads(ask(either.client, tokens[subject])["said"]).get("sub")

    subjects = [zitadel.subjects[number % 2] for number in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(seen, subjects)) == subjects
    assert len(tool.received) == 40


def test_an_assertion_of_the_callers_own_is_not_let_in(asserting, tool, zitadel):
    mine, other = zitadel.user_token(), zitadel.user_token(zitadel.users[1])
    assert ask(asserting.client, other)["status"] == 200
    stolen = asserting.relay.only().header(ASSERTION)
    asserting.relay.forget()
    tool.forget()
    headers = bearer(mine) | {ASSERTION: stolen, ASSERTION.upper().replace("-", "_"): stolen}
    assert asserting.client.get("/a", headers).json()["status"] == 200
    assert asserting.relay.only().header(ASSERTION) != stolen
    assert given(tool.only())["sub"] == zitadel.subjects[0]
