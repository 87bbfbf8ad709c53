"""What is measured: which contenders stand beside each other in one Envoy, and which of their ratios are rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import pyotp

from . import empty, listeners, policies, tokens
from .crowd import request
from .duel import Contender
from .tokens import Key

#: Where a policy holds so many rules, keys, peers or tokens.
SIZES = (1, 100, 10_000)

#: How many tokens come in turn where none shall be remembered: more than fit into either cache.
IN_TURN = 3 * listeners.NATIVE_CACHE_ENTRIES

#: The goals of the project. None: a row that explains others.
(
    WARM,
    WARM_PROXIED,
    P99,
    COLD,
    COLD_IN_WASM,
    WHOLE_JOB,
    WHOLE_JOB_EXT_AUTHZ,
    TOTP_REMEMBERED,
    REFUSED,
    FLAT,
) = (
    1.05,
    1.02,
    1.05,
    0.90,
    1.5,
    1.15,
    0.3,
    1.15,
    1.0,
    1.1,
)


@dataclass(frozen=True)
class Row:
    """A ratio of two contenders."""

    name: str
    subject: str
    reference: str
    goal: float | None
    says: str
    #: What is compared: a member of `Samples`.
    of: str = "microseconds"

    def is_wanted(self, patterns: Sequence[str]) -> bool:
        """Whether it is one of those asked for: by a pattern, or by the part of its name before a slash."""
        return any(
            fnmatchcase(self.name, pattern) or self.name.startswith(f"{pattern}/") for pattern in patterns
        )


@dataclass(frozen=True)
class Group:
    """Contenders in one Envoy. Of these, those of the wanted rows are measured."""

    name: str
    contenders: Callable[[], list[Contender]]
    rows: list[Row]
    #: Latency at a share of the highest rate, in place of CPU time.
    at_rate: float | None = None
    #: Whether there is an authorization service, as the cluster `authz`.
    has_authz: bool = False
    has_token_server: bool = False
    #: How many Envoys are started for it, one after the other. Where code comes to lie in memory is chance, and makes a
    #: difference of two per cent: it must not decide whether a goal of two per cent is met.
    starts: int = 1


@dataclass
class Things:
    """The module under test, and what rows are made of. Each thing is made when it is first asked for."""

    module: Path
    directory: Path
    #: Whether the module has a cache of verified tokens that can be sized.
    has_cache: bool
    empty_sdk: Path
    seed: str = field(default_factory=pyotp.random_base32)

    @cached_property
    def key(self) -> Key:
        """The provider's key of the warm rows: the most common algorithm."""
        return Key.generate("RS256")

    @cached_property
    def token(self) -> str:
        """A good token."""
        return self.key.sign(tokens.claims())

    @cached_property
    def empty_like_module(self) -> Path:
        """A filter with the module's exports that does nothing."""
        return empty.like(self.module, self.directory / "empty-like-module.wasm")

    @cached_property
    def empty_needed(self) -> Path:
        """A filter with what a filter cannot do without, that does nothing."""
        return empty.like(self.module, self.directory / "empty-needed.wasm", empty.NEEDED)

    @cached_property
    def bare(self) -> Path:
        """A filter with the module's exports that makes the calls of a cache hit, and decides nothing."""
        return empty.like(self.module, self.directory / "bare-calls.wasm", is_bare=True)

    def headers(self) -> list[tuple[str, str]]:
        """A good token."""
        return [tokens.bearer(self.token)]

    def headers_with_code(self) -> list[tuple[str, str]]:
        """A good token, and the code of now."""
        return [*self.headers(), ("x-totp", tokens.code(self.seed))]

    def peergate(self, name: str, policy: dict) -> list[dict]:
        """The filter with a policy."""
        return [listeners.peergate(name, self.module, policy)]

    def cache(self, entries: int) -> int | None:
        """How a policy says how many tokens are kept; None where the module knows nothing of it."""
        return entries if self.has_cache else None


def groups(things: Things) -> Iterator[Group]:
    """All of them, in the order of the report."""
    yield warm(things)
    yield proxied(things)
    yield latency(things)
    yield cold(things)
    yield cold_in_turn(things)
    yield whole_job(things)
    yield second_factor(things)
    yield asserted(things)
    yield public(things)
    yield api_key(things)
    yield refused(things)
    yield outbound(things)
    yield exchanged(things)
    yield scale_rules(things)
    yield scale_keys(things)
    yield scale_peers(things)
    yield scale_tokens(things)
    yield tokens_in_turn(things)


