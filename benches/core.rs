//! Speed of the core's parts, natively: `make bench-core`. What they cost within Envoy is another matter, and what
//! `make bench` is for; here one sees which part has become slower.

#![allow(missing_docs, clippy::indexing_slicing, clippy::unwrap_used)]

#[allow(
    dead_code,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
#[path = "../tests/support/tokens.rs"]
mod tokens;

use divan::{Bencher, black_box};
use peergate_filter::claims::ClaimPath;
use peergate_filter::config::{self, Environment};
use peergate_filter::decision::{self, KnownTokens, Means};
use peergate_filter::http::{Headers, Request};
use peergate_filter::jwks::{Algorithm, KeySet, NoHostSignatures};
use peergate_filter::policy::Policy;
use peergate_filter::role::Role;
use peergate_filter::time::UnixTime;
use peergate_filter::totp::{self, CodeParameters, Digits, Seed};
use serde_json::{Value, json};

use tokens::keys;

fn main() {
    divan::main();
}

const NOW: u64 = 1_700_000_000;
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Algorithms, each with the `kid` of its key.
const ALGORITHMS: [(&str, &str); 6] = [
    ("RS256", "rsa"),
    ("PS256", "rsa"),
    ("ES256", "p256"),
    ("ES384", "p384"),
    ("ES256K", "secp256k1"),
    ("EdDSA", "ed25519"),
];

fn kid(algorithm: &str) -> &'static str {
    ALGORITHMS
        .iter()
        .find(|(name, _)| *name == algorithm)
        .map(|(_, kid)| *kid)
        .unwrap()
}

/// The signature alone.
#[divan::bench(args = ["RS256", "PS256", "ES256", "ES384", "ES256K", "EdDSA"])]
fn verify(bencher: Bencher<'_, '_>, algorithm: &str) {
    let set = KeySet::from_jwks(keys().jwks().as_object().unwrap()).unwrap();
    let signed = Algorithm::from_name(algorithm).unwrap();
    let key = set
        .candidates(Some(kid(algorithm)), signed)
        .unwrap()
        .next()
        .unwrap();
    let input = [b'a'; 900];
    let signature = keys().sign_input(algorithm, false, &input, "");
    assert!(key.verify(signed, &input, &signature, &NoHostSignatures));
    bencher.bench_local(|| {
        key.verify(
            signed,
            black_box(&input),
            black_box(&signature),
            &NoHostSignatures,
        )
    });
}

/// A whole request with a token: read, verified, matched, its edits built.
#[divan::bench(args = ["RS256", "ES256", "EdDSA"])]
fn decide_token(bencher: Bencher<'_, '_>, algorithm: &str) {
    decides(
        bencher,
        &token_policy(1),
        &request("/rules/0", &[bearer(&token(algorithm, NOW + 600))]),
    );
}

/// The same with a token that was verified before.
#[divan::bench(args = [1, 10_000])]
fn decide_known_token(bencher: Bencher<'_, '_>, rules: usize) {
    let policy = token_policy(rules);
    let request = request(
        &format!("/rules/{}", rules - 1),
        &[bearer(&token("EdDSA", NOW + 600))],
    );
    let (known, now) = (KnownTokens::new(&policy, [7; 16]), UnixTime::from_seconds(NOW));
    let means = Means {
        known: Some(&known),
        ..Means::of(&policy)
    };
    drop(decision::decide(means, Role::Inbound, &request, now));
    assert_eq!(known.len(), 1);
    bencher.bench_local(|| decision::decide(means, Role::Inbound, black_box(&request), now));
}

/// The same, refused before any cryptography.
#[divan::bench(args = ["garbage", "expired"])]
fn refuse(bencher: Bencher<'_, '_>, what: &str) {
    let token = match what {
        "garbage" => "x".repeat(1200),
        _ => token("EdDSA", NOW - 3600),
    };
    decides(bencher, &token_policy(1), &request("/rules/0", &[bearer(&token)]));
}

/// A token with a second factor.
#[divan::bench]
fn decide_token_and_totp(bencher: Bencher<'_, '_>) {
    let parameters = code_parameters();
    let seed = Seed::parse(SEED).unwrap();
    let code = totp::code_at(&seed, &parameters, UnixTime::from_seconds(NOW));
    let mut document = token_document(1);
    document["inbound"]["peers"] = json!({"agent-mrpink": {"totp_seeds": [{"inline": SEED}]}});
    document["inbound"]["rules"][0]["require"] = json!({"totp": true});
    let code = String::from_utf8(code.expose().to_vec()).unwrap();
    let headers = [bearer(&token("EdDSA", NOW + 600)), ("x-totp".to_owned(), code)];
    decides(bencher, &policy(&document), &request("/rules/0", &headers));
}

/// The last of so many rules, public, so that there is little else to do.
#[divan::bench(args = [1, 100, 10_000])]
fn find_rule(bencher: Bencher<'_, '_>, rules: usize) {
    let rules: Vec<Value> = (0..rules)
        .map(|number| json!({"match": {"path_prefixes": [format!("/rules/{number}")]}, "accept": ["none"]}))
        .collect();
    let last = format!("/rules/{}", rules.len() - 1);
    let policy = policy(&json!({"version": 1, "inbound": {"rules": rules}}));
    decides(bencher, &policy, &request(&last, &[]));
}

