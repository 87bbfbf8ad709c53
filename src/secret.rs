//! Values that must not be seen: redacted when printed, zeroed when dropped, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A secret value. It has no `Serialize` and no `Display`; `Debug` prints `*****`; memory is zeroed on drop.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value that from here on is only seen through [`Secret::expose`].
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: every use is a place to review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
///
/// A comparison that stops at the first difference tells an attacker how much of a guess was right. All
/// comparisons of digests and codes go through here.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// What stands in place of a secret wherever it would be printed.
pub const REDACTED: &str = "*****";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new(String::from("hunter2"));
        assert_eq!(format!("{secret:?}"), "*****");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(*****)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn equality() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"abc", b"abc"));
        assert!(!constant_time_eq(b"abc", b"abd"));
        assert!(!constant_time_eq(b"abc", b"ab"));
    }
}
