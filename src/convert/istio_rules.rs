//! AuthorizationPolicy, as far as rules can say it: who lets in is left out where it cannot be said, and who keeps out
//! keeps out more.

use serde_json::Value;

use super::draft::{Accept, Action, Match, Provider, Rule};
use super::istio_operation::{narrower, wider};
use super::jwt_authn::REST;
use super::members::Members;
use super::{Findings, Options};
use crate::matcher::{HeaderMatch, HeaderTest};

/// The rules of all policies. Without any, a token may be missing, but must be good.
pub(super) fn rules(
    policies: &[(Value, String)],
    providers: &[Provider],
    options: Options,
    findings: &mut Findings,
) -> Vec<Rule> {
    let mut all = Rules {
        denied: Vec::new(),
        required: Vec::new(),
        allowed: None,
    };
    for (spec, path) in policies {
        let Some(spec) = Members::new(spec, path.as_str()) else {
            continue;
        };
        match spec.text("action").unwrap_or("ALLOW") {
            "ALLOW" => {
                let allowed = all.allowed.get_or_insert_default();
                for rule in spec.objects("rules") {
                    allow(&rule, providers, allowed, findings);
                }
            }
            "DENY" => {
                for rule in spec.objects("rules") {
                    deny(&rule, &mut all, options, findings);
                }
            }
            "AUDIT" => findings.note(spec.path(), "decides nothing, and is left out"),
            other => {
                findings.lost(
                    spec.path(),
                    format!("`{other}` asks another server: what it is asked of is refused. Take these rules away if it stays"),
                );
                for rule in spec.objects("rules") {
                    let operations = rule.objects("to");
                    all.denied.extend(wider(&operations, options, findings));
                }
            }
        }
    }
    all.ordered(findings)
}

struct Rules {
    denied: Vec<Match>,
    /// Where a token must be: and the paths where it need not.
    required: Vec<(Match, Vec<String>)>,
    allowed: Option<Vec<(Match, Accept)>>,
}

impl Rules {
    fn ordered(self, findings: &mut Findings) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        rules.extend(
            self.denied
                .into_iter()
                .map(|condition| Rule::new(condition, Action::Deny)),
        );
        if let Some(mut allowed) = self.allowed {
            // Whom one lets in, none keeps out: what asks for less stands in front.
            allowed.sort_by_key(|(_, accept)| {
                (
                    !accept.is_optional,
                    !accept.providers.is_empty(),
                    accept.claims.len() + accept.audiences.len(),
                )
            });
            for (condition, accept) in allowed {
                if self.required.is_empty() || !accept.is_optional {
                    rules.push(Rule::new(condition, Action::Accept(accept)));
                    continue;
                }
                let (exempt, rest) = parted(condition, &self.required);
                if let Some(condition) = exempt {
                    rules.push(Rule::new(condition, Action::Accept(accept.clone())));
                }
                let Some(condition) = rest else { continue };
                tell(&self.required, &condition, findings);
                let accept = Accept {
                    is_optional: false,
                    ..accept
                };
                rules.push(Rule::new(condition, Action::Accept(accept)));
            }
            return rules;
        }
        rules.extend(where_required(self.required, findings));
        rules
    }
}

/// Tells of what asks for a token now, unless it did before.
fn tell(required: &[(Match, Vec<String>)], condition: &Match, findings: &mut Findings) {
    // No other path that is exempt is among these.
    let is_whole_paths = condition.prefixes.is_empty() && condition.templates.is_empty();
    let is_same = required.iter().any(|(required, exempt)| {
        let are_others = is_whole_paths
            && !condition.paths.is_empty()
            && !condition.paths.iter().any(|path| exempt.contains(path));
        required.is_everything() && (exempt.is_empty() || are_others)
    });
    if !is_same {
        findings.lost(
            "AuthorizationPolicy",
            "a DENY and an ALLOW say together where a token must be: it must be wherever both may hold",
        );
    }
}

/// The whole paths where no DENY asks for a token, and the rest of what an ALLOW takes.
fn parted(condition: Match, required: &[(Match, Vec<String>)]) -> (Option<Match>, Option<Match>) {
    let is_exempt = |path: &String| required.iter().all(|(_, exempt)| exempt.contains(path));
    let (exempt, others): (Vec<String>, Vec<String>) = condition.paths.iter().cloned().partition(is_exempt);
    if exempt.is_empty() {
        return (None, Some(condition));
    }
    let has_others = !others.is_empty() || !condition.prefixes.is_empty() || !condition.templates.is_empty();
    let alone = Match {
        paths: exempt,
        prefixes: Vec::new(),
        templates: Vec::new(),
        ..condition.clone()
    };
    let rest = Match {
        paths: others,
        ..condition
    };
    (Some(alone), has_others.then_some(rest))
}

