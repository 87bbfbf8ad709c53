//! Private keys that sign: tokens of the filter's own, as JWS in compact form (RFC 7515 §7.1).
//!
//! A key comes from a secret text, PEM (PKCS#8) or a private JWK, for one algorithm: ES256, EdDSA, RS256 or PS256. Where
//! the host signs, which is faster, it is asked; what it does not do is computed here, ECDSA without randomness (RFC 6979).
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
use ed25519_dalek::Signer as _;
use serde_json::{Map, Value, json};

use crate::json;
use crate::jwks::{Algorithm, Hash, Key, KeySet, NoHostSignatures, SkipReason, der};
use crate::secret::Secret;

use self::rsa::RsaPrivateKey;

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
    public_jwk: Map<String, Value>,
    /// The public half alone.
    verifier: KeySet,
    /// The key as a host wants it.
    host_key: Option<Secret<Vec<u8>>>,
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
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Rsa(RsaPrivateKey),
}

impl SigningKey {
    /// From PEM as `openssl genpkey` writes it (RFC 7468 §10, RFC 5958), or a private JWK (RFC 7517 §4, RFC 7518 §6,
    /// RFC 8037 §2).
    ///
    /// # Errors
    /// [`Error`]; nothing of the text is in it.
    pub fn parse(text: &str, algorithm: Algorithm, kid: Option<&str>) -> Result<Self, Error> {
        if !SIGNING.contains(&algorithm) {
            return Err(Error::AlgorithmNotSigned { algorithm });
        }
        let read = match text.trim_start().starts_with('{') {
            true => private_jwk(text)?,
            false => pkcs8::pem(text)?,
        };
        let material = match (algorithm, read) {
            (Algorithm::Es256, Read::P256(scalar)) => Material::P256(
                p256::ecdsa::SigningKey::from_slice(scalar.expose()).map_err(|_| Error::Malformed)?,
            ),
            (Algorithm::EdDsa, Read::Ed25519(seed)) => {
                let seed = seed
                    .expose()
                    .as_slice()
                    .try_into()
                    .map_err(|_| Error::Malformed)?;
                Material::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed)))
            }
            (Algorithm::Rs256 | Algorithm::Ps256, Read::Rsa(key)) => Material::Rsa(key),
            _ => return Err(Error::OtherKind { algorithm }),
        };
        let public_jwk = public_jwk(&material, algorithm, kid);
        let mut set = Map::new();
        set.insert("keys".to_owned(), json!([public_jwk]));
        let verifier = KeySet::from_jwks(&set).map_err(|_| Error::Malformed)?;
        if let Some(skipped) = verifier.skipped().first() {
            return Err(Error::Unusable(skipped.reason.clone()));
        }
        let key = Self {
            algorithm,
            kid: kid.map(str::to_owned),
            host_key: material.for_host(algorithm),
            material,
            public_jwk,
            verifier,
            host: Cell::new(Host::Untried),
        };
        // Only RSA's private numbers are not made into the public ones here.
        match key.material {
            Material::Rsa(_) if key.signature(b"peergate", &Salt::default()).is_none() => {
                Err(Error::Inconsistent)
            }
            Material::P256(_) | Material::Ed25519(_) | Material::Rsa(_) => Ok(key),
        }
    }

    /// The one algorithm that it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name, where it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Its public half, for whoever verifies.
    pub const fn public_jwk(&self) -> &Map<String, Value> {
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
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self
            .by_host(token.as_bytes(), host)
            .or_else(|| self.signature(token.as_bytes(), salt))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }

    /// The host's signature, where it makes some, and its first one for this key was good.
    fn by_host(&self, input: &[u8], host: &dyn HostSigner) -> Option<Vec<u8>> {
        let key = self
            .host_key
            .as_ref()
            .filter(|_| self.host.get() != Host::Wrong)?;
        let signature = host.sign(Hash::Sha256, key.expose(), input)?;
        let signature = match self.material {
            Material::P256(_) => der::fixed_ecdsa_signature(&signature, P256_BYTES),
            Material::Ed25519(_) | Material::Rsa(_) => Some(signature),
        };
        if self.host.get() == Host::Untried {
            let is_good = signature
                .as_ref()
                .is_some_and(|signature| self.verifies(input, signature));
            self.host.set(if is_good { Host::Proven } else { Host::Wrong });
        }
        signature.filter(|_| self.host.get() == Host::Proven)
    }

    /// A signature of this code's own.
    fn signature(&self, input: &[u8], salt: &Salt) -> Option<Vec<u8>> {
        match &self.material {
            Material::P256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(input).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            Material::Ed25519(key) => Some(key.try_sign(input).ok()?.to_bytes().to_vec()),
            Material::Rsa(key) => {
                let signature = match self.algorithm {
                    Algorithm::Ps256 => key.sign_pss(input, salt)?,
                    _ => key.sign_pkcs1(input)?,
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

impl Material {
    /// PSS has parameters that Envoy's function does not take, and Ed25519 a hash of its own.
    fn for_host(&self, algorithm: Algorithm) -> Option<Secret<Vec<u8>>> {
        match (self, algorithm) {
            (Self::P256(key), _) => Some(Secret::new(pkcs8::p256(&key.to_bytes()))),
            (Self::Rsa(key), Algorithm::Rs256) => Some(Secret::new(key.pkcs8())),
            (Self::Rsa(_) | Self::Ed25519(_), _) => None,
        }
    }
}

/// What a text held.
enum Read {
    P256(Secret<Vec<u8>>),
    Ed25519(Secret<Vec<u8>>),
    Rsa(RsaPrivateKey),
}

/// RFC 7517 §4. The public numbers of a key on a curve are made of the private one, whatever stands there.
fn private_jwk(text: &str) -> Result<Read, Error> {
    let jwk = json::object(text.as_bytes(), MAX_DEPTH).map_err(|_| Error::NotAKey)?;
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(text(name)).map_err(|_| Error::Malformed);
    match (text("kty"), text("crv")) {
        ("EC", "P-256") => Ok(Read::P256(Secret::new(number("d")?))),
        ("OKP", "Ed25519") => Ok(Read::Ed25519(Secret::new(number("d")?))),
        ("RSA", _) => {
            let [d, p, q, dp, dq, qi] = ["d", "p", "q", "dp", "dq", "qi"].map(number);
            RsaPrivateKey::new(number("n")?, number("e")?, [d?, p?, q?, dp?, dq?, qi?])
                .map(Read::Rsa)
                .ok_or(Error::Malformed)
        }
        ("EC" | "OKP", _) => Err(Error::CurveUnknown),
        _ => Err(Error::NotAKey),
    }
}

fn public_jwk(material: &Material, algorithm: Algorithm, kid: Option<&str>) -> Map<String, Value> {
    let text = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    let members: Vec<(&str, Value)> = match material {
        Material::P256(key) => {
            let point = key.verifying_key().to_sec1_point(false);
            // SEC 1 §2.3.3: an uncompressed point is 4, x, y.
            let (x, y) = point
                .as_bytes()
                .get(1..)
                .unwrap_or_default()
                .split_at_checked(P256_BYTES)
                .unwrap_or_default();
            vec![
                ("kty", "EC".into()),
                ("crv", "P-256".into()),
                ("x", text(x)),
                ("y", text(y)),
            ]
        }
        Material::Ed25519(key) => {
            let x = text(key.verifying_key().as_bytes());
            vec![("kty", "OKP".into()), ("crv", "Ed25519".into()), ("x", x)]
        }
        Material::Rsa(key) => vec![
            ("kty", "RSA".into()),
            ("n", text(key.modulus())),
            ("e", text(key.exponent())),
        ],
    };
    let about = [
        ("alg", Value::from(algorithm.name())),
        ("use", Value::from("sig")),
    ];
    let kid = kid.map(|kid| ("kid", Value::from(kid)));
    let members = members.into_iter().chain(about).chain(kid);
    members.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Why a text is no key that signs so. Texts are to stand behind the name of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Neither PEM of a private key nor a private JWK.
    NotAKey,
    /// PEM of a private key in the form of PKCS#1 or SEC 1.
    OlderForm,
    /// PEM of an encrypted private key.
    Encrypted,
    /// It begins as a key and does not go on as one.
    Malformed,
    /// A key on a curve that is not signed with here.
    CurveUnknown,
    /// The key is of another kind than the algorithm's.
    OtherKind {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Its public half would not be taken.
    Unusable(SkipReason),
    /// The numbers of an RSA key are not those of one key.
    Inconsistent,
    /// The algorithm is not signed with here.
    AlgorithmNotSigned {
        /// The algorithm.
        algorithm: Algorithm,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotAKey => {
                "is no private key: write PEM as `openssl genpkey` makes it (`BEGIN PRIVATE KEY`), or a private JWK"
            }
            Self::OlderForm => {
                "is a private key in an older form: `openssl pkcs8 -topk8 -nocrypt -in key.pem` brings it into PKCS#8"
            }
            Self::Encrypted => {
                "is encrypted, and nobody here knows the password: `openssl pkcs8 -topk8 -in key.pem -nocrypt` decrypts it"
            }
            Self::Malformed => "is a damaged private key",
            Self::CurveUnknown => "is a key on a curve that is not signed with: P-256 and Ed25519 are",
            Self::OtherKind { algorithm } => {
                let kind = match algorithm {
                    Algorithm::Es256 => "a key on P-256",
                    Algorithm::EdDsa => "a key on Ed25519",
                    _ => "an RSA key",
                };
                return write!(
                    formatter,
                    "is of another kind than `{algorithm}` takes, which is {kind}"
                );
            }
            Self::Unusable(reason) => return write!(formatter, "cannot be used: {reason}"),
            Self::Inconsistent => "is an RSA key whose numbers do not belong together",
            Self::AlgorithmNotSigned { algorithm } => {
                return write!(
                    formatter,
                    "`{algorithm}` is not signed with: ES256, EdDSA, RS256 and PS256 are"
                );
            }
        };
        formatter.write_str(text)
    }
}

impl std::error::Error for Error {}

/// What can be signed with: what the servers in sight ask of clients, and no more.
pub const SIGNING: [Algorithm; 4] = [
    Algorithm::Es256,
    Algorithm::EdDsa,
    Algorithm::Rs256,
    Algorithm::Ps256,
];

/// RFC 7518 §6.2.1.2.
const P256_BYTES: usize = 32;
/// A JWK with its certificates, which are a list.
const MAX_DEPTH: usize = 4;
