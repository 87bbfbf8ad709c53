//! Envoy's foreign functions `verify_signature`, as 1.36 to 1.40 have it, and `sign`, as 1.37 to 1.40 do, on other libraries
//! than the filter's own: ring, and for P-521, which ring has not, RustCrypto behind a reader of DER.

use std::cell::Cell;

use peergate_filter::jwks::{HostScheme, HostSignatures};
use prost::Message;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey};
use spki::SubjectPublicKeyInfoRef;
use spki::der::asn1::{AnyRef, OctetStringRef, UintRef};
use spki::der::{Decode, Reader, SliceReader};

use super::state::Status;

/// The same for native tests, by way of the same messages.
#[derive(Debug, Default)]
pub(crate) struct Proxy {
    asked: Cell<usize>,
}

impl Proxy {
    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.get()
    }
}

impl HostSignatures for Proxy {
    fn verify(
        &self,
        scheme: HostScheme,
        public_key: &[u8],
        signature: &[u8],
        message: &[u8],
    ) -> Option<bool> {
        self.asked.set(self.asked.get() + 1);
        let arguments = Arguments {
            hash_function: format!("{:?}", scheme.hash()),
            public_key: public_key.to_vec(),
            signature: signature.to_vec(),
            text: message.to_vec(),
        };
        let answer = verify_signature(&arguments.encode_to_vec()).ok()?;
        let answer = Answer::decode(answer.as_slice()).expect("our own message");
        match answer.error.as_str() {
            "" | BAD => Some(answer.result),
            _ => None,
        }
    }
}

/// `envoy.source.extensions.common.wasm.VerifySignatureArguments`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Arguments {
    #[prost(string, tag = "1")]
    pub(crate) hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) text: Vec<u8>,
}

/// `envoy.source.extensions.common.wasm.VerifySignatureResult`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Answer {
    #[prost(bool, tag = "1")]
    pub(crate) result: bool,
    #[prost(string, tag = "2")]
    pub(crate) error: String,
}

/// What Envoy answers to serialized arguments.
pub(crate) fn verify_signature(arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let arguments = Arguments::decode(arguments).map_err(|_| Status::BadArgument)?;
    let error = match verified(&arguments)? {
        Ok(true) => String::new(),
        Ok(false) => BAD.to_owned(),
        Err(error) => error,
    };
    let result = error.is_empty();
    Ok(Answer { result, error }.encode_to_vec())
}

/// `envoy.source.extensions.common.wasm.SignArguments`.
#[derive(Clone, PartialEq, Message)]
struct SignArguments {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    private_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    text: Vec<u8>,
    #[prost(string, tag = "4")]
    private_key_pem: String,
}

/// `envoy.source.extensions.common.wasm.SignResult`.
#[derive(Clone, PartialEq, Message)]
struct SignAnswer {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
    #[prost(string, tag = "3")]
    error: String,
}

/// What Envoy answers to serialized arguments. Only what the filter asks for is emulated.
pub(crate) fn sign(arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let arguments = SignArguments::decode(arguments).map_err(|_| Status::BadArgument)?;
    assert_eq!(
        (
            arguments.hash_function.as_str(),
            arguments.private_key_pem.as_str()
        ),
        ("sha256", "")
    );
    let signature = signed(&arguments.private_key, &arguments.text).ok_or(Status::BadArgument)?;
    let answer = SignAnswer {
        result: true,
        signature,
        error: String::new(),
    };
    Ok(answer.encode_to_vec())
}

fn signed(private_key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    if let Ok(key) = RsaKeyPair::from_pkcs8(private_key) {
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&signature::RSA_PKCS1_SHA256, &random, text, &mut signature)
            .ok()?;
        return Some(signature);
    }
    let scalar = scalar(private_key)?;
    // ring wants the public half beside it, which BoringSSL computes.
    let public = p256::ecdsa::SigningKey::from_slice(scalar).ok()?;
    let key = EcdsaKeyPair::from_private_key_and_public_key(
        &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        scalar,
        public.verifying_key().to_sec1_point(false).as_bytes(),
        &random,
    );
    Some(key.ok()?.sign(&random, text).ok()?.as_ref().to_vec())
}

