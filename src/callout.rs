//! Requests that the filter makes itself, and their answers. They go to a cluster that the operator names: what a URL
//! says of a host is only what the request says, never where it goes.
//!
//! It sends nothing, and it does not know what is asked for.

use std::fmt;

use crate::authority::{Authority, AuthorityError};
use crate::http::Headers;
use crate::secret::Secret;

/// Where a request goes, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What the request says.
    pub url: Url,
    /// The Envoy cluster.
    pub cluster: String,
    /// How long an answer may take, body included.
    pub timeout_seconds: u16,
}

/// An absolute `http` or `https` URL (RFC 9110 §4.2) without userinfo and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: Scheme,
    authority: String,
    path: String,
}

/// The scheme of a [`Url`]. Whether a connection is TLS is the cluster's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Url {
    /// From its text.
    ///
    /// # Errors
    /// [`UrlError`]; the scheme is compared without case (RFC 3986 §3.1).
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong { bytes: text.len() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NotAbsolute)?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        Authority::parse(authority.as_bytes()).map_err(UrlError::Authority)?;
        // RFC 9112 §3.2.1: an empty path is sent as `/`.
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            scheme,
            authority: authority.to_ascii_lowercase(),
            path: format!("{slash}{path}"),
        })
    }

    /// The host and its port, where it names one.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path and the query, as a request has them.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            authority,
            path,
        } = self;
        write!(formatter, "{}://{authority}{path}", scheme.as_str())
    }
}

/// Why a text is no [`Url`]. Holds nothing of it: a URL may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// Longer than [`MAX_URL_BYTES`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// White space, a control character, or a character outside ASCII.
    Character,
    /// No `://`.
    NotAbsolute,
    /// Another scheme than `http` and `https`.
    Scheme,
    /// A `#`.
    Fragment,
    /// No host, or none that can be asked.
    Authority(AuthorityError),
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(formatter, "a URL of {bytes} bytes, more than {MAX_URL_BYTES}")
            }
            Self::Character => formatter.write_str("a URL with white space or characters outside ASCII"),
            Self::NotAbsolute => formatter.write_str("no absolute URL"),
            Self::Scheme => formatter.write_str("the scheme of the URL is not `http` or `https`"),
            Self::Fragment => formatter.write_str("a URL with a fragment"),
            Self::Authority(error) => write!(formatter, "the host of the URL: {error}"),
        }
    }
}

impl std::error::Error for UrlError {}

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Callout {
    /// The Envoy cluster.
    pub cluster: String,
    /// All headers but `authorization`, pseudo-headers first.
    pub headers: Vec<(&'static str, String)>,
    /// The value of `authorization`.
    pub authorization: Option<Secret<String>>,
    /// The body.
    pub body: Secret<Vec<u8>>,
    /// How long an answer may take.
    pub timeout_seconds: u16,
}

impl Callout {
    /// Asks for a JSON document.
    pub fn get(endpoint: &Endpoint) -> Self {
        Self::to(endpoint, "GET", None, Secret::new(Vec::new()))
    }

    /// Sends a form, and asks for a JSON document.
    pub fn post_form(
        endpoint: &Endpoint,
        authorization: Option<Secret<String>>,
        form: Secret<Vec<u8>>,
    ) -> Self {
        let mut callout = Self::to(endpoint, "POST", authorization, form);
        let kind = "application/x-www-form-urlencoded";
        callout.headers.push(("content-type", kind.to_owned()));
        callout
    }

    fn to(
        endpoint: &Endpoint,
        method: &str,
        authorization: Option<Secret<String>>,
        body: Secret<Vec<u8>>,
    ) -> Self {
        let url = &endpoint.url;
        Self {
            cluster: endpoint.cluster.clone(),
            headers: vec![
                (":method", method.to_owned()),
                (":scheme", url.scheme.as_str().to_owned()),
                (":authority", url.authority.clone()),
                (":path", url.path.clone()),
                ("accept", "application/json".to_owned()),
                ("user-agent", "peergate".to_owned()),
            ],
            authorization,
            body,
            timeout_seconds: endpoint.timeout_seconds,
        }
    }
}

impl PartialEq for Callout {
    fn eq(&self, other: &Self) -> bool {
        let authorization =
            |callout: &Self| callout.authorization.as_ref().map(|value| value.expose().clone());
        self.cluster == other.cluster
            && self.headers == other.headers
            && self.timeout_seconds == other.timeout_seconds
            && authorization(self) == authorization(other)
            && self.body.expose() == other.body.expose()
    }
}

/// What came of a callout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An answer; one that the proxy has made because nothing came looks like any other.
    Received {
        /// Its headers.
        headers: Headers,
        /// Its body.
        body: Body,
    },
    /// Nothing came.
    Nothing,
    /// The proxy did not send it: it has no such cluster.
    NotSent,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than it may be, and was not read.
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Ours: real ones are shorter than 300 bytes.
pub const MAX_URL_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, written) in [
            ("http://127.0.0.1:8080/keys", "http://127.0.0.1:8080/keys"),
            ("HTTPS://Idp.Example", "https://idp.example/"),
            ("https://idp.example?p=1", "https://idp.example/?p=1"),
            ("https://[::1]:8443/a//b?c=d&e", "https://[::1]:8443/a//b?c=d&e"),
        ] {
            assert_eq!(
                Url::parse(text).map(|url| url.to_string()),
                Ok(written.to_owned())
            );
        }
        let long = format!("https://idp.example/{}", "a".repeat(2048));
        for (text, text_of_error) in [
            (long.as_str(), "a URL of 2068 bytes, more than 2048"),
            (
                "https://idp.example/a b",
                "a URL with white space or characters outside ASCII",
            ),
            (
                "https://idp.example/\r\nx: y",
                "a URL with white space or characters outside ASCII",
            ),
            ("idp.example/keys", "no absolute URL"),
            (
                "file:///etc/keys",
                "the scheme of the URL is not `http` or `https`",
            ),
            ("https://idp.example/#keys", "a URL with a fragment"),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), text_of_error, "{text}");
        }
        for text in [
            "https://",
            "https://user@idp.example/",
            "https:///keys",
            "https://a,b/",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(matches!(error, UrlError::Authority(_)), "{text}: {error}");
        }
    }
}
