"""What the tests of tokens for upstreams have in common: an agent's calls through an outbound listener.

Every rule has a host of its own: what a rule does is tried by calling `<its name>.tests.example`.
"""

from typing import Any

import httpx

from .bootstrap import bootstrap, cluster, listener, peergate
from .cast import AUDIENCE, ISSUER, KEYS, bearer
from .client import Client
from .credentials import SigningKey, new_secret
from .identity_provider import AWKWARD_SECRET
from .registry import remember_token
from .token_server_double import TokenServerDouble
from .tokens import payload
from .upstream import Upstream

#: The client that the agent is at an authorization server.
CLIENT = "agent"

CLIENT_SECRET = new_secret("secret of the agent's client")

ENVIRONMENT = {"CLIENT_SECRET": CLIENT_SECRET, "AWKWARD_SECRET": AWKWARD_SECRET}

#: Whose tokens are exchanged: those of the cast.
PROVIDERS = {
    "tests": {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "jwks": {"inline": {"keys": [key.public_jwk() for key in KEYS.values()]}},
    }
}

BASIC = {"method": "client_secret_basic", "secret": {"env": "CLIENT_SECRET"}}


def oauth_client(uri: str, cluster: str = "sts", **members: Any) -> dict:
    """A client of an authorization server."""
    return {"token_endpoint": {"uri": uri, "cluster": cluster}, "client_id": CLIENT, "auth": BASIC} | members


def private_key_jwt(key: SigningKey, audience: str) -> dict:
    """A client that signs; its key is in the environment."""
    named = {"kid": key.kid, "alg": key.algorithm, "key": {"env": variable_of(key)}}
    return {"method": "private_key_jwt", "audience": audience} | named


def variable_of(key: SigningKey) -> str:
    """Where a key is in the environment."""
    return key.kid.upper().replace("-", "_")


def host(name: str) -> str:
    """The host of a rule."""
    return f"{name}.tests.example"


def rule(name: str, client: str = "sts", cluster: str = "api", **token: Any) -> dict:
    """A rule that puts a token onto calls to a host of its own. `match` and other members of a rule: `rule() | {…}`."""
    usual = (
        {} if token.get("grant") == "client_credentials" else {"subject": {"from_header": "authorization"}}
    )
    token = {"client": client} | usual | token
    return {
        "name": name,
        "match": {"hosts": [host(name)], "clusters": [cluster]},
        "token": {member: value for member, value in token.items() if value is not None},
    }


def policy(clients: dict[str, dict], *rules: dict, providers: dict | None = None, **outbound: Any) -> dict:
    """A policy for an agent's calls."""
    return {
        "version": 1,
        "inbound": {"providers": providers or PROVIDERS},
        "outbound": {"oauth_clients": clients, "rules": list(rules)} | outbound,
    }


def call(
    client: Client, name: str, token: str | None = None, path: str = "/", **headers: str
) -> httpx.Response:
    """Call the host of a rule, on a connection of its own."""
    named = {"Host": host(name)} | {each.replace("_", "-"): value for each, value in headers.items()}
    url = f"http://127.0.0.1:{client.port}{path}"
    return httpx.get(url, headers=named | (bearer(token) if token else {}), trust_env=False, timeout=20)


#: An upstream may be named by more than its host.
RESOURCES = ["https://b.tests.example/mcp?x=1", "https://a.tests.example"]

#: Clients that sign, by their names.
SIGNING = {
    f"signs-{algorithm.lower()}": SigningKey.generate(algorithm, f"agent-{algorithm.lower()}")
    for algorithm in ("RS256", "PS256", "ES256")
}


def clients_of(double: TokenServerDouble) -> dict[str, dict]:
    """A client for each way to say who one is."""
    endpoint = double.token_endpoint
    methods = {
        "public": {"auth": {"method": "none"}},
        "encoded": {"auth": {"method": "client_secret_basic", "secret": {"env": "AWKWARD_SECRET"}}},
        "raw": {"auth": {"method": "client_secret_basic_raw", "secret": {"env": "AWKWARD_SECRET"}}},
        "posts": {"auth": {"method": "client_secret_post", "secret": {"env": "AWKWARD_SECRET"}}},
        "adds": {"parameters": {"requested_token_use": "on_behalf_of", "tenant": "a b&c"}},
    }
    for name, key in SIGNING.items():
        methods[name] = {"auth": private_key_jwt(key, double.issuer)}
    entra = oauth_client(double.on_behalf_of_endpoint, auth=BASIC | {"method": "client_secret_post"})
    entra["parameters"] = {"requested_token_use": "on_behalf_of"}
    return {"sts": oauth_client(endpoint), "entra": entra} | {
        name: oauth_client(endpoint, **members) for name, members in methods.items()
    }


#: What is tried with the double.
RULES = [
    rule("plain", audience=["a"]),
    rule("plain-b", audience=["b"]),
    rule("bare"),
    rule("scoped", audience=["a"], scope=["read"]),
    rule("scoped-more", audience=["a"], scope=["read", "write"]),
    rule("targets", audience=["b", "a"], resource=RESOURCES, scope=["write", "read"]),
    rule("jwt", subject={"from_header": "authorization", "type": "jwt"}),
    rule("requested", requested_token_type="access_token"),
    rule("other-header", subject={"from_header": "x-user-token"}),
    rule("actor-header", audience=["a"], actor={"from_header": "x-actor-token"}),
    rule("actor-itself", audience=["a"], actor="client_credentials"),
    rule("entra", "entra", grant="jwt_bearer", scope=["api://b/.default"]),
    rule("own", grant="client_credentials", audience=["a"], scope=["read"]),
    rule("own-b", grant="client_credentials", audience=["b"], scope=["read"]),
    rule("own-if-missing", audience=["a"], on_missing_subject="client_credentials"),
    rule("missing-forwarded", audience=["a"], on_missing_subject="insecure_forward"),
    rule("unverified", subject={"from_header": "authorization", "insecure_unverified_subject": True}),
    rule("adds", "adds"),
    *(rule(name, name) for name in ("public", "encoded", "raw", "posts", *SIGNING)),
]


def environment() -> dict[str, str]:
    """The environment of the proxy, with the keys of those that sign."""
    return ENVIRONMENT | {variable_of(key): key.private_pem() for key in SIGNING.values()}


def agents_proxy(policy: dict, api: Upstream, double: TokenServerDouble) -> dict:
    """An Envoy for an agent's calls, whose authorization server is the double."""
    filters = [peergate(policy, environment())]
    clusters = [cluster("api", api.port), cluster("sts", double.port)]
    return bootstrap([listener("outbound", filters, "api", "OUTBOUND")], clusters)


def injected(upstream: Upstream) -> dict:
    """The claims of the token that the one call came with."""
    scheme, _, value = (upstream.only().header("authorization") or "").partition(" ")
    assert scheme == "Bearer"
    return payload(remember_token("injected token", value))
