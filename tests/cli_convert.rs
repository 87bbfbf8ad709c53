//! `peergate convert`: each `tests/convert/NAME.in.yaml` gives the policy `NAME.policy.yaml`, and says `NAME.said.txt`.

#![allow(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{Folder, Seen, refused, run_in};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert")
}

fn run(arguments: &[&str]) -> Seen {
    run_in(folder(), arguments, "", &[])
}

fn inputs() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".in.yaml")).collect();
    names.sort();
    names
}

#[test]
fn what_comes_out() {
    assert!(inputs().len() >= 8);
    for input in inputs() {
        let (status, policy, said) = run(&["convert", &input]);
        for (ending, printed) in [("policy.yaml", &policy), ("said.txt", &said)] {
            let file = folder().join(input.replace("in.yaml", ending));
            let expected = fs::read_to_string(&file).unwrap_or_default();
            assert!(*printed == expected, "{}\n{printed}", file.display());
        }
        assert_eq!(
            status,
            if said.contains("not carried over: ") { 3 } else { 0 },
            "{input}"
        );
        // What was lost stands in the policy too.
        let words = |text: &str| {
            text.replace('#', " ")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let comments = words(&policy);
        for line in said.lines().filter(|line| line.starts_with("not carried over: ")) {
            assert!(comments.contains(&words(line)), "{input}: {line}");
        }
    }
}

#[test]
fn what_comes_out_is_a_policy() {
    for input in inputs() {
        let (status, output, errors) = run(&["check", &input.replace("in.yaml", "policy.yaml")]);
        assert_eq!((status, output.as_str()), (0, "ok\n"), "{input}: {errors}");
    }
}

#[test]
fn secrets_stay_where_they_are() {
    let (_, policy, said) = run(&["convert", "refused.in.yaml"]);
    assert!(!policy.contains("bm90LXRv") && !said.contains("bm90LXRv"));
}

#[test]
fn whole_segments_are_the_authors_word() {
    let (status, policy, said) = run(&["convert", "--whole-segments", "prefixes.in.yaml"]);
    assert_eq!(status, 0, "{said}");
    assert!(
        policy.contains("    - {name: rest, accept: [none]}\n"),
        "{policy}"
    );
}

#[test]
fn requests_are_refused_as_istio_refuses_them() {
    let decided = |policy: &str, method: &str, host: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\nHost: {host}\n\n");
        let policy = format!("{policy}.policy.yaml");
        run_in(folder(), &["explain", &policy], &request, &[]).0
    };
    let (goes_on, refused) = (0, 3);
    for (policy, method, host, path, status) in [
        ("istio-exempt", "GET", "a.example", "/health", goes_on),
        ("istio-exempt", "GET", "a.example", "/admin/x", refused),
        ("istio-exempt", "GET", "a.example", "/tasks", refused),
        // The policy that is only tried would let it in.
        ("istio-exempt", "GET", "a.example", "/other", refused),
        ("istio-list", "GET", "a.example", "/", refused),
        ("istio-asked", "POST", "a.example", "/a", refused),
        ("istio-asked", "GET", "a.example", "/b", refused),
        ("istio-asked", "GET", "a.example", "/c", refused),
        ("istio-asked", "POST", "a.example", "/d", refused),
        ("istio-asked", "POST", "a.example", "/e", refused),
        ("istio-asked", "POST", "b.example", "/e", refused),
        ("istio-asked", "POST", "a.example", "/f", refused),
        ("istio-asked", "GET", "a.example", "/g", refused),
        ("istio-asked", "GET", "a.example", "/i", refused),
        ("istio-asked", "GET", "a.example", "/j", refused),
    ] {
        assert_eq!(
            decided(policy, method, host, path),
            status,
            "{policy} {method} {host} {path}"
        );
    }
}