def warm(things: Things) -> Group:
    """One token again and again; Envoy answers by itself."""
    jwks = [things.key.public_jwk()]

    def contenders() -> list[Contender]:
        same_job = policies.inbound(policies.provider(jwks, ["RS256"]))
        defaults = policies.inbound(policies.provider(jwks, ["RS256"]), forward={})
        empties = {
            "empty-sdk": things.empty_sdk,
            "empty-same-exports": things.empty_like_module,
            "empty-needed-exports": things.empty_needed,
            "bare-calls": things.bare,
        }
        return [
            Contender("no-filter", [], things.headers),
            *(
                Contender(name, [listeners.wasm(name, file)], things.headers)
                for name, file in empties.items()
            ),
            Contender("jwt_authn", [listeners.jwt_authn(jwks, cached=True)], things.headers),
            Contender("peergate", things.peergate("peergate", same_job), things.headers),
            Contender("peergate-defaults", things.peergate("peergate-defaults", defaults), things.headers),
        ]

    return Group(
        "warm",
        contenders,
        [
            Row(
                "warm/direct",
                "peergate",
                "jwt_authn",
                WARM,
                "one token again and again, against `jwt_authn` with cache",
            ),
            Row(
                "warm/direct/identity-headers",
                "peergate-defaults",
                "jwt_authn",
                None,
                "the same with peergate's four identity headers",
            ),
            Row("warm/no-filter", "peergate", "no-filter", None, "the same against no filter at all"),
            Row(
                "warm/empty-filter",
                "peergate",
                "empty-same-exports",
                None,
                "the same against an empty filter with the module's exports",
            ),
            Row(
                "floor/sdk",
                "empty-sdk",
                "jwt_authn",
                None,
                "an empty filter with all that the SDK exports, against `jwt_authn` with cache",
            ),
            Row(
                "floor/same-exports",
                "empty-same-exports",
                "jwt_authn",
                None,
                "an empty filter with the module's exports",
            ),
            Row(
                "floor/needed-exports",
                "empty-needed-exports",
                "jwt_authn",
                None,
                "an empty filter with the fewest exports",
            ),
            Row(
                "floor/bare-calls",
                "bare-calls",
                "jwt_authn",
                None,
                "the module's exports and the fewest calls of the host that do the job; nothing is decided",
            ),
            Row(
                "floor/jwt_authn", "jwt_authn", "no-filter", None, "`jwt_authn` with cache against no filter"
            ),
        ],
        starts=3,
    )


def proxied(things: Things) -> Group:
    """The same, with an upstream behind."""
    jwks = [things.key.public_jwk()]

    def contenders() -> list[Contender]:
        same_job = policies.inbound(policies.provider(jwks, ["RS256"]))
        return [
            Contender("no-filter", [], things.headers, cluster="upstream"),
            Contender(
                "jwt_authn", [listeners.jwt_authn(jwks, cached=True)], things.headers, cluster="upstream"
            ),
            Contender("peergate", things.peergate("peergate", same_job), things.headers, cluster="upstream"),
        ]

    return Group(
        "warm-proxied",
        contenders,
        [
            Row(
                "warm/proxied",
                "peergate",
                "jwt_authn",
                WARM_PROXIED,
                "one token again and again, with an upstream behind",
            ),
            Row("warm/proxied/no-filter", "peergate", "no-filter", None, "the same against no filter"),
        ],
        starts=3,
    )


def latency(things: Things) -> Group:
    """One token again and again, at a rate."""
    group = warm(things)
    return Group(
        "latency",
        group.contenders,
        [
            Row(
                "latency/p99", "peergate", "jwt_authn", P99, "p99 latency at 80 % of the highest rate", "p99"
            ),
            Row("latency/p50", "peergate", "jwt_authn", None, "p50 latency at the same", "p50"),
        ],
        at_rate=0.8,
        starts=3,
    )


