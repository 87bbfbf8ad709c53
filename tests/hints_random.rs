//! What a hint claims of requests is true: policies by chance, requests by chance, and the machines that decide them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use peergate_filter::advice::{self, Advice, Hint};
use peergate_filter::config::{self, Document, Environment};
use peergate_filter::decision::{self, Deny, Means, Outcome, Step};
use peergate_filter::http::{Headers, Request};
use peergate_filter::policy::Policy;
use peergate_filter::role::Role;
use peergate_filter::time::UnixTime;
use serde_json::{Map, Value, json};

#[test]
fn a_rule_that_can_never_match_never_does() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut claims = 0;
    for _ in 0..400 {
        let rules: Vec<Value> = (0..5).map(|_| inbound_rule(&mut random)).collect();
        let ambiguous = random.one_of(&["reject", "raw"]);
        let policy = json!({"inbound": {
            "ambiguous_paths": ambiguous, "rules": rules, "providers": {"kc": provider()},
        }});
        let (policy, hints) = load(policy);
        let idle = idle_rules(&hints, "inbound");
        claims += idle.len();
        for _ in 0..if idle.is_empty() { 0 } else { 400 } {
            let request = request(&mut random);
            let decided = decision::decide(Means::of(&policy), Role::Inbound, &request, NOW);
            for rule in decided.records.iter().filter_map(|record| record.rule) {
                assert!(
                    !idle.iter().any(|name| name == rule),
                    "{rule} {request:?} {policy:?}"
                );
            }
        }
    }
    assert!(claims > 300, "only {claims} rules were said to be idle");
}

#[test]
fn an_outbound_rule_that_can_never_match_never_does() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut claims = 0;
    for _ in 0..400 {
        let rules: Vec<Value> = (0..5).map(|_| outbound_rule(&mut random)).collect();
        let (policy, hints) = load(json!({"outbound": {"rules": rules}}));
        let idle = idle_rules(&hints, "outbound");
        claims += idle.len();
        for _ in 0..if idle.is_empty() { 0 } else { 300 } {
            let call = Request {
                cluster: Some(random.one_of(&["a", "b", "c"]).into()),
                ..request(&mut random)
            };
            let decided = decision::decide(Means::of(&policy), Role::Outbound, &call, NOW);
            for rule in decided.records.iter().filter_map(|record| record.rule) {
                assert!(
                    !idle.iter().any(|name| name == rule),
                    "{rule} {call:?} {policy:?}"
                );
            }
        }
    }
    assert!(claims > 300, "only {claims} rules were said to be idle");
}

#[test]
fn a_card_that_is_not_public_is_refused() {
    let mut random = Random(0xd1b5_4a32_d192_ed03);
    let (mut hidden, mut shown) = (0, 0);
    for _ in 0..400 {
        let rules: Vec<Value> = (0..3).map(|_| inbound_rule(&mut random)).collect();
        let (policy, hints) = load(json!({"inbound": {"rules": rules, "providers": {"kc": provider()}}}));
        let is_hidden = hints.iter().any(|hint| *hint.advice() == Advice::CardNotPublic);
        for host in ["a.example", "b.a.example", "other"] {
            let card = described("GET", host, "/.well-known/agent-card.json", &[]);
            let decided = decision::decide(Means::of(&policy), Role::Inbound, &card, NOW);
            let is_let_in = matches!(decided.step, Step::Forward(..));
            assert!(!(is_hidden && is_let_in), "{policy:?}");
            shown += usize::from(is_let_in);
        }
        hidden += usize::from(is_hidden);
    }
    assert!(hidden > 50 && shown > 50, "{hidden} hidden, {shown} shown");
}

