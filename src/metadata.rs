//! What an issuer says of itself: OpenID Connect Discovery 1.0 §4, RFC 8414 §3.
//!
//! What it names is asked only where the operator has named a cluster for it. It fetches nothing.

use std::fmt;

use serde_json::{Map, Value};

use crate::callout::{Endpoint, Url, UrlError};
use crate::excerpt::Excerpt;
use crate::json;

/// Where an issuer publishes its metadata (OpenID Connect Discovery 1.0 §4.1): a slash at its end is left out.
pub fn uri(issuer: &str) -> String {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{issuer}/.well-known/openid-configuration")
}

/// The metadata of this issuer, and of no other: byte for byte (OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3).
///
/// # Errors
/// [`Error::Json`], [`Error::Issuer`].
pub fn read(issuer: &str, document: &[u8]) -> Result<Map<String, Value>, Error> {
    let metadata = json::object(document, MAX_DEPTH).map_err(Error::Json)?;
    match metadata.get("issuer").and_then(Value::as_str) {
        Some(named) if named == issuer => Ok(metadata),
        named => Err(Error::Issuer {
            named: named.map(Excerpt::new),
        }),
    }
}

/// The endpoint that a member names: at the host that was asked for the metadata, or at the issuer's own, for a provider
/// behind a proxy names itself as the world sees it. It is asked as the metadata was.
///
/// # Errors
/// [`Error::Missing`], [`Error::Url`], [`Error::Elsewhere`].
pub fn endpoint(
    metadata: &Map<String, Value>,
    member: &'static str,
    issuer: &str,
    asked: &Endpoint,
) -> Result<Endpoint, Error> {
    let text = metadata.get(member).and_then(Value::as_str);
    let text = text.ok_or(Error::Missing { member })?;
    let url = Url::parse(text).map_err(|error| Error::Url { member, error })?;
    let issuer = Url::parse(issuer).ok();
    let is_at_home = url.authority() == asked.url.authority()
        || issuer.is_some_and(|issuer| issuer.authority() == url.authority());
    match is_at_home {
        true => Ok(Endpoint { url, ..asked.clone() }),
        false => Err(Error::Elsewhere {
            member,
            authority: Excerpt::new(url.authority()),
        }),
    }
}

/// Why metadata is of no use. For logs: what comes from the server is cut and escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It is no JSON object.
    Json(json::Error),
    /// It is of another issuer, or of none.
    Issuer {
        /// The issuer that it names.
        named: Option<Excerpt>,
    },
    /// It does not have the member.
    Missing {
        /// The member.
        member: &'static str,
    },
    /// The member is no URL that can be asked.
    Url {
        /// The member.
        member: &'static str,
        /// Why.
        error: UrlError,
    },
    /// The member stands at a host for which no cluster is named.
    Elsewhere {
        /// The member.
        member: &'static str,
        /// The host.
        authority: Excerpt,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(formatter, "the document: {error}"),
            Self::Issuer { named: Some(named) } => {
                write!(formatter, "the metadata is of issuer `{named}`")
            }
            Self::Issuer { named: None } => formatter.write_str("the metadata names no issuer"),
            Self::Missing { member } => write!(formatter, "the metadata has no `{member}`"),
            Self::Url { member, error } => write!(formatter, "`{member}` of the metadata: {error}"),
            Self::Elsewhere { member, authority } => {
                write!(formatter, "`{member}` of the metadata stands at `{authority}`; ")?;
                formatter.write_str(match *member {
                    "jwks_uri" => "name its cluster in `jwks.jwks_uri`",
                    _ => "name it and its cluster in place of `discovery`",
                })
            }
        }
    }
}

impl std::error::Error for Error {}

/// As tokens: real metadata nests 4 deep.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_stands_below_the_issuer() {
        let path = "/.well-known/openid-configuration";
        for (issuer, start) in [
            ("https://idp.example", "https://idp.example"),
            ("https://idp.example/", "https://idp.example"),
            (
                "http://idp.example:8080/realms/a",
                "http://idp.example:8080/realms/a",
            ),
        ] {
            assert_eq!(uri(issuer), format!("{start}{path}"));
        }
    }

    fn found(issuer: &str, document: &str) -> Result<String, String> {
        let asked = Endpoint {
            url: Url::parse("http://idp.iam:8080/.well-known/openid-configuration").unwrap(),
            cluster: "idp".into(),
            timeout_seconds: 5,
        };
        let found = read(issuer, document.as_bytes())
            .and_then(|metadata| endpoint(&metadata, "token_endpoint", issuer, &asked));
        found
            .map(|endpoint| format!("{} {}", endpoint.cluster, endpoint.url))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn endpoints() {
        let issuer = "https://idp.example/";
        let of = |endpoint: &str| format!(r#"{{"issuer":"{issuer}","token_endpoint":"{endpoint}"}}"#);
        for (endpoint, expected) in [
            ("https://idp.example/token", "idp https://idp.example/token"),
            ("http://idp.iam:8080/token", "idp http://idp.iam:8080/token"),
        ] {
            assert_eq!(found(issuer, &of(endpoint)), Ok(expected.to_owned()));
        }
        for (document, expected) in [
            (
                of("https://evil.example/token"),
                "`token_endpoint` of the metadata stands at `evil.example`; name it and its cluster in place of \
                 `discovery`",
            ),
            (of("/token"), "`token_endpoint` of the metadata: no absolute URL"),
            (
                format!(r#"{{"issuer":"{issuer}"}}"#),
                "the metadata has no `token_endpoint`",
            ),
            (
                r#"{"issuer":"https://idp.example"}"#.to_owned(),
                "the metadata is of issuer `https://idp.example`",
            ),
            ("{}".to_owned(), "the metadata names no issuer"),
            ("[]".to_owned(), "the document: not a JSON object"),
        ] {
            assert_eq!(found(issuer, &document), Err(expected.to_owned()), "{document}");
        }
    }
}
