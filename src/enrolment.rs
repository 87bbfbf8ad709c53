//! What a caller is given before it calls: API keys and static tokens, and seeds of one-time codes.
//!
//! Checks what somebody has against what the filter takes, makes new ones of random bytes that it is handed, writes key URIs,
//! and says what a code tells of the clock that it was made by. What the policy then holds is a digest, or the place of a
//! secret: nothing is kept here, and what the filter remembers of codes is not known.

mod code;
mod key;
mod peer;
mod seed;

pub use self::code::{Finding, Life, by_other_parameters, find, life};
pub use self::key::{KeyError, NEW_KEY_BYTES, digest, new_key};
pub use self::peer::{Enrolled, PeerError, enrolled};
pub use self::seed::{Account, AccountError, LONGEST_SEED_BYTES, new_seed};
