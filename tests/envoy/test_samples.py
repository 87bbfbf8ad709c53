"""The configurations in `envoy/` run as they are: each keeps the main promise of its placement.

Only the ports are others, and the place of the module. `envoy/demo.yaml` has a test of its own.
"""

import re

import pytest
import yaml

from support.bootstrap import loopback
from support.cast import bearer
from support.client import Client, refusal
from support.credentials import new_seed, totp, wrong_totp
from support.paths import ROOT
from support.published import ISSUER, MRWHITE_KEY, mint
from support.samples import policy, sample

MRPINK_SEED = new_seed("sample: TOTP seed of mrpink")
CHARLIE_SEED = new_seed("sample: TOTP seed of charlie")

NAMES = ("front-proxy.yaml", "sidecar-inbound.yaml", "sidecar-outbound.yaml")

ALPHA, CHARLIE = "alpha.agents.example", "charlie.agents.example"
PUBLIC, OTHER = "public.example", "other.example"
CARD = "/.well-known/agent-card.json"
NO_CREDENTIALS = (401, "Missing or invalid Authorization header")


def counters(envoy):
    """The filter's counters as Prometheus reads them."""
    lines = envoy.admin("/stats/prometheus").splitlines()
    return {line for line in lines if line.startswith("peergate_")}


def counted(direction, outcome, reason, rule, count):
    return (
        f'peergate_requests_total{{direction="{direction}",outcome="{outcome}",reason="{reason}",rule="{rule}"}} '
        f"{count}"
    )


def code(seed):
    return {"X-TOTP": totp(seed)}


def is_code_of(value, seed):
    """Whether a code was good a moment ago."""
    return value in {totp(seed, -1), totp(seed)}


def identity(request):
    return {name: value for name, value in request.headers if name.startswith(("x-agent-", "rb-auth-"))}


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_at_its_head_name_what_it_needs(name):
    """Every variable that the policy reads is let in, and the head of the file sets it."""
    text = (ROOT / "envoy" / name).read_text(encoding="utf-8")
    settings = "\n".join(line.partition("#")[0] for line in text.splitlines())
    needed = set(re.findall(r"\{env: ([A-Z_]+)\}", settings))
    (keys,) = re.findall(r"host_env_keys: \[(.*)\]", text)
    assert set(keys.split(", ")) == needed
    (command,) = [line for line in text.splitlines() if line.endswith(f"envoy --config-path envoy/{name}")]
    assert set(re.findall(r"([A-Z_]+)=…", command)) == needed


@pytest.fixture(scope="module")
def front(envoy, agent, api):
    """`agent` is alpha, `api` is charlie."""
    configuration = sample("front-proxy.yaml", alpha=agent.port, charlie=api.port)
    environment = {"MRPINK_TOTP": MRPINK_SEED, "CHARLIE_TOTP": CHARLIE_SEED}
    with Client(envoy(configuration, environment), "front") as client:
        yield client


def front_token():
    return bearer(mint("https://agents.example"))


def test_strangers_do_not_get_in(front, agent, api):
    for host in (ALPHA, CHARLIE):
        assert refusal(front.get("/", {"Host": host})) == NO_CREDENTIALS
        answer = front.get("/", {"Host": host} | front_token())
        assert refusal(answer) == (401, "Missing X-TOTP header")
        wrong = front_token() | {"X-TOTP": wrong_totp(MRPINK_SEED)}
        assert refusal(front.get("/", {"Host": host} | wrong)) == (401, "Invalid TOTP code")
    assert refusal(front.get("/", {"Host": "evil.example"} | front_token())) == (403, "Access denied")
    assert agent.received == api.received == []


def test_cards_are_public_and_nobody_forges_an_identity_there(front, agent, api):
    for host, upstream in ((ALPHA, agent), (CHARLIE, api)):
        forged = {"X-Agent-Peer": "admin", "x_agent_sub": "admin", "X-TOTP": "123456"}
        assert front.get(CARD, {"Host": host} | forged).status_code == 200
        assert identity(upstream.only()) == {}
        assert upstream.only().values("x-totp") == []


def test_a_caller_with_token_and_code_reaches_an_agent(front, agent):
    headers = {"Host": ALPHA} | front_token() | code(MRPINK_SEED)
    assert front.get("/tasks", headers).status_code == 200
    assert identity(agent.only()) == {
        "x-agent-peer": "mrpink",
        "x-agent-sub": "mrpink",
        "x-agent-iss": ISSUER,
        "x-agent-auth": "jwt",
    }
    assert agent.only().names() & {"authorization", "x-totp"} == set()
    line = front.envoy.await_access_log(path="/tasks", host=ALPHA)
    assert [line[name] for name in ("status", "cluster", "reason", "rule", "peer")] == [
        200,
        "alpha",
        "ok",
        "agents",
        "mrpink",
    ]


