//! What the compiled policy does not hold, read from the document, which is known to be good.

use crate::config::Document;

/// The entries of a list that is a member; none where it is absent.
pub(super) fn entries<'d>(document: Option<&'d Document>, name: &str) -> &'d [Document] {
    match document.and_then(|document| document.member(name)) {
        Some(Document::List(entries)) => entries,
        _ => &[],
    }
}

/// The named entries of an object that is a member; none where it is absent.
pub(super) fn members<'d>(
    document: Option<&'d Document>,
    name: &str,
) -> impl Iterator<Item = (&'d str, &'d Document)> {
    let members = match document.and_then(|document| document.member(name)) {
        Some(Document::Object(members)) => members.as_slice(),
        _ => &[],
    };
    let is_there = |(_, value): &&(String, Document)| !matches!(value, Document::Null);
    members
        .iter()
        .filter(is_there)
        .map(|(name, value)| (name.as_str(), value))
}

/// A member that is a text.
pub(super) fn text<'d>(document: Option<&'d Document>, name: &str) -> Option<&'d str> {
    as_text(document?.member(name)?)
}

/// A value that is a text.
pub(super) fn as_text(document: &Document) -> Option<&str> {
    match document {
        Document::Text(text) => Some(text.expose()),
        _ => None,
    }
}
