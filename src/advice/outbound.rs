//! The outbound half: rules that can never match, and what no rule makes use of.

use crate::advice::Findings;
use crate::advice::conditions::takes_all_calls;
use crate::advice::entry::{entries, members, text};
use crate::advice::words::Advice;
use crate::config::Document;
use crate::config::path::Path;
use crate::policy::Policy;
use crate::policy::outbound::{OnNoMatch, Outbound, Rule};
use crate::policy::token::TokenPlan;
use crate::role::{Role, RoleSetting};

/// Looks at `outbound`.
pub(super) fn advise(policy: &Policy, document: &Document, findings: &mut Findings<'_>) {
    let is_looked_at = policy.role != RoleSetting::Fixed(Role::Inbound);
    let Some(outbound) = policy.outbound.as_ref().filter(|_| is_looked_at) else {
        return;
    };
    order(&outbound.rules, findings);
    let section = document.member("outbound");
    tokens(document, findings);
    taken_along(outbound, findings);
    // By the document: a key may be missing here and be there elsewhere (`on_missing_secret`).
    let sends_key = |(_, node): &(&Rule, &Document)| members(Some(node), "query_params").next().is_some();
    let nodes = entries(section, "rules");
    let keyed: Vec<&Rule> = outbound
        .rules
        .iter()
        .zip(nodes)
        .filter(sends_key)
        .map(|(rule, _)| rule)
        .collect();
    unused_hosts(outbound, &keyed, findings);
    let switch = "insecure_allow_query_param_auth";
    let is_on = matches!(
        section.and_then(|section| section.member(switch)),
        Some(Document::Flag(true))
    );
    if is_on && keyed.is_empty() {
        findings.add(
            &Path::root().member("outbound").member(switch),
            Advice::QuerySwitchUnused,
        );
    }
}

fn order(rules: &[Rule], findings: &mut Findings<'_>) {
    let list = Path::root().member("outbound").member("rules");
    for (index, rule) in rules.iter().enumerate().take(MAX_RULES) {
        let mut earlier = rules.iter().take(index);
        if let Some(by) = earlier.find(|other| takes_all_calls(&other.condition, &rule.condition)) {
            let by = by.name.clone();
            findings.add(&list.index(index), Advice::NeverMatches { by });
        }
    }
}

/// Whether calls that no rule matches carry away what others exchange.
fn taken_along(outbound: &Outbound, findings: &mut Findings<'_>) {
    if outbound.on_no_match == OnNoMatch::Deny {
        return;
    }
    let plans = outbound.rules.iter().filter_map(|rule| rule.token.as_ref());
    let mut headers: Vec<&str> = plans
        .flat_map(TokenPlan::headers)
        .filter(|header| !outbound.strip_headers.iter().any(|stripped| stripped == header))
        .collect();
    headers.sort_unstable();
    headers.dedup();
    for header in headers {
        let header = header.to_owned();
        let path = Path::root().member("outbound").member("on_no_match");
        findings.add(&path, Advice::TokenTakenAlong { header });
    }
}

/// Clients that nobody uses, and tokens that are for anybody. By the document: a client may be missing here.
fn tokens(document: &Document, findings: &mut Findings<'_>) {
    let path = Path::root().member("outbound");
    let section = document.member("outbound");
    let plans = || {
        let rules = entries(section, "rules").iter().enumerate();
        rules.filter_map(|(index, rule)| Some((index, rule.member("token")?)))
    };
    let asked = members(document.member("inbound"), "introspection").map(|(_, introspection)| introspection);
    let users: Vec<&str> = plans()
        .map(|(_, plan)| plan)
        .chain(asked)
        .filter_map(|user| text(Some(user), "client"))
        .collect();
    for (name, _) in members(section, "oauth_clients").filter(|(name, _)| !users.contains(name)) {
        findings.add(&path.member("oauth_clients").member(name), Advice::ClientUnused);
    }
    for (index, plan) in plans() {
        // The scopes of Entra ID name their resource; and parameters may.
        let parameters = members(section, "oauth_clients")
            .filter(|(name, _)| Some(*name) == text(Some(plan), "client"))
            .flat_map(|(_, client)| members(Some(client), "parameters"));
        if !["audience", "resource", "scope"]
            .iter()
            .any(|member| !entries(Some(plan), member).is_empty())
            && parameters.count() == 0
        {
            findings.add(
                &path.member("rules").index(index).member("token"),
                Advice::TokenForAnybody,
            );
        }
    }
}

/// Hosts that may be sent a key and never are. A rule without hosts, within its cluster, sends it to all of them.
fn unused_hosts(outbound: &Outbound, keyed: &[&Rule], findings: &mut Findings<'_>) {
    if keyed.is_empty() || keyed.iter().any(|rule| rule.condition.hosts.is_empty()) {
        return;
    }
    let outbound_path = Path::root().member("outbound");
    let path = outbound_path.member("insecure_query_param_auth_allowed_hosts");
    for (index, host) in outbound.query_hosts.iter().enumerate() {
        if !keyed.iter().any(|rule| rule.condition.hosts.contains(host)) {
            findings.add(&path.index(index), Advice::QueryHostUnused);
        }
    }
}

/// Ours: rules are compared in pairs. What stands behind so many is not looked at.
const MAX_RULES: usize = 1000;
