"""A user of a2a-sdk 1.x, who knows nothing of what stands before the agent: its card says what to send."""

from a2a.client import A2ACardResolver, ClientCallContext, ClientConfig, ClientFactory
from a2a.client.auth import AuthInterceptor, CredentialService
from a2a.client.card_resolver import parse_agent_card
from a2a.helpers import get_stream_response_text, new_text_message
from a2a.types import GetExtendedAgentCardRequest, Role, SendMessageRequest
from a2a.utils.errors import A2AError
from a2a.utils.signing import SignatureVerificationError
from documented import connect, interceptors, verifier
from driving import Session, drive
from google.protobuf.json_format import MessageToDict


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


class SessionV1(Session):
    """The user's steps. The first one is to read the card."""

    errors = (A2AError, SignatureVerificationError)

    async def card(self, path: str | None = None, headers: dict | None = None) -> dict:
        """Fetch the card, and make clients of it."""
        factories = [self._factory(streaming) for streaming in (False, True)]
        resolver = A2ACardResolver(self.http, self.asked["url"])
        card = await resolver.get_agent_card(path, {"headers": headers}, self._verifier())
        if self.asked.get("one_interceptor"):
            made = [AuthInterceptor(Everything(self))]
        else:
            made = interceptors(card, self.token, self.code)
        self._client, self._streaming_client = (factory.create(card, made) for factory in factories)
        return MessageToDict(card)

    async def verify(self, card: dict) -> None:
        """Verify a card that came by another way."""
        self._verifier()(parse_agent_card(card))

    async def send(self, text: str) -> str:
        """Send a message, and give what is said."""
        (answer,) = [event async for event in self._client.send_message(message(text))]
        return get_stream_response_text(answer)

    async def send_as_documented(self, text: str) -> str:
        """The same, without any step before it."""
        self._client = await connect(self.asked["url"], self.token, self.code, self.asked.get("keys"))
        return await self.send(text)

    async def stream(self) -> list[str]:
        """Have the agent wait, and tell it to go on when it says that it does: both come while the stream is open."""
        said = []
        async for event in self._streaming_client.send_message(message("wait")):
            said.append(get_stream_response_text(event))
            if said[-1] == "waiting":
                said.append(await self.send("go on"))
        return said

    async def extended(self) -> dict:
        """Fetch the extended card, which takes the place of the other in the client."""
        request = GetExtendedAgentCardRequest()
        card = await self._client.get_extended_agent_card(request, signature_verifier=self._verifier())
        return MessageToDict(card)

    def _factory(self, streaming: bool) -> ClientFactory:
        bindings = [self.asked.get("transport", "JSONRPC")]
        config = ClientConfig(streaming, httpx_client=self.http, supported_protocol_bindings=bindings)
        return ClientFactory(config)

    def _verifier(self) -> object:
        return verifier(self.asked["keys"]) if "keys" in self.asked else None


def message(text: str) -> SendMessageRequest:
    """A message of the user's."""
    return SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))


if __name__ == "__main__":
    drive(SessionV1)
