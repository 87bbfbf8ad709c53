//! Tokens for tests: made with a private key that somebody holds, and shaped as a provider's are.
//!
//! It is no identity provider: it authenticates nobody, remembers nothing and revokes nothing. It reads private keys, makes
//! new ones of random bytes that it is handed, and signs with them whatever it is told. Each signature is verified by the
//! filter's own code before it goes out. Nothing here is part of the filter, which signs by `signer`.

mod claims;
mod decoded;
mod key;
mod material;
mod provider;
mod rsa;

pub use self::claims::{Claims, NotAJsonValue, claim};
pub use self::decoded::{Decoded, NoToken};
pub use self::key::{KeyError, MintingKey, RANDOM_BYTES, SALT_BYTES, Wish};
pub use self::provider::Expected;
