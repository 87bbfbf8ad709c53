"""The `mcp` SDK on both sides of the filter, and oidc-provider: its client learns from answers alone what to do."""

import httpx
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import policy, rule
from support.certificates import Authority
from support.credentials import new_seed, totp, wrong_totp
from support.identity_provider import CALLBACK, OidcProvider
from support.mcp_sdk import McpClient, McpServer
from support.registry import remember
from support.tokens import payload
from support.upstream import Upstream

SEARCH, FILES, ELSEWHERE = HOSTS = [f"{name}.tests.example" for name in ("search", "files", "elsewhere")]

#: What the rules ask of tokens, and what nobody gets.
READ, WRITE, NEVER = "mcp.read", "mcp.write", "mcp.never"

ALICE_SEED, BOB_SEED = new_seed("TOTP seed of alice"), new_seed("TOTP seed of bob")
ENVIRONMENT = {"ALICE_TOTP": ALICE_SEED, "BOB_TOTP": BOB_SEED}

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"

ONCE = ("search", {"words": "snow"})
FOUND = "found snow"


def resource(host):
    """The name of a server's resource, and where it is."""
    return f"https://{host}/mcp"


class Metadata(Upstream):
    """What the filter will serve itself."""

    issuer = ""

    def answer_to(self, received):
        return {"resource": resource(received.header("host")), "authorization_servers": [self.issuer]}


def at(host, name, headers=None, **require):
    """A rule for the MCP server of a host."""
    match = {"hosts": [host], "path_prefixes": ["/mcp"], "headers": headers or {}}
    return {"name": name, "match": match, "accept": ["jwt"], "require": require, "protocol": "mcp"}


@pytest.fixture(scope="module")
def idp():
    scopes = {resource(host): [READ, WRITE] for host in HOSTS}
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
def client(envoy, idp, server, tmp_path_factory):
    """A client, for whom the hosts are an Envoy with a certificate for them."""
    audiences = [resource(SEARCH), resource(FILES)]
    provider = {"issuer": idp.issuer, "audiences": audiences, "jwks": {"discovery": {"cluster": "idp"}}}
    rules = [
        rule("metadata", ["none"], "/.well-known/oauth-protected-resource"),
        at(SEARCH, "deletes", {"mcp-name": "delete"}, scopes=[READ, WRITE]),
        at(SEARCH, "never", {"mcp-name": "never"}, scopes=[NEVER]),
        at(SEARCH, "search", scopes=[READ], audiences=[resource(SEARCH)]),
        at(FILES, "files", scopes=[READ], totp={"replay": "per_token"}, audiences=[resource(FILES)]),
        at(ELSEWHERE, "elsewhere", scopes=[READ]),
    ]
    peers = {name: {"totp_seeds": [{"env": f"{name.upper()}_TOTP"}]} for name in idp.users}
    filters = [peergate(policy(*rules, provider=provider, peers=peers), ENVIRONMENT)]
    with Metadata("metadata") as metadata:
        metadata.issuer = idp.issuer
        inbound = listener("inbound", filters, "mcp")
        authority = Authority("tests")
        file = tmp_path_factory.mktemp("mcp") / "authority.pem"
        file.write_text(authority.certificate, encoding="ascii")
        own = authority.sign(host="*.tests.example")
        (chain,) = inbound["filter_chains"]
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": TLS,
                "common_tls_context": {
                    "tls_certificates": [
                        {
                            "certificate_chain": {"inline_string": own.certificate},
                            "private_key": {"inline_string": own.key},
                        }
                    ]
                },
            },
        }
        (host,) = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
        host["routes"].insert(0, {"match": {"prefix": "/.well-known/"}, "route": {"cluster": "metadata"}})
        ports = {"mcp": server.port, "metadata": metadata.port, "idp": idp.port}
        started = envoy(bootstrap([inbound], [cluster(*each) for each in ports.items()]), ENVIRONMENT)
        with McpClient("mcp-client", dict.fromkeys(HOSTS, started.port("inbound")), file) as client:
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
    """What a client has kept that has logged in at the first of the servers."""
    session = client.session(resource(SEARCH), browser=idp.log_in, client=registered)
    assert session.error is None
    return {"tokens": session.tokens, "client": session.client}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_that_knows_nothing_but_the_url(client, idp, mode):
    """It finds metadata and server, registers, logs its user in, and calls; with either protocol of the SDK."""
    session = client.session(resource(SEARCH), ONCE, ("caller", {}), browser=idp.log_in, mode=mode)
    assert session.texts() == [FOUND, "alice"]
    assert session.seen()[:6] == [
        ("/mcp", 401),
        ("/.well-known/oauth-protected-resource/mcp", 200),
        ("/.well-known/oauth-authorization-server", 200),
        ("/reg", 201),
        ("/token", 200),
        ("/mcp", 200),
    ]
    assert {path for path, _ in session.seen()[6:]} == {"/mcp"}
    (page,) = session.opened
    assert page.params["resource"] == resource(SEARCH)
    assert payload(session.tokens["access_token"])["aud"] == resource(SEARCH)


