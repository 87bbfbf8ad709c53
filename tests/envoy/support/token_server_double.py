"""A double of an authorization server: it does what no real one in the tests does.

It puts several `resource` into a token and echoes the actor; it has an endpoint that wants on-behalf-of requests as
Entra ID does; and it gives any answer that a test makes up. It remembers each request as it came, byte for byte.

What it issues are JWTs that say what was asked for, so that an upstream can see which token it was given.
"""

import base64
import json
import secrets
import threading
from collections import Counter
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from .credentials import SigningKey, lasting
from .key_server_double import JWKS, KeyServerDouble, Reply, as_json
from .oauth_client import ACCESS_TOKEN, JWT_BEARER, TOKEN_EXCHANGE
from .registry import remember, remember_token
from .tokens import payload
from .upstream import Received

TOKEN = "/token"
INTROSPECTION = "/introspect"
#: As Entra ID's, with its tenant before it.
ON_BEHALF_OF = "/tenant/oauth2/v2.0/token"
METADATA = "/.well-known/oauth-authorization-server"

#: How long its tokens are good, if a test says nothing else.
TOKEN_SECONDS = 300


@dataclass(frozen=True)
class TokenRequest:
    """A request of a client, with the ways to look at it that tests want."""

    received: Received

    @property
    def path(self) -> str:
        """Which endpoint was asked."""
        return self.received.path

    @property
    def members(self) -> list[tuple[str, str]]:
        """The members of the form, decoded, in the order in which they came."""
        body = self.received.body.decode("ascii")
        return parse_qsl(body, keep_blank_values=True, strict_parsing=True) if body else []

    @property
    def names(self) -> list[str]:
        """Their names, in that order."""
        return [name for name, _ in self.members]

    def values(self, name: str) -> list[str]:
        """Every value of a member, in that order."""
        return [value for each, value in self.members if each == name]

    def value(self, name: str) -> str | None:
        """The value of a member that must not stand more than once; None if it is absent."""
        values = self.values(name)
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None

    @property
    def basic(self) -> tuple[str, str] | None:
        """The client and its secret in the header, not decoded beyond base64; None without it."""
        header = self.received.header("authorization")
        if header is None:
            return None
        scheme, _, joined = header.partition(" ")
        assert scheme == "Basic", scheme
        client, _, secret = base64.b64decode(joined, validate=True).decode("ascii").partition(":")
        return client, secret

    @property
    def client(self) -> str:
        """Who asks, by whatever means that is said."""
        if self.basic is not None:
            return unquote_plus(self.basic[0])
        if assertion := self.value("client_assertion"):
            return payload(assertion)["sub"]
        return self.value("client_id") or ""


