//! Names of headers: which ones the filter may write, read and remove, and which member has which.

use crate::config::problem::HeaderProblem;
use crate::config::reader::{Node, Object};
use crate::excerpt::Excerpt;

/// What a header is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The filter writes it, or reads a code or a key from it.
    Own,
    /// The filter only removes it.
    Removed,
    /// The filter puts it on calls, or takes a caller's credential from it.
    PutOn,
}

/// The name of a header that stands as a text, in lower case.
pub(super) fn header(node: &Node<'_>, used_as: Use) -> Option<String> {
    header_name(node, node.text()?, used_as)
}

/// The name of a header, in lower case; problems are reported at the node.
pub(super) fn header_name(node: &Node<'_>, name: &str, used_as: Use) -> Option<String> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return node.refuse(HeaderProblem::Name(Excerpt::new(name)));
    }
    let name = name.to_ascii_lowercase();
    let is_others =
        || OTHERS.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let is_reserved = FRAMING.contains(&name.as_str())
        || match used_as {
            Use::Own => is_others(),
            Use::PutOn => is_others() && !CREDENTIALS.contains(&name.as_str()),
            Use::Removed => false,
        };
    match is_reserved {
        true => node.refuse(HeaderProblem::Reserved(name)),
        false => Some(name),
    }
}

/// Reads a member that names a header of the filter, and takes the header for it.
pub(super) fn own_header(
    object: &Object<'_>,
    member: &'static str,
    default: &str,
    owners: &mut HeaderOwners,
) -> Option<String> {
    match object.optional(member) {
        Some(node) => header(&node, Use::Own).and_then(|name| owners.claim_at(&node, name)),
        None => match owners.claim(default, object.path_of(member)) {
            Ok(()) => Some(default.to_owned()),
            Err(problem) => object.refuse_member(member, problem),
        },
    }
}

/// Which member has which header. A header has one meaning.
#[derive(Debug, Clone, Default)]
pub(super) struct HeaderOwners(Vec<Owned>);

#[derive(Debug, Clone)]
struct Owned {
    header: String,
    owner: String,
}

impl HeaderOwners {
    /// Gives a header to the member that stands at this path, unless another one has it.
    pub(super) fn claim(&mut self, name: &str, owner: String) -> Result<(), HeaderProblem> {
        match self.0.iter().find(|owned| folded(&owned.header) == folded(name)) {
            Some(taken) => Err(HeaderProblem::Taken {
                name: name.to_owned(),
                by: taken.owner.clone(),
                is_folded: taken.header != name,
            }),
            None => {
                self.0.push(Owned {
                    header: name.to_owned(),
                    owner,
                });
                Ok(())
            }
        }
    }

    /// The same for a member that is there, with problems reported at it.
    pub(super) fn claim_at(&mut self, node: &Node<'_>, name: String) -> Option<String> {
        match self.claim(&name, node.path()) {
            Ok(()) => Some(name),
            Err(problem) => node.refuse(problem),
        }
    }
}

/// As careless servers read names (CGI, WSGI).
fn folded(name: &str) -> String {
    name.replace('_', "-")
}

/// RFC 9110 §5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What a message is made of: without these there is no request (RFC 9110 §7, RFC 9113 §8.2.2).
const FRAMING: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
];

/// What has a meaning of its own to every server. A header of the filter is removed from what a client sends.
const OTHERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "authorization",
    "content-encoding",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "proxy-authorization",
    "x-request-id",
];

/// Those of them that carry credentials.
const CREDENTIALS: &[&str] = &["authorization", "proxy-authorization"];

/// What the proxy writes.
const PREFIXES: &[&str] = &["x-envoy-", "x-forwarded-"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_one_owner() {
        let mut owners = HeaderOwners::default();
        let taken = |name: &str, is_folded| {
            Err(HeaderProblem::Taken {
                name: name.into(),
                by: "one".into(),
                is_folded,
            })
        };
        assert_eq!(owners.claim("x-a", "one".into()), Ok(()));
        assert_eq!(owners.claim("x_a", "two".into()), taken("x_a", true));
        assert_eq!(owners.claim("x-a", "two".into()), taken("x-a", false));
        assert_eq!(owners.claim("x-b", "two".into()), Ok(()));
    }
}
