//! Credentials in the query of a request target, for upstreams that accept nothing else. Whatever is not the
//! credential stays as it is, byte for byte.

use std::borrow::Cow;
use std::fmt;

/// The name of a query parameter that carries a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterName(String);

impl ParameterName {
    /// From a name that needs no encoding.
    ///
    /// # Errors
    /// [`ParameterNameError`] if it does not match `^[a-zA-Z_][a-zA-Z0-9_\-]*$`.
    pub fn parse(text: &str) -> Result<Self, ParameterNameError> {
        let starts_well = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let goes_on_well = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        match starts_well && goes_on_well {
            true => Ok(Self(text.to_owned())),
            false => Err(ParameterNameError),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterNameError;

impl fmt::Display for ParameterNameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "Query parameter key must start with a letter or underscore, followed by letters, numbers, underscores, \
             or hyphens",
        )
    }
}

/// A request target with credentials in its query, and the same without.
#[derive(Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// For the upstream.
    pub path: Vec<u8>,
    /// For logs.
    pub clean_path: Vec<u8>,
}

impl fmt::Debug for Rewritten {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rewritten")
            .field("clean_path", &self.clean_path.escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

/// The values of every parameter of a name, decoded as a form's. Bytes that are no UTF-8 become U+FFFD.
pub fn values<'t>(target: &'t [u8], name: &str) -> impl Iterator<Item = Cow<'t, str>> {
    named(target, move |own| own == name).map(|(_, value)| value)
}

/// The parameters whose names meet a condition, decoded as a form's; in one pass, for however many names.
pub fn named<'t>(
    target: &'t [u8],
    is_meant: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (Cow<'t, str>, Cow<'t, str>)> {
    parameters(target)
        .into_iter()
        .flatten()
        .filter_map(|parameter| form_urlencoded::parse(parameter).next())
        .filter(move |(name, _)| is_meant(name))
}

/// The target without every parameter whose decoded name meets a condition; the others stay byte for byte. A query that
/// held nothing else goes with them.
pub fn without(target: &[u8], is_removed: impl Fn(&str) -> bool) -> Vec<u8> {
    let (path, _, fragment) = split(target);
    let mut clean = path.to_vec();
    if let Some(kept) = kept(target, is_removed) {
        clean.push(b'?');
        clean.extend(kept);
    }
    clean.extend(fragment);
    clean
}

/// Removes every parameter whose decoded name meets a condition, whoever sent it, and appends each credential once, in
/// order, form-encoded (WHATWG URL §5.2).
pub fn rewrite<'c>(
    target: &[u8],
    is_removed: impl Fn(&str) -> bool,
    credentials: impl IntoIterator<Item = (&'c ParameterName, &'c [u8])>,
) -> Rewritten {
    let (path, _, fragment) = split(target);
    let kept = kept(target, is_removed);
    let mut clean_path = path.to_vec();
    if let Some(kept) = &kept {
        clean_path.push(b'?');
        clean_path.extend(kept);
    }
    let mut with_credentials = clean_path.clone();
    let mut separator = match &kept {
        None => Some(b'?'),
        Some(kept) if kept.is_empty() => None,
        Some(_) => Some(b'&'),
    };
    for (name, value) in credentials {
        with_credentials.extend(separator);
        with_credentials.extend(name.0.as_bytes());
        with_credentials.push(b'=');
        with_credentials.extend(form_urlencoded::byte_serialize(value).flat_map(str::bytes));
        separator = Some(b'&');
    }
    with_credentials.extend(fragment);
    clean_path.extend(fragment);
    Rewritten {
        path: with_credentials,
        clean_path,
    }
}

/// What stays of a query, as it stands there. A query that held nothing but what goes is gone; an empty one that the
/// caller sent stays. Where a server parts parameters by `;` as well, what goes must not come through as one of those.
fn kept(target: &[u8], is_removed: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let (_, query, _) = split(target);
    let query = query.strip_prefix(b"?")?;
    let mut kept: Option<Vec<u8>> = None;
    let mut delimiter = None;
    for part in query.split_inclusive(|byte| matches!(byte, b'&' | b';')) {
        let (parameter, next) = match part.split_last() {
            Some((last @ (b'&' | b';'), parameter)) => (parameter, Some(*last)),
            _ => (part, None),
        };
        keep(parameter, delimiter, &is_removed, &mut kept);
        delimiter = next;
    }
    // Nothing stands behind the last mark, or in an empty query: a parameter of no bytes.
    if delimiter.is_some() || query.is_empty() {
        keep(b"", delimiter, &is_removed, &mut kept);
    }
    kept
}

fn keep(
    parameter: &[u8],
    delimiter: Option<u8>,
    is_removed: impl Fn(&str) -> bool,
    kept: &mut Option<Vec<u8>>,
) {
    let decoded = form_urlencoded::parse(parameter).next();
    if decoded.is_some_and(|(name, _)| is_removed(&name)) {
        return;
    }
    match kept {
        Some(kept) => {
            kept.extend(delimiter);
            kept.extend(parameter);
        }
        None => *kept = Some(parameter.to_vec()),
    }
}

/// The parameters of a target that has a query, as they stand there.
fn parameters(target: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (_, query, _) = split(target);
    let query = query.strip_prefix(b"?")?;
    Some(query.split(|byte| *byte == b'&'))
}

