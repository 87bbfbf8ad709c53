//! Secrets that come back: an upstream repeats its own URL in a redirect or a link, and the key in it would reach whoever
//! called.
//!
//! It knows the secrets that were given to this very call and looks for those, in every encoding that a URL has; what
//! merely looks like a secret is [`crate::redact`]'s business.

use std::rc::Rc;

use percent_encoding::percent_decode;

use crate::secret::Secret;

/// The secrets that a call was given. Cheap to copy.
#[derive(Debug, Clone, Default)]
pub struct Given {
    secrets: Vec<Rc<Secret<Vec<u8>>>>,
}

impl Given {
    /// One more.
    pub fn add(&mut self, secret: Rc<Secret<Vec<u8>>>) {
        self.secrets.push(secret);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Whether a text holds one of them, however often it is encoded. A secret that is too short to be looked for
    /// within something is looked for as the whole value of a parameter.
    pub fn are_in(&self, text: &[u8]) -> bool {
        split(text).any(|(piece, _)| self.is_value_of(piece)) || self.are_within(text)
    }

    /// A header's value without them: parameters that hold one go, everything else stays byte for byte. `None` if one
    /// stands where it cannot be taken out.
    pub fn taken_out_of(&self, value: &[u8]) -> Option<Vec<u8>> {
        let mut output = Vec::with_capacity(value.len());
        let mut before = None;
        for (piece, delimiter) in split(value) {
            if self.is_value_of(piece) {
                // The delimiter behind goes with the parameter, or else the one before.
                match (before, delimiter) {
                    (Some(b'?' | b'#'), Some(b'&' | b';')) => continue,
                    (Some(b'?' | b'&' | b';' | b'#'), _) => {
                        output.pop();
                    }
                    _ => {}
                }
            } else {
                output.extend_from_slice(piece);
            }
            output.extend(delimiter);
            before = delimiter;
        }
        (!self.are_within(&output)).then_some(output)
    }

    /// Whether a piece is a parameter whose value is, or holds, one of them.
    fn is_value_of(&self, piece: &[u8]) -> bool {
        let Some(at) = piece.iter().position(|byte| *byte == b'=') else {
            return false;
        };
        let value = piece.get(at + 1..).unwrap_or_default();
        decodings(value).any(|decoded| {
            let is_it = |secret: &Rc<Secret<Vec<u8>>>| *secret.expose() == decoded;
            self.secrets.iter().any(is_it) || self.are_plainly_in(&decoded)
        })
    }

    fn are_within(&self, text: &[u8]) -> bool {
        decodings(text).any(|decoded| self.are_plainly_in(&decoded))
    }

    fn are_plainly_in(&self, text: &[u8]) -> bool {
        self.secrets.iter().any(|secret| {
            let secret = secret.expose();
            secret.len() >= SHORTEST
                && text
                    .windows(secret.len())
                    .any(|window| window == secret.as_slice())
        })
    }
}

/// The names of headers of an answer in which servers repeat URLs.
pub const HEADERS: [&str; 4] = ["location", "content-location", "link", "refresh"];

/// What stands between the marks that part URLs, parameters and the rest of such a header, each with the mark behind it.
fn split(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<u8>)> {
    text.split_inclusive(|byte| is_mark(*byte))
        .map(|part| match part.split_last() {
            Some((last, piece)) if is_mark(*last) => (piece, Some(*last)),
            _ => (part, None),
        })
}

const fn is_mark(byte: u8) -> bool {
    matches!(
        byte,
        b'?' | b'&' | b';' | b'#' | b'<' | b'>' | b'"' | b'\'' | b',' | b' ' | b'\t'
    )
}

/// A text as it is, and decoded as a form's value and as a path, once and again.
fn decodings(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut layer = vec![text.to_vec()];
    let mut all = layer.clone();
    for _ in 0..MAX_LAYERS {
        let deeper: Vec<Vec<u8>> = layer
            .iter()
            .flat_map(|text| {
                let plus: Vec<u8> = text
                    .iter()
                    .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                    .collect();
                [
                    percent_decode(text).collect::<Vec<u8>>(),
                    percent_decode(&plus).collect(),
                ]
            })
            .filter(|decoded| !all.contains(decoded))
            .collect();
        all.extend(deeper.iter().cloned());
        layer = deeper;
    }
    all.into_iter()
}

/// Ours: a shorter secret stands in other words by chance. It is found as a whole value all the same.
const SHORTEST: usize = 8;
/// Ours: as [`crate::redact`] has it, a URL within a URL within a URL.
const MAX_LAYERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "v w+&=secret/1";

    fn cleaned(value: &str) -> Option<String> {
        let mut given = Given::default();
        given.add(Rc::new(Secret::new(KEY.into())));
        given.add(Rc::new(Secret::new(b"7".to_vec())));
        given
            .taken_out_of(value.as_bytes())
            .map(|clean| String::from_utf8(clean).unwrap())
    }

    #[test]
    fn a_parameter_goes_and_the_rest_stays() {
        let form = "v+w%2B%26%3Dsecret%2F1";
        let path = "v%20w+%26=secret/1";
        for (value, clean) in [
            (format!("/next?k={form}"), "/next"),
            (format!("/next?k={form}&b=2"), "/next?b=2"),
            (format!("/next?a=1&k={form}"), "/next?a=1"),
            (format!("/next?a=1&k={form}&b=2#f"), "/next?a=1&b=2#f"),
            (
                format!("/next?a=1&k={}#f", "%76+w%2b%26%3dsecret%2f1"),
                "/next?a=1#f",
            ),
            (
                format!("https://a.example/?x=%2f+%7E&k={path}"),
                "https://a.example/?x=%2f+%7E",
            ),
            (
                format!("<https://a.example/p?page=2&k={form}>; rel=\"next\", </p?k={form}>; rel=prev"),
                "<https://a.example/p?page=2>; rel=\"next\", </p>; rel=prev",
            ),
            (format!("5; url=/next?k={form}"), "5; url=/next"),
            (
                format!("/login?back=%2Fnext%3Fk%3D{}", form.replace('%', "%25")),
                "/login",
            ),
            ("/next?page=7&n=17".to_owned(), "/next?n=17"),
            ("/next?a=%zz&b".to_owned(), "/next?a=%zz&b"),
        ] {
            assert_eq!(cleaned(&value).as_deref(), Some(clean), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_taken_out_is_not_shown() {
        assert_eq!(cleaned("/keys/v+w%2B%26%3Dsecret%2F1/next"), None);
        assert_eq!(cleaned("/keys/v%20w+%26=secret/1"), None);
        assert_eq!(cleaned("/keys/7/next").as_deref(), Some("/keys/7/next"));
    }

    #[test]
    fn whether_they_are_there() {
        let mut given = Given::default();
        assert!(given.is_empty());
        given.add(Rc::new(Secret::new(b"hunter2-hunter2".to_vec())));
        assert!(given.are_in(b"/p?a=1&k=hunter2%2Dhunter2"));
        assert!(given.are_in(b"/hunter2-hunter2/p"));
        assert!(!given.are_in(b"/p?a=hunter2"));
        assert_eq!(format!("{given:?}"), "Given { secrets: [*****] }");
    }
}
