//! Claims of a token whose signature is good (RFC 7519 §4.1).
//!
//! A claim of the wrong type is a refusal and not an absence: a null `exp` is not a token without end. Types come
//! first, then times, then for whom the token is.

use std::fmt;

use serde_json::{Map, Value};

use super::error::Error;
use super::provider::{Audiences, Provider};
use crate::excerpt::Excerpt;
use crate::time::UnixTime;

/// All that a provider asks of claims. Answers with the times: the only part of it that a later moment can change.
pub(super) fn check(provider: &Provider, claims: &Map<String, Value>, now: UnixTime) -> Result<Times, Error> {
    let times = Times::read(claims)?;
    let subject = text(claims, "sub")?;
    text(claims, "jti")?;
    check_audience_type(claims)?;
    times.check(provider, now)?;
    if let Some(mark) = ForeignMark::find(claims, provider.types.is_empty()) {
        return Err(Error::NotAnAccessToken { mark });
    }
    check_audience(&provider.audiences, claims)?;
    for claim in &provider.required_claims {
        if is_missing(claims.get(claim)) {
            return Err(missing(claim));
        }
    }
    check_subject(provider, subject)?;
    Ok(times)
}

/// What is asked of claims that somebody else vouches for (RFC 7662 §2.2): where they are there, they are typed as a
/// token's, and say nothing else than they should. Answers with `exp`.
pub(super) fn check_vouched(
    claims: &Map<String, Value>,
    issuer: Option<&str>,
    wanted: &Audiences,
    now: UnixTime,
) -> Result<Option<NumericDate>, Error> {
    let times = Times::read(claims)?;
    text(claims, "sub")?;
    text(claims, "jti")?;
    let named = text(claims, "iss")?;
    check_audience_type(claims)?;
    times.check_where_present(VOUCHED_SKEW_SECONDS, now)?;
    if issuer.is_some() && named.is_some() && named != issuer {
        return Err(Error::IssuerUnknown {
            issuer: named.map(Excerpt::new),
        });
    }
    if claims.contains_key("aud") {
        check_audience(wanted, claims)?;
    }
    Ok(times.expires_at)
}

/// `exp`, of claims that nobody has verified.
pub(super) fn expiry(claims: &Map<String, Value>) -> Option<NumericDate> {
    NumericDate::read(claims, "exp").ok().flatten()
}

/// The audiences in `aud`: one string, or several in an array (RFC 7519 §4.1.3).
pub fn audiences(claims: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let values = match claims.get("aud") {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(Value::as_str)
}

/// A time in seconds since the Unix epoch, with a fraction perhaps (RFC 7519 §2). It is finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct NumericDate(pub(crate) f64);

impl NumericDate {
    /// Seconds since the Unix epoch.
    pub const fn seconds(self) -> f64 {
        self.0
    }

    fn read(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<Self>, Error> {
        let Some(value) = claims.get(claim) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(seconds) if seconds.is_finite() => Ok(Some(Self(seconds))),
            _ => Err(Error::ClaimType { claim }),
        }
    }
}

/// As a token writes it, with an exponent where it would be very long.
impl fmt::Display for NumericDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As JSON writes it: the standard library's own formatting of floats would be the only use of it in the module.
        let number = serde_json::Number::from_f64(self.0)
            .map(|number| number.to_string())
            .unwrap_or_default();
        formatter.write_str(number.strip_suffix(".0").unwrap_or(&number))
    }
}

/// What shows that a token of the same issuer, signed with the same keys, is no access token.
///
/// The first three are never in an access token and are always looked for. The two hashes are looked for only where
/// the provider has no list of types: they belong to ID tokens by OpenID Connect Core 1.0, but Dex puts `at_hash`
/// into its access tokens as well. A provider with such tokens lists `JWT`, which a token without `typ` meets too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignMark {
    /// The claim `typ` is `ID` or `Logout`: Keycloak writes it into every token.
    TypClaim,
    /// The claim `token_use` is `id`: Amazon Cognito writes it into every token.
    TokenUseClaim,
    /// The claim `events` holds the logout event (OpenID Connect Back-Channel Logout 1.0 §2.4).
    LogoutEvent,
    /// The claim `at_hash`, the hash of an access token that it came with (OpenID Connect Core 1.0 §3.1.3.6).
    AccessTokenHash,
    /// The claim `c_hash`, the hash of a code that it came with (OpenID Connect Core 1.0 §3.3.2.11).
    CodeHash,
}

