//! Manifests as the API server takes them: lists unfolded, and each member of the type that Istio's schema gives it.
//!
//! What Kubernetes would not take is an error and not read as nothing: a policy that is no policy would let everybody in.

use serde_json::{Map, Value};

use super::{ConvertError, Findings};

/// The resources of a file: what stands in lists stands beside the rest.
pub(super) fn unfolded(documents: &[Value]) -> Result<Vec<Value>, ConvertError> {
    let mut all = Vec::new();
    for document in documents {
        let kind = text_of(document, "kind");
        let Some(kind) = kind.strip_suffix("List") else {
            all.push(document.clone());
            continue;
        };
        match document.get("items") {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                let items: Vec<Value> = items.iter().map(|item| with_kind(item, kind)).collect();
                all.extend(unfolded(&items)?);
            }
            Some(_) => return Err(malformed(&format!("{kind}List.items"), "is no list")),
        }
    }
    Ok(all)
}

/// The items of a list of one kind need not say what they are.
fn with_kind(item: &Value, kind: &str) -> Value {
    let mut item = item.clone();
    if let Some(members) = item.as_object_mut()
        && !kind.is_empty()
    {
        members.entry("kind").or_insert_with(|| Value::from(kind));
    }
    item
}

/// Whether this is one of the two kinds, and Istio's.
pub(super) fn is_istio(resource: &Value) -> bool {
    let version = text_of(resource, "apiVersion");
    let is_kind = matches!(
        text_of(resource, "kind"),
        "RequestAuthentication" | "AuthorizationPolicy"
    );
    is_kind && (version.is_empty() || version.starts_with("security.istio.io"))
}

/// Tells of what is not read.
///
/// # Errors
/// It may be a policy, for it does not say what it is.
pub(super) fn tell_of_others(resources: &[Value], findings: &mut Findings) -> Result<(), ConvertError> {
    let others = resources
        .iter()
        .filter(|resource| !is_istio(resource) && !resource.is_null());
    for other in others {
        let (version, kind) = (text_of(other, "apiVersion"), text_of(other, "kind"));
        match (kind, version) {
            ("", _) => return Err(malformed("kind", "is missing in a document")),
            (kind, "") => findings.note(kind, NOT_READ),
            (kind, version) => findings.note(format!("{version}/{kind}"), NOT_READ),
        }
    }
    Ok(())
}

/// Whether Istio tries this policy only, and does nothing by it (strconv.ParseBool in Istio's `isDryRun`).
pub(super) fn is_dry_run(resource: &Value) -> bool {
    let annotations = resource
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"));
    let value = annotations
        .and_then(|annotations| annotations.get("istio.io/dry-run"))
        .and_then(Value::as_str);
    matches!(value, Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// Whether the API server and Istio would take it.
///
/// # Errors
/// Something is of another type, or unknown.
pub(super) fn check(resource: &Value, path: &str) -> Result<(), ConvertError> {
    if let Some(metadata) = resource.get("metadata").filter(|value| !value.is_null()) {
        let path = format!("{path}.metadata");
        let metadata = object(metadata, &path)?;
        if let Some(annotations) = metadata.get("annotations").filter(|value| !value.is_null()) {
            let path = format!("{path}.annotations");
            for (name, value) in object(annotations, &path)? {
                if !value.is_string() {
                    return Err(malformed(&format!("{path}.{name}"), "is no text"));
                }
            }
        }
    }
    let Some(spec) = resource.get("spec").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let path = format!("{path}.spec");
    let spec = object(spec, &path)?;
    match text_of(resource, "kind") {
        "RequestAuthentication" => check_tokens(spec, &path),
        _ => check_rules(spec, &path),
    }
}

fn check_tokens(spec: &Map<String, Value>, path: &str) -> Result<(), ConvertError> {
    known(spec, &[WORKLOAD, &["jwtRules"]].concat(), path)?;
    for (rule, path) in objects(spec, "jwtRules", path)? {
        for name in ["audiences", "fromParams", "fromCookies"] {
            texts(rule, name, &path)?;
        }
        for name in ["fromHeaders", "outputClaimToHeaders"] {
            objects(rule, name, &path)?;
        }
        let is_camel = |name: &&String| name.contains('_');
        if let Some(name) = rule.keys().find(is_camel) {
            return Err(malformed(&format!("{path}.{name}"), UNKNOWN));
        }
    }
    Ok(())
}

fn check_rules(spec: &Map<String, Value>, path: &str) -> Result<(), ConvertError> {
    known(spec, &[WORKLOAD, &["action", "provider", "rules"]].concat(), path)?;
    match spec.get("action") {
        None | Some(Value::Null) => {}
        Some(Value::String(action)) if ACTIONS.contains(&action.as_str()) => {}
        Some(_) => return Err(malformed(&format!("{path}.action"), "is no action")),
    }
    for (rule, path) in objects(spec, "rules", path)? {
        known(rule, &["from", "to", "when"], &path)?;
        for (list, inner, members) in [("from", "source", SOURCE), ("to", "operation", OPERATION)] {
            for (entry, path) in objects(rule, list, &path)? {
                known(entry, &[inner], &path)?;
                let path = format!("{path}.{inner}");
                let inner = entry.get(inner).unwrap_or(&Value::Null);
                let inner = object(inner, &path)?;
                known(inner, members, &path)?;
                for name in members {
                    texts(inner, name, &path)?;
                }
            }
        }
        for (when, path) in objects(rule, "when", &path)? {
            known(when, &["key", "values", "notValues"], &path)?;
            texts(when, "values", &path)?;
            texts(when, "notValues", &path)?;
        }
    }
    Ok(())
}

fn text_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn object<'v>(value: &'v Value, path: &str) -> Result<&'v Map<String, Value>, ConvertError> {
    value.as_object().ok_or_else(|| malformed(path, "is no object"))
}

