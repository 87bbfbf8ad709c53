"""Clients of oidc-provider, which has a token for each that proves who it is, on a real Envoy."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client, refusal
from support.exchange import call, injected, policy, private_key_jwt, rule, variable_of
from support.identity_provider import AWKWARD_SECRET, OidcProvider, audience
from support.metrics import metric
from support.process import PATIENCE_SECONDS, wait_until

METADATA = "/.well-known/openid-configuration"

SECRET = {"secret": {"env": "AWKWARD_SECRET"}}


@pytest.fixture(scope="module")
def oidc():
    with OidcProvider("oidc-provider-exchange") as server:
        yield server


@pytest.fixture(scope="module")
def client(envoy, api, oidc):
    environment = {"AWKWARD_SECRET": AWKWARD_SECRET}
    clients, rules = {}, []

    def add(name, auth):
        endpoint = {"uri": oidc.token_endpoint, "cluster": "oidc"}
        clients[name] = {"token_endpoint": endpoint, "client_id": name, "auth": auth}
        resource = audience("ES256")
        rules.append(rule(name, name, grant="client_credentials", resource=[resource], scope=["read"]))

    add("in-the-header", {"method": "client_secret_basic"} | SECRET)
    add("in-the-form", {"method": "client_secret_post"} | SECRET)
    for name, key in oidc.client_keys.items():
        if key.algorithm == "EdDSA":
            # The filter does not sign with it.
            continue
        environment[variable_of(key)] = key.private_pem()
        # It takes both for itself.
        add(name, private_key_jwt(key, oidc.token_endpoint if key.algorithm == "PS256" else oidc.issuer))
    filters = [peergate(policy(clients, *rules), environment)]
    clusters = [cluster("api", api.port), cluster("oidc", oidc.port)]
    started = envoy(bootstrap([listener("outbound", filters, "api", "OUTBOUND")], clusters), environment)
    with Client(started, "outbound") as client:
        yield client


@pytest.mark.parametrize(
    "name",
    ["in-the-header", "in-the-form", "signs-rs256", "signs-ps256", "signs-es256"],
)
def test_each_way_to_say_who_the_client_is(client, api, oidc, name):
    assert call(client, name).status_code == 200
    claims = injected(api)
    assert (claims["client_id"], claims["aud"], claims["iss"]) == (name, audience("ES256"), oidc.issuer)


@pytest.fixture(scope="module")
def discovering(envoy, api, oidc):
    """Clients that know the issuer, and are told by it where tokens are asked for."""
    auth = {"method": "client_secret_basic"} | SECRET

    def client_of(issuer, cluster="oidc"):
        discovery = {"uri": f"{oidc.issuer}{METADATA}", "cluster": cluster}
        return {"issuer": issuer, "discovery": discovery, "client_id": "in-the-header", "auth": auth}

    clients = {
        "found": client_of(oidc.issuer),
        "slash": client_of(f"{oidc.issuer}/"),
        "restarted": client_of(oidc.issuer, "restarted"),
    }
    own = {"grant": "client_credentials", "scope": ["read"]}
    rules = [
        rule("found-es256", "found", resource=[audience("ES256")], **own),
        rule("found-ps256", "found", resource=[audience("PS256")], **own),
        rule("slash", "slash", resource=[audience("ES256")], **own),
        rule("restarted", "restarted", resource=[audience("ES256")], **own),
    ]
    environment = {"AWKWARD_SECRET": AWKWARD_SECRET}
    filters = [peergate(policy(clients, *rules), environment)]
    clusters = [cluster("api", api.port), cluster("oidc", oidc.port), cluster("restarted", oidc.port)]
    started = envoy(bootstrap([listener("outbound", filters, "api", "OUTBOUND")], clusters), environment)
    with Client(started, "outbound") as client:
        yield client


def test_the_metadata_say_where_to_ask_and_are_asked_for_once(discovering, api, oidc):
    before = oidc.calls(METADATA), oidc.calls(oidc.token_path)
    for algorithm in ("ES256", "PS256", "ES256"):
        api.forget()
        assert call(discovering, f"found-{algorithm.lower()}").status_code == 200
        assert injected(api)["aud"] == audience(algorithm)
    assert (oidc.calls(METADATA), oidc.calls(oidc.token_path)) == (before[0] + 1, before[1] + 2)
    asked = metric(discovering.envoy, "peergate_metadata_requests_total", client="found", outcome="ok")
    assert asked == 1


def test_metadata_of_an_issuer_with_a_slash_more_are_refused_and_not_kept(discovering, api, oidc):
    """Byte for byte: `https://issuer` and `https://issuer/` are two, of which the metadata name one."""
    before, tokens = oidc.calls(METADATA), oidc.calls(oidc.token_path)

    def asked_again():
        assert refusal(call(discovering, "slash")) == (503, "Token service unavailable")
        return oidc.calls(METADATA) >= before + 2

    wait_until(asked_again, PATIENCE_SECONDS, "the metadata are asked for again")
    discovering.envoy.await_log(f"the metadata is of issuer `{oidc.issuer}`")
    assert (api.received, oidc.calls(oidc.token_path)) == ([], tokens)


def test_a_server_whose_metadata_could_not_be_had_is_asked_when_it_is_back(discovering, api, oidc):
    oidc.stop()
    assert refusal(call(discovering, "restarted")) == (503, "Token service unavailable")
    assert api.received == []
    oidc.start()
    wait_until(
        lambda: call(discovering, "restarted").status_code == 200,
        PATIENCE_SECONDS,
        "the metadata are asked for again",
    )
    assert api.only().header("authorization") is not None
