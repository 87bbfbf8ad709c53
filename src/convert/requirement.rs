//! What a rule of `jwt_authn` requires.

use serde_json::Value;

use super::Findings;
use super::draft::{Accept, Action};
use super::members::Members;
use super::provider::Names;

/// What requirements refer to.
pub(super) struct Around<'a> {
    pub(super) names: &'a Names,
    /// `requirement_map`.
    pub(super) named: Vec<(&'a str, Members<'a>)>,
    /// The audiences of each provider, by its name here.
    pub(super) audiences: Vec<(String, Vec<String>)>,
}

/// Reads a requirement. One that cannot be said is a refusal, and is told.
pub(super) fn requirement(members: &Members<'_>, around: &Around<'_>, findings: &mut Findings) -> Action {
    let action = read(members, around, findings, 0).unwrap_or(Action::Deny);
    if let Action::Accept(accept) = &action
        && accept.is_optional
        && !accept.providers.is_empty()
        && accept.providers.len() < around.audiences.len()
    {
        findings.lost(
            members.path(),
            "a token of another provider counts as missing there; here it is refused, for what is shown must be accepted",
        );
    }
    action
}

fn read(members: &Members<'_>, around: &Around<'_>, findings: &mut Findings, depth: usize) -> Option<Action> {
    if depth > MAX_DEPTH {
        findings.lost(members.path(), "nests too deep: the rule refuses");
        return None;
    }
    if let Some(name) = members.text("provider_name") {
        let name = named(name, members, around, findings)?;
        return Some(accept(vec![name], false));
    }
    if let Some(inner) = members.object("provider_and_audiences") {
        let name = named(
            inner.text("provider_name").unwrap_or_default(),
            &inner,
            around,
            findings,
        )?;
        let audiences = inner.texts("audiences");
        return with_audiences(name, audiences, &inner, around, findings);
    }
    if let Some(name) = members.text("requirement_name") {
        let Some((_, inner)) = around.named.iter().find(|(other, _)| *other == name) else {
            findings.lost(
                members.path(),
                format!("there is no requirement `{name}`: the rule refuses"),
            );
            return None;
        };
        return read(inner, around, findings, depth + 1);
    }
    if let Some(inner) = members.object("requires_any") {
        return any(&inner, around, findings, depth);
    }
    if let Some(inner) = members.object("requires_all") {
        return all(&inner, around, findings, depth);
    }
    if members.get("allow_missing").is_some() {
        return Some(accept(Vec::new(), true));
    }
    if members.get("allow_missing_or_failed").is_some()
        || members.get("extract_only_without_validation").is_some()
    {
        tell_of_failed(members, findings);
        return Some(accept(Vec::new(), true));
    }
    // An empty requirement asks nothing.
    match members.rest().is_empty() {
        true => Some(Action::Public),
        false => {
            findings.rest(members, "has no counterpart here: the rule refuses");
            None
        }
    }
}

fn accept(providers: Vec<String>, is_optional: bool) -> Action {
    Action::Accept(Accept {
        providers,
        is_optional,
        ..Accept::default()
    })
}

fn tell_of_failed(members: &Members<'_>, findings: &mut Findings) {
    findings.lost(
        members.path(),
        "a token that is there must be good here: one that is not is refused, and not passed on",
    );
}

fn named(
    written: &str,
    members: &Members<'_>,
    around: &Around<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let name = around.names.find(written).map(str::to_owned);
    if name.is_none() {
        findings.lost(
            members.path(),
            format!("provider `{written}` is not carried over: who needs a token of it is refused"),
        );
    }
    name
}

/// Audiences of a requirement stand in place of the provider's. Here they are asked for besides.
fn with_audiences(
    name: String,
    audiences: Vec<String>,
    members: &Members<'_>,
    around: &Around<'_>,
    findings: &mut Findings,
) -> Option<Action> {
    let own = around.audiences.iter().find(|(other, _)| *other == name);
    let own = own.map(|(_, own)| own.as_slice()).unwrap_or_default();
    if audiences.is_empty() && !own.is_empty() {
        findings.lost(
            members.path(),
            "a token for anybody is good there; here it must be for one of the provider's audiences",
        );
    }
    if !own.is_empty() && audiences.iter().any(|audience| !own.contains(audience)) {
        findings.lost(
            members.path_of("audiences"),
            "are asked for besides the provider's here: add them to its `audiences`, and `require.audiences` to the rules that must not take them",
        );
    }
    Some(Action::Accept(Accept {
        providers: vec![name],
        audiences,
        ..Accept::default()
    }))
}

/// One of several. What cannot be said of them is left out.
fn any(members: &Members<'_>, around: &Around<'_>, findings: &mut Findings, depth: usize) -> Option<Action> {
    let mut all = Accept::default();
    let mut is_any_provider = false;
    for inner in members.objects("requirements") {
        if inner.get("allow_missing").is_some() {
            all.is_optional = true;
            continue;
        }
        if inner.get("allow_missing_or_failed").is_some() {
            tell_of_failed(&inner, findings);
            all.is_optional = true;
            continue;
        }
        match read(&inner, around, findings, depth + 1) {
            Some(Action::Accept(accept)) => {
                let is_same = all.providers.is_empty() || all.audiences == accept.audiences;
                if !is_same {
                    findings.lost(
                        inner.path(),
                        "has audiences of its own, unlike the others: it is left out",
                    );
                    continue;
                }
                is_any_provider |= accept.providers.is_empty();
                all.is_optional |= accept.is_optional;
                all.audiences = accept.audiences;
                for provider in accept.providers {
                    if !all.providers.contains(&provider) {
                        all.providers.push(provider);
                    }
                }
            }
            Some(Action::Public) => return Some(Action::Public),
            Some(Action::Deny) | None => {}
        }
    }
    if is_any_provider {
        all.providers.clear();
    }
    let is_told = !all.providers.is_empty() || is_any_provider;
    let only_missing = all.is_optional && !is_told && members.objects("requirements").len() == 1;
    (is_told || only_missing).then_some(Action::Accept(all))
}

/// All of several: a request has one token here.
fn all(members: &Members<'_>, around: &Around<'_>, findings: &mut Findings, depth: usize) -> Option<Action> {
    let mut found: Vec<Action> = Vec::new();
    for inner in members.objects("requirements") {
        let may_miss = ["allow_missing", "allow_missing_or_failed"]
            .iter()
            .any(|name| inner.get(name).is_some());
        if may_miss {
            // What else is asked for is asked for all the same.
            continue;
        }
        let action = read(&inner, around, findings, depth + 1)?;
        if action != Action::Public && !found.contains(&action) {
            found.push(action);
        }
    }
    match found.as_slice() {
        [action] => Some(action.clone()),
        [] => Some(accept(Vec::new(), true)),
        _ => {
            findings.lost(
                members.path(),
                "a request has one token here, and cannot have all of these: the rule refuses",
            );
            None
        }
    }
}

/// Whether a value says that everybody may pass.
pub(super) fn is_absent(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.as_object().is_some_and(serde_json::Map::is_empty))
}

/// Ours: nobody nests requirements so.
const MAX_DEPTH: usize = 16;
