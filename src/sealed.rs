//! Sealed secrets: a text encrypted to a key that only the proxy's environment holds, so that it can stand in a policy
//! that everybody may read.
//!
//! A sealed secret is a JWE in its compact form (RFC 7516 §3.1) with one choice of algorithms: a key agreed upon over
//! P-256 (`ECDH-ES`, RFC 7518 §4.6), used directly, and `A256GCM` (§5.3). A compact JWE has one recipient, to whom every
//! JWE agrees upon a key of its own: wrapping a second key in it (`ECDH-ES+A256KW`) would protect nothing more. Nothing
//! else is read: no RSA, no password, no compression, no extension. Any JOSE library can make one.
//!
//! It does not say who sealed a secret: whoever has the public key can. It hides a text, and not its length. It binds
//! a secret to no place: whoever may write the policy may write the same JWE into another member.
//!
//! Randomness is an argument, and only of sealing.

mod agreement;
mod envelope;
mod error;
mod jwk;
#[cfg(not(target_arch = "wasm32"))]
mod make;

pub use self::envelope::Envelope;
pub use self::error::{JweError, JwkError, UnsealingKeyError};
pub use self::jwk::UnsealingKeys;
#[cfg(not(target_arch = "wasm32"))]
pub use self::make::{KeyPair, Recipient, SealError};

/// The variable of the proxy's environment that holds the private keys: a JWK, or a JWK set.
pub const UNSEALING_KEY: &str = "PEERGATE_UNSEALING_KEY";

/// Ours: holds a `sealed_env` of some hundred variables, and bounds the work on one that is none.
pub const MAX_JWE_BYTES: usize = 65_536;

/// Ours: a header with all members that are read has some 250 bytes, and there is room for certificates that others
/// put in.
const MAX_HEADER_BYTES: usize = 4_096;

/// Ours: a JWK has some 250 bytes.
const MAX_KEYS_BYTES: usize = 16_384;

/// Ours: two while rotating, and some that were forgotten. A JWE that does not name its key is tried with each.
pub const MAX_KEYS: usize = 8;

/// Ours: a header holds an object, `epk`, and whatever others put in. A JWK set is an object, a list, objects.
const MAX_DEPTH: usize = 8;

/// The one `alg` (RFC 7518 §4.6).
const ALGORITHM: &str = "ECDH-ES";

/// The one `enc` (RFC 7518 §5.3).
const ENCRYPTION: &str = "A256GCM";

/// Of AES-GCM (RFC 7518 §5.3).
const NONCE_BYTES: usize = 12;

/// Of AES-GCM (RFC 7518 §5.3).
const TAG_BYTES: usize = 16;

/// Of a coordinate and of a private key on P-256 (RFC 7518 §6.2).
const FIELD_BYTES: usize = 32;

#[cfg(test)]
mod tests;
