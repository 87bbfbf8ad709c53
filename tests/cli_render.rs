//! `peergate render`, held against what a person has read and found right: `tests/render/*`.
//!
//! A policy there is `NAME.policy.yaml`, what is made of it `NAME.FORM.yaml`. Where something else comes out, it is left in
//! the folder of the tests' own files, which the failure names: to be read, and copied if it is meant. What is taken from
//! `envoy/demo.yaml` is not repeated there. `tests/envoy/test_render.py` loads the same files into a real Envoy.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{Seen, run_in};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/render")
}

/// Runs it with nothing in the environment: what is rendered depends on nothing there.
fn render(arguments: &[&str]) -> Seen {
    run_in(folder(), &[&["render"], arguments].concat(), "", &[])
}

/// A policy in a file of its own.
fn render_text(name: &str, policy: &str, arguments: &[&str]) -> Seen {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli_render");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join(name), policy).unwrap();
    run_in(own, &[&["render"], arguments, &[name]].concat(), "", &[])
}

/// What is taken from the demo's file goes: it has a test of its own.
fn without_samples(text: &str) -> String {
    let demo = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/demo.yaml")).unwrap();
    let log = demo.split_once("          - &access_log\n").unwrap().1;
    let log = log.split_once("          http_filters:").unwrap().0;
    let mark = "# How many callers may be connected at once.";
    let (_, tail) = demo.split_once(mark).unwrap();
    text.replace(log, "            # (as in envoy/demo.yaml)\n")
        .replace(&format!("{mark}{tail}"), "# (as in envoy/demo.yaml)\n")
}

fn assert_golden(name: &str, text: &str) {
    let golden = fs::read_to_string(folder().join(name)).unwrap_or_default();
    let found = without_samples(text);
    if found != golden {
        let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli_render");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join(name), &found).unwrap();
        panic!("tests/render/{name} is another: {}", own.join(name).display());
    }
}

const QUERY_WARNING: &str =
    "warning: outbound.insecure_allow_query_param_auth: API keys in URLs may appear in proxy logs\n";

#[test]
fn envoy_files() {
    for (name, arguments, warnings) in [
        (
            "sidecar",
            vec!["--workload", "charlie", "--namespace", "agents"],
            "",
        ),
        (
            "query",
            vec!["--cluster", "charlie=http://charlie.mesh.example:8080"],
            QUERY_WARNING,
        ),
        ("gateway", vec!["--agent", "agents.internal:8080"], QUERY_WARNING),
        ("upstream", vec!["--port", "12000"], QUERY_WARNING),
        ("codes", vec![], ""),
    ] {
        let policy = format!("{name}.policy.yaml");
        let arguments = [&["envoy", policy.as_str()], arguments.as_slice()].concat();
        let (status, output, errors) = render(&arguments);
        assert_eq!((status, errors.as_str()), (0, warnings), "{name}");
        assert_golden(&format!("{name}.envoy.yaml"), &output);
    }
}

const IMAGE: &str =
    "oci://registry.example/peergate@sha256:0000000000000000000000000000000000000000000000000000000000000000";

const PAIR: [&str; 9] = [
    "--namespace",
    "istio-ingress",
    "--selector",
    "istio=ingressgateway",
    "--pair",
    "--sidecar-namespace",
    "agents",
    "--sidecar-selector",
    "app=agent",
];

#[test]
fn manifests_of_istio() {
    let workload = ["--namespace", "agents", "--selector", "app=charlie"];
    let waypoint = [
        "--namespace",
        "agents",
        "--target-ref",
        "Gateway/waypoint",
        "--target-ref",
        "Service/charlie",
        "--priority",
        "-5",
        "--phase",
        "authz",
        "--pull-secret",
        "registry",
        "--name",
        "door",
    ];
    for (name, form, suffix, arguments, warnings) in [
        (
            "istio",
            "istio-wasmplugin",
            "",
            workload.as_slice(),
            QUERY_WARNING,
        ),
        ("door", "istio-trafficextension", "", PAIR.as_slice(), ""),
        ("door", "istio-wasmplugin", "-waypoint", waypoint.as_slice(), ""),
        (
            "mesh",
            "istio-wasmplugin",
            "",
            &["--namespace", "istio-system"],
            "",
        ),
        (
            "mesh",
            "istio-trafficextension",
            "-namespace",
            &["--namespace", "agents"],
            "",
        ),
    ] {
        let policy = format!("{name}.policy.yaml");
        let arguments = [&[form, policy.as_str(), "--image", IMAGE], arguments].concat();
        let (status, output, errors) = render(&arguments);
        assert_eq!((status, errors.as_str()), (0, warnings), "{name}");
        assert_golden(&format!("{name}{suffix}.{form}.yaml"), &output);
    }
}

