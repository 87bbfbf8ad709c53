"""Keys from real identity providers: oidc-provider and zitadel's.

What is not theirs comes from a double, and the name of the test says so. What goes wrong is in `test_key_faults.py`.
"""

import contextlib
import time

import httpx
import jwt
import pytest

from support.cast import AUDIENCE, bearer, claims, policy, rule
from support.client import refusal
from support.credentials import SigningKey
from support.identity_provider import OidcProvider, Zitadel, audience
from support.key_server_double import DISCOVERY, JWKS, KeyServerDouble, Reply, key_set
from support.keys import everywhere
from support.load import Load
from support.metrics import metric
from support.process import wait_until
from support.tokens import payload

INVALID = (401, "Invalid or missing authentication credentials")
ALGORITHMS = ["RS256", "PS256", "ES256", "Ed25519"]
AUDIENCES = [audience(algorithm) for algorithm in ALGORITHMS]

#: As short as they may be: a test waits for them.
QUICK = {"seconds": 1, "unknown_kid_interval_seconds": 1}

#: A second's refresh, what the machine adds, and nothing that would hide a miss.
SOON_SECONDS = 5


@pytest.fixture(scope="module")
def oidc():
    with OidcProvider("oidc-provider") as provider:
        yield provider


@pytest.fixture(scope="module")
def bare():
    with OidcProvider("oidc-provider-bare", keys="bare") as provider:
        yield provider


@pytest.fixture(scope="module")
def zitadel():
    with Zitadel("zitadel") as provider:
        yield provider


KEY = SigningKey.generate("ES256", "double-1")
RSA = SigningKey.generate("RS256", "rsa-without-alg-and-use")


@pytest.fixture(scope="module")
def double():
    """Its issuer has a path, as that of Keycloak and of Dex."""
    with KeyServerDouble("double", path="/realms/agents") as double:
        double.reply(JWKS, key_set(KEY.public_jwk(), stripped(RSA)))
        yield double


@pytest.fixture(scope="module")
def anybody():
    """A double whose tokens are for anybody."""
    with KeyServerDouble("anybody", [KEY]) as double:
        yield double


#: What a key set may be called, besides what oidc-provider calls it.
CONTENT_TYPES = ["application/jwk-set+json", "application/json;charset=UTF-8", "text/plain", None]


@pytest.fixture(scope="module")
def types():
    """A double for each of them."""
    with contextlib.ExitStack() as stack:
        doubles = {}
        for number, content_type in enumerate(CONTENT_TYPES):
            double = stack.enter_context(KeyServerDouble(f"type-{number}", [KEY]))
            headers = {"content-type": content_type} if content_type else {}
            double.reply(JWKS, Reply(key_set(KEY.public_jwk()).body, headers=headers))
            doubles[content_type] = double
        yield doubles


@pytest.fixture(scope="module")
def client(sidecar, oidc, bare, zitadel, double, anybody, types):
    """All of them are providers of one policy, each by discovery at the place that its issuer says."""
    providers = {
        "oidc": discovered(oidc.issuer, "oidc", AUDIENCES),
        "bare": discovered(bare.issuer, "bare", AUDIENCES),
        "zitadel": discovered(zitadel.issuer, "zitadel", ["caller"]),
        "double": discovered(double.issuer, "double", [AUDIENCE]),
        "anybody": discovered(anybody.issuer, "anybody", None),
    }
    of_types = {each.name: each for each in types.values()}
    providers |= {name: discovered(each.issuer, name, [AUDIENCE]) for name, each in of_types.items()}
    scoped = rule("scoped", ["jwt"], "/scoped", require={"scopes": ["read", "write"]})
    policy_of_all = policy(scoped, rule("agent", ["jwt"]), providers=providers, peers={})
    names = {"oidc": oidc, "bare": bare, "zitadel": zitadel, "double": double, "anybody": anybody} | of_types
    return sidecar(policy_of_all, **{name: server.port for name, server in names.items()})


def discovered(issuer, cluster, audiences, **jwks):
    """A provider whose keys are found by discovery."""
    whose = {"audiences": audiences} if audiences else {"insecure_any_audience": True}
    return {"issuer": issuer, **whose, "jwks": {"discovery": {"cluster": cluster}, **jwks}}


