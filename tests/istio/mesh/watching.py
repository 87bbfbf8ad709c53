"""What callers see, asked until it is so: a change takes its time through the control plane."""

from collections.abc import Callable

import httpx

from support.process import PATIENCE_SECONDS, wait_until


def await_status(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """Ask until the answer has this status, and give it."""
    answers: list[httpx.Response] = []

    def asked() -> bool:
        answers.append(ask())
        return answers[-1].status_code == status

    try:
        wait_until(asked, PATIENCE_SECONDS, f"status {status}")
    except TimeoutError as error:
        raise AssertionError(f"status {answers[-1].status_code}: {answers[-1].text}") from error
    return answers[-1]


def await_realm(client: httpx.Client, realm: str) -> None:
    """Wait until strangers are refused by the policy with this realm (RFC 9110 §11.5)."""
    await_true(
        lambda: f'realm="{realm}"' in client.get("/").headers.get("www-authenticate", ""), f"realm {realm}"
    )


def await_true(condition: Callable[[], object], what: str) -> None:
    """Ask until something is so."""
    wait_until(condition, PATIENCE_SECONDS, what)
