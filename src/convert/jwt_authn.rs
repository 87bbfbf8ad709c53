//! Envoy's `jwt_authn`: a whole filter.

use serde_json::Value;

use super::draft::{Action, Draft, Match, Provider, Rule};
use super::matching::{Leak, matched};
use super::members::Members;
use super::provider::{Names, provider};
use super::requirement::{Around, is_absent, requirement};
use super::{Converted, Findings, Options};

/// Converts a filter. Of the documents around it, what routes say of it is looked at.
pub(super) fn convert(filter: &Members<'_>, documents: &[Value], options: Options) -> Converted {
    let mut findings = Findings::default();
    let mut draft = Draft {
        passes_preflights: filter.flag("bypass_cors_preflight"),
        is_terse: filter.flag("strip_failure_response"),
        ..Draft::default()
    };
    let names = providers(filter, &mut draft, &mut findings);
    let around = Around {
        names: &names,
        named: filter.named("requirement_map"),
        audiences: draft
            .providers
            .iter()
            .map(|provider| (provider.name.clone(), provider.audiences.clone()))
            .collect(),
    };
    let _ = filter.get("stat_prefix");
    let mut rules = routes(documents, &mut findings);
    for members in filter.objects("rules") {
        rules.push(rule(&members, &around, &mut findings));
    }
    let is_state_asked = !is_absent(filter.get("filter_state_rules"));
    if is_state_asked {
        findings.lost(
            filter.path_of("filter_state_rules"),
            "nobody sets that state here: what no rule matches is refused",
        );
    }
    let has_tokens = !draft.providers.is_empty();
    let takes_all = |rule: &(Rule, Option<Leak>)| rule.0.condition.is_everything();
    if !is_state_asked && !rules.iter().any(takes_all) {
        rules.push((rest(), None));
    }
    draft.rules = closed(rules, options, filter, &mut findings);
    let is_open = |rule: &Rule| rule.name == Some(REST) && !rule.is_withheld;
    if draft.rules.last().is_some_and(is_open) {
        findings.note(
            filter.path_of("rules"),
            "what no rule matches passes, as before: the last rule says so. Without it, it is refused",
        );
    }
    without_providers(&mut draft, has_tokens);
    findings.rest(filter, "has no counterpart here");
    let mut head = vec![
        "Made of `jwt_authn` by `peergate convert`. The differences that always hold stand in docs/migration.md.".to_owned(),
    ];
    head.extend(
        findings
            .0
            .iter()
            .filter(|finding| finding.is_lost)
            .map(ToString::to_string),
    );
    Converted {
        policy: draft.written(&head),
        findings: findings.0,
    }
}

/// Without a provider no rule can ask for a token: it refuses.
pub(super) fn without_providers(draft: &mut Draft, has_tokens: bool) {
    if has_tokens {
        return;
    }
    for rule in &mut draft.rules {
        if matches!(rule.action, Action::Accept(_)) {
            rule.action = Action::Deny;
        }
    }
}

fn providers(filter: &Members<'_>, draft: &mut Draft, findings: &mut Findings) -> Names {
    let mut names = Names::default();
    for (written, members) in filter.named("providers") {
        let others: &[Provider] = &draft.providers;
        match provider(String::new(), &members, others, findings) {
            Some(read) => {
                let name = names.take(written);
                draft.providers.push(Provider { name, ..read });
            }
            None => names.lose(written),
        }
    }
    names
}

fn rule(members: &Members<'_>, around: &Around<'_>, findings: &mut Findings) -> (Rule, Option<Leak>) {
    let condition = members
        .object("match")
        .map(|condition| matched(&condition, findings));
    let action = match (members.object("requires"), members.text("requirement_name")) {
        (Some(requires), _) => requirement(&requires, around, findings),
        (None, Some(_)) => requirement(members, around, findings),
        (None, None) => Action::Public,
    };
    findings.rest(members, "has no counterpart here");
    let Some(matched) = condition else {
        return (Rule::new(Match::default(), action), None);
    };
    let mut rule = Rule::new(matched.condition, action);
    // What it takes besides was for the rules behind it: whoever asks for nothing is the weakest of them.
    let is_open = match &rule.action {
        Action::Public => true,
        Action::Accept(accept) => accept.is_optional,
        Action::Deny => false,
    };
    if matched.is_loose && is_open {
        findings.lost(
            members.path_of("match"),
            "a template takes `[`, `]` and `|` here, and so does not let in without a token: it refuses",
        );
    }
    if matched.is_wider || (matched.is_loose && is_open) {
        rule.comments.push(format!(
            "{}: takes more than before, and so refuses. It was {}.",
            members.path(),
            rule.written()
        ));
        rule.action = Action::Deny;
    }
    (rule, matched.leak)
}

/// What no rule matches passes in `jwt_authn`.
fn rest() -> Rule {
    Rule {
        name: Some(REST),
        comments: vec![
            "DECIDE: what no rule matches passed before. Without this rule it is refused.".to_owned(),
        ],
        ..Rule::new(Match::default(), Action::Public)
    }
}

