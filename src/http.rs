//! The vocabulary of a request: what was received, what shall change, what is answered. Bytes throughout:
//! header values need not be UTF-8.

use crate::redact::Clean;

/// A header map in the order of arrival, duplicates included. Names are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Headers {
    /// From (name, value) pairs; names are lower-cased.
    pub fn new(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let lower = |(mut name, value): (Vec<u8>, Vec<u8>)| {
            name.make_ascii_lowercase();
            (name, value)
        };
        Self {
            entries: entries.into_iter().map(lower).collect(),
        }
    }

    /// All (name, value) pairs; names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The values of one name, which must be given in lower case.
    pub fn all<'a>(&'a self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The first value of one name, which must be given in lower case. For a header that decides something use
    /// [`Headers::single`].
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The value of a header that may stand once at the most; the name must be given in lower case.
    ///
    /// # Errors
    /// [`Repeated`] if the name occurs more than once.
    pub fn single(&self, name: &[u8]) -> Result<Option<&[u8]>, Repeated> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Repeated),
            (value, None) => Ok(value),
        }
    }
}

/// A header that may stand only once stands more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

/// A request as the filter received it, with the facts about its place that only the proxy knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The header map, pseudo-headers (`:method`, `:path`, `:authority`) included.
    pub headers: Headers,
    /// The Envoy cluster that the route goes to. Read for outbound decisions only.
    pub cluster: Option<Vec<u8>>,
    /// The mark of an inbound decision that was made on this stream before: by another filter, or downstream of a
    /// cluster's own. Only filters can set it.
    pub mark: Option<Vec<u8>>,
    /// The name that the certificate of who has connected bears, where the policy asks for it: only the proxy tells it,
    /// and it does not tell whether anybody has checked the certificate.
    pub principal: Option<Vec<u8>>,
    /// What an outbound decision has put on this stream before, where the proxy runs it again: after a redirect that
    /// it followed itself, or as a retry within a cluster. Only filters can set it.
    pub injected: Option<Vec<u8>>,
}

impl Request {
    /// The method, empty if there is none.
    pub fn method(&self) -> &[u8] {
        self.headers.first(b":method").unwrap_or_default()
    }

    /// The request target with its query; CONNECT has none.
    pub fn path(&self) -> Option<&[u8]> {
        self.headers.first(b":path")
    }

    /// The request as it stands once these edits are applied.
    pub fn edited(&self, edits: &Edits) -> Self {
        let mut edited = self.clone();
        edited.headers.entries.retain(|(name, _)| {
            let is_named = |other: &[u8]| other == name;
            !edits.removals().any(is_named) && !edits.settings().any(|(other, _)| is_named(other))
        });
        let settings = edits.settings();
        edited
            .headers
            .entries
            .extend(settings.map(|(name, value)| (name.to_vec(), value.to_vec())));
        edited
    }

    /// The scheme, empty if there is none.
    pub fn scheme(&self) -> &[u8] {
        self.headers.first(b":scheme").unwrap_or_default()
    }

    /// The authority, empty if there is none.
    pub fn authority(&self) -> &[u8] {
        self.headers.first(b":authority").unwrap_or_default()
    }
}

/// What the boundary shall change before the request goes on: first all removals, then all settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    removals: Vec<Vec<u8>>,
    settings: Vec<(Vec<u8>, Vec<u8>)>,
    state: Vec<(&'static str, Vec<u8>)>,
}

impl Edits {
    /// Removes every header of this name.
    pub fn remove(&mut self, name: &[u8]) {
        if !self.removals.iter().any(|other| other == name) {
            self.removals.push(name.to_vec());
        }
    }

    /// Removes the headers that are there and meet a condition on their names.
    pub fn remove_all(&mut self, headers: &Headers, is_meant: impl Fn(&[u8]) -> bool) {
        for (name, _) in headers.iter().filter(|(name, _)| is_meant(name)) {
            self.remove(name);
        }
    }

    /// Keeps only what concerns headers whose name meets a condition. Filter state goes with the others.
    pub fn retain(&mut self, is_kept: impl Fn(&[u8]) -> bool) {
        self.removals.retain(|name| is_kept(name));
        self.settings.retain(|(name, _)| is_kept(name));
        self.state.clear();
    }

    /// Sets a header in place of every one of this name; the last setting of a name counts.
    pub fn set(&mut self, name: &[u8], value: Vec<u8>) {
        match self.settings.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = value,
            None => self.settings.push((name.to_vec(), value)),
        }
    }

    /// Sets a filter state object (`wasm.<name>` in Envoy) for access logs, RBAC and later filters.
    pub fn set_state(&mut self, name: &'static str, value: Vec<u8>) {
        match self.state.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.state.push((name, value)),
        }
    }

    /// Adds those of another; where both set a header, that one's counts.
    pub fn merge(&mut self, other: Self) {
        for name in &other.removals {
            self.settings.retain(|(set, _)| set != name);
            self.remove(name);
        }
        for (name, value) in other.settings {
            self.set(&name, value);
        }
        for (name, value) in other.state {
            self.set_state(name, value);
        }
    }

    /// The names to remove.
    pub fn removals(&self) -> impl Iterator<Item = &[u8]> {
        self.removals.iter().map(Vec::as_slice)
    }

    /// The headers to set.
    pub fn settings(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.settings
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The filter state to set.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.state.iter().map(|(name, value)| (*name, value.as_slice()))
    }
}

/// An answer that the filter gives itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status; for a gRPC caller Envoy turns the answer into trailers with `grpc_status`.
    pub status: u16,
    /// The gRPC status for a caller that speaks gRPC.
    pub grpc_status: Option<u8>,
    /// Why, for `%RESPONSE_CODE_DETAILS%` of access logs.
    pub details: &'static str,
    /// Headers of the answer.
    pub headers: Vec<(&'static str, Clean)>,
    /// The body; the `grpc-message` for a caller that speaks gRPC.
    pub body: Clean,
    /// Applied to the request before the answer is sent: what access logs print of a refused request is the
    /// request as it stands then.
    pub edits: Edits,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        Headers::new([
            (b"X-One".to_vec(), b"1".to_vec()),
            (b"x-two".to_vec(), b"a".to_vec()),
            (b"X-TWO".to_vec(), vec![0xff]),
        ])
    }

    #[test]
    fn names_have_no_case_and_values_need_not_be_text() {
        assert_eq!(
            headers().all(b"x-two").collect::<Vec<_>>(),
            [b"a".as_slice(), &[0xff]]
        );
        assert_eq!(headers().single(b"x-one"), Ok(Some(b"1".as_slice())));
        assert_eq!(headers().single(b"x-two"), Err(Repeated));
        assert_eq!(headers().single(b"x-three"), Ok(None));
    }

    #[test]
    fn the_last_setting_counts() {
        let mut edits = Edits::default();
        edits.remove(b"x-a");
        edits.remove(b"x-a");
        edits.set(b"x-a", b"1".to_vec());
        edits.set(b"x-a", b"2".to_vec());
        assert_eq!(edits.removals().count(), 1);
        assert_eq!(
            edits.settings().collect::<Vec<_>>(),
            [(b"x-a".as_slice(), b"2".as_slice())]
        );
    }
}
