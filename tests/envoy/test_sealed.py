"""Secrets that stand sealed in the policy, on a real Envoy and against an independent JOSE library (jwcrypto)."""

import json

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client
from support.credentials import new_secret, new_seed, totp
from support.process import EnvoyDidNotStart
from support.sealing import UNSEALING_KEY, SealingKey, key_set

KEY = SealingKey("the unsealing key")
OLD_KEY = SealingKey("the unsealing key of before")
OTHER_KEY = SealingKey("another proxy's unsealing key")

API_KEY = new_secret("sealed API key")
SEED = new_seed("sealed TOTP seed")
TOKEN = new_secret("sealed token of the API")
CALLS_SEED = new_seed("sealed TOTP seed of calls")
SECRETS = [API_KEY, SEED, TOKEN, CALLS_SEED]

API = "api.tests.example"


def policy(api_key: dict, seed: dict, token: dict, calls_seed: dict) -> dict:
    """A caller's key and code, a token and a code for the API."""
    return {
        "version": 1,
        "inbound": {
            "peers": {"mrpink": {"api_keys": [api_key], "totp_seeds": [seed]}},
            "rules": [{"name": "agent", "accept": ["api_key"], "require": {"totp": True}}],
        },
        "outbound": {
            "rules": [
                {
                    "name": "api",
                    "match": {"hosts": [API], "clusters": ["api"]},
                    "headers": {"authorization": {"prefix": "Bearer ", "value": token}},
                    "totp": {"seed": calls_seed},
                }
            ]
        },
    }


def sealed_by_the_program() -> dict:
    """Each secret as `peergate seal` makes it."""
    return policy(*({"sealed": KEY.seal_by_program(f"{secret}\n")} for secret in SECRETS))


def sealed_by_jwcrypto() -> dict:
    """As another library makes it: two to an old key, one of them without its name, one for two parties."""
    return policy(
        {"sealed": KEY.seal(API_KEY)},
        {"sealed": OLD_KEY.seal(SEED)},
        {"sealed": OLD_KEY.seal(TOKEN, kid=None)},
        {"sealed": KEY.seal(CALLS_SEED, apu="QWxpY2U", apv="Qm9i", typ="JOSE")},
    )


def many_in_one() -> dict:
    """All of them in `sealed_env`."""
    names = ["MRPINK_KEY", "MRPINK_TOTP", "API_TOKEN", "A2A_TOTP_SEED"]
    variables = "".join(f"{name}={secret}\n" for name, secret in zip(names, SECRETS, strict=True))
    sealed = KEY.seal_by_program(variables, "--variables", "-")
    return policy(*({"env": name} for name in names)) | {"sealed_env": sealed}


def proxy(given: dict, form: str, ports: dict[str, int]) -> dict:
    """Both halves of a sidecar."""
    filters = [peergate(given, [UNSEALING_KEY], form)]
    listeners = [
        listener("inbound", filters, "agent"),
        listener("outbound", filters, "api", "OUTBOUND"),
    ]
    return bootstrap(listeners, [cluster(name, port) for name, port in ports.items()])


@pytest.mark.parametrize(
    ("given", "form"),
    [(sealed_by_the_program, "struct"), (sealed_by_jwcrypto, "json"), (many_in_one, "json")],
    ids=["program", "jwcrypto", "sealed_env"],
)
def test_sealed_secrets_do_what_others_do(envoy, agent, api, given, form):
    environment = {UNSEALING_KEY: key_set(KEY, OLD_KEY) if given is sealed_by_jwcrypto else KEY.private}
    running = envoy(proxy(given(), form, {"agent": agent.port, "api": api.port}), environment)
    with Client(running) as inbound, Client(running, "outbound") as outbound:
        headers = {"x-api-key": API_KEY, "X-TOTP": totp(SEED)}
        assert inbound.get("/", headers).status_code == 200
        assert agent.only().header("x-agent-peer") == "mrpink"
        assert inbound.get("/", headers | {"x-api-key": "another"}).status_code == 401
        assert outbound.get("/", {"Host": API}).status_code == 200
    assert api.only().values("authorization") == [f"Bearer {TOKEN}"]
    assert api.only().values("x-totp")[0] in {totp(CALLS_SEED, -1), totp(CALLS_SEED)}
    # What an operator can look at: the policy as it was written, the names of variables, no secret.
    shown = running.admin("/config_dump") + running.log()
    assert UNSEALING_KEY in shown
    private = [json.loads(key.private)["d"] for key in (KEY, OLD_KEY)]
    for secret in [*SECRETS, *private]:
        assert secret not in shown
    assert "[warning][wasm]" not in running.log()


