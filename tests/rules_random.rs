//! Many rules decide as few do: policies by chance that are large enough for an index, and the same rules in policies so
//! small that each rule is tried.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use std::collections::HashSet;

use fastrand::Rng;
use peergate_filter::config::{self, Document, Environment};
use peergate_filter::decision::{self, Deny, Means, Outcome, Record};
use peergate_filter::explain;
use peergate_filter::findings::{Finding, Kind, Verdict};
use peergate_filter::http::{Headers, Request};
use peergate_filter::policy::Policy;
use peergate_filter::role::Role;
use peergate_filter::time::UnixTime;
use serde_json::{Map, Value, json};

#[test]
fn inbound_rules_decide_as_one_by_one() {
    let mut random = Rng::with_seed(0x5eed);
    let mut seen = Seen::default();
    for _ in 0..POLICIES {
        let count = random.usize(20..60);
        let rules: Vec<Value> = (0..count).map(|rule| inbound_rule(rule, &mut random)).collect();
        let ambiguous = if random.bool() { "raw" } else { "reject" };
        let load = |rules: &[Value]| {
            let rules = [rules, &[marks()]].concat();
            load(&json!({"version": 1, "inbound": {
                "ambiguous_paths": ambiguous, "rules": rules, "providers": {"kc": provider()},
            }}))
        };
        let whole = load(&rules);
        let parts: Vec<Policy> = rules.chunks(FEW).map(load).collect();
        for _ in 0..REQUESTS {
            let request = request(&mut random);
            seen.compare(&whole, &parts, Role::Inbound, &request);
        }
    }
    seen.check();
}

#[test]
fn outbound_rules_decide_as_one_by_one() {
    let mut random = Rng::with_seed(0xca11);
    let mut seen = Seen::default();
    for _ in 0..POLICIES {
        let count = random.usize(20..60);
        let rules: Vec<Value> = (0..count).map(|rule| outbound_rule(rule, &mut random)).collect();
        let load = |rules: &[Value]| load(&json!({"version": 1, "outbound": {"rules": rules}}));
        let whole = load(&rules);
        let parts: Vec<Policy> = rules.chunks(FEW).map(load).collect();
        for _ in 0..REQUESTS {
            let call = Request {
                cluster: Some(one_of(&["a", "b", "c"], &mut random).into()),
                ..request(&mut random)
            };
            seen.compare(&whole, &parts, Role::Outbound, &call);
        }
    }
    seen.check();
}

/// What the comparisons have come by.
#[derive(Default)]
struct Seen {
    rules: HashSet<String>,
    reasons: HashSet<&'static str>,
    compared: usize,
}

impl Seen {
    fn compare(&mut self, whole: &Policy, parts: &[Policy], role: Role, request: &Request) {
        let decided = decision::decide(Means::of(whole), role, request, NOW).records;
        assert_eq!(decided, one_by_one(parts, role, request), "{request:?} {whole:?}");
        self.compared += 1;
        if self.compared.is_multiple_of(EXPLAINED) {
            assert_explained(whole, role, request, &decided);
        }
        for record in decided {
            self.rules.extend(record.rule.map(str::to_owned));
            self.reasons.insert(record.outcome.reason());
        }
    }

    /// The requests have met many rules, and none, and were refused for their paths.
    fn check(&self) {
        assert!(self.rules.len() > 40, "{:?}", self.rules);
        assert!(self.reasons.contains("ok"), "{:?}", self.reasons);
        assert!(self.reasons.contains("path_ambiguous"), "{:?}", self.reasons);
        let none = ["no_rule", "no_match"];
        assert!(
            none.iter().any(|reason| self.reasons.contains(reason)),
            "{:?}",
            self.reasons
        );
    }
}

