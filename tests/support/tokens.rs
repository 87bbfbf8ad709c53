//! Keys that live as long as the test process, and tokens signed with them, well-formed or not.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jwt_simple::algorithms::*;
use serde_json::{Value, json};
use superboring as boring;

/// A key of every kind, each known by its name, which is its `kid`.
pub(crate) struct Keys {
    rsa: RS256KeyPair,
    other_rsa: RS256KeyPair,
    p256: ES256KeyPair,
    p384: ES384KeyPair,
    secp256k1: ES256kKeyPair,
    p521: p521::ecdsa::SigningKey,
    ed25519: Ed25519KeyPair,
}

/// The one set of this process: RSA keys take a while to make.
pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        rsa: RS256KeyPair::generate(2048).unwrap(),
        other_rsa: RS256KeyPair::generate(2048).unwrap(),
        p256: ES256KeyPair::generate(),
        p384: ES384KeyPair::generate(),
        secp256k1: ES256kKeyPair::generate(),
        // Any scalar below the order of the curve will do; this crate brings no generator.
        p521: p521::ecdsa::SigningKey::from_slice(&[[0].as_slice(), &[7; 65]].concat()).unwrap(),
        ed25519: Ed25519KeyPair::generate(),
    })
}

impl Keys {
    /// The public halves as a JWK set. The RSA key names no algorithm: it serves RS* and PS*.
    pub(crate) fn jwks(&self) -> Value {
        let rsa = |kid: &str, key: &RS256KeyPair| {
            let components = key.public_key().to_components();
            json!({"kty": "RSA", "kid": kid, "n": base64url(&components.n), "e": base64url(&components.e)})
        };
        json!({"keys": [
            rsa("rsa", &self.rsa),
            ec("p256", "P-256", &self.p256.public_key().public_key().to_bytes_uncompressed()),
            ec("p384", "P-384", &self.p384.public_key().public_key().to_bytes_uncompressed()),
            ec("secp256k1", "secp256k1", &self.secp256k1.public_key().public_key().to_bytes_uncompressed()),
            ec("p521", "P-521", self.p521.verifying_key().to_sec1_point(false).as_bytes()),
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed25519", "x": base64url(&self.ed25519.public_key().to_bytes())},
        ]})
    }

    /// The JWK set of another issuer, whose one key has the same `kid`.
    pub(crate) fn other_jwks(&self) -> Value {
        let components = self.other_rsa.public_key().to_components();
        json!({"keys": [{"kty": "RSA", "kid": "rsa", "n": base64url(&components.n), "e": base64url(&components.e)}]})
    }

    /// A compact token over whatever header and payload, signed as `algorithm` says. `secret` is for HS*.
    pub(crate) fn sign(
        &self,
        algorithm: &str,
        issuer_is_other: bool,
        header: &str,
        payload: &str,
        secret: &str,
    ) -> String {
        let input = format!(
            "{}.{}",
            base64url(header.as_bytes()),
            base64url(payload.as_bytes())
        );
        let signature = self.sign_input(algorithm, issuer_is_other, input.as_bytes(), secret);
        format!("{input}.{}", base64url(&signature))
    }

    /// The signature of whatever bytes.
    pub(crate) fn sign_input(
        &self,
        algorithm: &str,
        issuer_is_other: bool,
        input: &[u8],
        secret: &str,
    ) -> Vec<u8> {
        let rsa = if issuer_is_other {
            &self.other_rsa
        } else {
            &self.rsa
        };
        self.signature(algorithm, rsa, input, secret)
    }

    fn signature(&self, algorithm: &str, rsa: &RS256KeyPair, input: &[u8], secret: &str) -> Vec<u8> {
        use p256::ecdsa::signature::Signer as _;
        match algorithm {
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => rsa_signature(algorithm, rsa, input),
            "ES256" => {
                let signature: p256::ecdsa::Signature = self.p256.key_pair().as_ref().sign(input);
                signature.to_vec()
            }
            "ES384" => {
                let signature: p384::ecdsa::Signature = self.p384.key_pair().as_ref().sign(input);
                signature.to_vec()
            }
            "ES256K" => {
                let signature: k256::ecdsa::Signature = self.secp256k1.key_pair().as_ref().sign(input);
                signature.to_vec()
            }
            "ES512" => {
                let signature: p521::ecdsa::Signature = self.p521.sign(input);
                signature.to_vec()
            }
            "EdDSA" | "Ed25519" => self.ed25519.key_pair().as_ref().sk.sign(input, None).to_vec(),
            "HS256" => mac::<Hmac<sha2::Sha256>>(secret, input),
            "HS384" => mac::<Hmac<sha2::Sha384>>(secret, input),
            "HS512" => mac::<Hmac<sha2::Sha512>>(secret, input),
            "none" => Vec::new(),
            other => panic!("no key for `{other}`"),
        }
    }
}

fn rsa_signature(algorithm: &str, key: &RS256KeyPair, input: &[u8]) -> Vec<u8> {
    let digest = match &algorithm[2..] {
        "256" => boring::hash::MessageDigest::sha256(),
        "384" => boring::hash::MessageDigest::sha384(),
        _ => boring::hash::MessageDigest::sha512(),
    };
    let key = boring::pkey::PKey::from_rsa(key.key_pair().as_ref().clone()).unwrap();
    let mut signer = boring::sign::Signer::new(digest, &key).unwrap();
    let padding = match algorithm.starts_with("PS") {
        true => boring::rsa::Padding::PKCS1_PSS,
        false => boring::rsa::Padding::PKCS1,
    };
    signer.set_rsa_padding(padding).unwrap();
    signer.update(input).unwrap();
    signer.sign_to_vec().unwrap()
}

fn mac<M: Mac + KeyInit>(secret: &str, input: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(input);
    mac.finalize().into_bytes().to_vec()
}

fn ec(kid: &str, curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    json!({"kty": "EC", "crv": curve, "kid": kid, "x": base64url(x), "y": base64url(y)})
}

/// base64url without padding (RFC 7515 §2).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
