//! What clients of MCP are told of where tokens come from, against what the rules do with tokens.

use crate::advice::Findings;
use crate::advice::rules::looks_inbound;
use crate::advice::words::Advice;
use crate::callout::Url;
use crate::config::path::Path;
use crate::policy::inbound::Provider;
use crate::policy::published::Kind;
use crate::policy::resource::Resource;
use crate::policy::rule::{Accept, Action, Protocol, Rule};
use crate::policy::{Enforcement, Inbound, Policy};

/// Looks at `inbound.protected_resources`, and at the rules for MCP.
pub(super) fn advise(policy: &Policy, findings: &mut Findings<'_>) {
    let Some(inbound) = policy.inbound.as_ref().filter(|_| looks_inbound(policy)) else {
        return;
    };
    let root = Path::root();
    let half = root.member("inbound");
    let list = half.member("rules");
    let lies_in = |resource: &Resource, rule: &Rule| {
        let mut rules = resource.rules(&inbound.rules).into_iter();
        rules.any(|other| std::ptr::eq(other, rule))
    };
    for (index, rule) in inbound.rules.iter().enumerate() {
        let place = list.index(index);
        let taken = rule.condition.paths.iter().position(|path| {
            let page = inbound.published.find(path.as_bytes(), b"");
            // A policy of several agents may have the card of one alone.
            page.is_some_and(|page| page.kind != Kind::Card || rule.condition.hosts.is_empty())
        });
        if let Some(path) = taken {
            let paths = place.member("match");
            findings.add(&paths.member("paths").index(path), Advice::ServedItself);
        }
        let Action::Authenticate(accept, _) = &rule.action else {
            continue;
        };
        if rule.protocol != Protocol::Mcp || rule.enforcement != Enforcement::Enforce {
            continue;
        }
        let resources = &inbound.resources;
        if has_server(inbound, accept) && !resources.iter().any(|resource| lies_in(resource, rule)) {
            findings.add(&place.member("protocol"), Advice::McpWithoutResource);
        }
        let is_kept = |provider: &&Provider| provider.forwards_token && accept.jwt.accepts(&provider.name);
        let mut providers = inbound.providers.iter().filter(|_| rule.bars_token());
        if let Some(provider) = providers.find(is_kept) {
            let provider = provider.name.clone();
            findings.add(&place.member("protocol"), Advice::TokenBarred { provider });
        }
    }
    let has_any = |resource: &Resource| {
        let mut rules = resource.rules(&inbound.rules).into_iter();
        rules.any(
            |rule| matches!(&rule.action, Action::Authenticate(accept, _) if has_server(inbound, accept)),
        )
    };
    let list = half.member("protected_resources");
    for (index, resource) in inbound.resources.iter().enumerate() {
        if !has_any(resource) {
            findings.add(
                &list.index(index).member("resource"),
                Advice::ResourceWithoutServer,
            );
        }
    }
}

/// Whether a client could get a token that these credentials are, from a server with a URL.
fn has_server(inbound: &Inbound, accept: &Accept) -> bool {
    let providers = inbound.providers.iter();
    let mut accepted =
        providers.filter(|provider| !provider.is_assertion && accept.jwt.accepts(&provider.name));
    let mut asked = inbound
        .introspections
        .iter()
        .filter(|asked| accept.introspections.contains(&asked.name))
        .filter_map(|asked| asked.issuer.as_deref());
    let is_url = |issuer: &str| Url::parse(issuer).is_ok();
    accepted.any(|provider| is_url(&provider.issuer)) || asked.any(is_url)
}
