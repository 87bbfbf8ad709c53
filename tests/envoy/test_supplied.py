"""What calls are given besides a key in the query, what comes back of it, and what logs show, on a real Envoy."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client
from support.credentials import new_secret, new_seed, totp
from support.upstream import Upstream

TOKEN = new_secret("token of the API")
KEY = new_secret("key of the API that takes it in the query")
OWN_KEY = new_secret("key of the caller's own")
SEED = new_seed("TOTP seed of the mesh, for supplied credentials")
ENVIRONMENT = {"API_TOKEN": TOKEN, "API_KEY": KEY, "MESH_SEED": SEED}

API, COOKIE, MOVED, HEADER, QUERY = (
    f"{name}.tests.example" for name in ("api", "cookie", "moved", "header", "query")
)

POLICY = {
    "version": 1,
    "outbound": {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [MOVED, QUERY],
        "rules": [
            {
                "name": "api",
                "match": {"hosts": [API], "clusters": ["api"]},
                "headers": {"authorization": {"prefix": "Bearer ", "value": {"env": "API_TOKEN"}}},
                "totp": {"seed": {"env": "MESH_SEED"}},
            },
            {
                "name": "cookie",
                "match": {"hosts": [COOKIE], "clusters": ["api"]},
                "cookies": {"sid": {"env": "API_TOKEN"}},
            },
            {
                "name": "moved",
                "match": {"hosts": [MOVED], "clusters": ["api"]},
                "query_params": {"apiKey": {"from_header": "x-tavily-key"}},
            },
            {
                "name": "header",
                "match": {"hosts": [HEADER]},
                "query_to_header": {"from": "api_key", "to": "authorization"},
            },
            {
                "name": "query",
                "match": {"hosts": [QUERY], "clusters": ["api"]},
                "query_params": {"apiKey": {"env": "API_KEY"}},
            },
        ],
    },
}


class Echoing(Upstream):
    """An API that sends everybody on to the URL that was asked for."""

    def answer_headers(self, received):
        return {"location": received.target, "link": f'<{received.target}&page=2>; rel="next"'}


@pytest.fixture(scope="module")
def upstream():
    with Echoing("echoing") as upstream:
        yield upstream


@pytest.fixture(scope="module")
def client(envoy, upstream):
    # A route that rewrites the path hands the path with the key to the logs: this one has a log that prints neither.
    rewriting = {
        "match": {"prefix": "/rewritten/"},
        "route": {"cluster": "api", "prefix_rewrite": "/"},
    }
    routes = [rewriting, {"match": {"prefix": "/"}, "route": {"cluster": "api"}}]
    outbound = listener(
        "outbound",
        [peergate(POLICY, ENVIRONMENT)],
        "api",
        "OUTBOUND",
        route_config={"virtual_hosts": [{"name": "api", "domains": ["*"], "routes": routes}]},
        access_log=[],
    )
    running = envoy(bootstrap([outbound], [cluster("api", upstream.port)]), ENVIRONMENT)
    with Client(running, "outbound") as client:
        upstream.forget()
        yield client


@pytest.fixture(autouse=True)
def _forget_echoes(upstream):
    upstream.forget()


def test_a_header_and_a_code_take_the_place_of_the_callers(client, upstream):
    headers = [("Host", API), ("Authorization", "Bearer mine"), ("X-TOTP", "000000"), ("X_TOTP", "111111")]
    assert client.get("/", headers).status_code == 200
    assert upstream.only().values("authorization") == [f"Bearer {TOKEN}"]
    assert upstream.only().values("x-totp")[0] in {totp(SEED, -1), totp(SEED)}
    assert upstream.only().values("x_totp") == []


def test_a_cookie_is_merged(client, upstream):
    assert client.get("/", {"Host": COOKIE, "Cookie": "a=1; sid=mine; b=2"}).status_code == 200
    assert upstream.only().values("cookie") == [f"a=1; b=2; sid={TOKEN}"]


def test_a_key_moves_from_a_header_to_the_query(client, upstream):
    headers = {"Host": MOVED, "X-Tavily-Key": OWN_KEY}
    answer = client.get("/search?q=1&apiKey=forged", headers)
    assert upstream.only().query == [("q", "1"), ("apiKey", OWN_KEY)]
    assert upstream.only().values("x-tavily-key") == []
    assert answer.headers["location"] == "/search?q=1"


def test_a_key_moves_from_the_query_to_a_header(client, upstream):
    assert client.get(f"/search?q=1&api_key={OWN_KEY}&b=2", {"Host": HEADER}).status_code == 200
    assert upstream.only().target == "/search?q=1&b=2"
    assert upstream.only().values("authorization") == [f"Bearer {OWN_KEY}"]


def test_an_upstream_that_repeats_its_url_gives_the_key_away_to_nobody(client, upstream):
    answer = client.get("/search?q=1", {"Host": QUERY})
    assert upstream.only().query == [("q", "1"), ("apiKey", KEY)]
    assert answer.headers["location"] == "/search?q=1"
    assert answer.headers["link"] == '</search?q=1&page=2>; rel="next"'
    assert KEY not in str(answer.headers) + answer.text


def test_a_route_that_rewrites_the_path_is_noticed(client, upstream):
    for _ in range(3):
        assert client.get("/rewritten/search?q=1", {"Host": QUERY}).status_code == 200
    assert upstream.received[0].target == f"/search?q=1&apiKey={KEY}"
    client.envoy.await_log("peergate: query_credential_exposed rule=query")
    assert client.envoy.log().count("query_credential_exposed") == 1
    metrics = client.envoy.admin("/stats/prometheus")
    assert 'peergate_query_credential_exposed_total{rule="query"} 3' in metrics
    assert KEY not in client.envoy.log()