#[test]
fn what_istio_takes_and_does_not_do() {
    let policy = "{version: 1, outbound: {rules: [{match: {clusters: [api]}, totp: {seed: {env: SEED}}}]}}";
    let arguments = [
        "istio-wasmplugin",
        "--image",
        "oci://registry.example/peergate:1",
        "--namespace",
        "agents",
    ];
    let (status, output, errors) = render_text("istio.yaml", policy, &arguments);
    assert_eq!(status, 0);
    assert!(output.contains("match: [{mode: CLIENT}]"), "{output}");
    assert_eq!(
        errors,
        "warning: --image: names no digest: whoever can write to the registry says what runs, and a tag that is moved is not \
         pulled again\n  help: `oci://…@sha256:…`, or `--sha256`\nwarning: cluster `api`: Istio makes no cluster of this \
         name\n  help: name it as Istio does: `outbound|443||api.example`, `outbound|80||charlie.agents.svc.cluster.local`\n"
    );
    let zeros = "0".repeat(64);
    let arguments = [
        arguments.as_slice(),
        &["--sha256", &zeros, "--mode", "client_and_server"],
    ]
    .concat();
    let (status, output, errors) = render_text("istio.yaml", policy, &arguments);
    assert_eq!(status, 0);
    assert!(
        output.contains(&format!("  sha256: \"{}\"\n", "0".repeat(64))),
        "{output}"
    );
    assert!(output.contains("match: [{mode: CLIENT_AND_SERVER}]"));
    assert!(!errors.contains("digest"));
}

#[test]
fn what_is_not_made_for_istio() {
    let query =
        "insecure_allow_query_param_auth: true, insecure_query_param_auth_allowed_hosts: [api.example]";
    let rule = "rules: [{match: {hosts: [api.example], clusters: [api]}, query_params: {key: {env: KEY}}}]";
    let half = format!("outbound: {{{query}, {rule}}}");
    for (policy, arguments, expected) in [
        (
            format!("{{version: 1, role: upstream, {half}}}"),
            [].as_slice(),
            "role: `upstream` is for a filter of a cluster, and Istio attaches to listeners\n  help: leave `role` away and name \
             `match.clusters`: where keys go into the query, the second hop is made of it",
        ),
        (
            format!("{{version: 1, {half}}}"),
            &[],
            "outbound.rules: Istio has no cluster `api`\n  help: Istio's clusters have names such as `outbound|443||api.example`",
        ),
        (
            format!("{{version: 1, {half}}}"),
            &["--target-ref", "Gateway/door"],
            "outbound.rules: a second hop for keys in the query is not made for gateways of Istio\n  help: give the keys to a \
             sidecar's policy, or accept that logs of the gateway see them: `--simple-query`",
        ),
        (
            "{version: 1, inbound: {}}".to_owned(),
            &["--pair", "--sidecar-namespace", "agents"],
            "inbound.forward.assertion: missing: the gateway signs nothing\n  help: `issuer`, `audience`, `keys` and `jwks_path`: \
             docs/assertion.md",
        ),
    ] {
        let arguments = [
            &["istio-wasmplugin", "--image", IMAGE, "--namespace", "agents"],
            arguments,
        ]
        .concat();
        let (status, output, errors) = render_text("not.yaml", &policy, &arguments);
        assert_eq!((status, output.as_str()), (1, ""));
        assert_eq!(errors, format!("error: not.yaml: {expected}\n"));
    }
    let (status, output, _) = render_text(
        "simple.yaml",
        &format!("{{version: 1, {half}}}"),
        &[
            "istio-wasmplugin",
            "--image",
            IMAGE,
            "--namespace",
            "agents",
            "--simple-query",
        ],
    );
    assert_eq!(status, 0);
    assert!(
        !output.contains("EnvoyFilter") && output.contains("query_params: {key: {env: KEY}}"),
        "{output}"
    );
}

#[test]
fn the_policy_behind_a_gateway() {
    let arguments = [
        "sidecar-policy",
        "door.policy.yaml",
        "--gateway",
        "http://gateway.internal:8080/",
    ];
    let (status, output, errors) = render(&arguments);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert_golden("door.sidecar-policy.yaml", &output);
}

#[test]
fn the_filter_alone() {
    let (status, output, errors) = render(&[
        "envoy",
        "sidecar.policy.yaml",
        "--filter-only",
        "--module",
        "/opt/p.wasm",
    ]);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert_golden("sidecar.filter.yaml", &output);
}

