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
use serde_json::{Value, json};

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
            &[
                "--selector",
                "istio=ingressgateway",
                "--pair",
                "--sidecar-namespace",
                "agents",
            ],
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

/// Manifests of a policy for Istio, and what is said of them.
fn istio(policy: &str, arguments: &str) -> Seen {
    let arguments: Vec<&str> = ["istio-wasmplugin", "--image", IMAGE]
        .into_iter()
        .chain(arguments.split_whitespace())
        .collect();
    // Tests run side by side.
    let name = format!("istio-{:?}.yaml", std::thread::current().id());
    if policy.ends_with(".yaml") {
        return render(&[arguments.as_slice(), &[policy]].concat());
    }
    render_text(&name, policy, &arguments)
}

const OWN: &str = "{version: 1, inbound: {rules: [{deny: true}]}}";

#[test]
fn what_would_leave_a_door_open_is_refused() {
    let pair = "--namespace agents --selector istio=ingressgateway --pair --sidecar-namespace";
    for (policy, arguments, expected) in [
        (
            OWN,
            "--namespace istio-system",
            "fallback: missing: without a selector `istio-system` is the whole mesh, where every workload with a policy of its own \
             would answer 503 (`layer_order`)\n  help: add `fallback: true` to the policy, so that a workload's own goes first, or \
             name the workloads: `--selector LABEL=VALUE`",
        ),
        (
            "door.policy.yaml",
            &format!("{pair} istio-system"),
            "--sidecar-namespace: without a selector `istio-system` is the whole mesh\n  help: `--sidecar-selector LABEL=VALUE`, or \
             the namespace where the agents are",
        ),
        (
            "door.policy.yaml",
            "--namespace agents --pair --sidecar-namespace agents --gateway-service gw.agents:80",
            "--pair: without a selector the gateway's policy is for the sidecars of its namespace as well\n  help: `--selector \
             LABEL=VALUE`, with what the gateway's pods have",
        ),
        (
            "door.policy.yaml",
            "--namespace agents --target-ref Gateway/gw --pair --sidecar-namespace agents",
            "--gateway-service: missing: which service leads to this gateway is not known\n  help: `--gateway-service HOST:PORT`: for \
             a Gateway NAME that Istio runs, `NAME-istio.NAMESPACE.svc.cluster.local:80`",
        ),
        (
            "door.policy.yaml",
            "--namespace agents --selector istio=ingressgateway --mode server",
            "--mode: Istio calls nothing SERVER at a gateway: the filter would not be there, and the gateway open\n  help: leave \
             `--mode` away",
        ),
    ] {
        let (status, output, errors) = istio(policy, arguments);
        assert_eq!((status, output.as_str()), (1, ""), "{arguments}");
        let (file, said) = errors
            .split_once(": ")
            .map(|(_, rest)| rest.split_once(": ").unwrap())
            .unwrap();
        assert!(file.ends_with(".yaml"));
        assert_eq!(said, format!("{expected}\n"));
    }
    let (status, ..) = istio(OWN, "--namespace istio-system --selector app=charlie");
    assert_eq!(status, 0);
    let (status, ..) = istio(OWN, "--namespace istio-config --root-namespace istio-config");
    assert_eq!(status, 1);
}

#[test]
fn a_pair_in_one_namespace_has_two_names() {
    let pair = "--pair --sidecar-namespace agents --sidecar-selector app=agent";
    let usual = format!("--namespace agents --selector istio=ingressgateway {pair}");
    let (status, output, errors) = istio("door.policy.yaml", &usual);
    assert_eq!((status, errors.as_str()), (0, ""));
    let names: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("  name: "))
        .collect();
    assert_eq!(names, ["  name: peergate", "  name: peergate-sidecar"]);

    let named = format!(
        "--namespace agents --target-ref Gateway/gw {pair} --gateway-service gw-istio.agents.svc.cluster.local:8080"
    );
    let (status, output, errors) = istio("door.policy.yaml", &named);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(output.contains("cluster: \"outbound|8080||gw-istio.agents.svc.cluster.local\""));
    assert!(!output.contains("istio-ingressgateway") && !output.contains("patch deployment"));
    assert!(output.contains("#       parametersRef: {group: \"\", kind: ConfigMap, name: peergate-proxy}"));
}

