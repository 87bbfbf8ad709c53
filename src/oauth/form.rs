//! The body of a request: `application/x-www-form-urlencoded` (RFC 6749 appendix B).

use form_urlencoded::byte_serialize;

use crate::secret::Secret;

/// A form that grows.
pub(super) struct Form(Vec<u8>);

impl Form {
    /// An empty one that will hold a secret of about this length: a buffer that moves would leave a copy behind.
    pub(super) fn for_secrets(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes.saturating_add(OTHER_BYTES)))
    }

    /// Adds a parameter.
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        let form = &mut self.0;
        if !form.is_empty() {
            form.push(b'&');
        }
        for part in byte_serialize(name.as_bytes()) {
            form.extend_from_slice(part.as_bytes());
        }
        form.push(b'=');
        for part in byte_serialize(value) {
            form.extend_from_slice(part.as_bytes());
        }
    }

    /// Adds each of these under one name, in order: none where there are none.
    pub(super) fn push_all(&mut self, name: &str, values: &[String]) {
        for value in values {
            self.push(name, value.as_bytes());
        }
    }

    /// The whole.
    pub(super) fn into_body(self) -> Secret<Vec<u8>> {
        Secret::new(self.0)
    }
}

/// One value of a form by itself.
pub(super) fn encoded(value: &str) -> Secret<String> {
    Secret::new(byte_serialize(value.as_bytes()).collect())
}

/// Ours: names, kinds and audiences besides.
const OTHER_BYTES: usize = 2048;
