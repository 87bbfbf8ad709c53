"""The filter's own assertion: signed in a real Envoy, verified by others, behind a gateway, with keys that rotate."""

import base64
import contextlib
import socket
import subprocess
import sys
import threading
import time

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from support.bootstrap import bootstrap, cluster, listener, loopback, peergate
from support.cast import (
    ENVIRONMENT,
    ISSUER,
    MRPINK_SEED,
    MRWHITE_KEY,
    MRWHITE_SEED,
    bearer,
    policy,
    rule,
    seconds_from_now,
    token,
)
from support.client import Client, refusal
from support.credentials import SigningKey, totp, wrong_totp
from support.dynamic import Dynamic
from support.paths import OUTPUT, ROOT
from support.ports import free_port
from support.process import PATIENCE_SECONDS, wait_until

MESH = "https://mesh.tests.example"
AGENT = "https://agent.mesh.tests.example"
JWKS_PATH = "/.well-known/mesh/jwks.json"
TYPE = "peergate+jwt"

OLD, NEW = SigningKey.generate("ES256", "old"), SigningKey.generate("ES256", "new")
RSA, PSS = SigningKey.generate("RS256", "rsa"), SigningKey.generate("PS256", "pss")

#: As variables have them: on one line.
SECRETS = {key.kid.upper() + "_KEY": key.private_pem().replace("\n", " ") for key in (OLD, NEW, RSA, PSS)}


def assertion(*keys, **members):
    """The member of `forward`: the first key signs."""
    written = [
        {"kid": key.kid, "alg": key.algorithm, "key": {"env": f"{key.kid.upper()}_KEY"}} for key in keys
    ]
    return {"keys": written, "issuer": MESH, "audience": AGENT, "jwks_path": JWKS_PATH} | members


def asserting(*keys, rules=(), **members):
    """A policy that asserts."""
    rules = rules or (
        rule("totp", ["jwt", "api_key"], "/totp", require={"totp": True}),
        rule("agent", ["jwt", "api_key"]),
    )
    return policy(*rules, forward={"assertion": assertion(*keys, **members)})


def start(envoy, upstream_port, policy, workers=1):
    """An Envoy with this policy."""
    filters = [peergate(policy, ENVIRONMENT | SECRETS)]
    configuration = bootstrap([listener("inbound", filters, "agent")], [cluster("agent", upstream_port)])
    return envoy(configuration, ENVIRONMENT | SECRETS, workers=workers)


def verified(assertion, keys):
    """What an assertion says, to a library that knows nothing of peergate."""
    header = jwt.get_unverified_header(assertion)
    assert header["typ"] == TYPE
    key = jwt.PyJWK(next(jwk for jwk in keys["keys"] if jwk["kid"] == header["kid"]))
    claims = jwt.decode(assertion, key, algorithms=[header["alg"]], audience=AGENT, issuer=MESH)
    return header["kid"], claims


