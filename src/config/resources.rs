//! Protected resources: `inbound.protected_resources`.

use crate::authority::Authority;
use crate::callout::{Url, UrlError};
use crate::config::problem::{RuleProblem, ShapeProblem};
use crate::config::reader::{Node, Object, all};
use crate::config::text::text;
use crate::matcher::PathPrefix;
use crate::policy::resource::Resource;

/// Reads `protected_resources`.
pub(super) fn resources(inbound: &Object<'_>) -> Option<Vec<Resource>> {
    let Some(node) = inbound.optional("protected_resources") else {
        return Some(Vec::new());
    };
    let mut resources = Vec::new();
    for node in node.list(Some)? {
        let resource = resource(&node, &resources);
        resources.push(resource);
    }
    if resources.len() > MAX_RESOURCES {
        return node.refuse(ShapeProblem::TooMany(MAX_RESOURCES));
    }
    all(resources.into_iter())
}

fn resource(node: &Node<'_>, others: &[Option<Resource>]) -> Option<Resource> {
    let resource = node.object(&["resource", "name"])?;
    let name = resource.or("name", None, |node| text(&node).map(Some));
    let node = resource.required("resource")?;
    let resource = match located(text(&node)?) {
        Ok(resource) => resource,
        Err(problem) => return node.refuse(problem),
    };
    let is_same = |other: &Option<Resource>| {
        let other = other.as_ref();
        other.is_some_and(|other| other.host == resource.host && other.path == resource.path)
    };
    match others.iter().position(is_same) {
        Some(first) => node.refuse(RuleProblem::ResourceTwice(first)),
        None => Some(Resource {
            name: name?,
            ..resource
        }),
    }
}

/// A resource without its name (RFC 9728 §1.2): a URL without a fragment, here without a query too.
fn located(identifier: String) -> Result<Resource, RuleProblem> {
    let url = Url::parse(&identifier).map_err(RuleProblem::ResourceUrl)?;
    if identifier.contains('?') {
        return Err(RuleProblem::ResourceQuery);
    }
    let authority = Authority::parse(url.authority().as_bytes());
    let authority = authority.map_err(|error| RuleProblem::ResourceUrl(UrlError::Authority(error)))?;
    let host = authority.host().to_owned();
    let start = identifier.find("://").map_or(0, |colon| colon + "://".len());
    let rest = identifier.get(start..).unwrap_or_default();
    let end = start + rest.find('/').unwrap_or(rest.len());
    let (origin, path) = identifier.split_at_checked(end).unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    Ok(Resource {
        origin: origin.to_owned(),
        host,
        path: PathPrefix::parse(path).map_err(RuleProblem::Path)?,
        name: None,
        identifier,
    })
}

/// Ours: each is a document in memory, and a path that every request is held against.
const MAX_RESOURCES: usize = 100;
