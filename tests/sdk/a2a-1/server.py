"""Agents that are built with a2a-sdk 1.x, each on a port of its own, on loopback; they say what they are told.

The first line of standard input is an object in JSON: agents by name, each with its `card` and `extended` card in the
form of A2A 1.0, and where it signs them the `key` (a private one in PEM) and its `kid`. The answer is a line with their
ports. A card that names an interface of 0.3 is served in both forms, and its agent speaks 0.3 too.

Told `wait`, an agent starts a task, says so, and ends it once it is told `go on`, which is what it is about in streams.
"""

import asyncio

from a2a.helpers import get_message_text, new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer
from google.protobuf.json_format import ParseDict
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
        await event_queue.enqueue_event(new_text_message(f"{caller} said: {told}"))

    async def _wait(self, context: RequestContext, event_queue: EventQueue) -> None:
        self._go_on.clear()
        task = new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work(new_text_message("waiting", context_id=task.context_id, task_id=task.id))
        await asyncio.wait_for(self._go_on.wait(), PATIENCE_SECONDS)
        await updater.complete(new_text_message("told to go on", context_id=task.context_id, task_id=task.id))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """No task of this agent is cancelled."""
        raise NotImplementedError


def application(settings: dict) -> Starlette:
    """An agent: its card, JSON-RPC at `/rpc`, REST at the root."""
    card, extended = (ParseDict(settings[kind], AgentCard()) for kind in ("card", "extended"))
    if key := settings.get("key"):
        sign = create_agent_card_signer(key, {"alg": "ES256", "kid": settings["kid"], "typ": "JOSE"})
        card, extended = sign(card), sign(extended)
    handler = DefaultRequestHandler(Echo(), InMemoryTaskStore(), card, extended_agent_card=extended)
    legacy = any(each.protocol_version.startswith("0.") for each in card.supported_interfaces)
    routes = [
        *create_agent_card_routes(card),
        *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=legacy),
        *create_rest_routes(handler, enable_v0_3_compat=legacy),
    ]
    return Starlette(routes=routes)


if __name__ == "__main__":
    serve(application)
