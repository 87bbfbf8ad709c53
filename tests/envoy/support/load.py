"""Requests without a pause, in the background of a test."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from .cast import bearer
from .client import TIMEOUT_SECONDS
from .process import PATIENCE_SECONDS, wait_until

#: Between two requests of one caller: a test shall not keep a machine from what it tests.
PAUSE_SECONDS = 0.005


@dataclass(frozen=True)
class Answered:
    """One request and what became of it; times are seconds of the monotonic clock."""

    token: str
    began: float
    ended: float
    status: int
    text: str

    @property
    def seconds(self) -> float:
        """How long the caller waited."""
        return self.ended - self.began


class Load:
    """Callers that send the tokens of the moment. As a context manager it runs for the length of the block.

    They may begin before anybody listens on the port.
    """

    def __init__(self, port: int, tokens: Callable[[], list[str]], callers: int = 3):
        self.answers: list[Answered] = []
        self._url = f"http://127.0.0.1:{port}/load"
        self._tokens = tokens
        self._over = threading.Event()
        self._failures: list[Exception] = []
        self._callers = [threading.Thread(target=self._call, args=(start,)) for start in range(callers)]

    def __enter__(self) -> "Load":
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for caller in self._callers:
            caller.join()
        assert not self._failures, self._failures

    def flows(self, count: int = 20) -> None:
        """Wait until so many more requests were answered."""
        enough = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= enough or self._failures, PATIENCE_SECONDS, "requests flow")

    def refused(self) -> list[tuple[int, str]]:
        """What those were told that were not let in."""
        return [(each.status, each.text) for each in self.answers if each.status != 200]

    def _call(self, count: int) -> None:
        with httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as session:
            while not self._over.wait(PAUSE_SECONDS):
                tokens = self._tokens()
                token = tokens[count % len(tokens)]
                count += 1
                began = time.monotonic()
                try:
                    answer = session.get(self._url, headers=bearer(token))
                except httpx.ConnectError:
                    continue
                except httpx.HTTPError as error:
                    self._failures.append(error)
                    return
                ended = time.monotonic()
                self.answers.append(Answered(token, began, ended, answer.status_code, answer.text))
