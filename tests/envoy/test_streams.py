"""Around one stream: long bodies, gRPC, callers that leave, answers of Envoy's own, routes that turn the filter off.

Through a filter of a listener, and through one of a cluster (`placed`).
"""

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate, within
from support.cast import ENVIRONMENT, bearer, policy, rule, token
from support.client import Client, problem, refusal
from support.credentials import new_secret, new_seed, totp
from support.process import PATIENCE_SECONDS, wait_until
from support.stage import Answer, Stage
from support.tunnel import Http1

API_KEY = new_secret("key of the API, for streams")
SEED = new_seed("TOTP seed of the mesh, for streams")

AGENT, API = "agent.tests.example", "api.tests.example"
NO_CREDENTIALS = (401, "Missing or invalid Authorization header")

#: More than Envoy buffers of one stream (1 MiB).
BODY = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(256 * 1024))

TURNED_OFF = {
    "peergate": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
}


def both_halves():
    built = policy(rule("agent", ["jwt"]))
    built["outbound"] = {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [API],
        "rules": [
            {
                "name": "api",
                "match": {"hosts": [API], "clusters": ["api", "placed"]},
                "query_params": {"apiKey": {"env": "API_KEY"}},
                "totp": {"seed": {"env": "MESH_TOTP"}},
            },
            {
                "name": "grpc",
                "match": {"hosts": [API], "clusters": ["grpc", "grpc-placed"]},
                "totp": {"seed": {"env": "MESH_TOTP"}},
            },
        ],
    }
    return built


class GrpcAgent(grpc.GenericRpcHandler):
    """Answers each message as it comes, and remembers the metadata."""

    def service(self, details):
        self.metadata = details.invocation_metadata
        return grpc.stream_stream_rpc_method_handler(lambda messages, _: messages)


@pytest.fixture(scope="module")
def grpc_agent():
    agent = GrpcAgent()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[agent])
    agent.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield agent
    server.stop(grace=None).wait()


@pytest.fixture(scope="module")
def stage():
    """Behind all clusters but those of gRPC."""
    with Stage("stage") as stage:
        yield stage


@pytest.fixture(autouse=True)
def _forget_stage(stage):
    stage.forget()


def hosts(api_cluster, grpc_cluster):
    """`/direct` and `/moved` are answered by Envoy itself, on `/off` the filter of the listener is turned off."""

    def routes(cluster_name):
        return [
            {
                "match": {"prefix": "/direct"},
                "direct_response": {"status": 200, "body": {"inline_string": "here"}},
            },
            {"match": {"prefix": "/moved"}, "redirect": {"path_redirect": "/elsewhere"}},
            {
                "match": {"prefix": "/off"},
                "route": {"cluster": cluster_name},
                "typed_per_filter_config": TURNED_OFF,
            },
            {"match": {"prefix": "/tests.Agent"}, "route": {"cluster": grpc_cluster, "timeout": "0s"}},
            {"match": {"prefix": "/"}, "route": {"cluster": cluster_name, "timeout": "0s"}},
        ]

    return {
        "route_config": {
            "virtual_hosts": [
                {"name": "api", "domains": [API], "routes": routes(api_cluster)},
                {"name": "agent", "domains": ["*"], "routes": routes("agent")},
            ]
        }
    }


@pytest.fixture(scope="module")
def node(envoy, stage, grpc_agent):
    environment = ENVIRONMENT | {"API_KEY": API_KEY, "MESH_TOTP": SEED}
    filters = [peergate(both_halves(), environment)]
    listeners = [
        listener("inbound", filters, {}, "INBOUND", **hosts("api", "grpc")),
        listener("outbound", filters, {}, "OUTBOUND", **hosts("api", "grpc")),
        listener("gateway", filters, {}, "UNSPECIFIED", **hosts("api", "grpc")),
        listener("placed", [], {}, "OUTBOUND", **hosts("placed", "grpc-placed")),
    ]
    grpc_cluster = cluster("grpc", grpc_agent.port, http2=True)
    clusters = [
        cluster("agent", stage.port),
        cluster("api", stage.port),
        within(cluster("placed", stage.port), filters),
        grpc_cluster,
        within(cluster("grpc-placed", grpc_agent.port, http2=True), filters),
    ]
    return envoy(bootstrap(listeners, clusters), environment)


