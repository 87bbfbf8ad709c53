"""Clients of oidc-provider, which has a token for each that proves who it is, on a real Envoy."""

import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.client import Client
from support.exchange import call, injected, policy, private_key_jwt, rule, variable_of
from support.identity_provider import AWKWARD_SECRET, OidcProvider, audience


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

    add("in-the-header", {"method": "client_secret_basic", "secret": {"env": "AWKWARD_SECRET"}})
    add("in-the-form", {"method": "client_secret_post", "secret": {"env": "AWKWARD_SECRET"}})
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
