//! Who can call at all: peers and their credentials, against what the rules accept and ask for.

use std::collections::BTreeMap;

use crate::advice::Findings;
use crate::advice::entry::{as_text, entries, members};
use crate::advice::rules::looks_inbound;
use crate::advice::words::{Advice, Credential};
use crate::config::Document;
use crate::config::path::Path;
use crate::policy::inbound::Provider;
use crate::policy::rule::{Accept, AcceptedTokens, Action, Require, Rule};
use crate::policy::{Inbound, Policy};

/// Looks at providers, at peers, and at what each rule asks of them.
pub(super) fn advise(policy: &Policy, document: &Document, findings: &mut Findings<'_>) {
    let Some(inbound) = policy.inbound.as_ref().filter(|_| looks_inbound(policy)) else {
        return;
    };
    let section = document.member("inbound");
    let peers = peers(inbound, section);
    for peer in &peers {
        credentials(peer, findings);
    }
    let rules: Vec<(&Accept, &Require)> = inbound.rules.iter().filter_map(authentication).collect();
    if !rules.is_empty() {
        unused(&rules, document, &peers, findings);
    }
    // By the document: a seed may be missing here and be there elsewhere (`on_missing_secret`).
    let has_shared_seeds = !entries(
        section.and_then(|section| section.member("totp")),
        "insecure_shared_seeds",
    )
    .is_empty();
    let list = Path::root().member("inbound").member("rules");
    let nodes = entries(section, "rules");
    for (index, (rule, node)) in inbound.rules.iter().zip(nodes).enumerate() {
        if let Some((accept, require)) = authentication(rule) {
            // A gateway may have checked the code.
            let is_asserted =
                |provider: &Provider| provider.is_assertion && accept.jwt.accepts(&provider.name);
            let asked = Asked {
                accept,
                require,
                peers: &peers,
                may_lack_seeds: has_shared_seeds || inbound.providers.iter().any(is_asserted),
            };
            requirements(&asked, node, &list.index(index).member("require"), findings);
        }
    }
}

/// What a rule asks of callers, be it in shadow.
fn authentication(rule: &Rule) -> Option<(&Accept, &Require)> {
    match &rule.action {
        Action::Authenticate(accept, require) => Some((accept, require)),
        Action::Deny | Action::Public => None,
    }
}

/// A peer, and how it can come.
struct Caller<'d> {
    name: &'d str,
    /// Providers of which it has tokens.
    tokens: Vec<&'d str>,
    /// Introspections that know its tokens.
    opaque: Vec<&'d str>,
    has_api_keys: bool,
    has_bearer_tokens: bool,
    has_principals: bool,
    has_seeds: bool,
    scopes: Vec<&'d str>,
}

impl Caller<'_> {
    /// Whether it has something besides tokens, of which they say their scopes themselves.
    fn has_more_than_tokens(&self) -> bool {
        self.has_api_keys || self.has_bearer_tokens || self.has_principals
    }

    /// Whether a rule accepts something that the peer can come with.
    fn can_meet(&self, accept: &Accept) -> bool {
        // By all of its fields, so that a new one cannot be forgotten here.
        let Accept {
            jwt,
            introspections,
            api_key,
            bearer_token,
            mtls,
            none: _,
        } = accept;
        self.tokens.iter().any(|provider| jwt.accepts(provider))
            || self
                .opaque
                .iter()
                .any(|name| introspections.iter().any(|own| own == name))
            || (*api_key && self.has_api_keys)
            || (*bearer_token && self.has_bearer_tokens)
            || (*mtls && self.has_principals)
    }
}

fn peers<'d>(inbound: &'d Inbound, section: Option<&'d Document>) -> Vec<Caller<'d>> {
    // With exactly one provider a peer has its tokens without a word, so that the compiled policy is asked.
    let mut tokens: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for provider in &inbound.providers {
        for peer in provider.peers.values() {
            tokens.entry(&peer.name).or_default().push(&provider.name);
        }
    }
    let mut opaque: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for introspection in &inbound.introspections {
        for peer in introspection.peers.values() {
            opaque.entry(&peer.name).or_default().push(&introspection.name);
        }
    }
    let caller = |(name, peer): (&'d str, &'d Document)| {
        let has = |member| !entries(Some(peer), member).is_empty();
        Caller {
            name,
            tokens: tokens.get(name).cloned().unwrap_or_default(),
            opaque: opaque.get(name).cloned().unwrap_or_default(),
            has_api_keys: has("api_keys"),
            has_bearer_tokens: has("bearer_tokens"),
            has_principals: has("principals"),
            has_seeds: has("totp_seeds"),
            scopes: entries(Some(peer), "scopes").iter().filter_map(as_text).collect(),
        }
    };
    members(section, "peers").map(caller).collect()
}