@pytest.fixture(scope="module")
def clients(node):
    clients = {name: Client(node, name) for name in ("inbound", "outbound", "gateway", "placed")}
    yield clients
    for client in clients.values():
        with client:
            pass


@pytest.fixture(scope="module")
def headers():
    """What a request needs that comes in, or goes to the API, by listener."""
    known = bearer(token())
    return {
        "inbound": {"Host": AGENT} | known,
        "outbound": {"Host": API},
        "gateway": {"Host": API} | known,
        "placed": {"Host": API},
    }


def given(request):
    codes = request.values("x-totp")
    assert [code for code in codes if code not in {totp(SEED, -1), totp(SEED)}] == []
    return request.query, len(codes)


GIVEN = {"inbound": ([], 0)} | dict.fromkeys(("outbound", "gateway", "placed"), ([("apiKey", API_KEY)], 1))

WAYS = pytest.mark.parametrize("way", ["inbound", "outbound", "gateway", "placed"])


def chunks():
    """The body in pieces, without a length."""
    for start in range(0, len(BODY), 100_000):
        yield BODY[start : start + 100_000]


@WAYS
@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_long_bodies_pass_whole_both_ways(node, stage, headers, way, http2):
    stage.play("/long", Answer(200, body=BODY))
    with Client(node, way, http2=http2) as client:
        answer = client.request("POST", "/long", headers[way], chunks())
    assert (answer.status_code, hashlib.sha256(answer.content).digest()) == (
        200,
        hashlib.sha256(BODY).digest(),
    )
    assert hashlib.sha256(stage.only().body).digest() == hashlib.sha256(BODY).digest()
    assert given(stage.only()) == GIVEN[way]


@pytest.mark.parametrize("way", ["inbound", "gateway"])
def test_a_refusal_does_not_wait_for_the_body(node, stage, way):
    lines = ("POST /long HTTP/1.1", f"Host: {AGENT}", f"Content-Length: {len(BODY)}")
    with Http1(node.port(way), *lines) as request:
        assert problem(request.status, request.body) == NO_CREDENTIALS
    assert stage.received == []