@pytest.mark.parametrize("key", [NEW, RSA, PSS], ids=lambda key: key.algorithm)
def test_the_agent_can_verify_who_calls(envoy, agent, key):
    with Client(start(envoy, agent.port, asserting(key, claims=["dept"]))) as client:
        actor = {"sub": "orchestrator"}
        assert client.get("/", bearer(token(dept="mesh", act=actor))).status_code == 200
        assert (
            client.get("/totp", {"X-Api-Key": MRWHITE_KEY, "X-TOTP": totp(MRWHITE_SEED)}).status_code == 200
        )
        answer = client.get(JWKS_PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jwk-set+json"
    first, second = [
        verified(received.header("x-agent-assertion"), answer.json()) for received in agent.received
    ]
    for kid, claims in (first, second):
        assert kid == key.kid
        assert claims["exp"] - claims["iat"] == 60
        assert abs(claims["iat"] - time.time()) < 30
    said = {name: first[1][name] for name in ("sub", "idp_iss", "peer", "amr", "act", "dept")}
    assert said == {
        "sub": "mrpink",
        "idp_iss": ISSUER,
        "peer": "mrpink",
        "amr": ["jwt"],
        "act": actor,
        "dept": "mesh",
    }
    assert (second[1]["idp_iss"], second[1]["amr"]) == ("api-key", ["api_key", "otp"])
    assert first[1]["jti"] != second[1]["jti"]


@pytest.fixture(scope="module")
def client(envoy, agent):
    """A client of a proxy that signs with the new key and serves the old one, too."""
    with Client(start(envoy, agent.port, asserting(NEW, OLD))) as client:
        yield client


def test_one_assertion_is_made_for_many_requests(client, agent):
    one, other = bearer(token()), bearer(token())
    for headers in (one, one, other, {"X-Api-Key": MRWHITE_KEY}, {"X-Api-Key": MRWHITE_KEY}):
        assert client.get("/", headers).status_code == 200
    assert client.get("/totp", one | {"X-TOTP": totp(MRPINK_SEED)}).status_code == 200
    a, again, b, c, c_again, with_code = [received.header("x-agent-assertion") for received in agent.received]
    assert (a, c) == (again, c_again)
    assert len({a, b, c, with_code}) == 4


def test_the_proxy_itself_signs(client, agent):
    """The module would sign without randomness (RFC 6979): a signature that is another one is Envoy's."""
    for headers in (bearer(token()), bearer(token())):
        assert client.get("/", headers).status_code == 200
    deterministic = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    for received in agent.received:
        signed, _, signature = received.header("x-agent-assertion").rpartition(".")
        numbers = utils.decode_dss_signature(NEW.private.sign(signed.encode(), deterministic))
        own = b"".join(number.to_bytes(32, "big") for number in numbers)
        assert base64.urlsafe_b64decode(signature + "==") != own


def test_the_keys_are_for_everybody_at_one_path(client, agent):
    answer = client.get(JWKS_PATH + "?x=1", {"Host": "another.example", "Authorization": "Bearer bad"})
    assert (answer.status_code, [key["kid"] for key in answer.json()["keys"]]) == (200, ["new", "old"])
    assert answer.headers["cache-control"] == "public, max-age=300"
    head = client.request("HEAD", JWKS_PATH)
    assert (head.status_code, head.content) == (200, b"")
    for method, path in [("POST", JWKS_PATH), ("GET", JWKS_PATH + "/"), ("GET", JWKS_PATH[:-1])]:
        assert refusal(client.request(method, path))[0] == 401
    private = {"d", "p", "q", "dp", "dq", "qi"}
    assert not any(private & key.keys() for key in answer.json()["keys"])
    assert agent.received == []


def behind_gateway():
    """The policy of a sidecar that accepts what the gateway asserts, and nothing else."""
    gateway = {
        "issuer": MESH,
        "audiences": [AGENT],
        "jwks": {
            "remote": {"uri": f"http://gateway{JWKS_PATH}", "cluster": "gateway"},
            "cache": {"seconds": 600, "unknown_kid_interval_seconds": 1},
        },
        "assertion": True,
        "from_headers": [{"name": "x-agent-assertion", "value_prefix": ""}],
        "forward": True,
    }
    rules = [rule("totp", ["jwt"], "/totp", require={"totp": True}), rule("agent", ["jwt"])]
    inbound = {
        "providers": {"gateway": gateway},
        "peers": {"mrpink": {}, "mrwhite": {}},
        "rules": rules,
    }
    return {"version": 1, "inbound": inbound}


@pytest.fixture(scope="module")
def mesh(envoy, agent):
    """A gateway whose policy can change, and a sidecar behind it that takes the gateway's keys from the gateway."""
    gateway_port, sidecar_port = free_port(), free_port()
    dynamic = Dynamic("filter", OUTPUT / "envoy/dynamic", "assertion")

    def put(*keys):
        dynamic.put(peergate(asserting(*keys), ENVIRONMENT | SECRETS))

    put(OLD)
    gateway = dynamic.bootstrap(cluster("agent", sidecar_port))
    gateway["static_resources"]["listeners"][0]["address"] = loopback(gateway_port)
    sidecar = bootstrap(
        [listener("inbound", [peergate(behind_gateway())], "agent")],
        [cluster("agent", agent.port), cluster("gateway", gateway_port)],
    )
    sidecar["static_resources"]["listeners"][0]["address"] = loopback(sidecar_port)
    gateway = envoy(gateway, ENVIRONMENT | SECRETS)
    with Client(gateway) as outside, Client(envoy(sidecar)) as inside:
        yield outside, inside, put


def test_a_sidecar_takes_the_gateways_word(mesh, agent):
    gateway, _, _ = mesh
    assert gateway.get("/", bearer(token(act={"sub": "a"}))).status_code == 200
    received = agent.only()
    assert received.header("authorization") is None
    assert received.header("x-agent-peer") == "mrpink"
    # Not the gateway's: who has told it.
    assert received.header("x-agent-iss") == ISSUER
    # The sidecar has left it on for the agent.
    assert verified(received.header("x-agent-assertion"), gateway.get(JWKS_PATH).json())[1]["act"] == {
        "sub": "a"
    }


def test_a_code_that_the_gateway_checked_is_the_sidecars_second_factor(mesh, agent):
    gateway, _, _ = mesh
    key = {"X-Api-Key": MRWHITE_KEY}
    assert gateway.get("/totp", key | {"X-TOTP": totp(MRWHITE_SEED)}).status_code == 200
    assert agent.only().header("x-totp") is None
    assert agent.only().header("x-agent-peer") == "mrwhite"
    assert refusal(gateway.get("/totp", key | {"X-TOTP": wrong_totp(MRWHITE_SEED)})) == (
        401,
        "Invalid TOTP code",
    )


def test_what_is_no_assertion_of_the_gateway_stays_out_of_the_sidecar(mesh, agent):
    gateway, sidecar, _ = mesh
    assert gateway.get("/", bearer(token())).status_code == 200
    good = agent.only().header("x-agent-assertion")
    assert sidecar.get("/", {"X-Agent-Assertion": good}).status_code == 200
    # It says nothing of a code.
    assert refusal(sidecar.get("/totp", {"X-Agent-Assertion": good})) == (401, "Missing X-TOTP header")
    claims = jwt.decode(good, options={"verify_signature": False})
    otp = claims | {"amr": ["jwt", "otp"]}
    head, _, signature = good.split(".")
    forged = jwt.encode(otp, None, algorithm="none").split(".")[1]
    for bad in [
        f"{head}.{forged}.{signature}",
        # Another key under the same name, and the gateway's key for something else.
        SigningKey("ES256", OLD.kid, NEW.private).sign(otp, "forged assertion", {"typ": TYPE}),
        OLD.sign(otp, "access token of the mesh", {"typ": "at+jwt"}),
        OLD.sign(otp | {"exp": seconds_from_now(-120)}, "expired assertion", {"typ": TYPE}),
        OLD.sign(otp | {"aud": "https://another.example"}, "assertion for another", {"typ": TYPE}),
        token(amr=["otp"]),
    ]:
        assert sidecar.get("/totp", {"X-Agent-Assertion": bad}).status_code == 401
    assert len(agent.received) == 2


def test_keys_rotate_without_a_refused_request(mesh, agent):
    gateway, _, put = mesh
    is_done, statuses = threading.Event(), []

    def call():
        with Client(gateway.envoy) as caller:
            while not is_done.is_set():
                # A new token each time: an assertion that was made before is no test.
                statuses.append(caller.get("/", bearer(token())).status_code)

    def signs():
        received = agent.received[-1:]
        return received and jwt.get_unverified_header(received[0].header("x-agent-assertion"))["kid"]

    def serves():
        return [key["kid"] for key in gateway.get(JWKS_PATH).json()["keys"]]

    caller = threading.Thread(target=call)
    caller.start()
    try:
        for keys, served in [((OLD, NEW), ["old", "new"]), ((NEW, OLD), ["new", "old"]), ((NEW,), ["new"])]:
            put(*keys)
            wait_until(lambda served=served: serves() == served, PATIENCE_SECONDS, "the keys are served")
            wait_until(lambda kid=keys[0].kid: signs() == kid, PATIENCE_SECONDS, "the first key signs")
    finally:
        is_done.set()
        caller.join()
        put(OLD)
    assert set(statuses) == {200}
    assert len(statuses) > 10


def test_the_example_of_an_agent_verifies(envoy):
    port, gateway_port = free_port(), free_port()
    arguments = ["--issuer", MESH, "--audience", AGENT, "--port", str(port)]
    arguments += ["--jwks", f"http://127.0.0.1:{gateway_port}{JWKS_PATH}"]
    filters = [peergate(asserting(NEW), ENVIRONMENT | SECRETS)]
    configuration = bootstrap([listener("inbound", filters, "agent")], [cluster("agent", port)])
    configuration["static_resources"]["listeners"][0]["address"] = loopback(gateway_port)
    program = subprocess.Popen([sys.executable, str(ROOT / "examples/agent.py"), *arguments])
    try:
        wait_until(lambda: listens(port), PATIENCE_SECONDS, "the example listens")
        with Client(envoy(configuration, ENVIRONMENT | SECRETS)) as client:
            answer = client.get("/totp", bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)})
            assert answer.json() == {
                "caller": [ISSUER, "mrpink"],
                "peer": "mrpink",
                "second_factor": True,
                "on_behalf_of": None,
            }
        good = token()
        for bad in (
            "",
            "a.b.c",
            good,
            NEW.sign(jwt.decode(good, options={"verify_signature": False}), "another type"),
        ):
            answer = httpx.get(
                f"http://127.0.0.1:{port}/", headers={"x-agent-assertion": bad}, trust_env=False
            )
            assert answer.status_code == 401
    finally:
        program.terminate()
        program.wait()


def listens(port):
    """Whether somebody listens on a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
