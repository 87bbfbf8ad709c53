//! A private key that tokens are minted with, in the forms in which people have them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::material::Material;
use crate::excerpt::Excerpt;
use crate::json;
use crate::jwks::{Algorithm, AlgorithmSet, Key, KeySet, NoHostSignatures, SharedSecret, SkipReason};
use crate::secret::Secret;
use crate::signer::{self, key_set, pem};

/// What it should sign with, where that is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// This algorithm.
    pub algorithm: Option<Algorithm>,
    /// One of these, where neither that nor the key says which.
    pub allowed: Option<AlgorithmSet>,
    /// The `kid` that tokens name; of a key set, the key of this name.
    pub kid: Option<&'a str>,
}

/// A private key, with the one algorithm that it signs with here.
pub struct MintingKey {
    algorithm: Algorithm,
    kid: Option<String>,
    material: Material,
    /// What verifies its signatures: the filter's own code.
    verifier: KeySet,
}

impl MintingKey {
    /// From a private JWK (RFC 7517 §4) or a set of them, from PEM as `openssl genpkey` writes it (PKCS#8), or, for HS256 to
    /// HS512, from any other text, which is the shared secret as a policy has it.
    ///
    /// # Errors
    /// [`KeyError`], which holds no private number.
    pub fn parse(text: &Secret<String>, wish: Wish<'_>) -> Result<Self, KeyError> {
        let text = text.expose();
        if text.contains("-----BEGIN") {
            let der = pem(text).map_err(KeyError::Pem)?;
            return Self::new(Material::from_pkcs8(der.expose())?, None, wish);
        }
        if text.trim_start().starts_with('{') {
            let document = json::object(text.as_bytes(), MAX_DEPTH).map_err(|_| KeyError::NotAKey)?;
            let jwk = match document.get("keys") {
                Some(Value::Array(keys)) => one_of(keys, wish.kid)?,
                _ => &document,
            };
            return Self::from_jwk(jwk, wish);
        }
        if wish.algorithm.is_some_and(Algorithm::is_symmetric) {
            let secret = Secret::new(text.as_bytes().to_vec());
            return Self::new(Material::Shared(secret), None, wish);
        }
        Err(KeyError::NotAKey)
    }

    /// A new one for an algorithm, of random bytes. RSA's are made elsewhere, and are read as PEM.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the bytes are no number of the curve's order: others are.
    pub fn from_random(
        algorithm: Algorithm,
        kid: Option<&str>,
        random: &Secret<[u8; RANDOM_BYTES]>,
    ) -> Result<Self, KeyError> {
        let curve = |name, bytes: usize| {
            let mut scalar = Secret::new(random.expose().get(..bytes).unwrap_or_default().to_vec());
            if bytes == RANDOM_BYTES {
                // P-521's numbers have one bit in their first byte.
                let first = random.expose().first().map_or(0, |first| first & 1);
                let rest = scalar.expose().iter().skip(1).copied();
                scalar = Secret::new([first].into_iter().chain(rest).collect());
            }
            Material::on_curve(name, scalar.expose())
        };
        let material = match algorithm {
            Algorithm::Es256 => curve("P-256", 32)?,
            Algorithm::Es384 => curve("P-384", 48)?,
            Algorithm::Es512 => curve("P-521", RANDOM_BYTES)?,
            Algorithm::Es256K => curve("secp256k1", 32)?,
            Algorithm::EdDsa => {
                let seed = random.expose().get(..32).unwrap_or_default();
                Material::ed25519(&Secret::new(seed.to_vec()))?
            }
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Hs256
            | Algorithm::Hs384
            | Algorithm::Hs512 => return Err(KeyError::KindUnknown),
        };
        let wish = Wish {
            kid,
            ..Wish::default()
        };
        Self::new(material, None, wish)
    }

    fn from_jwk(jwk: &Map<String, Value>, wish: Wish<'_>) -> Result<Self, KeyError> {
        let stated = match text(jwk, "alg") {
            Some(name) => Some(Algorithm::from_name(name).ok_or(KeyError::KindUnknown)?),
            None => None,
        };
        let material = Material::from_jwk(jwk)?;
        // A public half of another key would send whoever verifies astray.
        let public = material.public_members().unwrap_or_default();
        let is_its_own =
            |(name, value): &(&str, String)| text(jwk, name).is_none_or(|stated| stated == value);
        if !public.iter().all(is_its_own) {
            return Err(KeyError::Inconsistent);
        }
        let kid = wish.kid.or_else(|| text(jwk, "kid"));
        Self::new(material, stated, Wish { kid, ..wish })
    }

