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

/// Why a request gave nothing. For logs: nothing of a token is in it, and what comes from the server is cut and escaped.
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
        found: Option<Excerpt>,
    },
    /// The token is of another kind than was asked for.
    IssuedTokenType {
        /// Of which it is.
        found: Option<Excerpt>,
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
                write!(formatter, "status {status}, `{code}`")?;
                formatter.write_str(code.hint())
            }
            Self::Malformed(Malformed::TooLong { bytes }) => {
                write!(
                    formatter,
                    "an answer of {bytes} bytes, more than {MAX_ANSWER_BYTES}"
                )
            }
            Self::Malformed(Malformed::Json(error)) => write!(formatter, "the answer: {error}"),
            Self::Malformed(Malformed::AccessToken) => {
                formatter.write_str("the answer has no `access_token` that a header can carry")
            }
            Self::Malformed(Malformed::TokenType { found }) => {
                unlike(formatter, "token_type", "Bearer", found.as_ref())
            }
            Self::Malformed(Malformed::IssuedTokenType { found }) => unlike(
                formatter,
                "issued_token_type",
                "what was requested",
                found.as_ref(),
            ),
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

fn unlike(
    formatter: &mut fmt::Formatter<'_>,
    member: &str,
    wanted: &str,
    found: Option<&Excerpt>,
) -> fmt::Result {
    match found {
        Some(found) => write!(formatter, "`{member}` of the answer is `{found}`, not {wanted}"),
        None => write!(formatter, "the answer has no `{member}`"),
    }
}

/// A server's word for why it refuses (RFC 6749 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCode(String);

impl ErrorCode {
    /// The word in the body of a refusal.
    fn of(body: &[u8]) -> Option<Self> {
        let mut members = json::object(body, MAX_DEPTH).ok()?;
        let Some(Value::String(code)) = members.remove("error") else {
            return None;
        };
        let is_good = (1..=MAX_CODE_BYTES).contains(&code.len())
            && code
                .bytes()
                .all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        is_good.then_some(Self(code))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What real servers mean by it besides what is written in RFC 6749, for the log.
    fn hint(&self) -> &'static str {
        match self.as_str() {
            "invalid_client" => ": the client's id or secret; Keycloak says so of an unknown audience too",
            "access_denied" => ": Keycloak says so where the subject token is not for this client",
            "invalid_target" => ": the server knows no such resource or audience",
            _ => "",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// As claims: an answer to an introspection is claims.
const MAX_DEPTH: usize = 16;
/// Ours: those of the RFCs stay below 32.
const MAX_CODE_BYTES: usize = 64;
