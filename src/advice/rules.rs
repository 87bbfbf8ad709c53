//! The inbound rules as a whole: what they are for, and what every caller meets.

use crate::advice::Findings;
use crate::advice::conditions::Viewed;
use crate::advice::entry::entries;
use crate::advice::order::{self, Rules};
use crate::advice::pattern::Pattern;
use crate::advice::samples::{Hosts, Sample};
use crate::advice::shadow;
use crate::advice::words::Advice;
use crate::config::Document;
use crate::config::path::Path;
use crate::policy::rule::{Action, Protocol};
use crate::policy::{Enforcement, Policy};
use crate::role::{Role, RoleSetting};

/// Whether the role ever asks the inbound half.
pub(super) fn looks_inbound(policy: &Policy) -> bool {
    !matches!(policy.role, RoleSetting::Fixed(Role::Outbound | Role::Upstream))
}

/// Looks at `inbound.rules`, and at which half is used at all.
pub(super) fn advise(policy: &Policy, document: &Document, findings: &mut Findings<'_>) {
    unused_half(policy, findings);
    let Some(inbound) = policy.inbound.as_ref().filter(|_| looks_inbound(policy)) else {
        return;
    };
    let nodes = entries(document.member("inbound"), "rules");
    let viewed: Vec<Viewed<'_>> = inbound
        .rules
        .iter()
        .zip(nodes)
        .map(|(rule, node)| Viewed {
            rule,
            patterns: Pattern::all(&rule.condition, node),
        })
        .collect();
    let rules = Rules {
        inbound,
        hosts: Hosts::of(&viewed),
        viewed,
        nodes,
        is_gateway: policy.role == RoleSetting::Fixed(Role::Gateway),
    };
    let list = Path::root().member("inbound").member("rules");
    if policy.enforcement == Enforcement::Enforce {
        shadow::advise(&rules, findings);
    }
    let lets_in = |viewed: &Viewed<'_>| viewed.is_enforced() && !matches!(viewed.rule.action, Action::Deny);
    if !rules.viewed.iter().any(lets_in) {
        findings.add(&list, Advice::LetsNobodyIn);
        return;
    }
    order::advise(&rules, findings);
    optional_everywhere(&rules, findings);
    repeated_default(&rules, findings);
    card(&rules, findings);
}

fn unused_half(policy: &Policy, findings: &mut Findings<'_>) {
    let role = match policy.role {
        RoleSetting::Fixed(Role::Inbound) => "inbound",
        RoleSetting::Fixed(Role::Outbound) => "outbound",
        RoleSetting::Fixed(Role::Upstream) => "upstream",
        RoleSetting::Fixed(Role::Gateway) | RoleSetting::Auto => return,
    };
    // The rules alone: an inbound half also names the headers that are taken off calls.
    let has_inbound = policy.inbound.as_ref().is_some_and(|half| !half.rules.is_empty());
    let has_outbound = policy
        .outbound
        .as_ref()
        .is_some_and(|half| !half.rules.is_empty());
    let half = match looks_inbound(policy) {
        true if has_outbound => "outbound",
        false if has_inbound => "inbound",
        _ => return,
    };
    let rules = Path::root().member(half).member("rules");
    findings.add(&rules, Advice::NeverLookedAt { role });
}

/// `none` beside others, wherever a caller goes. Alone it is warned about.
fn optional_everywhere(rules: &Rules<'_>, findings: &mut Findings<'_>) {
    let list = Path::root().member("inbound").member("rules");
    for (index, viewed) in rules.viewed.iter().enumerate() {
        let is_optional = matches!(&viewed.rule.action, Action::Authenticate(accept, _) if accept.none);
        if is_optional && viewed.is_enforced() && viewed.rule.condition.is_any_path() {
            findings.add(&list.index(index).member("accept"), Advice::OptionalEverywhere);
        }
    }
}

/// A refusal at the end of the list. With a name it has a label in metrics of its own, and with a protocol a form.
fn repeated_default(rules: &Rules<'_>, findings: &mut Findings<'_>) {
    let Some((index, last)) = rules.viewed.iter().enumerate().next_back() else {
        return;
    };
    let node = rules.nodes.get(index);
    let has_name = node.is_some_and(|node| node.member("name").is_some());
    let is_plain = !has_name && last.rule.protocol == Protocol::Auto;
    let is_denial = matches!(last.rule.action, Action::Deny) && last.is_enforced();
    if is_denial && is_plain && rules.taken_by(index).is_none() {
        let list = Path::root().member("inbound").member("rules");
        findings.add(&list.index(index), Advice::RepeatsDefault);
    }
}

/// Whether callers can find out what the agent is and wants, at the path of A2A. The path of versions before 0.3
/// (`/.well-known/agent.json`) is an agent's own choice.
fn card(rules: &Rules<'_>, findings: &mut Findings<'_>) {
    if rules.inbound.published.find(CARD.as_bytes(), b"").is_some() {
        return;
    }
    let serves_agents = rules.viewed.iter().any(|viewed| {
        let speaks = match viewed.rule.protocol {
            Protocol::Auto | Protocol::JsonRpc | Protocol::A2aRest | Protocol::Grpc => true,
            Protocol::Mcp | Protocol::Http => false,
        };
        speaks && viewed.is_enforced() && matches!(viewed.rule.action, Action::Authenticate(..))
    });
    // A server of several agents has a card below each one's path.
    let has_another = rules.viewed.iter().any(|viewed| {
        let is_card = |pattern: &Pattern| pattern.text.ends_with(CARD) && pattern.text != CARD;
        viewed.is_enforced() && viewed.admits_strangers() && viewed.patterns.iter().any(is_card)
    });
    if !serves_agents || has_another {
        return;
    }
    let decisions: Vec<Option<usize>> = rules
        .hosts
        .all()
        .map(|host| {
            let card = Sample {
                method: "GET".into(),
                host: host.into(),
                path: CARD.into(),
                headers: Vec::new(),
            };
            card.decided_by(&rules.viewed)
        })
        .collect();
    let decides = |index: usize| rules.viewed.get(index);
    let is_settled = decisions
        .iter()
        .flatten()
        .filter_map(|index| decides(*index))
        .any(|viewed| {
            let is_named = viewed.patterns.iter().any(|pattern| pattern.text == CARD);
            viewed.admits_strangers() || (is_named && matches!(viewed.rule.action, Action::Deny))
        });
    if is_settled {
        return;
    }
    let list = Path::root().member("inbound").member("rules");
    let path = decisions
        .into_iter()
        .flatten()
        .min()
        .map_or(list.clone(), |index| list.index(index));
    findings.add(&path, Advice::CardNotPublic);
}

/// A2A 0.3 §5.3.
const CARD: &str = "/.well-known/agent-card.json";
