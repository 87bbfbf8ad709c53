"""One policy in every place of one Envoy: each stream is decided in the role of its own place.

Envoy may give all these attachments one root context or several (it differs by version): nothing here may depend on it.
`test_direction.py` has the three kinds of listeners; here are the filters of a cluster, all of them together, and all
at once.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate, within
from support.cast import ENVIRONMENT, MRPINK_SEED, MRWHITE_KEY, bearer, policy, rule, token
from support.client import Client, refusal
from support.credentials import new_secret, new_seed, totp
from support.process import PATIENCE_SECONDS, wait_until
from support.tunnel import Http1

API_KEY = new_secret("key of the API, by placement")
SEED = new_seed("TOTP seed of the mesh, by placement")

#: Where calls go. `AGENT` is the workload. A listener's filter serves `ROUTED`, a cluster's `PLACED`, and both `BOTH`.
AGENT, ROUTED, PLACED, BOTH = (f"{name}.tests.example" for name in ("agent", "routed", "placed", "both"))

NO_CREDENTIALS = (401, "Missing or invalid Authorization header")
IDENTITY = {"x-agent-peer", "x-agent-sub", "x-agent-iss", "x-agent-auth", "rb-auth-claims"}


def one_policy():
    """Callers need a token, but for one path; calls to each host get a code, and those to `ROUTED` and `BOTH` a key."""
    both_halves = policy(
        rule("public", ["none"], "/public"),
        rule("second-factor", ["jwt"], "/totp", require={"totp": True}),
        rule("agent", ["jwt", "api_key"]),
    )
    both_halves["outbound"] = {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [ROUTED, BOTH],
        "rules": [
            {
                "name": "keyed",
                "match": {"hosts": [ROUTED, BOTH], "clusters": ["routed", "both"]},
                "query_params": {"apiKey": {"env": "API_KEY"}},
                "totp": {"seed": {"env": "MESH_TOTP"}},
            },
            {"name": "placed", "match": {"clusters": ["placed"]}, "totp": {"seed": {"env": "MESH_TOTP"}}},
        ],
    }
    return both_halves


@pytest.fixture(scope="module")
def start(envoy, agent, api):
    """Starts an Envoy with the filter on three listeners and in three clusters; `bare` is a listener without it."""
    environment = ENVIRONMENT | {"API_KEY": API_KEY, "MESH_TOTP": SEED}
    routes = {ROUTED: "routed", PLACED: "placed", BOTH: "both", "*": "agent"}

    def start(node_id, workers=1, role="auto"):
        filters = [peergate(one_policy() | {"role": role}, environment)]
        directions = ("INBOUND", "OUTBOUND", "UNSPECIFIED")
        listeners = [listener(way.lower(), filters, routes, way) for way in directions]
        listeners.append(listener("bare", [], routes, "OUTBOUND"))
        # To a filter of a cluster the direction of the listener makes no difference.
        listeners.append(listener("bare-inbound", [], routes, "INBOUND"))
        listeners.append(listener("astray", [], "agent", "OUTBOUND"))
        rewritten = {"cluster": "both", "host_rewrite_literal": BOTH, "prefix_rewrite": "/v1/"}
        routes_of_rewriting = [{"match": {"prefix": "/"}, "route": rewritten}]
        host = {"name": "all", "domains": ["*"], "routes": routes_of_rewriting}
        listeners.append(listener("rewriting", [], {}, "OUTBOUND", route_config={"virtual_hosts": [host]}))
        clusters = [
            cluster("routed", api.port),
            within(cluster("placed", api.port), filters),
            within(cluster("both", api.port), filters),
            within(cluster("agent", agent.port), filters),
        ]
        configuration = bootstrap(listeners, clusters, node_id)
        return envoy(configuration, environment, workers=workers)

    return start


@pytest.fixture(scope="module")
def node(start):
    return start("sidecar~10.0.0.1~agent~cluster.local")


@pytest.fixture(scope="module")
def clients(node):
    """A client for each listener."""
    names = ("inbound", "outbound", "unspecified", "bare", "bare-inbound", "astray", "rewriting")
    clients = {name: Client(node, name) for name in names}
    yield clients
    for client in clients.values():
        with client:
            pass


def is_code(value):
    return value in {totp(SEED, -1), totp(SEED)}


def given(request):
    """What the filter gave a call: its key, its code."""
    codes = request.values("x-totp")
    assert [code for code in codes if not is_code(code)] == []
    return request.query, len(codes)


FORGED = {"X-Agent-Peer": "admin", "x_agent_sub": "admin", "Rb-Auth-Claims": "admin", "X-TOTP": "000000"}
KEY = [("apiKey", API_KEY)]


@pytest.mark.parametrize("way", ["bare", "bare-inbound"])
def test_a_filter_of_a_cluster_gives_the_call_what_it_needs(clients, api, way):
    """No filter stands at the listener: whatever its direction, what came in is not asked who it is."""
    assert clients[way].get("/", {"Host": PLACED} | FORGED).status_code == 200
    assert given(api.only()) == ([], 1)
    api.forget()
    assert clients[way].get("/?q=1", {"Host": BOTH} | FORGED).status_code == 200
    assert given(api.only()) == ([("q", "1"), *KEY], 1)


def test_a_filter_of_a_cluster_takes_off_what_only_the_filter_writes(clients, agent, api):
    for host, upstream in ((PLACED, api), (AGENT, agent)):
        assert clients["bare"].get("/", {"Host": host} | FORGED).status_code == 200
        assert upstream.only().names() & (IDENTITY | {"x_agent_sub"}) == set()


def test_a_filter_of_a_cluster_serves_no_other(clients, agent):
    """A route to another cluster: the rule names its hosts, which the caller chooses, and its clusters."""
    for host in (ROUTED, PLACED, BOTH):
        assert clients["astray"].get("/", {"Host": host}).status_code == 200
        assert given(agent.only()) == ([], 0)
        agent.forget()


def test_a_filter_of_a_cluster_sees_host_and_path_as_the_route_rewrote_them(clients, api):
    assert clients["rewriting"].get("/search?a=1", {"Host": "alias.tests.example"}).status_code == 200
    assert (api.only().header("host"), api.only().path) == (BOTH, "/v1/search")
    assert given(api.only()) == ([("a", "1"), *KEY], 1)
    assert api.only().header("x-envoy-original-path") == "/v1/search?a=1"


def test_what_a_filter_of_a_cluster_decides_is_logged_and_counted(clients):
    node = clients["bare"].envoy
    assert clients["bare"].get("/logged", {"Host": PLACED}).status_code == 200
    line = node.await_access_log(listener="bare", path="/logged")
    assert [line[name] for name in ("status", "cluster", "reason", "rule", "peer")] == [
        200,
        "placed",
        "ok",
        "placed",
        None,
    ]
    label = 'peergate_requests_total{direction="outbound",outcome="allow",reason="ok",rule="placed"}'
    assert [line for line in node.admin("/stats/prometheus").splitlines() if line.startswith(label)] != []


def test_inbound_at_the_listener_and_again_in_the_cluster(clients, agent):
    """What the first has put on stays on behind the second, which is told by filter state that it was verified."""
    assert refusal(clients["inbound"].get("/", {"Host": AGENT})) == NO_CREDENTIALS
    assert agent.received == []
    assert clients["inbound"].get("/", {"Host": AGENT} | bearer(token()) | FORGED).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"
    assert agent.only().header("x-agent-sub") == "mrpink"
    assert "x_agent_sub" not in agent.only().names()
    assert given(agent.only()) == ([], 0)


def test_inbound_at_the_listener_and_a_code_in_the_cluster(clients, api):
    good = {"Host": PLACED} | bearer(token())
    assert clients["inbound"].get("/", good).status_code == 200
    assert given(api.only()) == ([], 1)
    assert api.only().header("x-agent-peer") == "mrpink"
    assert api.only().values("authorization") == []


def test_a_stranger_let_in_is_not_given_the_code_in_the_cluster(clients, api):
    """The mesh's credential is for callers that somebody verified, wherever it is put on."""
    for way in ("inbound", "unspecified"):
        assert refusal(clients[way].get("/public", {"Host": PLACED} | FORGED)) == (403, "Call not allowed")
    line = clients["inbound"].envoy.await_access_log(listener="inbound", path="/public", status=403)
    assert (line["reason"], line["rule"]) == ("outbound_anonymous", "placed")
    assert api.received == []


