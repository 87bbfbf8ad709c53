//! Why a token is refused, for the operator. What the caller is told is decided elsewhere.

use std::fmt;

use super::claims::{ForeignMark, NumericDate};
use super::{MAX_TOKEN_BYTES, RESERVED_ISSUER};
use crate::excerpt::Excerpt;
use crate::json;
use crate::jwks::{Algorithm, MAX_KID_BYTES};
use crate::time::UnixTime;

/// Why a token is refused. The values are for logs: what comes from the token is cut and escaped, and no variant
/// holds the token, its signature or a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The token is longer than allowed; nothing of it was read.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// It is no JWS in compact form.
    Malformed(Malformed),
    /// It has five segments: a JWE (RFC 7516).
    Encrypted,
    /// `crit` asks for extensions, none of which is known (RFC 7515 §4.1.11).
    CriticalHeader,
    /// `b64` is there and not true (RFC 7797).
    UnencodedPayload,
    /// `alg` is unknown (`none` among them), not on the provider's list, or of the other kind than its keys.
    AlgorithmNotAllowed {
        /// The `alg`.
        algorithm: Excerpt,
    },
    /// The header's `typ` is not on the provider's list; without a list, it is that of an ID or logout token.
    TypeNotAllowed {
        /// The `typ`, if there is one.
        typ: Option<Excerpt>,
    },
    /// No provider has this `iss`.
    IssuerUnknown {
        /// The `iss`, if there is one and it is a string.
        issuer: Option<Excerpt>,
    },
    /// The provider's keys have not come yet, or are too old to be believed.
    KeysMissing {
        /// The provider's index.
        provider: usize,
    },
    /// The provider has no such key. A newer key set may have it.
    KeyUnknown {
        /// The provider's index.
        provider: usize,
        /// The `kid`, if there is one.
        kid: Option<Excerpt>,
    },
    /// The provider has this key, but it serves another algorithm.
    KeyMismatch {
        /// The provider's index.
        provider: usize,
        /// The `kid`.
        kid: Excerpt,
        /// The algorithm that the header asks for.
        algorithm: Algorithm,
    },
    /// No key that fits made this signature.
    SignatureInvalid {
        /// The provider's index.
        provider: usize,
    },
    /// A claim has the wrong type.
    ClaimType {
        /// Its name.
        claim: &'static str,
    },
    /// A claim that is required is not there, is null, or is an empty string.
    ClaimMissing {
        /// Its name.
        claim: String,
    },
    /// It is an ID token or a logout token, which says nothing about access.
    NotAnAccessToken {
        /// What shows it.
        mark: ForeignMark,
    },
    /// `exp` has passed, clock skew included.
    Expired {
        /// The `exp`.
        expired_at: NumericDate,
        /// The time of the decision.
        now: UnixTime,
    },
    /// `nbf` has not come, clock skew included.
    NotYetValid {
        /// The `nbf`.
        not_before: NumericDate,
        /// The time of the decision.
        now: UnixTime,
    },
    /// `iat` has not come, clock skew included.
    IssuedInFuture {
        /// The `iat`.
        issued_at: NumericDate,
        /// The time of the decision.
        now: UnixTime,
    },
    /// `exp` is further from `iat` than the provider allows.
    LifetimeTooLong {
        /// The lifetime.
        seconds: NumericDate,
        /// The longest allowed.
        limit_seconds: u32,
    },
    /// No audience is one of the provider's, or there is none.
    AudienceInvalid {
        /// The first audience, if there is one.
        audience: Option<Excerpt>,
    },
    /// `sub` fits none of the provider's patterns.
    SubjectNotAllowed {
        /// The `sub`.
        subject: Excerpt,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => write!(formatter, "{bytes} bytes, more than {limit}"),
            Self::Malformed(malformed) => malformed.fmt(formatter),
            Self::Encrypted => formatter.write_str("encrypted (JWE)"),
            Self::CriticalHeader => formatter.write_str("`crit` in the header"),
            Self::UnencodedPayload => formatter.write_str("`b64` in the header is not true"),
            Self::AlgorithmNotAllowed { algorithm } => {
                write!(formatter, "algorithm `{algorithm}` is not allowed")
            }
            Self::TypeNotAllowed { typ: Some(typ) } => write!(formatter, "type `{typ}` is not allowed"),
            Self::TypeNotAllowed { typ: None } => {
                formatter.write_str("no `typ`, but a list of allowed types")
            }
            Self::IssuerUnknown { issuer: Some(issuer) } => write!(formatter, "unknown issuer `{issuer}`"),
            Self::IssuerUnknown { issuer: None } => formatter.write_str("no issuer"),
            Self::KeysMissing { .. } => formatter.write_str("the provider's keys are not there"),
            Self::KeyUnknown { kid: Some(kid), .. } => write!(formatter, "unknown key `{kid}`"),
            Self::KeyUnknown { kid: None, .. } => {
                formatter.write_str("no `kid`, and no key serves the algorithm")
            }
            Self::KeyMismatch { kid, algorithm, .. } => {
                write!(formatter, "key `{kid}` does not serve `{algorithm}`")
            }
            Self::SignatureInvalid { .. } => formatter.write_str("invalid signature"),
            Self::ClaimType { claim } => write!(formatter, "claim `{claim}` has the wrong type"),
            Self::ClaimMissing { claim } => write!(formatter, "missing claim `{claim}`"),
            Self::NotAnAccessToken { mark } => write!(formatter, "not an access token: {mark}"),
            Self::Expired { expired_at, now } => {
                write!(formatter, "expired at {expired_at}, now {}", now.seconds())
            }
            Self::NotYetValid { not_before, now } => {
                write!(formatter, "not valid before {not_before}, now {}", now.seconds())
            }
            Self::IssuedInFuture { issued_at, now } => {
                write!(formatter, "issued at {issued_at}, now {}", now.seconds())
            }
            Self::LifetimeTooLong {
                seconds,
                limit_seconds,
            } => write!(
                formatter,
                "lifetime of {seconds} seconds, more than {limit_seconds}"
            ),
            Self::AudienceInvalid {
                audience: Some(audience),
            } => write!(formatter, "audience `{audience}` is not ours"),
            Self::AudienceInvalid { audience: None } => formatter.write_str("no audience"),
            Self::SubjectNotAllowed { subject } => write!(formatter, "subject `{subject}` is not allowed"),
        }
    }
}

