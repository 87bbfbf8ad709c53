"""The A2A SDK on both sides of the filter: agents and clients of its newest release and of the last 0.3.

A client knows nothing of peergate. It reads the card that comes through the filter, and sends what that asks for.
"""

import base64
import contextlib
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from support.a2a import NOT_READ, User, agents, client
from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, MRPINK_SEED, bearer, policy, rule, token
from support.credentials import SigningKey, totp, wrong_totp
from support.ports import free_ports

V1, V03 = "a2a-1", "a2a-0.3"

#: Whose signatures the agents' cards bear, and the filter's.
AGENTS_KEY, FILTERS_KEY = SigningKey.generate("ES256", "agents-1"), SigningKey.generate("ES256", "filters-1")

WELL_KNOWN = ["/.well-known/agent-card.json", "/.well-known/agent.json"]


def card_v1(url, name, *versions):
    """What the agent says of itself, in the form of A2A 1.0: that it wants a key of its own."""
    return {
        "name": name,
        "description": "Says what it is told",
        "version": "1.0.0",
        "supportedInterfaces": [
            {"url": url + path, "protocolBinding": binding, "protocolVersion": version}
            for version in versions
            for path, binding in [("/rpc", "JSONRPC"), ("", "HTTP+JSON")]
        ],
        "capabilities": {"streaming": True, "extendedAgentCard": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "echo", "name": "Echo", "description": "Says it again", "tags": ["echo"]}],
        "securitySchemes": {"own": {"apiKeySecurityScheme": {"location": "header", "name": "X-Own"}}},
        "securityRequirements": [{"schemes": {"own": {}}}],
    }


def card_v03(url, name):
    """The same in the form of A2A 0.3."""
    return {
        "name": name,
        "description": "Says what it is told",
        "version": "1.0.0",
        "protocolVersion": "0.3.0",
        "url": f"{url}/",
        "preferredTransport": "JSONRPC",
        "additionalInterfaces": [{"url": f"{url}/rest", "transport": "HTTP+JSON"}],
        "capabilities": {"streaming": True},
        "supportsAuthenticatedExtendedCard": True,
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "echo", "name": "Echo", "description": "Says it again", "tags": ["echo"]}],
        "securitySchemes": {"own": {"type": "apiKey", "in": "header", "name": "X-Own"}},
        "security": [{"own": []}],
    }


def card_both(url, name):
    """An agent of 1.0 that speaks 0.3 too: its SDK makes a card in both forms of this."""
    return card_v1(url, name, "1.0", "0.3")


def card_new(url, name):
    """An agent that speaks 1.0 only."""
    return card_v1(url, name, "1.0")


@dataclass(frozen=True)
class Agent:
    """An agent, and the filter before it."""

    release: str
    card: Callable[[str, str], dict]
    #: Whether it signs its cards.
    signs: bool = False
    #: What becomes of signed cards.
    signed: str = "pass"
    #: What a code is asked for with.
    totp: object = True

    def settings(self, url):
        """What its program is told."""
        made = {"card": self.card(url, "Echo"), "extended": self.card(url, "Echo for friends")}
        return made | ({"key": AGENTS_KEY.private_pem(), "kid": AGENTS_KEY.kid} if self.signs else {})

    def policy(self):
        """That of the filter."""
        advertised = {"signed": self.signed}
        if self.signed == "resign":
            advertised["host"] = "127.0.0.1"
            advertised["keys"] = [{"kid": FILTERS_KEY.kid, "key": {"env": "CARD_KEY"}}]
        return policy(
            {"name": "card", "match": {"paths": WELL_KNOWN}, "accept": ["none"]},
            rule("agent", ["jwt"], require={"totp": self.totp}, extended_card_rpc=True),
            agent_card=advertised,
        )


#: By name.
AGENTS = {
    "new": Agent(V1, card_new),
    "both": Agent(V1, card_both),
    "old": Agent(V03, card_v03),
    "new-pass": Agent(V1, card_new, signs=True),
    "both-pass": Agent(V1, card_both, signs=True),
    "old-pass": Agent(V03, card_v03, signs=True),
    "new-drop": Agent(V1, card_new, signs=True, signed="drop"),
    "old-drop": Agent(V03, card_v03, signs=True, signed="drop"),
    "new-resign": Agent(V1, card_new, signs=True, signed="resign"),
    "both-resign": Agent(V1, card_both, signs=True, signed="resign"),
    "old-resign": Agent(V03, card_v03, signs=True, signed="resign"),
    "once": Agent(V1, card_new, totp={"replay": "one_time"}),
    "bound": Agent(V1, card_new, totp={"replay": "per_token"}),
}


