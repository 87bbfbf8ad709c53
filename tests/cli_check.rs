//! `peergate check`, as a person sees it: exactly what it prints, where, and its exit status.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use program::{Folder, Seen, refused};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const KEY: &str = "cli-api-key-7f3a9c";

fn folder(name: &str) -> Folder {
    let folder = Folder::new("cli-check", name);
    folder.secret(SEED);
    folder.secret(KEY);
    folder
}

/// Runs `check` on a file of this name, which no other test has.
fn check(file: &str, content: &[u8], arguments: &[&str], environment: &[(&str, &str)]) -> Seen {
    let folder = folder(file);
    folder.write(file, content);
    folder.run(&[&["check", file], arguments].concat(), "", environment)
}

/// What is printed of a policy that is good, and has nothing to warn about.
fn ok() -> Seen {
    (0, "ok\n".into(), String::new())
}

const GOOD: &str = "
version: 1
inbound:
  peers:
    mrpink: {api_keys: [{env: KEY}], totp_seeds: [{env: SEED}]}
  rules:
    - {name: card, match: {paths: [/.well-known/agent-card.json]}, accept: [none]}
    - {name: all, accept: [api_key], require: {totp: true}}
";

#[test]
fn a_good_policy() {
    let environment = [("KEY", KEY), ("SEED", SEED)];
    assert_eq!(check("good.yaml", GOOD.as_bytes(), &[], &environment), ok());
    let json = br#"{"version": 1, "outbound": {"on_no_match": "deny"}}"#;
    assert_eq!(check("good.json", json, &[], &[]), ok());
    assert_eq!(check("json-is-yaml", json, &[], &[]), ok());
}

/// Variables that are not set are no faults then, and everything else still is.
#[test]
fn without_the_environment() {
    let without = "--without-environment";
    assert_eq!(
        check("bare.yaml", GOOD.as_bytes(), &[without, "--deny-hints"], &[]),
        ok()
    );
    // What the process has is not looked at.
    assert_eq!(
        check("bare.yaml", GOOD.as_bytes(), &[without], &[("SEED", "1")]),
        ok()
    );
    let (status, _, errors) = check("bare.yaml", GOOD.as_bytes(), &[without, "--env", "SEED=1"], &[]);
    assert_eq!(status, 1);
    assert!(
        errors.starts_with("error: inbound.peers.mrpink.totp_seeds[0]: "),
        "{errors}"
    );
    // Names in texts, keys of assertions, and secrets of all kinds.
    let every = "
version: 1
on_missing_secret: refuse_config
inbound:
  providers:
    idp:
      issuer: 'https://${IDP_HOST}/realms/a'
      audiences: ['${AUDIENCE}', 'https://${WORKLOAD}.${NAMESPACE}.example']
      jwks: {remote: {uri: '${IDP_URL}/keys', cluster: idp}}
  rules:
    - {name: card, match: {paths: [/.well-known/agent-card.json]}, accept: [none]}
    - {name: all, accept: [jwt]}
  forward: {assertion: {issuer: 'https://mesh.example', audience: 'https://a.example', keys: [{kid: a, key: {env: ASSERTION_KEY}}]}}
outbound:
  rules:
    - {name: search, match: {clusters: [search]}, headers: {x-api-key: {value: {env: SEARCH_KEY}}}}
    - {name: own, match: {clusters: [own]}, totp: {}}
";
    assert_eq!(
        check("every.yaml", every.as_bytes(), &[without, "--deny-hints"], &[]),
        ok()
    );
    assert_eq!(check("every.yaml", every.as_bytes(), &[], &[]).0, 1);
    let (status, _, errors) = check(
        "word.yaml",
        every.replace("refuse_config", "refuse_rule").as_bytes(),
        &[without],
        &[],
    );
    assert_eq!(status, 1);
    assert!(
        errors.starts_with("error: on_missing_secret: ") && errors.ends_with("1 error\n"),
        "{errors}"
    );
    let (status, output, errors) = check(
        "faulty.yaml",
        every.replace("clusters: [own]", "cluster: own").as_bytes(),
        &[without],
        &[],
    );
    assert_eq!((status, output.as_str()), (1, ""));
    assert_eq!(
        errors,
        "error: outbound.rules[1].match.cluster: is unknown\n  help: did you mean `clusters`?\n1 error\n"
    );
}

#[test]
fn a_name_of_a_file_stays_within_its_line() {
    let name = "a\u{1b}[31m\u{9b}\u{202e}\nok";
    let expected =
        r"error: a\u{1b}[31m\u{9b}\u{202e}\nok: cannot be read: No such file or directory (os error 2)";
    let found = folder("raw").run(&["check", name], "", &[]);
    assert_eq!(found, refused(&format!("{expected}\n")));
}