impl std::error::Error for Error {}

/// Why bytes are no JWS in compact form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// A byte is neither of base64url nor a dot.
    Character {
        /// Its place, from 0.
        offset: usize,
    },
    /// There are not three segments.
    Segments {
        /// How many there are.
        count: usize,
    },
    /// A segment is not canonical base64url (RFC 7515 §2): no padding, no stray bits.
    Base64 {
        /// Which.
        segment: Segment,
    },
    /// Header or payload is no strict JSON object.
    Json {
        /// Which.
        segment: Segment,
        /// What is wrong with it.
        error: json::Error,
    },
    /// A header member has the wrong type, or `alg` is missing.
    HeaderMember {
        /// Its name.
        name: &'static str,
    },
    /// The `kid` is longer than any key's.
    KidTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { offset } => write!(formatter, "character at {offset} is not of base64url"),
            Self::Segments { count } => write!(formatter, "{count} segments, not 3"),
            Self::Base64 { segment } => write!(formatter, "{segment} is not canonical base64url"),
            Self::Json { segment, error } => write!(formatter, "{segment}: {error}"),
            Self::HeaderMember { name } => write!(formatter, "header member `{name}` is not a string"),
            Self::KidTooLong { bytes } => {
                write!(formatter, "`kid` has {bytes} bytes, more than {MAX_KID_BYTES}")
            }
        }
    }
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// The first.
    Header,
    /// The second.
    Payload,
    /// The third.
    Signature,
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why providers do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProvidersError {
    /// Two providers have one issuer.
    IssuerRepeated {
        /// The index of the first.
        first: usize,
        /// The index of the second.
        index: usize,
    },
    /// A provider has the issuer that stands for API keys.
    IssuerReserved {
        /// Its index.
        index: usize,
    },
    /// Tokens may not be that long.
    TokenLimit {
        /// The limit that was asked for.
        bytes: usize,
    },
}

impl fmt::Display for ProvidersError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IssuerRepeated { .. } => formatter.write_str("issuer of another provider"),
            Self::IssuerReserved { .. } => write!(formatter, "reserved issuer `{RESERVED_ISSUER}`"),
            Self::TokenLimit { bytes } => {
                write!(
                    formatter,
                    "token limit of {bytes} bytes, more than {MAX_TOKEN_BYTES}"
                )
            }
        }
    }
}

impl std::error::Error for ProvidersError {}