#[test]
fn claims_are_texts_and_conditions_add_up() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jwt_simple::prelude::*;
    use serde_json::json;
    let key = Ed25519KeyPair::generate();
    let program = Folder::new("cli-convert", "claims");
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(key.public_key().to_bytes())}]});
    program.write("keys.json", keys.to_string());
    let policy = folder().join("istio-asked.policy.yaml");
    let decided = |path: &str, claims: serde_json::Value| {
        let claims = Claims::with_custom_claims(claims, Duration::from_mins(5))
            .with_issuer("https://sso.example")
            .with_subject("mrpink");
        let token = key.sign(claims).unwrap();
        let request = format!("GET {path} HTTP/1.1\nHost: a.example\nx-jwt: {token}\n\n");
        let arguments = [
            "explain",
            policy.to_str().unwrap(),
            "--jwks",
            "sso-example=keys.json",
        ];
        program.run_unkept(&arguments, &request, &[]).0
    };
    // A text that is asked for lets in: the token is good.
    assert_eq!(decided("/h", json!({"aud": "charlie", "admin": "yes"})), 0);
    for admin in [json!("true"), json!(true), json!(1), json!([1]), json!("1")] {
        for path in ["/g", "/h"] {
            assert_eq!(
                decided(path, json!({"aud": "charlie", "admin": admin})),
                3,
                "{admin}"
            );
        }
    }
    assert_eq!(decided("/i", json!({"aud": "charlie"})), 3);
    assert_eq!(decided("/i", json!({"aud": "delta"})), 3);
}

#[test]
fn nothing_of_the_input_reaches_a_terminal_raw() {
    let (_, policy, said) = run(&["convert", "istio-asked.in.yaml"]);
    for text in [policy, said] {
        let is_plain = |character: char| character == '\n' || matches!(character, ' '..='~');
        assert!(text.chars().all(is_plain), "{text:?}");
        assert!(text.contains("a\\u{1b}[31mX\\u{9b}31m\\u{202e}"), "{text}");
    }
}

#[test]
fn files_that_hold_nothing_of_it() {
    let folder = Folder::new("cli-convert", "nothing");
    let assert_refused = |content: &str, error: &str| {
        folder.write("input.yaml", content);
        let seen = folder.run_unkept(&["convert", "input.yaml"], "", &[]);
        assert_eq!(seen, refused(&format!("error: input.yaml: {error}\n")));
    };
    let nothing = "holds no `jwt_authn` and no RequestAuthentication\n  help: give an Envoy file, the filter's \
                   `typed_config`, or manifests of Istio";
    assert_refused("{}", nothing);
    assert_refused("static_resources: {listeners: []}", nothing);
    let filter =
        "{\"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication}";
    assert_refused(
        &format!("[{filter}, {filter}]"),
        "holds 2 `jwt_authn` filters\n  help: give the `typed_config` of one",
    );
    // What Istio would do by these is not known: nothing is read as no policy.
    for (spec, error) in [
        ("5", "spec` is no object"),
        ("{rules: {}}", "spec.rules` is no list"),
        ("{rules: [null]}", "spec.rules[0]` is no object"),
        (
            "{rules: [{to: [{}]}]}",
            "spec.rules[0].to[0].operation` is no object",
        ),
        (
            "{rules: [{to: [{operation: {paths: /a}}]}]}",
            "spec.rules[0].to[0].operation.paths` is no list",
        ),
        (
            "{rules: [{to: [{operation: {paths: [1]}}]}]}",
            "spec.rules[0].to[0].operation.paths[0]` is no text",
        ),
        (
            "{rules: [{to: [{operation: {not_paths: [/a]}}]}]}",
            "spec.rules[0].to[0].operation.not_paths` is no member that Istio knows",
        ),
        ("{action: DROP}", "spec.action` is no action"),
    ] {
        assert_refused(
            &format!("{{kind: AuthorizationPolicy, metadata: {{name: a}}, spec: {spec}}}"),
            &format!(
                "`AuthorizationPolicy/a.{error}\n  help: Istio does not take this manifest: what it would do is not known"
            ),
        );
    }
    let unread = "`kind` is missing in a document\n  help: Istio does not take this manifest: what it would do is not known";
    assert_refused(
        "kind: AuthorizationPolicy\n---\n[{kind: AuthorizationPolicy}]\n",
        unread,
    );
    let resource = |namespace: &str| {
        format!(
            "{{kind: RequestAuthentication, metadata: {{name: a, namespace: {namespace}}}, spec: {{}}}}\n---\n"
        )
    };
    assert_refused(
        &(resource("a") + &resource("b")),
        "has resources for several namespaces or selectors\n  help: give those of one workload: each gets a policy of its own",
    );
}