impl ForeignMark {
    fn find(claims: &Map<String, Value>, any_type: bool) -> Option<Self> {
        let is = |claim: &str, value: &str| claims.get(claim).and_then(Value::as_str) == Some(value);
        let logs_out = |events: &Value| events.get(LOGOUT_EVENT).is_some();
        if is("typ", "ID") || is("typ", "Logout") {
            Some(Self::TypClaim)
        } else if is("token_use", "id") {
            Some(Self::TokenUseClaim)
        } else if claims.get("events").is_some_and(logs_out) {
            Some(Self::LogoutEvent)
        } else if any_type && claims.contains_key("at_hash") {
            Some(Self::AccessTokenHash)
        } else if any_type && claims.contains_key("c_hash") {
            Some(Self::CodeHash)
        } else {
            None
        }
    }
}

impl fmt::Display for ForeignMark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TypClaim => "claim `typ` is `ID` or `Logout`",
            Self::TokenUseClaim => "claim `token_use` is `id`",
            Self::LogoutEvent => "claim `events` holds a logout",
            Self::AccessTokenHash => "claim `at_hash`",
            Self::CodeHash => "claim `c_hash`",
        })
    }
}

/// The claims that are times. All are read before one is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    expires_at: Option<NumericDate>,
    not_before: Option<NumericDate>,
    issued_at: Option<NumericDate>,
}

impl Times {
    fn read(claims: &Map<String, Value>) -> Result<Self, Error> {
        Ok(Self {
            expires_at: NumericDate::read(claims, "exp")?,
            not_before: NumericDate::read(claims, "nbf")?,
            issued_at: NumericDate::read(claims, "iat")?,
        })
    }

    /// `exp`, which every token has that was looked at.
    pub(super) fn expires_at(&self) -> NumericDate {
        self.expires_at.unwrap_or(NumericDate(0.0))
    }

    /// Whether now is within them, by this provider's clock.
    pub(super) fn check(&self, provider: &Provider, now: UnixTime) -> Result<(), Error> {
        let expires_at = self.expires_at.ok_or_else(|| missing("exp"))?;
        self.check_where_present(provider.clock_skew_seconds, now)?;
        if let Some(limit_seconds) = provider.max_lifetime_seconds {
            let issued_at = self.issued_at.ok_or_else(|| missing("iat"))?;
            let seconds = expires_at.0 - issued_at.0;
            if seconds > f64::from(limit_seconds) {
                return Err(Error::LifetimeTooLong {
                    seconds: NumericDate(seconds),
                    limit_seconds,
                });
            }
        }
        Ok(())
    }

    fn check_where_present(&self, skew_seconds: u16, now: UnixTime) -> Result<(), Error> {
        let skew = f64::from(skew_seconds);
        let time = now.numeric_date();
        if let Some(expired_at) = self.expires_at.filter(|date| time >= date.0 + skew) {
            return Err(Error::Expired { expired_at, now });
        }
        if let Some(not_before) = self.not_before.filter(|date| time < date.0 - skew) {
            return Err(Error::NotYetValid { not_before, now });
        }
        if let Some(issued_at) = self.issued_at.filter(|date| date.0 > time + skew) {
            return Err(Error::IssuedInFuture { issued_at, now });
        }
        Ok(())
    }
}

/// A claim that must be a string where it is there.
fn text<'a>(claims: &'a Map<String, Value>, claim: &'static str) -> Result<Option<&'a str>, Error> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::ClaimType { claim }),
    }
}

fn check_audience_type(claims: &Map<String, Value>) -> Result<(), Error> {
    match claims.get("aud") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(values)) if values.iter().all(Value::is_string) => Ok(()),
        Some(_) => Err(Error::ClaimType { claim: "aud" }),
    }
}

fn check_audience(wanted: &Audiences, claims: &Map<String, Value>) -> Result<(), Error> {
    let Audiences::OneOf(wanted) = wanted else {
        return Ok(());
    };
    if audiences(claims).any(|audience| wanted.iter().any(|wanted| wanted == audience)) {
        return Ok(());
    }
    Err(Error::AudienceInvalid {
        audience: audiences(claims).next().map(Excerpt::new),
    })
}

fn check_subject(provider: &Provider, subject: Option<&str>) -> Result<(), Error> {
    if provider.subjects.is_empty() {
        return Ok(());
    }
    let subject = subject.ok_or_else(|| missing("sub"))?;
    if provider.subjects.iter().any(|pattern| pattern.matches(subject)) {
        return Ok(());
    }
    Err(Error::SubjectNotAllowed {
        subject: Excerpt::new(subject),
    })
}

/// Null and the empty string count as missing: what requires a claim wants to use it, as an identity above all, and
/// neither of them names anybody.
fn is_missing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

fn missing(claim: &str) -> Error {
    Error::ClaimMissing {
        claim: claim.to_owned(),
    }
}

/// As a provider's, where nothing else is said.
const VOUCHED_SKEW_SECONDS: u16 = 60;

/// OpenID Connect Back-Channel Logout 1.0 §2.4.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