fn known(members: &Map<String, Value>, names: &[&str], path: &str) -> Result<(), ConvertError> {
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(malformed(&format!("{path}.{name}"), UNKNOWN)),
        None => Ok(()),
    }
}

fn list<'v>(members: &'v Map<String, Value>, name: &str, path: &str) -> Result<&'v [Value], ConvertError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(entries)) => Ok(entries),
        Some(_) => Err(malformed(&format!("{path}.{name}"), "is no list")),
    }
}

fn objects<'v>(
    members: &'v Map<String, Value>,
    name: &str,
    path: &str,
) -> Result<Vec<Entry<'v>>, ConvertError> {
    let mut objects = Vec::new();
    for (index, value) in list(members, name, path)?.iter().enumerate() {
        let path = format!("{path}.{name}[{index}]");
        objects.push((object(value, &path)?, path));
    }
    Ok(objects)
}

fn texts(members: &Map<String, Value>, name: &str, path: &str) -> Result<(), ConvertError> {
    let entries = list(members, name, path)?;
    // Istio takes no empty text either.
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    match entries.iter().position(|value| !is_text(value)) {
        Some(index) => Err(malformed(&format!("{path}.{name}[{index}]"), "is no text")),
        None => Ok(()),
    }
}

fn malformed(path: &str, what: &'static str) -> ConvertError {
    ConvertError::Malformed {
        path: crate::visible::visible(path),
        what,
    }
}

/// An object of a list, and where it stands.
type Entry<'v> = (&'v Map<String, Value>, String);

const NOT_READ: &str = "resources of this kind are not read, and say nothing here";
const UNKNOWN: &str = "is no member that Istio knows";

/// What says which workload (istio.io/latest/docs/reference/config/security).
const WORKLOAD: &[&str] = &["selector", "targetRef", "targetRefs"];
/// AuthorizationPolicy.Action; empty is the default.
const ACTIONS: [&str; 5] = ["", "ALLOW", "DENY", "AUDIT", "CUSTOM"];
/// The members of Source.
const SOURCE: &[&str] = &[
    "principals",
    "notPrincipals",
    "requestPrincipals",
    "notRequestPrincipals",
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
];
/// The members of Operation.
const OPERATION: &[&str] = &[
    "hosts",
    "notHosts",
    "ports",
    "notPorts",
    "methods",
    "notMethods",
    "paths",
    "notPaths",
];
