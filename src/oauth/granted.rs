//! The answer to a request for a token (RFC 6749 §5.1, RFC 8693 §2.2.1).

use serde_json::Value;

use crate::callout::Answer;
use crate::jwt;
use crate::secret::Secret;
use crate::time::UnixTime;

use super::answer::{Found, Malformed, TokenError, object};
use super::request::TokenType;

/// A token that may be put on calls.
#[derive(Debug)]
pub struct Granted {
    /// The token, which a header can carry.
    pub access_token: Secret<String>,
    /// From when on it is used no more. It may have passed: then it serves the calls that wait for it.
    pub usable_until: UnixTime,
}

/// What an answer is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The kind that was asked for.
    pub requested_token_type: Option<&'a TokenType>,
    /// When the caller's token ends: one that was got for it is not used for longer.
    pub subject_expires_at: Option<UnixTime>,
    /// When the answer came.
    pub now: UnixTime,
}

impl Granted {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`TokenError`]: what is not known to be good gives no token.
    pub fn read(answer: Answer, expected: &Expected<'_>) -> Result<Self, TokenError> {
        let mut members = object(answer)?;
        let malformed = |what: Malformed| Err(TokenError::Malformed(what));
        let access_token = match members.remove("access_token") {
            Some(Value::String(token)) => Secret::new(token),
            _ => return malformed(Malformed::AccessToken),
        };
        let token = access_token.expose().as_bytes();
        let is_carried = (1..=jwt::MAX_TOKEN_BYTES).contains(&token.len())
            && token.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
        if !is_carried {
            return malformed(Malformed::AccessToken);
        }
        let text = |member: &str| members.get(member).and_then(Value::as_str);
        let token_type = text("token_type");
        // RFC 6749 §7.1: one that is not understood must not be used; without case (§5.1). RFC 8693 §2.2.1: `N_A`.
        if !token_type.is_some_and(|token_type| token_type.eq_ignore_ascii_case("bearer")) {
            return malformed(Malformed::TokenType {
                found: Found::of(token_type),
            });
        }
        let issued = text("issued_token_type");
        if let Some(requested) = expected.requested_token_type
            && issued != Some(requested.as_str())
        {
            return malformed(Malformed::IssuedTokenType {
                found: Found::of(issued),
            });
        }
        let now = expected.now.numeric_date();
        let expires_at = match members.get("expires_in") {
            Some(seconds) => match seconds.as_f64() {
                Some(seconds) if seconds >= 0.0 => now + seconds,
                _ => return malformed(Malformed::ExpiresIn),
            },
            None => jwt::unverified_expiry(token).map_or(now + UNSAID_SECONDS, jwt::NumericDate::seconds),
        };
        let usable_until = expires_at.min(now + LONGEST_SECONDS) - MARGIN_SECONDS;
        let usable_until = UnixTime::from_numeric_date(usable_until);
        Ok(Self {
            usable_until: match expected.subject_expires_at {
                Some(subject) => usable_until.min(subject),
                None => usable_until,
            },
            access_token,
        })
    }
}

/// How much of an answer is read: the longest token, and something beside it.
pub const MAX_ANSWER_BYTES: usize = 128 * 1024;
/// Ours: how long a token is used of which nobody says how long it lasts.
const UNSAID_SECONDS: f64 = 60.0;
/// Ours: a day. Whoever is no longer allowed something keeps it no longer.
const LONGEST_SECONDS: f64 = 86_400.0;
/// Ours: the token is on its way for a while, and clocks differ.
const MARGIN_SECONDS: f64 = 5.0;
