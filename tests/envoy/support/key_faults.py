"""What a double of a key server can have, each with what the filter makes of it."""

from collections.abc import Callable
from dataclasses import dataclass

from .credentials import SigningKey
from .key_server_double import DISCOVERY, JWKS, KeyServerDouble, Reply, as_json, key_set

#: The key of a double that has no fault.
KEY = SigningKey.generate("ES256", "double-1")

TEN_MEGABYTES = b'{"keys": [' + b" " * 10_000_000 + b"]}"


@dataclass(frozen=True)
class Fault:
    """A fault, the outcome of a fetch as it is counted, and what the log says of it."""

    inject: Callable[[KeyServerDouble], None]
    outcome: str
    says: str


def no_json(double: KeyServerDouble) -> None:
    """A page to log in."""
    double.reply(JWKS, Reply(b"<html>Sign in</html>"))


def cut_off(double: KeyServerDouble) -> None:
    """The end is missing."""
    double.reply(JWKS, Reply(key_set(KEY.public_jwk()).body[:50]))


def nothing(double: KeyServerDouble) -> None:
    """200, and no body."""
    double.reply(JWKS, Reply(b""))


def no_set(double: KeyServerDouble) -> None:
    """A list of keys that is no set."""
    double.reply(JWKS, as_json([KEY.public_jwk()]))


def no_list(double: KeyServerDouble) -> None:
    """A set with something else where its keys should be."""
    double.reply(JWKS, as_json({"keys": KEY.public_jwk()}))


def metadata_that_is_none(double: KeyServerDouble) -> None:
    """The metadata is no JSON."""
    double.reply(DISCOVERY, Reply(b"not now"))


def metadata_without_keys(double: KeyServerDouble) -> None:
    """The metadata does not say where the keys are."""
    double.reply(DISCOVERY, as_json({"issuer": double.issuer}))


def keys_on_another_host(double: KeyServerDouble) -> None:
    """No cluster is named for it. The operator can name one, as `jwks_uri`."""
    double.reply(DISCOVERY, as_json(double.metadata(jwks_uri="https://keys.tests.example/jwks")))


def internal_error(double: KeyServerDouble) -> None:
    """The server has a fault of its own."""
    double.reply(DISCOVERY, Reply(b"{}", status=500))


def internal_error_of_the_keys(double: KeyServerDouble) -> None:
    """The metadata is there and the keys are not."""
    double.reply(JWKS, Reply(key_set(KEY.public_jwk()).body, status=500))


def drip(double: KeyServerDouble) -> None:
    """A byte every tenth of a second: the whole would take half a minute."""
    double.reply(JWKS, key_set(KEY.public_jwk(), drip_seconds=0.1))


def redirect(double: KeyServerDouble) -> None:
    """It leads to a good key set."""
    double.reply(JWKS, Reply(status=302, headers={"location": f"{double.issuer}/elsewhere"}))
    double.reply("/elsewhere", key_set(KEY.public_jwk()))


def ten_megabytes(double: KeyServerDouble) -> None:
    """A key set of ten megabytes."""
    double.reply(JWKS, Reply(TEN_MEGABYTES))


def wrong_issuer(double: KeyServerDouble) -> None:
    """The metadata is of somebody else."""
    double.reply(DISCOVERY, as_json(double.metadata(issuer="https://attacker.example")))


def empty_set(double: KeyServerDouble) -> None:
    """A key set without keys."""
    double.reply(JWKS, key_set())


def no_usable_key(double: KeyServerDouble) -> None:
    """A shared secret, and a key to encrypt with."""
    weak = {"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "kid": KEY.kid, "alg": "HS256"}
    double.reply(JWKS, key_set(weak, KEY.public_jwk() | {"use": "enc"}))


#: They are called by the names of what makes them.
FAULTS = {
    fault.inject.__name__: fault
    for fault in (
        Fault(no_json, "malformed", "the document: invalid JSON at line 1 column 1"),
        Fault(cut_off, "malformed", "the document: invalid JSON at line 1 column 50"),
        Fault(nothing, "malformed", "the document: invalid JSON at line 1 column 0"),
        Fault(no_set, "malformed", "the document: not a JSON object"),
        Fault(no_list, "no_key_set", "not a key set: no array `keys`"),
        Fault(metadata_that_is_none, "malformed", "the document: invalid JSON at line 1 column 2"),
        Fault(metadata_without_keys, "jwks_uri", "the metadata has no `jwks_uri`"),
        Fault(
            keys_on_another_host,
            "jwks_uri",
            "`jwks_uri` of the metadata stands at `keys.tests.example`; name its cluster in `jwks.jwks_uri`",
        ),
        Fault(internal_error, "status", "status 500"),
        Fault(internal_error_of_the_keys, "status", "status 500"),
        Fault(drip, "no_answer", "no answer"),
        Fault(redirect, "status", "status 302"),
        Fault(ten_megabytes, "too_long", f"a document of {len(TEN_MEGABYTES)} bytes, more than 262144"),
        Fault(wrong_issuer, "issuer_differs", "the metadata is of issuer `https://attacker.example`"),
        Fault(empty_set, "no_usable_key", "a key set without keys"),
        Fault(no_usable_key, "no_usable_key", "none of the 2 keys of the set can be used"),
    )
}
