"""What `peergate render envoy` makes is loaded by a real Envoy as it is, and keeps what the policy promises.

`tests/cli_render.rs` holds every line of it against `tests/render/`; here nobody reads it but Envoy.
"""

import json
import subprocess

import pytest
import yaml

from support.cast import AUDIENCE, ISSUER, KEYS, bearer, token
from support.certificates import tls_server
from support.client import Client, refusal
from support.credentials import SigningKey, new_secret, new_seed, totp
from support.paths import MODULE, OUTPUT, PROGRAM, ROOT
from support.process import envoy_binary

FOLDER = ROOT / "tests/render"

SEED = new_seed("render: TOTP seed of mrpink")
CHARLIE_SEED = new_seed("render: TOTP seed of charlie")
KEY = new_secret("render: key of the API")

#: Every variable that the policies in `tests/render` name.
ENVIRONMENT = {
    "MRPINK_TOTP": SEED,
    "ON_KEY": new_secret("render: API key of a peer"),
    "A2A_TOTP_SEED": CHARLIE_SEED,
    "CHARLIE_TOTP": CHARLIE_SEED,
    "TOOLS_TOKEN": new_secret("render: token for tools"),
    "API_KEY": KEY,
    "KC_SECRET": new_secret("render: secret of an OAuth client"),
    "ASSERTION_KEY": SigningKey.generate("ES256", "render").private_pem(),
}

NO_CREDENTIALS = (401, "Missing or invalid Authorization header")
CHARLIE, API = "charlie.mesh.example", "api.example"


def render(policy, *arguments):
    """What the program prints, of a policy in a file or of one that is given."""
    if isinstance(policy, dict):
        file = OUTPUT / "render-policy.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(policy), encoding="utf-8")
    else:
        file = FOLDER / f"{policy}.policy.yaml"
    command = [PROGRAM, "render", "envoy", file, "--module", MODULE, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True, env={}).stdout


@pytest.mark.parametrize("name", ["sidecar", "query", "gateway", "upstream", "codes"])
def test_envoy_takes_it_as_it_is(name, certificates):
    """No test has the authorities of a system: those of the tests are given."""
    text = render(name, "--ca-file", certificates)
    file = OUTPUT / "envoy" / f"render-{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    command = [envoy_binary(), "--mode", "validate", "--log-level", "warning", "--config-path", file]
    checked = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert checked.returncode == 0, checked.stderr


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A file with an authority in it."""
    authority, _ = tls_server(tmp_path_factory.mktemp("render"), "api.example")
    return authority


POLICY = {
    "version": 1,
    "inbound": {
        "providers": {
            "tests": {
                "issuer": ISSUER,
                "audiences": ["${AUDIENCE}"],
                "jwks": {"inline": {"keys": [key.public_jwk() for key in KEYS.values()]}},
            }
        },
        # Words and numbers that YAML 1.1 takes for something else.
        "peers": {"mrpink": {"totp_seeds": [{"env": "MRPINK_TOTP"}]}, "on": {"tokens": {"tests": "010"}}},
        "rules": [
            {"name": "card", "match": {"paths": ["/.well-known/agent-card.json"]}, "accept": ["none"]},
            {
                "name": "off",
                "match": {"path_prefixes": ["/words"]},
                "accept": ["jwt"],
                "require": {"peers": ["on"]},
            },
            {"name": "agent", "accept": ["jwt"], "require": {"totp": True}},
        ],
    },
    "outbound": {
        "insecure_allow_query_param_auth": True,
        "insecure_query_param_auth_allowed_hosts": [API],
        "on_no_match": "deny",
        "rules": [
            {
                "name": "api",
                "match": {"hosts": [API], "clusters": ["api"]},
                "query_params": {"apiKey": {"env": "API_KEY"}},
            },
            {"name": "charlie", "match": {"hosts": [CHARLIE], "clusters": ["charlie"]}, "totp": {}},
        ],
    },
}


def started(envoy, text, environment):
    """What was rendered, at free ports."""
    configuration = yaml.safe_load(text)
    for holder in (configuration["admin"], *configuration["static_resources"]["listeners"]):
        if "address" in holder:
            holder["address"]["socket_address"]["port_value"] = 0
    return envoy(configuration, environment)


@pytest.fixture(scope="module")
def sidecar(envoy, agent, api):
    """`api` is everybody whom the agent calls."""
    addresses = [f"--cluster={name}=http://127.0.0.1:{api.port}" for name in ("api", "charlie")]
    text = render(POLICY, "--agent", f"127.0.0.1:{agent.port}", *addresses)
    return started(envoy, text, ENVIRONMENT | {"AUDIENCE": AUDIENCE})


def test_callers(sidecar, agent):
    with Client(sidecar, "inbound") as client:
        assert refusal(client.get("/")) == NO_CREDENTIALS
        assert refusal(client.get("/", bearer(token()))) == (401, "Missing X-TOTP header")
        assert agent.received == []
        assert client.get("/tasks", bearer(token()) | {"X-TOTP": totp(SEED)}).status_code == 200
        assert agent.only().header("x-agent-peer") == "mrpink"


def test_words_of_yaml_1_1_arrive_as_they_were_written(sidecar, agent):
    with Client(sidecar, "inbound") as client:
        assert refusal(client.get("/words", bearer(token()))) == (403, "Access denied")
        assert client.get("/words", bearer(token("010"))).status_code == 200
        assert agent.only().header("x-agent-peer") == "on"
    assert sidecar.await_access_log(path="/words", status=200)["rule"] == "off"


def test_calls(sidecar, api):
    with Client(sidecar, "outbound") as client:
        assert client.get("/charlie", {"Host": CHARLIE}).status_code == 200
        assert api.only().header("x-totp") in {totp(CHARLIE_SEED, -1), totp(CHARLIE_SEED)}
        assert "apiKey" not in api.only().target
        assert refusal(client.get("/", {"Host": "other.example"})) == (403, "Call not allowed")


def test_a_key_in_the_query_is_put_on_behind_the_log(sidecar, api):
    with Client(sidecar, "outbound") as client:
        answer = client.get("/search?q=1", {"Host": API, "X-Envoy-Original-Path": "/forged"})
        assert answer.status_code == 200
        assert api.only().target == f"/search?q=1&apiKey={KEY}"
        line = sidecar.await_access_log(path="/search")
        assert (line["cluster"], line["reason"], line["rule"]) == ("api-first-hop", "ok", "api")
    assert KEY not in sidecar.log()


GATEWAY = POLICY | {"role": "gateway"}


def test_a_gateway_hands_on_who_was_verified(envoy, agent, api):
    """Strangers are let in for the card: what the API's own card is asked with holds no key."""
    addresses = [f"--cluster={name}=http://127.0.0.1:{api.port}" for name in ("api", "charlie")]
    text = render(GATEWAY, "--agent", f"127.0.0.1:{agent.port}", *addresses)
    gateway = started(envoy, text, ENVIRONMENT | {"AUDIENCE": AUDIENCE})
    card = "/.well-known/agent-card.json"
    with Client(gateway, "front") as client:
        assert refusal(client.get("/", {"Host": API})) == NO_CREDENTIALS
        assert refusal(client.get(card, {"Host": API})) == (403, "Call not allowed")
        assert api.received == []
        verified = bearer(token()) | {"X-TOTP": totp(SEED)}
        assert client.get("/search", {"Host": API} | verified).status_code == 200
        assert api.only().target == f"/search?apiKey={KEY}"
        assert refusal(client.get("/", verified)) == (403, "Call not allowed")