/// Path, query with its `?`, fragment with its `#`.
fn split(target: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (target, fragment) = split_at_byte(target, b'#');
    let (path, query) = split_at_byte(target, b'?');
    (path, query, fragment)
}

/// The bytes before the first of this byte, and the rest from it on.
fn split_at_byte(bytes: &[u8], wanted: u8) -> (&[u8], &[u8]) {
    let at = bytes
        .iter()
        .position(|byte| *byte == wanted)
        .unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'c>(target: &str, credentials: &'c [(ParameterName, &'c str)]) -> Rewritten {
        let is_removed = |name: &str| credentials.iter().any(|(own, _)| own.0 == name);
        let credentials = credentials.iter().map(|(name, value)| (name, value.as_bytes()));
        rewrite(target.as_bytes(), is_removed, credentials)
    }

    fn rewritten(target: &str) -> (String, String) {
        let rewritten = with(target, &[(ParameterName::parse("apiKey").unwrap(), "v w+&=")]);
        (
            String::from_utf8(rewritten.path).unwrap(),
            String::from_utf8(rewritten.clean_path).unwrap(),
        )
    }

    #[test]
    fn everything_else_stays_byte_for_byte() {
        for (target, path, clean) in [
            ("/p", "/p?apiKey=v+w%2B%26%3D", "/p"),
            ("/p?", "/p?apiKey=v+w%2B%26%3D", "/p?"),
            (
                "/p?a=1&a=2&b=",
                "/p?a=1&a=2&b=&apiKey=v+w%2B%26%3D",
                "/p?a=1&a=2&b=",
            ),
            ("/p?flag", "/p?flag&apiKey=v+w%2B%26%3D", "/p?flag"),
            (
                "/p?a=%2f+%zz&&b",
                "/p?a=%2f+%zz&&b&apiKey=v+w%2B%26%3D",
                "/p?a=%2f+%zz&&b",
            ),
            ("/p?a?b=c", "/p?a?b=c&apiKey=v+w%2B%26%3D", "/p?a?b=c"),
            ("/p?a#f?x", "/p?a&apiKey=v+w%2B%26%3D#f?x", "/p?a#f?x"),
            ("/p?APIKEY=x", "/p?APIKEY=x&apiKey=v+w%2B%26%3D", "/p?APIKEY=x"),
            ("/p?a;b=1;", "/p?a;b=1;&apiKey=v+w%2B%26%3D", "/p?a;b=1;"),
            ("/p?a&", "/p?a&&apiKey=v+w%2B%26%3D", "/p?a&"),
        ] {
            assert_eq!(rewritten(target), (path.to_owned(), clean.to_owned()), "{target}");
        }
    }

    #[test]
    fn what_the_caller_sent_under_the_name_is_removed() {
        for target in [
            "/p?apiKey=x",
            "/p?apiKey",
            "/p?apiKey=",
            "/p?api%4bey=x",
            "/p?apiKey=x&%61piKey=y&apiKey=z",
            "/p?apiKey=x;apiKey=y",
        ] {
            assert_eq!(
                rewritten(target),
                ("/p?apiKey=v+w%2B%26%3D".to_owned(), "/p".to_owned()),
                "{target}"
            );
        }
        assert_eq!(rewritten("/p?a=1&apiKey=x&b=2").1, "/p?a=1&b=2");
        assert_eq!(rewritten("/p?a=1;apiKey=x;b=2&c").1, "/p?a=1;b=2&c");
    }

    #[test]
    fn values_are_decoded() {
        let found = |target: &str| {
            values(target.as_bytes(), "k")
                .map(Cow::into_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(found("/p?k=a%20b+c&x=k&%6b=2&K=3#k=4"), ["a b c", "2"]);
        assert_eq!(found("/p?k"), [""]);
        assert_eq!(found("/k=1"), [""; 0]);
    }

    #[test]
    fn what_goes_leaves_the_others_as_they_are() {
        let clean = |target: &str| String::from_utf8(without(target.as_bytes(), |name| name == "k")).unwrap();
        assert_eq!(clean("/p?k=1"), "/p");
        assert_eq!(clean("/p?a=%2f&%6B=1&&b#k=1"), "/p?a=%2f&&b#k=1");
        assert_eq!(clean("/p?"), "/p?");
        assert_eq!(clean("/p"), "/p");
    }

    #[test]
    fn rewriting_twice_is_rewriting_once() {
        let once = rewritten("/p?a=1").0;
        assert_eq!(rewritten(&once).0, once);
    }

    #[test]
    fn several_credentials_stand_in_order() {
        let credentials =
            [("b", "bb"), ("a", "aa")].map(|(name, value)| (ParameterName::parse(name).unwrap(), value));
        assert_eq!(with("/p?a=1", &credentials).path, b"/p?b=bb&a=aa");
    }

    #[test]
    fn names() {
        for name in ["a", "_a", "tavilyApiKey", "api-key", "a1"] {
            assert!(ParameterName::parse(name).is_ok(), "{name}");
        }
        for name in ["", "1a", "-a", "a b", "a=", "ä", "a.b"] {
            assert_eq!(ParameterName::parse(name), Err(ParameterNameError), "{name}");
        }
    }

    #[test]
    fn debug_shows_no_credential() {
        let credentials = [(ParameterName::parse("k").unwrap(), "hunter2")];
        assert_eq!(
            format!("{:?}", with("/p", &credentials)),
            "Rewritten { clean_path: \"/p\", .. }"
        );
    }
}