def test_outbound_at_the_listener_and_again_in_the_cluster(clients, api):
    """Both put on the same: one key and one code arrive."""
    assert clients["outbound"].get("/?a=1", {"Host": BOTH} | FORGED).status_code == 200
    assert given(api.only()) == ([("a", "1"), *KEY], 1)
    api.forget()
    assert clients["outbound"].get("/", {"Host": PLACED} | FORGED).status_code == 200
    assert given(api.only()) == ([], 1)
    api.forget()
    assert clients["outbound"].get("/", {"Host": ROUTED} | FORGED).status_code == 200
    assert given(api.only()) == (KEY, 1)


def test_a_gateway_at_the_listener_and_again_in_the_cluster(clients, agent, api):
    gateway = clients["unspecified"]
    for host in (AGENT, ROUTED, PLACED, BOTH):
        assert refusal(gateway.get("/", {"Host": host})) == NO_CREDENTIALS
    assert agent.received == api.received == []
    for host, expected in ((ROUTED, KEY), (BOTH, KEY), (PLACED, [])):
        assert gateway.get("/", {"Host": host} | bearer(token()) | FORGED).status_code == 200
        assert given(api.only()) == (expected, 1)
        assert api.only().header("x-agent-peer") == "mrpink"
        api.forget()


@pytest.mark.parametrize("kind", ["router", "waypoint"])
def test_within_a_gateway_a_filter_of_a_cluster_is_one_too(start, agent, api, kind):
    node = start(f"{kind}~10.0.0.1~gateway~cluster.local")
    for way in ("inbound", "outbound", "unspecified"):
        with Client(node, way) as client:
            assert refusal(client.get("/", {"Host": PLACED})) == NO_CREDENTIALS
            assert client.get("/", {"Host": PLACED} | bearer(token())).status_code == 200
            assert given(api.only()) == ([], 1)
            assert api.only().header("x-agent-peer") == "mrpink"
            api.forget()
    with Client(node, "bare") as client:
        assert client.get("/", {"Host": PLACED} | FORGED).status_code == 200
        assert given(api.only()) == ([], 1)
        assert api.only().names() & IDENTITY == set()
    assert agent.received == []


