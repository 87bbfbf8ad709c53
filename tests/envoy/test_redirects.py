"""Redirects that Envoy follows itself, as a way to a credential that the mesh has put on.

What the first run put on must be neither the caller's own credential in the second, nor go to whoever the redirect
leads to, whatever policy stands there.
"""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate, within
from support.cast import bearer, policy, rule, token
from support.client import Client, refusal
from support.credentials import new_secret, new_seed
from support.stage import Answer, Stage

MESH_TOKEN = new_secret("static token of the mesh, for redirects")
API_KEY = new_secret("key of the API, for redirects")
MESH_SEED = new_seed("TOTP seed of the mesh, for redirects")
ENVIRONMENT = {"MESH_TOKEN": MESH_TOKEN, "API_KEY": API_KEY, "MESH_SEED": MESH_SEED}
API, ELSEWHERE = "api.tests.example", "elsewhere.tests.example"

GIVEN = {
    "headers": {"authorization": {"prefix": "Bearer ", "value": {"env": "MESH_TOKEN"}}},
    "cookies": {"tenant": {"env": "API_KEY"}},
    "totp": {"seed": {"env": "MESH_SEED"}},
    "query_params": {"apiKey": {"env": "API_KEY"}},
}
ALLOWED = {
    "insecure_allow_query_param_auth": True,
    "insecure_query_param_auth_allowed_hosts": [API],
}


def everywhere():
    """The mesh's own credentials are good for its own agents, as where one policy stands in every place."""
    built = policy(
        rule(
            "admin",
            ["bearer_token", "jwt"],
            "/admin",
            require={"peers": ["mesh"], "totp": True},
        ),
        rule("public", ["none"], "/public"),
        rule("all", ["jwt"]),
        peers={
            "mesh": {
                "tokens": {},
                "bearer_tokens": [{"env": "MESH_TOKEN"}],
                "totp_seeds": [{"env": "MESH_SEED"}],
            }
        },
    )
    given = {"name": "api", "match": {"hosts": [API], "clusters": ["api", "placed"]}, **GIVEN}
    built["outbound"] = ALLOWED | {"rules": [given | {"insecure_for_anonymous": True}]}
    return built


def placed(**outbound):
    """A policy for within a cluster."""
    return {"version": 1, "role": "upstream", "outbound": outbound}


API_WITHIN = placed(**ALLOWED, rules=[{"name": "api", **GIVEN}])
#: What may stand in the cluster that a redirect leads to.
NEXT = {
    "puts nothing on": placed(on_no_match="forward"),
    "is in shadow": API_WITHIN | {"enforcement": "shadow", "insecure_shadow_all": True},
    "has no outbound half": {"version": 1, "inbound": {"rules": []}},
}


@pytest.fixture(scope="module")
def api():
    with Stage("api") as stage:
        yield stage


@pytest.fixture(scope="module")
def elsewhere():
    with Stage("elsewhere") as stage:
        yield stage


@pytest.fixture(autouse=True)
def _begin_anew(api, elsewhere):
    api.forget()
    elsewhere.forget()


def following(hosts):
    """A route table that follows redirects."""
    followed = {"allow_cross_scheme_redirect": True}
    return {
        "virtual_hosts": [
            {
                "name": host,
                "domains": [host],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {"cluster": name, "internal_redirect_policy": followed},
                    }
                ],
            }
            for host, name in hosts.items()
        ]
    }


@pytest.fixture(scope="module")
def running(envoy, api, elsewhere):
    hosts = {API: "api", ELSEWHERE: "elsewhere"}
    clusters = [cluster("api", api.port), cluster("elsewhere", elsewhere.port)]
    clusters.append(within(cluster("placed", api.port), [peergate(API_WITHIN, ENVIRONMENT)]))
    door = peergate(everywhere(), ENVIRONMENT)
    listeners = [
        listener("gateway", [door], "api", "UNSPECIFIED", route_config=following(hosts)),
    ]
    for index, (_, next_policy) in enumerate(NEXT.items()):
        name = f"next-{index}"
        clusters.append(within(cluster(name, elsewhere.port), [peergate(next_policy, ENVIRONMENT)]))
        routes = following({API: "placed", ELSEWHERE: name})
        listeners.append(listener(name, [], "placed", "OUTBOUND", route_config=routes))
    return envoy(bootstrap(listeners, clusters), ENVIRONMENT)


def moved(host, path):
    return Answer(302, {"location": f"http://{host}{path}"})


@pytest.mark.parametrize("path", ["/x", "/public/x"])
def test_what_the_mesh_puts_on_is_never_the_callers_own(running, api, path):
    api.play(path, moved(API, "/admin"))
    with Client(running, "gateway") as client:
        answer = client.get(path, {"Host": API} | (bearer(token()) if path == "/x" else {}))
    assert refusal(answer) == (401, "Missing or invalid Authorization header")
    assert [request.path for request in api.received] == [path]


@pytest.mark.parametrize("next_policy", NEXT)
def test_what_was_put_on_comes_off_whatever_stands_next(running, api, elsewhere, next_policy):
    api.play("/x", moved(ELSEWHERE, "/second"))
    with Client(running, f"next-{list(NEXT).index(next_policy)}") as client:
        client.get("/x", {"Host": API, "Cookie": "a=1"})
    assert [request.path for request in api.received] == ["/x"]
    assert api.received[0].header("authorization") == f"Bearer {MESH_TOKEN}"
    for request in elsewhere.received:
        assert request.names() & {"authorization", "x-totp", "x-envoy-original-url"} == set()
        assert request.header("cookie") == "a=1"
        assert API_KEY not in str(request.headers) + request.target


def test_an_api_that_repeats_the_key_in_its_redirect_has_it_logged_nowhere(running, api):
    api.play("/public/x", moved(API, f"/public/k/{API_KEY}"))
    api.play("/public/y", moved(API, f"/public/z?back={API_KEY}"))
    with Client(running, "gateway") as client:
        assert client.get("/public/x", {"Host": API}).status_code == 403
        assert client.get("/public/y", {"Host": API}).status_code == 200
    assert [request.path for request in api.received] == ["/public/x", "/public/y", "/public/z"]
    assert api.received[-1].query == [("apiKey", API_KEY)]
    running.await_access_log(reason="outbound_redirected")
    running.await_log("GET /public/z HTTP/1.1")
    assert API_KEY not in running.log()


def test_a_refused_request_is_not_logged_under_a_path_of_its_own_choice(running):
    headers = {"Host": API, "X-Envoy-Original-Path": "/innocent"}
    with Client(running, "gateway") as client:
        assert client.get("/admin/guess", headers).status_code == 401
    running.await_log("GET /admin/guess HTTP/1.1")
    assert "/innocent" not in running.log()