#[test]
fn warnings_come_before_ok() {
    let rules = "[{match: {paths: [/.well-known/agent-card.json]}, accept: [none]}, {accept: [api_key]}]";
    let yaml = format!(
        "{{version: 1, inbound: {{peers: {{a: {{api_keys: [{{inline: {KEY}}}]}}}}, rules: {rules}}}}}"
    );
    let (status, output, errors) = check("warned.yaml", yaml.as_bytes(), &[], &[]);
    assert_eq!((status, output.as_str()), (0, "ok\n"));
    assert_eq!(
        errors,
        "warning: inbound.peers.a.api_keys[0].inline: secret is written into the configuration, where every dump \
         and every reader of it shows it\n"
    );
}

/// A policy with a warning and two hints, of which one is about its key.
const HINTED: &str = "
version: 1
inbound:
  peers:
    mrpink: {api_keys: [{env: KEY}], totp_seeds: [{inline: GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ}]}
  rules:
    - {name: admin, match: {paths: [/.well-known/agent-card.json, /admin], methods: [POST]}, accept: [api_key]}
    - {name: rest, accept: [none], match: {methods: [GET]}}
";

const HINTED_SAYS: &str = "\
warning: inbound.peers.mrpink.totp_seeds[0].inline: secret is written into the configuration, where every dump and \
every reader of it shows it
warning: inbound.rules[1]: lets everybody through on every path that no earlier rule matches
hint: inbound.peers.mrpink.api_keys[0]: key has 5 bytes, and can be guessed below 16
  help: make one by chance: `openssl rand -hex 32`, in base32 for a seed
hint: inbound.peers.mrpink.totp_seeds: no rule asks for a code
  help: a rule asks for one with `require: {totp: true}`
";

#[test]
fn hints_come_between_warnings_and_ok() {
    let environment = [("KEY", "short")];
    let seen = check("hinted.yaml", HINTED.as_bytes(), &[], &environment);
    assert_eq!(seen, (0, "ok\n".into(), HINTED_SAYS.into()));
}

#[test]
fn hints_can_be_denied() {
    let environment = [("KEY", "short")];
    let denied = |yaml: &str| check("denied.yaml", yaml.as_bytes(), &["--deny-hints"], &environment);
    assert_eq!(denied(HINTED), refused(&format!("{HINTED_SAYS}2 hints\n")));

    let one = "hint: inbound.rules: no rule lets anybody in\n  help: write a rule with `accept`\n1 hint\n";
    assert_eq!(denied("{version: 1, inbound: {}}"), refused(one));
    // Warnings alone are none.
    let warned = denied("{version: 1, inbound: {rules: [{accept: [none]}]}}");
    assert_eq!((warned.0, warned.1.as_str()), (0, "ok\n"));
    assert_eq!(
        warned.2,
        "warning: inbound.rules[0]: lets everybody through on every path that no earlier rule matches\n"
    );
    // Errors come alone: there is no policy to advise on.
    let wrong = "error: inbound: expected an object, found a list\n1 error\n";
    assert_eq!(denied("{version: 1, inbound: []}"), refused(wrong));
}

#[test]
fn a_secret_in_a_name_is_not_repeated() {
    // A key that somebody also wrote into a path, where a hint names it.
    let yaml = format!(
        "
version: 1
inbound:
  peers: {{a: {{api_keys: [{{env: KEY}}]}}}}
  rules:
    - {{match: {{paths: [/.well-known/agent-card.json]}}, accept: [none]}}
    - {{match: {{paths: [/{KEY}]}}, deny: true}}
    - {{name: agent, accept: [api_key]}}
"
    );
    let hint = "\
hint: inbound.rules[1].match.paths[0]: covers `/*****` but not `/*****/`, which falls to rule `agent`, and that lets \
callers through
  help: some servers take one for the other: a prefix in `path_prefixes` covers both, or list both
";
    assert_eq!(
        check("repeated.yaml", yaml.as_bytes(), &[], &[("KEY", KEY)]),
        (0, "ok\n".into(), hint.into())
    );
}

#[test]
fn errors_are_counted() {
    let one = "error: inbound: expected an object, found a list\n1 error\n";
    assert_eq!(
        check("one.yaml", b"{version: 1, inbound: []}", &[], &[]),
        refused(one)
    );
    let two =
        "error: inbond: is unknown\n  help: did you mean `inbound`?\nerror: version: is required\n2 errors\n";
    assert_eq!(check("two.yaml", b"{inbond: []}", &[], &[]), refused(two));
}

#[test]
fn another_place_can_be_described() {
    let missing = "\
error: inbound.peers.mrpink.api_keys[0].env: variable `KEY` is not set
  help: set it in the proxy's environment: `vm_config.environment_variables` in Envoy, `vmConfig.env` in Istio
1 error
";
    assert_eq!(
        check("place.yaml", GOOD.as_bytes(), &[], &[("SEED", SEED)]),
        refused(missing)
    );
    let arguments = [&format!("--env=KEY={KEY}"), "--env", &format!("SEED={SEED}")];
    assert_eq!(
        check("place.yaml", GOOD.as_bytes(), &arguments, &[("SEED", "no seed")]),
        ok()
    );

    let text = b"{version: 1, outbound: {}, inbound: {errors: {realm: \"${WORKLOAD}.${NAMESPACE}\"}, rules: [{match: {paths: [/a]}, accept: [none]}]}}";
    assert_eq!(
        check(
            "text.yaml",
            text,
            &["--workload", "charlie", "--namespace", "agents"],
            &[]
        ),
        ok()
    );
}