def cold(things: Things) -> Group:
    """Each token as if it came for the first time: both filters without their caches."""
    goals = {"RS256": COLD, "PS256": COLD_IN_WASM, "ES256": COLD, "ES384": None, "EdDSA": COLD_IN_WASM}

    def contenders() -> list[Contender]:
        built = []
        for algorithm in goals:
            key = Key.generate(algorithm)
            jwks, token = [key.public_jwk()], key.sign(tokens.claims())

            def headers(token: str = token) -> list[tuple[str, str]]:
                return [tokens.bearer(token)]

            policy = policies.inbound(policies.provider(jwks, [algorithm]), things.cache(0))
            native, ours = f"jwt_authn-{algorithm}", f"peergate-{algorithm}"
            built += [
                Contender(native, [listeners.jwt_authn(jwks, cached=False)], headers),
                Contender(ours, things.peergate(ours, policy), headers),
            ]
        return built

    return Group(
        "cold",
        contenders,
        [
            Row(
                f"cold/{algorithm}",
                f"peergate-{algorithm}",
                f"jwt_authn-{algorithm}",
                goal,
                f"every token verified anew, {algorithm}, both caches off",
            )
            for algorithm, goal in goals.items()
        ],
    )


def cold_in_turn(things: Things) -> Group:
    """Every request has another token than those before, and both filters remember a few of them in vain."""

    def contenders() -> list[Contender]:
        key = Key.generate("ES256")
        jwks = [key.public_jwk()]
        requests = [request([tokens.bearer(key.sign(tokens.claims(number)))]) for number in range(IN_TURN)]
        policy = policies.inbound(
            policies.provider(jwks, ["ES256"]), things.cache(listeners.NATIVE_CACHE_ENTRIES)
        )
        return [
            Contender("jwt_authn", [listeners.jwt_authn(jwks, cached=True)], all_different=requests),
            Contender("peergate", things.peergate("peergate", policy), all_different=requests),
        ]

    return Group(
        "cold-in-turn",
        contenders,
        [
            Row(
                "cold/in-turn",
                "peergate",
                "jwt_authn",
                None,
                f"{IN_TURN} tokens in turn, ES256, with caches of {listeners.NATIVE_CACHE_ENTRIES} each",
            )
        ],
    )


def whole_job(things: Things) -> Group:
    """A token, a second factor, rules and claims."""
    jwks = [things.key.public_jwk()]

    def contenders() -> list[Contender]:
        public = {"name": "card", "match": {"paths": ["/.well-known/agent-card.json"]}, "accept": ["none"]}
        admin = {
            "name": "admin",
            "match": {"path_prefixes": ["/admin"]},
            "accept": ["jwt"],
            "require": {"totp": True, "scopes": ["a2a.admin"]},
        }
        agent = {
            "name": "agent",
            "accept": ["jwt"],
            "require": {
                "totp": True,
                "scopes": ["a2a.invoke"],
                "claims": [{"name": "realm_access.roles", "values": ["uma_authorization"]}],
            },
        }
        policy = policies.inbound(
            policies.provider(jwks, ["RS256"], peer_claim="azp"),
            peers={tokens.CLIENT: {"totp_seeds": [{"inline": things.seed}]}},
            rules=[public, admin, agent],
            forward={},
        )
        native = listeners.jwt_authn(jwks, cached=True)
        return [
            Contender("jwt_authn", [native], things.headers_with_code),
            Contender(
                "jwt_authn-ext_authz", [native, listeners.ext_authz("authz")], things.headers_with_code
            ),
            Contender("peergate", things.peergate("peergate", policy), things.headers_with_code),
        ]

    return Group(
        "whole-job",
        contenders,
        [
            Row(
                "whole-job/jwt_authn",
                "peergate",
                "jwt_authn",
                WHOLE_JOB,
                "token, TOTP, rules, claims and identity headers, against `jwt_authn` with cache",
            ),
            Row(
                "whole-job/ext_authz",
                "peergate",
                "jwt_authn-ext_authz",
                WHOLE_JOB_EXT_AUTHZ,
                "the same against `jwt_authn` and a gRPC service for the code (CPU of Envoy alone)",
            ),
            Row(
                "whole-job/ext_authz/with-service",
                "peergate",
                "jwt_authn-ext_authz",
                WHOLE_JOB_EXT_AUTHZ,
                "the same with the CPU of the service, which the machine has to find as well",
                "with_service",
            ),
        ],
        has_authz=True,
        starts=3,
    )


