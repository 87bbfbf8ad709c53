//! One policy for one hop becomes two for two: keys are put into the query on the second one, where no log sees them.
//!
//! Both have all rules, in their order, so that the first rule that matches is the same one on both hops. The first hop's
//! put on all but keys in the query, the second hop's nothing else. What a rule calls by its cluster has another name on
//! each hop.

use std::collections::BTreeSet;

use super::named::{entries, text, texts};
use crate::config::Document;

/// The two policies.
pub(super) struct Hops {
    /// Of the listener that callers and agents see.
    pub(super) first: Document,
    /// Of the clusters behind the internal listeners.
    pub(super) second: Document,
}

/// The clusters, and for rules that name none the hosts, whose calls are given a key in the query.
pub(super) fn with_key(document: &Document) -> BTreeSet<String> {
    let rules = document.member("outbound").and_then(|half| half.member("rules"));
    let with_key = entries(rules).filter(|rule| has_key(rule));
    with_key.flat_map(|rule| ends(rule)).map(str::to_owned).collect()
}

/// The clusters of a rule, else its hosts.
pub(super) fn ends(rule: &Document) -> Vec<&str> {
    let condition = rule.member("match");
    let list = |member| texts(condition.and_then(|condition| condition.member(member)));
    match list("clusters") {
        clusters if clusters.is_empty() => list("hosts"),
        clusters => clusters,
    }
}

/// The policies of both hops, with the names of the clusters on each.
pub(super) fn split(
    document: &Document,
    first_name: impl Fn(&str) -> String,
    second_name: impl Fn(&str) -> String,
) -> Hops {
    let with_key = with_key(document);
    let first = each_rule(document, |rule| {
        retain(rule, |name| name != "query_params");
        rename(rule, &with_key, &first_name);
    });
    let mut second = each_rule(document, |rule| {
        let is_in_shadow = rule.member("query_params").is_none();
        retain(rule, |name| match is_in_shadow {
            true => matches!(name, "name" | "match"),
            false => matches!(name, "name" | "match" | "query_params" | "insecure_for_anonymous"),
        });
        rename(rule, &with_key, &second_name);
    });
    let mut first = first;
    half(&mut first, |name| !QUERY_MEMBERS.contains(&name));
    half(&mut second, |name| {
        QUERY_MEMBERS.contains(&name) || matches!(name, "on_no_match" | "rules")
    });
    retain(&mut second, |name| SECOND_MEMBERS.contains(&name));
    if let Document::Object(members) = &mut second {
        members.retain(|(name, _)| name != "role");
        members.insert(members.len().min(1), ("role".to_owned(), upstream()));
    }
    Hops { first, second }
}

fn has_key(rule: &Document) -> bool {
    matches!(rule.member("query_params"), Some(Document::Object(names)) if !names.is_empty())
}

fn upstream() -> Document {
    serde_json::from_str("\"upstream\"").unwrap_or(Document::Null)
}

/// The document with each outbound rule changed.
fn each_rule(document: &Document, change: impl Fn(&mut Document)) -> Document {
    let mut document = document.clone();
    let rules = member_mut(&mut document, "outbound").and_then(|half| member_mut(half, "rules"));
    if let Some(Document::List(rules)) = rules {
        rules.iter_mut().for_each(change);
    }
    document
}

fn half(document: &mut Document, keeps: impl Fn(&str) -> bool) {
    if let Some(half) = member_mut(document, "outbound") {
        retain(half, keeps);
    }
}

fn retain(object: &mut Document, keeps: impl Fn(&str) -> bool) {
    if let Document::Object(members) = object {
        members.retain(|(name, _)| keeps(name));
    }
}

fn rename(rule: &mut Document, with_key: &BTreeSet<String>, name: &impl Fn(&str) -> String) {
    let clusters = member_mut(rule, "match").and_then(|condition| member_mut(condition, "clusters"));
    let Some(Document::List(clusters)) = clusters else {
        return;
    };
    for cluster in clusters {
        let renamed = text(cluster).filter(|text| with_key.contains(*text)).map(name);
        if let Some(renamed) = renamed {
            *cluster = Document::Text(crate::secret::Secret::new(renamed));
        }
    }
}

fn member_mut<'d>(object: &'d mut Document, name: &str) -> Option<&'d mut Document> {
    let Document::Object(members) = object else {
        return None;
    };
    let found = members.iter_mut().find(|(other, _)| other == name);
    found.map(|(_, value)| value)
}

/// What is about keys in the query, and nothing else.
const QUERY_MEMBERS: [&str; 2] = [
    "insecure_allow_query_param_auth",
    "insecure_query_param_auth_allowed_hosts",
];
/// What the second hop has of the first one's policy besides its rules.
const SECOND_MEMBERS: [&str; 7] = [
    "version",
    "role",
    "enforcement",
    "insecure_shadow_all",
    "on_missing_secret",
    "sealed_env",
    "outbound",
];
