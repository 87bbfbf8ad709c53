"""What passes the filter passes whole: HTTP/1.1, HTTP/2, gRPC, bodies, and bytes that are no text."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, MRPINK_SEED, bearer, policy, rule, token
from support.client import Client, problem
from support.credentials import totp

BODY = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(
        policy(rule("second-factor", ["jwt"], "/totp", require={"totp": True}), rule("agent", ["jwt"]))
    )


def chunks():
    """The body in pieces, without a length."""
    for start in range(0, len(BODY), 10_000):
        yield BODY[start : start + 10_000]


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("content", [lambda: BODY, chunks], ids=["with a length", "in chunks"])
def test_a_body_arrives_whole(client, agent, http2, content):
    with Client(client.envoy, http2=http2) as caller:
        answer = caller.request("POST", "/", bearer(token()), content())
    assert answer.status_code == 200
    assert answer.json()["served_by"] == "agent"
    assert agent.only().body == BODY


def test_trailers_carry_no_identity_either(envoy, agent):
    """Some servers read trailers like headers; Envoy lets them through where it is told to."""
    trailers = {"enable_trailers": True}
    inbound = listener(
        "inbound",
        [peergate(policy(rule("agent", ["jwt"])), ENVIRONMENT)],
        "agent",
        http_protocol_options=trailers,
    )
    upstream = cluster("agent", agent.port)
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    upstream["typed_extension_protocol_options"] = {
        options: {
            "@type": f"type.googleapis.com/{options}",
            "explicit_http_config": {"http_protocol_options": trailers},
        }
    }
    running = envoy(bootstrap([inbound], [upstream]), ENVIRONMENT)
    with Client(running) as client:
        status, _ = client.raw(
            b"POST / HTTP/1.1\r\nHost: agent.tests.example\r\n"
            b"Authorization: " + bearer(token())["Authorization"].encode() + b"\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
            b"X-Agent-Peer: boss\r\nx_agent_sub: boss\r\nRb-Auth-Claims: {}\r\nX-Checksum: 1\r\n\r\n"
        )
    assert status == 200
    assert agent.only().trailers == ["x-checksum: 1"]


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_body_of_a_refused_request_goes_nowhere(client, agent, http2):
    with Client(client.envoy, http2=http2) as caller:
        assert caller.request("POST", "/", {}, b"a body").status_code == 401
        assert caller.get("/", bearer(token())).status_code == 200
    assert agent.only().method == "GET"


def test_many_at_once_are_not_mixed_up(client, agent):
    names = [f"agent-{number}" for number in range(40)]

    def ask(name):
        # Every second one has no credentials.
        credentials = bearer(token(name)) if int(name[6:]) % 2 else {}
        return name, client.get(f"/{name}", credentials).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = dict(pool.map(ask, names))
    assert statuses == {name: 200 if int(name[6:]) % 2 else 401 for name in names}
    assert {request.path[1:]: request.header("x-agent-sub") for request in agent.received} == {
        name: name for name in names if int(name[6:]) % 2
    }


@pytest.fixture
def junk():
    return b"\xff\xfe\x80\xc3("


def test_a_token_that_is_no_text(client, agent, junk):
    answer = client.raw_get("/", b"Authorization: Bearer " + junk)
    assert problem(*answer) == (401, "Invalid or missing authentication credentials")
    assert agent.received == []


def test_an_authorization_that_is_no_text(client, junk):
    answer = client.raw_get("/", b"Authorization: " + junk)
    assert problem(*answer) == (401, "Missing or invalid Authorization header")


def test_a_code_that_is_no_text(client, junk):
    authorization = f"Authorization: Bearer {token()}".encode()
    answer = client.raw_get("/totp", authorization, b"X-TOTP: " + junk)
    assert problem(*answer) == (401, "Invalid TOTP code")


def test_other_headers_that_are_no_text_pass(client, agent, junk):
    headers = [
        f"Authorization: Bearer {token()}".encode(),
        b"X-TOTP: " + totp(MRPINK_SEED).encode(),
        b"X-Junk: " + junk,
        b"X-Agent-Peer: " + junk,
    ]
    status, _ = client.raw_get("/totp", *headers)
    assert status == 200
    assert agent.only().header("x-junk").encode("latin-1") == junk
    assert agent.only().header("x-agent-peer") == "mrpink"


def test_the_module_has_not_trapped(client, junk):
    """A trap would be answered with 503, and counted."""
    client.raw_get("/", b"Authorization: Bearer " + junk, b"X-Api-Key: " + junk, b"Cookie: " + junk)
    reloads = [line for line in client.envoy.admin("/stats").splitlines() if "vm_reload" in line]
    assert reloads == [
        "wasm.peergate.vm_reload: 0",
        "wasm.peergate.vm_reload_backoff: 0",
        "wasm.peergate.vm_reload_failure: 0",
        "wasm.peergate.vm_reload_success: 0",
    ]


def test_a_tunnel_has_no_path_and_is_refused(envoy, agent):
    filters = [peergate(policy(rule("public", ["none"]), rule("agent", ["jwt"])), ENVIRONMENT)]
    inbound = listener("inbound", filters, "agent", upgrade_configs=[{"upgrade_type": "CONNECT"}])
    for route in inbound["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]:
        tunnel = {"cluster": "agent", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
        route["routes"].insert(0, {"match": {"connect_matcher": {}}, "route": tunnel})
    running = envoy(bootstrap([inbound], [cluster("agent", agent.port)]), ENVIRONMENT)
    with Client(running) as client:
        connect = b"CONNECT agent.tests.example:80 HTTP/1.1\r\nHost: agent.tests.example:80\r\n\r\n"
        assert problem(*client.raw(connect)) == (400, "Request without a path")


class GrpcAgent(grpc.GenericRpcHandler):
    """Answers every call with its own message, and remembers the metadata."""

    def service(self, details):
        self.metadata = dict(details.invocation_metadata)
        return grpc.stream_stream_rpc_method_handler(lambda messages, _: messages)


@pytest.fixture(scope="module")
def grpc_agent():
    agent = GrpcAgent()
    server = grpc.server(ThreadPoolExecutor(2), handlers=[agent])
    agent.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield agent
    server.stop(grace=None).wait()


def test_grpc_passes_in_both_directions(envoy, grpc_agent):
    filters = [peergate(policy(rule("agent", ["jwt"])), ENVIRONMENT)]
    clusters = [cluster("agent", grpc_agent.port, http2=True)]
    running = envoy(bootstrap([listener("inbound", filters, "agent")], clusters), ENVIRONMENT)
    address, options = f"127.0.0.1:{running.port('inbound')}", [("grpc.enable_http_proxy", 0)]
    metadata = [("authorization", f"Bearer {token()}"), ("x-agent-peer", "admin")]
    with grpc.insecure_channel(address, options) as channel:
        call = channel.stream_stream("/tests.Agent/Chat")(
            iter([b"one", b"two"]), metadata=metadata, timeout=20
        )
        assert list(call) == [b"one", b"two"]
        assert call.code() == grpc.StatusCode.OK
    assert grpc_agent.metadata["x-agent-peer"] == "mrpink"
    assert "authorization" not in grpc_agent.metadata