/// What a peer has.
fn credentials(peer: &Caller<'_>, findings: &mut Findings<'_>) {
    let peers = Path::root().member("inbound").member("peers");
    let path = peers.member(peer.name);
    let has_tokens = !peer.tokens.is_empty() || !peer.opaque.is_empty();
    if !has_tokens && !peer.has_more_than_tokens() {
        findings.add(&path, Advice::PeerWithoutCredential);
    } else if !peer.scopes.is_empty() && !peer.has_more_than_tokens() {
        findings.add(&path.member("scopes"), Advice::ScopesUncounted);
    }
}

/// What is there and no rule makes use of. Said once of each kind: at the first peer.
fn unused(
    rules: &[(&Accept, &Require)],
    document: &Document,
    peers: &[Caller<'_>],
    findings: &mut Findings<'_>,
) {
    let inbound = Path::root().member("inbound");
    let outbound_rules = entries(document.member("outbound"), "rules");
    // A rule for calls can verify a token too.
    let is_used_by_calls = outbound_rules.iter().any(|rule| rule.member("token").is_some());
    for (name, _) in members(document.member("inbound"), "providers") {
        let is_accepted = rules.iter().any(|(accept, _)| accept.jwt.accepts(name));
        if !is_accepted && !is_used_by_calls {
            let path = inbound.member("providers").member(name);
            findings.add(&path, Advice::NotAccepted(Credential::Jwt));
        }
    }
    for (name, _) in members(document.member("inbound"), "introspection") {
        let is_accepted = |accept: &Accept| accept.introspections.iter().any(|own| own == name);
        if !rules.iter().any(|(accept, _)| is_accepted(accept)) {
            let path = inbound.member("introspection").member(name);
            findings.add(&path, Advice::NotAccepted(Credential::Opaque));
        }
    }
    let list = inbound.member("peers");
    let mut first = |member: &'static str, has: fn(&Caller<'_>) -> bool, advice: Advice| {
        if let Some(peer) = peers.iter().find(|peer| has(peer)) {
            findings.add(&list.member(peer.name).member(member), advice);
        }
    };
    if !rules.iter().any(|(accept, _)| accept.api_key) {
        let advice = Advice::NotAccepted(Credential::ApiKey);
        first("api_keys", |peer| peer.has_api_keys, advice);
    }
    if !rules.iter().any(|(accept, _)| accept.bearer_token) {
        let advice = Advice::NotAccepted(Credential::BearerToken);
        first("bearer_tokens", |peer| peer.has_bearer_tokens, advice);
    }
    if !rules.iter().any(|(accept, _)| accept.mtls) {
        let advice = Advice::NotAccepted(Credential::Certificate);
        first("principals", |peer| peer.has_principals, advice);
    }
    if !rules.iter().any(|(_, require)| require.totp.is_some()) {
        first("totp_seeds", |peer| peer.has_seeds, Advice::SeedUnused);
    }
}

/// What one rule asks, and of whom.
struct Asked<'a, 'd> {
    accept: &'a Accept,
    require: &'a Require,
    peers: &'a [Caller<'d>],
    may_lack_seeds: bool,
}

fn requirements(asked: &Asked<'_, '_>, node: &Document, path: &Path<'_>, findings: &mut Findings<'_>) {
    let Asked { accept, require, .. } = asked;
    let find = |name: &str| asked.peers.iter().find(|peer| peer.name == name);
    let needs_own_seed = require.totp.is_some() && !asked.may_lack_seeds;
    let is_named =
        |peer: &&Caller<'_>| require.peers.is_empty() || require.peers.iter().any(|name| name == peer.name);
    let accepted = || {
        asked
            .peers
            .iter()
            .filter(is_named)
            .filter(|peer| peer.can_meet(accept))
    };
    let has_caller = require.peers.is_empty() || accepted().next().is_some();
    let is_code_of_nobody = needs_own_seed && has_caller && !accepted().any(|peer| peer.has_seeds);
    if is_code_of_nobody {
        findings.add(&path.member("totp"), Advice::CodeOfNobody);
    }
    for (index, name) in entries(node.member("require"), "peers").iter().enumerate() {
        let Some(peer) = as_text(name).and_then(find) else {
            continue;
        };
        let path = path.member("peers").index(index);
        let name = peer.name.to_owned();
        if !peer.can_meet(accept) {
            findings.add(&path, Advice::PeerNotAccepted { peer: name });
        } else if needs_own_seed && !peer.has_seeds && !is_code_of_nobody {
            findings.add(&path, Advice::PeerWithoutSeed { peer: name });
        }
    }
    // A token says its scopes itself: only where none can come it is known who has which.
    let may_be_token = accept.jwt != AcceptedTokens::None || !accept.introspections.is_empty();
    let has_scopes = |peer: &Caller<'_>| {
        require
            .scopes
            .iter()
            .all(|scope| peer.scopes.contains(&scope.as_str()))
    };
    if !may_be_token && has_caller && !accepted().any(has_scopes) {
        findings.add(&path.member("scopes"), Advice::ScopesOfNobody);
    }
}