    fn new(material: Material, stated: Option<Algorithm>, wish: Wish<'_>) -> Result<Self, KeyError> {
        let own = material.algorithms();
        let allowed = |algorithm: &&Algorithm| wish.allowed.is_some_and(|set| set.contains(**algorithm));
        let algorithm = wish
            .algorithm
            .or(stated)
            .or_else(|| own.iter().find(allowed).copied())
            .or_else(|| own.first().copied())
            .ok_or(KeyError::KindUnknown)?;
        if !own.contains(&algorithm) {
            return Err(KeyError::OtherKind { algorithm });
        }
        let mut key = Self {
            algorithm,
            kid: wish.kid.map(str::to_owned),
            material,
            verifier: KeySet::default(),
        };
        key.verifier = key.key_set()?;
        // The numbers of RSA belong together if one signature is good.
        match key.signature(b"peergate", &[0; SALT_BYTES]) {
            Some(_) => Ok(key),
            None => Err(KeyError::Inconsistent),
        }
    }

    /// The one algorithm that it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of its tokens.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The same key, which names itself by its thumbprint (RFC 7638) where it has no other name. A shared secret stays
    /// without one: a thumbprint is a hash of the secret.
    #[must_use]
    pub fn named(mut self) -> Self {
        if self.kid.is_none() {
            self.kid = self.thumbprint();
            self.verifier = self.key_set().unwrap_or_default();
        }
        self
    }

    /// What verifies its tokens, and nothing else.
    ///
    /// # Errors
    /// The filter would not take the key: it is too short, or its name too long.
    pub fn key_set(&self) -> Result<KeySet, KeyError> {
        if let Material::Shared(secret) = &self.material {
            let shared = SharedSecret {
                kid: self.kid.clone(),
                algorithm: self.algorithm,
                secret: secret.clone(),
            };
            let bytes = secret.expose().len();
            return KeySet::from_secrets(&[shared]).map_err(|_| KeyError::SecretUnusable { bytes });
        }
        let jwk = self.public_jwk().ok_or(KeyError::KindUnknown)?;
        let set = key_set(&[&jwk]).ok_or(KeyError::Malformed)?;
        match set.skipped().first() {
            Some(skipped) => Err(KeyError::Unusable(skipped.reason.clone())),
            None => Ok(set),
        }
    }

    /// Its public half, a JWK on one line; none of a shared secret.
    pub fn public_jwk(&self) -> Option<String> {
        Some(format!("{{{}}}", self.members(&self.material.public_members()?)))
    }

    /// The private key, a JWK on one line.
    pub fn private_jwk(&self) -> Secret<String> {
        let shared = || vec![("kty", "oct".to_owned())];
        let public = self.members(&self.material.public_members().unwrap_or_else(shared));
        let private = self.material.private_members();
        let private: Vec<Secret<String>> = private
            .into_iter()
            .map(|(name, value)| Secret::new(format!(",\"{name}\":\"{}\"", value.expose())))
            .collect();
        let private: Vec<&str> = private.iter().map(|member| member.expose().as_str()).collect();
        Secret::new(format!("{{{public}{}}}", private.concat()))
    }

    fn members(&self, own: &[(&str, String)]) -> String {
        let name = |name: &str, value: &str| format!("\"{name}\":{}", Value::from(value));
        let mut members = vec![name("use", "sig"), name("alg", self.algorithm.name())];
        members.extend(self.kid().map(|kid| name("kid", kid)));
        members.extend(own.iter().map(|(member, value)| name(member, value)));
        members.join(",")
    }

