//! Private keys that sign: tokens of the filter's own, as JWS in compact form (RFC 7515 §7.1).
//!
//! A key comes from a secret text in PEM (PKCS#8), for one algorithm: ES256, RS256 or PS256. Where the host signs, which is
//! faster, it is asked; what it does not do is computed here, ECDSA without randomness (RFC 6979). Ed25519 is not signed with:
//! the library's table for it is a thirtieth of the module, and whoever takes EdDSA takes ES256.
//!
//! It does not know what is signed or for whom, nor where keys come from. The randomness that PS256 wants is an argument.

mod pkcs8;
mod rsa;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use serde_json::Value;

use crate::json;
use crate::jwks::{Algorithm, Hash, Key, KeySet, NoHostSignatures, SkipReason, der};
use crate::secret::Secret;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::pkcs8::pem;
pub(crate) use self::rsa::RsaPrivateKey;

/// A host that may sign.
pub trait HostSigner {
    /// The signature of `message` under a private key: DER `PrivateKeyInfo` (RFC 5208 §5), RSASSA-PKCS1-v1_5 or ECDSA by
    /// the kind of the key, a DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) of the latter. `None` where the host does not: it
    /// has no such function, or it failed.
    fn sign(&self, hash: Hash, private_key: &[u8], message: &[u8]) -> Option<Vec<u8>>;
}

/// A host that signs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHostSigner;

impl HostSigner for NoHostSigner {
    fn sign(&self, _: Hash, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// The random bytes that a signature of PS256 takes in (RFC 8017 §9.1.1, RFC 7518 §3.5); the others do not look at them.
pub type Salt = [u8; 32];

/// A private key that signs, ready for use.
pub struct SigningKey {
    algorithm: Algorithm,
    kid: Option<String>,
    material: Material,
    public_jwk: String,
    /// The public half alone.
    verifier: KeySet,
    /// The key as it came, which is as a host wants it.
    der: Secret<Vec<u8>>,
    /// Whether the host's first signature was good.
    host: Cell<Host>,
}

/// What is known of a host. It is believed for a key once a signature of its was verified here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Untried,
    Proven,
    Wrong,
}

enum Material {
    P256(p256::ecdsa::SigningKey),
    Rsa(RsaPrivateKey),
}

impl SigningKey {
    /// From PEM as `openssl genpkey` writes it (RFC 7468 §10, RFC 5208 §5).
    ///
    /// # Errors
    /// [`Error`]; nothing of the text is in it.
    pub fn parse(text: &str, algorithm: Algorithm, kid: Option<&str>) -> Result<Self, Error> {
        let der = pkcs8::pem(text)?;
        let material = pkcs8::key(der.expose())?;
        let fits = match material {
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::Rsa(_) => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
        };
        if !fits {
            return Err(Error::OtherKind { algorithm });
        }
        let public_jwk = public_jwk(&material, algorithm, kid);
        let verifier = key_set(&[&public_jwk]).ok_or(Error::Malformed)?;
        if let Some(skipped) = verifier.skipped().first() {
            return Err(Error::Unusable(skipped.reason.clone()));
        }
        let key = Self {
            algorithm,
            kid: kid.map(str::to_owned),
            der,
            material,
            public_jwk,
            verifier,
            host: Cell::new(Host::Untried),
        };
        // Only RSA's private numbers are not made into the public ones here.
        if matches!(key.material, Material::Rsa(_)) && key.signature(b"peergate", &Salt::default()).is_none()
        {
            return Err(Error::Inconsistent);
        }
        Ok(key)
    }

    /// The one algorithm that it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name, where it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Its public half, for whoever verifies: a JWK (RFC 7517 §4).
    pub fn public_jwk(&self) -> &str {
        &self.public_jwk
    }

    /// A signed token (RFC 7515 §3.1): `typ` goes into its header beside `alg` and `kid`, `claims` is its payload. `None`
    /// if the arithmetic went wrong: a faulty signature of RSA would give the key away, so none is let out.
    pub fn sign(&self, typ: &str, claims: &str, salt: &Salt, host: &dyn HostSigner) -> Option<String> {
        let mut header = format!("{{\"alg\":\"{}\"", self.algorithm.name());
        if let Some(kid) = &self.kid {
            header.push_str(",\"kid\":");
            header.push_str(&Value::from(kid.as_str()).to_string());
        }
        header.push_str(",\"typ\":");
        header.push_str(&Value::from(typ).to_string());
        header.push('}');
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims));
        let signature = self
            .by_host(token.as_bytes(), host)
            .or_else(|| self.signature(token.as_bytes(), salt))?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Some(token)
    }

    /// The host's signature, where it makes some, and its first one for this key was good. PSS has parameters that Envoy's
    /// function does not take.
    fn by_host(&self, input: &[u8], host: &dyn HostSigner) -> Option<Vec<u8>> {
        if self.host.get() == Host::Wrong || self.algorithm == Algorithm::Ps256 {
            return None;
        }
        let mut signature = host.sign(Hash::Sha256, self.der.expose(), input)?;
        if self.algorithm == Algorithm::Es256 {
            signature = der::fixed_ecdsa_signature(&signature, P256_BYTES).unwrap_or_default();
        }
        if self.host.get() == Host::Untried {
            self.host.set(match self.verifies(input, &signature) {
                true => Host::Proven,
                false => Host::Wrong,
            });
        }
        (self.host.get() == Host::Proven && !signature.is_empty()).then_some(signature)
    }

    /// A signature of this code's own.
    fn signature(&self, input: &[u8], salt: &Salt) -> Option<Vec<u8>> {
        match &self.material {
            Material::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(input).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Material::Rsa(key) => {
                let signature = match self.algorithm {
                    Algorithm::Ps256 => key.sign_pss(Hash::Sha256, input, salt)?,
                    _ => key.sign_pkcs1(Hash::Sha256, input)?,
                };
                // One that went wrong on the way gives the primes away (RFC 8017 does not say so; Boneh, DeMillo and
                // Lipton do).
                self.verifies(input, &signature).then_some(signature)
            }
        }
    }

    fn verifies(&self, input: &[u8], signature: &[u8]) -> bool {
        let is_good = |key: &Key| key.verify(self.algorithm, input, signature, &NoHostSignatures);
        self.verifier
            .candidates(self.kid(), self.algorithm)
            .is_ok_and(|mut keys| keys.any(is_good))
    }
}

