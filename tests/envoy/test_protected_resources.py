"""Metadata of protected resources, challenges that name them, and what pages in browsers may read, in a real Envoy."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import (
    ENVIRONMENT,
    ISSUER,
    MRPINK_SEED,
    REALM,
    bearer,
    policy,
    rule,
    token,
)
from support.client import Client
from support.credentials import totp

RESOURCE = "https://mcp.tests.example:8443/tools"
METADATA = "/.well-known/oauth-protected-resource/tools"
URL = "https://mcp.tests.example:8443" + METADATA
PAGE = "https://page.tests.example"

DOCUMENT = {
    "resource": RESOURCE,
    "authorization_servers": [ISSUER],
    "scopes_supported": ["tools.call"],
    "bearer_methods_supported": ["header"],
    "resource_name": "Tools",
}

POLICY = policy(
    rule("tools", ["jwt", "api_key"], "/tools", require={"scopes": ["tools.call"]}, protocol="mcp"),
    rule("second-factor", ["jwt"], "/second-factor", require={"totp": True}, protocol="mcp"),
    rule("agent", ["jwt", "api_key"]),
    provider={"forward": True},
    protected_resources=[{"resource": RESOURCE, "name": "Tools"}],
    errors={"realm": REALM, "expose_challenge": True},
)


def cors(**members):
    """Envoy's own CORS filter, and the policy of the routes."""
    kind = "type.googleapis.com/envoy.extensions.filters.http.cors.v3"
    settings = {
        "@type": f"{kind}.CorsPolicy",
        "allow_origin_string_match": [{"exact": PAGE}],
        "allow_methods": "GET, POST",
        "allow_headers": "authorization, content-type, mcp-protocol-version",
    }
    return (
        {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{kind}.Cors"}},
        {"envoy.filters.http.cors": settings | members},
    )


@pytest.fixture(scope="module")
def envoys(envoy, agent):
    """Four listeners: plain, with CORS before the filter, with headers that it exposes, and CORS behind."""
    filter_, settings = cors()
    _, exposing = cors(expose_headers="x-request-id, www-authenticate")
    authentication = peergate(POLICY, ENVIRONMENT)
    listeners = [
        listener("inbound", [authentication], "agent"),
        listener("cors", [filter_, authentication], "agent"),
        listener("exposing", [filter_, authentication], "agent"),
        listener("behind", [authentication, filter_], "agent"),
    ]
    for each, routes in zip(listeners[1:], (settings, exposing, settings), strict=True):
        manager = each["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"] = routes
    return envoy(bootstrap(listeners, [cluster("agent", agent.port)]), ENVIRONMENT)


@pytest.fixture(scope="module")
def client(envoys):
    with Client(envoys) as client:
        yield client


def test_metadata_are_for_everybody_whatever_the_host(client, agent):
    forged = {
        "Host": "evil.tests.example",
        "X-Forwarded-Host": "evil.tests.example",
        "Authorization": "Bearer x",
    }
    for headers in ({}, forged):
        answer = client.get(METADATA, headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.json() == DOCUMENT
    assert agent.received == []
    assert client.get("/.well-known/oauth-protected-resource").status_code == 401


def test_head_is_get_without_a_body(client):
    answer = client.request("HEAD", METADATA)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(client.get(METADATA).content))
    assert answer.headers["access-control-allow-origin"] == "*"


def test_over_http2(envoys):
    with Client(envoys, http2=True) as client:
        assert client.get(METADATA).json() == DOCUMENT
        assert client.request("HEAD", METADATA).content == b""
        preflight = client.request("OPTIONS", METADATA, preflight_of("GET"))
    assert (preflight.status_code, preflight.content) == (204, b"")


def test_the_log_says_what_was_published(envoys, client):
    assert client.get(METADATA + "?a=b").status_code == 200
    envoys.await_access_log(path=METADATA, details="peergate_metadata_published")


def test_challenges_name_the_resource(client):
    forged = {"Host": "evil.tests.example", "X-Forwarded-Host": "evil.tests.example"}
    for headers in ({}, forged):
        answer = client.request("POST", "/tools/call", headers | {"Content-Type": "application/json"}, b"{}")
        assert answer.status_code == 401
        expected = f'Bearer realm="{REALM}", resource_metadata="{URL}", scope="tools.call"'
        assert answer.headers["www-authenticate"] == expected
        assert answer.json()["error"]["message"] == "Missing or invalid Authorization header"
    answer = client.get("/tools", bearer(token()))
    assert answer.status_code == 403
    error = 'error="insufficient_scope"'
    expected = f'Bearer realm="{REALM}", {error}, resource_metadata="{URL}", scope="tools.call"'
    assert answer.headers["www-authenticate"] == expected
    # Outside the resource there is nothing to name.
    assert client.get("/").headers["www-authenticate"] == f'Bearer realm="{REALM}"'


def test_a_token_goes_no_further_with_mcp(client, agent):
    credentials = bearer(token(scope="tools.call"))
    assert client.get("/", credentials).status_code == 200
    assert client.get("/tools", credentials).status_code == 200
    code = credentials | {"X-TOTP": totp(MRPINK_SEED)}
    assert client.get("/second-factor", code).status_code == 200
    assert client.get("/second-factor", credentials).status_code == 403
    elsewhere, tools, second_factor = agent.received
    assert elsewhere.header("authorization") == credentials["Authorization"]
    for received in (tools, second_factor):
        assert received.header("authorization") is None
        assert received.header("x-agent-peer") == "mrpink"


def preflight_of(method):
    """What a browser sends before a page's request of its own making."""
    return {
        "Origin": PAGE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "mcp-protocol-version",
    }


def test_a_page_may_ask_for_metadata(client):
    answer = client.request("OPTIONS", METADATA, preflight_of("GET"))
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"
    assert answer.headers["access-control-allow-headers"] == "*, authorization"
    assert client.request("OPTIONS", METADATA, preflight_of("DELETE")).status_code == 401


@pytest.mark.parametrize("name", ["cors", "exposing", "behind"])
def test_with_envoys_own_cors_filter(envoys, name):
    """Each header comes once: a browser takes two of a kind for none."""
    with Client(envoys, name) as client:
        metadata = client.get(METADATA, {"Origin": PAGE})
        refused = client.get("/tools", {"Origin": PAGE})
        stranger = client.get("/tools", {"Origin": "https://evil.tests.example"})
    assert metadata.json() == DOCUMENT
    # Where it stands in front, Envoy's filter writes its own word over the filter's.
    expected = "*" if name == "behind" else PAGE
    assert metadata.headers.get_list("access-control-allow-origin") == [expected]
    assert refused.status_code == stranger.status_code == 401
    assert "access-control-allow-origin" not in stranger.headers
    exposed = refused.headers.get_list("access-control-expose-headers")
    allowed = refused.headers.get_list("access-control-allow-origin")
    match name:
        case "cors":
            assert (allowed, exposed) == ([PAGE], ["www-authenticate"])
        case "exposing":
            assert (allowed, exposed) == ([PAGE], ["x-request-id, www-authenticate"])
        case _:
            # It never sees the answers of filters before it.
            assert (allowed, exposed) == ([], ["www-authenticate"])