/// What is told of the rules is what was decided: one that does not match has a condition that is not met, one that matches
/// has none.
fn assert_explained(policy: &Policy, role: Role, request: &Request, decided: &[Record<'_>]) {
    let cluster = request.cluster.as_deref();
    let explained = explain::explain(Means::of(policy), role, request, cluster, NOW);
    assert_eq!(explained.records, decided, "{request:?} {policy:?}");
    assert_eq!(explained.disagreement(), None, "{request:?} {policy:?}");
    let told = explained
        .findings
        .inbound
        .iter()
        .chain(&explained.findings.outbound);
    let rules = told.filter(|rule| matches!(rule.kind, Kind::Rule | Kind::ShadowRule));
    // A header that comes twice is none that is known, and a path with two readings is refused by who asks for it.
    let is_told_apart = |rule: &&Finding| {
        let is_repeated = |finding: &Finding| finding.reason == Some("header_repeated");
        rule.result != Verdict::Bad && !rule.findings.iter().any(is_repeated)
    };
    for rule in rules.filter(is_told_apart) {
        let conditions = rule
            .findings
            .iter()
            .filter(|finding| finding.kind == Kind::Condition);
        let is_met = conditions
            .clone()
            .all(|condition| condition.result == Verdict::Good);
        assert_eq!(
            is_met,
            rule.result == Verdict::Good,
            "{rule:#?} {request:?} {policy:?}"
        );
    }
}

/// The records of the first part with a rule that decides, behind those of rules in shadow.
fn one_by_one<'p>(parts: &'p [Policy], role: Role, request: &Request) -> Vec<Record<'p>> {
    let mut records = Vec::new();
    for part in parts {
        records.extend(decision::decide(Means::of(part), role, request, NOW).records);
        let goes_on = records
            .last()
            .is_some_and(|record| matches!(record.outcome, Outcome::NoMatch | Outcome::Denied(Deny::NoRule)));
        if !goes_on {
            return records;
        }
        records.pop();
    }
    let last = parts.last().unwrap();
    records.extend(
        decision::decide(Means::of(last), role, request, NOW)
            .records
            .pop(),
    );
    records
}

fn load(policy: &Value) -> Policy {
    let document = Document::from_json(policy.to_string().as_bytes()).unwrap();
    match config::load(&document, &Environment::default()) {
        Ok(loaded) => loaded.policy,
        Err(errors) => panic!("{policy}\n{errors}"),
    }
}