fn optional() -> Action {
    Action::Accept(Accept {
        is_optional: true,
        ..Accept::default()
    })
}

/// Where a token must be, and where it may be missing.
fn where_required(required: Vec<(Match, Vec<String>)>, findings: &mut Findings) -> Vec<Rule> {
    let mut rules = Vec::new();
    let has_several = required.len() > 1;
    let mut is_everything_taken = false;
    for (_, paths) in required.iter().filter(|(_, paths)| !paths.is_empty()) {
        match has_several {
            true => findings.lost(
                "AuthorizationPolicy",
                "several rules with `notPaths`: a token must be there on these paths too",
            ),
            false => rules.push(Rule::new(
                Match {
                    paths: paths.clone(),
                    ..Match::default()
                },
                optional(),
            )),
        }
    }
    for (condition, _) in required {
        is_everything_taken |= condition.is_everything();
        rules.push(Rule::new(condition, Action::Accept(Accept::default())));
    }
    if !is_everything_taken {
        rules.push(Rule {
            name: Some(REST),
            comments: vec!["DECIDE: a token may be missing, as RequestAuthentication has it.".to_owned()],
            ..Rule::new(Match::default(), optional())
        });
    }
    rules
}

/// Who is let in. What cannot be said lets nobody in.
fn allow(
    rule: &Members<'_>,
    providers: &[Provider],
    allowed: &mut Vec<(Match, Accept)>,
    findings: &mut Findings,
) {
    let Some(asked) = asked(rule, providers, findings) else {
        return;
    };
    let operations = rule.objects("to");
    let mut conditions = Vec::new();
    if operations.is_empty() {
        conditions.push(Match::default());
    }
    for operation in operations.iter().filter_map(|to| to.object("operation")) {
        conditions.extend(narrower(&operation, findings));
    }
    for mut condition in conditions {
        condition.headers.extend(asked.headers.iter().cloned());
        allowed.push((condition, asked.accept.clone()));
    }
}

/// What `from` and `when` ask for.
struct Asked {
    accept: Accept,
    headers: Vec<(String, String)>,
}

fn asked(rule: &Members<'_>, providers: &[Provider], findings: &mut Findings) -> Option<Asked> {
    let mut asked = Asked {
        accept: Accept {
            is_optional: true,
            ..Accept::default()
        },
        headers: Vec::new(),
    };
    sources(rule, providers, &mut asked.accept, findings)?;
    for when in rule.objects("when") {
        let key = when.text("key").unwrap_or_default().to_owned();
        let values = when.texts("values");
        let is_plain =
            !values.is_empty() && when.rest().is_empty() && values.iter().all(|value| !value.contains('*'));
        let claim = key
            .strip_prefix("request.auth.claims[")
            .and_then(|rest| rest.strip_suffix(']'));
        let header = key
            .strip_prefix("request.headers[")
            .and_then(|rest| rest.strip_suffix(']'));
        let is_known = match (claim, header, values.as_slice()) {
            _ if !is_plain => {
                findings.lost(
                    when.path(),
                    "only whole values can be said here: whom this rule lets in is refused",
                );
                return None;
            }
            (Some(claim), _, _) => {
                let names: Vec<String> = claim
                    .split("][")
                    .map(|name| name.replace('\\', "\\\\").replace('.', "\\."))
                    .collect();
                claims(&mut asked.accept, names.join("."), values, &when, findings)?;
                true
            }
            (None, Some(header), [value]) => asked.header(header, value),
            // A second one is asked for besides, which a list cannot say.
            _ if key == "request.auth.audiences" && asked.accept.audiences.is_empty() => {
                asked.accept.audiences = values;
                asked.accept.is_optional = false;
                true
            }
            _ if key == "request.auth.presenter" => {
                claims(&mut asked.accept, "azp".to_owned(), values, &when, findings)?;
                true
            }
            _ => false,
        };
        if !is_known {
            findings.lost(
                when.path(),
                format!(
                    "`{key}` cannot be asked for here, or not once more: whom this rule lets in is refused"
                ),
            );
            return None;
        }
    }
    Some(asked)
}

impl Asked {
    /// Whether the header can be asked for: a rule names each once.
    fn header(&mut self, name: &str, value: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_good = HeaderMatch::parse(&name, HeaderTest::Exact(value.to_owned())).is_ok();
        let is_new = self.headers.iter().all(|(other, _)| *other != name);
        if is_good && is_new {
            self.headers.push((name, value.to_owned()));
        }
        is_good && is_new
    }
}