def test_discovery_is_asked_once_and_its_keys_once(client, oidc):
    assert client.get("/", bearer(oidc.token())).status_code == 200
    assert (oidc.calls(DISCOVERY), oidc.calls("/jwks")) == (1, 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_tokens_of_each_algorithm(client, agent, oidc, algorithm):
    token = oidc.token(algorithm)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert client.get("/", bearer(token)).status_code == 200
    assert agent.only().header("x-agent-sub") == "caller"
    assert agent.only().header("x-agent-iss") == oidc.issuer


def test_tokens_of_users_who_log_in(client, agent, oidc):
    assert client.get("/", bearer(oidc.user_token())).status_code == 200
    assert agent.only().header("x-agent-sub") == "alice"


@pytest.mark.parametrize(
    "path", [DISCOVERY, "/.well-known/oauth-authorization-server"], ids=["OIDC", "RFC 8414"]
)
def test_metadata_at_a_place_that_is_written_down(sidecar, oidc, path):
    discovery = {"uri": oidc.issuer + path, "cluster": "idp", "timeout_seconds": 5}
    provider = {"issuer": oidc.issuer, "audiences": AUDIENCES, "jwks": {"discovery": discovery}}
    client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), idp=oidc.port)
    before = oidc.calls(path)
    assert client.get("/", bearer(oidc.token())).status_code == 200
    assert oidc.calls(path) - before <= 1


def test_a_key_set_without_discovery(sidecar, oidc):
    remote = {"uri": oidc.issuer + "/jwks", "cluster": "idp"}
    provider = {"issuer": oidc.issuer, "audiences": AUDIENCES, "jwks": {"remote": remote}}
    before = oidc.calls(DISCOVERY)
    client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), idp=oidc.port)
    assert client.get("/", bearer(oidc.token())).status_code == 200
    assert oidc.calls(DISCOVERY) == before


def test_an_issuer_keeps_its_trailing_slash_byte_for_byte(client, agent, zitadel):
    assert zitadel.issuer.endswith("/")
    assert client.get("/", bearer(zitadel.user_token())).status_code == 200
    assert agent.only().header("x-agent-iss") == zitadel.issuer


def test_an_issuer_that_is_written_without_its_slash_is_another(sidecar, zitadel):
    """Neither the metadata nor the tokens are those of the issuer that was written down."""
    provider = discovered(zitadel.issuer.removesuffix("/"), "idp", ["caller"])
    client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), idp=zitadel.port)
    assert refusal(client.get("/", bearer(zitadel.user_token()))) == (401, "Invalid token issuer")


def test_an_issuer_with_a_path_and_a_port_of_the_double(client, agent, double):
    assert client.get("/", bearer(double.token(KEY, claims))).status_code == 200
    assert agent.only().header("x-agent-iss") == double.issuer
    assert double.calls(DISCOVERY) == 1


def test_typ_at_jwt_of_oidc_provider(client, oidc):
    token = oidc.token()
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert client.get("/", bearer(token)).status_code == 200


def test_typ_jwt_of_zitadel(client, zitadel):
    token = zitadel.user_token()
    assert jwt.get_unverified_header(token)["typ"] == "JWT"
    assert client.get("/", bearer(token)).status_code == 200


def test_no_typ_of_the_double(client, double):
    """As those of Spring's authorization server and of Dex."""
    token = KEY.sign(claims(iss=double.issuer), "token without typ", header={"typ": None})
    assert "typ" not in jwt.get_unverified_header(token)
    assert client.get("/", bearer(token)).status_code == 200


def test_aud_that_is_text_of_oidc_provider(client, oidc):
    token = oidc.token()
    assert payload(token)["aud"] == audience("RS256")
    assert client.get("/", bearer(token)).status_code == 200


def test_aud_that_is_a_list_of_zitadel(client, zitadel):
    token = zitadel.user_token()
    assert payload(token)["aud"] == ["caller"]
    assert client.get("/", bearer(token)).status_code == 200