#[test]
fn gateways_are_known_by_their_labels() {
    for label in [
        "istio=ingressgateway",
        "istio=egressgateway",
        "app=istio-ingressgateway",
        "gateway.networking.k8s.io/gateway-name=door",
    ] {
        let arguments = format!("--namespace agents --selector {label}");
        let (status, output, errors) = istio(OWN, &arguments);
        assert_eq!((status, errors.as_str()), (0, ""), "{label}");
        assert!(!output.contains("\n  match:"), "{output}");
    }
    let (status, output, errors) = istio("door.policy.yaml", "--namespace agents --selector app=door");
    assert_eq!(status, 0);
    assert!(output.contains("match: [{mode: SERVER}]"));
    assert_eq!(
        errors,
        "warning: inbound.forward.assertion.jwks_path: a gateway's, and `match` is SERVER, which is nothing at a gateway: it \
         would stay open\n  help: where it is for a gateway, `role: gateway` in the policy says so\n"
    );
    let (status, _, errors) = istio("gateway.policy.yaml", "--namespace agents --simple-query");
    assert_eq!(status, 0);
    assert!(
        errors.contains("warning: role: `gateway` without a selector: "),
        "{errors}"
    );
}

const MESH: &str = r#"
version: 1
fallback: true
inbound:
  providers:
    idp:
      issuer: https://login.corp.example
      audiences: ["${WORKLOAD}"]
      jwks: {discovery: {cluster: "outbound|443||login.corp.example"}}
  peers: {mrpink: {totp_seeds: [{env: MRPINK_TOTP}]}}
  rules: [{accept: [jwt]}]
"#;

#[test]
fn the_whole_mesh_is_told_what_becomes_of_it() {
    let (status, output, errors) = istio(MESH, "--namespace istio-system");
    assert_eq!(status, 0);
    assert!(!output.contains("exportTo:"), "{output}");
    assert!(output.contains("# For the whole mesh, as the policy is: no exportTo.\n"));
    assert!(!output.contains("is called by plain HTTP"));
    assert!(
        output.contains("# The filter itself asks login.corp.example through"),
        "{output}"
    );
    assert!(output.contains("Every proxy of the mesh needs them"), "{output}");
    assert_eq!(
        errors,
        "warning: host `login.corp.example`: port 443 is plain HTTP for every workload of the mesh: one that speaks TLS there \
         itself gets TLS within TLS\n  help: with the cluster `outbound|8443||login.corp.example` in the policy, the filter has \
         a port for itself\nwarning: variables MRPINK_TOTP: every proxy of the mesh needs them: one without them refuses the \
         policy, and answers 500 to everything\n  help: `on_missing_secret: deny_rule` lets only what needs them answer 503; \
         sealed secrets want one variable in place of all (`peergate seal`)\n"
    );
    let own = MESH.replace("outbound|443", "outbound|8443");
    let own = format!("{own}on_missing_secret: deny_rule\n");
    let (status, output, errors) = istio(&own, "--namespace istio-system");
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(
        output.contains("- {number: 8443, targetPort: 443, name: http-8443, protocol: HTTP}"),
        "{output}"
    );
    assert!(output.contains("- port: {number: 8443}"));
    let (_, output, errors) = istio(MESH, "--namespace agents");
    assert_eq!(
        (output.matches("exportTo: [\".\"]").count(), errors.as_str()),
        (2, "")
    );
}

