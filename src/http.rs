//! The vocabulary of a request: what was received, what shall change, what is answered. Bytes throughout:
//! header values need not be UTF-8.

use std::ops::{Deref, Range};
use std::rc::Rc;

use crate::redact::Clean;

/// A header map in the order of arrival, duplicates included. Names are compared without case.
///
/// All of it is one buffer: a boundary that is handed one copies nothing.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where a header stands in the buffer of its map.
#[derive(Debug, Clone)]
struct Entry {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// From (name, value) pairs; names are lower-cased.
    pub fn new(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in entries {
            headers.push(&name, &value);
        }
        headers
    }

    /// From a buffer, and where names and values stand in it; names are lower-cased. A range outside it is empty.
    pub fn within(
        mut buffer: Vec<u8>,
        ranges: impl IntoIterator<Item = (Range<usize>, Range<usize>), IntoIter: ExactSizeIterator>,
    ) -> Self {
        let ranges = ranges.into_iter();
        let mut entries = Vec::with_capacity(ranges.len());
        for (name, value) in ranges {
            if let Some(name) = buffer.get_mut(name.clone()) {
                name.make_ascii_lowercase();
            }
            entries.push(Entry { name, value });
        }
        Self { buffer, entries }
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.buffer.len();
        self.buffer.extend(name.iter().map(u8::to_ascii_lowercase));
        let middle = self.buffer.len();
        self.buffer.extend_from_slice(value);
        self.entries.push(Entry {
            name: start..middle,
            value: middle..self.buffer.len(),
        });
    }

    /// All (name, value) pairs; names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let part = |range: &Range<usize>| self.buffer.get(range.clone()).unwrap_or_default();
        self.entries
            .iter()
            .map(move |entry| (part(&entry.name), part(&entry.value)))
    }

    /// The values of one name, which must be given in lower case.
    pub fn all<'a>(&'a self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let part = |range: &Range<usize>| self.buffer.get(range.clone()).unwrap_or_default();
        // Names of another length are not looked at.
        let is_named = move |entry: &&Entry| entry.name.len() == name.len() && part(&entry.name) == name;
        self.entries
            .iter()
            .filter(is_named)
            .map(move |entry| part(&entry.value))
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

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

/// The media type of a `Content-Type`, without its parameters (RFC 9110 §8.3.1); letter case does not count.
pub fn media_type(content_type: &[u8]) -> &[u8] {
    let essence = content_type.split(|byte| *byte == b';').next();
    essence.unwrap_or_default().trim_ascii()
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
        let is_kept = |name: &[u8]| {
            let is_named = |other: &[u8]| other == name;
            !edits.removals().any(is_named) && !edits.settings().any(|(other, _)| is_named(other))
        };
        let kept = self.headers.iter().filter(|(name, _)| is_kept(name));
        let mut headers = Headers::default();
        for (name, value) in kept.chain(edits.settings()) {
            headers.push(name, value);
        }
        Self {
            headers,
            ..self.clone()
        }
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

/// Bytes that may be shared: to clone them copies nothing.
#[derive(Debug, Clone)]
pub enum Bytes {
    /// Of the program.
    Static(&'static [u8]),
    /// Counted.
    Shared(Rc<[u8]>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl From<&'static str> for Bytes {
    fn from(text: &'static str) -> Self {
        Self::Static(text.as_bytes())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Shared(bytes.into())
    }
}

impl From<Rc<str>> for Bytes {
    fn from(text: Rc<str>) -> Self {
        Self::Shared(text.into())
    }
}

/// What the boundary shall change before the request goes on: first all removals, then all settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    removals: Vec<Bytes>,
    settings: Vec<(Bytes, Bytes)>,
    state: Vec<(&'static str, Bytes)>,
}

impl Edits {
    /// Removes every header of this name.
    pub fn remove(&mut self, name: &[u8]) {
        if !self.removals.iter().any(|other| **other == *name) {
            self.removals.push(Bytes::Shared(name.into()));
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
        match self.setting(name) {
            Some(old) => *old = value.into(),
            None => self.settings.push((Bytes::Shared(name.into()), value.into())),
        }
    }

    /// The same with bytes that are there already.
    pub fn set_shared(&mut self, name: &Bytes, value: &Bytes) {
        match self.setting(name) {
            Some(old) => *old = value.clone(),
            None => self.settings.push((name.clone(), value.clone())),
        }
    }

    fn setting(&mut self, name: &[u8]) -> Option<&mut Bytes> {
        let mut settings = self.settings.iter_mut();
        settings
            .find(|(other, _)| **other == *name)
            .map(|(_, value)| value)
    }

    /// Sets a filter state object (`wasm.<name>` in Envoy) for access logs, RBAC and later filters.
    pub fn set_state(&mut self, name: &'static str, value: impl Into<Bytes>) {
        match self.state.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value.into(),
            None => self.state.push((name, value.into())),
        }
    }

    /// Whether a filter state object is set.
    pub fn has_state(&self, name: &str) -> bool {
        self.state.iter().any(|(set, _)| *set == name)
    }

    /// Adds those of another; where both set a header, that one's counts.
    pub fn merge(&mut self, other: Self) {
        for name in &other.removals {
            self.settings.retain(|(set, _)| set != name);
            self.remove(name);
        }
        for (name, value) in &other.settings {
            self.set_shared(name, value);
        }
        for (name, value) in other.state {
            self.set_state(name, value);
        }
    }

    /// The headers that were set.
    pub fn into_settings(self) -> Vec<(Bytes, Bytes)> {
        self.settings
    }

    /// The names to remove.
    pub fn removals(&self) -> impl Iterator<Item = &[u8]> {
        self.removals.iter().map(Deref::deref)
    }

    /// The headers to set.
    pub fn settings(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.settings.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The filter state to set.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.state.iter().map(|(name, value)| (*name, &**value))
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