def test_aud_that_is_space_joined_of_the_double_is_one_audience(client, double):
    """An audience is compared as a whole: it is nobody's but that of who wrote it down so."""
    for aud in (f"{AUDIENCE} https://other.example", f"https://other.example {AUDIENCE}"):
        answer = client.get("/", bearer(double.token(KEY, claims, aud=aud)))
        assert refusal(answer) == (401, "Invalid token audience")


def test_no_aud_of_the_double_is_for_nobody_where_audiences_are_written_down(client, double, anybody):
    token = double.token(KEY, claims, aud=None)
    assert refusal(client.get("/", bearer(token))) == (401, "Invalid token audience")
    assert client.get("/", bearer(anybody.token(KEY, claims, aud=None))).status_code == 200


def test_scope_that_is_text_of_oidc_provider(client, oidc):
    token = oidc.token(scope="read write")
    assert payload(token)["scope"] == "read write"
    assert client.get("/scoped", bearer(token)).status_code == 200
    assert refusal(client.get("/scoped", bearer(oidc.token(scope="read")))) == (403, "Insufficient scope")


def test_scope_that_is_a_list_of_the_double(client, double):
    """As that of Spring's authorization server."""
    listed = double.token(KEY, claims, scope=["write", "read"])
    assert client.get("/scoped", bearer(listed)).status_code == 200
    joined = double.token(KEY, claims, scope=["write read"])
    assert refusal(client.get("/scoped", bearer(joined))) == (403, "Insufficient scope")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_one_rsa_key_without_alg_serves_both_algorithms_of_oidc_provider(client, bare, algorithm):
    token = bare.token(algorithm)
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "at+jwt", "kid": "bare"}
    assert client.get("/", bearer(token)).status_code == 200


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_one_rsa_key_without_alg_and_use_serves_both_algorithms_of_the_double(client, double, algorithm):
    """As Spring's authorization server has it."""
    key = SigningKey(algorithm, RSA.kid, RSA.private)
    assert client.get("/", bearer(double.token(key, claims))).status_code == 200


def test_alg_ed25519_in_the_key_and_in_the_token_of_oidc_provider(client, oidc):
    """RFC 9864: the name for what most call EdDSA. The policy says EdDSA."""
    published = httpx.get(oidc.issuer + "/jwks", trust_env=False).json()["keys"]
    assert [key["alg"] for key in published if key["kty"] == "OKP"] == ["Ed25519"]
    assert client.get("/", bearer(oidc.token("Ed25519"))).status_code == 200


def test_content_type_with_a_charset_of_oidc_provider(client, oidc):
    answer = httpx.get(oidc.issuer + "/jwks", trust_env=False)
    assert answer.headers["content-type"] == "application/jwk-set+json; charset=utf-8"
    assert client.get("/", bearer(oidc.token())).status_code == 200


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_content_type_of_the_double_does_not_matter(client, types, content_type):
    assert client.get("/", bearer(types[content_type].token(KEY, claims))).status_code == 200


def test_soft_rotation_while_requests_flow(sidecar):
    """The next key signs, that of before stands beside it and is retired later: no good token is refused."""
    with OidcProvider("oidc-provider-soft") as provider:
        quick = {"provider": discovered(provider.issuer, "idp", AUDIENCES, cache=QUICK)}
        client = sidecar(policy(rule("agent", ["jwt"]), **quick), workers=2, idp=provider.port)
        old = provider.token()
        good = [old, provider.token("ES256")]
        with Load(client.port, lambda: list(good)) as load:
            load.flows()
            provider.rotate()
            new = provider.token()
            assert kid(new) != kid(old)
            good.append(new)
            load.flows()
            good.remove(old)
            load.flows()
            provider.retire()
            wait_until(lambda: everywhere(client, old) == {401}, SOON_SECONDS, "the old key verifies nothing")
            load.flows()
        assert load.refused() == []
        assert {each.token for each in load.answers} == {old, *good}
        assert everywhere(client, old) == {401}