#[test]
fn hosts_that_are_none_outside() {
    let policy = "{version: 1, outbound: {rules: [
      {match: {clusters: ['outbound|443||*.foo.example']}, headers: {authorization: {value: {env: KEY}}}},
      {match: {clusters: ['outbound|80||tools.agents.svc.corp.internal']}},
      {match: {hosts: [a.b.example]}},
      {match: {hosts: [a-b.example]}}]}}";
    let (status, output, errors) = istio(policy, "--namespace agents --cluster-domain corp.internal");
    assert_eq!(status, 0);
    assert_eq!(
        errors,
        "warning: host `*.foo.example`: no ServiceEntry is made: nobody can look up a wildcard\n  help: name each host that is \
         called, or write the ServiceEntry yourself\n"
    );
    let hosts: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("  hosts: "))
        .collect();
    assert_eq!(hosts, ["  hosts: [a.b.example]", "  hosts: [a-b.example]"]);
    assert_eq!(
        output.matches("  name: peergate-a-b-example-2\n").count(),
        2,
        "{output}"
    );
    let (status, output, errors) = istio(policy, "--namespace agents");
    assert_eq!(status, 0);
    assert!(output.contains("  hosts: [tools.agents.svc.corp.internal]"));
    assert!(
        errors.contains(
            "warning: host `tools.agents.svc.corp.internal`: taken for a host outside the mesh, where TLS is spoken\n  help: if it \
             is a service of the mesh: `--cluster-domain corp.internal`\n"
        ),
        "{errors}"
    );
    let hop = "{version: 1, outbound: {insecure_allow_query_param_auth: true, insecure_query_param_auth_allowed_hosts: \
               [api.foo.example], rules: [{match: {hosts: [api.foo.example], clusters: ['outbound|443||*.foo.example']}, \
               query_params: {key: {env: KEY}}}]}}";
    let (status, _, errors) = istio(hop, "--namespace agents");
    assert_eq!(status, 1);
    assert!(
        errors.ends_with(
            ": outbound.rules: no second hop leads to `*.foo.example`\n  help: name each host: `outbound|443||api.example`\n"
        ),
        "{errors}"
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
fn addresses_of_clusters_that_the_policy_does_not_have() {
    for (cluster, help) in [("charli", "  help: did you mean `charlie`?\n"), ("elsewhere", "")] {
        let address = format!("{cluster}=http://a.example");
        let (status, output, errors) = render(&["envoy", "query.policy.yaml", "--cluster", &address]);
        assert_eq!((status, output.as_str()), (1, ""));
        let error = format!("error: query.policy.yaml: --cluster: the policy has no cluster `{cluster}`\n");
        assert_eq!(errors, error + help);
    }
}

#[test]
fn what_goes_out_in_the_clear_is_told() {
    let policy = "{version: 1, outbound: {rules: [{match: {clusters: ['outbound|80||tools.example']}, headers: {authorization: \
                  {value: {env: TOKEN}, prefix: 'Bearer '}}}]}}";
    let (status, output, errors) = render_text("clear.yaml", policy, &["envoy"]);
    assert_eq!(status, 0, "{errors}");
    assert!(
        output.contains("# Without TLS: what the rules put onto calls goes there in the clear."),
        "{output}"
    );
    assert_eq!(
        errors,
        "warning: cluster `outbound|80||tools.example`: no TLS: what the rules put onto calls goes there in the clear\n  help: \
         where TLS is spoken: `--cluster 'outbound|80||tools.example=https://HOST'`\n"
    );
    let told = [
        "envoy",
        "--cluster",
        "outbound|80||tools.example=http://127.0.0.1:9002",
    ];
    let (status, _, errors) = render_text("clear.yaml", policy, &told);
    assert_eq!((status, errors.as_str()), (0, ""));
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
        let (status, output, errors) = render(&[&["envoy", OWN], arguments.as_slice()].concat());
        assert_eq!((status, output.as_str()), (2, ""));
        assert!(errors.contains(expected), "{errors}");
    }
}

/// Control characters, line separators, marks that turn the direction of writing, and what would be YAML on a line of its own.
const NASTY: &str = "a\n- name: evil\r---\u{b}\u{c}\u{85}kind: Evil\u{2028}b\u{2029}c: \u{1b}[31m\u{9b}2J\u{202e}\u{2066}\u{feff}\u{e0041}\"'`\\#: {{host}} é";

fn is_invisible(character: char) -> bool {
    character != '\n' && !"…é".contains(character) && !character.is_ascii_graphic() && character != ' '
}

