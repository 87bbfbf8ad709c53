//! Seeds, and the URIs by which authenticators take them.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::secret::Secret;
use crate::totp::{Algorithm, CodeParameters, Seed, SeedError};

/// A new seed in base32, of as many of the random bytes as the hash has (RFC 6238 §5.1): 20 for SHA-1, which RFC 4226 §4
/// recommends, 32 for SHA-256, 64 for SHA-512.
///
/// # Errors
/// None that random bytes could bring about.
pub fn new_seed(algorithm: Algorithm, random: &Secret<[u8; LONGEST_SEED_BYTES]>) -> Result<Seed, SeedError> {
    let bytes = match algorithm {
        Algorithm::Sha1 => 20,
        Algorithm::Sha256 => 32,
        Algorithm::Sha512 => LONGEST_SEED_BYTES,
    };
    let bytes = random.expose().get(..bytes).unwrap_or_default();
    let alphabet = base32::Alphabet::Rfc4648 { padding: false };
    let text = Secret::new(base32::encode(alphabet, bytes));
    Seed::parse(text.expose())
}

/// Whose seed it is, as an authenticator shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    issuer: Option<String>,
    label: String,
}

impl Account {
    /// The label says who the caller is, the issuer who asks for its codes.
    ///
    /// # Errors
    /// One of them is empty, or has a colon, which is what stands between them.
    pub fn new(issuer: Option<&str>, label: &str) -> Result<Self, AccountError> {
        let is_name = |name: &str| !name.trim().is_empty() && !name.contains(':');
        if !is_name(label) {
            return Err(AccountError::Label);
        }
        if issuer.is_some_and(|issuer| !is_name(issuer)) {
            return Err(AccountError::Issuer);
        }
        Ok(Self {
            issuer: issuer.map(str::to_owned),
            label: label.to_owned(),
        })
    }

    /// `otpauth://totp/…`, in the Key Uri Format of Google Authenticator, which others read too. It holds the seed.
    pub fn uri(&self, seed: &Seed, parameters: &CodeParameters) -> Secret<String> {
        let encode = |text| utf8_percent_encode(text, RESERVED);
        let (before, behind) = match &self.issuer {
            Some(issuer) => (
                format!("{}:", encode(issuer)),
                format!("&issuer={}", encode(issuer)),
            ),
            None => (String::new(), String::new()),
        };
        Secret::new(format!(
            "otpauth://totp/{before}{}?secret={}{behind}&algorithm={}&digits={}&period={}",
            encode(&self.label),
            seed.to_base32().expose(),
            parameters.algorithm().name(),
            parameters.digits().count(),
            parameters.period_seconds()
        ))
    }
}

/// Why an account has no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountError {
    /// The label.
    Label,
    /// The issuer.
    Issuer,
}

impl fmt::Display for AccountError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Label => "label",
            Self::Issuer => "issuer",
        };
        write!(formatter, "the {name} of a key URI is a name without a colon")
    }
}

impl std::error::Error for AccountError {}

/// All but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The output of SHA-512, the longest hash that codes are made with.
pub const LONGEST_SEED_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totp::Digits;

    fn seed() -> Seed {
        Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    #[test]
    fn seeds_are_as_long_as_the_hash() {
        let random = Secret::new([0xa5; LONGEST_SEED_BYTES]);
        for (algorithm, characters) in [
            (Algorithm::Sha1, 32),
            (Algorithm::Sha256, 52),
            (Algorithm::Sha512, 103),
        ] {
            let seed = new_seed(algorithm, &random).unwrap();
            assert_eq!(seed.to_base32().expose().len(), characters);
        }
    }

    #[test]
    fn uris() {
        let account = Account::new(Some("agents"), "mrpink").unwrap();
        assert_eq!(
            account.uri(&seed(), &CodeParameters::DEFAULT).expose(),
            "otpauth://totp/agents:mrpink?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=agents&algorithm=SHA1&digits=6&period=30"
        );
        let account = Account::new(None, "mr pink+\u{f6}/&?#").unwrap();
        let parameters = CodeParameters::new(Algorithm::Sha256, Digits::Eight, 60, 0).unwrap();
        assert_eq!(
            account.uri(&seed(), &parameters).expose(),
            "otpauth://totp/mr%20pink%2B%C3%B6%2F%26%3F%23?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA256&digits=8&period=60"
        );
    }

    #[test]
    fn names_that_are_none() {
        assert_eq!(Account::new(None, " "), Err(AccountError::Label));
        assert_eq!(Account::new(None, "a:b"), Err(AccountError::Label));
        assert_eq!(Account::new(Some(""), "a"), Err(AccountError::Issuer));
        assert_eq!(Account::new(Some("a:b"), "a"), Err(AccountError::Issuer));
    }
}
