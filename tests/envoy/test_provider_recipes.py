"""docs/identity-providers.md: its policies let in the tokens that it shows, and refuse what it says goes wrong."""

import contextlib
import json
import time

import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import KEYS, bearer
from support.client import Client
from support.documents import blocks
from support.paths import ROOT

SAVED = {block.title: block.text for block in blocks("docs/identity-providers.md") if block.title}
POLICIES = {name.removesuffix(".yaml"): text for name, text in SAVED.items() if name.endswith(".yaml")}
TOKENS = {name.removesuffix(".json"): text for name, text in SAVED.items() if name.endswith(".json")}

TENANT = "00000000-0000-0000-0000-000000000001"
AGENT = "00000000-0000-0000-0000-00000000000a"
PLANNER = "00000000-0000-0000-0000-00000000000c"

#: What version 1 has in place of version 2.
ENTRA_V1 = {"iss": f"https://sts.windows.net/{TENANT}/", "azp": None, "appid": PLANNER, "ver": "1.0"}


def claims(name: str, **changes: object) -> dict:
    """Those of a token of the document, an hour from now; `None` takes one away."""
    shown = json.loads(TOKENS[name])
    later = int(time.time()) - shown["iat"]
    times = {each: shown[each] + later for each in ("iat", "nbf", "exp") if each in shown}
    return {each: value for each, value in (shown | times | changes).items() if value is not None}


def token(name: str, **changes: object) -> str:
    return KEYS["RS256"].sign(claims(name, **changes), f"{name} of the recipes")


def with_our_key(text: str) -> dict:
    """A policy, with the tests' key in place of where its provider's are fetched."""
    policy = yaml.safe_load(text)
    (provider,) = policy["inbound"]["providers"].values()
    provider["jwks"] = {"inline": {"keys": [KEYS["RS256"].public_jwk()]}}
    return policy


@pytest.fixture(scope="module")
def agents(envoy, agent):
    """A client of the agent behind each policy."""
    listeners = [listener(name, [peergate(with_our_key(text))], "agent") for name, text in POLICIES.items()]
    running = envoy(bootstrap(listeners, [cluster("agent", agent.port)]))
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Client(running, name)) for name in POLICIES}


def test_nothing_is_shown_that_is_not_tested():
    assert POLICIES.keys() == {"keycloak", "entra", "entra-v1"}
    assert TOKENS.keys() == {
        "keycloak-service-account",
        "keycloak-user",
        "entra-app-only",
        "entra-on-behalf-of",
    }
    assert "test_provider_recipes.py" in (ROOT / "docs/identity-providers.md").read_text()


ROLES = "offline_access,default-roles-agents,uma_authorization"

LET_IN = [
    (
        "keycloak",
        "keycloak-service-account",
        {},
        {"x-user-name": "service-account-planner", "x-user-roles": ROLES},
    ),
    ("keycloak", "keycloak-user", {}, {"x-user-name": "alice", "x-user-roles": ROLES}),
    ("entra", "entra-app-only", {}, {"x-user-id": "00000000-0000-0000-0000-0000000000c1"}),
    ("entra", "entra-on-behalf-of", {}, {"x-user-id": "00000000-0000-0000-0000-0000000000e1"}),
    ("entra-v1", "entra-app-only", ENTRA_V1 | {"aud": f"api://{AGENT}"}, {}),
    ("entra-v1", "entra-on-behalf-of", ENTRA_V1, {}),
]


@pytest.mark.parametrize(("policy", "shown", "changes", "headers"), LET_IN)
def test_a_token_of_this_shape_is_let_in(agents, agent, policy, shown, changes, headers):
    sent = claims(shown, **changes)
    assert agents[policy].get("/", bearer(token(shown, **changes))).status_code == 200
    request = agent.only()
    came = {
        name: request.header(name)
        for name in ("x-agent-peer", "x-agent-sub", "x-agent-iss", "x-agent-auth", *headers)
    }
    assert came == {
        "x-agent-peer": "planner",
        "x-agent-sub": sent["sub"],
        "x-agent-iss": sent["iss"],
        "x-agent-auth": "jwt",
    } | dict(headers)


OTHER_ISSUER = "https://sso.corp.example/realms/others"
COMMON = "https://login.microsoftonline.com/common/v2.0"
#: What an ID token of Keycloak has, and an access token has not.
ID_TOKEN = {"typ": "ID", "aud": "planner", "at_hash": "5_jLInozdQQrdzLdTTX8hA"}

REFUSED = [
    ("keycloak", "keycloak-service-account", {"aud": "account"}, "audience_invalid"),
    ("keycloak", "keycloak-service-account", {"scope": "profile email"}, "scope_insufficient"),
    ("keycloak", "keycloak-service-account", {"iss": OTHER_ISSUER}, "issuer_invalid"),
    ("keycloak", "keycloak-service-account", {"azp": "stranger"}, "peer_not_allowed"),
    ("keycloak", "keycloak-user", ID_TOKEN, "token_type_not_allowed"),
    ("entra", "entra-app-only", ENTRA_V1, "issuer_invalid"),
    ("entra", "entra-app-only", {"iss": COMMON}, "issuer_invalid"),
    ("entra", "entra-app-only", {"aud": f"api://{AGENT}"}, "audience_invalid"),
    ("entra", "entra-app-only", {"aud": "00000003-0000-0000-c000-000000000000"}, "audience_invalid"),
    ("entra", "entra-app-only", {"roles": None}, "scope_insufficient"),
    # A user's roles do not stand in for a scope that nobody has agreed to.
    ("entra", "entra-on-behalf-of", {"scp": "User.Read", "roles": ["Agent.Call"]}, "scope_insufficient"),
    ("entra", "entra-app-only", {"azp": "00000000-0000-0000-0000-0000000000ff"}, "peer_not_allowed"),
    ("entra-v1", "entra-app-only", {}, "issuer_invalid"),
]


@pytest.mark.parametrize(("policy", "shown", "changes", "reason"), REFUSED)
def test_what_goes_wrong_is_refused(agents, agent, policy, shown, changes, reason):
    # The path tells the line of the access log.
    path = f"/{policy}/{REFUSED.index((policy, shown, changes, reason))}"
    agents[policy].get(path, bearer(token(shown, **changes)))
    assert agents[policy].envoy.await_access_log(path=path, listener=policy)["reason"] == reason
    assert agent.received == []
