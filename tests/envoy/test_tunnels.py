"""Connections that become something else: a websocket's handshake is a request like any other, CONNECT has no path."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate, within
from support.cast import ENVIRONMENT, bearer, policy, rule, token
from support.client import Client, problem
from support.credentials import new_secret, new_seed, totp
from support.stage import Stage
from support.tunnel import WEBSOCKET_ACCEPT, Http1, Http2, say, websocket_http1, websocket_http2

API_KEY = new_secret("key of the API, for tunnels")
SEED = new_seed("TOTP seed of the mesh, for tunnels")

AGENT, API = "agent.tests.example", "api.tests.example"
IDENTITY = {"x-agent-peer", "x-agent-sub", "x-agent-iss", "x-agent-auth", "rb-auth-claims"}


#: How long a stream may last, whatever passes on it.
BOUNDED = {"common_http_protocol_options": {"max_stream_duration": "1s"}}


def both_halves(on_no_match="forward"):
    built = policy(rule("public", ["none"], "/public"), rule("agent", ["jwt"]))
    built["outbound"] = {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [API],
        "on_no_match": on_no_match,
        "rules": [
            {
                "name": "api",
                "match": {"hosts": [API], "clusters": ["api", "placed", "placed-strict"]},
                "query_params": {"apiKey": {"env": "API_KEY"}},
                "totp": {"seed": {"env": "MESH_TOTP"}},
            }
        ],
    }
    return built


@pytest.fixture(scope="module")
def stage():
    """Behind all clusters."""
    with Stage("stage") as stage:
        yield stage


@pytest.fixture(autouse=True)
def _forget_stage(stage):
    stage.forget()


def tunnelling(api_cluster):
    """Routes of a listener that lets websockets and CONNECT through; a tunnel ends here, in bytes to the cluster."""

    def routes(cluster_name):
        tunnel = {
            "cluster": cluster_name,
            "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        }
        return [
            {"match": {"connect_matcher": {}}, "route": tunnel},
            {"match": {"prefix": "/"}, "route": {"cluster": cluster_name, "timeout": "0s"}},
        ]

    return {
        "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
        "http2_protocol_options": {"allow_connect": True},
        "route_config": {
            "virtual_hosts": [
                {"name": "api", "domains": [API, f"{API}:*"], "routes": routes(api_cluster)},
                {"name": "agent", "domains": ["*"], "routes": routes("agent")},
            ]
        },
    }


@pytest.fixture(scope="module")
def node(envoy, stage):
    environment = ENVIRONMENT | {"API_KEY": API_KEY, "MESH_TOTP": SEED}
    filters, strict = [
        [peergate(both_halves(on_no_match), environment)] for on_no_match in ("forward", "deny")
    ]
    listeners = [
        listener("inbound", filters, {}, "INBOUND", **tunnelling("api")),
        listener("bounded", filters, {}, "INBOUND", **tunnelling("api"), **BOUNDED),
        listener("outbound", filters, {}, "OUTBOUND", **tunnelling("api")),
        listener("outbound-strict", strict, {}, "OUTBOUND", **tunnelling("api")),
        listener("gateway", filters, {}, "UNSPECIFIED", **tunnelling("api")),
        listener("placed", [], {}, "OUTBOUND", **tunnelling("placed")),
        listener("placed-strict", [], {}, "OUTBOUND", **tunnelling("placed-strict")),
    ]
    clusters = [cluster("agent", stage.port), cluster("api", stage.port)]
    clusters.append(within(cluster("placed", stage.port), filters))
    clusters.append(within(cluster("placed-strict", stage.port), strict))
    return envoy(bootstrap(listeners, clusters), environment)


@pytest.fixture
def credentials():
    return bearer(token())["Authorization"]


def given(request):
    codes = request.values("x-totp")
    assert [code for code in codes if code not in {totp(SEED, -1), totp(SEED)}] == []
    return request.query, len(codes)


@pytest.mark.parametrize("way", ["inbound", "gateway"])
def test_a_websocket_of_a_known_caller(node, stage, credentials, way):
    lines = (f"Authorization: {credentials}", "X-Agent-Peer: admin")
    with websocket_http1(node.port(way), "/chat", AGENT, *lines) as socket:
        assert (socket.status, socket.headers["sec-websocket-accept"]) == (101, WEBSOCKET_ACCEPT)
        assert [say(socket, message) for message in (b"one", b"two", b"")] == [b"one", b"two", b""]
    seen = stage.only()
    assert (seen.target, seen.header("x-agent-peer"), seen.header("upgrade")) == (
        "/chat",
        "mrpink",
        "websocket",
    )
    assert seen.names() & {"authorization", "x-totp"} == set()


@pytest.mark.parametrize("way", ["inbound", "gateway"])
@pytest.mark.parametrize("lines", [(), ("Authorization: Bearer x.y.z",)], ids=["none", "a bad token"])
def test_a_websocket_of_a_stranger_is_none(node, stage, way, lines):
    with websocket_http1(node.port(way), "/chat", AGENT, *lines) as socket:
        text = (
            "Invalid or missing authentication credentials"
            if lines
            else "Missing or invalid Authorization header"
        )
        assert problem(socket.status, socket.body) == (401, text)
        assert "upgrade" not in socket.headers
    assert stage.received == []


def test_a_public_websocket_carries_no_identity(node, stage):
    with websocket_http1(node.port("inbound"), "/public/chat", AGENT, "X-Agent-Peer: admin") as socket:
        assert socket.status == 101
        assert say(socket, b"hello") == b"hello"
    assert stage.only().names() & IDENTITY == set()


@pytest.mark.parametrize("named", ["x-agent-sub", "X-Agent-Peer", "x_agent_iss", "authorization", "x-totp"])
def test_connection_of_a_websocket_may_not_name_what_the_filter_writes_or_reads(
    node, stage, credentials, named
):
    lines = [f"Authorization: {credentials}"]
    connection = f"Upgrade, {named}"
    with websocket_http1(node.port("inbound"), "/", AGENT, *lines, connection=connection) as socket:
        assert problem(socket.status, socket.body) == (400, "Invalid Connection header")
    assert stage.received == []


def test_a_websocket_over_http2(node, stage, credentials):
    port = node.port("inbound")
    with websocket_http2(
        port, "/chat", AGENT, ("authorization", credentials), ("x-agent-sub", "admin")
    ) as socket:
        assert socket.status == 200
        assert [say(socket, message) for message in (b"one", b"two")] == [b"one", b"two"]
    assert (stage.only().target, stage.only().header("x-agent-sub")) == ("/chat", "mrpink")
    stage.forget()
    with websocket_http2(port, "/chat", AGENT) as socket:
        assert problem(socket.status, socket.body) == (401, "Missing or invalid Authorization header")
    assert stage.received == []


@pytest.mark.parametrize("way", ["outbound", "placed"])
@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_websocket_to_the_api_is_given_key_and_code(node, stage, way, http2):
    if http2:
        socket = websocket_http2(node.port(way), "/chat?a=1", API, ("x-totp", "000000"))
    else:
        socket = websocket_http1(node.port(way), "/chat?a=1", API, "X-TOTP: 000000")
    with socket:
        assert socket.status == (200 if http2 else 101)
        assert say(socket, b"hello") == b"hello"
    assert given(stage.only()) == ([("a", "1"), ("apiKey", API_KEY)], 1)


@pytest.mark.parametrize("way", ["outbound", "placed"])
def test_connection_of_the_agents_own_websocket_may_name_anything(node, stage, way):
    """It can only have its own call refused by a proxy further on."""
    with websocket_http1(node.port(way), "/chat", API, connection="Upgrade, x-totp") as socket:
        assert socket.status == 101
    assert given(stage.only()) == ([("apiKey", API_KEY)], 1)


def test_envoy_can_bound_what_a_good_handshake_opened(node, credentials):
    """The filter looks at the handshake only, so a token that expires meanwhile ends nothing."""
    with websocket_http1(node.port("bounded"), "/chat", AGENT, f"Authorization: {credentials}") as socket:
        assert socket.status == 101
        assert say(socket, b"hello") == b"hello"
        assert socket.receive(1) == b""


def connect(port, http2, *headers, host=f"{API}:80"):
    """A CONNECT to a host, with these headers."""
    if http2:
        return Http2(port, (":method", "CONNECT"), (":authority", host), *headers)
    lines = [f"{name}: {value}" for name, value in headers]
    return Http1(port, f"CONNECT {host} HTTP/1.1", f"Host: {host}", *lines)


HTTP = pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])


@HTTP
@pytest.mark.parametrize("way", ["inbound", "gateway"])
def test_nobody_tunnels_in(node, stage, credentials, way, http2):
    """A rule of paths says nothing of a tunnel, so no rule does, whoever asks."""
    for headers in ((), (("authorization", credentials),)):
        with connect(node.port(way), http2, *headers) as tunnel:
            assert problem(tunnel.status, tunnel.body) == (400, "Request without a path")
    node.await_access_log(listener=way, status=400, reason="path_missing", rule=None)
    assert stage.received == []


@HTTP
@pytest.mark.parametrize("way", ["outbound", "placed"])
def test_a_tunnel_out_goes_on_as_it_is(node, stage, way, http2):
    """What passes within it is no HTTP to this Envoy: nothing is put on."""
    with connect(node.port(way), http2) as tunnel:
        assert tunnel.status == 200
        tunnel.send(f"GET /within HTTP/1.1\r\nHost: {API}\r\n\r\n".encode())
        assert tunnel.receive(12) == b"HTTP/1.1 200"
    assert stage.only().target == "/within"
    assert given(stage.only()) == ([], 0)


@HTTP
@pytest.mark.parametrize("way", ["outbound-strict", "placed-strict"])
def test_a_tunnel_out_matches_no_rule(node, stage, way, http2):
    with connect(node.port(way), http2) as tunnel:
        assert problem(tunnel.status, tunnel.body) == (403, "Call not allowed")
    node.await_access_log(listener=way, status=403, reason="outbound_no_match", rule=None)
    assert stage.received == []


def test_what_is_no_tunnel_is_decided_as_ever(node, stage):
    """The same hosts, the same listeners."""
    for way, status in (("inbound", 401), ("gateway", 401), ("outbound-strict", 200), ("placed-strict", 200)):
        with Client(node, way) as client:
            assert client.get("/", {"Host": API}).status_code == status
    assert [given(request) for request in stage.received] == [([("apiKey", API_KEY)], 1)] * 2
