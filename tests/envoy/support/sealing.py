"""Secrets that stand sealed in a policy: keys for them, and an independent library that seals and opens."""

import json
import subprocess

from jwcrypto import jwe, jwk

from .paths import PROGRAM
from .registry import remember

#: The variable that opens them.
UNSEALING_KEY = "PEERGATE_UNSEALING_KEY"


class SealingKey:
    """A key pair on P-256."""

    def __init__(self, label: str):
        self._pair = jwk.JWK.generate(kty="EC", crv="P-256")
        remember(f"private number of {label}", json.loads(self.private)["d"])

    @property
    def private(self) -> str:
        """The private JWK, for the environment of an Envoy."""
        return self._pair.export_private()

    @property
    def public(self) -> str:
        """The public JWK."""
        return self._pair.export_public()

    def seal(self, text: str, **header: object) -> str:
        """Seals with jwcrypto. Members of the header take the place of the usual ones; `None` takes one away."""
        usual = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": self._pair.thumbprint()}
        members = {name: value for name, value in (usual | header).items() if value is not None}
        sealed = jwe.JWE(text.encode(), json.dumps(members))
        sealed.add_recipient(jwk.JWK.from_json(self.public))
        return sealed.serialize(compact=True)

    def seal_by_program(self, text: str, *arguments: object) -> str:
        """Seals with `peergate seal`."""
        command = [PROGRAM, "seal", "--key", self.public, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    def open(self, sealed: str) -> str:
        """Opens with jwcrypto."""
        opened = jwe.JWE()
        opened.deserialize(sealed, self._pair)
        return opened.payload.decode()


def key_set(*keys: SealingKey) -> str:
    """Several private keys, as while they rotate."""
    return json.dumps({"keys": [json.loads(key.private) for key in keys]})
