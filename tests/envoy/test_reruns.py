"""What is sent more than once: retries, hedged requests, internal redirects, mirrors.

A filter of a listener runs once for a request, and again when a redirect is followed inside Envoy. A filter of a
cluster runs for each attempt. What arrives must be the same.
"""

import threading

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate, within
from support.cast import ENVIRONMENT, MRPINK_SEED, bearer, policy, rule, token
from support.client import Client, refusal
from support.credentials import new_secret, new_seed, totp
from support.process import PATIENCE_SECONDS, wait_until
from support.stage import Answer, Stage

API_KEY = new_secret("key of the API, for reruns")
SEED = new_seed("TOTP seed of the mesh, for reruns")

AGENT, API, OTHER = (f"{name}.tests.example" for name in ("agent", "api", "other"))
KEY = [("apiKey", API_KEY)]
IDENTITY = {"x-agent-peer", "x-agent-sub", "x-agent-iss", "x-agent-auth", "rb-auth-claims"}
CREDENTIALS = {"authorization", "x-totp", "x-api-key"}
NO_CREDENTIALS = (401, "Missing or invalid Authorization header")


def both_halves():
    """Callers need a token, but for one path; the API, wherever it is, gets a key and a code."""
    built = policy(
        rule("public", ["none"], "/public"),
        rule("second-factor", ["jwt"], "/redirect/totp", require={"totp": True}),
        rule("agent", ["jwt"]),
    )
    built["outbound"] = {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [API],
        "rules": [
            {
                "name": "api",
                "match": {"hosts": [API], "clusters": ["api", "api-placed"]},
                "query_params": {"apiKey": {"env": "API_KEY"}},
                "totp": {"seed": {"env": "MESH_TOTP"}},
            },
            {
                "name": "mirror",
                "match": {"clusters": ["mirror-placed"]},
                "totp": {"seed": {"env": "MESH_TOTP"}},
            },
        ],
    }
    return built


def forwarding():
    """A policy whose tokens go on to the upstream."""
    return policy(rule("agent", ["jwt"]), provider={"forward": True})


