"""Each caller is refused in what it speaks."""

import json

import grpc
import pytest

from support.cast import MRPINK_SEED, REALM, bearer, policy, rule, token
from support.client import Client, refusal
from support.credentials import totp

NO_CREDENTIALS = "Missing or invalid Authorization header"
MISSING_CODE = "Missing X-TOTP header"
CALL = b'{"jsonrpc":"2.0","id":7,"method":"SendMessage","params":{}}'


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(
        policy(
            {"name": "closed", "match": {"path_prefixes": ["/closed", "/tests.Closed"]}, "deny": True},
            rule("second-factor", ["jwt"], "/second-factor", require={"totp": True}),
            rule("agent", ["jwt"]),
        )
    )


def json_rpc(message, code=-32000):
    """The body of a JSON-RPC refusal."""
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_json_rpc(client, http2):
    with Client(client.envoy, http2=http2) as caller:
        answer = caller.request("POST", "/", {"Content-Type": "application/json"}, CALL)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["www-authenticate"] == f'Bearer realm="{REALM}"'
    assert answer.json() == json_rpc(NO_CREDENTIALS)


def test_json_rpc_with_a_charset(client):
    headers = {"Content-Type": "application/json; charset=utf-8"} | bearer(token())
    answer = client.request("POST", "/second-factor", headers, CALL)
    assert answer.status_code == 401
    assert answer.json() == json_rpc(MISSING_CODE)


def test_json_rpc_where_nobody_may_call(client):
    answer = client.request("POST", "/closed", {"Content-Type": "application/json"}, CALL)
    assert answer.status_code == 403
    assert answer.json() == json_rpc("Access denied")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/message:send", {"Content-Type": "application/json"}),
        ("/message:send", {"Content-Type": "application/a2a+json"}),
        ("/tasks/1", {"A2A-Version": "1.0"}),
    ],
)
def test_a2a_over_rest(client, path, headers):
    answer = client.request("POST", path, headers, b"{}")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "error": {
            "code": 401,
            "status": "UNAUTHENTICATED",
            "message": NO_CREDENTIALS,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "CREDENTIALS_MISSING",
                    "domain": "peergate",
                }
            ],
        }
    }


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(
    ("method", "content_type"),
    [("GET", None), ("POST", "text/plain"), ("PUT", "application/json"), ("POST", "application/grpc-web")],
)
def test_everybody_else(client, http2, method, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    with Client(client.envoy, http2=http2) as caller:
        assert refusal(caller.request(method, "/", headers)) == (401, NO_CREDENTIALS)


@pytest.fixture(scope="module")
def channel(client):
    address, options = f"127.0.0.1:{client.port}", [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options) as channel:
        yield channel


def grpc_refusal(channel, path, metadata=()):
    """How a real gRPC client sees a refusal."""
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(path)(b"", metadata=metadata, timeout=20)
    return refused.value.code(), refused.value.details()


def test_grpc(channel, agent):
    refused = grpc_refusal(channel, "/tests.Agent/Send")
    assert refused == (grpc.StatusCode.UNAUTHENTICATED, NO_CREDENTIALS)
    assert agent.received == []


def test_grpc_with_a_token_of_another_audience(channel):
    metadata = [("authorization", f"Bearer {token(aud='https://another.example')}")]
    refused = grpc_refusal(channel, "/tests.Agent/Send", metadata)
    assert refused == (grpc.StatusCode.UNAUTHENTICATED, "Invalid token audience")


def test_grpc_where_nobody_may_call(channel):
    refused = grpc_refusal(channel, "/tests.Closed/Send")
    assert refused == (grpc.StatusCode.PERMISSION_DENIED, "Access denied")


def test_grpc_with_a_wrong_second_factor(channel):
    metadata = [("authorization", f"Bearer {token()}"), ("x-totp", "x" + totp(MRPINK_SEED))]
    refused = grpc_refusal(channel, "/second-factor/Send", metadata)
    assert refused == (grpc.StatusCode.UNAUTHENTICATED, "Invalid TOTP code")


def test_an_operator_may_have_one_text_for_every_401(sidecar):
    errors = {"realm": "quiet", "verbose": False, "jsonrpc_code": -32050}
    rules = [rule("agent", ["jwt"], require={"totp": True, "scopes": ["a"]})]
    client = sidecar(policy(*rules, errors=errors))
    text = "Invalid or missing authentication credentials"
    for headers in ({}, bearer("x.y.z"), bearer(token(aud="https://another.example")), bearer(token())):
        answer = client.request("POST", "/", headers | {"Content-Type": "application/json"}, CALL)
        assert answer.status_code == 401
        assert answer.json() == json_rpc(text, -32050)
        assert 'realm="quiet"' in answer.headers["www-authenticate"]
        assert refusal(client.get("/", headers)) == (401, text)
    code = {"X-TOTP": totp(MRPINK_SEED)}
    assert refusal(client.get("/", bearer(token()) | code)) == (403, "Insufficient scope")


def test_a_refusal_repeats_nothing_that_the_caller_sent(client):
    marked = bearer("marked.marked.marked") | {"X-Marked": "marked"}
    answer = client.get("/closed?marked=marked", marked)
    assert "marked" not in json.dumps([answer.text, *answer.headers.values()])
    answer = client.get("/?marked=marked", marked)
    assert "marked" not in json.dumps([answer.text, *answer.headers.values()])
