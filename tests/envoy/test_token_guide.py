"""docs/token-exchange.md: its policies load and do what it says, its commands run, its tables are complete.

What a recipe has asked for is looked at in a double that stands where a server would: it shows the shape of requests,
and not that those servers take them.
"""

import contextlib
import re
import shutil
import subprocess

import httpx
import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.credentials import SigningKey, lasting, new_secret
from support.exchange import injected
from support.oauth_client import ACCESS_TOKEN, JWT_BEARER, TOKEN_EXCHANGE, token_type
from support.paths import ROOT
from support.registry import remember_token
from support.token_server_double import ON_BEHALF_OF, TOKEN, TokenServerDouble
from support.tokens import payload

GUIDE = (ROOT / "docs/token-exchange.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
POLICIES = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml"]
COMMANDS = [text for kind, text in BLOCKS if kind == "sh"]

#: In the order of the guide.
NAMES = ["first", "keycloak", "entra", "auth0", "zitadel", "key", "kagent", "assertion"]

KEY = SigningKey.generate("ES256", "agent-1")

MESH_KEY = SigningKey.generate("ES256", "mesh-1")

#: The listener by which callers come to the agent of the policy with an assertion.
BEFORE_THE_AGENT = "before-the-agent"

SECRETS = {
    name: new_secret(f"the guide's {name}")
    for name in ("IDP_SECRET", "KEYCLOAK_SECRET", "ENTRA_SECRET", "AUTH0_SECRET", "ZITADEL_SECRET")
}

ASSERTION = "x-agent-assertion"

DISCOVERY = "/.well-known/openid-configuration"
RFC_8414 = "/.well-known/oauth-authorization-server"

ENTRA = "/00000000-0000-0000-0000-000000000001"

#: Where the double stands for a server: its issuer, its metadata, its token endpoint, and whose part is played there.
SERVERS = [
    ("https://issuer.example", DISCOVERY, "/token", TOKEN),
    (
        "https://sso.corp.example/realms/agents",
        f"/realms/agents{DISCOVERY}",
        "/realms/agents/protocol/openid-connect/token",
        TOKEN,
    ),
    (
        f"https://login.microsoftonline.com{ENTRA}/v2.0",
        f"{ENTRA}/v2.0{DISCOVERY}",
        f"{ENTRA}/oauth2/v2.0/token",
        ON_BEHALF_OF,
    ),
    ("https://tenant.eu.auth0.com/", DISCOVERY, "/oauth/token", TOKEN),
    ("https://zitadel.example", DISCOVERY, "/oauth/v2/token", TOKEN),
]


def test_each_block_is_one_that_is_tested():
    assert len(POLICIES) == len(NAMES)
    assert len(COMMANDS) == 2
    # Besides them the picture, and the variables of an agent.
    assert len(BLOCKS) == len(POLICIES) + len(COMMANDS) + 2


@pytest.fixture(scope="module")
def doubles():
    """One for each server, by its issuer."""
    with contextlib.ExitStack() as stack:
        doubles = {}
        for number, (issuer, metadata, endpoint, kind) in enumerate(SERVERS):
            double = stack.enter_context(TokenServerDouble(f"guide-{number}"))
            for place in {metadata, RFC_8414}:
                double.plays(issuer, place, endpoint, kind)
            doubles[issuer] = double
        yield doubles


@pytest.fixture(scope="module")
def running(envoy, agent, api, doubles):
    """Each policy in a listener of its own; the one with an assertion stands on both sides of the agent."""
    environment = SECRETS | {"AGENT_KEY": KEY.private_pem(), "MESH_KEY": MESH_KEY.private_pem()}
    both = POLICIES[NAMES.index("assertion")]
    listeners = [listener(BEFORE_THE_AGENT, [peergate(both, environment)], "agent")]
    clusters = {"agent": agent.port}
    for name, policy in zip(NAMES, POLICIES, strict=True):
        (upstreams,) = {tuple(rule["match"]["clusters"]) for rule in policy["outbound"]["rules"][:1]}
        listeners.append(listener(name, [peergate(policy, environment)], upstreams[0], "OUTBOUND"))
        for rule in policy["outbound"]["rules"]:
            for each in rule["match"]["clusters"]:
                clusters[each] = api.port
        (provider,) = policy["inbound"]["providers"].values()
        (client,) = policy["outbound"]["oauth_clients"].values()
        for each in (provider["jwks"]["discovery"], client.get("token_endpoint") or client["discovery"]):
            clusters[each["cluster"]] = doubles[provider["issuer"]].port
    started = envoy(bootstrap(listeners, [cluster(*each) for each in clusters.items()]), environment)
    assert "configuration refused" not in started.log()
    return started


def exchange(subject="access_token", **members):
    """What stands in a request for an exchange, without the token."""
    return {
        "grant_type": [TOKEN_EXCHANGE],
        "subject_token_type": [token_type(subject)],
    } | {name: [value] for name, value in members.items()}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("first", exchange(audience="https://search.example", requested_token_type=ACCESS_TOKEN)),
        ("keycloak", exchange(audience="search", requested_token_type=ACCESS_TOKEN)),
        (
            "entra",
            {
                "grant_type": [JWT_BEARER],
                "client_id": ["00000000-0000-0000-0000-00000000000a"],
                "client_secret": [SECRETS["ENTRA_SECRET"]],
                "scope": ["api://files/.default"],
                "requested_token_use": ["on_behalf_of"],
            },
        ),
        (
            "auth0",
            exchange(
                audience="https://files.example",
                scope="read:files",
                client_id="kKq9agent",
                client_secret=SECRETS["AUTH0_SECRET"],
            ),
        ),
        ("zitadel", exchange(audience="261347819268243999", requested_token_type=token_type("jwt"))),
        ("kagent", exchange("jwt", audience="search", client_id="agent")),
    ],
)
def test_a_recipe_asks_as_the_server_wants_it(running, api, doubles, name, asked):
    policy = POLICIES[NAMES.index(name)]
    (provider,) = policy["inbound"]["providers"].values()
    double = doubles[provider["issuer"]]
    double.forget()
    token = caller_of(provider, double)
    assert call(running, name, token) == 200
    request = double.only_request()
    members: dict[str, list[str]] = {}
    for member, value in request.members:
        members.setdefault(member, []).append(value)
    subject = members.pop("assertion" if name == "entra" else "subject_token")
    assert (subject, members) == ([token], asked)
    assert injected(api)["sub"] == "mrpink"


