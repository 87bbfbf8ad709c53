//! What came of a request, as far as all of them are alike: unavailable, refused, malformed, or a JSON object.

use std::fmt;

use serde_json::{Map, Value};

use crate::callout::{Answer, Body};
use crate::excerpt::Excerpt;
use crate::json;
use crate::secret::Secret;

use super::granted::MAX_ANSWER_BYTES;

/// The object of a good answer.
pub(super) fn object(answer: Answer) -> Result<Map<String, Value>, TokenError> {
    let (headers, body) = match answer {
        Answer::Received { headers, body } => (headers, body),
        Answer::Nothing => return Err(TokenError::Unavailable(Unavailable::NoAnswer)),
        Answer::NotSent => return Err(TokenError::Unavailable(Unavailable::NoCluster)),
    };
    let body = match body {
        Body::Whole(body) if body.len() <= MAX_ANSWER_BYTES => Ok(Secret::new(body)),
        Body::Whole(body) => Err(Malformed::TooLong { bytes: body.len() }),
        Body::TooLong { bytes } => Err(Malformed::TooLong { bytes }),
    };
    let status = headers.first(b":status").unwrap_or_default();
    let named = Excerpt::new(&String::from_utf8_lossy(status));
    match status {
        b"200" => {
            let body = body.map_err(TokenError::Malformed)?;
            json::object(body.expose(), MAX_DEPTH)
                .map_err(|error| TokenError::Malformed(Malformed::Json(error)))
        }
        [b'4', _, _] => Err(TokenError::Refused {
            status: named,
            code: body.ok().and_then(|body| ErrorCode::of(body.expose())),
        }),
        // A proxy that got nothing says so with one of these: 503, 504.
        [b'5', _, _] => Err(TokenError::Unavailable(Unavailable::Status { status: named })),
        // No redirect is followed.
        _ => Err(TokenError::Malformed(Malformed::Status { status: named })),
    }
}

/// Why a request gave nothing. For logs: of what the server says only words that are known are in it, for it may repeat
/// what it was sent, or what it grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// Nobody answered who could: later it may be better.
    Unavailable(Unavailable),
    /// The server refuses (RFC 6749 §5.2).
    Refused {
        /// The status.
        status: Excerpt,
        /// Its word for it, if it is one.
        code: Option<ErrorCode>,
    },
    /// The answer is none.
    Malformed(Malformed),
}

/// Why nobody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// The proxy has no such cluster.
    NoCluster,
    /// No answer came.
    NoAnswer,
    /// The server is broken, or the proxy says that it cannot be reached.
    Status {
        /// The status.
        status: Excerpt,
    },
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// Another status than is ever given, a redirect among them.
    Status {
        /// The status.
        status: Excerpt,
    },
    /// It is longer than [`MAX_ANSWER_BYTES`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is no JSON object.
    Json(json::Error),
    /// It has no access token that a header can carry.
    AccessToken,
    /// The token is not of type Bearer.
    TokenType {
        /// Of which it is.
        found: Found,
    },
    /// The token is of another kind than was asked for.
    IssuedTokenType {
        /// Of which it is.
        found: Found,
    },
    /// Its lifetime is no number of seconds.
    ExpiresIn,
    /// It does not say whether a token is active.
    Active,
}

