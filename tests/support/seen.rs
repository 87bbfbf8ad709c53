//! What was seen of a request, whoever ran it, and the comparison with what was expected.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value};

use super::case::{self, Expect, Prepared};

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The headers that the upstream gets; `None` if the request did not go on.
    pub(crate) upstream: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Headers of the upstream's answer as the caller sees them.
    pub(crate) returned: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its body.
    pub(crate) returned_body: Vec<u8>,
    /// The answer of the filter.
    pub(crate) reply: Option<Reply>,
    pub(crate) state: BTreeMap<String, Vec<u8>>,
    pub(crate) counters: Vec<String>,
    pub(crate) logs: Vec<String>,
    /// Headers of the request as an access log prints them.
    pub(crate) logged: Vec<(Vec<u8>, Vec<u8>)>,
    /// `:path` as an access log prints it.
    pub(crate) logged_path: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) grpc_status: Option<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Runs every case of the table, and fails with every difference.
pub(crate) fn hold_against_table(run: impl Fn(&Prepared) -> Seen) {
    let cases = case::all();
    assert!(
        cases.len() > 100,
        "the table is not all there: {} cases",
        cases.len()
    );
    let failures: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            differences(case, &run(case))
                .into_iter()
                .map(|difference| format!("{}\n    {difference}", case.title))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} differences\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Every difference between what was seen and what was expected.
fn differences(case: &Prepared, seen: &Seen) -> Vec<String> {
    let expect = &case.expect;
    let mut differences = Vec::new();
    let mut compare = |what: &str, seen: Option<String>, expected: Option<String>| {
        if seen != expected {
            differences.push(format!("{what}: expected {expected:?}, saw {seen:?}"));
        }
    };
    let status = seen.reply.as_ref().map(|reply| reply.status);
    compare(
        "status",
        status.map(|status| status.to_string()),
        expect.status.map(|status| status.to_string()),
    );
    if seen.reply.is_some() == seen.upstream.is_some() {
        compare(
            "outcome",
            Some(format!("{seen:?}")),
            Some("either an answer or a forwarded request".into()),
        );
    }
    compare_answer(expect, seen, &mut compare);
    let state = |name: &str| seen.state.get(name).map(|value| text(value));
    if let Some(reason) = &expect.reason {
        compare("reason", state("peergate.reason"), Some(reason.clone()));
    }
    if let Some(rule) = &expect.rule {
        compare("rule", state("peergate.rule"), Some(rule.clone()));
    }
    for (name, value) in &expect.state {
        compare(name, state(name), value.clone());
    }
    for (name, value) in &expect.upstream {
        let upstream = seen.upstream.as_deref().unwrap_or_default();
        compare(&format!("upstream {name}"), joined(upstream, name), value.clone());
    }
    if let Some(asserted) = &expect.asserted {
        let upstream = seen.upstream.as_deref().unwrap_or_default();
        compare(
            "asserted",
            joined(upstream, "x-agent-assertion").map(|token| told(&token).to_string()),
            Some(asserted.to_string()),
        );
    }
    for (name, value) in &expect.returned {
        compare(
            &format!("returned {name}"),
            joined(&seen.returned, name),
            value.clone(),
        );
    }
    match &expect.returned_body {
        None => {}
        Some(Value::String(expected)) => {
            compare(
                "returned body",
                Some(text(&seen.returned_body)),
                Some(expected.clone()),
            );
        }
        Some(expected) => compare(
            "returned body",
            Some(match serde_json::from_slice::<Value>(&seen.returned_body) {
                Ok(body) => body.to_string(),
                Err(_) => text(&seen.returned_body),
            }),
            Some(expected.to_string()),
        ),
    }
    for (name, value) in &expect.logged {
        compare(
            &format!("logged {name}"),
            joined(&seen.logged, name),
            value.clone(),
        );
    }
    if let Some(path) = &expect.logged_path {
        compare(
            "logged path",
            seen.logged_path.as_deref().map(text),
            Some(path.clone()),
        );
    }
    for counter in &expect.counters {
        compare(
            "counter",
            seen.counters.iter().find(|name| *name == counter).cloned(),
            Some(counter.clone()),
        );
    }
    if let Some(log) = &expect.log {
        let found = seen.logs.iter().any(|line| line.contains(log.as_str()));
        compare("log", (!found).then(|| seen.logs.join("\n")), None);
    }
    for secret in &case.secrets {
        let leak = seen.logs.iter().any(|line| line.contains(secret.as_str()));
        compare("a secret in the log", leak.then(|| "yes".into()), None);
    }
    differences
}

fn compare_answer(
    expect: &Expect,
    seen: &Seen,
    compare: &mut impl FnMut(&str, Option<String>, Option<String>),
) {
    let Some(reply) = &seen.reply else { return };
    if let Some(status) = expect.grpc_status {
        compare(
            "grpc status",
            reply.grpc_status.map(|status| status.to_string()),
            Some(status.to_string()),
        );
    }
    for (name, value) in &expect.answer {
        let header = reply.headers.iter().find(|(other, _)| other == name);
        compare(
            &format!("answer {name}"),
            header.map(|(_, value)| value.clone()),
            value.clone(),
        );
    }
    if let Some(body) = &expect.body {
        compare("body", Some(reply.body.clone()), Some(body.clone()));
    }
}

/// What an assertion says, but for its `jti`, and `by` which key: verified by another library than the filter's own.
fn told(token: &str) -> Value {
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("peergate+jwt"));
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    let kid = header.kid.unwrap();
    let jwk: Jwk = serde_json::from_str(match kid.as_str() {
        "new" => NEW_KEY,
        _ => OLD_KEY,
    })
    .unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let mut claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation)
        .unwrap()
        .claims;
    let jti = claims.remove("jti").unwrap();
    assert_eq!(jti.as_str().map(str::len), Some(22));
    claims.insert("by".to_owned(), kid.into());
    Value::Object(claims)
}

/// The public halves of the keys in `tests/cases/assertion.yaml` (RFC 7515 §A.3, RFC 6979 §A.2.5).
const NEW_KEY: &str = r#"{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const OLD_KEY: &str = r#"{"kty": "EC", "crv": "P-256", "x": "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
    "y": "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk"}"#;

/// The values of one header, as one text.
fn joined(headers: &[(Vec<u8>, Vec<u8>)], name: &str) -> Option<String> {
    let is_named = |(other, _): &&(Vec<u8>, Vec<u8>)| other.eq_ignore_ascii_case(name.as_bytes());
    let values: Vec<String> = headers
        .iter()
        .filter(is_named)
        .map(|(_, value)| text(value))
        .collect();
    (!values.is_empty()).then(|| values.join(" | "))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.escape_ascii().to_string())
}
