"""What the agent behind the filter learns of a caller, and what of a forger's headers is left."""

import json
from itertools import product

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import (
    ENVIRONMENT,
    ISSUER,
    MRBLONDE_TOKEN,
    MRPINK_SEED,
    MRWHITE_KEY,
    bearer,
    policy,
    rule,
    token,
)
from support.client import Client, problem, refusal
from support.credentials import totp

INVALID = "Invalid or missing authentication credentials"

#: Every header that the filter of these tests owns.
OWNED = ["x-agent-peer", "x-agent-sub", "x-agent-iss", "x-agent-auth", "rb-auth-claims", "x-agent-roles"]


@pytest.fixture(scope="module")
def client(envoy, agent):
    rules = [
        rule("public", ["none"], "/public"),
        rule("second-factor", ["jwt"], "/second-factor", require={"totp": True}),
        rule("agent", ["jwt", "api_key", "bearer_token"]),
    ]
    provider = {
        "claim_to_headers": {
            "x-agent-roles": "realm_access.roles",
            "x-agent-level": "level",
            "x-agent-note": "note",
        }
    }
    forward = {"rb_auth_claims": {"extra": ["tenant", "level"]}}
    filters = [peergate(policy(*rules, provider=provider, forward=forward), ENVIRONMENT)]
    websocket = [{"upgrade_type": "websocket"}]
    inbound = listener("inbound", filters, "agent", upgrade_configs=websocket)
    with Client(envoy(bootstrap([inbound], [cluster("agent", agent.port)]), ENVIRONMENT)) as client:
        yield client


def identity(request):
    """The identity headers of a request, by what they say."""
    return {name: request.header(f"x-agent-{name}") for name in ("peer", "sub", "iss", "auth")}


def told(request):
    """The members of `rb-auth-claims`, in their order."""
    claims = request.header("rb-auth-claims")
    assert claims is None or claims.isascii()
    return claims and json.loads(claims, object_pairs_hook=list)


def test_a_token_with_a_peer(client, agent):
    assert client.get("/", bearer(token(name="Mr Pink", scope="a b"))).status_code == 200
    request = agent.only()
    assert identity(request) == {"peer": "mrpink", "sub": "mrpink", "iss": ISSUER, "auth": "jwt"}
    assert told(request) == [("sub", "mrpink"), ("name", "Mr Pink"), ("iss", ISSUER), ("scope", "a b")]


def test_a_token_without_a_peer(client, agent):
    assert client.get("/", bearer(token("mrgray"))).status_code == 200
    assert identity(agent.only()) == {"peer": None, "sub": "mrgray", "iss": ISSUER, "auth": "jwt"}
    assert told(agent.only()) == [("sub", "mrgray"), ("iss", ISSUER)]


def test_an_api_key(client, agent):
    assert client.get("/", {"X-Api-Key": MRWHITE_KEY}).status_code == 200
    assert identity(agent.only()) == {
        "peer": "mrwhite",
        "sub": "mrwhite",
        "iss": "api-key",
        "auth": "api_key",
    }
    assert told(agent.only()) == [
        ("sub", "mrwhite"),
        ("name", "Mr White"),
        ("iss", "api-key"),
        ("scope", "reports.read reports.write"),
    ]


def test_a_static_token_is_never_the_identity(client, agent):
    assert client.get("/", bearer(MRBLONDE_TOKEN)).status_code == 200
    assert identity(agent.only()) == {
        "peer": "mrblonde",
        "sub": "mrblonde",
        "iss": "bearer-token",
        "auth": "bearer_token",
    }
    assert all(MRBLONDE_TOKEN not in value for _, value in agent.only().headers)


def test_claims_of_any_script_arrive_in_ascii(client, agent):
    assert client.get("/", bearer(token(name='Pïnk "粉" 😀'))).status_code == 200
    assert told(agent.only())[1] == ("name", 'Pïnk "粉" 😀')
    assert r"P\u00efnk \"\u7c89\" \ud83d\ude00" in agent.only().header("rb-auth-claims")


def test_scopes_as_a_list_are_joined(client, agent):
    assert client.get("/", bearer(token(scp=["a", "b"]))).status_code == 200
    assert told(agent.only())[-1] == ("scope", "a b")