def test_the_token_of_a_client_does_not_reach_the_server(client, idp, server, logged_in):
    token = logged_in["tokens"]["access_token"]
    assert client.session(resource(SEARCH), ONCE, browser=idp.log_in, **logged_in).texts() == [FOUND]
    arrived = server.received()
    assert {each.header("x-agent-sub") for each in arrived} == {"alice"}
    assert {each.header("authorization") for each in arrived} == {None}
    assert token not in str(arrived)


def test_a_token_for_one_server_is_none_for_another(client, idp, logged_in):
    """The client asks for one that is."""
    code = {"X-TOTP": totp(ALICE_SEED)}
    session = client.session(resource(FILES), ONCE, browser=idp.log_in, headers=code, **logged_in)
    assert session.texts() == [FOUND]
    (page,) = session.opened
    assert page.params["resource"] == resource(FILES)
    assert payload(session.tokens["access_token"])["aud"] == resource(FILES)


def test_scopes_are_asked_for_when_they_are_needed(client, idp, logged_in):
    """Those of before and those of the challenge, once; the session goes on."""
    delete = ("delete", {"name": "snow"})
    session = client.session(resource(SEARCH), ONCE, delete, delete, ONCE, browser=idp.log_in, **logged_in)
    assert session.texts() == [FOUND, "deleted snow", "deleted snow", FOUND]
    (page,) = session.opened
    assert page.params["scope"].split() == [READ, WRITE, "offline_access"]
    assert page.params["resource"] == resource(SEARCH)
    assert [status for path, status in session.seen() if path == "/mcp"].count(403) == 1
    assert session.tokens["scope"].split() == [READ, WRITE]


def test_scopes_are_asked_for_once(client, idp, logged_in):
    """Whoever does not get them is told so, and the next call asks again."""
    session = client.session(resource(SEARCH), ("never", {}), ONCE, browser=idp.log_in, **logged_in)
    assert session.results == [seen("Insufficient scope"), {"text": FOUND, "is_error": False}]
    assert len(session.opened) == 1
    assert session.seen().count(("/mcp", 403)) == 2


def test_a_client_that_registered_itself_may_get_no_further_scopes(client, idp):
    """It is registered for those of its login, and oidc-provider holds it to them."""
    session = client.session(resource(SEARCH), ("delete", {"name": "snow"}), browser=idp.log_in)
    assert session.error == {
        "type": "LoginFailed",
        "text": "invalid_scope",
        "code": None,
        "within": ["ExceptionGroup"],
    }
    assert session.client["scope"].split() == [READ, "offline_access"]


def seen(text):
    """How a user of the SDK sees a refusal: `MCPError`, with the text."""
    return {"error": {"type": "MCPError", "text": text, "code": -32000, "within": []}}


@pytest.fixture(scope="module")
def second_factor(client, idp, registered):
    """What a client has kept that has logged in where a second factor is asked for, and called without it."""
    session = client.session(resource(FILES), ONCE, browser=idp.log_in, client=registered)
    assert session.error["text"] == "Missing X-TOTP header"
    return {"tokens": session.tokens, "client": session.client}


@pytest.mark.parametrize(
    ("code", "text"),
    [(lambda: None, "Missing X-TOTP header"), (lambda: wrong_totp(ALICE_SEED), "Invalid TOTP code")],
    ids=["missing", "wrong"],
)
def test_a_bad_second_factor_opens_no_page(client, idp, server, second_factor, code, text):
    headers = {"X-TOTP": value} if (value := code()) else {}
    session = client.session(resource(FILES), ONCE, browser=idp.log_in, headers=headers, **second_factor)
    assert (session.error["type"], session.error["text"]) == ("MCPError", text)
    assert session.opened == []
    # It tries both protocols.
    assert session.seen() == [("/mcp", 403)] * 2
    assert session.tokens == second_factor["tokens"]
    assert server.received() == []


def test_the_code_that_came_with_a_bad_token_is_good_with_the_next(client, idp, registered):
    """The SDK sends it again, and it is bound to the token that it was first good with."""
    session = client.session(
        resource(FILES),
        ONCE,
        ONCE,
        browser=lambda url: idp.log_in(url, "bob"),
        headers={"X-TOTP": totp(BOB_SEED)},
        client=registered,
    )
    assert session.texts() == [FOUND, FOUND]
    assert session.seen().count(("/mcp", 401)) == 1
    assert session.seen().count(("/mcp", 403)) == 0


def test_a_token_in_the_query(client, server, logged_in):
    url = f"{resource(SEARCH)}?access_token={logged_in['tokens']['access_token']}"
    session = client.session(url, ONCE)
    assert (session.error["type"], session.error["text"]) == ("MCPError", "Token in the query")
    assert {status for _, status in session.seen()} == {400}
    assert server.received() == []


def test_no_token_and_no_login(client, server):
    session = client.session(resource(SEARCH), ONCE)
    assert session.error["text"] == "Missing or invalid Authorization header"
    assert server.received() == []


def test_a_token_that_the_filter_never_accepts(client, idp, server, registered):
    """Each of the SDK's protocols logs in once, and then says why not."""
    session = client.session(resource(ELSEWHERE), ONCE, browser=idp.log_in, client=registered)
    assert session.error["text"] == "Invalid token audience"
    assert len(session.opened) == 2
    assert server.received() == []
