"""Shows peergate at work: a real Envoy with `envoy/demo.yaml`, real requests, and what came of each.

Every step says what is to happen and fails the demo if something else does. Everything listens on loopback, on free
ports; the demo stops what it started. With `--keep` it stays up for requests of your own.
"""

import argparse
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support.credentials import SigningKey, lasting, totp, wrong_totp
from support.paths import DEMO_CONFIGURATION, MODULE, ROOT
from support.process import PATIENCE_SECONDS, Envoy, EnvoyDidNotStart, wait_until
from support.registry import remember
from support.token_server_double import TokenServerDouble
from support.tokens import payload
from support.upstream import Received, Upstream

ISSUER, AUDIENCE = "https://issuer.example", "https://agent.example"

#: The seed of RFC 6238, appendix B.
SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

#: Its SHA-256 digest stands in demo.yaml.
MRWHITE_KEY = "demo-api-key-of-mrwhite"

#: What the API wants in the query.
API_KEY = "demo-key for the api & nobody else"

#: What the agent says who it is with, at the token server.
CLIENT_SECRET = "demo-secret of the agent"

#: How long the token is good that `--keep` prints.
KEPT_TOKEN_SECONDS = 8 * 3600

#: The private half of the key in demo.yaml, as published in RFC 8037, appendix A.1.
PUBLISHED_KEY = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"


def main() -> int:
    """Run all steps. 0: each came out as said."""
    arguments = parse_arguments()
    # A plain `kill` leaves through the same door as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with contextlib.ExitStack() as stack:
        try:
            demo = stack.enter_context(started(arguments.directory))
            demo.run()
            if arguments.keep:
                demo.keep()
        except Unexpected as error:
            print(paint(f"\nNOT AS EXPECTED: {error}", RED))
            return 1
        except EnvoyDidNotStart as error:
            print(error)
            return 1
        except KeyboardInterrupt:
            print("\nstopped")
            return 128 + signal.SIGINT
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="envoy/demo.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C, for requests of your own")
    parser.add_argument(
        "--directory",
        type=Path,
        default=ROOT / "target/demo",
        help="where Envoy's configuration and log go (default: target/demo)",
    )
    return parser.parse_args()


class Unexpected(Exception):
    """A step came out differently."""


@contextlib.contextmanager
def started(directory: Path) -> Iterator["Demo"]:
    """Start an agent, an API, another agent, a token server, and Envoy between them."""
    secrets = {
        "MRPINK_TOTP": remember("demo: TOTP seed of mrpink", SEED),
        "API_KEY": remember("demo: key of the API", API_KEY),
        "CLIENT_SECRET": remember("demo: secret of the agent", CLIENT_SECRET),
    }
    remember("demo: API key of mrwhite", MRWHITE_KEY)
    with (
        Agent("agent") as agent,
        Upstream("api") as api,
        Upstream("charlie") as charlie,
        TokenServerDouble("issuer") as issuer,
    ):
        configuration = demo_configuration(agent.port, api.port, charlie.port, issuer.port)
        with Envoy("envoy", configuration, directory, environment=secrets) as envoy:
            yield Demo(envoy, agent, api, charlie, issuer)


class Agent(Upstream):
    """The agent. Its card says nothing of credentials: that is not its business here."""

    def answer_to(self, received: Received) -> dict:
        """The card, or what every upstream of the demo says."""
        if received.path != CARD:
            return super().answer_to(received)
        interface = {
            "url": "http://agent.example/a2a",
            "protocolBinding": "JSONRPC",
            "protocolVersion": "1.0",
        }
        return {
            "name": "Agent of the demo",
            "description": "Says who called",
            "version": "1.0.0",
            "supportedInterfaces": [interface],
            "capabilities": {},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{"id": "who", "name": "Who", "description": "Says who called", "tags": ["who"]}],
        }


