"""An agent that sees for itself who calls, by the assertion that peergate puts onto each request.

    python examples/agent.py --jwks http://127.0.0.1:8080/.well-known/mesh/jwks.json \
        --issuer https://mesh.example --audience https://agent.example --port 9000

It needs PyJWT with `cryptography` and nothing of peergate. docs/assertion.md says what the checks are for.
"""

import argparse
import http.server
import json

import jwt

#: What peergate signs with. A list of ours: what the token says of itself does not count.
ALGORITHMS = ["ES256", "RS256", "PS256"]

#: Nothing else that the same keys sign can be taken for an assertion (RFC 8725, section 3.11).
TYPE = "peergate+jwt"

#: How far the clocks of agent and proxy may differ.
LEEWAY_SECONDS = 5


class Verifier:
    """Knows who may assert what to this agent."""

    def __init__(self, jwks_url: str, issuer: str, audience: str):
        # It keeps the keys for a while, and asks again for a `kid` that is new: keys rotate without a restart.
        self._keys = jwt.PyJWKClient(jwks_url, lifespan=300)
        self._issuer = issuer
        self._audience = audience

    def verify(self, assertion: str) -> dict:
        """The claims of a good assertion. Raises `jwt.PyJWTError` for any other text."""
        key = self._keys.get_signing_key_from_jwt(assertion)
        decoded = jwt.decode_complete(
            assertion,
            key,
            algorithms=ALGORITHMS,
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "exp", "iat", "jti", "idp_iss"]},
        )
        if decoded["header"].get("typ") != TYPE:
            raise jwt.InvalidTokenError("not an assertion")
        return decoded["payload"]


class Handler(http.server.BaseHTTPRequestHandler):
    """Greets whom it knows."""

    protocol_version = "HTTP/1.1"
    verifier: Verifier

    def do_GET(self) -> None:
        """Says who calls, or 401."""
        try:
            claims = self.verifier.verify(self.headers.get("x-agent-assertion", ""))
        except jwt.PyJWTError as error:
            return self._answer(401, {"error": type(error).__name__})
        # One caller is an issuer and its subject: two issuers may have the same one.
        return self._answer(
            200,
            {
                "caller": [claims["idp_iss"], claims.get("sub")],
                "peer": claims.get("peer"),
                "second_factor": "otp" in claims.get("amr", []),
                "on_behalf_of": claims.get("act"),
            },
        )

    def _answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """An assertion is a credential for as long as it lives: nothing of a request is logged."""


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jwks", required=True, help="where the filter serves its public keys")
    parser.add_argument("--issuer", required=True, help="forward.assertion.issuer of the policy")
    parser.add_argument("--audience", required=True, help="forward.assertion.audience of the policy")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    Handler.verifier = Verifier(arguments.jwks, arguments.issuer, arguments.audience)
    with http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
