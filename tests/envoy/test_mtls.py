"""Callers who are known by the certificate of their connection, and why an operator must vouch for the listener."""

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support.bootstrap import bootstrap, cluster, listener, peergate
from support.cast import ENVIRONMENT, MRPINK_SEED, bearer, policy, rule, token
from support.certificates import Authority, Certificate
from support.client import TIMEOUT_SECONDS, Client, refusal
from support.credentials import totp

EXTENSIONS = "type.googleapis.com/envoy.extensions"
TLS = f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext"

MRPINK = "spiffe://mesh.example/ns/agents/sa/mrpink"
BATCH = "spiffe://mesh.example/ns/batch/sa/nightly"
STRANGER = "spiffe://mesh.example/ns/other/sa/x"

#: The mesh's own, and one that anybody could make.
MESH = Authority("mesh")
ANYBODYS = Authority("anybody's")
SERVER = MESH.sign(address="127.0.0.1")

POLICY = policy(
    rule("public", ["none"], "/public"),
    rule("both", ["jwt", "mtls"], "/both"),
    rule("pink", ["mtls"], "/pink", require={"peers": ["mrpink"]}),
    rule("totp", ["mtls"], "/totp", require={"totp": True}),
    rule("mesh", ["mtls"]),
    mtls={"listener_validates_client_certificates": True},
    peers={
        "mrpink": {"principals": [MRPINK], "totp_seeds": [{"env": "MRPINK_TOTP"}]},
        "batch": {"tokens": {}, "principals": ["spiffe://mesh.example/ns/batch/*"]},
    },
)

#: What a listener must do for `accept: [mtls]`.
VALIDATING = {
    "require_client_certificate": True,
    "common_tls_context": {"validation_context": {"trusted_ca": {"inline_string": MESH.certificate}}},
}


class TlsClient:
    """Requests to a listener with TLS, each over a connection of its own."""

    def __init__(self, port: int, directory: Path):
        self._port = port
        self._directory = directory

    def get(self, path: str, certificate: Certificate | None, headers: dict | None = None) -> httpx.Response:
        """A GET, with this certificate or with none."""
        context = ssl.create_default_context(cadata=MESH.certificate)
        if certificate:
            context.load_cert_chain(certificate.write(self._directory, "client"))
        with httpx.Client(verify=context, trust_env=False, timeout=TIMEOUT_SECONDS) as session:
            return session.get(f"https://127.0.0.1:{self._port}{path}", headers=headers or {})


@pytest.fixture(scope="module")
def start(envoy, agent, tmp_path_factory) -> Callable[[dict], TlsClient]:
    """Starts an Envoy whose listener does with certificates what is said."""

    def started(tls: dict) -> TlsClient:
        inbound = listener("inbound", [peergate(POLICY, ENVIRONMENT)], "agent")
        own = {
            "certificate_chain": {"inline_string": SERVER.certificate},
            "private_key": {"inline_string": SERVER.key},
        }
        common = tls.get("common_tls_context", {}) | {"tls_certificates": [own]}
        for chain in inbound["filter_chains"]:
            chain["transport_socket"] = {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {"@type": TLS} | tls | {"common_tls_context": common},
            }
        running = envoy(bootstrap([inbound], [cluster("agent", agent.port)]), ENVIRONMENT)
        return TlsClient(running.port("inbound"), tmp_path_factory.mktemp("certificates"))

    return started


@pytest.fixture(scope="module")
def client(start) -> TlsClient:
    """A client of a listener that validates."""
    return start(VALIDATING)


@contextlib.contextmanager
def no_handshake() -> Iterator[None]:
    """The listener itself refuses the certificate, before any request."""
    with pytest.raises(httpx.TransportError, match=r"(?i)alert|reset|disconnected|closed|broken"):
        yield


def test_a_certificate_is_its_peer(client, agent):
    assert client.get("/x", MESH.sign(MRPINK), {"X-Agent-Sub": "boss"}).status_code == 200
    received = agent.only()
    assert received.header("x-agent-peer") == "mrpink"
    assert received.header("x-agent-sub") == MRPINK
    assert received.header("x-agent-iss") == "mtls"
    assert received.header("x-agent-auth") == "mtls"


def test_a_prefix_names_a_peer(client, agent):
    assert client.get("/x", MESH.sign(BATCH)).status_code == 200
    assert agent.only().header("x-agent-peer") == "batch"
    assert refusal(client.get("/pink", MESH.sign(BATCH))) == (403, "Access denied")


def test_a_name_of_nobody_is_a_caller_without_a_peer(client, agent):
    assert client.get("/x", MESH.sign(STRANGER)).status_code == 200
    assert agent.only().header("x-agent-peer") is None
    assert agent.only().header("x-agent-sub") == STRANGER