def test_written_down_the_role_needs_no_cluster(envoy, agent, api):
    """Within a cluster the placement says where calls go. The rule gives every call of `api` a code, and no other."""
    rules = [{"name": "all", "totp": {"seed": {"env": "MESH_TOTP"}}}]
    placed = {"version": 1, "role": "upstream", "outbound": {"rules": rules}}
    environment = {"MESH_TOTP": SEED}
    clusters = [
        within(cluster("api", api.port), [peergate(placed, environment)]),
        cluster("agent", agent.port),
    ]
    bare = listener("bare", [], {PLACED: "api", "*": "agent"}, "INBOUND")
    with Client(envoy(bootstrap([bare], clusters), environment), "bare") as client:
        for host in (PLACED, AGENT):
            assert client.get("/", {"Host": host}).status_code == 200
    assert given(api.only()) == ([], 1)
    assert given(agent.only()) == ([], 0)


def test_a_health_check_is_given_nothing(envoy, api):
    """Envoy's own checks run no HTTP filters, not even those of their cluster."""
    environment = ENVIRONMENT | {"API_KEY": API_KEY, "MESH_TOTP": SEED}
    checked = within(cluster("placed", api.port), [peergate(one_policy(), environment)])
    checked["health_checks"] = [
        {
            "timeout": "1s",
            "interval": "60s",
            "healthy_threshold": 1,
            "unhealthy_threshold": 1,
            "http_health_check": {"path": "/healthz"},
        }
    ]
    bare = listener("bare", [], "placed", "OUTBOUND")
    with Client(envoy(bootstrap([bare], [checked]), environment), "bare") as client:
        wait_until(lambda: api.received, PATIENCE_SECONDS, "Envoy checks")
        assert client.get("/", {"Host": PLACED}).status_code == 200
    check, call = api.received
    assert (check.path, given(check)) == ("/healthz", ([], 0))
    assert (call.path, given(call)) == ("/", ([], 1))


@pytest.fixture(scope="module")
def layers(envoy, agent):
    """Listeners with two policies: one's own takes keys, the mesh's default takes tokens."""
    own = peergate(
        policy(rule("own", ["api_key"], "/own"), rule("own-public", ["none"], "/public")), ENVIRONMENT
    )
    default = policy(rule("default", ["jwt"]), peers={"mrpink": {}})
    fallback = peergate(default | {"fallback": True}, ENVIRONMENT)
    strict = peergate(default, ENVIRONMENT)
    # Filters of one listener have names of their own.
    fallback["name"] = strict["name"] = "peergate-default"
    listeners = [
        listener("own-first", [own, fallback], "agent"),
        listener("default-first", [fallback, own], "agent"),
        listener("two-own", [own, strict], "agent"),
        listener("default-alone", [fallback], "agent"),
    ]
    return envoy(bootstrap(listeners, [cluster("agent", agent.port)]), ENVIRONMENT)


def test_a_default_stands_aside_where_another_policy_has_decided(layers, agent):
    with Client(layers, "own-first") as client:
        assert client.get("/own", {"X-Api-Key": MRWHITE_KEY}).status_code == 200
        assert client.get("/public").status_code == 200
        assert [request.header("x-agent-peer") for request in agent.received] == ["mrwhite", None]
        # What the first refuses, the default does not let in.
        assert refusal(client.get("/own", bearer(token()))) == (
            401,
            "Invalid or missing authentication credentials",
        )
        assert refusal(client.get("/elsewhere", bearer(token()))) == (403, "Access denied")
        assert len(agent.received) == 2
    line = layers.await_access_log(listener="own-first", path="/own", status=200)
    assert (line["reason"], line["rule"], line["peer"]) == ("ok", "own", "mrwhite")