def test_the_recipe_with_a_key(running, api, doubles):
    """The client's own token is the actor."""
    policy = POLICIES[NAMES.index("key")]
    (provider,) = policy["inbound"]["providers"].values()
    double = doubles[provider["issuer"]]
    double.forget()
    assert call(running, "key", caller_of(provider, double)) == 200
    own, exchanged = double.requests
    assert own.value("grant_type") == "client_credentials"
    assert exchanged.value("resource") == "https://files.example/mcp"
    assert (exchanged.value("scope"), exchanged.value("actor_token_type")) == ("files.read", ACCESS_TOKEN)
    for request in double.requests:
        claims = payload(request.value("client_assertion"))
        assert (claims["iss"], claims["aud"]) == ("agent", provider["issuer"])
    assert injected(api)["act"] == {"sub": "agent"}


def test_the_agent_that_passes_an_assertion_on(running, agent, api, doubles):
    (provider,) = POLICIES[NAMES.index("assertion")]["inbound"]["providers"].values()
    double = doubles[provider["issuer"]]
    double.forget()
    token = caller_of(provider, double)
    headers = {"authorization": f"Bearer {token}"}
    before = httpx.get(f"{running.url(BEFORE_THE_AGENT)}/", headers=headers, trust_env=False, timeout=20)
    assert before.status_code == 200
    seen = agent.only()
    assert token not in str(seen.headers)
    assertion = remember_token("assertion of the guide", seen.header(ASSERTION))
    assert call(running, "assertion", **{ASSERTION: assertion}) == 200
    assert double.only_request().value("subject_token") == token
    assert injected(api)["sub"] == "mrpink"
    assert api.only().values(ASSERTION) == []


def caller_of(provider, double):
    """A token for the agent."""
    claims = {"iss": provider["issuer"], "aud": provider["audiences"][0], "sub": "mrpink"}
    return double.key.sign(claims | lasting(300), "caller of the guide")


def call(running, name, token=None, **headers):
    """What the first upstream of a policy says."""
    rule = POLICIES[NAMES.index(name)]["outbound"]["rules"][0]
    url = f"{running.url(name)}/"
    headers |= {"host": rule["match"]["hosts"][0]}
    if token:
        headers |= {"authorization": f"Bearer {token}"}
    return httpx.get(url, headers=headers, trust_env=False, timeout=20).status_code


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_the_commands_make_a_key_that_the_policy_takes(tmp_path):
    done = subprocess.run(
        ["bash", "-ec", COMMANDS[0]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    made = (tmp_path / "agent.pem").read_text(encoding="ascii")
    # The same form as that of the key which the policy above has been given.
    assert made.splitlines()[0] == KEY.private_pem().splitlines()[0]