def demo_configuration(*ports: int) -> dict:
    """`demo.yaml` with the module where it was built, the upstreams where they are, and free ports."""
    configuration = yaml.safe_load(DEMO_CONFIGURATION.read_text(encoding="utf-8"))
    resources = configuration["static_resources"]
    set_port(configuration["admin"]["address"], 0)
    for listener in resources["listeners"]:
        set_port(listener["address"], 0)
        (chain,) = listener["filter_chains"]
        manager = chain["filters"][0]["typed_config"]
        vm = manager["http_filters"][0]["typed_config"]["config"]["vm_config"]
        vm["code"]["local"]["filename"] = str(MODULE)
    for cluster, port in zip(resources["clusters"], ports, strict=True):
        set_port(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"], port)
    return configuration


def set_port(address: dict, port: int) -> None:
    """Put a port into an Envoy address."""
    address["socket_address"]["port_value"] = port


@dataclass
class Demo:
    """The running demo, and the steps that it shows."""

    envoy: Envoy
    agent: Upstream
    api: Upstream
    charlie: Upstream
    issuer: TokenServerDouble
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=10))
    steps: int = 0

    def run(self) -> None:
        """Show every step."""
        print(paint("peergate in a real Envoy, configured by envoy/demo.yaml", BOLD))
        self.refusals()
        self.permits()
        self.card()
        self.way_out()
        self.exchange()
        self.metrics()
        print(paint(f"\nAll {self.steps} requests came out as said.", GREEN))

    def refusals(self) -> None:
        """Callers that do not get through."""
        self.chapter("Callers that do not get through")
        token = mint("mrpink")
        missing = self.refused("no credentials", {}, "Missing or invalid Authorization header")
        expect("the challenge", missing.headers["www-authenticate"], 'Bearer realm="demo"')
        expired = mint("mrpink", seconds=-3600)
        self.refused("a token that has expired", bearer(expired), "Token has expired")
        elsewhere = mint("mrpink", aud="https://another.example")
        self.refused("a token for another agent", bearer(elsewhere), "Invalid token audience")
        self.refused("a good token alone, where a code is required", bearer(token), "Missing X-TOTP header")
        wrong = bearer(token) | {"X-TOTP": wrong_totp(SEED)}
        self.refused("a good token with a wrong code", wrong, "Invalid TOTP code")
        self.refused_as_json_rpc()
        expect("requests that reached the agent", len(self.agent.received), 0)

    def permits(self) -> None:
        """Callers that do, and what the agent learns of them."""
        self.chapter("Callers that do, and what the agent learns of them")
        good = bearer(mint("mrpink")) | {"X-TOTP": totp(SEED)}
        seen = self.permitted("a good token with a good code", "/tasks", good)
        expect("what the agent sees", identity(seen), MRPINK)
        expect("credentials that the agent sees", {"authorization", "x-totp"} & seen.names(), set())
        forged = {"X-Agent-Peer": "admin", "x_agent_sub": "admin", "Rb-Auth-Claims": '{"sub":"admin"}'}
        seen = self.permitted("the same, claiming to be the administrator", "/tasks", good | forged)
        expect("what the agent sees", identity(seen), MRPINK)
        expect("what is left of the claim", [v for _, v in seen.headers if "admin" in v], [])
        self.permitted("a code, where codes count once", "/admin/keys", good)
        self.refused("the same code again", good, "Invalid TOTP code", "/admin/keys")
        seen = self.permitted("an API key", "/reports/today", {"X-Api-Key": MRWHITE_KEY})
        expect("what the agent sees", identity(seen), MRWHITE)
        seen = self.permitted("a public path, with a forged identity", CARD, {"X-Agent-Peer": "admin"})
        expect("what the agent sees", identity(seen), {})

    def card(self) -> None:
        """The agent's card, as the agent has it and as callers get it."""
        self.chapter("What callers read in the agent's card")
        before = self.client.get(f"http://127.0.0.1:{self.agent.port}{CARD}").json()
        after = self.send("the card says what the rules want", "inbound", CARD, {}).json()
        expect(
            "what the filter adds", after.keys() - before.keys(), {"securitySchemes", "securityRequirements"}
        )
        expect("what it leaves alone", {name: after[name] for name in before}, before)
        say("agent says", f"{', '.join(before)}")
        for name, scheme in after["securitySchemes"].items():
            say("callers read", f"{name}: {json.dumps(scheme)}")
        (together,) = after["securityRequirements"]
        expect("what goes together", together["schemes"].keys(), {"bearer", "totp"})
        say("and", json.dumps(together))

    def way_out(self) -> None:
        """The agent's own call to an API that takes its key in the query only."""
        self.chapter("The agent calls an API that takes its key in the query only")
        answer = self.send("the agent knows no key", "outbound", "/search?q=agents", {"Host": "api.example"})
        expect("status", answer.status_code, 200)
        seen = self.api.received[-1]
        expect("what the API sees", seen.query, [("q", "agents"), ("apiKey", API_KEY)])
        say("API sees", f"{seen.path}?q=agents&apiKey=*****")

    def exchange(self) -> None:
        """The agent's call to another agent, in its caller's name."""
        self.chapter("The agent calls another agent in its caller's name (token server: a double)")
        mine = bearer(mint("mrpink")) | {"Host": "charlie.example"}
        for title in (
            "the caller's token is exchanged for one of charlie's",
            "the second call finds it there",
        ):
            answer = self.send(title, "outbound", "/tasks", mine)
            expect("status", answer.status_code, 200)
            claims = payload(self.charlie.received[-1].header("authorization").removeprefix("Bearer "))
            expect("whose token charlie sees", claims["sub"], "mrpink")
            expect("for whom it is", claims["aud"], ["https://charlie.example"])
            say("charlie sees", f"a token of {claims['sub']} for {', '.join(claims['aud'])}")
        expect("exchanges", len(self.issuer.requests), 1)
        say("the server", f"was asked once, by {self.issuer.requests[0].client}")

    def metrics(self) -> None:
        """What was counted."""
        self.chapter("What Envoy counted, at /stats/prometheus")
        counted = [
            line
            for line in self.envoy.admin("/stats/prometheus").splitlines()
            if line.startswith("peergate_requests_total{")
        ]
        for line in counted:
            print(f"   {line}")
        labels = 'direction="inbound",outcome="deny",reason="totp_missing",rule="agent"'
        expect("the refusal without a code", f"peergate_requests_total{{{labels}}} 1" in counted, True)

    def refused(self, title: str, headers: dict[str, str], text: str, path: str = "/tasks") -> httpx.Response:
        """A GET that is answered with 401 and this text."""
        answer = self.send(title, "inbound", path, headers)
        expect("status", answer.status_code, 401)
        expect("content type", answer.headers["content-type"], "application/problem+json")
        expect("text", answer.json()["detail"], text)
        say("answer", text)
        say("challenge", answer.headers["www-authenticate"])
        return answer

    def refused_as_json_rpc(self) -> None:
        """Who speaks JSON-RPC is answered in JSON-RPC."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}
        answer = self.send("a JSON-RPC call without credentials", "inbound", "/", {}, call)
        expect("status", answer.status_code, 401)
        expect("content type", answer.headers["content-type"], "application/json")
        error = {"code": -32000, "message": "Missing or invalid Authorization header"}
        expect("body", answer.json(), {"jsonrpc": "2.0", "id": None, "error": error})
        say("answer", answer.text)

    def permitted(self, title: str, path: str, headers: dict[str, str]) -> Received:
        """A GET that reaches the agent, and what arrived there."""
        before = len(self.agent.received)
        answer = self.send(title, "inbound", path, headers)
        expect("status", answer.status_code, 200)
        expect("requests that reached the agent", len(self.agent.received) - before, 1)
        seen = self.agent.received[-1]
        shown = [f"{name}: {value}" for name, value in identity(seen).items()] or ["no identity"]
        for line in shown:
            say("agent sees", line)
        return seen

    def send(
        self, title: str, listener: str, path: str, headers: dict[str, str], call: dict | None = None
    ) -> httpx.Response:
        """Send a request and print it, its status, and Envoy's own log line of it."""
        self.steps += 1
        method = "GET" if call is None else "POST"
        answer = self.client.request(method, self.envoy.url(listener) + path, headers=headers, json=call)
        sent = ", ".join(f"{name}: {abridged(name, value)}" for name, value in headers.items())
        outcome = paint(str(answer.status_code), GREEN if answer.is_success else RED)
        print(f"\n{self.steps:>2}. {title:<58} {outcome}")
        say("request", f"{method} {path}  {sent}".rstrip())
        wait_until(lambda: len(self.envoy.access_log()) >= self.steps, PATIENCE_SECONDS, "Envoy logs it")
        line = self.envoy.access_log()[-1]
        shown = "  ".join(f"{name}={line[name]}" for name in LOGGED if line[name] is not None)
        say("Envoy logs", paint(shown, DIM))
        return answer

    def chapter(self, title: str) -> None:
        """Start a group of steps."""
        print(paint(f"\n── {title} ", BOLD))

    def keep(self) -> None:
        """Print commands to paste, and stay up until Ctrl-C."""
        inbound, outbound = self.envoy.url("inbound"), self.envoy.url("outbound")
        code = f"{sys.executable} -c \"import pyotp; print(pyotp.TOTP('{SEED}').now())\""
        print(paint("\nStill up. From another terminal, for example:\n", BOLD))
        print(f"TOKEN={mint('mrpink', seconds=KEPT_TOKEN_SECONDS)}")
        print(f"curl -i {inbound}/tasks")
        print(f'curl -i -H "Authorization: Bearer $TOKEN" {inbound}/tasks')
        print(f'curl -i -H "Authorization: Bearer $TOKEN" -H "X-TOTP: $({code})" {inbound}/tasks')
        print(f'curl -i -H "X-Api-Key: {MRWHITE_KEY}" {inbound}/reports/today')
        print(f"curl -s {inbound}{CARD}")
        print(f'curl -i -H "Host: api.example" "{outbound}/search?q=agents"')
        print(f"\nEnvoy's log: {self.envoy.log_file}")
        print("Ctrl-C stops everything.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
        print("\nstopped")


def say(what: str, text: str) -> None:
    """Print a line of a step."""
    print(f"    {what:<11} {text}")


def mint(subject: str, seconds: int = 3600, aud: str = AUDIENCE) -> str:
    """A token of the example provider."""
    private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(PUBLISHED_KEY + "="))
    claims = {"iss": ISSUER, "aud": aud, "sub": subject} | lasting(seconds)
    return SigningKey("EdDSA", "rfc8037", private).sign(claims, f"demo: token of {subject}")


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def identity(seen: Received) -> dict[str, str]:
    """What an upstream is told about the caller."""
    return {name: value for name, value in seen.headers if name in IDENTITY_HEADERS}


