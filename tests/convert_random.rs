//! `convert` on rules of `jwt_authn` by chance: no path meets a rule that asks for less than the one which had it before.
//!
//! What Envoy would do is done here in a few lines, with another engine for regular expressions. That Envoy does so is
//! the matter of `tests/envoy/test_convert_random.py`, which tries fewer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use fastrand::Rng;
use peergate_filter::convert::{Options, convert};
use peergate_filter::matcher::{PathPrefix, PathTemplate};
use peergate_filter::path::RequestPath;
use regex_lite::Regex;
use serde_json::{Value, json};

/// What expressions are made of. All that reads an expression otherwise than letter by letter must be here.
const PIECES: &[&str] = &[
    "/", "/", "/", "a", "b", "A", ".*", ".+", "?", "*", "+", "{2}", "{0,1}", "(", ")", "(?:", "(?i)", "|",
    "[^/]+", "[^/]*", "[/|]", "[(]", "\\(", "\\|", "\\/", "\\*", "\\-", "^", "$", "a/b", "/a/", "b/", "\\w",
    ".",
];
/// Those that an attacker has opened something with.
const FOUND: &[&str] = &[
    "(/a/.*|/b/.*)",
    ".*/a/.*",
    "^.*/a/.*$",
    ".+/a/.*",
    "(?i)/a/.*",
    "/a/?.*",
    "/a/?b",
    "/a/*b",
    "/ab/?b",
    "/a/\\*",
    "/a/b|/b",
    "/a/(b|c)/.*",
    "/a/b[|]c|/b",
    "/a/[(]|/b/[)]",
    "/a/\\(|/b/\\)",
];
const METHODS: [&str; 2] = ["GET", "POST"];
const ROUNDS: usize = 3000;

/// An expression that the other engine reads.
fn expression(random: &mut Rng) -> String {
    if random.u8(..4) == 0 {
        return FOUND[random.usize(..FOUND.len())].to_owned();
    }
    loop {
        let count = random.usize(1..8);
        let start = if random.bool() { "/" } else { "" };
        let pieces = (0..count).map(|_| PIECES[random.usize(..PIECES.len())]);
        let text = start.to_owned() + &pieces.collect::<String>();
        if whole(&text).is_ok() {
            return text;
        }
    }
}

fn whole(text: &str) -> Result<Regex, regex_lite::Error> {
    // By itself first: what opens no group must not close the one around it.
    Regex::new(text)?;
    Regex::new(&format!("^(?:{text})$"))
}

fn path(random: &mut Rng) -> String {
    let count = random.usize(..7);
    let rest: String = (0..count)
        .map(|_| ["/", "/", "a", "b", "A", "*", "("][random.usize(..7)])
        .collect();
    format!("/{rest}")
}

fn rule(random: &mut Rng) -> Value {
    let mut condition = match random.u8(..5) {
        0 => json!({"path": path(random)}),
        1 => json!({"path_separated_prefix": path(random).trim_end_matches('/')}),
        2 => json!({"prefix": path(random)}),
        _ => json!({"safe_regex": {"regex": expression(random)}}),
    };
    if random.u8(..4) == 0 {
        condition["case_sensitive"] = json!(false);
    }
    let methods: Vec<Value> = (0..random.usize(..9).saturating_sub(6))
        .map(|_| json!({"name": ":method", "string_match": {"exact": METHODS[random.usize(..2)]}}))
        .collect();
    condition["headers"] = json!(methods);
    let optional = json!([{"provider_name": "main"}, {"allow_missing": {}}]);
    match random.u8(..3) {
        0 => json!({"match": condition}),
        1 => json!({"match": condition, "requires": {"provider_name": "main"}}),
        _ => json!({"match": condition, "requires": {"requires_any": {"requirements": optional}}}),
    }
}

