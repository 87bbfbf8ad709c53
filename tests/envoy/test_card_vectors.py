"""Cards as the filter signs them, before the verifiers of the SDKs.

The cards are those of `tests/vectors/agent_cards`: what the core makes of them is held against the same files by its
own tests. `forms` is what of a card is signed: `Sdk1` and `Sdk03` are what these SDKs sign themselves, `Document` and
`Known` are the specification's form (A2A 1.0 §8.4.1), over the document and over what a reader of 1.0 knows of it.
"""

import copy
import json

import jwt
import pytest
from jwt.utils import base64url_encode

from support.a2a import RELEASES, Refused, User, client
from support.paths import ROOT

VECTORS = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((ROOT / "tests/vectors/agent_cards").glob("*.json"))
}

#: Who reads which cards: the SDK of 0.3 reads none that is of 1.0 alone.
READ = {"a2a-1": set(VECTORS), "a2a-0.3": {"v0_3", "plain_v0_3", "hybrid"}}


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def verdicts(release: str):
    """What a release says of cards, by name: nothing, or the name of its exception."""
    with client(release) as program:

        def verdicts(cards: dict[str, dict]) -> dict[str, str | None]:
            user = User(program, keys=[VECTORS["v1"]["key"]])
            outcomes = user.does(*(["verify", cards[name]] for name in cards))
            said = (outcome.error if isinstance(outcome, Refused) else None for outcome in outcomes)
            return dict(zip(cards, said, strict=True))

        yield verdicts


def cards(release: str, change=lambda _: None) -> dict[str, dict]:
    """The signed cards that a release reads, each changed."""
    signed = {name: copy.deepcopy(VECTORS[name]["signed"]) for name in sorted(READ[release])}
    for card in signed.values():
        change(card)
    return signed


def or_for_and(card: dict) -> None:
    if "securityRequirements" in card:
        (both, *others) = card["securityRequirements"]
        each = [{"schemes": {name: scopes}} for name, scopes in both["schemes"].items()]
        card["securityRequirements"] = each + others
    if "security" in card:
        (both, *others) = card["security"]
        card["security"] = [{name: scopes} for name, scopes in both.items()] + others


def without_totp(card: dict) -> None:
    del card["securitySchemes"]["totp"]
    for requirement in card.get("securityRequirements", []):
        requirement.get("schemes", {}).pop("totp", None)
    for requirement in card.get("security", []):
        requirement.pop("totp", None)


def without_the_scheme(card: dict) -> None:
    del card["securitySchemes"]["totp"]


def without_requirements(card: dict) -> None:
    card.pop("securityRequirements", None)
    card.pop("security", None)


def another_url(card: dict) -> None:
    for interfaces in ("supportedInterfaces", "supported_interfaces"):
        if interfaces in card:
            card[interfaces][0]["url"] = "https://evil.example/a2a"
    if "url" in card:
        card["url"] = "https://evil.example/a2a"


def an_anonymous_alternative(card: dict) -> None:
    if "securityRequirements" in card:
        card["securityRequirements"].append({})
    if "security" in card:
        card["security"].append({})


def test_what_the_filter_signs_is_verified(release, verdicts):
    signed = cards(release)
    assert verdicts(signed) == dict.fromkeys(signed)


@pytest.mark.parametrize(
    "change", [or_for_and, without_totp, without_the_scheme, without_requirements, another_url]
)
def test_what_somebody_changed_is_not(release, verdicts, change):
    changed = cards(release, change)
    assert verdicts(changed) == dict.fromkeys(changed, "InvalidSignaturesError")


def test_without_signatures_a_card_is_not(release, verdicts):
    unsigned = cards(release, lambda card: card.pop("signatures"))
    assert verdicts(unsigned) == dict.fromkeys(unsigned, "NoSignatureError")


def test_what_an_sdk_leaves_out_is_not_signed(release, verdicts):
    """Nothing that a signer does helps: both SDKs look at a card without its empty objects."""
    changed = cards(release, an_anonymous_alternative)
    assert verdicts(changed) == dict.fromkeys(changed)


def test_the_sdks_sign_the_same_bytes(release, verdicts):
    """Their forms in the vectors are theirs: with the signature over that form alone, a card is good."""
    form = {"a2a-1": "Sdk1", "a2a-0.3": "Sdk03"}[release]
    signed = cards(release)
    for name, card in signed.items():
        card["signatures"] = [own for own in card["signatures"] if is_over(own, VECTORS[name], form)]
        assert len(card["signatures"]) == 1
    assert verdicts(signed) == dict.fromkeys(signed)


@pytest.mark.parametrize("name", VECTORS)
def test_every_form_is_signed_once(name):
    vector = VECTORS[name]
    for form in (form for form, payload in vector["forms"].items() if payload):
        signed = [own for own in vector["signed"]["signatures"] if is_over(own, vector, form)]
        assert len(signed) == 1, form


@pytest.mark.parametrize("name", ["plain_v1", "plain_v0_3"])
def test_the_document_itself_is_signed(name):
    """Where nothing of it is a default; such texts and no numbers are in RFC 8785 as they are here."""
    document = VECTORS[name]["signed"] | {}
    del document["signatures"]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert VECTORS[name]["forms"]["Document"] == canonical


def is_over(signature: dict, vector: dict, form: str) -> bool:
    """Whether a signature is one over that form."""
    payload = base64url_encode(vector["forms"][form].encode()).decode()
    token = f"{signature['protected']}.{payload}.{signature['signature']}"
    try:
        jwt.api_jws.decode_complete(token, jwt.PyJWK(vector["key"]), algorithms=["ES256"])
    except jwt.InvalidSignatureError:
        return False
    return True
