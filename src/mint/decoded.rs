//! What a token says, whoever wrote it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::json;
use crate::jwt::MAX_DEPTH;
use crate::secret::Secret;
use crate::time::UnixTime;

/// A token that nobody has verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The first segment.
    pub header: Map<String, Value>,
    /// The second.
    pub claims: Map<String, Value>,
}

impl Decoded {
    /// A JWS in compact form (RFC 7515 §7.1), with or without `Bearer` before it. The third segment is not looked at.
    ///
    /// # Errors
    /// [`NoToken`].
    pub fn parse(text: &Secret<String>) -> Result<Self, NoToken> {
        let text = text.expose().trim();
        let token = match text.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
            _ => text,
        };
        let segments: Vec<&str> = token.split('.').collect();
        let (header, claims) = match segments.as_slice() {
            [header, claims, _] => (header, claims),
            [_, _, _, _, _] => return Err(NoToken::Encrypted),
            _ => return Err(NoToken::Segments),
        };
        let object = |segment: &str, name| {
            let bytes = URL_SAFE_NO_PAD
                .decode(segment)
                .map_err(|_| NoToken::Base64(name))?;
            json::object(&bytes, MAX_DEPTH).map_err(|_| NoToken::Json(name))
        };
        Ok(Self {
            header: object(header, "header")?,
            claims: object(claims, "payload")?,
        })
    }

    /// A claim that is a time.
    pub fn time(&self, claim: &str) -> Option<UnixTime> {
        let seconds = self.claims.get(claim)?.as_f64()?;
        Some(UnixTime::from_numeric_date(seconds))
    }
}

/// Why a text says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoToken {
    /// Not three segments.
    Segments,
    /// Five: a JWE (RFC 7516).
    Encrypted,
    /// A segment.
    Base64(&'static str),
    /// A segment.
    Json(&'static str),
}

impl fmt::Display for NoToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segments => formatter.write_str("is no JWT: those have three parts with dots between them"),
            Self::Encrypted => formatter.write_str("is encrypted (JWE), and tells nobody but its recipient"),
            Self::Base64(name) => write!(formatter, "is no JWT: its {name} is not base64url"),
            Self::Json(name) => write!(
                formatter,
                "is no JWT: its {name} is no JSON object with members once only"
            ),
        }
    }
}

impl std::error::Error for NoToken {}
