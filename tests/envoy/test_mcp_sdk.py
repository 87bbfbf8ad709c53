"""The `mcp` SDK on both sides of the filter, and oidc-provider: its client learns from answers alone what to do.

What a user of the SDK sees of each refusal is what docs/mcp.md says; its first policy runs here as it stands there.
"""

import json
import re
import ssl
from functools import partial

import httpx
import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import KEYS, bearer, claims, policy
from support.certificates import Authority
from support.credentials import new_seed, totp, wrong_totp
from support.identity_provider import CALLBACK, OidcProvider
from support.mcp_sdk import McpClient, McpServer
from support.paths import ROOT
from support.ports import free_port
from support.registry import remember
from support.tokens import payload

GUIDE = (ROOT / "docs/mcp.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
POLICIES = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml" and "version: 1\n" in text]
(ROUTE,) = (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml" and "timeout: " in text)
(BROWSERS,) = (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml" and "cors" in text)

#: Where the servers are: that of the guide, one with a scope for each tool, one that wants a second factor, one whose
#: tokens the filter does not accept, and one whose issuer is down.
MCP, TOOLS, FILES, ELSEWHERE, DOWN = HOSTS = [
    "mcp.example",
    *(f"{name}.tests.example" for name in ("tools", "files", "elsewhere", "down")),
]

#: Of the second factor's server the resource is all that the host has.
RESOURCES = {host: f"https://{host}" if host == FILES else f"https://{host}/mcp" for host in HOSTS}

METADATA = "/.well-known/oauth-protected-resource"

#: What the rules ask of tokens, and what nobody gets.
READ, WRITE, NEVER = "mcp.read", "mcp.write", "mcp.never"

SEEDS = {name: new_seed(f"TOTP seed of {name}") for name in ("alice", "bob", "carol")}
ENVIRONMENT = {f"{name.upper()}_TOTP": seed for name, seed in SEEDS.items()}

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"

SEARCH = ("search", {"words": "snow"})
FOUND = "found snow"

DOWN_ISSUER = "https://down.tests.example"


def url(host):
    """Where the server of a host is."""
    return f"https://{host}/mcp"


def rule(name, host, message=None, **require):
    """A rule for the server of a host, or for messages to it that say in their headers what they are."""
    headers = {}
    if message is not None:
        # Only servers of this protocol compare such headers with the message.
        headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": message[0]}
        headers |= {"mcp-name": message[1]} if message[1:] else {}
    match = {"hosts": [host], "path_prefixes": ["/mcp"], "headers": headers}
    require = {"audiences": [RESOURCES[host]]} | require
    accept = ["jwt:down" if host == DOWN else "jwt:idp"]
    return {"name": name, "match": match, "accept": accept, "require": require, "protocol": "mcp"}


@pytest.fixture(scope="module")
def idp():
    scopes = {resource: [READ, WRITE] for resource in RESOURCES.values()}
    # The server knows this scope, and gives it to nobody for the resources that are asked for.
    with OidcProvider("oidc-provider-mcp", resources=scopes | {"https://never.example": [NEVER]}) as provider:
        yield provider


@pytest.fixture(scope="module")
def server():
    with McpServer("mcp-server", HOSTS) as server:
        yield server


@pytest.fixture(autouse=True)
def _forget_here(server):
    server.received()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Who signs the certificate of the hosts, with the file that says so."""
    authority = Authority("tests")
    file = tmp_path_factory.mktemp("mcp") / "authority.pem"
    file.write_text(authority.certificate, encoding="ascii")
    return authority, file


def of_all(idp):
    """A policy for all servers but the guide's. The provider's tokens may go on elsewhere; to no MCP server."""
    audiences = [RESOURCES[host] for host in (TOOLS, FILES)]
    provider = {"issuer": idp.issuer, "audiences": audiences, "forward": True}
    down = {"issuer": DOWN_ISSUER, "audiences": ["any"], "jwks": {"discovery": {"cluster": "down"}}}
    rules = [
        *(rule(message[-1].replace("/", "-"), TOOLS, message, scopes=[READ]) for message in READING),
        rule("never", TOOLS, ("tools/call", "never"), scopes=[NEVER]),
        rule("writing", TOOLS, scopes=[READ, WRITE]),
        rule("files", FILES, scopes=[READ], totp={"replay": "per_token"}),
        rule("elsewhere", ELSEWHERE, scopes=[READ], audiences=[]),
        rule("down", DOWN, audiences=[]),
    ]
    return policy(
        *rules,
        providers={"idp": provider | {"jwks": {"discovery": {"cluster": "idp"}}}, "down": down},
        peers={
            name: {"tokens": {"idp": name}, "totp_seeds": [{"env": f"{name.upper()}_TOTP"}]} for name in SEEDS
        },
        protected_resources=[{"resource": RESOURCES[host]} for host in (TOOLS, FILES, ELSEWHERE)],
        limits={"key_wait_seconds": 0},
    )


#: What is asked for less: messages whose headers say what they are. All else is taken for writing.
READING = [("server/discover",), ("tools/list",), ("tools/call", "search"), ("tools/call", "caller")]


@pytest.fixture(scope="module")
def proxy(envoy, idp, server, authority):
    """An Envoy with a certificate for all hosts; each policy of the guide has a listener of its own."""
    policies = {f"guide-{number}": each for number, each in enumerate(POLICIES)} | {"inbound": of_all(idp)}
    listeners = []
    for name, each in policies.items():
        each = yaml.safe_load(yaml.safe_dump(each).replace("https://issuer.example", idp.issuer))
        filters = [peergate(each, ENVIRONMENT)]
        if name == "guide-0":
            filters.insert(0, BROWSERS["http_filters"][0])
        built = listener(name, filters, "mcp")
        (chain,) = built["filter_chains"]
        (hosts,) = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        hosts["routes"] = [ROUTE]
        if name == "guide-0":
            hosts["typed_per_filter_config"] = BROWSERS["virtual_hosts"][0]["typed_per_filter_config"]
        own = authority[0].sign(hosts=[MCP, "*.tests.example"])
        certificate = {
            "certificate_chain": {"inline_string": own.certificate},
            "private_key": {"inline_string": own.key},
        }
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": TLS, "common_tls_context": {"tls_certificates": [certificate]}},
        }
        listeners.append(built)
    ports = {"mcp": server.port, "idp": idp.port, "down": free_port()}
    started = envoy(bootstrap(listeners, [cluster(*each) for each in ports.items()]), ENVIRONMENT)
    assert "configuration refused" not in started.log()
    return started


@pytest.fixture(scope="module")
def client(proxy, authority):
    """A client, for whom the hosts are that Envoy."""
    hosts = dict.fromkeys(HOSTS, proxy.port("inbound")) | {MCP: proxy.port("guide-0")}
    with McpClient("mcp-client", hosts, authority[1]) as client:
        yield client


@pytest.fixture(scope="module")
def registered(idp):
    """A client that an operator has registered, for all scopes. By itself the SDK registers for those of its login."""
    asked = {
        "client_name": "registered",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": " ".join([READ, WRITE, NEVER, "offline_access"]),
    }
    answer = httpx.post(f"{idp.issuer}/reg", json=asked, trust_env=False).raise_for_status().json()
    remember("secret of a registered MCP client", answer["client_secret"])
    remember("registration token of an MCP client", answer["registration_access_token"])
    return answer


@pytest.fixture(scope="module")
def logged_in(client, idp, registered):
    """What a client has kept that has logged in where each tool has its scope."""
    session = client.session(url(TOOLS), browser=idp.log_in, client=registered)
    assert session.error is None
    return {"tokens": session.tokens, "client": session.client}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_that_knows_nothing_but_the_url(client, idp, mode):
    """It finds metadata and server, registers, logs its user in, and calls; with either protocol of the SDK."""
    session = client.session(url(MCP), SEARCH, ("caller", {}), browser=idp.log_in, mode=mode)
    assert session.texts() == [FOUND, "alice"]
    assert session.seen()[:6] == [
        ("/mcp", 401),
        (f"{METADATA}/mcp", 200),
        ("/.well-known/oauth-authorization-server", 200),
        ("/reg", 201),
        ("/token", 200),
        ("/mcp", 200),
    ]
    assert {path for path, _ in session.seen()[6:]} == {"/mcp"}
    (page,) = session.opened
    assert page.params["resource"] == RESOURCES[MCP]
    assert page.params["scope"].split() == [READ, "offline_access"]
    assert payload(session.tokens["access_token"])["aud"] == RESOURCES[MCP]


def test_the_challenge_says_where_the_metadata_are(client, idp, registered):
    """By itself the client would look below `/mcp` first."""
    session = client.session(url(FILES), browser=idp.log_in, client=registered)
    assert session.seen()[:2] == [("/mcp", 401), (METADATA, 200)]
    (page,) = session.opened
    assert page.params["resource"] == RESOURCES[FILES]
    assert payload(session.tokens["access_token"])["aud"] == RESOURCES[FILES]


def test_the_token_of_a_client_does_not_reach_the_server(client, idp, server, logged_in):
    """Not even where its provider says that it may go on."""
    token = logged_in["tokens"]["access_token"]
    assert client.session(url(TOOLS), SEARCH, browser=idp.log_in, **logged_in).texts() == [FOUND]
    arrived = server.received()
    assert {each.header("x-agent-sub") for each in arrived} == {"alice"}
    assert {each.header("authorization") for each in arrived} == {None}
    assert token not in str(arrived)


def test_a_token_for_one_server_is_none_for_another(client, idp, logged_in):
    """The client asks for one that is."""
    code = totp(SEEDS["alice"])
    session = client.session(url(FILES), SEARCH, browser=idp.log_in, code=code, **logged_in)
    assert session.texts() == [FOUND]
    assert session.seen()[0] == ("/mcp", 401)
    assert len(session.opened) == 1
    assert payload(session.tokens["access_token"])["aud"] == RESOURCES[FILES]


def test_scopes_are_asked_for_when_they_are_needed(client, idp, logged_in):
    """Those of before and those of the challenge, once; the session goes on."""
    delete = ("delete", {"name": "snow"})
    session = client.session(url(TOOLS), SEARCH, delete, delete, SEARCH, browser=idp.log_in, **logged_in)
    assert session.texts() == [FOUND, "deleted snow", "deleted snow", FOUND]
    (page,) = session.opened
    assert page.params["scope"].split() == [READ, WRITE, "offline_access"]
    assert page.params["resource"] == RESOURCES[TOOLS]
    assert session.seen().count(("/mcp", 403)) == 1
    assert session.tokens["scope"].split() == [READ, WRITE]


def test_scopes_are_asked_for_once(client, idp, logged_in):
    """Whoever does not get them is told so, and the session goes on."""
    session = client.session(url(TOOLS), ("never", {}), SEARCH, browser=idp.log_in, **logged_in)
    assert [each.get("text") for each in session.results] == [None, FOUND]
    assert session.results[0]["error"] == refused("Insufficient scope")
    assert len(session.opened) == 1
    assert session.seen().count(("/mcp", 403)) == 2


def test_a_client_that_registered_itself_may_get_no_further_scopes(client, idp):
    """It is registered for those of its login, and oidc-provider holds it to them."""
    session = client.session(url(TOOLS), ("delete", {"name": "snow"}), browser=idp.log_in)
    assert (session.error["type"], session.error["text"]) == ("LoginFailed", "invalid_scope")
    assert session.client["scope"].split() == [READ, "offline_access"]


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"mcp-name": "search"}, (400, -32020)),
        ({"mcp-name": "search", "mcp-protocol-version": "2025-11-25"}, (403, -32000)),
        ({"mcp-method": "tools/list"}, (400, -32020)),
        ({}, (403, -32000)),
    ],
    ids=["another tool", "an older protocol", "another method", "the truth"],
)
def test_a_message_that_passes_itself_off_as_another(proxy, authority, server, logged_in, changed, answer):
    """The filter goes by the headers, and the SDK's server holds them against the message."""
    headers = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "delete",
    } | changed
    headers |= bearer(logged_in["tokens"]["access_token"]) | {"host": TOOLS}
    meta = {"protocolVersion": headers["mcp-protocol-version"], "clientCapabilities": {}}
    parameters = {
        "name": "delete",
        "arguments": {"name": "snow"},
        "_meta": {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}
    headers |= {"accept": "application/json, text/event-stream"}
    said = asked(authority, proxy.port("inbound"), "POST", "/mcp", headers, message)
    assert (said.status_code, said.json()["error"]["code"]) == answer, said.text
    assert bool(server.received()) == (said.status_code == 400)


@pytest.fixture(scope="module")
def second_factor(client, idp, registered):
    """What a client has kept that has logged in where a second factor is asked for."""
    session = client.session(url(FILES), browser=idp.log_in, client=registered)
    return {"tokens": session.tokens, "client": session.client}


@pytest.mark.parametrize(
    ("code", "text"),
    [(None, "Missing X-TOTP header"), (wrong_totp, "Invalid TOTP code")],
    ids=["missing", "wrong"],
)
def test_a_bad_second_factor_opens_no_page(client, idp, server, second_factor, code, text):
    sent = {"code": code(SEEDS["alice"])} if code else {}
    session = client.session(url(FILES), SEARCH, browser=idp.log_in, **second_factor, **sent)
    assert session.error == refused(text, connecting=True)
    assert session.opened == []
    # It tries both protocols.
    assert session.seen() == [("/mcp", 403)] * 2
    assert session.tokens == second_factor["tokens"]
    assert server.received() == []


def test_the_code_that_came_with_a_bad_token_is_good_with_the_next(client, idp, registered):
    """The SDK sends it again, and it is bound to the token that it was first good with."""
    session = client.session(
        url(FILES),
        SEARCH,
        SEARCH,
        browser=lambda page: idp.log_in(page, "bob"),
        code=totp(SEEDS["bob"]),
        client=registered,
    )
    assert session.texts() == [FOUND, FOUND]
    assert [status for path, status in session.seen() if path == "/mcp"].count(401) == 1
    assert 403 not in {status for _, status in session.seen()}
    # The authorization server does not get to see it.
    assert {each["has_code"] for each in session.asked if "token" in each["url"]} == {False}


def test_each_session_with_a_wrong_code_is_two_failures(client, idp, registered):
    session = client.session(url(FILES), browser=lambda page: idp.log_in(page, "carol"), client=registered)
    kept = {"tokens": session.tokens, "client": session.client}
    texts = []
    for _ in range(3):
        wrong = wrong_totp(SEEDS["carol"])
        session = client.session(url(FILES), browser=idp.log_in, code=wrong, **kept)
        texts.append(session.error["text"])
    assert texts == ["Invalid TOTP code"] * 2 + ["Too many failed TOTP codes"]
    assert session.seen() == [("/mcp", 403), ("/mcp", 429)]
    assert session.opened == []


def test_a_token_in_the_query(client, server, logged_in):
    token = logged_in["tokens"]["access_token"]
    session = client.session(f"{url(TOOLS)}?access_token={token}", SEARCH)
    assert session.error == refused("Token in the query", connecting=True)
    assert {status for _, status in session.seen()} == {400}
    assert server.received() == []


def test_no_token_and_no_login(client, server):
    session = client.session(url(MCP), SEARCH)
    assert session.error == refused("Missing or invalid Authorization header", connecting=True)
    assert server.received() == []


def test_a_token_that_the_filter_never_accepts(client, idp, server, registered):
    """Each of the SDK's protocols logs in once, and then says why not."""
    session = client.session(url(ELSEWHERE), SEARCH, browser=idp.log_in, client=registered)
    assert session.error == refused("Invalid token audience", connecting=True)
    assert len(session.opened) == 2
    assert server.received() == []


def test_keys_that_cannot_be_had(client, idp, server):
    """The client neither waits nor logs in."""
    token = KEYS["ES256"].sign(claims(iss=DOWN_ISSUER, aud="any"), "token of an issuer that is down")
    tokens = {"access_token": token, "token_type": "Bearer"}
    session = client.session(url(DOWN), SEARCH, browser=idp.log_in, tokens=tokens)
    assert session.error == refused("Unable to fetch signing keys", connecting=True)
    assert session.opened == []
    assert server.received() == []


def asked(authority, port, method, path, headers, message=None):
    """The answer to a request that no SDK makes."""
    context = ssl.create_default_context(cafile=authority[1])
    with httpx.Client(verify=context, trust_env=False, timeout=20) as session:
        sni = {"sni_hostname": headers["host"]}
        place = f"https://127.0.0.1:{port}{path}"
        return session.request(method, place, headers=headers, json=message, extensions=sni)


def refused(text, connecting=False):
    """How a user of the SDK sees a refusal: an `MCPError` with its text, in groups while a session begins."""
    assert f"`{text}`" in GUIDE
    within = ["ExceptionGroup", "ExceptionGroup"] if connecting else []
    return {"type": "MCPError", "text": text, "code": -32000, "within": within}


def test_each_block_of_the_guide_is_one_that_is_tested():
    # All of the policies run: `proxy`.
    assert len(POLICIES) == 4
    # Besides them the route, what pages need, the metadata, and a program.
    assert len(BLOCKS) == len(POLICIES) + 4


def test_the_metadata_of_the_guide(proxy, authority, idp):
    (text,) = (text for kind, text in BLOCKS if kind == "json")
    said = asked(authority, proxy.port("guide-0"), "GET", f"{METADATA}/mcp", {"host": MCP})
    assert said.json() == json.loads(text.replace("https://issuer.example", idp.issuer))


def test_a_page_may_ask_and_reads_where_tokens_come_from(proxy, authority):
    page = {"host": MCP, "origin": "https://app.example"}
    preflight = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, mcp-method",
    }
    port = proxy.port("guide-0")
    allowed = asked(authority, port, "OPTIONS", "/mcp", page | preflight)
    assert (allowed.status_code, allowed.headers["access-control-allow-methods"]) == (
        200,
        "GET, POST, DELETE",
    )
    assert "mcp-method" in allowed.headers["access-control-allow-headers"]
    refused = asked(authority, port, "POST", "/mcp", page, {})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page["origin"])
    assert "www-authenticate" in refused.headers["access-control-expose-headers"]
    assert "resource_metadata=" in refused.headers["www-authenticate"]


def test_servers_of_one_host_have_metadata_each_and_the_bare_path_is_nobodys(proxy, authority):
    get = partial(asked, authority, proxy.port("guide-3"), "GET", headers={"host": MCP})
    for path in ("/search", "/files"):
        assert get(f"{METADATA}{path}").json()["resource"] == f"https://{MCP}{path}"
    assert get(METADATA).status_code == 403


def test_the_program_of_the_guide_is_one():
    (text,) = (text for kind, text in BLOCKS if kind == "python")
    compile(text, "docs/mcp.md", "exec")
