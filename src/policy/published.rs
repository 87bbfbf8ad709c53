//! Documents that the filter serves itself, to everybody and before any rule: public keys, metadata, cards.
//!
//! They are made when the policy is read, and nothing of a request goes into one: its host only chooses among documents
//! of one path. How they are answered with is not known here.

use crate::authority::Authority;
use crate::path::without_query;
use crate::redact::{Clean, Redactor};
use crate::signer;

/// The documents of a policy. All of one path are of one kind.
#[derive(Debug, Default)]
pub struct Published {
    pages: Vec<Page>,
}

/// A document, and where it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Exactly this path, whatever the query.
    pub path: String,
    /// The host that it is chosen by where several documents have the path, in the spelling of [`Authority::host`]. `None`:
    /// there is no other.
    pub host: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// The document itself.
    pub body: String,
    /// The same as it may be printed, once it is known what may.
    pub clean: Option<Clean>,
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Public keys of the filter: a JWK Set (RFC 7517 §5).
    Keys,
    /// The metadata of a protected resource (RFC 9728).
    Metadata,
    /// An agent card.
    Card,
}

impl Kind {
    /// The media type: RFC 7517 §8.5.2, RFC 9728 §3.2, A2A 1.0 §8.2.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Keys => "application/jwk-set+json",
            Self::Metadata | Self::Card => "application/json",
        }
    }
}

impl Published {
    /// Adds a document, unless another one stands in its way: of another kind at its path, or at its path and host.
    pub fn add(&mut self, page: Page) -> Result<(), Taken> {
        let is_in_its_way = |other: &Page| {
            other.path == page.path
                && (other.kind != page.kind
                    || other.host.is_none()
                    || page.host.is_none()
                    || other.host == page.host)
        };
        if self.pages.iter().any(is_in_its_way) {
            return Err(Taken);
        }
        self.pages.push(page);
        Ok(())
    }

    /// Adds public keys. Those of one path are one JWK Set, each of them once.
    pub fn add_keys(&mut self, path: &str, jwks: &[&str]) -> Result<(), Taken> {
        let mut set = self
            .pages
            .iter_mut()
            .filter(|page| page.kind == Kind::Keys && page.path == path);
        let Some(page) = set.next() else {
            return self.add(Page {
                path: path.to_owned(),
                host: None,
                kind: Kind::Keys,
                body: signer::jwk_set(jwks),
                clean: None,
            });
        };
        for jwk in jwks {
            if page.body.contains(jwk) {
                continue;
            }
            // In front of the bracket and the brace.
            let end = page.body.len().saturating_sub(SET_END.len());
            page.body.truncate(end);
            page.body.push(',');
            page.body.push_str(jwk);
            page.body.push_str(SET_END);
        }
        Ok(())
    }

    /// Looks once at all documents for what may not be printed, so that it need not be done for each request.
    ///
    /// # Errors
    /// The path of a document that holds a secret.
    pub fn settle(&mut self, redactor: &Redactor) -> Result<(), String> {
        for page in &mut self.pages {
            let clean = redactor.clean(page.body.clone());
            if clean.as_str() != page.body {
                return Err(page.path.clone());
            }
            page.clean = Some(clean);
        }
        Ok(())
    }

    /// The document of a path, byte for byte, without its query. Where there are several, that of the host.
    pub fn find(&self, target: &[u8], authority: &[u8]) -> Option<&Page> {
        // Nearly every policy has a few, and nearly every request is for none.
        if self.pages.is_empty() {
            return None;
        }
        let path = without_query(target);
        let authority = Authority::parse(authority).ok();
        let host = authority.as_ref().map(Authority::host);
        let (mut only, mut chosen, mut count) = (None, None, 0_usize);
        for page in self.pages.iter().filter(|page| page.path.as_bytes() == path) {
            count += 1;
            only = Some(page);
            if page.host.as_deref() == host {
                chosen = only;
            }
        }
        if count == 1 { only } else { chosen }
    }
}

/// Something else is served there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken;

/// How long a document may be kept: as long as a key is to be served before it signs.
pub const CACHE_CONTROL: &str = "public, max-age=300";
/// With what [`signer::jwk_set`] ends.
const SET_END: &str = "]}";

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, host: Option<&str>, kind: Kind, body: &str) -> Page {
        Page {
            path: path.to_owned(),
            host: host.map(str::to_owned),
            kind,
            body: body.to_owned(),
            clean: None,
        }
    }

    fn found<'p>(published: &'p Published, target: &str, authority: &str) -> Option<&'p str> {
        let page = published.find(target.as_bytes(), authority.as_bytes())?;
        Some(&page.body)
    }

    #[test]
    fn one_of_a_path_is_for_every_host() {
        let mut published = Published::default();
        let only = page("/a", Some("a.example"), Kind::Metadata, "a");
        assert_eq!(published.add(only), Ok(()));
        for authority in ["a.example", "b.example:1", "", "a,b"] {
            assert_eq!(found(&published, "/a", authority), Some("a"));
            assert_eq!(found(&published, "/a?b=/c#d", authority), Some("a"));
        }
        for target in [
            "", "/", "/a/", "/A", "//a", "/%61", "/a;b", "/a#b", "/x/../a", "/?/a",
        ] {
            assert_eq!(found(&published, target, "a.example"), None, "{target}");
        }
    }

    #[test]
    fn several_of_a_path_are_told_by_the_host() {
        let mut published = Published::default();
        for host in ["a.example", "b.example", "::1"] {
            let page = page("/a", Some(host), Kind::Metadata, host);
            assert_eq!(published.add(page), Ok(()));
        }
        for (authority, body) in [
            ("A.example:8443", Some("a.example")),
            ("b.example", Some("b.example")),
            ("[0::1]:80", Some("::1")),
            ("c.example", None),
            ("a.example,b.example", None),
            ("", None),
        ] {
            assert_eq!(found(&published, "/a", authority), body, "{authority}");
        }
    }

    #[test]
    fn a_path_has_one_meaning() {
        let mut published = Published::default();
        let mut add = |host, kind| published.add(page("/a", host, kind, ""));
        assert_eq!(add(Some("a.example"), Kind::Metadata), Ok(()));
        assert_eq!(add(Some("a.example"), Kind::Metadata), Err(Taken));
        assert_eq!(add(Some("b.example"), Kind::Card), Err(Taken));
        assert_eq!(add(Some("b.example"), Kind::Metadata), Ok(()));
        assert_eq!(add(None, Kind::Metadata), Err(Taken));
        assert_eq!(published.add_keys("/a", &["{}"]), Err(Taken));
    }

    #[test]
    fn keys_of_one_path_are_one_set() {
        let mut published = Published::default();
        assert_eq!(published.add_keys("/keys", &["{\"kid\":1}"]), Ok(()));
        assert_eq!(
            published.add_keys("/keys", &["{\"kid\":2}", "{\"kid\":1}", "{\"kid\":3}"]),
            Ok(())
        );
        assert_eq!(published.add_keys("/others", &["{\"kid\":4}"]), Ok(()));
        assert_eq!(
            found(&published, "/keys", ""),
            Some("{\"keys\":[{\"kid\":1},{\"kid\":2},{\"kid\":3}]}")
        );
        assert_eq!(found(&published, "/others", ""), Some("{\"keys\":[{\"kid\":4}]}"));
    }
}