/// The request that is named is refused, though a rule in shadow matches it.
#[test]
fn what_a_rule_in_shadow_is_said_to_leave_is_refused() {
    let mut random = Random(0x6a09_e667_f3bc_c909);
    let (mut claims, mut rules_in_shadow, mut missed) = (0, 0, 0);
    for _ in 0..1_000 {
        let rules: Vec<Value> = (0..4)
            .map(|_| {
                let mut rule = inbound_rule(&mut random);
                if random.below(2) == 0 {
                    rule["enforcement"] = json!("shadow");
                }
                rule
            })
            .collect();
        let (policy, hints) = load(json!({"inbound": {"rules": rules, "providers": {"kc": provider()}}}));
        let refused: Vec<(usize, Request)> = hints.iter().filter_map(|hint| left(hint, &rules)).collect();
        for (index, asked) in &refused {
            let decided = decision::decide(Means::of(&policy), Role::Inbound, asked, NOW);
            let (name, last) = (index.to_string(), decided.records.last().unwrap());
            assert!(
                matches!(last.outcome, Outcome::Denied(Deny::NoRule)),
                "{asked:?} {policy:?}"
            );
            assert!(decided.records.iter().any(|record| record.rule == Some(&name)));
        }
        // Of a rule of which nothing is said, no request is refused so.
        for _ in 0..20 {
            let asked = request(&mut random);
            let decided = decision::decide(Means::of(&policy), Role::Inbound, &asked, NOW);
            let is_refused = matches!(
                decided.records.last().unwrap().outcome,
                Outcome::Denied(Deny::NoRule)
            );
            let is_said = |record: &decision::Record<'_>| {
                record.rule.is_none()
                    || refused
                        .iter()
                        .any(|(index, _)| record.rule == Some(&index.to_string()))
            };
            missed += usize::from(is_refused && !decided.records.iter().all(is_said));
        }
        claims += refused.len();
        rules_in_shadow += rules
            .iter()
            .filter(|rule| rule["enforcement"] == "shadow")
            .count();
    }
    assert!(
        claims > 300 && claims < rules_in_shadow,
        "{claims} of {rules_in_shadow}"
    );
    assert!(missed < 100, "{missed} refusals were not foreseen");
}

