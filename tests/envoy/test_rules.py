"""Which rule decides, and paths that two servers could read in two ways."""

import pytest

from support.cast import MRWHITE_KEY, REALM, bearer, policy, rule, token
from support.client import problem, refusal

DENIED = (403, "Access denied")
NO_CREDENTIALS = (401, "Missing or invalid Authorization header")
AMBIGUOUS = (400, "Ambiguous request path")
CARD = "/.well-known/agent-card.json"


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(
        policy(
            {"name": "card", "match": {"paths": [CARD], "methods": ["GET", "HEAD"]}, "accept": ["none"]},
            {"name": "closed", "match": {"path_prefixes": ["/admin/closed"]}, "deny": True},
            rule("admin", ["jwt"], "/admin", require={"scopes": ["a2a.admin", "a2a.read"]}),
            rule("reports", ["jwt", "api_key"], "/reports", require={"scopes": ["reports.read"]}),
            {"name": "host", "match": {"hosts": ["public.tests.example"]}, "accept": ["none"]},
            rule("tasks", ["jwt"], "/tasks"),
        )
    )


def test_nothing_is_public_unless_a_rule_says_so(client, agent):
    assert refusal(client.get("/")) == DENIED
    assert refusal(client.get("/", bearer(token()))) == DENIED
    assert client.envoy.await_access_log(path="/", reason="no_rule")["rule"] is None
    assert agent.received == []


def test_a_public_path_looks_at_no_credential(client, agent):
    assert client.get(CARD).status_code == 200
    assert client.get(CARD, {"Authorization": "Bearer nonsense", "X-Api-Key": "nonsense"}).status_code == 200
    for request in agent.received:
        assert request.names() & {"authorization", "x-api-key"} == set()


def test_a_rule_for_some_methods_is_none_for_others(client):
    assert client.request("HEAD", CARD).status_code == 200
    assert refusal(client.request("DELETE", CARD)) == DENIED
    assert refusal(client.request("OPTIONS", CARD)) == DENIED


def test_the_query_is_no_part_of_the_path(client):
    assert client.get(CARD + "?a=/admin").status_code == 200
    assert refusal(client.get("/tasks?path=" + CARD)) == NO_CREDENTIALS


def test_the_first_rule_that_matches_decides(client):
    admin = bearer(token(scope="a2a.admin a2a.read"))
    assert client.get("/admin", admin).status_code == 200
    assert refusal(client.get("/admin/closed", admin)) == DENIED
    assert client.envoy.await_access_log(path="/admin/closed")["rule"] == "closed"


def test_a_prefix_is_whole_segments(client):
    assert client.get("/tasks/1", bearer(token())).status_code == 200
    assert refusal(client.get("/tasksandmore", bearer(token()))) == DENIED


def test_the_host_is_without_case_and_port(client):
    assert client.get("/", {"Host": "PUBLIC.tests.example:8443"}).status_code == 200
    assert refusal(client.get("/", {"Host": "not.public.tests.example"})) == DENIED


@pytest.mark.parametrize("host", [b"a.example, public.tests.example", b"x@public.tests.example"])
def test_a_host_with_two_meanings_is_refused(client, agent, host):
    status, _ = client.raw(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert status == 400
    assert agent.received == []


def test_a_token_without_the_scopes_is_told_all_of_them(client, agent):
    answer = client.get("/admin", bearer(token(scope="a2a.read")))
    assert refusal(answer) == (403, "Insufficient scope")
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="{REALM}", error="insufficient_scope", scope="a2a.admin a2a.read"'
    )
    assert agent.received == []


def test_the_scopes_of_a_key_are_those_of_its_peer(client, agent):
    assert client.get("/reports", {"X-Api-Key": MRWHITE_KEY}).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrwhite"


@pytest.mark.parametrize("claim", [{"scope": "x reports.read"}, {"scp": ["x", "reports.read"]}])
def test_the_scopes_of_a_token(client, claim):
    assert client.get("/reports", bearer(token(**claim))).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "//admin",
        "/tasks//1",
        "/tasks/../admin",
        "/./tasks",
        "/tasks/%2e%2e/admin",
        "/tasks%2Fadmin",
        "/tasks%5Cadmin",
        "/tasks\\admin",
        "/tasks;admin",
        "/tasks/%61dmin",
        "/tasks/%zz",
        "/tasks/%00",
        f"{CARD}/../../admin",
        f"{CARD}/%2e%2e/%2e%2e/admin",
        f"{CARD};/admin",
    ],
)
def test_an_ambiguous_path_is_refused_before_any_rule(client, agent, target):
    authorization = f"Authorization: Bearer {token(scope='a2a.admin a2a.read')}".encode()
    assert problem(*client.raw_get(target, authorization)) == AMBIGUOUS
    assert agent.received == []


@pytest.mark.parametrize("target", [f"{CARD}/", CARD.upper(), f"{CARD}.bak", f"/x{CARD}"])
def test_what_only_looks_like_the_public_path_is_not_public(client, target):
    assert refusal(client.get(target)) == DENIED


def test_an_absolute_target_counts_with_its_own_host(client):
    target = "http://public.tests.example/"
    assert client.raw_get(target)[0] == 200
    public = b"GET http://agent.tests.example/ HTTP/1.1\r\nHost: public.tests.example\r\n\r\n"
    assert problem(*client.raw(public)) == DENIED
