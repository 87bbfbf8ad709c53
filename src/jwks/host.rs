//! The host's cryptography, where it has some: a proxy's own library is faster than what runs in its virtual machine.
//!
//! A host is believed only for what it was [seen](Proven) to do right. Whatever it does not answer is computed here, so
//! it can make a request faster, never decide it otherwise.

mod vectors;

use std::fmt;

use super::algorithm::Algorithm;
use super::hash::Hash;

/// What a host may be asked: whether a signature is good.
pub trait HostSignatures {
    /// Whether `signature` is good for `message` under a public key: a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7),
    /// and a DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) for ECDSA. `None` where the host does not say: it has no such
    /// function, or it failed.
    fn verify(&self, scheme: HostScheme, public_key: &[u8], signature: &[u8], message: &[u8])
    -> Option<bool>;

    /// Is told of each verification and who has done it.
    fn note(&self, _by: VerifiedBy) {}
}

/// Who has verified a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedBy {
    /// The host.
    Host,
    /// This code.
    Module,
}

/// What a host may know. The other algorithms have parameters or keys that Envoy's function does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostScheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
}

impl HostScheme {
    /// Every scheme.
    pub const ALL: [Self; 6] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
    ];

    /// That of an algorithm.
    pub const fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Rs256 => Some(Self::Rs256),
            Algorithm::Rs384 => Some(Self::Rs384),
            Algorithm::Rs512 => Some(Self::Rs512),
            Algorithm::Es256 => Some(Self::Es256),
            Algorithm::Es384 => Some(Self::Es384),
            Algorithm::Es512 => Some(Self::Es512),
            Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Es256K
            | Algorithm::EdDsa
            | Algorithm::Hs256
            | Algorithm::Hs384
            | Algorithm::Hs512 => None,
        }
    }

    /// Its hash.
    pub const fn hash(self) -> Hash {
        match self {
            Self::Rs256 | Self::Es256 => Hash::Sha256,
            Self::Rs384 | Self::Es384 => Hash::Sha384,
            Self::Rs512 | Self::Es512 => Hash::Sha512,
        }
    }

    /// The name of its algorithm.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }
}

/// A host that knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHostSignatures;

impl HostSignatures for NoHostSignatures {
    fn verify(&self, _: HostScheme, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}

/// A host that was tried with known answers. Of the schemes whose answers were not right it is never asked again.
#[derive(Debug)]
pub struct Proven<H> {
    host: H,
    /// In the order of [`HostScheme::ALL`]: whether the answers were right.
    schemes: [(HostScheme, bool); HostScheme::ALL.len()],
}

impl<H: HostSignatures> Proven<H> {
    /// Tries every scheme: a good signature, which the host must find good, and the same for another message, which it
    /// must find bad.
    pub fn by_known_answers(host: H) -> Self {
        let schemes = HostScheme::ALL.map(|scheme| {
            let known = vectors::known(scheme);
            let answer = |message| host.verify(scheme, known.public_key, known.signature, message);
            let is_right =
                answer(vectors::MESSAGE) == Some(true) && answer(vectors::OTHER_MESSAGE) == Some(false);
            (scheme, is_right)
        });
        Self { host, schemes }
    }

    /// The host itself.
    pub const fn host(&self) -> &H {
        &self.host
    }

    /// Whether the host does every scheme right.
    pub fn is_complete(&self) -> bool {
        self.schemes(false).next().is_none()
    }

    /// The schemes that the host does right (true), or that it does not.
    pub fn schemes(&self, right: bool) -> impl Iterator<Item = HostScheme> {
        self.schemes
            .iter()
            .filter(move |(_, is_right)| *is_right == right)
            .map(|(scheme, _)| *scheme)
    }
}

impl<H: HostSignatures> HostSignatures for Proven<H> {
    fn verify(
        &self,
        scheme: HostScheme,
        public_key: &[u8],
        signature: &[u8],
        message: &[u8],
    ) -> Option<bool> {
        self.schemes(true)
            .any(|proven| proven == scheme)
            .then(|| self.host.verify(scheme, public_key, signature, message))
            .flatten()
    }

    fn note(&self, by: VerifiedBy) {
        self.host.note(by);
    }
}

/// What is said of it in the log, once.
impl<H: HostSignatures> fmt::Display for Proven<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |right| {
            self.schemes(right)
                .map(HostScheme::name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        if self.is_complete() {
            return write!(formatter, "the proxy verifies {}", names(true));
        }
        write!(
            formatter,
            "the proxy does not verify {}: that is done in the module, which is slower",
            names(false)
        )
    }
}