def second_factor(things: Things) -> Group:
    """What remembering codes costs. Each contender has a realm of its own, or they would share what is remembered."""
    jwks = [things.key.public_jwk()]

    def policy(name: str, require: dict, **totp: Any) -> list[dict]:
        whole = policies.inbound(
            policies.provider(jwks, ["RS256"], peer_claim="azp"),
            peers={tokens.CLIENT: {"totp_seeds": [{"inline": things.seed}]}},
            rules=[{"name": "agent", "accept": ["jwt"], "require": require}],
            errors={"realm": name},
            totp=totp,
        )
        return things.peergate(name, whole)

    def contenders() -> list[Contender]:
        wrong = request([*things.headers(), ("x-totp", "none")])
        return [
            Contender("token", policy("token", {}), things.headers_with_code),
            Contender("code", policy("code", {"totp": True}), things.headers_with_code),
            Contender(
                "remembered",
                policy("remembered", {"totp": True}, replay="per_token"),
                things.headers_with_code,
                # All but one that lock it out.
                refused_before=[wrong] * 4,
            ),
        ]

    return Group(
        "totp",
        contenders,
        [
            Row(
                "totp/remembered",
                "remembered",
                "code",
                TOTP_REMEMBERED,
                "TOTP with replay (`per_token`) and throttle at work, against a policy that binds no code and for "
                "which none has failed",
            ),
            Row("totp/code", "code", "token", None, "token and code against the token alone"),
        ],
        starts=3,
    )


def asserted(things: Things) -> Group:
    """What the filter's own assertion costs, once it is made: it is one header more."""
    jwks = [things.key.public_jwk()]

    def policy(name: str, **forward: Any) -> list[dict]:
        given = policies.provider(jwks, ["RS256"])
        return things.peergate(name, policies.inbound(given, forward=policies.NO_IDENTITY_HEADERS | forward))

    def contenders() -> list[Contender]:
        key = Key.generate("ES256", "mesh")
        assertion = {
            "keys": [{"kid": key.kid, "key": {"inline": key.private_pem()}}],
            "issuer": "https://mesh.example",
            "audience": "https://agent.example",
        }
        return [
            Contender("without", policy("without"), things.headers),
            Contender("with", policy("with", assertion=assertion), things.headers),
        ]

    return Group(
        "assertion",
        contenders,
        [
            Row(
                "assertion/hit",
                "with",
                "without",
                None,
                "the same job with and without the filter's own assertion",
            )
        ],
        starts=3,
    )


def public(things: Things) -> Group:
    """A path for everybody: what is left when nothing is checked."""

    def contenders() -> list[Contender]:
        policy = {"version": 1, "inbound": {"rules": [{"name": "public", "accept": ["none"]}]}}
        return [
            Contender("no-filter", []),
            Contender("empty-same-exports", [listeners.wasm("empty-same-exports", things.empty_like_module)]),
            Contender("peergate", things.peergate("peergate", policy)),
        ]

    return Group(
        "public",
        contenders,
        [
            Row("public/no-filter", "peergate", "no-filter", None, "a public path, against no filter"),
            Row(
                "public/empty-filter",
                "peergate",
                "empty-same-exports",
                None,
                "the same against an empty filter with the module's exports",
            ),
        ],
    )


def api_key(things: Things) -> Group:
    """An API key, for which Envoy 1.40 has a filter of its own: `api_key_auth`."""
    key = pyotp.random_base32()

    def contenders() -> list[Contender]:
        policy = {
            "version": 1,
            "inbound": {
                "peers": {"batch": {"tokens": {}, "api_keys": [{"sha256": tokens.sha256(key)}]}},
                "rules": [{"name": "batch", "accept": ["api_key"]}],
                "forward": {"identity_headers": {"sub": None, "iss": None, "method": None}},
            },
        }
        headers = [("x-api-key", key)]
        return [
            Contender("no-filter", [], lambda: headers),
            Contender("api_key_auth", [listeners.api_key_auth("batch", key)], lambda: headers),
            Contender("peergate", things.peergate("peergate", policy), lambda: headers),
        ]

    return Group(
        "api-key",
        contenders,
        [
            Row(
                "api-key/api_key_auth",
                "peergate",
                "api_key_auth",
                None,
                "an API key, against Envoy's `api_key_auth`",
            ),
            Row("api-key/no-filter", "peergate", "no-filter", None, "the same against no filter"),
        ],
    )


