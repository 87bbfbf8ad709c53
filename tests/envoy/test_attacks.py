"""Attacks of which only a real Envoy can show what reaches the filter. The others are in `tests/attacks`."""

import socket

import h2.config
import h2.connection
import h2.events
import pytest

from support.cast import MRPINK_SEED, bearer, policy, rule, token
from support.client import TIMEOUT_SECONDS, problem, refusal
from support.credentials import totp

PUBLIC, PRIVATE = "public.tests.example", "private.tests.example"
DENIED = (403, "Access denied")
NO_CREDENTIALS = (401, "Missing or invalid Authorization header")
INVALID = (401, "Invalid or missing authentication credentials")
INVALID_HOST = (400, "Invalid host")


@pytest.fixture(scope="module")
def client(sidecar):
    return sidecar(
        policy(
            {"name": "host", "match": {"hosts": [PUBLIC]}, "accept": ["none"]},
            {"name": "closed", "match": {"hosts": [PRIVATE]}, "deny": True},
            rule("second-factor", ["jwt"], "/totp", require={"totp": True}),
            rule("agent", ["jwt"]),
            limits={"max_token_bytes": 65536},
        )
    )


def test_an_empty_authorization_beside_another_is_dropped(client, agent):
    """CVE-2021-32777: Envoy joins the two with a comma, but for an empty one, so that one credential is left."""
    good = f"Authorization: Bearer {token()}".encode()
    for headers in ([good, b"Authorization:"], [b"Authorization:", good]):
        assert client.raw_get("/", *headers)[0] == 200
    assert [request.header("x-agent-sub") for request in agent.received] == ["mrpink", "mrpink"]
    assert [request.values("authorization") for request in agent.received] == [[], []]


def test_authorization_headers_of_two_kinds_are_joined_and_refused(client, agent):
    """CVE-2021-32777: whichever a reader would take."""
    good = f"Authorization: Bearer {token()}".encode()
    for other in (b"Authorization: Basic bXJwaW5rOng=", b"AUTHORIZATION: x", b"authorization: ,"):
        for headers in ([good, other], [other, good]):
            assert problem(*client.raw_get("/", *headers)) == (400, "More than one credential of a kind")
    assert agent.received == []


@pytest.mark.parametrize("second", [PRIVATE, PUBLIC, "x"])
def test_two_host_headers_are_refused(client, agent, second):
    """GHSA-g53w-w6mj-hrpp: Envoy joins them, and so says both or refuses itself."""
    for hosts in ((PUBLIC, second), (second, PUBLIC)):
        lines = b"".join(b"Host: %s\r\n" % host.encode() for host in hosts)
        status, body = client.raw(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
        assert status == 400
        assert body == b"" or problem(status, body) == INVALID_HOST
    assert agent.received == []


def test_host_beside_an_absolute_target_does_not_count(client, agent):
    """GHSA-g53w-w6mj-hrpp: the target's host is the authority, on the way up as well."""
    request = b"GET http://%s/x HTTP/1.1\r\nHost: %s\r\n\r\n"
    assert problem(*client.raw(request % (PRIVATE.encode(), PUBLIC.encode()))) == DENIED
    assert agent.received == []
    assert client.raw(request % (PUBLIC.encode(), PRIVATE.encode()))[0] == 200
    assert agent.only().header("host") == PUBLIC


def test_host_beside_authority_in_http2_does_not_count(client, agent):
    """GHSA-g53w-w6mj-hrpp: in HTTP/2 both can be sent. Only `:authority` decides, and nothing else goes up."""
    assert http2_status(client, PRIVATE, [("host", PUBLIC)]) == 403
    assert http2_status(client, "other.tests.example", [("host", PUBLIC)]) == 401
    assert agent.received == []
    assert http2_status(client, PUBLIC, [("host", PRIVATE)]) == 200
    assert agent.only().header("host") == PUBLIC


@pytest.mark.parametrize("authority", [f"{PUBLIC},{PRIVATE}", f"x@{PUBLIC}", f"{PUBLIC} ", ""])
def test_an_authority_with_two_meanings_in_http2_is_refused(client, agent, authority):
    """GHSA-g53w-w6mj-hrpp: by the filter, or by Envoy, which closes the stream."""
    assert http2_status(client, authority) in (400, None)
    assert agent.received == []


def test_a_token_over_the_limit_of_headers_is_refused_by_envoy(client, agent):
    """Envoy takes 60 KiB of headers. Below it a token is refused for its length or its form, and nothing traps."""
    for kibibytes in (8, 32, 58):
        answer = client.get("/", {"Authorization": "Bearer " + "A" * (kibibytes * 1024)})
        assert refusal(answer) == INVALID
        dots = client.get("/", {"Authorization": "Bearer " + "." * (kibibytes * 1024)})
        assert refusal(dots) == INVALID
    for kibibytes in (61, 200, 1024):
        assert client.raw_get("/", b"Authorization: Bearer " + b"A" * (kibibytes * 1024))[0] == 431
        assert client.raw_get("/", b"X-TOTP: " + b"1" * (kibibytes * 1024), *credentials())[0] == 431
    assert agent.received == []
    stats = client.envoy.admin("/stats?filter=vm_reload")
    assert [line for line in stats.splitlines() if not line.endswith(": 0")] == []


def test_a_second_factor_as_long_as_headers_may_be_is_wrong(client, agent):
    """What is longer than a code is no code, and costs its sender a refusal like any other."""
    answer = client.raw_get("/totp", b"X-TOTP: " + b"0" * (50 * 1024), *credentials())
    assert problem(*answer) == (401, "Invalid TOTP code")
    assert client.raw_get("/totp", b"X-TOTP: " + totp(MRPINK_SEED).encode(), *credentials())[0] == 200
    assert agent.only().path == "/totp"


def test_options_without_cors_headers_is_asked_for_credentials(client, agent):
    """FortiWeb 8.0.3."""
    assert refusal(client.request("OPTIONS", "/")) == NO_CREDENTIALS
    cors = {"Origin": "https://attacker.example", "Access-Control-Request-Method": "POST"}
    assert refusal(client.request("OPTIONS", "/", cors)) == NO_CREDENTIALS
    assert agent.received == []


def credentials() -> list[bytes]:
    """A good first factor."""
    return [f"{name}: {value}".encode() for name, value in bearer(token()).items()]


def http2_status(client, authority: str, headers: list[tuple[str, str]] = ()) -> int | None:
    """The status of a GET with headers that other clients would not send; None where Envoy closes the stream."""
    settings = h2.config.H2Configuration(
        header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
    )
    connection = h2.connection.H2Connection(settings)
    with socket.create_connection(("127.0.0.1", client.port), timeout=TIMEOUT_SECONDS) as channel:
        connection.initiate_connection()
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", "/")]
        connection.send_headers(1, [*pseudo, *headers], end_stream=True)
        channel.sendall(connection.data_to_send())
        while octets := channel.recv(65536):
            for event in connection.receive_data(octets):
                if isinstance(event, h2.events.ResponseReceived):
                    return int(dict(event.headers)[":status"])
                if isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    return None
            channel.sendall(connection.data_to_send())
    return None