/// The last of so many peers, by its API key.
#[divan::bench(args = [1, 100, 10_000])]
fn find_api_key(bencher: Bencher<'_, '_>, peers: usize) {
    let key = |number: usize| format!("an-api-key-of-peer-{number}");
    let all: serde_json::Map<_, _> = (0..peers)
        .map(|number| {
            let peer = json!({"tokens": {}, "api_keys": [{"inline": key(number)}]});
            (format!("agent-{number}"), peer)
        })
        .collect();
    let policy =
        policy(&json!({"version": 1, "inbound": {"peers": all, "rules": [{"accept": ["api_key"]}]}}));
    decides(
        bencher,
        &policy,
        &request("/", &[("x-api-key".to_owned(), key(peers - 1))]),
    );
}

/// A code of this moment: three steps are looked at.
#[divan::bench]
fn verify_totp(bencher: Bencher<'_, '_>) {
    let (parameters, seeds) = (code_parameters(), [Seed::parse(SEED).unwrap()]);
    let now = UnixTime::from_seconds(NOW);
    let code = totp::code_at(&seeds[0], &parameters, now);
    bencher.bench_local(|| totp::verify(&seeds, &parameters, black_box(code.expose()), now));
}

/// A claim within objects, as text.
#[divan::bench]
fn claim_as_text(bencher: Bencher<'_, '_>) {
    let path = ClaimPath::parse("realm_access.roles").unwrap();
    let claims = claims(NOW + 600).as_object().unwrap().clone();
    bencher.bench_local(|| {
        let found = path.find(black_box(&claims)).unwrap();
        peergate_filter::claims::text(found, ",")
    });
}

/// A policy of so many rules, from its JSON.
#[divan::bench(args = [1, 1000])]
fn read_policy(bencher: Bencher<'_, '_>, rules: usize) {
    let document = token_document(rules).to_string();
    bencher.bench_local(|| {
        config::from_plugin_configuration(black_box(document.as_bytes()), &Environment::default()).unwrap()
    });
}

fn code_parameters() -> CodeParameters {
    CodeParameters::new(totp::Algorithm::Sha1, Digits::Six, 30, 1).unwrap()
}

fn decides(bencher: Bencher<'_, '_>, policy: &Policy, request: &Request) {
    let now = UnixTime::from_seconds(NOW);
    bencher.bench_local(|| decision::decide(Means::of(policy), Role::Inbound, black_box(request), now));
}

fn policy(document: &Value) -> Policy {
    config::from_plugin_configuration(document.to_string().as_bytes(), &Environment::default())
        .unwrap()
        .policy
}

fn token_policy(rules: usize) -> Policy {
    policy(&token_document(rules))
}

fn token_document(rules: usize) -> Value {
    let rules: Vec<Value> = (0..rules)
        .map(|number| json!({"match": {"path_prefixes": [format!("/rules/{number}")]}, "accept": ["jwt"]}))
        .collect();
    json!({"version": 1, "inbound": {
        "providers": {"idp": {
            "issuer": "https://sso.corp.example/realms/agents",
            "audiences": ["https://agent.mesh.example"],
            "jwks": {"inline": keys().jwks()},
            "peer_claim": "azp",
            "claim_to_headers": {"x-jwt-client": "azp", "x-jwt-roles": "realm_access.roles"},
        }},
        "rules": rules,
    }})
}

fn claims(expires: u64) -> Value {
    json!({
        "iss": "https://sso.corp.example/realms/agents",
        "aud": "https://agent.mesh.example",
        "sub": "8f14e45f-ceea-467f-a8f1-1c2b3d4e5f60",
        "azp": "agent-mrpink",
        "iat": NOW - 60,
        "exp": expires,
        "jti": "2c9b1b7c-63c1-4a3c-9a55-0d5f8a6b7c8d",
        "typ": "Bearer",
        "realm_access": {"roles": ["offline_access", "default-roles-agents", "uma_authorization"]},
        "scope": "openid profile email a2a.invoke",
        "preferred_username": "service-account-agent-mrpink",
        "clientAddress": "10.244.1.17",
    })
}

fn token(algorithm: &str, expires: u64) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": kid(algorithm)}).to_string();
    keys().sign(algorithm, false, &header, &claims(expires).to_string(), "")
}

fn bearer(token: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {token}"))
}

/// A request as Envoy shows it to the filter.
fn request(path: &str, headers: &[(String, String)]) -> Request {
    let usual = [
        (":authority", "agent.mesh.example"),
        (":path", path),
        (":method", "GET"),
        (":scheme", "http"),
        ("user-agent", "h2load nghttp2/1.52.0"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "2c9b1b7c-63c1-4a3c-9a55-0d5f8a6b7c8d"),
    ];
    let usual = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let all = usual.iter().chain(headers);
    Request {
        headers: Headers::new(
            all.map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())),
        ),
        ..Request::default()
    }
}
