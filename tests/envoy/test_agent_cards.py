"""Agent cards on their way through a real Envoy: what its headers say, how its body comes, what is no card after all.

The upstream is the suite's own double; real agents and clients are in `test_a2a_sdk.py`.
"""

import gzip
import json
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, KEYS, MRPINK_SEED, bearer, claims, policy, rule, token
from support.client import Client
from support.credentials import SigningKey, totp
from support.key_server_double import JWKS, KeyServerDouble, key_set
from support.keys import await_active, discovered
from support.paths import ROOT
from support.ports import free_port
from support.process import PATIENCE_SECONDS, wait_until
from support.stage import Answer, Stage
from support.trailing import TRAILERS, Trailing
from support.tunnel import Http2

CARD = "/.well-known/agent-card.json"

RULES = [
    {"name": "card", "match": {"paths": [CARD, "/.well-known/agent.json"]}, "accept": ["none"]},
    rule("agent", ["jwt"], require={"totp": True}, extended_card_rpc=True),
]

GUIDE = (ROOT / "docs/agent-cards.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)

#: The whole of it; what is added to have credentials told otherwise, to ask for the agent's own, and to have cards
#: signed; and one with a card of its own.
POLICY, TOLD, MERGED, RESIGN, OWN = (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml")

#: What the agent of the guide says of itself, and what its callers read.
BEFORE, AFTER = (json.loads(text) for kind, text in BLOCKS if kind == "json")

CARD_KEY = SigningKey.generate("ES256", "2026-11")

#: The longest card of the listener `small`.
MAX_BYTES = 2048


def card(length=0):
    """A card in the form of A2A 1.0, which wants a key of its own; as long as is asked for."""
    document = {
        "name": "Echo",
        "description": "Says what it is told",
        "version": "1.0.0",
        "supportedInterfaces": [
            {"url": "https://agent.tests.example/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        ],
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [],
        "securitySchemes": {"own": {"apiKeySecurityScheme": {"location": "header", "name": "X-Own"}}},
        "securityRequirements": [{"schemes": {"own": {"list": []}}}],
        "documentationUrl": "",
    }
    missing = max(0, length - len(json.dumps(document)))
    return json.dumps(document | {"documentationUrl": "x" * missing}).encode()


@pytest.fixture(scope="module")
def stage():
    """The agent."""
    with Stage("agent") as stage:
        yield stage


@pytest.fixture(autouse=True)
def _forget_stage(stage):
    stage.forget()


@pytest.fixture(scope="module")
def keys():
    """A key server that does not answer before it is told to."""
    with KeyServerDouble("cards", [KEYS["ES256"]]) as double:
        double.answers = threading.Event()
        double.reply(JWKS, key_set(KEYS["ES256"].public_jwk(), after=double.answers))
        yield double
        double.answers.set()


#: Listeners whose callers wait for keys, and whether the filter sees a body while it waits.
WAITING = {"waits": False, "waits-early": True}


@pytest.fixture(scope="module")
def node(envoy, stage, keys):
    """Before the agent: the filter with a usual policy, with one for small cards, and between buffers that are too
    small for any card; and the filter before an agent whose answers have trailers.
    """
    environment = ENVIRONMENT | {"CARD_KEY": CARD_KEY.private_pem()}

    def filter_with(built):
        # All in one virtual machine: with other variables it would be another.
        return peergate(built, environment)

    usual = filter_with(policy(*RULES))
    stopping = filter_with(policy(*RULES))
    # A setting of Envoy's that Istio has off.
    stopping["typed_config"]["config"]["allow_on_headers_stop_iteration"] = True
    small = filter_with(policy(*RULES, agent_card={"max_bytes": MAX_BYTES}))
    large = filter_with(policy(*RULES, agent_card={"max_bytes": 1024 * 1024}))
    resigns = POLICY | {"inbound": POLICY["inbound"] | RESIGN["inbound"]}
    settings = TOLD["inbound"]["agent_card"] | MERGED["inbound"]["agent_card"]
    merges = POLICY | {"inbound": POLICY["inbound"] | {"agent_card": settings}}
    tight = {"per_connection_buffer_limit_bytes": 1024}
    slow = {"provider": discovered(keys, "keys", timeout_seconds=20), "limits": {"key_wait_seconds": 15}}
    waiting = {each: filter_with(policy(*RULES, **slow)) for each in WAITING}
    for each, bodies_come_early in WAITING.items():
        waiting[each]["typed_config"]["config"]["allow_on_headers_stop_iteration"] = bodies_come_early
    with (
        Trailing(card(20_000), True) as trailing,
        Trailing(card(20_000), False) as unsaid,
        Trailing(card(20_000)[:-1], False) as unfinished,
    ):
        listeners = [
            listener("guide", [filter_with(POLICY)], "agent"),
            listener("resigns", [filter_with(resigns)], "agent"),
            listener("merges", [filter_with(merges)], "agent"),
            listener("own", [filter_with(OWN)], "agent"),
            listener("inbound", [usual], "agent"),
            listener("stopping", [stopping], "agent"),
            listener("small", [small], "agent"),
            listener("large", [large], "agent"),
            listener("tight", [large], "tight") | tight,
            listener("trailing", [usual], "trailing"),
            listener("unsaid", [usual], "unsaid"),
            listener("unfinished", [usual], "unfinished"),
            *(listener(name, [each], "agent") for name, each in waiting.items()),
        ]
        clusters = [
            cluster("agent", stage.port),
            cluster("tight", stage.port) | tight,
            cluster("trailing", trailing.port, http2=True),
            cluster("unsaid", unsaid.port, http2=True),
            cluster("unfinished", unfinished.port, http2=True),
            cluster("issuer", free_port()),
            cluster("keys", keys.port),
        ]
        yield envoy(bootstrap(listeners, clusters), environment)


@pytest.fixture(scope="module")
def clients(node):
    clients = {
        name: Client(node, name)
        for name in (
            "inbound",
            "stopping",
            "small",
            "large",
            "tight",
            "guide",
            "resigns",
            "merges",
            "own",
            *WAITING,
        )
    }
    yield clients
    for client in clients.values():
        with client:
            pass


@pytest.fixture
def counted(node):
    """What has been counted in this test, by outcome."""

    def count():
        lines = node.admin("/stats?filter=peergate_agent_cards_total").splitlines()
        return Counter(
            {
                name.rpartition(".")[2]: int(value)
                for name, _, value in (line.partition(": ") for line in lines)
            }
        )

    before = count()
    return lambda: dict(count() - before)


JSON = {"content-type": "application/json"}


def asks(answer):
    """The credentials that a card asks for, by name."""
    (requirement,) = answer.json()["securityRequirements"]
    return set(requirement["schemes"])


def test_the_card_of_the_guide_becomes_what_stands_there(clients, stage):
    stage.play(CARD, Answer(headers=JSON, body=json.dumps(BEFORE).encode()))
    assert clients["guide"].get(CARD).json() == AFTER


def test_what_the_agent_asks_for_itself_is_asked_for_beside_the_rest(clients, stage):
    """The rules are asked for another host than the card names."""
    own, together = map(json.loads, re.findall(r'`(\{"schemes": \{"\w+": \{.*)`', GUIDE))
    (interface,) = BEFORE["supportedInterfaces"]
    there = [interface | {"url": "http://10.1.2.3:9000/rpc"}]
    stage.play(
        CARD,
        Answer(
            headers=JSON,
            body=json.dumps(BEFORE | {"supportedInterfaces": there, "securityRequirements": [own]}).encode(),
        ),
    )
    card = clients["merges"].get(CARD).json()
    assert card["supportedInterfaces"] == there
    assert together in card["securityRequirements"]
    assert [sorted(each["schemes"]) for each in card["securityRequirements"]] == [
        ["oauth2", "own", "totp"],
        ["openId", "own", "totp"],
        ["bearer", "own", "totp"],
    ]
    flow = {"tokenUrl": "https://issuer.example/token", "scopes": {"a2a.invoke": ""}}
    assert card["securitySchemes"]["oauth2"]["oauth2SecurityScheme"]["flows"] == {"clientCredentials": flow}


def test_the_card_of_the_guide_that_no_agent_is_asked_for(clients, stage):
    for path in (CARD, "/.well-known/agent.json"):
        answer = clients["own"].get(path)
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.json()["version"] == "1.10"
        assert answer.json()["securitySchemes"].keys() == {"bearer", "openId"}
    assert stage.received == []


def test_a_card_that_is_signed_leaves_no_list_empty(clients, stage):
    """As the guide says; that the signatures are good is seen with the SDKs."""
    stage.play(CARD, Answer(headers=JSON, body=json.dumps(BEFORE).encode()))
    card = clients["resigns"].get(CARD).json()
    _, bearer = card["securityRequirements"]
    assert bearer["schemes"]["totp"]["list"] == ["otp"]
    assert len(card["signatures"]) > 0
    (key,) = clients["resigns"].get("/.well-known/cards/jwks.json").json()["keys"]
    assert (key["kid"], "d" in key) == (CARD_KEY.kid, False)


@pytest.mark.parametrize("chunk", [None, 1, 1000], ids=["length", "byte by byte", "chunks"])
@pytest.mark.parametrize("way", ["inbound", "stopping", "small", "tight"])
def test_a_card_is_rewritten_however_its_body_comes(clients, stage, counted, way, chunk):
    """A card of another length each time, so that none of them is known yet."""
    written = card(1100 + len(way) + (chunk or 0) // 2)
    stage.play(CARD, Answer(headers=JSON, body=written, chunk=chunk))
    answer = clients[way].get(CARD)
    assert answer.status_code == 200
    assert asks(answer) == {"bearer", "totp"}
    assert answer.json()["documentationUrl"] == json.loads(written)["documentationUrl"]
    assert counted() == {"rewritten": 1}


@pytest.mark.parametrize("chunk", [None, 10_000], ids=["length", "chunks"])
def test_a_card_is_rewritten_that_is_a_thousand_times_as_long_as_the_buffers(clients, stage, chunk):
    """And longer than cards may be where nothing else is said."""
    written = card(1_000_000 + (chunk or 0))
    stage.play(CARD, Answer(headers=JSON, body=written, chunk=chunk))
    answer = clients["tight"].get(CARD)
    assert asks(answer) == {"bearer", "totp"}
    assert len(answer.json()["documentationUrl"]) > 990_000


def asked_by_http2(node, way):
    """A request for the card whose answer may have trailers."""
    return Http2(
        node.port(way),
        (":method", "GET"),
        (":scheme", "http"),
        (":path", CARD),
        (":authority", "agent.tests.example"),
    )


@pytest.mark.parametrize("way", ["trailing", "unsaid"])
def test_a_card_before_trailers_is_rewritten_whether_or_not_its_length_is_said(node, counted, way):
    with asked_by_http2(node, way) as answer:
        rewritten = json.loads(answer.body)
        assert answer.trailers == TRAILERS
    assert set(rewritten["securityRequirements"][0]["schemes"]) == {"bearer", "totp"}
    assert len(rewritten["documentationUrl"]) > 19_000
    assert counted() == {"rewritten": 1}


def test_a_card_whose_end_trailers_come_in_place_of_is_none(node):
    """When they come, nothing can be written any more. An answer without a body would be taken for a card."""
    with asked_by_http2(node, "unfinished") as answer:
        assert answer.body == b""
        assert answer.was_reset


def test_what_tells_one_card_from_another_holds_of_what_the_caller_gets(clients, stage):
    headers = JSON | {
        "etag": '"as-it-was"',
        "last-modified": "Sat, 21 Nov 2026 12:00:00 GMT",
        "content-digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "accept-ranges": "bytes",
        "cache-control": "max-age=60",
    }
    stage.play(CARD, *[Answer(headers=headers, body=card())] * 3, Answer(headers=JSON, body=card()))
    first, again, elsewhere = (clients[way].get(CARD) for way in ("inbound", "inbound", "small"))
    assert first.headers["etag"].startswith('W/"')
    assert first.headers["etag"] == again.headers["etag"]
    assert "as-it-was" not in first.headers["etag"]
    # Another policy may write another card.
    assert first.headers["etag"] != elsewhere.headers["etag"]
    assert first.headers["cache-control"] == "max-age=60"
    gone = {"last-modified", "content-digest", "accept-ranges"}
    assert gone & set(first.headers) == set()
    assert "etag" not in clients["inbound"].get(CARD).headers


def test_the_agent_is_asked_for_the_whole_card_as_it_is(clients, stage):
    """A `304`, a part or a compressed one could not be rewritten."""
    conditions = {
        "if-none-match": '"as-it-was"',
        "if-modified-since": "Sat, 21 Nov 2026 12:00:00 GMT",
        "range": "bytes=0-9",
        "accept-encoding": "gzip",
    }
    stage.play(CARD, Answer(headers=JSON, body=card()))
    assert asks(clients["inbound"].get(CARD, conditions)) == {"bearer", "totp"}
    assert conditions.keys() & stage.only().names() == set()


def test_other_paths_keep_their_conditions(clients, stage):
    conditions = {"if-none-match": '"as-it-was"', "accept-encoding": "gzip"}
    headers = conditions | bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
    assert clients["inbound"].get("/tasks", headers).status_code == 200
    assert conditions.keys() <= stage.only().names()


def test_head_says_of_a_card_what_get_says(clients, stage):
    headers = JSON | {"etag": '"as-it-was"'}
    stage.play(CARD, *[Answer(headers=headers, body=card())] * 2)
    head, get = clients["inbound"].request("HEAD", CARD), clients["inbound"].get(CARD)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == get.headers["etag"]
    # Its length is not known before it is rewritten.
    assert "content-length" not in head.headers


@pytest.mark.parametrize("chunk", [None, 1000], ids=["length", "chunks"])
def test_a_card_that_is_too_long_goes_by_as_it_is(clients, stage, counted, chunk):
    written = card(3 * MAX_BYTES)
    stage.play(CARD, Answer(headers=JSON, body=written, chunk=chunk))
    assert clients["small"].get(CARD).content == written
    assert counted() == {"passed_too_long": 1}
    clients["small"].envoy.await_log("it is longer than `inbound.agent_card.max_bytes`")


def test_a_card_of_just_the_longest_length_is_rewritten(clients, stage):
    stage.play(CARD, Answer(headers=JSON, body=card(MAX_BYTES)))
    assert asks(clients["small"].get(CARD)) == {"bearer", "totp"}


def test_cards_that_do_not_end_hold_no_memory_without_limit(clients, stage):
    """A worker holds 16 MiB of them. What there is no room for goes by as it is, until there is room again."""
    client, written, ends = clients["large"], card(1_000_000), threading.Event()
    stage.play(CARD, *[Answer(headers=JSON, body=written, end_after=ends)] * 16)

    def held():
        with Client(client.envoy, "large") as one:
            return asks(one.get(CARD))

    def goes_by():
        other = "/.well-known/agent.json"
        stage.play(other, Answer(headers=JSON, body=written))
        return client.get(other).content == written

    with ThreadPoolExecutor(16) as pool:
        cards = [pool.submit(held) for _ in range(16)]
        wait_until(goes_by, PATIENCE_SECONDS, "there is no room for one more")
        ends.set()
        assert [each.result() for each in cards] == [{"bearer", "totp"}] * 16
    wait_until(lambda: not goes_by(), PATIENCE_SECONDS, "there is room again")


def test_a_compressed_card_goes_by_as_it_is(clients, stage, counted):
    """Of an agent that compresses for everybody."""
    packed = gzip.compress(card())
    headers = JSON | {"content-encoding": "gzip", "etag": '"as-it-was"'}
    stage.play(CARD, Answer(headers=headers, body=packed))
    answer = clients["inbound"].get(CARD)
    assert answer.content == card()
    assert (answer.headers["content-encoding"], answer.headers["etag"]) == ("gzip", '"as-it-was"')
    assert counted() == {"passed_encoded": 1}
    clients["inbound"].envoy.await_log("it is compressed")


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"Echo"', b"{}", b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 1000 + b"]" * 1000]
)
def test_what_is_no_card_goes_by_as_it_is(clients, stage, counted, body):
    stage.play(CARD, Answer(headers=JSON, body=body))
    assert clients["inbound"].get(CARD).content == body
    assert counted() == {"passed_no_card": 1}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, JSON, b'{"error":"no card here"}'),
        Answer(500, JSON, card()),
        Answer(200, {"content-type": "text/html"}, b"<h1>Echo</h1>"),
    ],
    ids=["404", "500", "HTML"],
)
def test_an_answer_that_cannot_be_a_card_is_not_even_held(clients, stage, counted, answer):
    stage.play(CARD, answer)
    got = clients["inbound"].get(CARD)
    assert (got.status_code, got.content) == (answer.status, answer.body)
    assert got.headers["content-length"] == str(len(answer.body))
    assert counted() == {}


def test_an_extended_card_is_rewritten_for_callers_that_had_to_wait_for_keys(clients, stage, keys):
    """The first caller of a new proxy may well be one. The body of its call came early, which says what it wants."""
    rpc = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "GetExtendedAgentCard"}).encode()
    answer = json.dumps({"jsonrpc": "2.0", "id": 7, "result": json.loads(card())}).encode()
    stage.play("/rpc", *[Answer(headers=JSON, body=answer)] * len(WAITING))
    headers = JSON | bearer(keys.token(KEYS["ES256"], claims)) | {"X-TOTP": totp(MRPINK_SEED)}
    with ThreadPoolExecutor() as pool:
        asked = {name: pool.submit(clients[name].request, "POST", "/rpc", headers, rpc) for name in WAITING}
        for name in WAITING:
            await_active(clients[name], 1, name)
        keys.answers.set()
        answers = {name: each.result() for name, each in asked.items()}
    for name, each in answers.items():
        requirement = each.json()["result"]["securityRequirements"][0]
        assert (name, set(requirement["schemes"])) == (name, {"openId", "totp"})


def test_long_calls_pass_where_calls_are_looked_into(clients, stage):
    headers = JSON | bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}
    call = json.dumps(
        {"jsonrpc": "2.0", "id": 7, "method": "SendMessage", "params": "x" * 2_000_000}
    ).encode()
    pieces = (call[start : start + 10_000] for start in range(0, len(call), 10_000))
    assert clients["inbound"].request("POST", "/rpc", headers, pieces).status_code == 200
    assert stage.only().body == call
