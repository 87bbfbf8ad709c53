"""A user of a2a-sdk 0.3, who knows nothing of what stands before the agent: its card says what to send."""

import uuid

from a2a.client import A2ACardResolver, ClientCallContext, ClientConfig, ClientFactory
from a2a.client.auth import AuthInterceptor, CredentialService
from a2a.client.errors import A2AClientError
from a2a.types import AgentCard, Message, Part, Role, TextPart
from a2a.utils import get_message_text
from a2a.utils.signing import SignatureVerificationError
from documented import connect, for_rest, interceptors, verifier
from driving import Session, drive


class Everything(CredentialService):
    """All that a user has, for one interceptor."""

    def __init__(self, session: Session):
        self._session = session

    async def get_credentials(
        self,
        security_scheme_name: str,
        context: ClientCallContext | None,  # noqa: ARG002
    ) -> str | None:
        """A credential by the name that the filter gives its scheme."""
        return self._session.code() if security_scheme_name == "totp" else self._session.token()


class SessionV03(Session):
    """The user's steps. The first one is to read the card."""

    errors = (A2AClientError, SignatureVerificationError)

    async def card(self, path: str | None = None, headers: dict | None = None) -> dict:
        """Fetch the card, and make clients of it."""
        factories = [self._factory(streaming) for streaming in (False, True)]
        resolver = A2ACardResolver(self.http, self.asked["url"])
        self._card = await resolver.get_agent_card(path, {"headers": headers}, self._verifier())
        if self.asked.get("one_interceptor"):
            self._made = [AuthInterceptor(Everything(self))]
        else:
            self._made = interceptors(self._card, self.token, self.code)
        self._client, self._streaming_client = (
            factory.create(self._card, interceptors=self._made) for factory in factories
        )
        return plain(self._card)

    async def verify(self, card: dict) -> None:
        """Verify a card that came by another way."""
        self._verifier()(AgentCard.model_validate(card))

    async def send(self, text: str) -> str:
        """Send a message, and give what is said."""
        (answer,) = [event async for event in self._client.send_message(message(text))]
        return get_message_text(answer)

    async def send_with_context(self, text: str) -> str:
        """The same, with what the interceptors give beside the call."""
        context = await for_rest(self._card, self._made)
        (answer,) = [event async for event in self._client.send_message(message(text), context=context)]
        return get_message_text(answer)

    async def send_as_documented(self, text: str) -> str:
        """The same, without any step before it."""
        self._client = await connect(self.asked["url"], self.token, self.code, self.asked.get("keys"))
        return await self.send(text)

    async def stream(self) -> list[str]:
        """Have the agent wait, and tell it to go on when it says that it does: both come while the stream is open."""
        said = []
        async for task, _ in self._streaming_client.send_message(message("wait")):
            said.append(get_message_text(task.status.message) if task.status.message else "")
            if said[-1] == "waiting":
                said.append(await self.send("go on"))
        return said

    async def extended(self) -> dict:
        """Fetch the extended card, which takes the place of the other in the client."""
        return plain(await self._client.get_card(signature_verifier=self._verifier()))

    def _factory(self, streaming: bool) -> ClientFactory:
        transports = [self.asked.get("transport", "JSONRPC")]
        return ClientFactory(ClientConfig(streaming, httpx_client=self.http, supported_transports=transports))

    def _verifier(self) -> object:
        return verifier(self.asked["keys"]) if "keys" in self.asked else None


def message(text: str) -> Message:
    """A message of the user's."""
    return Message(role=Role.user, parts=[Part(root=TextPart(text=text))], message_id=str(uuid.uuid4()))


def plain(card: AgentCard) -> dict:
    """A card as the SDK has read it."""
    return card.model_dump(mode="json", by_alias=True, exclude_none=True)


if __name__ == "__main__":
    drive(SessionV03)