def virtual_host(host, cluster_name, mirror="mirror"):
    """Each kind of sending again has a path of its own."""
    retries = {"retry_on": "5xx", "num_retries": 3, "retry_back_off": {"base_interval": "0.001s"}}
    hedges = {
        "retry_policy": {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.2s"},
        "hedge_policy": {"hedge_on_per_try_timeout": True},
    }
    follow = {
        "max_internal_redirects": 2,
        "redirect_response_codes": [302, 307],
        "allow_cross_scheme_redirect": True,
    }
    kinds = {
        "/retry": {"retry_policy": retries},
        "/hedge": hedges,
        "/redirect": {"internal_redirect_policy": follow},
        "/public/redirect": {"internal_redirect_policy": follow},
        "/mirror": {"request_mirror_policies": [{"cluster": mirror}]},
        "/public/mirror": {"request_mirror_policies": [{"cluster": mirror}]},
        "/": {},
    }
    routes = [
        {"match": {"prefix": prefix}, "route": {"cluster": cluster_name, "timeout": "20s"} | members}
        for prefix, members in kinds.items()
    ]
    return {"name": cluster_name, "domains": [host], "routes": routes}


def hosts(*virtual_hosts):
    return {"route_config": {"virtual_hosts": list(virtual_hosts)}}


@pytest.fixture(scope="module")
def stages():
    """`agent` is behind the filter, `api` and `other` are called, `mirror` sees copies."""
    stages = {name: Stage(name) for name in ("agent", "api", "other", "mirror")}
    for stage in stages.values():
        stage.__enter__()
    yield stages
    for stage in stages.values():
        stage.__exit__()


@pytest.fixture(autouse=True)
def _forget_script(stages):
    for stage in stages.values():
        stage.forget()


@pytest.fixture
def agent(stages):
    return stages["agent"]


@pytest.fixture
def api(stages):
    return stages["api"]


@pytest.fixture
def other(stages):
    return stages["other"]


@pytest.fixture
def mirror(stages):
    return stages["mirror"]


@pytest.fixture(scope="module")
def node(envoy, stages):
    """Listeners with the filter; and `placed`, without it, whose calls go to a cluster that has it."""
    environment = ENVIRONMENT | {"API_KEY": API_KEY, "MESH_TOTP": SEED}
    filters = [peergate(both_halves(), environment)]
    plain = hosts(virtual_host(AGENT, "agent"), virtual_host(API, "api"), virtual_host(OTHER, "other"))
    placed = hosts(virtual_host(API, "api-placed", "mirror-placed"), virtual_host(OTHER, "other"))
    all_placed = hosts(virtual_host(API, "api-placed"), virtual_host(OTHER, "other-placed"))
    doors = hosts(virtual_host(API, "api-placed"))
    listeners = [
        listener("inbound", filters, {}, "INBOUND", **plain),
        listener("inbound-placed", filters, {}, "INBOUND", **doors),
        listener("forwarding", [peergate(forwarding(), environment)], {}, "INBOUND", **plain),
        listener("outbound", filters, {}, "OUTBOUND", **plain),
        listener("gateway", filters, {}, "UNSPECIFIED", **plain),
        listener("placed", [], {}, "OUTBOUND", **placed),
        listener("all-placed", [], {}, "OUTBOUND", **all_placed),
    ]
    ports = {name: stage.port for name, stage in stages.items()}
    clusters = [cluster(name, port) for name, port in ports.items()]
    clusters += [
        within(cluster(f"{name}-placed", ports[name]), filters) for name in ("api", "other", "mirror")
    ]
    return envoy(bootstrap(listeners, clusters), environment)


@pytest.fixture(scope="module")
def clients(node):
    names = ("inbound", "inbound-placed", "forwarding", "outbound", "gateway", "placed", "all-placed")
    clients = {name: Client(node, name) for name in names}
    yield clients
    for client in clients.values():
        with client:
            pass


def given(request):
    """What the filter gave a call: its key, how many codes."""
    codes = request.values("x-totp")
    assert [code for code in codes if code not in {totp(SEED, -1), totp(SEED)}] == []
    return request.query, len(codes)


CALLS = pytest.mark.parametrize("way", ["outbound", "placed"])


@CALLS
def test_each_retry_of_a_call_carries_key_and_code_once(clients, api, way):
    api.play("/retry", Answer(503), Answer(500), Answer(503))
    headers = {"Host": API, "X-TOTP": "000000", "X-Agent-Peer": "admin"}
    assert clients[way].get("/retry?a=1&apiKey=mine", headers).status_code == 200
    assert [given(request) for request in api.received] == [([("a", "1"), *KEY], 1)] * 4
    assert [request.names() & IDENTITY for request in api.received] == [set()] * 4


def test_each_retry_of_a_caller_carries_its_identity_and_no_credential(clients, agent):
    agent.play("/retry", Answer(503), Answer(503))
    headers = {"Host": AGENT, "X-Agent-Peer": "admin"} | bearer(token())
    assert clients["inbound"].get("/retry", headers).status_code == 200
    assert [request.header("x-agent-peer") for request in agent.received] == ["mrpink"] * 3
    assert [request.names() & CREDENTIALS for request in agent.received] == [set()] * 3


def test_a_retry_that_fails_to_the_end_is_the_upstreams_failure(clients, api):
    api.play("/retry", *[Answer(503, body=b"busy")] * 4)
    answer = clients["placed"].get("/retry", {"Host": API})
    assert (answer.status_code, answer.content) == (503, b"busy")
    assert [given(request) for request in api.received] == [(KEY, 1)] * 4


def test_a_listener_counts_requests_and_a_cluster_counts_attempts(clients, api, node):
    def counted():
        label = 'peergate_requests_total{direction="outbound",outcome="allow",reason="ok",rule="api"} '
        lines = node.admin("/stats/prometheus").splitlines()
        return sum(int(line.removeprefix(label)) for line in lines if line.startswith(label))

    for way, expected in (("outbound", 1), ("placed", 3)):
        before = counted()
        api.play("/retry", Answer(503), Answer(503))
        assert clients[way].get("/retry", {"Host": API}).status_code == 200
        assert (way, counted() - before) == (way, expected)


@CALLS
def test_each_hedge_of_a_call_carries_key_and_code_once(clients, api, way):
    """The first attempt is still waiting when the second one is answered."""
    late = threading.Event()
    api.play("/hedge", Answer(after=late))
    assert clients[way].get("/hedge?a=1", {"Host": API}).status_code == 200
    late.set()
    assert [given(request) for request in api.received] == [([("a", "1"), *KEY], 1)] * 2


def test_each_hedge_of_a_caller_carries_its_identity_and_no_credential(clients, agent):
    late = threading.Event()
    agent.play("/hedge", Answer(after=late))
    assert clients["inbound"].get("/hedge", {"Host": AGENT} | bearer(token())).status_code == 200
    late.set()
    assert [request.header("x-agent-peer") for request in agent.received] == ["mrpink"] * 2
    assert [request.names() & CREDENTIALS for request in agent.received] == [set()] * 2


def moved(host, path, status=302):
    return Answer(status, {"location": f"http://{host}{path}"})


@pytest.mark.parametrize("way", ["inbound", "gateway"])
@pytest.mark.parametrize("path", ["/redirect", "/redirect/totp"])
@pytest.mark.parametrize("target", [AGENT, OTHER])
def test_a_caller_is_asked_again_when_a_redirect_is_followed(clients, agent, other, way, path, target):
    """The credentials were taken off for the upstream: nobody is vouched for at the new place."""
    agent.play(path, moved(target, "/elsewhere"))
    headers = {"Host": AGENT, "X-TOTP": totp(MRPINK_SEED)} | bearer(token())
    assert refusal(clients[way].get(path, headers)) == NO_CREDENTIALS
    assert agent.only().path == path
    assert other.received == []
    line = clients[way].envoy.await_access_log(listener=way, status=401, path="/elsewhere")
    assert [line[name] for name in ("reason", "rule", "peer", "sub")] == [
        "credentials_missing",
        "agent",
        None,
        None,
    ]


@pytest.mark.parametrize("way", ["inbound", "gateway"])
@pytest.mark.parametrize("target", [AGENT, OTHER])
def test_a_redirect_to_a_public_path_carries_no_identity(clients, agent, other, way, target):
    agent.play("/redirect", moved(target, "/public"))
    headers = {"Host": AGENT, "X-TOTP": totp(MRPINK_SEED)} | bearer(token())
    assert clients[way].get("/redirect", headers).status_code == 200
    reached = agent.received[1:] if target == AGENT else other.received
    assert [request.path for request in reached] == ["/public"]
    assert reached[0].names() & (IDENTITY | CREDENTIALS) == set()


def traces(request):
    """Every header, and the target, in which something of the key or a code is left."""
    places = [("target", request.target), *request.headers]
    return [name for name, value in places if API_KEY in value or name.lower() == "x-totp"]


#: A filter stands before both clusters: at the listener, or in each of them.
EVERYWHERE = pytest.mark.parametrize("way", ["outbound", "all-placed"])


@EVERYWHERE
def test_a_redirect_to_another_cluster_is_not_followed(clients, api, other, way):
    """Its headers hold the code, and `x-envoy-original-url`, which Envoy adds, the key."""
    api.play("/redirect", moved(OTHER, "/second?b=2"))
    assert refusal(clients[way].get("/redirect?a=1", {"Host": API})) == (403, "Call not allowed")
    assert given(api.only()) == ([("a", "1"), *KEY], 1)
    assert other.received == []
    clients[way].envoy.await_access_log(listener=way, status=403, reason="outbound_redirected", rule=None)


@EVERYWHERE
def test_a_key_that_the_redirect_echoes_is_not_logged(clients, api, other, way):
    api.play("/redirect", moved(OTHER, f"/second?a=1&apiKey={API_KEY}"))
    assert refusal(clients[way].get("/redirect", {"Host": API})) == (403, "Call not allowed")
    assert other.received == []
    # Once this one is logged, so is all before it.
    assert clients[way].get(f"/behind-{way}", {"Host": OTHER}).status_code == 200
    envoy = clients[way].envoy
    envoy.await_access_log(listener=way, path=f"/behind-{way}")
    assert API_KEY not in envoy.log()


def test_a_token_that_a_provider_forwards_goes_along_with_a_redirect(clients, agent, other):
    """The operator's word: docs/placements.md says where it leads."""
    agent.play("/redirect", moved(OTHER, "/elsewhere"))
    good = bearer(token())
    assert clients["forwarding"].get("/redirect", {"Host": AGENT} | good).status_code == 200
    assert other.only().header("authorization") == good["Authorization"]
    assert other.only().header("x-agent-peer") == "mrpink"


@CALLS
def test_redirect_after_redirect_carries_key_and_code_once(clients, api, way):
    api.play("/redirect", moved(API, "/redirect/again", 307))
    api.play("/redirect/again", moved(API, "/third?c=3"))
    assert clients[way].get("/redirect?a=1", {"Host": API}).status_code == 200
    assert [request.path for request in api.received] == ["/redirect", "/redirect/again", "/third"]
    assert [given(request) for request in api.received] == [
        ([("a", "1"), *KEY], 1),
        (KEY, 1),
        ([("c", "3"), *KEY], 1),
    ]
    assert [traces(request) for request in api.received] == [["target", "x-totp"]] * 3


def test_a_redirect_of_a_call_that_was_given_nothing_is_followed(clients, other):
    other.play("/redirect", moved(OTHER, "/second"))
    assert clients["outbound"].get("/redirect", {"Host": OTHER, "X-TOTP": "000000"}).status_code == 200
    assert [request.path for request in other.received] == ["/redirect", "/second"]
    assert [request.header("x-totp") for request in other.received] == ["000000"] * 2


def test_a_redirect_to_a_cluster_without_the_filter_carries_both(clients, api, other):
    """Nobody is there to take them off: docs/placements.md says what a route to a cluster's own filter must not do."""
    api.play("/redirect", moved(OTHER, "/second"))
    assert clients["placed"].get("/redirect", {"Host": API}).status_code == 200
    assert sorted(traces(other.only())) == ["x-envoy-original-url", "x-totp"]


def test_a_mirror_sees_who_is_calling_and_no_credential(clients, agent, mirror):
    headers = {"Host": AGENT, "X-Agent-Sub": "admin"} | bearer(token())
    assert clients["inbound"].get("/mirror", headers).status_code == 200
    wait_until(lambda: mirror.received, PATIENCE_SECONDS, "the mirror has its copy")
    for request in (agent.only(), mirror.only()):
        assert (request.header("x-agent-peer"), request.header("x-agent-sub")) == ("mrpink", "mrpink")
        assert request.names() & CREDENTIALS == set()
    assert mirror.only().header("host") == f"{AGENT}-shadow"


def test_a_refused_request_is_not_mirrored(clients, agent, mirror):
    assert refusal(clients["inbound"].get("/mirror", {"Host": AGENT})) == NO_CREDENTIALS
    assert clients["inbound"].get("/mirror", {"Host": AGENT} | bearer(token())).status_code == 200
    wait_until(lambda: mirror.received, PATIENCE_SECONDS, "the mirror has its copy")
    assert len(agent.received) == len(mirror.received) == 1


@pytest.mark.parametrize("way", ["outbound", "gateway"])
def test_the_mirror_of_a_call_sees_what_the_listener_put_on(clients, api, mirror, way):
    """The copy is made behind the filters of a listener: SECURITY.md warns of it."""
    assert clients[way].get("/mirror", {"Host": API} | bearer(token())).status_code == 200
    wait_until(lambda: mirror.received, PATIENCE_SECONDS, "the mirror has its copy")
    assert given(api.only()) == given(mirror.only()) == (KEY, 1)


def test_the_mirror_of_a_call_does_not_see_what_the_cluster_put_on(clients, api, mirror):
    """The copy is made before the filters of a cluster; the mirror's own cluster gives it what is the mirror's."""
    assert clients["placed"].get("/mirror", {"Host": API}).status_code == 200
    wait_until(lambda: mirror.received, PATIENCE_SECONDS, "the mirror has its copy")
    assert given(api.only()) == (KEY, 1)
    assert given(mirror.only()) == ([], 1)


def test_a_call_that_the_cluster_refuses_is_not_mirrored(clients, api, mirror):
    door = clients["inbound-placed"]
    assert refusal(door.get("/public/mirror", {"Host": API})) == (403, "Call not allowed")
    assert door.get("/mirror", {"Host": API} | bearer(token())).status_code == 200
    wait_until(lambda: mirror.received, PATIENCE_SECONDS, "the mirror has its copy")
    assert (api.only().path, mirror.only().path) == ("/mirror", "/mirror")
