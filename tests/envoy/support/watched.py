"""A proxy that is watched: one Envoy in which everything happens that the filter counts.

It stands between doubles: an agent with cards, an identity provider that rotates its keys and fails, an authorization
server that exchanges, introspects and fails. What is shown of it is as shipped: the tags of `envoy/demo.yaml`.
"""

import contextlib
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from .bootstrap import bootstrap, cluster, listener, peergate
from .cast import AUDIENCE, ENVIRONMENT, KEYS, MRPINK_SEED, MRWHITE_KEY, bearer, claims, policy, rule, token
from .client import Client
from .credentials import SigningKey, new_secret, new_seed, totp, wrong_totp
from .dynamic import Dynamic
from .exchange import CLIENT_SECRET, call, host, oauth_client
from .exchange import policy as outbound_policy
from .exchange import rule as outbound_rule
from .hostile import hostile_module, name_of_source
from .introspection import OPAQUE, introspection
from .key_server_double import JWKS, KeyServerDouble, Reply, key_set
from .metrics import metric
from .paths import DEMO_CONFIGURATION
from .process import PATIENCE_SECONDS, Envoy, wait_until
from .sinks import RUNTIME, Sinks
from .stage import Answer, Stage
from .token_server_double import METADATA, TokenServerDouble

CARD = "/.well-known/agent-card.json"

API_KEY = new_secret("key of the watched API, which takes it in the query")

#: A caller whose codes fail until no more are looked at, and who sends a good one twice before.
GUESSED_SEED = new_seed("TOTP seed of the watched caller whose code is guessed")
GUESSED_KEY = new_secret("API key of the watched caller whose code is guessed")

STATE_KEY = new_secret("shared state key of the watched policy")

WATCHED_ENVIRONMENT = ENVIRONMENT | {
    "CLIENT_SECRET": CLIENT_SECRET,
    "API_KEY": API_KEY,
    "GUESSED_TOTP": GUESSED_SEED,
    "GUESSED_KEY": GUESSED_KEY,
    "STATE_KEY": STATE_KEY,
}

#: How soon keys are fetched again, and how long they are good if they cannot be: a test has no time.
CACHE = {"seconds": 1, "max_stale_seconds": 5, "unknown_kid_interval_seconds": 1}

JSON = {"content-type": "application/json"}