@pytest.fixture(scope="module")
def running(envoy):
    """Each agent behind a listener of its own, and a client of each release; the address of each listener."""
    ports = dict(zip(AGENTS, free_ports(len(AGENTS)), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    environment = ENVIRONMENT | {"CARD_KEY": FILTERS_KEY.private_pem()}
    with contextlib.ExitStack() as stack:
        # They start side by side: each is waited for when it is first asked.
        clients = {release: stack.enter_context(client(release)) for release in (V1, V03)}
        upstreams = {}
        for release in (V1, V03):
            settings = {
                name: each.settings(urls[name]) for name, each in AGENTS.items() if each.release == release
            }
            upstreams |= stack.enter_context(agents(release, settings))
        listeners = []
        for name, port in ports.items():
            built = listener(name, [peergate(AGENTS[name].policy(), environment)], name)
            built["address"]["socket_address"]["port_value"] = port
            listeners.append(built)
        clusters = [cluster(name, upstreams[name]) for name in AGENTS]
        yield envoy(bootstrap(listeners, clusters), environment), clients, urls


@pytest.fixture(scope="module")
def user(running):
    """A user of a release, with good credentials, before an agent."""
    _, clients, urls = running
    good = token()

    def make(release, before, **members):
        return User(clients[release], **({"url": urls[before], "token": good, "seed": MRPINK_SEED} | members))

    return make


BEARER = {"scheme": "bearer", "bearerFormat": "JWT"}
TOTP = {"name": "X-TOTP", "description": "TOTP code (RFC 6238)"}

#: What each release reads in every card: that a token and a code are wanted, both.
WANTED = {
    V1: {
        "securitySchemes": {
            "bearer": {"httpAuthSecurityScheme": BEARER},
            "totp": {"apiKeySecurityScheme": {"location": "header"} | TOTP},
        },
        "securityRequirements": [{"schemes": {"bearer": {}, "totp": {}}}],
    },
    V03: {
        "securitySchemes": {
            "bearer": {"type": "http"} | BEARER,
            "totp": {"type": "apiKey", "in": "header"} | TOTP,
        },
        "security": [{"bearer": [], "totp": []}],
    },
}


def wanted(release, card):
    """What a card says of credentials, as a release reads it."""
    return {member: card.get(member) for member in WANTED[release]}


#: Which release meets which agent, and by what.
PAIRS = pytest.mark.parametrize(
    ("release", "before", "transport"),
    [
        (V1, "new", "JSONRPC"),
        (V1, "new", "HTTP+JSON"),
        (V1, "both", "JSONRPC"),
        (V1, "old", "JSONRPC"),
        (V03, "both", "JSONRPC"),
        (V03, "old", "JSONRPC"),
    ],
)


@PAIRS
def test_a_client_reads_in_the_card_what_to_send_and_is_let_in(user, release, before, transport):
    card, answer = user(release, before, transport=transport).does("card", ["send", "hello"])
    assert wanted(release, card) == WANTED[release]
    assert answer == "mrpink said: hello"


@PAIRS
def test_a_stream_comes_event_by_event(user, release, before, transport):
    """The agent ends the task when it is told to, which the client does once it has the event that says so."""
    _, said = user(release, before, transport=transport).does("card", "stream")
    assert said == ["", "waiting", "mrpink said: go on", "told to go on"]


@PAIRS
def test_the_extended_card_takes_the_place_of_the_other_and_the_client_goes_on(
    user, release, before, transport
):
    steps = ["card", "extended", ["send", "hello"], "stream"]
    card, extended, answer, said = user(release, before, transport=transport).does(*steps)
    assert (card["name"], extended["name"]) == ("Echo", "Echo for friends")
    assert wanted(release, extended) == WANTED[release]
    assert answer == "mrpink said: hello"
    assert len(said) == 4


def reason(refused):
    """What the filter has said, as far as the SDK has read it."""
    said = refused.said
    # A caller that does not say that it speaks A2A is answered as anybody.
    return said if said == NOT_READ else said.get("detail") or said["error"]["message"]


#: Where else a card is served, by release of its reader: the agent, the path, and what it is called there.
PLACES = [
    (V1, "new", "/extendedAgentCard", "Echo for friends"),
    (V1, "new", "/some-tenant/extendedAgentCard", "Echo for friends"),
    (V03, "both", "/v1/card", "Echo for friends"),
    (V03, "old", "/agent/authenticatedExtendedCard", "Echo for friends"),
    (V03, "old", "/rest/v1/card", "Echo for friends"),
    (V03, "old", "/rest/.well-known/agent-card.json", "Echo"),
]


@pytest.mark.parametrize(("release", "before", "path", "name"), PLACES)
def test_a_card_elsewhere_is_for_callers_that_the_rules_let_in_and_says_the_same(
    user, release, before, path, name
):
    (refused,) = user(release, before).does(["card", path])
    assert "401" in refused.text
    assert reason(refused) == "Missing or invalid Authorization header"
    good = bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
    card, answer = user(release, before).does(["card", path, good], ["send", "hello"])
    assert (card["name"], wanted(release, card)) == (name, WANTED[release])
    assert answer == "mrpink said: hello"


def test_the_old_name_of_the_well_known_path_is_one_too(user):
    (card,) = user(V03, "old").does(["card", "/.well-known/agent.json"])
    assert wanted(V03, card) == WANTED[V03]


#: What a user may lack, and what the filter says of it.
LACKS = [
    ({"token": None}, "Missing or invalid Authorization header"),
    ({"seed": None}, "Missing X-TOTP header"),
    ({"seed": None, "code": wrong_totp(MRPINK_SEED)}, "Invalid TOTP code"),
]


@pytest.mark.parametrize(("lacking", "text"), LACKS, ids=["no token", "no code", "wrong code"])
@pytest.mark.parametrize(
    ("release", "before", "transport", "targets"),
    [
        (V1, "new", "JSONRPC", ["/rpc", "/rpc", "/rpc"]),
        (V1, "new", "HTTP+JSON", ["/message:send", "/message:stream", "/extendedAgentCard"]),
        (V03, "old", "JSONRPC", ["/", "/", "/"]),
    ],
)
def test_who_is_refused_is_told_the_status_and_finds_the_reason_behind_it(
    user, running, release, before, transport, targets, lacking, text
):
    """A token of its own for each, for codes that fail count against it."""
    mine = {"token": token(jti=f"{release} {transport} {text}"), "transport": transport} | lacking
    _, *refusals = user(release, before, **mine).does("card", ["send", "hello"], "stream", "extended")
    urls = [running[2][before] + target for target in targets]
    assert [refused.error for refused in refusals] == [ERRORS[release]] * 3
    assert [refused.text for refused in refusals] == [UNAUTHORIZED.format(url) for url in urls]
    said = [reason(refused) for refused in refusals]
    # The old release closes a stream that is refused without a look at it.
    assert said == [text, NOT_READ if release == V03 else text, text]


ERRORS = {V1: "A2AClientError", V03: "A2AClientHTTPError"}

UNAUTHORIZED = (
    "HTTP Error 401: Client error '401 Unauthorized' for url '{}'\n"
    "For more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/401"
)


@pytest.mark.parametrize(("release", "before"), [(V1, "new"), (V03, "old")])
def test_the_code_of_the_guide_is_all_that_it_takes(user, release, before):
    """As it stands there, with a default client: card, credentials, message."""
    assert user(release, before).does(["send_as_documented", "hello"]) == ["mrpink said: hello"]


@pytest.mark.parametrize(("release", "before"), [(V1, "new"), (V03, "old")])
def test_one_interceptor_sends_one_credential(user, release, before):
    """Which is why the guide has one for each scheme. Which credential it is depends on their order in the card."""
    _, refused = user(release, before, one_interceptor=True).does("card", ["send", "hello"])
    alone = {"Missing X-TOTP header", "Missing or invalid Authorization header"}
    assert reason(refused) in alone


def test_the_old_release_asks_no_interceptor_over_rest(user):
    """Which is why the guide has `for_rest`."""
    steps = ["card", ["send", "hello"], ["send_with_context", "hello"]]
    _, refused, answer = user(V03, "old", transport="HTTP+JSON").does(*steps)
    assert reason(refused) == "Missing or invalid Authorization header"
    assert answer == "mrpink said: hello"


def test_codes_that_count_once_break_a_client_that_says_two_things_with_one(user):
    """And codes that are bound to a token do not. A token of its own: the second try counts as one that failed."""
    mine = {"token": token(jti="once and bound"), "seed": None, "code": totp(MRPINK_SEED)}
    said = "mrpink said: hello"
    steps = ["card", ["send", "hello"], ["send", "hello"]]
    _, first, second = user(V1, "once", **mine).does(*steps)
    assert (first, reason(second)) == (said, "Invalid TOTP code")
    _, *answers, _ = user(V1, "bound", **mine).does(*steps, "stream")
    assert answers == [said, said]


#: Who reads the signed card of which agent.
SIGNED = pytest.mark.parametrize(("release", "before"), [(V1, "new"), (V1, "both"), (V03, "old")])

AGENTS_KEYS, FILTERS_KEYS = [AGENTS_KEY.public_jwk()], [FILTERS_KEY.public_jwk()]


def names(release, card):
    """The names of the schemes that a card asks for, in its only alternative."""
    member = "security" if release == V03 else "securityRequirements"
    (requirement,) = card[member]
    return set(requirement if release == V03 else requirement["schemes"])


@SIGNED
def test_a_signed_card_that_passes_still_verifies(user, release, before):
    """And says what the agent has said, which is not what the filter wants: the log says so."""
    (card,) = user(release, f"{before}-pass", keys=AGENTS_KEYS).does("card")
    assert names(release, card) == {"own"}


def test_what_the_new_release_signs_verifies_in_the_old_one_once_the_filter_has_signed_it(user):
    """The one has the form of its own release only, the filter both."""
    (refused,) = user(V03, "both-pass", keys=AGENTS_KEYS).does("card")
    assert refused.error == "InvalidSignaturesError"
    (card,) = user(V03, "both-resign", keys=FILTERS_KEYS).does("card")
    assert names(V03, card) == {"bearer", "totp"}


@pytest.mark.parametrize(("release", "before"), [(V1, "new"), (V03, "old")])
def test_a_signature_that_is_dropped_is_gone(user, release, before):
    refused, card = [
        *user(release, f"{before}-drop", keys=AGENTS_KEYS).does("card"),
        *user(release, f"{before}-drop").does("card"),
    ]
    assert (refused.error, refused.text) == ("NoSignatureError", "AgentCard has no signatures to verify.")
    assert wanted(release, card) == WANTED[release]


RESIGNED = pytest.mark.parametrize(
    ("release", "before"),
    [(V1, "new-resign"), (V1, "both-resign"), (V03, "both-resign"), (V03, "old-resign")],
)


@RESIGNED
def test_a_card_that_is_signed_anew_verifies_with_the_filters_key_and_no_other(user, release, before):
    steps = ["card", "extended", ["send", "hello"]]
    card, extended, answer = user(release, before, keys=FILTERS_KEYS).does(*steps)
    assert names(release, card) == names(release, extended) == {"bearer", "totp"}
    assert answer == "mrpink said: hello"
    (refused,) = user(release, before, keys=AGENTS_KEYS).does("card")
    assert refused.error == "InvalidSignaturesError"
    # Every signature is the filter's: the agent's is stale.
    assert {unprotected(each)["kid"] for each in card["signatures"]} == {FILTERS_KEY.kid}


@RESIGNED
def test_a_card_that_is_signed_anew_cannot_be_made_to_ask_for_less(user, running, release, before):
    """Neither SDK's signature covers credentials without scopes, so the filter writes some for each."""
    url = running[2][before]
    fetched = httpx.get(f"{url}/.well-known/agent-card.json", trust_env=False).json()
    without, either = copy.deepcopy(fetched), copy.deepcopy(fetched)
    for card, change in ((without, only_bearer), (either, one_or_the_other)):
        for member in {"security", "securityRequirements"} & card.keys():
            card[member] = change(card[member])
    verified, *refused = user(release, before, keys=FILTERS_KEYS).does(
        *(["verify", card] for card in (fetched, without, either))
    )
    assert verified is None
    assert [each.error for each in refused] == ["InvalidSignaturesError"] * 2


def only_bearer(requirements):
    """Without the code."""
    return [
        {"schemes": {"bearer": each["schemes"]["bearer"]}}
        if "schemes" in each
        else {"bearer": each["bearer"]}
        for each in requirements
    ]


def one_or_the_other(requirements):
    """The code or the token, where both were asked for."""
    return [
        {"schemes": {name: scopes}} if "schemes" in each else {name: scopes}
        for each in requirements
        for name, scopes in each.get("schemes", each).items()
    ]


def unprotected(signature):
    """The header that a signature protects."""
    protected = signature["protected"]
    return json.loads(base64.urlsafe_b64decode(protected + "=" * (-len(protected) % 4)))
