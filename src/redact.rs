//! Redaction of what is about to be printed: URLs with credentials in them, and bytes of any kind. Every log line, every
//! error text and every answer is a [`Clean`] text, and only a [`Redactor`] makes one.
//!
//! It never fails and never panics, whatever the bytes, and rather takes too much out than too little: what looks
//! like a parameter is read as one, whether a URL parser would find it or not. It is meant for logs, error texts
//! and refused requests; nothing that goes to an upstream or a client is made from its output. Of URLs it knows
//! names and not secrets: a secret under an unlisted name, or in a path, stays.

use std::fmt::{self, Write as _};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};

use crate::secret::{REDACTED, Secret};

/// A text that may be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clean(String);

impl Clean {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Clean {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The names of parameters whose values are secret, and secrets that are known.
#[derive(Debug, Clone)]
pub struct Redactor {
    /// In lower case.
    names: Vec<Vec<u8>>,
    /// As they would stand in a text: plain, and in the encodings of URLs.
    secrets: Vec<Secret<String>>,
}

impl Default for Redactor {
    /// Knows the common names only.
    fn default() -> Self {
        Self::new(std::iter::empty::<&[u8]>())
    }
}

impl Redactor {
    /// Knows the common names and these configured ones. Letter case makes no difference.
    pub fn new<N: AsRef<[u8]>>(configured: impl IntoIterator<Item = N>) -> Self {
        let common = COMMON_NAMES.iter().map(|name| name.as_bytes().to_vec());
        let configured = configured
            .into_iter()
            .map(|name| name.as_ref().to_ascii_lowercase());
        Self {
            names: common.chain(configured).collect(),
            secrets: Vec::new(),
        }
    }

    /// Knows one secret more, unless it is so short that it stands in other words by chance.
    pub fn add_secret(&mut self, secret: &[u8]) {
        if secret.len() < SHORTEST_SECRET {
            return;
        }
        let plain = std::str::from_utf8(secret).map(str::to_owned).ok();
        let of_form = form_urlencoded::byte_serialize(secret).collect::<String>();
        let of_path = percent_encode(secret, NON_ALPHANUMERIC).to_string();
        for form in plain.into_iter().chain([of_form, of_path]) {
            if self.secrets.iter().all(|known| *known.expose() != form) {
                self.secrets.push(Secret::new(form));
            }
        }
    }

    /// A text without the secrets that are known: the last look at everything that is logged or answered. Its parts were
    /// made to hold none; should one of them fail to, it is caught here.
    pub fn clean(&self, text: String) -> Clean {
        Clean(self.secrets.iter().fold(
            text,
            |text, secret| match text.contains(secret.expose().as_str()) {
                true => text.replace(secret.expose().as_str(), REDACTED),
                false => text,
            },
        ))
    }

    /// A URL, absolute or relative, without its secrets: the values of parameters with a listed name become
    /// `*****`, in query and fragment, and userinfo becomes `REDACTED:REDACTED@`. Everything else stays byte for
    /// byte, but a parameter that hides a secret in a further layer of percent-encoding is redacted as a whole.
    ///
    /// Sanitising the result again changes nothing.
    pub fn sanitize(&self, url: &[u8]) -> Vec<u8> {
        // Userinfo first, for a `;` in a password looks like the start of a parameter; and once more, for the
        // secret that went may have held the slash that hid an `@`.
        let without_userinfo = userinfo(url, Start::IsAuthority);
        let without_values = self.parameters(&without_userinfo, MAXIMUM_LAYERS);
        self.without_known(userinfo(&without_values, Start::IsAuthority))
    }

    /// Replaces the secrets that are known, wherever they stand.
    fn without_known(&self, url: Vec<u8>) -> Vec<u8> {
        self.secrets.iter().fold(url, |url, secret| {
            let secret = secret.expose().as_bytes();
            let mut output = Vec::with_capacity(url.len());
            let mut rest = url.as_slice();
            while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
                output.extend_from_slice(rest.get(..at).unwrap_or_default());
                output.extend_from_slice(REDACTED.as_bytes());
                rest = rest.get(at + secret.len()..).unwrap_or_default();
            }
            output.extend_from_slice(rest);
            output
        })
    }

    /// Replaces the values of listed parameters, and parameters that hide some.
    fn parameters(&self, text: &[u8], layers: u8) -> Vec<u8> {
        let mut output = Vec::with_capacity(text.len());
        let mut rest = text;
        // Each turn takes at least one byte off, or ends.
        while !rest.is_empty() {
            let (piece, _) = split_where(rest, starts_parameter);
            let (name, _) = split_where(piece, |byte| byte == b'=');
            let is_value = name.len() < piece.len();
            let redacted = if is_value && self.is_listed(name) {
                output.extend_from_slice(name);
                output.push(b'=');
                true
            } else {
                self.hides(piece, layers)
            };
            let (kept, after) = if redacted {
                output.extend_from_slice(REDACTED.as_bytes());
                // A secret may hold a raw `?` or `;`, so it goes on up to where no parser reads on.
                (b"".as_slice(), split_where(rest, ends_value).1)
            } else {
                (piece, rest.get(piece.len()..).unwrap_or_default())
            };
            output.extend_from_slice(kept);
            let (delimiter, next) = after.split_at_checked(1).unwrap_or_default();
            output.extend_from_slice(delimiter);
            rest = next;
        }
        output
    }