/// Without the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The keys of these JWKs.
pub fn key_set(jwks: &[&str]) -> Option<KeySet> {
    let document = json::object(jwk_set(jwks).as_bytes(), MAX_DEPTH).ok()?;
    KeySet::from_jwks(&document).ok()
}

/// A JWK Set (RFC 7517 §5).
pub fn jwk_set(jwks: &[&str]) -> String {
    let mut set = "{\"keys\":[".to_owned();
    set.push_str(&jwks.join(","));
    set.push_str("]}");
    set
}

fn public_jwk(material: &Material, algorithm: Algorithm, kid: Option<&str>) -> String {
    let mut jwk = "{\"use\":\"sig\"".to_owned();
    let mut add = |name: &str, value: &str| {
        jwk.push_str(",\"");
        jwk.push_str(name);
        jwk.push_str("\":");
        jwk.push_str(&Value::from(value).to_string());
    };
    add("alg", algorithm.name());
    if let Some(kid) = kid {
        add("kid", kid);
    }
    let mut number = |name, bytes: &[u8]| add(name, &URL_SAFE_NO_PAD.encode(bytes));
    match material {
        Material::P256(key) => {
            // SEC 1 §2.3.3: an uncompressed point is 4, x, y.
            let point = key.verifying_key().to_sec1_point(false);
            let numbers = point.as_bytes().get(1..).unwrap_or_default();
            let (x, y) = numbers.split_at_checked(P256_BYTES).unwrap_or_default();
            number("x", x);
            number("y", y);
            add("kty", "EC");
            add("crv", "P-256");
        }
        Material::Rsa(key) => {
            number("n", key.modulus());
            number("e", key.exponent());
            add("kty", "RSA");
        }
    }
    jwk.push('}');
    jwk
}

/// Why a text is no key that signs so. Texts are to stand behind the name of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No PEM of a private key.
    NotAKey,
    /// PEM of a private key in the form of PKCS#1 or SEC 1.
    OlderForm,
    /// PEM of an encrypted private key.
    Encrypted,
    /// It begins as a key and does not go on as one.
    Malformed,
    /// A key of a kind, or on a curve, that is not signed with here.
    KindUnknown,
    /// The key is of another kind than the algorithm's.
    OtherKind {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Its public half would not be taken.
    Unusable(SkipReason),
    /// The numbers of an RSA key are not those of one key.
    Inconsistent,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotAKey => {
                "is no private key: write PEM as `openssl genpkey` makes it (`BEGIN PRIVATE KEY`)"
            }
            Self::OlderForm => {
                "is a private key in an older form: `openssl pkcs8 -topk8 -nocrypt -in key.pem` brings it into PKCS#8"
            }
            Self::Encrypted => {
                "is encrypted, and nobody here knows the password: `openssl pkcs8 -topk8 -in key.pem -nocrypt` decrypts it"
            }
            Self::Malformed => "is a damaged private key",
            Self::KindUnknown => "is a key that is not signed with; keys on P-256 and RSA keys are",
            Self::OtherKind { algorithm } => {
                let kind = match algorithm {
                    Algorithm::Es256 => "a key on P-256",
                    _ => "an RSA key",
                };
                return write!(
                    formatter,
                    "is of another kind than `{algorithm}` takes, which is {kind}"
                );
            }
            Self::Unusable(reason) => return write!(formatter, "cannot be used: {reason}"),
            Self::Inconsistent => "is an RSA key whose numbers do not belong together",
        };
        formatter.write_str(text)
    }
}

impl std::error::Error for Error {}

/// What can be signed with: what the servers in sight ask of clients, and no more.
pub const SIGNING: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256];

/// RFC 7518 §6.2.1.2.
const P256_BYTES: usize = 32;
/// A set, its list, and a key.
const MAX_DEPTH: usize = 3;