/// A claim must hold one of these texts. Istio takes no number and no boolean for a text; a rule does, and so it takes
/// none that reads as one.
fn claims(
    accept: &mut Accept,
    name: String,
    values: Vec<String>,
    when: &Members<'_>,
    findings: &mut Findings,
) -> Option<()> {
    let is_text =
        |value: &String| !matches!(serde_json::from_str(value), Ok(Value::Number(_) | Value::Bool(_)));
    let (texts, others): (Vec<String>, Vec<String>) = values.into_iter().partition(is_text);
    for other in others {
        findings.lost(
            when.path(),
            format!(
                "a claim that is the number or the boolean `{other}` is taken for that text here, and was not before: \
                 whom this value lets in is refused. Add it to the rule's `require.claims` if that is meant"
            ),
        );
    }
    if texts.is_empty() {
        return None;
    }
    accept.claims.push((name, texts));
    accept.is_optional = false;
    Some(())
}

/// Reads `from`.
fn sources(
    rule: &Members<'_>,
    providers: &[Provider],
    accept: &mut Accept,
    findings: &mut Findings,
) -> Option<()> {
    let sources = rule.objects("from");
    if !sources.is_empty() {
        let mut principals: Vec<String> = Vec::new();
        for source in sources.iter().filter_map(|from| from.object("source")) {
            let own = source.texts("request_principals");
            if own.is_empty() || !source.rest().is_empty() {
                findings.lost(
                    source.path(),
                    "only `requestPrincipals` can be said here: whom this lets in is refused. Workloads are `accept: [mtls]`",
                );
                continue;
            }
            principals.extend(own);
        }
        principal(&principals, rule.path(), providers, accept, findings)?;
    }
    Some(())
}

/// `*`, `ISSUER/*`, `ISSUER/SUBJECT`.
fn principal(
    principals: &[String],
    path: &str,
    providers: &[Provider],
    accept: &mut Accept,
    findings: &mut Findings,
) -> Option<()> {
    accept.is_optional = false;
    if principals.iter().any(|principal| principal == "*") {
        return Some(());
    }
    let mut whole: Vec<String> = Vec::new();
    let mut subjects: Vec<(String, Vec<String>)> = Vec::new();
    for principal in principals {
        let mut all = providers.iter();
        let found = all.find_map(|provider| {
            let subject = principal
                .strip_prefix(provider.issuer.as_str())?
                .strip_prefix('/')?;
            Some((provider.name.clone(), subject.to_owned()))
        });
        match found {
            Some((name, subject)) if subject == "*" => whole.push(name),
            Some((name, subject)) if !subject.contains('*') => {
                match subjects.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, subjects)) => subjects.push(subject),
                    None => subjects.push((name, vec![subject])),
                }
            }
            _ => findings.lost(
                path,
                format!("`{principal}` is no issuer and subject that can be said here: it is refused"),
            ),
        }
    }
    match (whole.is_empty(), subjects.first()) {
        (false, first) => {
            accept.providers = whole;
            if first.is_some() {
                findings.lost(path, "whole issuers and single subjects: the latter are refused, unless their issuer is among the former");
            }
            Some(())
        }
        (true, Some((name, values))) => {
            accept.providers = vec![name.clone()];
            accept.claims.push(("sub".to_owned(), values.clone()));
            if subjects.len() > 1 {
                findings.lost(
                    path,
                    format!("subjects of several issuers: only those of `{name}` are let in"),
                );
            }
            Some(())
        }
        (true, None) => None,
    }
}

/// Who is kept out.
fn deny(rule: &Members<'_>, all: &mut Rules, options: Options, findings: &mut Findings) {
    let operations = rule.objects("to");
    let sources = rule.objects("from");
    let strangers = |from: &Members<'_>| {
        let source = from.object("source");
        source
            .is_some_and(|source| source.texts("not_request_principals") == ["*"] && source.rest().is_empty())
    };
    let asks_for_token = !sources.is_empty() && sources.iter().all(strangers) && rule.get("when").is_none();
    if asks_for_token {
        let inner: Vec<Members<'_>> = operations
            .iter()
            .filter_map(|to| to.object("operation"))
            .collect();
        if let [operation] = inner.as_slice() {
            let exempt = operation.texts("not_paths");
            let only_exempt = operation.rest().is_empty()
                && operation.get("paths").is_none()
                && operation.get("methods").is_none()
                && operation.get("hosts").is_none();
            if !exempt.is_empty() && only_exempt && exempt.iter().all(|path| !path.contains(['*', '{'])) {
                all.required.push((Match::default(), exempt));
                return;
            }
        }
        let conditions = wider(&operations, options, findings);
        all.required
            .extend(conditions.into_iter().map(|condition| (condition, Vec::new())));
        return;
    }
    if !sources.is_empty() || rule.get("when").is_some() {
        findings.lost(rule.path(), "who is kept out cannot be said here: everybody is");
    }
    all.denied.extend(wider(&operations, options, findings));
}
