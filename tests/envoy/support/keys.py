"""What the tests of fetched keys have in common."""

import httpx

from .cast import AUDIENCE, bearer
from .client import TIMEOUT_SECONDS, Client
from .key_server_double import KeyServerDouble
from .process import PATIENCE_SECONDS, wait_until

#: More than Envoy has workers, so that each of them is asked.
MANY = 12


def discovered(double: KeyServerDouble, cluster: str, timeout_seconds: int = 1, **cache: int) -> dict:
    """A provider whose keys are found by discovery at a double."""
    jwks = {"discovery": {"cluster": cluster, "timeout_seconds": timeout_seconds}}
    return {
        "issuer": double.issuer,
        "audiences": [AUDIENCE],
        "jwks": jwks | ({"cache": cache} if cache else {}),
    }


def get(client: Client, token: str) -> httpx.Response:
    """The answer on a connection of its own."""
    url = f"http://127.0.0.1:{client.port}/"
    return httpx.get(url, headers=bearer(token), trust_env=False, timeout=TIMEOUT_SECONDS)


def everywhere(client: Client, token: str) -> set[int]:
    """What a token gets on new connections, which Envoy's workers share between them."""
    return {get(client, token).status_code for _ in range(MANY)}


def await_active(client: Client, count: int, listener: str = "inbound") -> None:
    """Wait until so many requests are in Envoy."""

    def active() -> int:
        (line,) = client.envoy.admin(f"/stats?filter=^http.{listener}.downstream_rq_active$").splitlines()
        return int(line.partition(": ")[2])

    wait_until(lambda: active() == count, PATIENCE_SECONDS, f"{count} requests are there")
