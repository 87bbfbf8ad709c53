//! Audiences that every workload shares.
//!
//! Nothing in a policy says for how many workloads it is. Three things do so all the same: `fallback: true`, which is for
//! the default of a mesh, `on_missing_secret: deny_rule`, which is for workloads of which each has some of the secrets, and
//! a text that takes up the name of the workload or of its namespace. Where one of them is there, an audience without any name in it is the same for all: whoever is sent a token can send it on to the others
//! (a confused deputy). The same audience at two providers is not looked at, for one service often has two.

use crate::advice::Findings;
use crate::advice::entry::{as_text, entries, members, text};
use crate::advice::rules::looks_inbound;
use crate::advice::words::Advice;
use crate::config::Document;
use crate::config::path::Path;
use crate::policy::rule::{Action, Rule};
use crate::policy::{Enforcement, Policy};
use crate::role::{Role, RoleSetting};

/// Looks at `audiences` of each provider.
pub(super) fn advise(policy: &Policy, document: &Document, findings: &mut Findings<'_>) {
    let Some(inbound) = policy.inbound.as_ref().filter(|_| looks_inbound(policy)) else {
        return;
    };
    // A gateway is one place, whose audience is its own.
    let is_gateway = policy.role == RoleSetting::Fixed(Role::Gateway);
    let section = document.member("inbound");
    let rules = entries(section, "rules");
    let serves_several = policy.is_fallback
        || text(Some(document), "on_missing_secret") == Some("deny_rule")
        || texts(section, rules).any(names_place);
    if is_gateway || !serves_several {
        return;
    }
    let providers = Path::root().member("inbound").member("providers");
    for (name, provider) in members(section, "providers") {
        let audiences = entries(Some(provider), "audiences");
        let is_literal = !audiences.is_empty() && !audiences.iter().filter_map(as_text).any(holds_name);
        let is_narrowed = |(rule, node): (&Rule, &Document)| !accepts(rule, name) || narrows(node);
        if is_literal && !inbound.rules.iter().zip(rules).all(is_narrowed) {
            findings.add(
                &providers.member(name).member("audiences"),
                Advice::AudienceShared,
            );
        }
    }
}

/// The members marked TEXT, but for what is looked at itself.
fn texts<'d>(section: Option<&'d Document>, rules: &'d [Document]) -> impl Iterator<Item = &'d str> {
    let realm = text(section.and_then(|section| section.member("errors")), "realm");
    let of_providers = members(section, "providers").flat_map(|(_, provider)| {
        let audiences = entries(Some(provider), "audiences").iter().filter_map(as_text);
        text(Some(provider), "issuer").into_iter().chain(audiences)
    });
    realm
        .into_iter()
        .chain(of_providers)
        .chain(rules.iter().flat_map(required_audiences))
}

fn required_audiences(rule: &Document) -> impl Iterator<Item = &str> {
    entries(rule.member("require"), "audiences")
        .iter()
        .filter_map(as_text)
}

/// Whether a rule lets callers with this provider's tokens in.
fn accepts(rule: &Rule, provider: &str) -> bool {
    let is_accepted = matches!(&rule.action, Action::Authenticate(accept, _) if accept.jwt.accepts(provider));
    is_accepted && rule.enforcement == Enforcement::Enforce
}

/// Whether a rule asks for an audience that is the workload's own. One of several is enough for a token.
fn narrows(rule: &Document) -> bool {
    let mut audiences = required_audiences(rule).peekable();
    audiences.peek().is_some() && audiences.all(holds_name)
}

/// Whether a TEXT holds a name, of whatever.
fn holds_name(text: &str) -> bool {
    names(text).next().is_some()
}

/// Whether a TEXT holds the name of the place where the filter runs.
fn names_place(text: &str) -> bool {
    names(text).any(|name| matches!(name, "WORKLOAD" | "NAMESPACE"))
}

/// The names in a TEXT that was read without an error: `$$` is a `$`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('$')?;
            match after.strip_prefix('{').and_then(|named| named.split_once('}')) {
                Some((name, after)) => {
                    rest = after;
                    return Some(name);
                }
                None => rest = after.strip_prefix('$').unwrap_or(after),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_text() {
        let all = |text| names(text).collect::<Vec<_>>();
        assert_eq!(all("${A}.b.${C}"), ["A", "C"]);
        assert_eq!(all("$$${A}"), ["A"]);
        for without in ["", "a", "$A", "$${A}", "a$"] {
            assert_eq!(all(without), Vec::<&str>::new(), "{without}");
        }
    }
}
