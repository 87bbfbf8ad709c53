//! The host's cryptography, where it has some: a proxy's own library is faster than what runs in its virtual machine.

/// What a host may be asked: whether a signature is good.
pub trait HostSignatures {
    /// Whether `signature` is good for `message` under a public key: a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7),
    /// and a DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3) for ECDSA. `None` where the host does not say: it has no such
    /// function, or it failed.
    fn verify(&self, scheme: HostScheme, public_key: &[u8], signature: &[u8], message: &[u8])
    -> Option<bool>;
}

/// What a host may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostScheme {
    /// RSASSA-PKCS1-v1_5 or ECDSA, as the key says, with SHA-256.
    Sha256,
    /// The same with SHA-384.
    Sha384,
    /// The same with SHA-512.
    Sha512,
}

/// A host that knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHostSignatures;

impl HostSignatures for NoHostSignatures {
    fn verify(&self, _: HostScheme, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}