@WAYS
def test_grpc_messages_pass_as_they_come(node, grpc_agent, headers, way):
    """Each is answered before the next one is sent: nothing is held back."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", headers[way]["Host"])]
    if way == "inbound":
        # The host of the API leads to the agent that speaks gRPC; on the way in nothing is put on for it.
        options[1] = ("grpc.default_authority", API)
    metadata = [("authorization", headers[way].get("Authorization", "")), ("x-agent-sub", "admin")]
    ready, answers = threading.Semaphore(0), []

    def messages():
        for number in range(50):
            yield str(number).encode()
            assert ready.acquire(timeout=PATIENCE_SECONDS)

    with grpc.insecure_channel(f"127.0.0.1:{node.port(way)}", options) as channel:
        call = channel.stream_stream("/tests.Agent/Chat")(messages(), metadata=metadata, timeout=20)
        for answer in call:
            answers.append(answer)
            ready.release()
        assert call.code() == grpc.StatusCode.OK
    assert answers == [str(number).encode() for number in range(50)]
    seen = [(name, value) for name, value in grpc_agent.metadata if name in ("x-agent-sub", "x-totp")]
    identity = [("x-agent-sub", "mrpink")] if way in ("inbound", "gateway") else []
    assert [pair for pair in seen if pair[0] == "x-agent-sub"] == identity
    codes = [value for name, value in seen if name == "x-totp"]
    assert len(codes) == (0 if way == "inbound" else 1)
    assert set(codes) <= {totp(SEED, -1), totp(SEED)}


@pytest.mark.parametrize("way", ["inbound", "gateway"])
def test_a_grpc_stream_of_a_stranger_is_refused_in_grpc(node, way):
    options = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", API)]
    with grpc.insecure_channel(f"127.0.0.1:{node.port(way)}", options) as channel:
        call = channel.stream_stream("/tests.Agent/Chat")(iter([b"one"]), timeout=20)
        with pytest.raises(grpc.RpcError) as refused:
            list(call)
    assert (refused.value.code(), refused.value.details()) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "Missing or invalid Authorization header",
    )


@WAYS
def test_callers_that_leave_take_nothing_with_them(node, clients, stage, headers, way):
    """They ask, and are gone before the slow upstream answers."""
    late = threading.Event()
    path = f"/slow-{way}"
    stage.play(path, *[Answer(200, after=late)] * 8)
    lines = [f"{name}: {value}" for name, value in headers[way].items()]
    callers = [_Caller(node.port(way), path, lines) for _ in range(8)]
    wait_until(lambda: len(stage.received) == 8, PATIENCE_SECONDS, "all requests are upstream")
    for caller in callers:
        caller.leave()

    def left():
        return [line for line in node.access_log() if line["path"] == path]

    wait_until(lambda: len(left()) == 8, PATIENCE_SECONDS, "Envoy logs that they are gone")
    late.set()
    assert {(line["status"], line["reason"]) for line in left()} == {(0, "ok")}
    active = f"http.{way}.downstream_rq_active"
    assert [line for line in node.admin("/stats").splitlines() if active in line] == [f"{active}: 0"]
    stage.forget()
    assert clients[way].get("/after", headers[way]).status_code == 200
    assert given(stage.only()) == GIVEN[way]


class _Caller:
    """A request whose answer nobody waits for."""

    def __init__(self, port, path, lines):
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._connection.sendall("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())

    def leave(self):
        self._connection.close()


@pytest.mark.parametrize("way", ["inbound", "gateway"])
@pytest.mark.parametrize(("path", "status"), [("/direct", 200), ("/moved", 301)])
def test_what_envoy_answers_itself_is_for_known_callers_too(clients, stage, headers, way, path, status):
    assert refusal(clients[way].get(path, {"Host": AGENT})) == NO_CREDENTIALS
    assert clients[way].get(path, headers["inbound"]).status_code == status
    assert stage.received == []


@pytest.mark.parametrize("way", ["outbound", "placed"])
@pytest.mark.parametrize(("path", "status"), [("/direct", 200), ("/moved", 301)])
def test_what_envoy_answers_itself_is_given_nothing(clients, stage, way, path, status):
    """Such a route has no cluster, so no rule that names one matches; a filter of a cluster is not even asked."""
    answer = clients[way].get(path, {"Host": API})
    assert answer.status_code == status
    assert API_KEY not in str(answer.headers) + answer.text
    reason = "no_match" if way == "outbound" else None
    assert clients[way].envoy.await_access_log(listener=way, path=path, status=status)["reason"] == reason
    assert stage.received == []


@pytest.mark.parametrize("way", ["inbound", "gateway"])
def test_a_route_that_turns_the_filter_off_is_open(clients, stage, way):
    """And worse than public: forged identities and credentials arrive as they are."""
    headers = {"Host": AGENT, "X-Agent-Peer": "admin", "Authorization": "Basic mine"}
    assert clients[way].get("/off", headers).status_code == 200
    assert stage.only().header("x-agent-peer") == "admin"
    assert stage.only().header("authorization") == "Basic mine"
    assert clients[way].envoy.await_access_log(listener=way, path="/off")["reason"] is None


@pytest.mark.parametrize("way", ["outbound", "placed"])
def test_a_route_that_turns_the_filter_off_gives_a_call_nothing(clients, stage, way):
    """It turns off every filter of the name, in the cluster too."""
    assert clients[way].get("/off", {"Host": API}).status_code == 200
    assert given(stage.only()) == ([], 0)


def test_the_module_has_not_trapped(node):
    """A trap would be answered with 503, and counted. This is the last test of the file."""
    reloads = [line for line in node.admin("/stats").splitlines() if "vm_reload" in line]
    assert reloads == [
        "wasm.peergate.vm_reload: 0",
        "wasm.peergate.vm_reload_backoff: 0",
        "wasm.peergate.vm_reload_failure: 0",
        "wasm.peergate.vm_reload_success: 0",
    ]