def test_further_claims_are_told_where_they_are_text(client, agent):
    assert client.get("/", bearer(token(tenant=["north", "south"], level=3))).status_code == 200
    assert told(agent.only())[2:] == [("tenant", "north south")]


def test_claims_in_headers_of_their_own(client, agent):
    roles = {"roles": ["admin", "user"]}
    assert client.get("/", bearer(token(realm_access=roles, level=3))).status_code == 200
    assert agent.only().header("x-agent-roles") == "admin,user"
    assert agent.only().header("x-agent-level") == "3"
    assert agent.only().values("x-agent-note") == []


def test_a_claim_cannot_break_out_of_its_header(client, agent):
    assert client.get("/", bearer(token(note="a\r\nx-agent-peer: admin\0"))).status_code == 200
    assert agent.only().header("x-agent-note") == "a%0D%0Ax-agent-peer: admin%00"
    assert agent.only().header("x-agent-peer") == "mrpink"


@pytest.mark.parametrize("control", ["\r\n", "\0", "\x1f"])
def test_a_subject_with_control_characters_is_refused(client, agent, control):
    assert refusal(client.get("/", bearer(token(f"mr{control}pink")))) == (401, INVALID)
    assert agent.received == []


SPELLINGS = [str.lower, str.upper, str.title, lambda name: name.replace("-", "_")]


@pytest.mark.parametrize("credentials", [bearer(token("mrgray")), None], ids=["with credentials", "public"])
def test_forged_headers_are_gone(client, agent, credentials):
    forged = [(spell(name), "forged") for name, spell in product(OWNED, SPELLINGS)] * 2
    path, headers = ("/", [*credentials.items()]) if credentials else ("/public", [])
    assert client.get(path, headers + forged).status_code == 200
    assert "forged" not in {value for _, value in agent.only().headers}
    folded = {name.replace("_", "-") for name in agent.only().names()}
    assert folded & set(OWNED) == (
        {"x-agent-sub", "x-agent-iss", "x-agent-auth", "rb-auth-claims"} if credentials else set()
    )


def test_a_caller_does_not_choose_what_the_log_shows_as_its_path(client, agent):
    assert client.get("/public", {"X-Envoy-Original-Path": "/harmless"}).status_code == 200
    assert agent.only().values("x-envoy-original-path") == []


@pytest.mark.parametrize("path", ["/", "/public"])
def test_credentials_stay_here(client, agent, path):
    credentials = bearer(token()) | {"X-Api-Key": MRWHITE_KEY, "X-TOTP": totp(MRPINK_SEED)}
    assert client.get(path, credentials).status_code == 200
    assert agent.only().names() & {"authorization", "x-api-key", "x-totp"} == set()


def test_the_second_factor_stays_here(client, agent):
    credentials = bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
    assert client.get("/second-factor", credentials).status_code == 200
    assert agent.only().names() & {"authorization", "x-totp"} == set()


def test_a_token_goes_on_only_where_its_provider_says_so(sidecar, agent):
    client = sidecar(
        policy(
            rule("public", ["none"], "/public"),
            rule("agent", ["jwt", "api_key"]),
            provider={"forward": True},
        )
    )
    good = bearer(token())
    assert client.get("/", good | {"X-Api-Key": MRWHITE_KEY}).status_code == 200
    assert agent.only().header("authorization") == good["Authorization"]
    assert agent.only().values("x-api-key") == []
    agent.forget()
    assert client.get("/public", good).status_code == 200
    assert agent.only().values("authorization") == []


def test_connection_does_not_strip_what_the_filter_adds(client, agent):
    """CVE-2025-48865."""
    headers = bearer(token()) | {"Connection": "x-agent-sub, x-agent-peer, keep-alive"}
    assert client.get("/", headers).status_code == 200
    assert identity(agent.only())["peer"] == "mrpink"
    assert identity(agent.only())["sub"] == "mrpink"


def test_connection_of_an_upgrade_may_not_name_what_the_filter_adds(client, agent):
    """Envoy leaves `Connection` in place here, so that a proxy further on would act on it."""
    answer = client.raw_get(
        "/",
        f"Authorization: Bearer {token()}".encode(),
        b"Connection: Upgrade, X-Agent-Sub",
        b"Upgrade: websocket",
    )
    assert problem(*answer) == (400, "Invalid Connection header")
    assert agent.received == []