@pytest.mark.parametrize(
    "uris", [(), ("https://mesh.example/mrpink",), (MRPINK + "/../mrblue",)], ids=["none", "https", "dots"]
)
def test_a_certificate_without_a_spiffe_id_names_nobody(client, agent, uris):
    answer = client.get("/x", MESH.sign(*uris))
    assert refusal(answer) == (401, "Missing or invalid Authorization header")
    assert not agent.received


def test_of_several_names_the_first_counts(client, agent):
    assert client.get("/x", MESH.sign(BATCH, MRPINK)).status_code == 200
    assert agent.only().header("x-agent-peer") == "batch"


def test_a_certificate_and_a_second_factor(client):
    certificate = MESH.sign(MRPINK)
    assert refusal(client.get("/totp", certificate)) == (401, "Missing X-TOTP header")
    assert client.get("/totp", certificate, {"X-TOTP": totp(MRPINK_SEED)}).status_code == 200


def test_what_is_presented_counts_before_the_certificate(client, agent):
    assert client.get("/both", MESH.sign(BATCH), bearer(token("mrpink"))).status_code == 200
    assert agent.only().header("x-agent-auth") == "jwt"
    assert client.get("/both", MESH.sign(BATCH), bearer("junk")).status_code == 401
    assert client.get("/x", MESH.sign(BATCH), bearer(token("mrpink"))).status_code == 401


def test_a_validating_listener_takes_no_other_certificates(client, agent):
    for certificate in (None, ANYBODYS.sign(MRPINK)):
        with no_handshake():
            client.get("/public", certificate)
    assert not agent.received


def test_who_may_come_without_a_certificate_has_no_name(start, agent):
    """As Istio's PERMISSIVE mode: certificates are optional, and those that come are validated."""
    client = start(VALIDATING | {"require_client_certificate": False})
    assert refusal(client.get("/x", None)) == (401, "Missing or invalid Authorization header")
    assert client.get("/public", None).status_code == 200
    assert agent.only().header("x-agent-sub") is None
    assert client.get("/x", MESH.sign(MRPINK)).status_code == 200
    with no_handshake():
        client.get("/x", ANYBODYS.sign(MRPINK))


def test_a_connection_without_tls_has_no_name(sidecar):
    client = sidecar(POLICY)
    assert refusal(client.get("/x")) == (401, "Missing or invalid Authorization header")


@pytest.mark.parametrize("common", [{}, {"validation_context": {}}], ids=["absent", "empty"])
def test_without_a_trusted_authority_no_certificate_is_asked_for(start, agent, common):
    client = start({"require_client_certificate": True, "common_tls_context": common})
    assert client.get("/x", ANYBODYS.sign(MRPINK)).status_code == 401
    assert not agent.received


def test_why_the_operator_must_vouch_for_the_listener(start, agent):
    """No defence: Envoy tells the filter of this certificate what it tells of a good one. Whoever sets
    `listener_validates_client_certificates` for such a listener lets everybody be everybody."""
    trust = {
        "trusted_ca": {"inline_string": MESH.certificate},
        "trust_chain_verification": "ACCEPT_UNTRUSTED",
    }
    client = start({"require_client_certificate": True, "common_tls_context": {"validation_context": trust}})
    assert client.get("/pink", ANYBODYS.sign(MRPINK)).status_code == 200
    assert agent.only().header("x-agent-peer") == "mrpink"


@pytest.mark.parametrize("name", [MRPINK, MRPINK.removeprefix("spiffe://")], ids=["with scheme", "without"])
def test_in_a_waypoint_the_name_is_in_filter_state(envoy, agent, name):
    state = {
        "object_key": "io.istio.peer_principal",
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": name}},
    }
    filters = [
        {
            "name": "envoy.filters.http.set_filter_state",
            "typed_config": {
                "@type": f"{EXTENSIONS}.filters.http.set_filter_state.v3.Config",
                "on_request_headers": [state],
            },
        },
        peergate(POLICY, ENVIRONMENT),
    ]
    clusters = [cluster("agent", agent.port)]
    waypoint = bootstrap([listener("inbound", filters, "agent")], clusters, "waypoint~10.0.0.1~a.b~c")
    with Client(envoy(waypoint, ENVIRONMENT)) as client:
        assert client.get("/pink").status_code == 200
        assert agent.only().header("x-agent-sub") == MRPINK
    agent.forget()
    elsewhere = bootstrap([listener("inbound", filters, "agent")], clusters, "sidecar~10.0.0.1~a.b~c")
    with Client(envoy(elsewhere, ENVIRONMENT)) as client:
        assert client.get("/pink").status_code == 401
