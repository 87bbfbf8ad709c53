"""What an operator sees of a decision: counters, access logs, and filter state for other filters to use."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, ISSUER, MRPINK_SEED, MRWHITE_KEY, bearer, policy, rule, token
from support.client import Client, refusal
from support.credentials import new_secret, totp

EXTENSIONS = "type.googleapis.com/envoy.extensions"

#: Envoy's own filter, behind the filter under test: of the verified callers it lets one pass.
ONLY_MRPINK = {
    "name": "envoy.filters.http.rbac",
    "typed_config": {
        "@type": f"{EXTENSIONS}.filters.http.rbac.v3.RBAC",
        "rules": {
            "action": "ALLOW",
            "policies": {
                "mrpink": {
                    "permissions": [{"any": True}],
                    "principals": [
                        {"filter_state": {"key": "wasm.peergate.peer", "string_match": {"exact": "mrpink"}}}
                    ],
                }
            },
        },
    },
}


@pytest.fixture
def client(sidecar):
    """A fresh Envoy for each test: the counters start at nothing."""
    return sidecar(
        policy(
            rule("public", ["none"], "/public"),
            rule("reports", ["jwt", "api_key"], "/reports"),
            rule("agent", ["jwt"], require={"totp": True}),
        )
    )


def counters(client):
    """The filter's counters as Prometheus reads them."""
    lines = client.envoy.admin("/stats/prometheus").splitlines()
    return {line for line in lines if line.startswith("peergate_")}


def test_counters_have_labels(client):
    code = {"X-TOTP": totp(MRPINK_SEED)}
    assert client.get("/", bearer(token())).status_code == 401
    assert client.get("/", bearer(token()) | code).status_code == 200
    assert client.get("/", bearer(token()) | code).status_code == 200
    assert client.get("/public").status_code == 200
    assert client.raw_get("//")[0] == 400
    total = "peergate_requests_total"
    assert counters(client) == {
        total + '{direction="inbound",outcome="deny",reason="totp_missing",rule="agent"} 1',
        total + '{direction="inbound",outcome="allow",reason="ok",rule="agent"} 2',
        total + '{direction="inbound",outcome="allow",reason="ok",rule="public"} 1',
        total + '{direction="inbound",outcome="deny",reason="path_ambiguous",rule="none"} 1',
        'peergate_signatures_total{by="proxy"} 3',
    }


def test_the_access_log_says_who_and_why(client):
    client.get("/one", bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)})
    assert client.envoy.await_access_log(path="/one") == {
        "listener": "inbound",
        "path": "/one",
        "status": 200,
        "details": "via_upstream",
        "cluster": "agent",
        "reason": "ok",
        "rule": "agent",
        "peer": "mrpink",
        "sub": "mrpink",
        "iss": ISSUER,
        "method": "jwt",
    }
    client.get("/reports", {"X-Api-Key": MRWHITE_KEY})
    line = client.envoy.await_access_log(path="/reports")
    assert [line[name] for name in ("peer", "sub", "iss", "method")] == [
        "mrwhite",
        "mrwhite",
        "api-key",
        "api_key",
    ]
    client.get("/two", bearer(token("mrgray")))
    line = client.envoy.await_access_log(path="/two")
    # The first factor was good: the log says who fails the second, and a log that knows nothing of the filter says why.
    assert [line[name] for name in ("status", "reason", "rule", "peer", "sub", "details")] == [
        401,
        "totp_missing",
        "agent",
        None,
        "mrgray",
        "peergate_totp_missing",
    ]


def test_no_log_holds_a_credential_that_a_refused_caller_put_into_the_query(client):
    key = new_secret("key in the query of a refused request")
    target = f"/refused?q=agents&api_key={key}&ACCESS_TOKEN={key}&sig={key}"
    assert client.get(target).status_code == 401
    client.envoy.await_access_log(path="/refused")
    client.envoy.await_log('"GET /refused?q=agents&')
    assert key not in client.envoy.log()


def test_no_log_of_the_filter_holds_a_credential(client):
    key, jwt = new_secret("API key of nobody"), token(aud="https://another.example")
    for headers in ({"X-Api-Key": key}, bearer(jwt), bearer(key), {"Authorization": key}):
        assert client.get("/", headers).status_code == 401
    client.envoy.await_access_log(path="/", reason="authorization_malformed")
    assert key not in client.envoy.log()
    assert jwt.rpartition(".")[2] not in client.envoy.log()


def test_other_filters_can_decide_by_the_verified_peer(envoy, agent):
    filters = [peergate(policy(rule("agent", ["jwt", "api_key"])), ENVIRONMENT), ONLY_MRPINK]
    clusters = [cluster("agent", agent.port)]
    running = envoy(bootstrap([listener("inbound", filters, "agent")], clusters), ENVIRONMENT)
    with Client(running) as client:
        assert client.get("/", bearer(token())).status_code == 200
        answer = client.get("/", {"X-Api-Key": MRWHITE_KEY, "X-Agent-Peer": "mrpink"})
        assert (answer.status_code, answer.text) == (403, "RBAC: access denied")
        assert client.get("/", bearer(token("mrgray"))).status_code == 403
        assert refusal(client.get("/"))[0] == 401
    assert len(agent.received) == 1