#[test]
fn faults_are_those_of_check() {
    let policy =
        "{version: 1, role: inbund, inbound: {rules: [{accept: [jwt]}], peers: {a: {api_keys: [{env: K}]}}}}";
    let (status, output, errors) = render_text("bad.yaml", policy, &["envoy"]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert_eq!(
        errors,
        "error: role: expected `auto`, `inbound`, `outbound`, `gateway` or `upstream`, found `inbund`\n  help: did you \
         mean `inbound`?\nerror: inbound.rules[0].accept[0]: there is no provider that this could accept\n  help: add \
         one under `inbound.providers`\n2 errors\n"
    );
}

#[test]
fn secrets_that_are_written_down_are_not_copied() {
    let policy = "{version: 1, inbound: {peers: {a: {api_keys: [{inline: render-inline-key-4711}]}}, rules: [{accept: \
                  [api_key]}]}}";
    let (status, output, errors) = render_text("inline.yaml", policy, &["envoy"]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert_eq!(
        errors,
        "error: inline.yaml: inbound.peers.a.api_keys[0].inline: written down, and would stand in every copy of what is \
         rendered\n  help: name a variable, `{env: NAME}`, or have `peergate seal` seal it; of a key set the public halves \
         are enough. `--insecure-inline-secrets` renders them all the same\n"
    );
    let (status, output, errors) =
        render_text("inline.yaml", policy, &["envoy", "--insecure-inline-secrets"]);
    assert_eq!(status, 0);
    assert!(output.contains("render-inline-key-4711"));
    assert!(
        errors.starts_with("warning: inbound.peers.a.api_keys[0].inline: secret is written"),
        "{errors}"
    );
    assert!(!errors.contains("4711"));
}

#[test]
fn names_stand_for_nothing_here() {
    let policy = r#"
version: 1
inbound:
  providers:
    idp: {issuer: "${ISSUER}", audiences: ["a-${NAME}"], jwks: {discovery: {cluster: idp}}}
  rules: [{name: agent, accept: [jwt]}]
  errors: {realm: "${NAMESPACE}"}
"#;
    let (status, output, errors) = render_text("names.yaml", policy, &["envoy"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(
        output.contains("environment_variables: {host_env_keys: [ISSUER, NAME]}"),
        "{output}"
    );
    assert!(output.contains("issuer: \"${ISSUER}\""));
    assert!(output.contains("metadata: {WORKLOAD_NAME: placeholder, NAMESPACE: placeholder}"));
    assert!(output.contains("# PLACEHOLDER: the policy does not say where this leads (inbound.providers.idp.jwks.discovery.cluster)."));
}

#[test]
fn sealed_secrets_stay_sealed() {
    let sealed = "eyJhbGciOiJFQ0RILUVTIn0..a.b.c";
    let policy = format!(
        "{{version: 1, inbound: {{peers: {{a: {{api_keys: [{{sealed: {sealed}}}]}}}}, rules: [{{accept: [api_key]}}]}}}}"
    );
    let (status, _, errors) = render_text("sealed.yaml", &policy, &["envoy"]);
    assert_eq!(status, 1);
    assert!(
        errors.starts_with("error: inbound.peers.a.api_keys[0].sealed: sealed secret "),
        "{errors}"
    );
}

#[test]
fn places() {
    for (policy, arguments, expected) in [
        (
            "{version: 1, role: outbound, outbound: {}}",
            vec!["--role", "gateway"],
            "role: the policy says `outbound`\n  help: leave `--role` away, or write the same into the policy",
        ),
        (
            "{version: 1, outbound: {}}",
            vec!["--role", "gateway"],
            "configuration: has no `inbound`, which decides there",
        ),
    ] {
        let arguments = [&["envoy"], arguments.as_slice()].concat();
        let (status, output, errors) = render_text("place.yaml", policy, &arguments);
        assert_eq!((status, output.as_str()), (1, ""));
        assert_eq!(errors, format!("error: place.yaml: {expected}\n"));
    }
    let (status, output, _) = render_text(
        "place.yaml",
        "{version: 1, inbound: {}}",
        &["envoy", "--role", "gateway"],
    );
    assert_eq!(status, 0);
    assert!(
        output.contains("- name: front\n") && !output.contains("traffic_direction: INBOUND"),
        "{output}"
    );
}

#[test]
fn arguments_that_are_none() {
    for (arguments, expected) in [
        (["--cluster", "api"], "expected NAME=URL"),
        (
            ["--cluster", "api=api.example"],
            "expected an `http` or `https` URL behind NAME=",
        ),
        (["--agent", "agent"], "expected HOST:PORT"),
    ] {
        let (status, output, errors) =
            render(&[&["envoy", "codes.policy.yaml"], arguments.as_slice()].concat());
        assert_eq!((status, output.as_str()), (2, ""));
        assert!(errors.contains(expected), "{errors}");
    }
}
