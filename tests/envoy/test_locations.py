"""Tokens and keys in cookies and in the query: what reaches the agent, and what a log shows of them."""

import pytest

from support.bootstrap import ACCESS_LOG_FIELDS, bootstrap, cluster, listener, peergate
from support.cast import (
    ENVIRONMENT,
    MRWHITE_KEY,
    MRWHITE_NEXT_KEY,
    bearer,
    policy,
    rule,
    seconds_from_now,
    token,
)
from support.client import Client, refusal

#: The path as the request has it when it is logged, and not as Envoy's default format spares it.
RAW_PATH = {"raw_path": "%REQ(:PATH)%", "original_path": "%REQ(X-ENVOY-ORIGINAL-PATH)%"}

STDOUT = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"

PLACES = {
    "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}, {"name": "x-token"}],
    "from_cookies": ["agent_token"],
    # No name that the redactor knows by itself.
    "insecure_from_params": ["agentpass"],
}

RULES = [rule("public", ["none"], "/public"), rule("agent", ["jwt", "api_key"])]


@pytest.fixture(scope="module")
def start(envoy, agent):
    """An Envoy with a policy, and access logs in two formats: with these fields besides, and Envoy's own."""

    def started(provider: dict, fields: dict) -> Client:
        written = policy(
            *RULES,
            provider=PLACES | provider,
            api_key={
                "from": [{"header": "x-api-key"}, {"cookie": "agent_key"}, {"insecure_param": "agentkey"}]
            },
        )
        logs = [
            {
                "name": "envoy.access_loggers.stdout",
                "typed_config": {"@type": STDOUT} | members,
            }
            for members in ({"log_format": {"json_format": ACCESS_LOG_FIELDS | fields}}, {})
        ]
        inbound = listener("inbound", [peergate(written, ENVIRONMENT)], "agent", access_log=logs)
        return Client(envoy(bootstrap([inbound], [cluster("agent", agent.port)]), ENVIRONMENT))

    return started


@pytest.fixture(scope="module")
def client(start):
    with start({}, RAW_PATH) as client:
        yield client


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_a_token_in_a_cookie(client, agent, http2):
    with Client(client.envoy, http2=http2) as caller:
        cookies = [("Cookie", "a=1"), ("Cookie", f"agent_token={token()}; b=2"), ("Cookie", "c=3")]
        assert caller.get("/x", cookies).status_code == 200
    assert agent.only().header("cookie") == "a=1; b=2; c=3"
    assert agent.only().header("x-agent-peer") == "mrpink"


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_two_tokens_in_two_cookie_headers(client, agent, http2):
    with Client(client.envoy, http2=http2) as caller:
        cookies = [("Cookie", f"agent_token={token()}"), ("Cookie", f"agent_token={token()}")]
        assert refusal(caller.get("/x", cookies)) == (400, "More than one credential of a kind")
    assert not agent.received


def test_a_token_in_the_query_of_an_allowed_request(client, agent):
    secret = token()
    assert client.get(f"/allowed?a=%2F&agentpass={secret}&b=2").status_code == 200
    assert agent.only().target == "/allowed?a=%2F&b=2"
    assert agent.only().header("x-agent-peer") == "mrpink"
    line = client.envoy.await_access_log(path="/allowed", reason="ok")
    assert (line["raw_path"], line["original_path"]) == ("/allowed?a=%2F&b=2", None)
    client.envoy.await_log('"GET /allowed?a=%2F&b=2 HTTP/1.1" 200')
    assert secret not in client.envoy.log()


def test_a_token_in_the_query_of_a_refused_request(client, agent):
    secret = token(exp=seconds_from_now(-3600))
    answer = client.get(f"/refused?a=1&agentpass={secret}")
    assert refusal(answer) == (401, "Token has expired")
    line = client.envoy.await_access_log(path="/refused", reason="token_expired")
    assert line["raw_path"] == "/refused?a=1&agentpass=*****"
    client.envoy.await_log('"GET /refused?a=1&agentpass=***** HTTP/1.1" 401')
    assert secret not in client.envoy.log()
    assert not agent.received


def test_a_key_in_the_query(client, agent):
    assert client.get(f"/key?agentkey={MRWHITE_KEY}").status_code == 200
    assert agent.only().target == "/key"
    assert agent.only().header("x-agent-auth") == "api_key"
    answer = client.get(f"/keys?agentkey={MRWHITE_KEY}", {"X-Api-Key": MRWHITE_NEXT_KEY})
    assert refusal(answer) == (400, "More than one credential of a kind")
    line = client.envoy.await_access_log(path="/keys", reason="credential_repeated")
    assert line["raw_path"] == "/keys?agentkey=*****"
    assert MRWHITE_KEY not in client.envoy.log()


def test_a_public_path_lets_no_credential_through(client, agent):
    headers = bearer(token()) | {
        "Cookie": f"agent_token={token()}; agent_key={MRWHITE_KEY}",
        "X-Token": token(),
    }
    assert client.get(f"/public?agentpass={token()}&agentkey={MRWHITE_KEY}", headers).status_code == 200
    received = agent.only()
    assert received.target == "/public"
    assert not {"cookie", "authorization", "x-token"} & received.names()


def test_a_token_that_is_forwarded_stays_where_it_stood(start, agent):
    secret = token()
    # Without raw paths: `%REQ(:PATH)%` shows such a token, as it shows every query.
    with start({"forward": True}, {}) as client:
        assert client.get(f"/forwarded?a=1&agentpass={secret}&agentkey={MRWHITE_KEY}").status_code == 200
        assert agent.only().target == f"/forwarded?a=1&agentpass={secret}"
        client.envoy.await_log('"GET /forwarded?a=1 HTTP/1.1" 200')
        agent.forget()
        cookies = {"Cookie": f"a=1; agent_key={MRWHITE_KEY}; agent_token={secret}"}
        assert client.get("/x", cookies).status_code == 200
        assert agent.only().header("cookie") == f"a=1; agent_token={secret}"
        assert secret not in client.envoy.log()