def changed(sealed: str, segment: int) -> str:
    """One letter of a segment is another one."""
    segments = sealed.split(".")
    text = segments[segment]
    middle = len(text) // 2
    segments[segment] = text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]
    return ".".join(segments)


SEALED = KEY.seal(API_KEY)

#: What the key does not open, and what is said of it.
REFUSED = [
    (changed(SEALED, 0), ""),
    (changed(SEALED, 2), " cannot be opened: it was changed, or sealed to another key"),
    (changed(SEALED, 3), " cannot be opened: it was changed, or sealed to another key"),
    (changed(SEALED, 4), " cannot be opened: it was changed, or sealed to another key"),
    (OTHER_KEY.seal(API_KEY), " is sealed to key `"),
    (OTHER_KEY.seal(API_KEY, kid=None), " cannot be opened: it was changed, or sealed to another key"),
    (KEY.seal(API_KEY, alg="ECDH-ES+A256KW"), " header: `alg` is `ECDH-ES+A256KW` and not `ECDH-ES`"),
    (KEY.seal(API_KEY, enc="A256CBC-HS512"), " header: `enc` is `A256CBC-HS512` and not `A256GCM`"),
    (KEY.seal(API_KEY, zip="DEF"), " header: `zip`: what is compressed is not read"),
]


def keys_of_peers(keys: list[str]) -> dict:
    """A policy with a peer for each sealed key."""
    peers = {f"p{number}": {"api_keys": [{"sealed": key}]} for number, key in enumerate(keys)}
    return {"version": 1, "inbound": {"peers": peers}, "outbound": {}}


def test_envoy_does_not_start_with_what_it_cannot_open(envoy):
    given = keys_of_peers([SEALED, *(sealed for sealed, _ in REFUSED)])
    with pytest.raises(EnvoyDidNotStart) as refused:
        envoy(proxy(given, "json", {"agent": 1, "api": 1}), {UNSEALING_KEY: KEY.private})
    assert "inbound.peers.p0" not in str(refused.value)
    for number, (_, says) in enumerate(REFUSED, start=1):
        assert f"inbound.peers.p{number}.api_keys[0].sealed: sealed secret{says}" in str(refused.value)
    assert API_KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "is not set"),
        ({UNSEALING_KEY: KEY.public}, "`d` is missing, or not 32 bytes in base64url"),
    ],
    ids=["no key", "the public half"],
)
def test_envoy_does_not_start_without_the_key(envoy, environment, says):
    with pytest.raises(EnvoyDidNotStart) as refused:
        envoy(proxy(keys_of_peers([SEALED]), "struct", {"agent": 1, "api": 1}), environment)
    place = "inbound.peers.p0.api_keys[0].sealed: sealed secret cannot be opened"
    assert f"{place}: variable `{UNSEALING_KEY}`" in str(refused.value)
    assert says in str(refused.value)


def test_where_secrets_may_miss_no_key_is_one_that_is_missing(envoy, agent, api):
    given = policy(
        {"sealed": SEALED}, {"env": "MRPINK_TOTP"}, {"sealed": SEALED}, {"sealed": KEY.seal(CALLS_SEED)}
    )
    sealed_env = KEY.seal(json.dumps({"MRPINK_TOTP": SEED}))
    given |= {"on_missing_secret": "deny_rule", "sealed_env": sealed_env}
    running = envoy(proxy(given, "struct", {"agent": agent.port, "api": api.port}))
    with Client(running) as inbound, Client(running, "outbound") as outbound:
        assert inbound.get("/", {"x-api-key": API_KEY, "X-TOTP": totp(SEED)}).status_code == 503
        assert outbound.get("/", {"Host": API}).status_code == 503
    assert agent.received == api.received == []


@pytest.mark.parametrize("text", [API_KEY, "a", "ü€😀", "line\nline\n\nline", "x" * 40_000], ids=len)
def test_jwcrypto_opens_what_the_program_seals(text):
    assert KEY.open(KEY.seal_by_program(text)) == text
    # The line end of a file is no part of it.
    assert KEY.open(KEY.seal_by_program(f"{text}\n")) == text


def test_jwcrypto_opens_a_sealed_env():
    sealed = KEY.seal_by_program("A=b c\n# no\n\nB==é", "--variables", "-")
    assert json.loads(KEY.open(sealed)) == {"A": "b c", "B": "=é"}