class TokenServerDouble(KeyServerDouble):
    """The server. As a context manager it runs for the length of the block, on a free port of its own.

    Its tokens are signed with its one key, which it publishes.
    """

    def __init__(self, name: str, path: str = ""):
        self.key = SigningKey.generate("ES256", f"{name}-1")
        super().__init__(name, [self.key], path)
        #: Each request for a token, in the order in which they came.
        self.requests: list[TokenRequest] = []
        #: What becomes of the next requests, before one is answered as usual.
        self.next: list[Reply] = []
        #: What becomes of every request, until it is taken away.
        self.always: Reply | None = None
        #: Further places of its endpoints.
        self.places: dict[str, str] = {}
        #: What is changed in answers to good requests; `None` takes a member away.
        self.changes: dict[str, object] = {}
        #: Answers wait until this is set.
        self.after: threading.Event | None = None
        #: How long a token is good that is issued from now on.
        self.seconds = TOKEN_SECONDS
        #: What introspection says, by token.
        self.tokens: dict[str, dict] = {}
        self.used_assertions: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.reply(METADATA, as_json(self.metadata()))

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for."""
        return self.issuer + TOKEN

    @property
    def on_behalf_of_endpoint(self) -> str:
        """Where they are asked for as Entra ID wants it."""
        return self.issuer + ON_BEHALF_OF

    @property
    def introspection_endpoint(self) -> str:
        """Where clients ask about tokens."""
        return self.issuer + INTROSPECTION

    def metadata(self, **changes: object) -> dict:
        """What it says of itself."""
        endpoints = {
            "token_endpoint": self.token_endpoint,
            "introspection_endpoint": self.introspection_endpoint,
        }
        return super().metadata(**endpoints) | changes

    def forget(self) -> None:
        """Forget what was asked, and answer as usual."""
        super().forget()
        self.times.clear()
        self.requests.clear()
        self.next.clear()
        self.always = None
        self.changes = {}
        self.after = None
        self.seconds = TOKEN_SECONDS

    def only_request(self) -> TokenRequest:
        """The one request since the last `forget`."""
        (request,) = self.requests
        return request

    def plays(self, issuer: str, metadata: str, token_endpoint: str, kind: str = TOKEN) -> None:
        """Be another server as well: with its issuer, its metadata at this path, and its token endpoint there.

        `kind` is the endpoint whose part that one plays.
        """
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(issuer))
        itself = {"issuer": issuer, "jwks_uri": origin + JWKS, "token_endpoint": origin + token_endpoint}
        self.reply(metadata, as_json(itself))
        self.places[token_endpoint] = kind

    def opaque(self, **claims: object) -> str:
        """A token that says nothing by itself; introspection says that it is active, and this."""
        token = remember("opaque token of the double", secrets.token_urlsafe(24))
        self.tokens[token] = {"active": True, "iss": self.issuer} | lasting(TOKEN_SECONDS) | claims
        return token

    def replies_to(self, received: Received) -> Reply:
        """What a request is answered with."""
        path = received.path.removeprefix(self._path)
        endpoints = {TOKEN: self._token, ON_BEHALF_OF: self._on_behalf_of, INTROSPECTION: self._introspection}
        answers = endpoints.get(self.places.get(path, path))
        usual = super().replies_to(received)
        if answers is None:
            return usual
        request = TokenRequest(received)
        with self._lock:
            self.requests.append(request)
            if self.next:
                return self.next.pop(0)
            if self.always is not None:
                return self.always
            return replace(answers(request), after=self.after)

    def _token(self, request: TokenRequest) -> Reply:
        """RFC 8693 §2.2.1, and RFC 6749 §4.4 for the client itself."""
        if refused := self._assertion_used_before(request):
            return refused
        match request.value("grant_type"):
            case str(grant) if grant == TOKEN_EXCHANGE:
                subject = request.value("subject_token")
                if not subject or not request.value("subject_token_type"):
                    return refusal("invalid_request")
                issued_type = request.value("requested_token_type") or ACCESS_TOKEN
                return self._issue(request, subject_of(subject), issued_token_type=issued_type)
            case "client_credentials":
                return self._issue(request, request.client)
            case _:
                return refusal("unsupported_grant_type")

    def _on_behalf_of(self, request: TokenRequest) -> Reply:
        """Entra ID takes RFC 7523's grant with a member of its own, and knows nothing of RFC 8693."""
        if request.value("grant_type") != JWT_BEARER:
            grant = request.value("grant_type")
            return refusal(
                "unsupported_grant_type",
                f"AADSTS70003: The app requested an unsupported grant type '{grant}'.\r\nTrace ID: double",
            )
        for name in ("client_id", "assertion", "scope"):
            if not request.value(name):
                return refusal("invalid_request", f"AADSTS900144: The request body must contain '{name}'.")
        if request.value("requested_token_use") != "on_behalf_of":
            return refusal(
                "invalid_request", "AADSTS90014: The required field 'requested_token_use' is missing."
            )
        for name in ("audience", "resource", "subject_token"):
            if request.values(name):
                return refusal(
                    "invalid_request", f"AADSTS901002: The '{name}' request parameter is not supported."
                )
        return self._issue(request, subject_of(request.value("assertion")), ext_expires_in=self.seconds)

    def _introspection(self, request: TokenRequest) -> Reply:
        """RFC 7662 §2.2."""
        if refused := self._assertion_used_before(request):
            return refused
        token = request.value("token")
        return as_json(self.tokens.get(token or "", {"active": False}))

    def _issue(self, request: TokenRequest, subject: str, **members: object) -> Reply:
        """A token that says what was asked for."""
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "aud": [*request.values("audience"), *request.values("resource")] or [request.client],
            "client_id": request.client,
            "scope": request.value("scope"),
            "act": {"sub": subject_of(actor)} if (actor := request.value("actor_token")) else None,
            # No two are alike.
            "jti": secrets.token_urlsafe(8),
        } | lasting(self.seconds)
        token = self.key.sign(
            {name: value for name, value in claims.items() if value is not None}, "token of the double"
        )
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.seconds} | members
        changed = {name: value for name, value in (answer | self.changes).items() if value is not None}
        return as_json(changed, headers=NOT_STORED)

    def _assertion_used_before(self, request: TokenRequest) -> Reply | None:
        assertion = request.value("client_assertion")
        if assertion is None:
            return None
        remember_token("assertion of a client", assertion)
        identifier = payload(assertion)["jti"]
        self.used_assertions[identifier] += 1
        return refusal("invalid_client") if self.used_assertions[identifier] > 1 else None


#: RFC 6749 §5.1.
NOT_STORED = {"content-type": "application/json", "cache-control": "no-store"}


def refusal(error: str, description: str | None = None, status: int = 400) -> Reply:
    """What RFC 6749 §5.2 has for a request that is refused."""
    document = {"error": error} | ({"error_description": description} if description else {})
    return Reply(json.dumps(document).encode(), status=status, headers=NOT_STORED)


def subject_of(token: str) -> str:
    """Whose token it is; of one that says nothing, nobody knows."""
    return payload(token)["sub"] if token.count(".") == 2 else "opaque"