class Watched:
    """The proxy and what stands around it. As a context manager it runs for the length of the block.

    `start` makes an Envoy of a configuration and an environment; `directory` holds the listener that changes. `rules`
    stand before the agent's own. `sinks` get spans of its callers' requests by OTLP, of its own calls in Zipkin's form.
    """

    def __init__(
        self, start: Callable[..., Envoy], directory: Path, *rules: dict, sinks: Sinks, cache: dict = CACHE
    ):
        self._start = start
        self._rules = rules
        self._sinks = sinks
        self._cache = cache
        self.dynamic = Dynamic("listener", directory, "watched")
        self.key = SigningKey.generate("ES256", "corp-1")

    def __enter__(self) -> "Watched":
        with contextlib.ExitStack() as stack:
            self.agent = stack.enter_context(Stage("agent"))
            self.idp = stack.enter_context(KeyServerDouble("corp"))
            self.publish()
            self.sts = stack.enter_context(TokenServerDouble("sts"))
            self.put(*self._rules)
            self.envoy = self._start(self.configuration(), WATCHED_ENVIRONMENT)
            names = ("inbound", "outbound", "hostile", "without", "two")
            wait_until(
                lambda: self._listens("inbound"), PATIENCE_SECONDS, "the listener that changes is there"
            )
            self.clients = {name: stack.enter_context(Client(self.envoy, name)) for name in names}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def configuration(self) -> dict:
        """All listeners but the one that changes, and where they lead."""
        rewriting = {"match": {"prefix": "/rewritten/"}, "route": {"cluster": "agent", "prefix_rewrite": "/"}}
        routes = [rewriting, {"match": {"prefix": "/"}, "route": {"cluster": "agent"}}]
        virtual_hosts = [{"name": "api", "domains": ["*"], "routes": routes}]
        # The rewritten path holds the key: a log of it would, too.
        quiet = {"route_config": {"virtual_hosts": virtual_hosts}, "access_log": []}
        zipkin = {"tracing": self._tracing("zipkin")}
        nothing_outbound = self._filter(policy(rule("agent", ["none"])))
        listeners = [
            listener("outbound", [self._filter(self.calls_policy())], "agent", "OUTBOUND", **quiet | zipkin),
            listener("hostile", [peergate({}, module=self._hostile_module())], "agent"),
            listener("without", [nothing_outbound], "agent", "OUTBOUND"),
            listener("two", [nothing_outbound, nothing_outbound | {"name": "second"}], "agent"),
        ]
        clusters = [
            cluster("agent", self.agent.port),
            cluster("corp", self.idp.port),
            cluster("sts", self.sts.port),
            *self._sinks.clusters(),
        ]
        changing = {"dynamic_resources": {"lds_config": self.dynamic.source}}
        return bootstrap(listeners, clusters) | changing | {"layered_runtime": RUNTIME}

    def put(self, *rules: dict) -> None:
        """Have these rules stand before the agent's own from now on."""
        shown = {"tracing": self._tracing("otlp"), "access_log": _shipped()["access_log"]}
        self.dynamic.put(self._filter(self.agents_policy(*rules)), **shown)

    def agents_policy(self, *before: dict) -> dict:
        """What callers of the agent must show; some rules stand before the others."""
        corp = {
            "issuer": self.idp.issuer,
            "audiences": [AUDIENCE],
            "jwks": {
                "discovery": {"cluster": "corp", "timeout_seconds": 1},
                "cache": self._cache,
            },
        }
        built = policy(
            {"name": "card", "match": {"paths": [CARD]}, "accept": ["none"]},
            *before,
            rule("reports", ["jwt", "api_key"], "/reports"),
            rule("opaque", ["introspection:opaque"], "/opaque"),
            rule("once", ["api_key"], "/once", require={"totp": {"replay": "one_time"}}),
            rule("agent", ["jwt"], require={"totp": True}),
            totp={"throttle": {"max_failures": 3}},
            introspection={
                "opaque": introspection(self.sts.introspection_endpoint, "sts", self.sts.issuer, "sts")
            },
        )
        inbound = built["inbound"]
        inbound["providers"] = inbound["providers"] | {"corp": corp}
        # With two providers, whose token is a peer's has to be said.
        mrpink = inbound["peers"]["mrpink"] | {"tokens": {"tests": "mrpink"}}
        inbound["peers"] = inbound["peers"] | {
            "mrpink": mrpink,
            "mrguess": {"api_keys": [{"env": "GUESSED_KEY"}], "totp_seeds": [{"env": "GUESSED_TOTP"}]},
        }
        clients = {"sts": oauth_client(self.sts.token_endpoint)}
        sealed = {"shared_state_key": {"env": "STATE_KEY"}}
        return built | sealed | {"outbound": {"oauth_clients": clients}}

    def calls_policy(self) -> dict:
        """What is put onto the agent's calls."""
        found = oauth_client("") | {
            "issuer": self.sts.issuer,
            "discovery": {"uri": self.sts.issuer + METADATA, "cluster": "sts"},
        }
        del found["token_endpoint"]
        query = {
            "name": "query",
            "match": {"hosts": [host("query")], "clusters": ["agent"]},
            "query_params": {"apiKey": {"env": "API_KEY"}},
        }
        return outbound_policy(
            {"sts": oauth_client(self.sts.token_endpoint), "found": found},
            outbound_rule("charlie", "sts", "agent", audience=["charlie"]),
            outbound_rule("own", "found", "agent", grant="client_credentials", scope=["read"]),
            query,
            on_no_match="deny",
            insecure_allow_query_param_auth=True,
            insecure_query_param_auth_allowed_hosts=[host("query")],
        )

    def publish(self) -> None:
        """Have the provider publish its key, and one that nobody may use here."""
        useless = {"kty": "oct", "kid": "symmetric", "k": "c2VjcmV0"}
        self.idp.reply(JWKS, key_set(self.key.public_jwk(), useless))

    def drive(self) -> None:
        """Have everything happen once that needs no provider that is down."""
        self.callers()
        self.cards()
        self.opaque_tokens()
        self.calls()

    def callers(self) -> None:
        """Callers of the agent, good and bad."""
        inbound = self.clients["inbound"]
        expect(200, inbound.get("/", bearer(token()) | {"X-TOTP": totp(MRPINK_SEED)}))
        expect(200, inbound.get("/", bearer(token(key=KEYS["EdDSA"])) | {"X-TOTP": totp(MRPINK_SEED)}))
        expect(200, inbound.get("/reports", {"X-Api-Key": MRWHITE_KEY}))
        expect(200, inbound.get("/reports", bearer(token(scope="reports.delete"))))
        expect(200, inbound.get("/reports", bearer(self.idp.token(self.key, claims))))
        expect(401, inbound.get("/", bearer(token())))
        expect(401, inbound.get("/", bearer(token()) | {"X-TOTP": wrong_totp(MRPINK_SEED)}))
        expect(401, inbound.get("/reports"))
        expect(401, inbound.get("/reports", bearer(token(aud="https://another.example"))))
        expect(503, self.clients["two"].get("/"))
        expect(200, self.clients["without"].get("/"))

    def guess(self) -> None:
        """Send the code of a caller twice, and then wrong ones, until the filter looks at no more."""
        headers = {"X-Api-Key": GUESSED_KEY, "X-TOTP": totp(GUESSED_SEED)}
        expect(200, self.clients["inbound"].get("/once", headers))
        expect(401, self.clients["inbound"].get("/once", headers))
        wrong = headers | {"X-TOTP": wrong_totp(GUESSED_SEED)}
        statuses = [self.clients["inbound"].get("/once", wrong).status_code for _ in range(5)]
        assert statuses[-1] == 429, statuses

    def cards(self) -> None:
        """Cards of the agent, in every form."""
        flat = {
            "name": "Agent",
            "url": "http://agent.tests.example/a2a",
            "protocolVersion": "0.3.0",
            "skills": [],
        }
        signed = flat | {"signatures": [{"protected": "e30", "signature": "AA"}]}
        answers = [
            Answer(headers=JSON, body=json.dumps(flat).encode()),
            Answer(headers=JSON, body=json.dumps(signed).encode()),
            Answer(headers=JSON, body=b'{"name": "no card"}'),
            Answer(
                headers=JSON | {"content-encoding": "gzip"}, body=gzip.compress(json.dumps(flat).encode())
            ),
        ]
        self.agent.play(CARD, *answers)
        for _ in answers:
            expect(200, self.clients["inbound"].get(CARD))

    def opaque_tokens(self) -> None:
        """Tokens that a server is asked about: a good one, one of nobody, and one while the server is down."""
        inbound = self.clients["inbound"]
        known = self.sts.opaque(sub="mrpink", aud=OPAQUE)
        expect(200, inbound.get("/opaque", bearer(known)))
        expect(401, inbound.get("/opaque", bearer(new_secret("opaque token of nobody"))))
        self.sts.next.append(Reply(status=503))
        expect(503, inbound.get("/opaque", bearer(new_secret("opaque token in an outage"))))

    def calls(self) -> None:
        """Calls of the agent: with a token that is exchanged and kept, refused or not to be had, and with a key."""
        outbound = self.clients["outbound"]
        mine = token()
        expect(200, call(outbound, "charlie", mine))
        expect(200, call(outbound, "charlie", mine))
        self.sts.next.append(Reply(b'{"error": "invalid_grant"}', 400, JSON))
        expect(502, call(outbound, "charlie", token("mrbrown")))
        self.sts.next.append(Reply(status=503))
        expect(503, call(outbound, "charlie", token("mrwhite")))
        expect(200, call(outbound, "own"))
        expect(403, call(outbound, "nowhere"))
        expect(200, call(outbound, "query", path="/rewritten/search"))

    def rotate(self) -> None:
        """Have the provider sign with a key that nobody has seen, which callers wait for."""
        self.key = SigningKey.generate("ES256", "corp-2")
        self.publish()
        rotated = self.idp.token(self.key, claims)
        inbound = self.clients["inbound"]
        wait_until(
            lambda: inbound.get("/reports", bearer(rotated)).status_code == 200,
            PATIENCE_SECONDS,
            "it is known",
        )

    def overwrite(self) -> None:
        """Have another module of the proxy write what the workers share, until it is noticed."""

        def noticed() -> bool:
            expect(200, self.clients["hostile"].get("/"))
            return self.counted("peergate_shared_keys_rejected_total") > 0

        wait_until(noticed, PATIENCE_SECONDS, "what another module wrote is noticed")

    def fail(self) -> None:
        """Have the provider fail."""
        self.idp.reply(JWKS, Reply(status=503))
        wait_until(
            lambda: self.counted("peergate_key_fetches_total", outcome="status"),
            PATIENCE_SECONDS,
            "it is noticed",
        )

    def await_stale(self) -> None:
        """Wait until the keys of the provider that fails are too old to be believed."""
        known = self.idp.token(self.key, claims)
        wait_until(
            lambda: self.clients["inbound"].get("/reports", bearer(known)).status_code == 503,
            PATIENCE_SECONDS,
            "the keys are too old",
        )

    def counted(self, name: str, **labels: str) -> int:
        """A counter of the filter."""
        return metric(self.envoy, name, **labels)

    def _hostile_module(self) -> Path:
        now = int(time.time() * 1000)
        name = name_of_source(self.idp, "corp", STATE_KEY)
        record = f"1000 {now} {now} {now + 60_000} 0 1 0 0"
        writes = {f"{name}.keys": b"of somebody else's", f"{name}.record": record.encode()}
        return hostile_module(self.dynamic.file.with_name("hostile.wasm"), writes)

    def _tracing(self, tracer: str) -> dict:
        """Tracing with the tags that are shipped."""
        shipped = _shipped()["tracing"]
        # What an older Envoy can do, as the document says.
        by_header = {"tag": "agent.peer", "request_header": {"name": "x-agent-peer"}}
        tags = [*shipped["custom_tags"], by_header]
        return shipped | {"custom_tags": tags} | self._sinks.tracing(tracer)

    def _filter(self, built: dict) -> dict:
        return peergate(built, WATCHED_ENVIRONMENT)

    def _listens(self, name: str) -> bool:
        try:
            return self.envoy.port(name) > 0
        except ValueError:
            return False


def _shipped() -> dict:
    """The connection manager that is shipped, with its access log and its tags of spans."""
    demo = yaml.safe_load(DEMO_CONFIGURATION.read_text(encoding="utf-8"))
    (chain,) = demo["static_resources"]["listeners"][0]["filter_chains"]
    (manager,) = chain["filters"]
    return manager["typed_config"]


def expect(status: int, answer: object) -> None:
    """Hold the status of an answer against what it should be."""
    assert answer.status_code == status, (answer.status_code, answer.text)
