"""Envoy's own cryptography verifies what it can, the module the rest, and nobody sees a difference but in speed."""

import base64
import json
import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from support.cast import bearer, claims, policy, rule
from support.registry import remember_token

SHA2 = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}

#: Curve, hash, size of r and s in bytes, order (SEC 2).
CURVES = {
    "ES256": (
        ec.SECP256R1(),
        SHA2["256"],
        32,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    "ES384": (
        ec.SECP384R1(),
        SHA2["384"],
        48,
        (1 << 384) - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
    ),
    "ES512": (
        ec.SECP521R1(),
        SHA2["512"],
        66,
        (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    ),
    "ES256K": (ec.SECP256K1(), SHA2["256"], 32, 0),
}
NIST = ["ES256", "ES384", "ES512"]

RSA = rsa.generate_private_key(65537, 2048)
RSA_4096 = rsa.generate_private_key(65537, 4096)
RSA_3 = rsa.generate_private_key(3, 2048)
EC = {algorithm: ec.generate_private_key(curve[0]) for algorithm, curve in CURVES.items()}
ED25519 = ed25519.Ed25519PrivateKey.generate()


def unpadded(octets: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def octets(number: int, size: int = 0) -> bytes:
    """Big-endian, in the given or the least size."""
    return number.to_bytes(size or (number.bit_length() + 7) // 8, "big")


def rsa_jwk(kid: str, key: rsa.RSAPrivateKey) -> dict:
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "n": unpadded(octets(numbers.n)), "e": unpadded(octets(numbers.e))}


def ec_jwk(algorithm: str) -> dict:
    numbers, size = EC[algorithm].public_key().public_numbers(), CURVES[algorithm][2]
    crv = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}[algorithm]
    x, y = (unpadded(octets(number, size)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": crv, "kid": algorithm, "x": x, "y": y}


JWKS = {
    "keys": [
        rsa_jwk("rsa", RSA),
        rsa_jwk("rsa-4096", RSA_4096),
        rsa_jwk("rsa-3", RSA_3),
        *(ec_jwk(algorithm) for algorithm in CURVES),
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": "EdDSA",
            "x": unpadded(ED25519.public_key().public_bytes_raw()),
        },
    ]
}
BY_PROXY = ["RS256", "RS384", "RS512", *NIST]
BY_MODULE = ["PS256", "PS384", "PS512", "ES256K", "EdDSA"]


@pytest.fixture(scope="module")
def client(sidecar):
    provider = {"jwks": {"inline": JWKS}, "algorithms": BY_PROXY + BY_MODULE}
    # Without a cache every signature is verified, that of a token which was good before as well.
    limits = {"token_cache_entries": 0}
    return sidecar(policy(rule("agent", ["jwt"]), provider=provider, limits=limits))


def signing_input(algorithm: str, kid: str | None = None) -> str:
    """Another one at each call."""
    header = {"alg": algorithm, "kid": kid or (algorithm if algorithm[0] == "E" else "rsa")}
    body = claims(jti=random.randbytes(8).hex())
    return ".".join(unpadded(json.dumps(part).encode()) for part in (header, body))


def sign(algorithm: str, signed: str, key: rsa.RSAPrivateKey = RSA) -> bytes:
    """As JWS has it: R‖S for ECDSA."""
    message = signed.encode()
    match algorithm[:2]:
        case "RS":
            return key.sign(message, padding.PKCS1v15(), SHA2[algorithm[2:]])
        case "PS":
            hash_ = SHA2[algorithm[2:]]
            return key.sign(message, padding.PSS(padding.MGF1(hash_), hash_.digest_size), hash_)
        case "ES":
            _, hash_, size, _ = CURVES[algorithm]
            r, s = decode_dss_signature(EC[algorithm].sign(message, ec.ECDSA(hash_)))
            return octets(r, size) + octets(s, size)
    return ED25519.sign(message)


def status(client, signed: str, signature: bytes) -> int:
    token = remember_token("host crypto", f"{signed}.{unpadded(signature)}") if signature else signed + "."
    return client.get("/", bearer(token)).status_code


class Counts:
    """How many signatures were verified, and by whom, since it was made."""

    def __init__(self, client):
        self._client = client
        self._before = self._read()

    def since(self) -> tuple[int, int]:
        """By the proxy, by the module."""
        now = self._read()
        return tuple(now[by] - self._before[by] for by in ("proxy", "module"))

    def _read(self) -> dict[str, int]:
        counts = {"proxy": 0, "module": 0}
        for line in self._client.envoy.admin("/stats?filter=peergate_signatures_total").splitlines():
            name, _, count = line.rpartition(": ")
            counts[name.rpartition(".")[2]] = int(count)
        return counts


@pytest.fixture
def counts(client):
    return Counts(client)


def test_the_log_says_what_the_proxy_verifies(client):
    client.envoy.await_log("peergate: the proxy verifies RS256, RS384, RS512, ES256, ES384, ES512")


@pytest.mark.parametrize("algorithm", BY_PROXY + BY_MODULE)
def test_good_and_forged(client, counts, algorithm):
    signed = signing_input(algorithm)
    good = sign(algorithm, signed)
    assert status(client, signed, good) == 200
    assert status(client, signing_input(algorithm), good) == 401
    forged = bytearray(good)
    forged[len(good) // 3] ^= 0x10
    assert status(client, signed, bytes(forged)) == 401
    assert counts.since() == ((3, 0) if algorithm in BY_PROXY else (0, 3))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_a_large_key(client, counts, algorithm):
    signed = signing_input(algorithm, "rsa-4096")
    assert status(client, signed, sign(algorithm, signed, RSA_4096)) == 200
    assert status(client, signed, sign(algorithm, signed + "x", RSA_4096)) == 401
    assert counts.since() == (2, 0)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_exponent_of_which_libraries_think_differently(client, counts, algorithm):
    signed = signing_input(algorithm, "rsa-3")
    assert status(client, signed, sign(algorithm, signed, RSA_3)) == 200
    assert status(client, signed, sign(algorithm, signed + "x", RSA_3)) == 401
    assert counts.since() == (0, 2)


def test_the_hash_is_that_of_the_algorithm(client, counts):
    for said, signed_by in (("RS256", "RS384"), ("RS384", "RS512"), ("RS512", "RS256"), ("RS256", "PS256")):
        signed = signing_input(said)
        assert status(client, signed, sign(signed_by, signed)) == 401
    assert counts.since() == (4, 0)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_rsa_signature_that_begins_with_zero(client, counts, algorithm):
    while (signature := sign(algorithm, signed := signing_input(algorithm)))[0] != 0:
        pass
    assert status(client, signed, signature) == 200
    assert status(client, signed, signature[1:]) == 401
    assert status(client, signed, bytes([0]) + signature) == 401
    assert sum(counts.since()) == 1


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_rsa_signature_beyond_the_modulus(client, algorithm):
    """The same number, the modulus added: RFC 8017 §5.2.2 refuses it."""
    modulus = RSA.public_key().public_numbers().n
    while (
        number := int.from_bytes(sign(algorithm, signed := signing_input(algorithm)), "big") + modulus
    ) >> 2048:
        pass
    assert status(client, signed, octets(number, 256)) == 401
    assert status(client, signed, octets(number - modulus, 256)) == 200
    for number in (0, 1, modulus - 1, modulus):
        assert status(client, signed, octets(number, 256)) == 401


@pytest.mark.parametrize("algorithm", NIST)
@pytest.mark.parametrize("part", ["r", "s"])
def test_zeros_that_lead(client, counts, algorithm, part):
    """DER has none of them, JWS all: the conversion is ours."""
    size = CURVES[algorithm][2]
    at = 0 if part == "r" else size
    # The first byte of P-521 has one bit, and is often zero: two zero bytes are asked for there.
    zeros = bytes(2 if algorithm == "ES512" else 1)
    while not (signature := sign(algorithm, signed := signing_input(algorithm)))[at:].startswith(zeros):
        pass
    assert status(client, signed, signature) == 200
    assert status(client, signing_input(algorithm), signature) == 401
    assert counts.since() == (2, 0)


@pytest.mark.parametrize("algorithm", NIST)
def test_a_high_s_is_as_good_as_a_low_one(client, counts, algorithm):
    _, _, size, order = CURVES[algorithm]
    signed = signing_input(algorithm)
    signature = sign(algorithm, signed)
    r, s = signature[:size], int.from_bytes(signature[size:], "big")
    assert status(client, signed, r + octets(s, size)) == 200
    assert status(client, signed, r + octets(order - s, size)) == 200
    assert counts.since() == (2, 0)


@pytest.mark.parametrize("algorithm", NIST)
def test_what_cannot_be_a_signature_reaches_nobody(client, counts, algorithm):
    _, _, size, order = CURVES[algorithm]
    signed = signing_input(algorithm)
    good = sign(algorithm, signed)
    r, s = good[:size], good[size:]
    zero, least = bytes(size), octets(order, size)
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    wrong_parts = [zero + s, r + zero, zero + zero, least + s, r + least, bytes([0xFF]) * 2 * size]
    wrong_lengths = [b"", r, good[:-1], good[1:], good + b"\0", b"\0" + good, good + good, der]
    for signature in wrong_parts + wrong_lengths:
        assert status(client, signed, signature) == 401, signature.hex()
    assert counts.since() == (0, 0)
    assert status(client, signed, good) == 200


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384"])
def test_forgeries_by_chance_are_judged_as_a_library_judges_them(client, counts, algorithm):
    signed = signing_input(algorithm)
    good = sign(algorithm, signed)
    for _ in range(60):
        forged = bytearray(good)
        for _ in range(random.choice((0, 1, 1, 2))):
            # Not the first bytes, where a part could become too large.
            forged[random.randrange(4, len(good) // 2)] ^= 1 << random.randrange(8)
        assert (status(client, signed, bytes(forged)) == 200) == is_good(algorithm, signed, bytes(forged))
    assert counts.since() == (60, 0)


def is_good(algorithm: str, signed: str, signature: bytes) -> bool:
    """What the library says."""
    message = signed.encode()
    try:
        if algorithm == "RS256":
            RSA.public_key().verify(signature, message, padding.PKCS1v15(), SHA2["256"])
        else:
            _, hash_, size, _ = CURVES[algorithm]
            r, s = (int.from_bytes(part, "big") for part in (signature[:size], signature[size:]))
            EC[algorithm].public_key().verify(encode_dss_signature(r, s), message, ec.ECDSA(hash_))
    except InvalidSignature:
        return False
    return True
