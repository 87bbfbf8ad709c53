"""Agents that are built with a2a-sdk 0.3, each on a port of its own, on loopback; they say what they are told.

The first line of standard input is an object in JSON: agents by name, each with its `card` and `extended` card in the
form of A2A 0.3, and where it signs them the `key` (a private one in PEM) and its `kid`. The answer is a line with
their ports.

Told `wait`, an agent starts a task, says so, and ends it once it is told `go on`, which is what it is about in streams.
"""

import asyncio

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2ARESTFastAPIApplication, A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCard
from a2a.utils import get_message_text, new_agent_text_message, new_task
from a2a.utils.signing import create_agent_card_signer
from serving import PATIENCE_SECONDS, serve
from starlette.applications import Starlette


class Echo(AgentExecutor):
    """Says who it was told by, and what."""

    def __init__(self) -> None:
        self._go_on = asyncio.Event()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer one message."""
        told = get_message_text(context.message)
        if told == "wait":
            await self._wait(context, event_queue)
            return
        if told == "go on":
            self._go_on.set()
        caller = context.call_context.state["headers"].get("x-agent-peer", "nobody")
        await event_queue.enqueue_event(new_agent_text_message(f"{caller} said: {told}"))

    async def _wait(self, context: RequestContext, event_queue: EventQueue) -> None:
        self._go_on.clear()
        task = new_task(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work(new_agent_text_message("waiting", task.context_id, task.id))
        await asyncio.wait_for(self._go_on.wait(), PATIENCE_SECONDS)
        await updater.complete(new_agent_text_message("told to go on", task.context_id, task.id))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """No task of this agent is cancelled."""
        raise NotImplementedError


def application(settings: dict) -> Starlette:
    """An agent: its card, JSON-RPC at the root, REST below `/rest`."""
    card, extended = (AgentCard.model_validate(settings[kind]) for kind in ("card", "extended"))
    if key := settings.get("key"):
        sign = create_agent_card_signer(key, {"alg": "ES256", "kid": settings["kid"], "typ": "JOSE"})
        card, extended = sign(card), sign(extended)
    handler = DefaultRequestHandler(Echo(), InMemoryTaskStore())
    built = A2AStarletteApplication(card, handler, extended_agent_card=extended).build()
    built.mount("/rest", A2ARESTFastAPIApplication(card, handler, extended_agent_card=extended).build())
    return built


if __name__ == "__main__":
    serve(application)