    fn thumbprint(&self) -> Option<String> {
        let members = self.material.public_members()?;
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        let canonical = format!("{{{}}}", members.join(","));
        Some(URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)))
    }

    /// A signed token (RFC 7515 §3.1). `None` if the arithmetic went wrong.
    pub fn mint(
        &self,
        typ: Option<&str>,
        claims: &Map<String, Value>,
        salt: &[u8; SALT_BYTES],
    ) -> Option<Secret<String>> {
        let members = [
            Some(("alg", self.algorithm.name())),
            self.kid().map(|kid| ("kid", kid)),
            typ.map(|typ| ("typ", typ)),
        ];
        let members: Vec<String> = members
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("\"{name}\":{}", Value::from(value)))
            .collect();
        let header = URL_SAFE_NO_PAD.encode(format!("{{{}}}", members.join(",")));
        let claims = URL_SAFE_NO_PAD.encode(Value::Object(claims.clone()).to_string());
        let input = format!("{header}.{claims}");
        let signature = self.signature(input.as_bytes(), salt)?;
        Some(Secret::new(format!(
            "{input}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }

    /// One that was verified: of RSA, a faulty one gives the key away.
    fn signature(&self, input: &[u8], salt: &[u8; SALT_BYTES]) -> Option<Vec<u8>> {
        let signature = self.material.sign(self.algorithm, input, salt)?;
        let is_good = |key: &Key| key.verify(self.algorithm, input, &signature, &NoHostSignatures);
        let mut keys = self.verifier.candidates(self.kid(), self.algorithm).ok()?;
        keys.any(is_good).then_some(signature)
    }
}

/// Without the key.
impl fmt::Debug for MintingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MintingKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The key of a set that is meant.
fn one_of<'k>(keys: &'k [Value], kid: Option<&str>) -> Result<&'k Map<String, Value>, KeyError> {
    let objects: Vec<&Map<String, Value>> = keys.iter().filter_map(Value::as_object).collect();
    match (kid, objects.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(KeyError::Several { count: keys.len() }),
        (Some(kid), objects) => {
            let is_named = |jwk: &&&Map<String, Value>| text(jwk, "kid") == Some(kid);
            let found = objects.iter().find(is_named);
            found
                .copied()
                .ok_or_else(|| KeyError::NoSuchKid(Excerpt::new(kid)))
        }
    }
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Option<&'j str> {
    jwk.get(name).and_then(Value::as_str)
}

/// A member in strict base64url.
pub(super) fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<Secret<Vec<u8>>, KeyError> {
    let text = jwk.get(name).ok_or(KeyError::Missing { name })?;
    let bytes = text.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes.map(Secret::new).ok_or(KeyError::Malformed)
}

/// Why there is no key to mint with. Texts stand behind the name of what was read; none holds a private number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// Neither JWK nor PEM.
    NotAKey,
    /// PEM of something else.
    Pem(signer::Error),
    /// It begins as a key and does not go on as one.
    Malformed,
    /// A kind of key that the filter does not verify signatures of.
    KindUnknown,
    /// A member of the JWK is not there.
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A set of several keys, and nobody says which.
    Several {
        /// How many.
        count: usize,
    },
    /// The set has no key of this name.
    NoSuchKid(Excerpt),
    /// The key does not sign so.
    OtherKind {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
    },
    /// The numbers are not those of one key.
    Inconsistent,
    /// The filter would not take its public half.
    Unusable(SkipReason),
    /// The filter would not take the shared secret.
    SecretUnusable {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKey => formatter.write_str(
                "is no private key\n  help: `peergate token --new-key ES256 --out FILE` makes one; a shared secret needs `--alg`",
            ),
            Self::Pem(error) => error.fmt(formatter),
            Self::Malformed => formatter.write_str("is a damaged private key"),
            Self::KindUnknown => formatter.write_str("is a key of a kind that the filter does not verify signatures of"),
            Self::Missing { name: "d" | "k" } => formatter.write_str("is a public key, and signs nothing"),
            Self::Missing { name } => write!(formatter, "is a private key without its member `{name}`"),
            Self::Several { count } => {
                write!(formatter, "is a set of {count} keys\n  help: `--kid` says which of them signs")
            }
            Self::NoSuchKid(kid) => write!(formatter, "is a set of keys without a key `{kid}`"),
            Self::OtherKind { algorithm } => write!(formatter, "is a key that does not sign by `{algorithm}`"),
            Self::Inconsistent => formatter.write_str("is a key whose numbers do not belong together"),
            Self::Unusable(reason) => write!(formatter, "cannot be used: {reason}"),
            Self::SecretUnusable { bytes } => write!(
                formatter,
                "is a secret of {bytes} bytes, and the filter takes none that is shorter than the hash"
            ),
        }
    }
}

impl std::error::Error for KeyError {}

/// As long as the longest hash (RFC 7518 §3.5).
pub const SALT_BYTES: usize = 64;
/// The size of P-521's numbers (RFC 7518 §6.2.2.1), the longest.
pub const RANDOM_BYTES: usize = 66;
/// A set, its list, a key, and what stands in one.
const MAX_DEPTH: usize = 4;
