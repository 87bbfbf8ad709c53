"""`peergate token` beside other libraries: PyJWT verifies its tokens, which it signs with keys of theirs too."""

import json
import subprocess

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwcrypto import jwk

from support.credentials import new_secret
from support.paths import PROGRAM
from support.registry import remember, remember_token

RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1(), "ES256K": ec.SECP256K1()}
CLAIMS = ["--iss", "https://issuer.example", "--sub", "mrpink", "--aud", "charlie", "--claim", 'roles=["ä"]']

#: One for all six: it takes as long to make as all others together.
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def peergate(*arguments: object, given: str = "") -> str:
    command = [PROGRAM, "token", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def mint(*arguments: object) -> str:
    return remember_token("token of the program", peergate(*arguments, *CLAIMS))


def verified(token: str, key: object, algorithm: str) -> dict:
    claims = jwt.decode(
        token, key, algorithms=[algorithm], audience="charlie", issuer="https://issuer.example"
    )
    assert (claims["sub"], claims["roles"]) == ("mrpink", ["ä"])
    assert claims["exp"] - claims["iat"] == 300
    return claims


def private_key(algorithm: str):
    if algorithm in RSA:
        return RSA_KEY
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(CURVES[algorithm])


@pytest.mark.parametrize("algorithm", [*RSA, *CURVES, "EdDSA"])
def test_keys_in_pem_sign_what_pyjwt_verifies(algorithm, tmp_path):
    private = private_key(algorithm)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    token = mint("--key", tmp_path / "key.pem", "--alg", algorithm, "--kid", "k1")
    verified(token, private.public_key(), algorithm)
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": "k1", "typ": "JWT"}


@pytest.mark.parametrize("algorithm", [*RSA, *CURVES, "EdDSA"])
def test_private_jwks_of_jwcrypto_sign_what_pyjwt_verifies(algorithm, tmp_path):
    private = private_key(algorithm)
    own = jwk.JWK.from_pyca(private)
    (tmp_path / "key.jwk").write_text(own.export_private(), encoding="utf-8")
    token = mint("--key", tmp_path / "key.jwk", "--alg", algorithm)
    verified(token, private.public_key(), algorithm)
    assert jwt.get_unverified_header(token)["kid"] == own.thumbprint()


@pytest.mark.parametrize("algorithm", ["PS256", *CURVES, "EdDSA"])
def test_new_keys_are_keys_to_others(algorithm, tmp_path):
    file = tmp_path / "key.jwk"
    public = json.loads(peergate("--new-key", algorithm, "--out", file))["keys"][0]
    private = json.loads(file.read_text(encoding="utf-8"))
    for name in private.keys() - public.keys():
        remember(f"{name} of a key of the program", private[name])
    assert {name: private[name] for name in public} == public
    theirs = jwk.JWK(**private)
    assert theirs.thumbprint() == public["kid"]
    verified(mint("--key", file), jwt.PyJWK(public).key, algorithm)
    # What PyJWT signs with it, the public half verifies.
    signed = jwt.encode({"aud": "charlie"}, jwt.PyJWK(private).key, algorithm)
    jwt.decode(signed, jwt.PyJWK(public).key, algorithms=[algorithm], audience="charlie")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_shared_secrets(algorithm, tmp_path):
    secret = new_secret("shared secret of the program") + new_secret("the rest of it") * 2
    (tmp_path / "secret").write_text(f"{secret}\n", encoding="utf-8")
    verified(mint("--key", tmp_path / "secret", "--alg", algorithm), secret, algorithm)
    oct_key = jwk.JWK.from_password(secret)
    (tmp_path / "secret.jwk").write_text(oct_key.export(), encoding="utf-8")
    verified(mint("--key", tmp_path / "secret.jwk", "--alg", algorithm), secret, algorithm)


def test_decoding_says_what_pyjwt_says():
    secret = new_secret("secret of somebody") + new_secret("and more of it")
    token = jwt.encode({"sub": "mrpink", "n": 1, "exp": 1}, secret, "HS256", {"kid": "k"})
    shown = json.loads(peergate("--decode", given=remember_token("token of somebody", token)))
    assert shown == {
        "header": jwt.get_unverified_header(token),
        "claims": jwt.decode(token, options={"verify_signature": False}),
    }
