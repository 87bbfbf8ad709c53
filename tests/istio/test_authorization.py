"""Istio's own authentication and authorization beside the filter: who runs first, and which know the identity."""

import json

import pytest

from mesh.shipped import shipped
from mesh.watching import await_status
from mesh.world import AGENT, NAMESPACE, plugin, resource
from support.cast import AUDIENCE, ISSUER, KEYS, bearer, policy, rule, token
from support.process import PATIENCE_SECONDS, wait_until

REFUSED = "RBAC: access denied"

#: A public path, and all others for those with a token.
POLICY = policy(rule("public", ["none"], "/public"), rule("agent", ["jwt"]))


def guard(image, policy=POLICY, **members):
    return plugin("WasmPlugin", policy, image, selector=AGENT.labels, match=[{"mode": "SERVER"}], **members)


def authorization(name="agent", action="ALLOW", **rule):
    spec = {"selector": {"matchLabels": AGENT.labels}, "action": action, "rules": [rule]}
    return resource("security", "AuthorizationPolicy", name, spec)


def authentication(issuer=ISSUER):
    keys = {"keys": [key.public_jwk() for key in KEYS.values()]}
    rules = [
        {"issuer": issuer, "audiences": [AUDIENCE], "jwks": json.dumps(keys), "forwardOriginalToken": True}
    ]
    spec = {"selector": {"matchLabels": AGENT.labels}, "jwtRules": rules}
    return resource("security", "RequestAuthentication", "agent", spec)


def await_in_effect(inbound, headers, status, text=None):
    answer = await_status(lambda: inbound.get("/", headers=headers), status)
    assert text is None or answer.text == text


def test_identity_headers_are_what_an_authorization_policy_can_use(apply, image, inbound, agent):
    apply(guard(image), authorization(when=[{"key": "request.headers[x-agent-peer]", "values": ["mrpink"]}]))
    await_in_effect(inbound, bearer(token("mrbrown")), 403, REFUSED)
    assert inbound.get("/", headers=bearer(token("mrpink"))).status_code == 200
    # The filter runs first: who has no credential is told so by it, and a name that somebody claims is gone.
    assert inbound.get("/").status_code == 401
    agent.forget()
    assert inbound.get("/public", headers={"X-Agent-Peer": "mrpink"}).status_code == 403
    assert agent.received == []


def test_the_shipped_one_keeps_others_out_of_administration(apply, image, inbound):
    peer_authentication, administration = shipped("authorization.yaml")
    assert peer_authentication["spec"] == {"mtls": {"mode": "STRICT"}}
    apply(guard(image), administration)
    others = bearer(token("mrbrown"))
    await_status(lambda: inbound.get("/admin/users", headers=others), 403)
    assert inbound.get("/admin", headers=others).text == REFUSED
    assert inbound.get("/tasks", headers=others).status_code == 200
    assert inbound.get("/admin/users", headers=bearer(token("mrpink"))).status_code == 200
    assert inbound.get("/admin/users", headers={"X-Agent-Peer": "mrpink"}).status_code == 401


@pytest.mark.parametrize("phase", ["AUTHZ", "STATS", "UNSPECIFIED_PHASE"])
def test_in_a_later_phase_istio_believes_what_callers_claim(phase, apply, image, inbound):
    """Why the phase of all manifests is AUTHN."""
    apply(
        guard(image, phase=phase),
        authorization(when=[{"key": "request.headers[x-agent-peer]", "values": ["mrpink"]}]),
    )
    known = bearer(token("mrpink"))
    if phase == "AUTHZ":
        # Behind authentication, before authorization: that is early enough for identity headers.
        await_in_effect(inbound, known, 200)
        wait_until(
            lambda: inbound.get("/public", headers={"X-Agent-Peer": "mrpink"}).status_code == 403,
            PATIENCE_SECONDS,
            "Istio's authorization is in effect",
        )
        return
    await_in_effect(inbound, known, 403, REFUSED)
    assert inbound.get("/public", headers={"X-Agent-Peer": "mrpink"}).status_code == 200


@pytest.mark.parametrize(
    "key",
    [
        "experimental.envoy.filters.wasm[peergate.peer]",
        "experimental.envoy.filters.http.wasm[peergate.peer]",
        f"experimental.envoy.filters.{NAMESPACE}.peergate[peergate.peer]",
        "request.auth.claims[sub]",
        "request.auth.principal",
    ],
)
def test_metadata_and_request_principals_know_nothing_of_the_filter(key, apply, image, inbound):
    values = [f"{ISSUER}/mrpink"] if key == "request.auth.principal" else ["mrpink"]
    apply(guard(image), authorization(when=[{"key": key, "values": values}]))
    await_in_effect(inbound, bearer(token("mrpink")), 403, REFUSED)
    assert inbound.get("/").status_code == 401


def test_filter_state_is_for_an_envoy_filter(apply, image, inbound):
    """What no AuthorizationPolicy reads, Envoy's own RBAC does: no header is believed at all."""
    principal = {"filter_state": {"key": "wasm.peergate.peer", "string_match": {"exact": "mrpink"}}}
    rbac = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {
            "action": "ALLOW",
            "policies": {"mrpink": {"permissions": [{"any": True}], "principals": [principal]}},
        },
    }
    apply(
        guard(image),
        resource(
            "networking",
            "EnvoyFilter",
            "only-mrpink",
            {
                "workloadSelector": {"labels": AGENT.labels},
                "configPatches": [
                    {
                        "applyTo": "HTTP_FILTER",
                        "match": {
                            "context": "SIDECAR_INBOUND",
                            "listener": {
                                "filterChain": {
                                    "filter": {
                                        "name": "envoy.filters.network.http_connection_manager",
                                        "subFilter": {"name": "envoy.filters.http.router"},
                                    }
                                }
                            },
                        },
                        "patch": {
                            "operation": "INSERT_BEFORE",
                            "value": {"name": "only-mrpink", "typed_config": rbac},
                        },
                    }
                ],
            },
        ),
    )
    await_in_effect(inbound, bearer(token("mrbrown")), 403, REFUSED)
    assert inbound.get("/", headers=bearer(token("mrpink"))).status_code == 200
    assert inbound.get("/public", headers={"X-Agent-Peer": "mrpink"}).status_code == 403


def test_a_token_that_stays_in_the_proxy_is_none_for_istio(apply, image, inbound):
    """RequestAuthentication lets requests without a token pass; who asks for its principal lets nobody in."""
    apply(
        guard(image), authentication(), authorization(**{"from": [{"source": {"requestPrincipals": ["*"]}}]})
    )
    await_in_effect(inbound, bearer(token()), 403, REFUSED)
    assert inbound.get("/").status_code == 401


def test_a_token_that_is_passed_on_is_verified_twice(apply, image, inbound):
    forwarding = policy(rule("agent", ["jwt"]), provider={"forward": True})
    apply(
        guard(image, forwarding),
        authentication(),
        authorization(
            **{"from": [{"source": {"requestPrincipals": [f"{ISSUER}/mrpink"]}}]},
            when=[{"key": "request.auth.claims[sub]", "values": ["mrpink"]}],
        ),
    )
    await_in_effect(inbound, bearer(token("mrpink")), 200)
    await_in_effect(inbound, bearer(token("mrbrown")), 403, REFUSED)
    # Who answers first is the filter: Istio's answer would be text.
    answer = inbound.get("/", headers=bearer("no.token.atall"))
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
