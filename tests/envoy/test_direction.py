"""One configuration, several places in one Envoy: what the filter does follows from where the stream is."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, bearer, policy, rule, token
from support.client import Client, refusal
from support.credentials import new_secret

API_KEY = new_secret("key of the API, by direction")
API_HOST = "api.tests.example"
NO_CREDENTIALS = (401, "Missing or invalid Authorization header")


@pytest.fixture(scope="module")
def start(envoy, agent, api):
    """Starts an Envoy with the same filter on three listeners."""
    both = policy(rule("public", ["none"], "/public"), rule("agent", ["jwt"]))
    both["outbound"] = {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [API_HOST],
        "rules": [
            {
                "name": "api",
                "match": {"hosts": [API_HOST], "clusters": ["api"]},
                "query_params": {"apiKey": {"env": "API_KEY"}},
            }
        ],
    }
    environment = ENVIRONMENT | {"API_KEY": API_KEY}

    def start(node_id):
        filters = [peergate(both, environment)]
        routes = {API_HOST: "api", "*": "agent"}
        directions = ("INBOUND", "OUTBOUND", "UNSPECIFIED")
        listeners = [listener(way.lower(), filters, routes, way) for way in directions]
        clusters = [cluster("agent", agent.port), cluster("api", api.port)]
        return envoy(bootstrap(listeners, clusters, node_id), environment)

    return start


@pytest.fixture(scope="module")
def sidecar_node(start):
    return start("sidecar~10.0.0.1~agent~cluster.local")


@pytest.fixture(scope="module")
def inbound(sidecar_node):
    with Client(sidecar_node, "inbound") as client:
        yield client


@pytest.fixture(scope="module")
def outbound(sidecar_node):
    with Client(sidecar_node, "outbound") as client:
        yield client


@pytest.fixture(scope="module")
def gateway(sidecar_node):
    with Client(sidecar_node, "unspecified") as client:
        yield client


def to_api(**headers):
    return {"Host": API_HOST} | headers


def test_inbound_asks_who_is_calling(inbound, agent):
    assert refusal(inbound.get("/")) == NO_CREDENTIALS
    assert inbound.get("/", bearer(token())).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"


def test_inbound_gives_no_call_a_key(inbound, api):
    assert inbound.get("/", to_api(**bearer(token()))).status_code == 200
    assert api.only().target == "/"


def test_outbound_gives_the_call_its_key_and_asks_nobody(outbound, api):
    assert outbound.get("/", to_api()).status_code == 200
    assert api.only().query == [("apiKey", API_KEY)]


def test_outbound_leaves_the_agents_own_credentials_to_other_hosts_alone(outbound, agent):
    assert outbound.get("/", {"Authorization": "Basic of-the-agent"}).status_code == 200
    assert agent.only().header("authorization") == "Basic of-the-agent"


def test_outbound_does_not_let_the_agent_speak_for_the_filter(outbound, agent, api):
    forged = {
        "X-Agent-Peer": "admin",
        "x_agent_sub": "admin",
        "X-AGENT-ISS": "admin",
        "Rb-Auth-Claims": "admin",
    }
    for headers in (forged, to_api(**forged)):
        assert outbound.get("/", headers).status_code == 200
    for request in (agent.only(), api.only()):
        assert [value for _, value in request.headers if value == "admin"] == []


def test_without_a_direction_the_caller_is_asked_first(gateway, agent, api):
    assert refusal(gateway.get("/")) == NO_CREDENTIALS
    assert refusal(gateway.get("/", to_api())) == NO_CREDENTIALS
    assert agent.received == api.received == []


def test_without_a_direction_a_verified_caller_is_given_the_key(gateway, api):
    assert gateway.get("/", to_api(**bearer(token()))).status_code == 200
    assert api.only().query == [("apiKey", API_KEY)]
    assert api.only().values("authorization") == []


def test_without_a_direction_a_stranger_is_not_given_the_key(gateway, agent, api):
    assert gateway.get("/public").status_code == 200
    assert agent.only().path == "/public"
    assert refusal(gateway.get("/public", to_api())) == (403, "Call not allowed")
    assert (
        gateway.envoy.await_access_log(listener="unspecified", reason="outbound_anonymous")["rule"] == "api"
    )
    assert api.received == []


@pytest.mark.parametrize("kind", ["router", "waypoint"])
def test_every_listener_of_a_gateway_asks_who_is_calling(start, agent, api, kind):
    """Istio marks the listeners of an ingress gateway OUTBOUND: the direction alone would leave it open."""
    node = start(f"{kind}~10.0.0.1~gateway~cluster.local")
    for way in ("inbound", "outbound", "unspecified"):
        with Client(node, way) as client:
            assert refusal(client.get("/")) == NO_CREDENTIALS
            assert refusal(client.get("/", to_api())) == NO_CREDENTIALS
            assert agent.received == api.received == []
            assert client.get("/", to_api(**bearer(token()))).status_code == 200
            assert api.only().query == [("apiKey", API_KEY)]
            api.forget()
