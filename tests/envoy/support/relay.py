"""An agent that calls tools for its callers, through the other half of its sidecar, and passes one header on."""

import httpx

from .upstream import Received, Upstream


class Relay(Upstream):
    """The agent. Asked for `/a`, it calls `a.tests.example`, and answers with what that has said.

    What it does with the header is up to `passes`: as it is, if a test says nothing else.
    """

    def __init__(self, name: str, header: str):
        super().__init__(name)
        self.header = header
        #: The port of the listener that its calls go through.
        self.outbound = 0
        self.passes = as_it_is

    def forget(self) -> None:
        """Forget what was received, and pass the header on as it is."""
        super().forget()
        self.passes = as_it_is

    def answer_to(self, received: Received) -> dict:
        """What the tool has said."""
        value = self.passes(received.header(self.header))
        headers = {"host": f"{received.path.strip('/')}.tests.example"}
        if value is not None:
            headers[self.header] = value
        url = f"http://127.0.0.1:{self.outbound}/tool"
        answer = httpx.get(url, headers=headers, trust_env=False, timeout=20)
        return {"status": answer.status_code, "said": answer.text}


def as_it_is(value: str | None) -> str | None:
    """Nothing is changed."""
    return value