def abridged(name: str, value: str) -> str:
    """A header as the demo prints it: credentials cut short."""
    if name == "Authorization":
        return "Bearer eyJ…"
    return f"{value[:5]}…" if name == "X-Api-Key" else value


def expect(what: str, actual: object, expected: object) -> None:
    """Hold what came against what was said.

    Raises `Unexpected`.
    """
    if actual != expected:
        raise Unexpected(f"{what}: {expected!r} was expected, not {actual!r}")


def paint(text: str, colour: str) -> str:
    """Colour for a terminal whose owner did not say no (no-color.org); plain text for all others."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


CARD = "/.well-known/agent-card.json"

IDENTITY_HEADERS = ("x-agent-peer", "x-agent-sub", "x-agent-iss", "x-agent-auth", "rb-auth-claims")

MRPINK = {
    "x-agent-peer": "mrpink",
    "x-agent-sub": "mrpink",
    "x-agent-iss": ISSUER,
    "x-agent-auth": "jwt",
    "rb-auth-claims": f'{{"sub":"mrpink","iss":"{ISSUER}"}}',
}

MRWHITE = {
    "x-agent-peer": "mrwhite",
    "x-agent-sub": "mrwhite",
    "x-agent-iss": "api-key",
    "x-agent-auth": "api_key",
    "rb-auth-claims": '{"sub":"mrwhite","name":"Mr White","iss":"api-key"}',
}

#: The members of an access log line that the demo prints.
LOGGED = ("direction", "path", "status", "reason", "rule", "peer", "cluster")

RED, GREEN, BOLD, DIM = "31", "32", "1", "2"


if __name__ == "__main__":
    sys.exit(main())