    /// Whether something would have to be redacted if this were decoded once more: a URL as a parameter of
    /// another, or what some server would decode twice.
    fn hides(&self, piece: &[u8], layers: u8) -> bool {
        if !piece.contains(&b'%') {
            return false;
        }
        let decoded: Vec<u8> = percent_decode(piece).collect();
        if decoded == piece {
            return false;
        }
        let Some(layers) = layers.checked_sub(1) else {
            // Nothing honest is encoded so often.
            return true;
        };
        self.parameters(&decoded, layers) != decoded || userinfo(&decoded, Start::IsOther) != decoded
    }

    /// Whether a raw name, or a part of it as in `user[password]`, means a listed one.
    fn is_listed(&self, raw: &[u8]) -> bool {
        let mut name: Vec<u8> = percent_decode(raw)
            .map(|byte| if byte == b'+' { b' ' } else { byte })
            .collect();
        name.make_ascii_lowercase();
        name.split(|byte| matches!(byte, b'[' | b']'))
            .map(<[u8]>::trim_ascii)
            .any(|part| self.names.iter().any(|name| name == part))
    }
}

/// Any bytes as a piece of a log line: printable ASCII stays, everything else, quotes and backslashes is escaped
/// as in a Rust string. At most `limit` characters, and three dots more where something was left out.
pub fn printable(bytes: &[u8], limit: usize) -> String {
    let mut output = String::new();
    for byte in bytes {
        let escaped = byte.escape_ascii();
        if output.len() + escaped.len() > limit {
            output.push_str("...");
            break;
        }
        // Writing to a string cannot fail.
        let _ = write!(output, "{escaped}");
    }
    output
}

/// What a text starts with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Perhaps an authority without its scheme (`user:password@host`).
    IsAuthority,
    /// Anything: an `@` there may be that of a mail address.
    IsOther,
}

/// Replaces what stands before an `@` wherever an authority may be: after slashes (two, or one after a colon, as
/// lenient parsers read it), and at the start.
fn userinfo(text: &[u8], start: Start) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len());
    let mut is_authority = start == Start::IsAuthority;
    let mut rest = text;
    // Each turn takes a run of other bytes and a run of delimiters: one of them is not empty.
    while !rest.is_empty() {
        // WHATWG's parser ends an authority at a backslash, that of RFC 3986 does not: take the longer one.
        let (part, after) = split_where(rest, |byte| {
            ends_authority(byte) || (!is_authority && byte == b'\\')
        });
        let at = part.iter().rposition(|byte| *byte == b'@');
        match at.filter(|_| is_authority).and_then(|at| part.get(at..)) {
            Some(at_and_host) => {
                output.extend_from_slice(REDACTED_USERINFO);
                output.extend_from_slice(at_and_host);
            }
            None => output.extend_from_slice(part),
        }
        let (delimiters, next) = split_where(after, |byte| !ends_authority(byte) && byte != b'\\');
        let slashes = delimiters
            .iter()
            .rev()
            .take_while(|byte| is_slash(**byte))
            .count();
        let after_colon = slashes == delimiters.len() && part.last() == Some(&b':');
        is_authority = slashes >= 2 || (slashes == 1 && after_colon);
        output.extend_from_slice(delimiters);
        rest = next;
    }
    output
}

/// Up to the first byte of a kind, and from there on.
fn split_where(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| is_end(*byte)).unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, b""))
}

const fn starts_parameter(byte: u8) -> bool {
    matches!(byte, b'?' | b'&' | b'#' | b';')
}

const fn ends_value(byte: u8) -> bool {
    matches!(byte, b'&' | b'#')
}

/// RFC 3986 §3.2.
const fn ends_authority(byte: u8) -> bool {
    matches!(byte, b'/' | b'?' | b'#')
}

/// The backslash is one to WHATWG's parser.
const fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Names under which secrets are sent; in lower case.
const COMMON_NAMES: [&str; 20] = [
    "api_key",
    "apikey",
    "api-key",
    "key",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "client_secret",
    "auth",
    "auth_token",
    "secret",
    "password",
    "pwd",
    "credential",
    "credentials",
    "sig",
    "signature",
    "code",
    "tavilyapikey",
];

/// Ours: a word of four letters is a secret of nobody, and stands in other words by chance.
const SHORTEST_SECRET: usize = 5;

const REDACTED_USERINFO: &[u8] = b"REDACTED:REDACTED";

/// Ours: a URL within a URL within a URL. What is encoded more often is redacted unseen.
const MAXIMUM_LAYERS: u8 = 3;

#[cfg(test)]
mod tests;
