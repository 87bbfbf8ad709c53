//! What the filter serves itself: the public keys of `inbound.forward.assertion`, the metadata of
//! `inbound.protected_resources`.

use crate::config::problem::RuleProblem;
use crate::config::reader::Object;
use crate::policy::published::{Kind, Page, Taken};
use crate::policy::{Inbound, Published};

/// All documents of a half that was read.
pub(super) fn published(object: &Object<'_>, inbound: &Inbound) -> Published {
    let mut published = Published::default();
    if let Some(assertion) = &inbound.assertion
        && let Some(path) = &assertion.jwks_path
    {
        // It is the first.
        let _ = published.add_keys(path, &assertion.public_jwks());
    }
    for resource in &inbound.resources {
        let path = resource.metadata_path();
        let page = Page {
            path: path.clone(),
            host: Some(resource.host.clone()),
            kind: Kind::Metadata,
            body: resource.metadata(inbound),
            clean: None,
        };
        if let Err(Taken) = published.add(page) {
            object.refuse_member::<()>("protected_resources", RuleProblem::PathPublished(path));
        }
    }
    published
}