def test_charlie_is_sent_the_code_of_the_gateway_in_place_of_the_callers(front, api):
    headers = {"Host": CHARLIE} | front_token() | code(MRPINK_SEED)
    assert front.get("/charlie", headers).status_code == 200
    assert is_code_of(api.only().header("x-totp"), CHARLIE_SEED)
    assert api.only().header("x-agent-peer") == "mrpink"
    assert api.only().values("authorization") == []


def test_a_caller_with_a_key_reads_reports_and_no_more(front, agent):
    key = {"Host": ALPHA, "X-Api-Key": MRWHITE_KEY}
    assert front.get("/reports/today", key).status_code == 200
    assert identity(agent.only())["x-agent-peer"] == "mrwhite"
    assert agent.only().values("x-api-key") == []
    assert front.get("/tasks", key).status_code == 401
    assert front.request("POST", "/reports/today", key).status_code == 401
    assert len(agent.received) == 1


def test_what_was_decided_is_counted(envoy, agent, api):
    configuration = sample("front-proxy.yaml", alpha=agent.port, charlie=api.port)
    environment = {"MRPINK_TOTP": MRPINK_SEED, "CHARLIE_TOTP": CHARLIE_SEED}
    with Client(envoy(configuration, environment), "front") as client:
        host = {"Host": CHARLIE}
        client.get("/", host)
        client.get("/", host | front_token() | code(MRPINK_SEED))
        assert counters(client.envoy) == {
            counted("inbound", "deny", "credentials_missing", "agents", 1),
            counted("inbound", "allow", "ok", "agents", 1),
            counted("outbound", "allow", "ok", "charlie", 1),
            'peergate_signatures_total{by="module"} 1',
        }
        line = client.envoy.await_access_log(status=401)
        assert [line[name] for name in ("reason", "rule", "peer", "cluster")] == [
            "credentials_missing",
            "agents",
            None,
            "charlie",
        ]


@pytest.fixture(scope="module")
def inbound(envoy, agent):
    configuration = sample("sidecar-inbound.yaml", agent=agent.port)
    with Client(envoy(configuration, {"MRPINK_TOTP": MRPINK_SEED})) as client:
        yield client


def agent_token(**claims):
    return bearer(mint("https://agent.example", **claims))


def test_the_agent_is_asked_by_known_callers_only(inbound, agent):
    assert refusal(inbound.get("/tasks")) == NO_CREDENTIALS
    assert refusal(inbound.get("/tasks", agent_token())) == (401, "Missing X-TOTP header")
    elsewhere = bearer(mint("https://agents.example")) | code(MRPINK_SEED)
    assert refusal(inbound.get("/tasks", elsewhere)) == (401, "Invalid token audience")
    assert agent.received == []
    forged = {"X-Agent-Peer": "admin", "X-Agent-Roles": "admin", "Rb-Auth-Claims": "{}"}
    good = agent_token(roles=["reader", "writer"]) | code(MRPINK_SEED)
    assert inbound.get("/tasks", good | forged).status_code == 200
    assert identity(agent.only()) == {
        "x-agent-peer": "mrpink",
        "x-agent-sub": "mrpink",
        "x-agent-iss": ISSUER,
        "x-agent-auth": "jwt",
        "x-agent-roles": "reader,writer",
        "rb-auth-claims": f'{{"sub":"mrpink","iss":"{ISSUER}"}}',
    }
    assert agent.only().names() & {"authorization", "x-totp"} == set()
    line = inbound.envoy.await_access_log(path="/tasks", status=200)
    assert [line[name] for name in ("reason", "rule", "peer", "sub")] == [
        "ok",
        "agent",
        "mrpink",
        "mrpink",
    ]
    counts = counters(inbound.envoy)
    assert counted("inbound", "deny", "totp_missing", "agent", 1) in counts
    assert counted("inbound", "allow", "ok", "agent", 1) in counts


@pytest.mark.parametrize("path", [CARD, "/healthz"])
def test_public_paths_are_public(inbound, agent, path):
    assert inbound.get(path, {"X-Agent-Peer": "admin"}).status_code == 200
    assert identity(agent.only()) == {}
    assert refusal(inbound.get(f"{path}/x")) == NO_CREDENTIALS
    assert refusal(inbound.request("POST", path)) == NO_CREDENTIALS


def test_administration_wants_the_role_as_well(inbound, agent):
    reader = agent_token(roles=["reader"]) | code(MRPINK_SEED)
    assert refusal(inbound.get("/admin/users", reader)) == (403, "Access denied")
    assert agent.received == []
    admin = agent_token(roles=["reader", "admin"]) | code(MRPINK_SEED)
    assert inbound.get("/admin/users", admin).status_code == 200
    assert agent.only().header("x-agent-roles") == "reader,admin"