def test_a_default_alone_decides(layers, agent):
    with Client(layers, "default-alone") as client:
        assert refusal(client.get("/own")) == NO_CREDENTIALS
        assert client.get("/own", bearer(token())).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"


@pytest.mark.parametrize("way", ["default-first", "two-own"])
def test_a_second_policy_that_is_no_default_closes(layers, agent, way):
    """Nothing is let in by half: who gets past the first finds the second closed."""
    credentials = bearer(token()) if way == "default-first" else {"X-Api-Key": MRWHITE_KEY}
    with Client(layers, way) as client:
        answer = client.get("/own", credentials)
        assert refusal(answer) == (503, "Authentication is not available")
        line = layers.await_access_log(listener=way, status=503)
        assert (line["reason"], line["details"]) == ("layer_order", "peergate_layer_order")
        assert client.get("/own").status_code == 401
    assert agent.received == []


def test_one_policy_in_all_places_at_once(start, agent, api):
    """Two workers, requests of every kind in parallel: none is decided in the role, or for the caller, of another."""
    node = start("sidecar~10.0.0.1~agent~cluster.local", workers=2)
    ways = ("inbound", "outbound", "unspecified", "bare", "bare-inbound")
    ports = {way: node.port(way) for way in ways}
    hosts = (AGENT, ROUTED, PLACED, BOTH)
    code = {"X-TOTP": totp(MRPINK_SEED)}
    credentials = {"token": bearer(token()), "brown": bearer(token("mrbrown")), "none": {}}
    kinds = [
        (way, host, who, path)
        for way in ways
        for host in hosts
        for who in credentials
        for path in ("/", "/public", "/totp")
    ] * 2

    def ask(numbered):
        number, (way, host, who, path) = numbered
        second_factor = code if path == "/totp" and who == "token" else {}
        headers = {"Host": host, "X-Number": str(number)} | credentials[who] | second_factor
        lines = [f"{name}: {value}" for name, value in headers.items()]
        # A connection of its own: the kernel deals connections out to the workers.
        with Http1(ports[way], f"GET {path} HTTP/1.1", *lines) as request:
            return number, request.status

    with ThreadPoolExecutor(8) as pool:
        statuses = dict(pool.map(ask, enumerate(kinds)))
    assert statuses == {number: expected_status(*kind) for number, kind in enumerate(kinds)}
    arrived = {int(request.header("x-number")): request for request in agent.received + api.received}
    assert arrived.keys() == {number for number, status in statuses.items() if status == 200}
    for number, request in arrived.items():
        way, host, who, path = kinds[number]
        assert (kinds[number], given_at(request, way)) == (kinds[number], expected_gifts(way, host))
        peer = {"token": "mrpink", "brown": "mrbrown"}.get(who) if is_asked(way, path) else None
        assert (kinds[number], request.header("x-agent-peer")) == (kinds[number], peer)
    handled = Counter(
        line.rsplit(":", 1)[0].split(".")[-2]
        for line in node.admin("/stats").splitlines()
        if ".worker_" in line
        and line.split(":")[0].endswith("downstream_cx_total")
        and not line.endswith(": 0")
    )
    assert set(handled) == {"worker_0", "worker_1"}


def is_asked(way, path):
    """Whether somebody asks who is calling, there and of this path."""
    return way in ("inbound", "unspecified") and path != "/public"


def expected_status(way, host, who, path):
    """What becomes of a request in the sidecar."""
    if is_asked(way, path) and (who == "none" or (path == "/totp" and who == "brown")):
        return 401
    # Where the secret is put on: at the listener of a gateway, or in the cluster behind any door.
    gateway, door = way == "unspecified", way in ("inbound", "unspecified")
    is_gift = (host in (PLACED, BOTH) and door) or (host != AGENT and gateway)
    return 403 if is_gift and path == "/public" else 200


def given_at(request, way):
    """As `given`; where no filter took the agent's own code, it may be one of another seed."""
    if way in ("bare", "bare-inbound", "outbound"):
        codes = [code for code in request.values("x-totp") if is_code(code)]
        return request.query, len(codes)
    return given(request)


def expected_gifts(way, host):
    """What a call is given on its way."""
    match host:
        case _ if host == PLACED:
            return [], 1
        case _ if host == BOTH or (host == ROUTED and way in ("outbound", "unspecified")):
            return KEY, 1
    return [], 0