#[test]
fn variables_are_written_with_their_values() {
    let usage = (2, String::new(), "error: `--env` takes NAME=VALUE\n".to_owned());
    assert_eq!(
        check("usage.yaml", GOOD.as_bytes(), &["--env", "KEY"], &[]),
        usage
    );
}

#[test]
fn yaml_errors_say_where() {
    let yaml = |content: &[u8], error: &str| {
        let expected = format!("error: broken.yaml: is not accepted as YAML: {error}\n");
        assert_eq!(check("broken.yaml", content, &[], &[]), refused(&expected));
    };
    yaml(
        b"version: 1\nversion: 1\n",
        "duplicate mapping key: version not allowed here at line 2, column 1",
    );
    yaml(
        b"version: 1\n  inbound: {}\n",
        "mapping values are not allowed in this context at line 2, column 10",
    );
    yaml(
        b"version: 1\ninbound: {rules: [\n",
        "unclosed bracket '[' at line 2, column 18",
    );
    yaml(
        b"version: 1\n---\nversion: 1\n",
        "only single YAML document expected but multiple found at line 3, column 1",
    );
    yaml(
        b"version: 1\ninbound: {<<: {rules: []}}\n",
        "merge key not allowed here at line 2, column 11",
    );
    yaml(
        b"version: *none\n",
        "reference to unknown value at line 1, column 10",
    );
    yaml(b"version: \"\xff\"\n", "YAML parser input is not valid UTF-8");
    // Not even where the fault is in a secret.
    let secret = format!("version: 1\ninbound: {{peers: {{a: {{api_keys: [{{inline: \"{KEY}\\q\"}}]}}}}}}\n");
    let (status, _, errors) = check("broken.yaml", secret.as_bytes(), &[], &[]);
    assert_eq!(status, 1);
    assert!(
        errors.starts_with("error: broken.yaml: is not accepted as YAML: "),
        "{errors}"
    );
}

#[test]
fn json_errors_say_where() {
    let json = |content: &[u8], error: &str| {
        let expected = format!("error: broken.json: is not accepted as JSON: {error}\n");
        assert_eq!(check("broken.json", content, &[], &[]), refused(&expected));
    };
    json(b"{\"version\": 1,\n}", "invalid JSON at line 2 column 1");
    json(b"{\"version\": 1, \"version\": 1}", "duplicate member `version`");
    json(b"version: 1", "invalid JSON at line 1 column 1");
}

#[test]
fn words_of_yaml_1_1_are_words() {
    let expected = "error: inbound.ambiguous_paths: expected `reject` or `raw`, found `off`\n1 error\n";
    assert_eq!(
        check(
            "off.yaml",
            b"{version: 1, inbound: {ambiguous_paths: off}}",
            &[],
            &[]
        ),
        refused(expected)
    );
}

#[test]
fn files_that_are_something_else() {
    let bootstrap = "\
error: bootstrap.yaml: is a configuration of Envoy
  help: give the policy itself, which stands there as the `configuration` of the wasm filter; `peergate check --envoy FILE` looks at the whole file
";
    assert_eq!(
        check("bootstrap.yaml", b"static_resources: {listeners: []}", &[], &[]),
        refused(bootstrap)
    );
    let plugin = "\
error: plugin.yaml: is a Kubernetes resource
  help: give the policy itself, which stands there as `pluginConfig`
";
    let resource =
        b"{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, spec: {pluginConfig: {version: 1}}}";
    assert_eq!(check("plugin.yaml", resource, &[], &[]), refused(plugin));
    let empty = "\
error: configuration: is empty
  help: write `version: 1`, and `inbound`, `outbound` or both
1 error
";
    assert_eq!(check("empty.yaml", b"", &[], &[]), refused(empty));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = folder("unreadable");
    assert_eq!(
        folder.run(&["check", "no-such-file.yaml"], "", &[]),
        refused("error: no-such-file.yaml: cannot be read: No such file or directory (os error 2)\n")
    );
    assert_eq!(
        folder.run(&["check", "."], "", &[]),
        refused("error: .: cannot be read: Is a directory (os error 21)\n")
    );
}

#[test]
fn arguments_that_are_wrong() {
    let folder = folder("arguments");
    for arguments in [
        &[][..],
        &["check"],
        &["chek", "a"],
        &["check", "a", "b"],
        &["check", "a", "--strict"],
    ] {
        let (status, output, errors) = folder.run(arguments, "", &[]);
        assert_eq!((status, output.as_str()), (2, ""), "{arguments:?}");
        assert!(errors.contains("Usage: peergate"), "{errors}");
    }
}