def refused(things: Things) -> Group:
    """Tokens that no filter lets in."""
    jwks = [things.key.public_jwk()]
    kinds: dict[str, Callable[[], str]] = {
        "garbage": lambda: "x" * len(things.token),
        "expired": lambda: tokens.expired(things.key),
        "bad-signature": lambda: tokens.with_bad_signature(things.token),
    }

    def contenders() -> list[Contender]:
        policy = policies.inbound(policies.provider(jwks, ["RS256"]))
        built = []
        for kind, make in kinds.items():
            headers = [tokens.bearer(make())]

            def given(headers: list[tuple[str, str]] = headers) -> list[tuple[str, str]]:
                return headers

            built += [
                Contender(f"jwt_authn-{kind}", [listeners.jwt_authn(jwks, cached=True)], given, refuses=True),
                Contender(
                    f"peergate-{kind}", things.peergate(f"peergate-{kind}", policy), given, refuses=True
                ),
            ]
        return built

    return Group(
        "refused",
        contenders,
        [
            Row(
                f"refused/{kind}",
                f"peergate-{kind}",
                f"jwt_authn-{kind}",
                REFUSED,
                f"{kind.replace('-', ' ')}: refused by both",
            )
            for kind in kinds
        ],
    )


def outbound(things: Things) -> Group:
    """A key put into the query of a call."""

    def contenders() -> list[Contender]:
        policy = {
            "version": 1,
            "role": "outbound",
            "outbound": {
                "insecure_allow_query_param_auth": True,
                "insecure_query_param_auth_allowed_hosts": ["127.0.0.1"],
                "rules": [
                    {
                        "name": "api",
                        "match": {"hosts": ["127.0.0.1"], "clusters": ["upstream"]},
                        "query_params": {"apiKey": {"inline": "an-api-key-of-a-service"}},
                    }
                ],
            },
        }
        path = "/v1/search?q=weather&lang=en"
        return [
            Contender("no-filter", [], path=path, cluster="upstream", direction="OUTBOUND"),
            Contender(
                "peergate",
                things.peergate("peergate", policy),
                path=path,
                cluster="upstream",
                direction="OUTBOUND",
            ),
        ]

    return Group(
        "outbound",
        contenders,
        [
            Row(
                "outbound/query",
                "peergate",
                "no-filter",
                None,
                "a key put into the query of a call, against no filter",
            )
        ],
    )


def exchanged(things: Things) -> Group:
    """What a token for the upstream costs, once it is got: it is found by a digest of all that it depends on."""
    jwks = [things.key.public_jwk()]

    def policy(name: str, **given: Any) -> list[dict]:
        client = {
            "token_endpoint": {"uri": "http://sts.example/token", "cluster": "sts"},
            "client_id": "bench",
            "auth": {"method": "none"},
        }
        rule = {"name": "api", "match": {"hosts": ["127.0.0.1"], "clusters": ["upstream"]}} | given
        outbound = {"oauth_clients": {"sts": client}, "rules": [rule]}
        whole = policies.inbound(policies.provider(jwks, ["RS256"]))
        return things.peergate(name, whole | {"role": "gateway", "outbound": outbound})

    def contenders() -> list[Contender]:
        static = {"authorization": {"prefix": "Bearer ", "value": {"inline": "a-token-that-stays"}}}
        token = {"client": "sts", "audience": ["api"]}
        return [
            Contender("static", policy("static", headers=static), things.headers, cluster="upstream"),
            Contender("exchanged", policy("exchanged", token=token), things.headers, cluster="upstream"),
        ]

    return Group(
        "exchange",
        contenders,
        [
            Row(
                "exchange/hit",
                "exchanged",
                "static",
                None,
                "a token from an exchange that is kept, against a credential of the policy's own, in a gateway",
            )
        ],
        has_token_server=True,
        starts=3,
    )


def scale(name: str, what: str, contenders: Callable[[], list[Contender]]) -> Group:
    """Rows of many against one. The contenders are named for their numbers."""
    return Group(
        name.replace("/", "-"),
        contenders,
        [
            Row(f"{name}/{size}", str(size), str(SIZES[0]), FLAT, f"{size} {what} against one")
            for size in SIZES[1:]
        ],
    )


