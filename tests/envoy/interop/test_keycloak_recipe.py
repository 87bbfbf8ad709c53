"""The tokens of docs/identity-providers.md are those of a real Keycloak. `make interop` runs this."""

import json

import pytest

from support.documents import blocks
from support.tokens import payload

SHOWN = {
    block.title: json.loads(block.text)
    for block in blocks("docs/identity-providers.md")
    if block.language == "json"
}

#: What another run, or another place, has otherwise.
OF_THE_RUN = {"exp", "iat", "jti", "iss", "sub", "sid"}


@pytest.fixture(scope="module")
def set_up(keycloak):
    """Keycloak, with what the document says is to be set up."""
    keycloak.create_named_scope("agent.call", "https://agent.example")
    keycloak.create_client("planner")
    keycloak.give_scope("planner", "agent.call")
    keycloak.create_user(
        "alice",
        {
            "firstName": "Alice",
            "lastName": "Example",
            "email": "alice@corp.example",
            "emailVerified": True,
        },
    )
    return keycloak


def lasting(claims: dict) -> dict:
    """What does not change from run to run; lists, and the scopes, are in no order."""
    return {
        name: sorted(value.split()) if name == "scope" else _unordered(value)
        for name, value in claims.items()
        if name not in OF_THE_RUN
    }


def _unordered(value):
    match value:
        case dict():
            return {name: _unordered(each) for name, each in value.items()}
        case list():
            return sorted(value)
    return value


def test_a_token_of_an_application(set_up):
    real, shown = payload(set_up.token_of("planner")), SHOWN["keycloak-service-account.json"]
    assert lasting(real) == lasting(shown)
    assert real.keys() == shown.keys()


def test_a_token_for_a_user(set_up):
    real, shown = payload(set_up.log_in("planner", "alice")["access_token"]), SHOWN["keycloak-user.json"]
    assert lasting(real) == lasting(shown)
    assert real.keys() == shown.keys()


def test_an_id_token_is_for_the_client_itself(set_up):
    real = payload(set_up.log_in("planner", "alice")["id_token"])
    assert (real["aud"], real["typ"]) == ("planner", "ID")
    assert "at_hash" in real


def test_without_the_scope_the_token_is_for_the_account(set_up):
    set_up.take_scope("planner", "agent.call")
    assert payload(set_up.token_of("planner"))["aud"] == "account"
    set_up.give_scope("planner", "agent.call")