impl TokenError {
    /// Whether it may be better later: 503 and not 502.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A stable name for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(Unavailable::NoCluster) => "no_cluster",
            Self::Unavailable(Unavailable::NoAnswer) => "no_answer",
            Self::Unavailable(Unavailable::Status { .. }) => "status",
            Self::Refused { .. } => "refused",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(Unavailable::NoCluster) => formatter.write_str("the proxy has no such cluster"),
            Self::Unavailable(Unavailable::NoAnswer) => formatter.write_str("no answer"),
            Self::Unavailable(Unavailable::Status { status })
            | Self::Malformed(Malformed::Status { status })
            | Self::Refused { status, code: None } => write!(formatter, "status {status}"),
            Self::Refused {
                status,
                code: Some(code),
            } => {
                write!(formatter, "status {status}, {code}")
            }
            Self::Malformed(Malformed::TooLong { bytes }) => {
                write!(
                    formatter,
                    "an answer of {bytes} bytes, more than {MAX_ANSWER_BYTES}"
                )
            }
            Self::Malformed(Malformed::Json(json::Error::DuplicateMember { .. })) => {
                formatter.write_str("the answer: duplicate member")
            }
            Self::Malformed(Malformed::Json(error)) => write!(formatter, "the answer: {error}"),
            Self::Malformed(Malformed::AccessToken) => {
                formatter.write_str("the answer has no `access_token` that a header can carry")
            }
            Self::Malformed(Malformed::TokenType { found }) => {
                unlike(formatter, "token_type", "Bearer", *found)
            }
            Self::Malformed(Malformed::IssuedTokenType { found }) => {
                unlike(formatter, "issued_token_type", "what was requested", *found)
            }
            Self::Malformed(Malformed::ExpiresIn) => {
                formatter.write_str("`expires_in` of the answer is no number of seconds")
            }
            Self::Malformed(Malformed::Active) => {
                formatter.write_str("`active` of the answer is not true or false")
            }
        }
    }
}

impl std::error::Error for TokenError {}

fn unlike(formatter: &mut fmt::Formatter<'_>, member: &str, wanted: &str, found: Found) -> fmt::Result {
    match found {
        Found::Nothing => write!(formatter, "the answer has no `{member}`"),
        Found::Known(word) => write!(formatter, "`{member}` of the answer is `{word}`, not {wanted}"),
        Found::Other => write!(
            formatter,
            "`{member}` of the answer is another type, not {wanted}"
        ),
    }
}

/// The type that a server says its token is of. What is not known is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It says none.
    Nothing,
    /// One that is known.
    Known(&'static str),
    /// Another.
    Other,
}

impl Found {
    /// What a member says.
    pub(super) fn of(word: Option<&str>) -> Self {
        let Some(word) = word else {
            return Self::Nothing;
        };
        let mut known = TOKEN_TYPES.into_iter();
        known
            .find(|known| known.eq_ignore_ascii_case(word))
            .map_or(Self::Other, Self::Known)
    }
}

/// A server's word for why it refuses (RFC 6749 §5.2); `None` if it is none that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(Option<&'static str>);

impl ErrorCode {
    /// The word in the body of a refusal.
    fn of(body: &[u8]) -> Option<Self> {
        let members = json::object(body, MAX_DEPTH).ok()?;
        let code = members.get("error")?.as_str()?;
        Some(Self(CODES.into_iter().find(|known| *known == code)))
    }

    /// Whether it is this one.
    pub fn is(self, code: &str) -> bool {
        self.0 == Some(code)
    }

    /// What real servers mean by it besides what is written in RFC 6749, for the log.
    fn hint(self) -> &'static str {
        match self.0 {
            Some("invalid_client") => {
                ": the client's id or secret; Keycloak says so of an unknown audience too"
            }
            Some("access_denied") => ": Keycloak says so where the subject token is not for this client",
            Some("invalid_target") => ": the server knows no such resource or audience",
            _ => "",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(formatter, "`{code}`{}", self.hint()),
            None => formatter.write_str("another code"),
        }
    }
}

/// As claims: an answer to an introspection is claims.
const MAX_DEPTH: usize = 16;
/// RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, RFC 7009 §2.2.1, RFC 8693 §2.2.2, RFC 9449 §5 and §8, OpenID Connect Core
/// §3.1.2.6, and what Entra ID says.
const CODES: [&str; 21] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "unsupported_response_type",
    "server_error",
    "temporarily_unavailable",
    "invalid_token",
    "insufficient_scope",
    "unsupported_token_type",
    "invalid_target",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "interaction_required",
    "login_required",
    "consent_required",
    "account_selection_required",
    "invalid_resource",
];
/// RFC 6749 §7.1, RFC 6750, RFC 8693 §2.2.1 and §3, RFC 9449 §5.
const TOKEN_TYPES: [&str; 10] = [
    "Bearer",
    "N_A",
    "DPoP",
    "mac",
    "urn:ietf:params:oauth:token-type:access_token",
    "urn:ietf:params:oauth:token-type:refresh_token",
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:saml1",
    "urn:ietf:params:oauth:token-type:saml2",
    "urn:ietf:params:oauth:token-type:jwt",
];
