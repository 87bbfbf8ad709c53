//! What the filter serves itself: the public keys of `inbound.forward.assertion`.

use crate::assertion::Assertion;
use crate::policy::Published;

/// All documents, of the parts that were read.
pub(super) fn published(assertion: Option<&Assertion>) -> Option<Published> {
    let mut published = Published::default();
    if let Some(assertion) = assertion
        && let Some(path) = &assertion.jwks_path
    {
        published.add_keys(path, &assertion.public_jwks()).ok()?;
    }
    Some(published)
}