/// The rule of a hint about shadow, and the request that it names.
fn left(hint: &Hint, rules: &[Value]) -> Option<(usize, Request)> {
    let Advice::ShadowRefused { method, host, path } = hint.advice() else {
        return None;
    };
    let index = hint.path().strip_prefix("inbound.rules[")?.strip_suffix(']')?;
    let index: usize = index.parse().unwrap();
    let headers: Vec<(String, &str)> = rules[index]["match"]["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap()))
        .collect();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let host = host.as_deref().unwrap_or("other");
    Some((index, described(method, host, path, &headers)))
}

/// Of a path with another slash at its end: some request for it gets in by the rule that is named.
#[test]
fn strangers_get_in_where_it_is_said() {
    let mut random = Random(0x94d0_49bb_1331_11eb);
    let mut claims = 0;
    for _ in 0..2_000 {
        let rules: Vec<Value> = (0..4).map(|_| inbound_rule(&mut random)).collect();
        let (policy, hints) = load(json!({"inbound": {"rules": rules, "providers": {"kc": provider()}}}));
        for hint in &hints {
            let Advice::SiblingFallsThrough {
                sibling,
                to,
                weakness,
                ..
            } = hint.advice()
            else {
                continue;
            };
            if *weakness != advice::Weakness::AdmitsStrangers || sibling.contains(['*', '{']) {
                continue;
            }
            claims += 1;
            let is_let_in = |_: usize| {
                let Request { headers, .. } = request(&mut random);
                let others: Vec<(Vec<u8>, Vec<u8>)> = headers
                    .iter()
                    .filter(|(name, _)| *name != b":path")
                    .map(|(name, value)| (name.to_vec(), value.to_vec()))
                    .chain([(b":path".to_vec(), sibling.as_bytes().to_vec())])
                    .collect();
                let asked = Request {
                    headers: Headers::new(others),
                    ..Request::default()
                };
                let decided = decision::decide(Means::of(&policy), Role::Inbound, &asked, NOW);
                let record = &decided.records[decided.records.len() - 1];
                record.rule == Some(to) && record.outcome == Outcome::Allowed
            };
            assert!((0..500).any(is_let_in), "{hint} {policy:?}");
        }
    }
    assert!(claims > 100, "only {claims} claims were made");
}

fn load(mut policy: Value) -> (Policy, Vec<Hint>) {
    policy["version"] = json!(1);
    let document = Document::from_json(policy.to_string().as_bytes()).unwrap();
    let environment = Environment::default();
    let loaded = config::load(&document, &environment).unwrap_or_else(|errors| panic!("{policy}\n{errors}"));
    let hints = advice::hints(&loaded.policy, &document, &environment);
    (loaded.policy, hints)
}

/// The names of the rules that are said never to match: none has another than its index.
fn idle_rules(hints: &[Hint], half: &str) -> Vec<String> {
    let is_idle = |hint: &&Hint| matches!(hint.advice(), Advice::NeverMatches { .. });
    let index = |hint: &Hint| {
        let path = hint.path().strip_prefix(&format!("{half}.rules["))?;
        path.strip_suffix(']').map(str::to_owned)
    };
    hints.iter().filter(is_idle).filter_map(index).collect()
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

fn inbound_rule(random: &mut Random) -> Value {
    let mut conditions = Map::new();
    let mut add = |member: &str, values: &[&str], random: &mut Random| {
        let mut chosen: Vec<&str> = (0..random.below(3)).map(|_| random.one_of(values)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        // Often nothing, for else hardly any rule takes all of another.
        if random.below(3) > 0 {
            conditions.insert(member.into(), json!(chosen));
        }
    };
    add(
        "hosts",
        &["a.example", "b.a.example", "*.example", "*.a.example"],
        random,
    );
    add("methods", &["GET", "POST", "PUT"], random);
    let card = "/.well-known/agent-card.json";
    add("paths", &["/", "/a", "/a/", "/a/b", "/b", card], random);
    add(
        "path_prefixes",
        &["/", "/a", "/a/b", "/b", "/.well-known"],
        random,
    );
    add(
        "path_templates",
        &["/*", "/**", "/a/*", "/a/**", "/*/b", "/a/{x}:y"],
        random,
    );
    if random.below(3) == 0 {
        let value = random.one_of(&["1", "2"]);
        conditions.insert("headers".into(), json!({random.one_of(&["x-a", "X-B"]): value}));
    }
    let mut rule = match random.below(4) {
        0 => json!({"deny": true}),
        1 => json!({"accept": ["none"]}),
        2 => json!({"accept": ["jwt", "none"]}),
        _ => json!({"accept": ["jwt"]}),
    };
    rule["match"] = Value::Object(conditions);
    if random.below(8) == 0 {
        rule["enforcement"] = json!("shadow");
    }
    rule
}

fn outbound_rule(random: &mut Random) -> Value {
    let mut conditions = Map::new();
    let mut add = |member: &str, values: &[Value], random: &mut Random| {
        let first = random.below(values.len());
        let chosen = &values[first..=first + random.below(values.len() - first)];
        if random.below(3) > 0 {
            conditions.insert(member.into(), json!(chosen));
        }
    };
    add(
        "hosts",
        &[json!("a.example"), json!("B.a.example"), json!("example")],
        random,
    );
    add("clusters", &[json!("a"), json!("b"), json!("c")], random);
    add("ports", &[json!(80), json!(443)], random);
    add(
        "path_prefixes",
        &[json!("/a/b"), json!("/a"), json!("/b/"), json!("/")],
        random,
    );
    json!({"match": conditions})
}

fn request(random: &mut Random) -> Request {
    let paths = [
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/",
        "/a/b/c",
        "/a/x",
        "/a/x:y",
        "/a/x:y/",
        "/ab",
        "/b",
        "/b/b",
        "/x",
        "//a",
        "/a/../b",
        "/a;x",
        "*",
        "/a#b",
        "/.well-known/agent-card.json",
        "/.well-known/agent-card.json/",
    ];
    let hosts = [
        "a.example",
        "A.example:443",
        "b.a.example",
        "c.b.a.example",
        "example",
        "other",
    ];
    let mut headers = Vec::new();
    for name in ["x-a", "x-b"] {
        for _ in 0..[0, 1, 1, 2][random.below(4)] {
            headers.push((name, random.one_of(&["1", "2", "3"])));
        }
    }
    let method = random.one_of(&["GET", "POST", "PUT", "DELETE"]);
    described(method, random.one_of(&hosts), random.one_of(&paths), &headers)
}

fn described(method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    let pseudo = [(":method", method), (":authority", host), (":path", path)];
    let pairs = pseudo.iter().chain(headers);
    let bytes = pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Request {
        headers: Headers::new(bytes),
        ..Request::default()
    }
}

const NOW: UnixTime = UnixTime::from_nanoseconds(1_234_567_890_000_000_000);

/// xorshift64*: the same policies in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % limit
    }

    fn one_of<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.below(values.len())]
    }
}