def test_reports_are_for_keys_and_tokens_with_the_scope(inbound, agent):
    assert inbound.get("/reports", {"X-Api-Key": MRWHITE_KEY}).status_code == 200
    assert inbound.get("/reports", agent_token(scope="a2a reports.read")).status_code == 200
    assert refusal(inbound.get("/reports", agent_token())) == (403, "Insufficient scope")
    assert [request.header("x-agent-peer") for request in agent.received] == ["mrwhite", "mrpink"]


@pytest.fixture(scope="module")
def start(envoy):
    def start(configuration):
        return envoy(configuration, {"CHARLIE_TOTP": CHARLIE_SEED})

    return start


@pytest.fixture(scope="module")
def configuration(agent, api):
    """`api` is charlie, `agent` is everybody else."""
    return lambda: sample("sidecar-outbound.yaml", charlie=api.port, elsewhere=agent.port)


@pytest.fixture(scope="module")
def outbound(start, configuration):
    with Client(start(configuration()), "outbound") as client:
        yield client


def test_charlie_is_sent_a_code_that_the_agent_does_not_know(outbound, api):
    for own in ({}, {"X-TOTP": "000000"}):
        api.forget()
        headers = {"Host": CHARLIE, "X-Internal-Trace": "1"} | own
        assert outbound.get("/charlie", headers).status_code == 200
        assert is_code_of(api.only().header("x-totp"), CHARLIE_SEED)
        assert api.only().values("x-internal-trace") == []
    line = outbound.envoy.await_access_log(path="/charlie")
    assert [line[name] for name in ("host", "status", "cluster", "reason", "rule")] == [
        CHARLIE,
        200,
        "charlie",
        "ok",
        "charlie",
    ]
    assert counted("outbound", "allow", "ok", "charlie", 2) in counters(outbound.envoy)


def test_others_are_sent_no_code(outbound, agent):
    assert outbound.get("/", {"Host": PUBLIC, "Authorization": "Basic mine"}).status_code == 200
    assert agent.only().values("x-totp") == []
    assert agent.only().header("authorization") == "Basic mine"


def test_what_is_not_written_down_is_refused(outbound, agent, api):
    assert refusal(outbound.get("/other", {"Host": OTHER})) == (403, "Call not allowed")
    line = outbound.envoy.await_access_log(path="/other")
    assert [line[name] for name in ("host", "status", "reason", "rule")] == [
        OTHER,
        403,
        "outbound_no_match",
        None,
    ]
    assert counted("outbound", "deny", "outbound_no_match", "none", 1) in counters(outbound.envoy)
    assert agent.received == api.received == []


def test_charlies_name_does_not_carry_the_code_to_another_cluster(start, configuration, agent):
    """An operator points the route of charlie elsewhere: the rule names the cluster, and does not follow."""
    astray = configuration()
    clusters = astray["static_resources"]["clusters"]
    assert clusters[0]["name"] == "charlie"
    (listener,) = astray["static_resources"]["listeners"]
    hosts = listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    hosts[0]["routes"][0]["route"]["cluster"] = "elsewhere"
    with Client(start(astray), "outbound") as client:
        assert refusal(client.get("/", {"Host": CHARLIE})) == (403, "Call not allowed")
        assert agent.received == []


def test_on_no_match_forward_lets_calls_go_on_as_they_are(start, configuration, agent, api):
    open_ended = configuration()
    policy(open_ended)["outbound"]["on_no_match"] = "forward"
    with Client(start(open_ended), "outbound") as client:
        assert client.get("/", {"Host": OTHER, "X-TOTP": "000000"}).status_code == 200
        assert agent.only().header("x-totp") == "000000"
        assert client.get("/", {"Host": CHARLIE}).status_code == 200
        assert is_code_of(api.only().header("x-totp"), CHARLIE_SEED)
        assert counted("outbound", "allow", "no_match", "none", 1) in counters(client.envoy)


@pytest.mark.parametrize("name", NAMES)
def test_all_count_alike(name):
    """One dashboard reads them all."""
    demo, other = (yaml.safe_load((ROOT / "envoy" / file).read_text("utf-8")) for file in ("demo.yaml", name))
    assert other["stats_config"] == demo["stats_config"]


def test_no_listener_is_open_to_the_network(agent, api):
    """`sample` itself refuses an address that is not loopback; this shows that it does."""
    configuration = sample("sidecar-outbound.yaml", charlie=api.port, elsewhere=agent.port)
    for listener in configuration["static_resources"]["listeners"]:
        assert listener["address"] == loopback(0)