/// As Envoy does: an expression knows no `case_sensitive`.
fn had(condition: &Value, method: &str, path: &str) -> bool {
    let methods = condition["headers"].as_array().unwrap();
    if !methods
        .iter()
        .all(|header| header["string_match"]["exact"] == method)
    {
        return false;
    }
    if let Some(text) = condition["safe_regex"]["regex"].as_str() {
        return whole(text).unwrap().is_match(path);
    }
    let fold = |text: &str| match condition["case_sensitive"].is_null() {
        true => text.to_owned(),
        false => text.to_ascii_lowercase(),
    };
    let path = fold(path);
    let text = |name: &str| condition[name].as_str().map(fold);
    if let Some(exact) = text("path") {
        return path == exact;
    }
    if let Some(prefix) = text("prefix") {
        return path.starts_with(&prefix);
    }
    let prefix = text("path_separated_prefix").unwrap();
    let rest = path.strip_prefix(&prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// As the filter does. What it would not read is no policy.
fn has(condition: &Value, method: &str, path: &str) -> Option<bool> {
    let path = RequestPath::raw(path.as_bytes());
    let texts = |name: &str| -> Vec<String> {
        let entries = condition[name].as_array().into_iter().flatten();
        entries.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut is_any = true;
    let mut is_matched = false;
    for exact in texts("paths") {
        is_any = false;
        is_matched |= path.path() == exact.as_bytes();
    }
    for prefix in texts("path_prefixes") {
        is_any = false;
        is_matched |= PathPrefix::parse(&prefix).ok()?.matches(&path);
    }
    for template in texts("path_templates") {
        is_any = false;
        is_matched |= PathTemplate::parse(&template).ok()?.matches(&path);
    }
    let methods = texts("methods");
    let is_method = methods.is_empty() || methods.iter().any(|other| other == method);
    Some((is_any || is_matched) && is_method)
}

/// How much is asked for: nothing, a token that may be missing, a token, what nobody has.
fn strictness(rule: &Value) -> u8 {
    if rule["deny"] == true {
        return 3;
    }
    let accept = rule["accept"].as_array().unwrap();
    match (accept.len(), accept.contains(&json!("none"))) {
        (1, true) => 0,
        (_, true) => 1,
        (_, false) => 2,
    }
}

#[test]
fn no_path_meets_a_weaker_rule() {
    let mut random = Rng::with_seed(20_261_122);
    let (mut policies, mut let_in) = (0_usize, 0_usize);
    for _ in 0..ROUNDS {
        let rules: Vec<Value> = (0..random.usize(1..4)).map(|_| rule(&mut random)).collect();
        let provider = json!({
            "issuer": "https://sso.example",
            "audiences": ["charlie"],
            "remote_jwks": {"http_uri": {"uri": "https://sso.example/keys", "cluster": "sso", "timeout": "1s"}},
        });
        let filter = json!({"providers": {"main": provider}, "rules": rules});
        let policy = convert(&[filter], Options::default()).unwrap().policy;
        let policy: Value = serde_saphyr::from_str(&policy).unwrap();
        let made = policy["inbound"]["rules"].as_array().unwrap();
        let mut is_policy = true;
        for _ in 0..40 {
            let path = path(&mut random);
            if RequestPath::classify(path.as_bytes()).is_err() {
                continue;
            }
            let method = METHODS[random.usize(..2)];
            let before = rules.iter().find(|rule| had(&rule["match"], method, &path));
            let before = before.map_or(0, |rule| match &rule["requires"] {
                Value::Null => 0,
                requires if requires["provider_name"].is_null() => 1,
                _ => 2,
            });
            let taken = made.iter().map(|rule| (rule, has(&rule["match"], method, &path)));
            let now = taken
                .clone()
                .find(|(_, has)| *has == Some(true))
                .map_or(3, |(rule, _)| strictness(rule));
            is_policy &= taken.clone().all(|(_, has)| has.is_some());
            let_in += usize::from(is_policy && now < 3);
            assert!(
                !is_policy || now >= before,
                "{method} {path}: {before} and now {now}\n{rules:#?}\n{made:#?}"
            );
        }
        policies += usize::from(is_policy);
    }
    // It would be easy to refuse everything.
    assert!(policies > ROUNDS / 2, "{policies}");
    assert!(let_in > ROUNDS, "{let_in}");
}
