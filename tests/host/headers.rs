//! Header maps as Envoy keeps them, their wire form in the ABI, and what may not be written into them.

/// An ordered multimap of header fields. Names are in lower case, values are any bytes, and pseudo-headers stand
/// before all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HeaderMap {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl HeaderMap {
    /// As Envoy's codec builds a map: see [`HeaderMap::add`] for names that stand more than once.
    pub(crate) fn received<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut map = Self::default();
        for (name, value) in entries {
            map.add(name.as_ref(), value.as_ref());
        }
        map
    }

    /// Exactly these entries: what no codec of Envoy delivers, for instance two separate `authorization` fields.
    pub(crate) fn raw<N: AsRef<[u8]>, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (N, V)>) -> Self {
        let lower = |(name, value): (N, V)| (name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec());
        Self {
            entries: entries.into_iter().map(lower).collect(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All values of one name, given in lower case, as text.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.iter().filter(|(other, _)| *other == name.as_bytes());
        named
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The first value of one name, given in lower case.
    pub(crate) fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The first value of one name as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.first(name.as_bytes())
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Adds a field. Like Envoy, joins the value to an existing one with a comma for the names of [`INLINE`].
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = name.to_ascii_lowercase();
        if INLINE.contains(&name.as_slice())
            && let Some((_, existing)) = self.entries.iter_mut().find(|(other, _)| *other == name)
        {
            if !existing.is_empty() && !value.is_empty() {
                existing.push(b',');
            }
            existing.extend_from_slice(value);
            return;
        }
        let pseudo_headers = self
            .entries
            .iter()
            .filter(|(other, _)| other.starts_with(b":"))
            .count();
        let position = if name.starts_with(b":") {
            pseudo_headers
        } else {
            self.entries.len()
        };
        self.entries.insert(position, (name, value.to_vec()));
    }

    /// Removes every field of the name.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.entries
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// Puts one field in place of all of its name; it moves to the end.
    pub(crate) fn replace(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// The wire form: the count, all lengths, then all names and values, each followed by a zero byte.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.entries.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &self.entries {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        for part in self.entries.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
        bytes
    }

    /// Reads the wire form; `None` where Envoy silently takes the pairs for none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let count = take_length(&mut rest)?;
        if bytes.len() > PAIRS_MAX_BYTES || count > PAIRS_MAX_COUNT {
            return None;
        }
        let lengths = (0..count * 2)
            .map(|_| take_length(&mut rest))
            .collect::<Option<Vec<_>>>()?;
        let mut parts = Vec::new();
        for length in lengths {
            let (part, behind) = rest.split_at_checked(length)?;
            parts.push(part.to_vec());
            rest = behind.strip_prefix(&[0])?;
        }
        let pairs = parts
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()));
        rest.is_empty().then(|| Self::raw(pairs))
    }
}

/// How a header is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Add(&'a [u8]),
    Replace(&'a [u8]),
    Remove,
}

/// What is wrong with a change, where Envoy would break the message or let it be broken.
pub(crate) fn objection(map: &HeaderMap, name: &[u8], change: Change<'_>) -> Option<&'static str> {
    let regular = name.strip_prefix(b":").unwrap_or(name);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if regular.is_empty() || !regular.iter().all(token) {
        return Some("name is no token");
    }
    let pseudo = name.starts_with(b":");
    if pseudo && !PSEUDO_HEADERS.contains(&name) {
        return Some("unknown pseudo-header");
    }
    match change {
        Change::Remove if pseudo => Some("pseudo-header removed"),
        Change::Add(_) if pseudo && map.first(name).is_some() => Some("pseudo-header added to another"),
        Change::Add(value) | Change::Replace(value) if pseudo && value.is_empty() => {
            Some("pseudo-header without value")
        }
        Change::Add(value) | Change::Replace(value) if value.iter().any(|byte| b"\r\n\0".contains(byte)) => {
            Some("value with CR, LF or NUL")
        }
        _ => None,
    }
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*length) as usize)
}

/// Names whose values Envoy 1.40 joins into one field (its inline headers), as far as filters meet them. All others
/// stay apart, `cookie` and `proxy-authorization` too.
const INLINE: [&[u8]; 26] = [
    b":authority",
    b":method",
    b":path",
    b":scheme",
    b":status",
    b"accept",
    b"accept-encoding",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-length",
    b"content-type",
    b"expect",
    b"grpc-timeout",
    b"origin",
    b"referer",
    b"te",
    b"upgrade",
    b"user-agent",
    b"via",
    b"x-envoy-original-path",
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-request-id",
];

const PSEUDO_HEADERS: [&[u8]; 6] = [
    b":authority",
    b":method",
    b":path",
    b":protocol",
    b":scheme",
    b":status",
];

/// proxy-wasm-cpp-host `limits.h`: larger pair lists are taken for empty.
const PAIRS_MAX_BYTES: usize = 1024 * 1024;
const PAIRS_MAX_COUNT: usize = 1024;