def scale_rules(things: Things) -> Group:
    """The last of many rules matches."""
    jwks = [things.key.public_jwk()]

    def contenders() -> list[Contender]:
        built = []
        for size in SIZES:
            rules = [
                {
                    "name": f"agent-{number}",
                    "match": {"path_prefixes": [f"/agents/{number}"]},
                    "accept": ["jwt"],
                }
                for number in range(size - 1)
            ]
            rules.append({"name": "last", "match": {"path_prefixes": ["/agents/last"]}, "accept": ["jwt"]})
            policy = policies.inbound(policies.provider(jwks, ["RS256"]), rules=rules)
            built.append(
                Contender(
                    str(size), things.peergate(str(size), policy), things.headers, path="/agents/last/tasks"
                )
            )
        return built

    return scale("scale/rules", "rules, of which the last matches,", contenders)


def scale_keys(things: Things) -> Group:
    """The last of a provider's many keys signed the token, which is verified anew each time."""
    filler = list[dict]()

    def contenders() -> list[Contender]:
        filler.extend(tokens.filler_jwks(max(SIZES)))
        built = []
        for size in SIZES:
            jwks = [*filler[: size - 1], things.key.public_jwk()]
            policy = policies.inbound(policies.provider(jwks, ["RS256", "EdDSA"]), things.cache(0))
            built.append(Contender(str(size), things.peergate(str(size), policy), things.headers))
        return built

    return scale("scale/keys", "keys of a provider, of which the last signed the token, cold,", contenders)


def scale_peers(things: Things) -> Group:
    """The last of many peers calls, with its API key, which nothing remembers."""
    key = pyotp.random_base32()

    def contenders() -> list[Contender]:
        built = []
        for size in SIZES:
            keys = [*(tokens.sha256(f"key {number}") for number in range(size - 1)), tokens.sha256(key)]
            peers = {
                f"agent-{number}": {"tokens": {}, "api_keys": [{"sha256": digest}]}
                for number, digest in enumerate(keys)
            }
            policy = {
                "version": 1,
                "inbound": {"peers": peers, "rules": [{"name": "agent", "accept": ["api_key"]}]},
            }
            built.append(
                Contender(str(size), things.peergate(str(size), policy), lambda: [("x-api-key", key)])
            )
        return built

    return scale("scale/peers", "peers, of which the last calls with its API key,", contenders)


def scale_tokens(things: Things) -> Group:
    """One of many cached tokens."""
    jwks = [things.key.public_jwk()]

    def contenders() -> list[Contender]:
        key = Key.generate("EdDSA")
        policy = policies.inbound(
            policies.provider([*jwks, key.public_jwk()], ["RS256", "EdDSA"]), things.cache(max(SIZES))
        )
        others = [request([tokens.bearer(key.sign(tokens.claims(number)))]) for number in range(max(SIZES))]
        return [
            *(
                Contender(
                    str(size), things.peergate(str(size), policy), things.headers, before=others[: size - 1]
                )
                for size in SIZES
            )
        ]

    return scale("scale/tokens", "cached tokens, of which one comes again and again,", contenders)


def tokens_in_turn(things: Things) -> Group:
    """Each of many cached tokens in its turn, so that no processor cache holds what the next one needs."""
    sizes = (SIZES[1], SIZES[2])

    def contenders() -> list[Contender]:
        key = Key.generate("EdDSA")
        policy = policies.inbound(policies.provider([key.public_jwk()], ["EdDSA"]), things.cache(max(SIZES)))
        all_tokens = [
            request([tokens.bearer(key.sign(tokens.claims(number)))]) for number in range(max(SIZES))
        ]
        return [
            Contender(
                str(size),
                things.peergate(str(size), policy),
                # So many requests each, however many differ.
                all_different=all_tokens[:size] * (max(SIZES) // size),
            )
            for size in sizes
        ]

    return Group(
        "tokens-in-turn",
        contenders,
        [
            Row(
                "scale/tokens-in-turn",
                str(sizes[1]),
                str(sizes[0]),
                None,
                f"{sizes[1]} tokens in turn against {sizes[0]} in turn: are so many remembered?",
            )
        ],
    )