/// Of `PrivateKeyInfo` around `ECPrivateKey`.
fn scalar(der: &[u8]) -> Option<&[u8]> {
    let key = SliceReader::new(der)
        .ok()?
        .sequence(|reader| -> spki::der::Result<_> {
            UintRef::decode(reader)?;
            AnyRef::decode(reader)?;
            <&OctetStringRef>::decode(reader)
        })
        .ok()?;
    let scalar = SliceReader::new(key.as_bytes())
        .ok()?
        .sequence(|reader| -> spki::der::Result<_> {
            UintRef::decode(reader)?;
            <&OctetStringRef>::decode(reader)
        })
        .ok()?;
    Some(scalar.as_bytes())
}

/// The signature is good or it is not, or the reason why nobody looked; a key that is none is a bad argument.
fn verified(arguments: &Arguments) -> Result<Result<bool, String>, Status> {
    let key = SubjectPublicKeyInfoRef::from_der(&arguments.public_key).map_err(|_| Status::BadArgument)?;
    let material = key.subject_public_key.as_bytes().ok_or(Status::BadArgument)?;
    let hash = arguments.hash_function.to_ascii_lowercase();
    if !["sha1", "sha224", "sha256", "sha384", "sha512"].contains(&hash.as_str()) {
        return Ok(Err(format!("{} is not supported.", arguments.hash_function)));
    }
    let not_emulated = || -> ! { panic!("{} with {hash} is not emulated", key.algorithm.oid) };
    let curve = key.algorithm.parameters_oid().ok().map(|oid| oid.to_string());
    let (text, signature) = (&arguments.text, &arguments.signature);
    match (key.algorithm.oid.to_string().as_str(), curve.as_deref()) {
        (RSA, _) => {
            let parameters = match hash.as_str() {
                "sha256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                "sha384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                "sha512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                _ => not_emulated(),
            };
            let (n, e) = numbers(material).ok_or(Status::BadArgument)?;
            let key = RsaPublicKeyComponents { n, e };
            Ok(Ok(key.verify(parameters, text, signature).is_ok()))
        }
        (EC, Some(P521)) => Ok(Ok(is_good_on_p521(material, text, signature))),
        (EC, Some(curve)) => {
            let algorithm = match (curve, hash.as_str()) {
                (P256, "sha256") => &signature::ECDSA_P256_SHA256_ASN1,
                (P384, "sha384") => &signature::ECDSA_P384_SHA384_ASN1,
                _ => not_emulated(),
            };
            let key = UnparsedPublicKey::new(algorithm, material);
            Ok(Ok(key.verify(text, signature).is_ok()))
        }
        _ => Ok(Err("Failed to initialize digest verify.".to_owned())),
    }
}

fn is_good_on_p521(point: &[u8], text: &[u8], signature: &[u8]) -> bool {
    use p521::ecdsa::signature::Verifier;
    let Some((r, s)) = numbers(signature) else {
        return false;
    };
    let mut fixed = [0; 132];
    if r.len() > 66 || s.len() > 66 {
        return false;
    }
    fixed[66 - r.len()..66].copy_from_slice(r);
    fixed[132 - s.len()..].copy_from_slice(s);
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point).expect("a point of the filter's");
    p521::ecdsa::Signature::from_slice(&fixed).is_ok_and(|signature| key.verify(text, &signature).is_ok())
}

/// A sequence of two positive integers, and nothing else.
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let pair = reader
        .sequence(|reader| -> spki::der::Result<_> {
            Ok((UintRef::decode(reader)?, UintRef::decode(reader)?))
        })
        .ok()?;
    reader.finish().ok()?;
    Some((pair.0.as_bytes(), pair.1.as_bytes()))
}

/// What Envoy says of a signature that is not good.
const BAD: &str = "Failed to verify digest. Error code: 0";

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