/// Closes what would open: a request that a rule does not take any more must not fall to one that asks less.
fn closed(
    rules: Vec<(Rule, Option<Leak>)>,
    options: Options,
    filter: &Members<'_>,
    findings: &mut Findings,
) -> Vec<Rule> {
    let place = filter.path_of("rules");
    let mut leaks: Vec<(Leak, Action)> = Vec::new();
    let mut closed: Vec<Rule> = Vec::with_capacity(rules.len());
    for (mut rule, leak) in rules {
        let own = rule.action.clone();
        let fallen: Vec<&(Leak, Action)> = leaks
            .iter()
            .filter(|(leak, action)| *action != own && leak.reaches(&rule.condition))
            .collect();
        // Several rules may lose paths to this one: it refuses if one of them asks for more, or for something else.
        let is_opening = |(_, action): &&&(Leak, Action)| *action != Action::Public && own != Action::Deny;
        let worst = fallen.iter().find(is_opening).or(fallen.first());
        if let Some((leak, action)) = worst {
            close(&mut rule, leak, action, &place, findings);
        }
        if let Some(leak) = leak {
            match options.whole_segments && !leak.is_of_case {
                true => findings.note(
                    place.as_str(),
                    format!("`{}` is taken as a prefix of whole segments", leak.prefix),
                ),
                false => leaks.push((leak, own)),
            }
        }
        closed.push(rule);
    }
    // The default refuses what nothing takes.
    if let Some(rule) = closed.last_mut()
        && rule.name == Some(REST)
        && rule.action == Action::Deny
    {
        rule.is_withheld = true;
        rule.action = Action::Public;
        // What it was stands there.
        rule.comments.pop();
    }
    closed
}

/// What falls to this rule was for one that asked for something else.
fn close(rule: &mut Rule, leak: &Leak, action: &Action, place: &str, findings: &mut Findings) {
    let (told, written) = (leak.told(), rule.written());
    let prefix = &leak.prefix;
    let flag = match leak.is_of_case {
        true => "",
        false => ". If nothing is served there, say `--whole-segments`",
    };
    match (action, &rule.action) {
        // Who passed is asked for something now.
        (Action::Public, _) | (_, Action::Deny) => findings.lost(
            place,
            format!("{told} was for the rule with `{prefix}`, and is for {written} now{flag}"),
        ),
        (_, Action::Public | Action::Accept(_)) => {
            findings.lost(
                place,
                format!("{told} was for the rule with `{prefix}` and would fall to {written}, which refuses now{flag}"),
            );
            rule.comments.push(format!(
                "DECIDE: {told} would fall to this one, which asks for something else. It was:"
            ));
            rule.comments.push(written);
            rule.action = Action::Deny;
        }
    }
}

/// What routes say of the filter: a requirement of their own, in place of the rules.
fn routes(documents: &[Value], findings: &mut Findings) -> Vec<(Rule, Option<Leak>)> {
    let mut rules = Vec::new();
    for document in documents {
        find_routes(document, "", &mut rules, findings);
    }
    rules
}

fn find_routes(value: &Value, path: &str, rules: &mut Vec<(Rule, Option<Leak>)>, findings: &mut Findings) {
    match value {
        Value::Object(members) => {
            let own = value
                .get("typed_per_filter_config")
                .or_else(|| value.get("typedPerFilterConfig"));
            let own = own.and_then(Value::as_object).into_iter().flatten();
            let is_ours = |(name, config): &(&String, &Value)| name.contains(NAME) || is_route_config(config);
            for (_, config) in own.filter(is_ours) {
                let condition = value
                    .get("match")
                    .and_then(|inner| Members::new(inner, format!("{path}.match")));
                let matched = condition.map(|condition| matched(&condition, &mut Findings::default()));
                let (condition, leak) = matched.map_or((Match::default(), None), |matched| {
                    (matched.condition, matched.leak)
                });
                // What turns the filter off is left away: the rules hold there.
                if is_off(config) {
                    findings.lost(path, "the filter is turned off there; here the rules hold: write a rule with `accept: [none]`");
                    continue;
                }
                findings.lost(path, "has a requirement of its own: a rule in front of all others refuses what goes there. Write the requirement into it");
                let mut rule = Rule::new(condition, Action::Deny);
                rule.comments
                    .push(format!("DECIDE: {path} has a requirement of its own."));
                rules.push((rule, leak));
            }
            for (name, value) in members {
                let separator = if path.is_empty() { "" } else { "." };
                find_routes(value, &format!("{path}{separator}{name}"), rules, findings);
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                find_routes(value, &format!("{path}[{index}]"), rules, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether it is of this filter, as it is or in a wrapper: `FilterConfig.config`, or a `TypedStruct`.
fn is_route_config(config: &Value) -> bool {
    let is_kind = |name: &str| {
        let kind = config.get(name).and_then(Value::as_str);
        kind.is_some_and(|kind| kind.ends_with("envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"))
    };
    let is_one = ["@type", "type_url", "typeUrl"].into_iter().any(is_kind);
    is_one || inner(config).into_iter().any(is_route_config)
}

/// Whether it turns the filter off, itself or its wrapper.
fn is_off(config: &Value) -> bool {
    let is_off_here = config.get("disabled").and_then(Value::as_bool) == Some(true);
    is_off_here || inner(config).into_iter().any(is_off)
}

/// What a wrapper holds.
fn inner(config: &Value) -> Option<&Value> {
    config.get("config").or_else(|| config.get("value"))
}

/// Routes call the filter by its name, which holds this by custom.
const NAME: &str = "jwt_authn";

/// The rule for what no other one takes.
pub(super) const REST: &str = "rest";