/// What is rendered, as its readers read it: document by document.
fn read_all(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { strict_booleans: false, legacy_octal_numbers: true };
    serde_saphyr::from_multiple_with_options(text, options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// All texts of a value.
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(entries) => entries.iter().for_each(|entry| texts(entry, found)),
        Value::Object(members) => members.values().for_each(|value| texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A policy that calls a cluster of this name, with a key in the query, and one more.
fn nasty_policy(cluster: &str) -> Value {
    json!({
        "version": 1,
        "inbound": {"rules": [{"name": "agent", "match": {"path_prefixes": ["/a"]}, "accept": ["none"]}]},
        "outbound": {
            "insecure_allow_query_param_auth": true,
            "insecure_query_param_auth_allowed_hosts": ["api.example"],
            "rules": [
                {"name": "keys", "match": {"hosts": ["api.example"], "clusters": [cluster]},
                    "query_params": {"key": {"env": "KEY"}}},
                {"name": "codes", "match": {"clusters": [format!("{cluster}2")]}, "totp": {"seed": {"env": "SEED"}}},
            ],
        },
    })
}

fn nasty(policy: &Value, arguments: &[&str]) -> Vec<Value> {
    let (status, output, errors) = render_text(
        &format!("nasty-{}.json", arguments[0]),
        &policy.to_string(),
        arguments,
    );
    assert_eq!(status, 0, "{errors}");
    for text in [&output, &errors] {
        assert!(!text.contains(is_invisible), "{text:?}");
    }
    let begins = |line: &&str| {
        !["warning: ", "  help: "]
            .iter()
            .any(|begin| line.starts_with(begin))
    };
    assert_eq!(errors.lines().find(begins), None);
    read_all(&output)
}

#[test]
fn no_text_is_anything_else_than_a_text_to_envoy() {
    let cluster = format!("{NASTY}\0");
    let policy = nasty_policy(&cluster);
    let more = [
        "--module",
        NASTY,
        "--ca-file",
        NASTY,
        "--workload",
        NASTY,
        "--namespace",
        NASTY,
    ];
    let found = nasty(&policy, &[&["envoy"], more.as_slice()].concat());
    let [file] = found.as_slice() else {
        panic!("{} documents", found.len());
    };
    let plain = nasty(&nasty_policy("api"), &["envoy"]);
    for list in ["listeners", "clusters"] {
        let count = |file: &Value| file["static_resources"][list].as_array().unwrap().len();
        assert_eq!(count(file), count(&plain[0]), "{list}");
    }
    let mut read = Vec::new();
    texts(file, &mut read);
    for text in [
        NASTY,
        &cluster,
        &format!("{cluster}2"),
        &format!("{cluster}-second-hop"),
    ] {
        assert!(read.contains(&text), "{text:?}");
    }
    let found = nasty(&policy, &["envoy", "--filter-only", "--module", NASTY]);
    assert_eq!(found[0].as_array().unwrap().len(), 1);
    assert_eq!(
        found[0][0]["typed_config"]["config"]["configuration"]["value"],
        policy
    );
}

#[test]
fn no_text_is_anything_else_than_a_text_to_istio() {
    let policy = nasty_policy(&format!("outbound|80||{NASTY}\0.example"));
    let place = ["--namespace", "agents", "--selector", &format!("{NASTY}={NASTY}")];
    let form = ["istio-wasmplugin", "--image", NASTY, "--sha256", NASTY];
    for (more, kinds) in [
        (
            ["--simple-query"].as_slice(),
            [
                "WasmPlugin",
                "ServiceEntry",
                "DestinationRule",
                "ServiceEntry",
                "DestinationRule",
            ]
            .as_slice(),
        ),
        (
            &[],
            &[
                "WasmPlugin",
                "ServiceEntry",
                "ServiceEntry",
                "DestinationRule",
                "EnvoyFilter",
            ],
        ),
    ] {
        let found = nasty(&policy, &[&form, place.as_slice(), more].concat());
        let found_kinds: Vec<&str> = found
            .iter()
            .map(|document| document["kind"].as_str().unwrap())
            .collect();
        assert_eq!(found_kinds, kinds);
        assert_eq!(found[0]["spec"]["url"], NASTY);
        assert_eq!(found[0]["spec"]["selector"]["matchLabels"][NASTY], NASTY);
        if !more.is_empty() {
            assert_eq!(found[0]["spec"]["pluginConfig"], policy);
        }
    }
}

#[test]
fn names_of_kubernetes_are_names() {
    for argument in [
        "--secret",
        "--namespace",
        "--name",
        "--pull-secret",
        "--root-namespace",
        "--cluster-domain",
        "--sidecar-namespace",
    ] {
        let (status, output, errors) = render(&[
            "istio-wasmplugin",
            "mesh.policy.yaml",
            "--image",
            IMAGE,
            "--pair",
            argument,
            "a\nkind: Evil\u{1b}[2J",
        ]);
        assert_eq!((status, output.as_str()), (2, ""), "{argument}");
        assert!(
            errors.starts_with(&format!(
                "error: invalid value 'a\\nkind: Evil\\u{{1b}}[2J' for '{argument} <"
            )) && errors.contains("expected a name of Kubernetes"),
            "{errors}"
        );
    }
}

#[test]
fn key_sets_with_keys_that_are_not_public_are_not_copied() {
    let secret = "cmVuZGVyLXN5bW1ldHJpYy1rZXktNDcxMS1yZW5kZXItc3ltbWV0cmlj";
    let policy = format!(
        "{{version: 1, inbound: {{providers: {{idp: {{issuer: 'https://a.example', audiences: [a], jwks: {{inline: {{keys: [\
         {{kty: OKP, crv: Ed25519, alg: EdDSA, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}}, {{kty: oct, k: {secret}}}\
         ]}}}}}}}}, rules: [{{accept: [jwt]}}]}}}}"
    );
    for form in [
        ["envoy"].as_slice(),
        &["istio-wasmplugin", "--image", IMAGE, "--namespace", "agents"],
    ] {
        let (status, output, errors) = render_text("shared.yaml", &policy, form);
        assert_eq!((status, output.as_str()), (1, ""), "{errors}");
        assert!(
            errors.starts_with(
                "error: shared.yaml: inbound.providers.idp.jwks.inline.keys[1]: written down, and would stand in every copy"
            ),
            "{errors}"
        );
        let all_the_same = [form, &["--insecure-inline-secrets"]].concat();
        let (status, output, _) = render_text("shared.yaml", &policy, &all_the_same);
        assert!(status == 0 && output.contains(secret));
    }
}