def test_a_key_that_is_announced_before_it_signs(sidecar):
    """The first token of the new key finds it there: nobody waits."""
    with OidcProvider("oidc-provider-announced") as provider:
        quick = {"provider": discovered(provider.issuer, "idp", AUDIENCES, cache=QUICK)}
        client = sidecar(policy(rule("agent", ["jwt"]), **quick), idp=provider.port)
        old = provider.token()
        assert client.get("/", bearer(old)).status_code == 200
        provider.announce()
        before = provider.calls("/jwks")
        # The second refresh begins when the first has been stored.
        wait_until(lambda: provider.calls("/jwks") > before + 1, SOON_SECONDS, "the refresh has read the set")
        waited = metric(client.envoy, "peergate_key_waits_total")
        provider.promote()
        new = provider.token()
        assert kid(new) != kid(old)
        assert client.get("/", bearer(new)).status_code == 200
        assert metric(client.envoy, "peergate_key_waits_total") == waited


def test_hard_rotation_while_requests_flow(sidecar):
    """The old key is gone when the new one signs: a new token waits for its key, and then the old ones end."""
    with Zitadel("zitadel-hard") as provider:
        jwks = {"provider": discovered(provider.issuer, "idp", ["caller"])}
        client = sidecar(policy(rule("agent", ["jwt"]), **jwks), idp=provider.port)
        old = provider.user_token()
        tokens = [old]
        with Load(client.port, lambda: list(tokens)) as load:
            load.flows()
            provider.rotate()
            rotated = time.monotonic()
            new = provider.user_token()
            tokens.append(new)
            load.flows(40)
        of_new = [each for each in load.answers if each.token == new]
        assert {each.status for each in of_new} == {200}
        of_old = [each for each in load.answers if each.token == old]
        assert {each.status for each in of_old if each.ended < rotated} == {200}
        # By then the set of before was replaced.
        known = min(each.ended for each in of_new)
        assert {each.status for each in of_old if each.began > known} == {401}


def test_another_key_under_the_same_kid(sidecar):
    """No unknown `kid` says that anything has changed: the refresh finds it, and what the old key signed ends."""
    with OidcProvider("oidc-provider-replaced") as provider:
        quick = {"provider": discovered(provider.issuer, "idp", AUDIENCES, cache=QUICK)}
        client = sidecar(policy(rule("agent", ["jwt"]), **quick), workers=2, idp=provider.port)
        old = provider.token()
        assert everywhere(client, old) == {200}
        provider.replace()
        new = provider.token()
        assert kid(new) == kid(old)
        wait_until(lambda: everywhere(client, new) == {200}, SOON_SECONDS, "the new key is known")
        assert everywhere(client, old) == {401}


def test_max_age_longer_than_the_life_of_a_key_of_the_double(sidecar):
    """As Dex has it: only the refetch for an unknown `kid` saves the caller."""
    next_key = SigningKey.generate("ES256", "double-2")
    with KeyServerDouble("long-lived", [KEY]) as double:
        double.publish(KEY, cache_control="public, max-age=86400")
        provider = discovered(double.issuer, "idp", [AUDIENCE])
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), idp=double.port)
        assert client.get("/", bearer(double.token(KEY, claims))).status_code == 200
        double.publish(next_key, cache_control="public, max-age=86400")
        assert client.get("/", bearer(double.token(next_key, claims))).status_code == 200
        assert refusal(client.get("/", bearer(double.token(KEY, claims)))) == INVALID
        assert double.calls() == 2


def test_max_age_shorter_than_ours_of_the_double(sidecar):
    """It is honoured, but no more often than the policy says."""
    with KeyServerDouble("short-lived", [KEY]) as double:
        double.publish(KEY, cache_control="max-age=1")
        provider = discovered(double.issuer, "idp", [AUDIENCE], cache={"seconds": 600})
        client = sidecar(policy(rule("agent", ["jwt"]), provider=provider), idp=double.port)
        assert client.get("/", bearer(double.token(KEY, claims))).status_code == 200
        time.sleep(2.5)
        # 30 s are the least.
        assert double.calls() == 1


def stripped(key):
    """A public key that does not say what it is for."""
    return {name: value for name, value in key.public_jwk().items() if name not in ("alg", "use")}


def kid(token):
    return jwt.get_unverified_header(token)["kid"]
