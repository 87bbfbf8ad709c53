//! What a caller is given before it calls: API keys and static tokens.
//!
//! Checks what somebody has against what the filter takes, and makes new ones of random bytes that it is handed. It knows no
//! policy, and keeps nothing.

mod key;

pub use self::key::{KeyError, NEW_KEY_BYTES, digest, new_key};