fn provider() -> Value {
    json!({
        "issuer": "https://issuer.example",
        "audiences": ["agents"],
        "jwks": {"inline": {"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        ]}},
    })
}

/// A rule that no request meets, with the marks of all others: they count in a whole policy.
fn marks() -> Value {
    json!({"name": "marks", "match": {"hosts": ["never.invalid"], "paths": ["/:@%20"]}, "deny": true})
}

fn inbound_rule(number: usize, random: &mut Rng) -> Value {
    let mut conditions = Map::new();
    if random.u8(..3) > 0 {
        for (member, endings) in [
            ("paths", ["", "", "/"].as_slice()),
            ("path_prefixes", &["", "/"]),
            ("path_templates", &["", "/*", "/**", "/{x}:y", "/*/b"]),
        ] {
            if random.u8(..3) == 0 {
                let count = random.usize(1..4);
                let patterns: HashSet<String> = (0..count)
                    .map(|_| format!("{}{}", path(random), one_of(endings, random)))
                    .collect();
                conditions.insert(member.into(), json!(patterns));
            }
        }
    }
    if random.u8(..12) == 0 {
        conditions.insert("path_prefixes".into(), json!(["/"]));
    }
    if random.u8(..3) > 0 {
        conditions.insert("hosts".into(), json!(hosts(true, random)));
    }
    if random.u8(..2) > 0 {
        conditions.insert("methods".into(), json!([one_of(&["GET", "POST"], random)]));
    }
    if random.u8(..4) == 0 {
        let value = one_of(&["1", "2"], random);
        conditions.insert("headers".into(), json!({one_of(&["x-a", "X-B"], random): value}));
    }
    let mut rule = match random.u8(..4) {
        0 => json!({"deny": true}),
        1 => json!({"accept": ["none"]}),
        2 => json!({"accept": ["jwt", "none"]}),
        _ => json!({"accept": ["jwt"]}),
    };
    rule["name"] = json!(format!("rule-{number}"));
    rule["match"] = Value::Object(conditions);
    if random.u8(..3) == 0 {
        rule["enforcement"] = json!("shadow");
    }
    rule
}

fn outbound_rule(number: usize, random: &mut Rng) -> Value {
    let mut conditions = Map::new();
    if random.u8(..8) > 0 {
        conditions.insert("hosts".into(), json!(hosts(false, random)));
    }
    if random.u8(..2) > 0 {
        let prefixes: HashSet<String> = (0..random.usize(1..3))
            .map(|_| format!("{}{}", path(random), one_of(&["", "/"], random)))
            .collect();
        conditions.insert("path_prefixes".into(), json!(prefixes));
    }
    if random.u8(..12) == 0 {
        conditions.insert("path_prefixes".into(), json!(["/"]));
    }
    if random.u8(..4) > 0 {
        conditions.insert("clusters".into(), json!([one_of(&["a", "b", "c"], random)]));
    }
    if random.u8(..4) > 0 {
        conditions.insert("ports".into(), json!([80 + 363 * random.u16(..2)]));
    }
    json!({"name": format!("rule-{number}"), "match": conditions})
}

/// Now and then so many that with several paths they do not go into the index.
fn hosts(has_domains: bool, random: &mut Rng) -> HashSet<String> {
    if random.u8(..10) == 0 {
        return (0..70)
            .map(|number| format!("h{number}.example"))
            .chain(["a.example".into()])
            .collect();
    }
    let exact = [
        "a.example",
        "b.A.example",
        "example",
        "[::FFFF:1.2.3.4]",
        "10.0.0.1",
    ];
    let domains = ["*.example", "*.a.example", "*.3.4"];
    (0..random.usize(1..3))
        .map(|_| {
            let is_domain = has_domains && random.u8(..3) == 0;
            one_of(if is_domain { &domains } else { &exact }, random).to_owned()
        })
        .collect()
}

/// A path that a rule may have.
fn path(random: &mut Rng) -> String {
    let segments = ["a", "a", "b", "A", "ab", "a:y", "%20"];
    (0..random.usize(1..4))
        .map(|_| format!("/{}", one_of(&segments, random)))
        .collect()
}

fn request(random: &mut Rng) -> Request {
    let mut target = match random.u8(..12) {
        0 => one_of(
            &["", "*", "a", "a/b", "//", "/", "/?/a", "http://a.example/a", "/?"],
            random,
        )
        .to_owned(),
        _ => path(random),
    };
    for _ in 0..random.usize(..3) {
        let ending = [
            "/", "/x", "/x:y", "/x/b", "//a", "/../a", ";x", "%2Fa", "%3Ay", "?a=/b", "#b", "%61", "/{x}:y",
            "/*",
        ];
        target.push_str(one_of(&ending, random));
    }
    let hosts = [
        "a.example",
        "A.example:443",
        "b.a.example",
        "c.b.a.example:80",
        "example",
        "EXAMPLE",
        "other",
        "h3.example",
        "[::ffff:102:304]",
        "[::ffff:1.2.3.4]:80",
        "10.0.0.1",
        "a.example.",
        "",
    ];
    let mut headers = vec![
        (":method", one_of(&["GET", "POST", "PUT"], random)),
        (":authority", one_of(&hosts, random)),
        (":path", &target),
    ];
    for name in ["x-a", "x-b"] {
        for _ in 0..random.usize(..3) {
            headers.push((name, one_of(&["1", "2", "3"], random)));
        }
    }
    let bytes = headers
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Request {
        headers: Headers::new(bytes),
        ..Request::default()
    }
}

fn one_of<'a>(values: &[&'a str], random: &mut Rng) -> &'a str {
    random.choice(values).unwrap()
}

const NOW: UnixTime = UnixTime::from_nanoseconds(1_234_567_890_000_000_000);
/// So few rules, and one more, have no index.
const FEW: usize = 14;
/// What is told of one takes a hundred times as long as a decision.
const EXPLAINED: usize = 50;
const POLICIES: usize = 150;
const REQUESTS: usize = 400;
