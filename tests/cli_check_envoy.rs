//! `peergate check --envoy`, as a person sees it: what is said of an Envoy file, and of what a policy would miss in it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use std::fs;
use std::path::Path;

use program::{Seen, run_in};

fn check(arguments: &[&str]) -> Seen {
    run_in(
        env!("CARGO_MANIFEST_DIR"),
        &[&["check"], arguments].concat(),
        "",
        &[],
    )
}

/// A file of this name.
fn file(name: &str, text: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli_check_envoy");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// An Envoy file with one listener; `{old}` becomes `{new}`.
fn envoy(name: &str, changes: &[(&str, &str)]) -> String {
    let mut text = ENVOY.to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    file(name, &text)
}

const ENVOY: &str = r#"
static_resources:
  listeners:
  - name: inbound
    traffic_direction: INBOUND
    filter_chains:
    - filters:
      - name: manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stream_idle_timeout: 60s
          http_filters:
          - name: peergate
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                failure_policy: FAIL_RELOAD
                vm_config:
                  vm_id: peergate
                  environment_variables: {host_env_keys: [SEED]}
                configuration:
                  "@type": type.googleapis.com/google.protobuf.Struct
                  value:
                    version: 1
                    inbound:
                      providers:
                        idp:
                          issuer: https://issuer.example
                          audiences: [https://agent.example]
                          jwks: {remote: {uri: https://issuer.example/keys, cluster: idp}}
                      peers: {mrpink: {totp_seeds: [{env: SEED}]}}
                      rules:
                      - {name: card, match: {paths: [/.well-known/agent-card.json]}, accept: [none]}
                      - {name: agent, accept: [jwt], require: {totp: true}}
  clusters:
  - name: idp
stats_config:
  stats_tags:
  - {tag_name: direction, regex: peergate_a}
  - {tag_name: outcome, regex: peergate_a}
  - {tag_name: reason, regex: peergate_a}
  - {tag_name: rule, regex: peergate_a}
"#;

const FILTER: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config";

fn ok() -> Seen {
    (0, "ok\n".into(), String::new())
}

#[test]
fn every_sample_is_good() {
    let mut count = 0;
    for sample in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy")).unwrap() {
        let path = sample.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            assert_eq!(check(&["--deny-hints", "--envoy", path.to_str().unwrap()]), ok());
            count += 1;
        }
    }
    assert!(count >= 5);
}

#[test]
fn what_would_break() {
    let clusters = "  clusters:\n  - name: idp\n";
    for (changes, expected) in [
        (
            vec![(clusters, "  clusters: [{name: other}]\n")],
            "{filter}: inbound.providers.idp.jwks.remote.cluster: cluster `idp` is not in the Envoy file\n  help: add it to \
             `static_resources.clusters`, or name the cluster that is meant",
        ),
        (
            vec![("host_env_keys: [SEED]", "host_env_keys: [SED]")],
            "{filter}: variable `SEED` is not handed to the filter\n  help: add it to \
             `vm_config.environment_variables.host_env_keys` of the filter",
        ),
        (
            vec![("failure_policy: FAIL_RELOAD", "failure_policy: FAIL_OPEN")],
            "{filter}: should the module fail, requests pass unchecked\n  help: `failure_policy: FAIL_RELOAD`",
        ),
        (
            vec![("failure_policy: FAIL_RELOAD", "fail_open: true")],
            "{filter}: should the module fail, requests pass unchecked\n  help: `failure_policy: FAIL_RELOAD`",
        ),
        (
            vec![("name: agent,", "name: on,")],
            "{filter}: inbound.rules[1].name: `on` is true to Envoy, which reads YAML 1.1\n  help: quote it, or write `true`, \
             `false`, and numbers without leading zeros",
        ),
        (
            vec![(
                "issuer.example/keys, cluster: idp}",
                "issuer.example/keys, cluster: idp, timeout_seconds: 010}",
            )],
            "{filter}: inbound.providers.idp.jwks.remote.timeout_seconds: `010` is 8 to Envoy, which reads YAML 1.1\n  help: \
             quote it, or write `true`, `false`, and numbers without leading zeros",
        ),
        (
            vec![(
                "audiences: [https://agent.example]",
                "audience: https://agent.example",
            )],
            "{filter}: inbound.providers.idp.audience: is unknown\n  help: did you mean `audiences`?",
        ),
        (
            vec![(
                "version: 1\n                    inbound:",
                "version: 1\n                    inbund:",
            )],
            "{filter}: inbund: is unknown\n  help: did you mean `inbound`?",
        ),
    ] {
        let (status, output, errors) = check(&["--envoy", &envoy("broken.yaml", &changes)]);
        assert_eq!((status, output.as_str()), (1, ""), "{changes:?}");
        let expected = expected.replace("{filter}", FILTER);
        assert!(errors.starts_with(&format!("error: {expected}\n")), "{errors}");
    }
    let (status, _, errors) = check(&["--envoy", &envoy("other.yaml", &[("Wasm\n", "Lua\n")])]);
    assert_eq!(
        (status, errors.as_str()),
        (
            1,
            "error: configuration: no filter of peergate is in this file\n  help: what comes by discovery (LDS, ECDS) is not \
             seen here\n1 error\n"
        )
    );
}

/// The manager's routes, with a switch of the filter somewhere in them.
const ROUTES: &str = "stream_idle_timeout: 60s\n          route_config:\n            virtual_hosts:\n            - name: all\n              \
                      routes:\n              - match: {prefix: /healthz}\n                typed_per_filter_config:\n                  \
                      peergate: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, SWITCH}";
const MANAGER: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
const OFF: (&str, &str) = (
    "          - name: peergate\n",
    "          - name: peergate\n            disabled: on\n",
);

fn routes(switch: &str) -> String {
    ROUTES.replace("SWITCH", switch)
}

#[test]
fn a_filter_that_is_switched_off() {
    let off = "the filter is switched off (`disabled: true`)";
    let open = "requests pass unchecked, and identities can be forged";
    let outbound = ("traffic_direction: INBOUND", "traffic_direction: OUTBOUND");
    let idle = "stream_idle_timeout: 60s";
    for (changes, status, expected) in [
        (
            vec![OFF],
            1,
            format!("error: {FILTER}: {off}: {open}\n  help: take `disabled: true` away\n1 error\n"),
        ),
        // A route that turns it off as well turns nothing on.
        (
            vec![OFF, (idle, &routes("disabled: true"))],
            1,
            format!(
                "error: {FILTER}: {off}: {open}\n  help: take `disabled: true` away\nhint: {MANAGER}.route_config.\
                 virtual_hosts[0].routes[0].typed_per_filter_config.peergate: turns the filter off: {open}\n  help: a rule \
                 with `accept: [none]` lets everybody in too, and takes forged identities off\n1 error\n"
            ),
        ),
        (
            vec![OFF, (idle, &routes("config: {}"))],
            0,
            format!(
                "hint: {FILTER}: {off} but where a route turns it on; elsewhere {open}\n  help: take `disabled: true` away\n"
            ),
        ),
        (
            vec![OFF, (idle, "stream_idle_timeout: 60s\n          rds: {}")],
            0,
            format!(
                "hint: {FILTER}: {off} but where a route turns it on; elsewhere {open}\n  help: take `disabled: true` away\n"
            ),
        ),
        (
            vec![
                OFF,
                outbound,
                (
                    "version: 1\n",
                    "version: 1\n                    outbound: {on_no_match: deny}\n",
                ),
            ],
            1,
            format!(
                "error: {FILTER}: {off}: calls are given nothing\n  help: take `disabled: true` away\n1 error\n"
            ),
        ),
    ] {
        let seen = check(&["--envoy", &envoy("off.yaml", &changes)]);
        assert_eq!((seen.0, seen.2), (status, expected), "{changes:?}");
    }
}

#[test]
fn a_route_that_turns_the_filter_off() {
    let route = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].\
                 typed_per_filter_config.peergate";
    let idle = "stream_idle_timeout: 60s";
    let turned_off = routes("disabled: true");
    let expected = format!(
        "hint: {route}: turns the filter off: requests pass unchecked, and identities can be forged\n  help: a rule with \
         `accept: [none]` lets everybody in too, and takes forged identities off\n"
    );
    for changes in [
        vec![(idle, turned_off.as_str())],
        // A role that is written down counts before the direction.
        vec![
            (idle, &turned_off),
            ("direction: INBOUND", "direction: OUTBOUND"),
            ("version: 1\n", "version: 1\n                    role: inbound\n"),
        ],
    ] {
        let name = envoy("route.yaml", &changes);
        let seen = check(&["--envoy", &name]);
        assert_eq!(seen, (0, "ok\n".into(), expected.clone()));
        assert_eq!(check(&["--deny-hints", "--envoy", &name]).0, 1);
    }
    // Another filter's, and one that is on.
    let other = turned_off.replace("peergate:", "cors:");
    let on = routes("disabled: false");
    for routes in [other, on] {
        assert_eq!(check(&["--envoy", &envoy("on.yaml", &[(idle, &routes)])]), ok());
    }
}

#[test]
fn the_cluster_that_the_module_comes_from() {
    let remote = |cluster: &str| {
        format!(
            "vm_id: peergate\n                  code: {{remote: {{sha256: aa, http_uri: {{uri: https://a.example/m, cluster: {cluster}}}}}}}"
        )
    };
    assert_eq!(
        check(&[
            "--envoy",
            &envoy("remote.yaml", &[("vm_id: peergate", &remote("idp"))])
        ]),
        ok()
    );
    let (status, _, errors) = check(&[
        "--envoy",
        &envoy("remote.yaml", &[("vm_id: peergate", &remote("modules"))]),
    ]);
    assert_eq!(status, 1);
    assert_eq!(
        errors,
        format!(
            "error: {FILTER}.vm_config.code.remote.http_uri.cluster: cluster `modules` is not in the Envoy file\n  help: add it \
             to `static_resources.clusters`, or name the cluster that is meant\n1 error\n"
        )
    );
}

/// A policy for callers behind a workload asks nobody: unless it stands before it too, that is a mistake.
#[test]
fn a_policy_for_callers_where_calls_go_out() {
    let outbound = ("traffic_direction: INBOUND", "traffic_direction: OUTBOUND");
    let (status, output, errors) = check(&["--envoy", &envoy("out.yaml", &[outbound])]);
    assert_eq!((status, output.as_str()), (1, ""));
    assert_eq!(
        errors,
        format!(
            "error: {FILTER}: the policy has no `outbound`, and its `inbound` is never looked at here: nobody is asked who they \
             are\n  help: `traffic_direction: INBOUND` of the listener before a workload, or `role` in the policy\n1 error\n"
        )
    );
    // Istio's gateways have listeners of that direction only.
    let gateway = (
        "static_resources:",
        "node: {id: router~10.0.0.1~a~b}\nstatic_resources:",
    );
    assert_eq!(
        check(&["--envoy", &envoy("router.yaml", &[outbound, gateway])]),
        ok()
    );
    let listener = ENVOY.split_once("  listeners:\n").unwrap().1;
    let listener = listener.split_once("  clusters:").unwrap().0;
    let second = listener.replace(outbound.0, outbound.1);
    let both = file(
        "everywhere.yaml",
        &ENVOY.replace("  clusters:", &format!("{second}  clusters:")),
    );
    let second = FILTER.replace("listeners[0]", "listeners[1]");
    assert_eq!(
        check(&["--envoy", &both]),
        (
            0,
            "ok\n".into(),
            format!("hint: {second}: the policy has no `outbound`: the filter does nothing here\n")
        )
    );
}

#[test]
fn what_is_unwise() {
    let (value, secret) = ("key_values: {SEED: ", "check-envoy-value-0815");
    let cds = "dynamic_resources: {cds_config: {ads: {}}}\nstatic_resources:";
    for (changes, expected) in [
        (
            vec![("stream_idle_timeout: 60s", "stat_prefix: a")],
            "{filter}: no `stream_idle_timeout`: a request that waits when the module traps is held for five minutes\n  help: \
             `stream_idle_timeout: 60s` in the connection manager",
        ),
        (
            vec![("stream_idle_timeout: 60s", "stream_idle_timeout: 0s")],
            "{filter}: `stream_idle_timeout` is off: a request that waits when the module traps is held for ever\n  help: \
             `stream_idle_timeout: 60s` in the connection manager",
        ),
        (
            vec![("failure_policy: FAIL_RELOAD", "name: peergate")],
            "{filter}: should the module ever trap, this worker answers 503 until Envoy is restarted\n  help: `failure_policy: \
             FAIL_RELOAD`",
        ),
        (
            vec![("vm_id: peergate", "runtime: v8")],
            "{filter}: every module without a `vm_id` can write what the filter's workers share\n  help: `vm_config: {vm_id: \
             peergate, …}`",
        ),
        (
            vec![("host_env_keys: [SEED]", &format!("{value}{secret}}}"))],
            "{filter}: the value of variable `SEED` is written into the Envoy file\n  help: name it in `host_env_keys`: what \
             stands here is in every dump of the configuration",
        ),
        (
            vec![
                ("static_resources:", cds),
                ("  - name: idp\n", "  - name: other\n"),
            ],
            "{filter}: inbound.providers.idp.jwks.remote.cluster: cluster `idp` is not in the Envoy file; whether it comes by \
             discovery cannot be seen here",
        ),
        (
            vec![
                ("tag_name: rule", "tag_name: ruler"),
                ("tag_name: direction", "tag_name: way"),
            ],
            "stats_config.stats_tags: no tag `direction`, `rule` for the filter's counters: they have one long name each\n  help: \
             `stats_config` at the end of envoy/demo.yaml",
        ),
        (
            vec![
                (
                    "version: 1\n",
                    "version: 1\n                    on_missing_secret: deny_rule\n",
                ),
                ("[SEED]", "[]"),
            ],
            "{filter}: variable `SEED` is not handed to the filter; the policy lets it miss, or has it sealed\n  help: add it to \
             `vm_config.environment_variables.host_env_keys` of the filter",
        ),
    ] {
        let name = envoy("unwise.yaml", &changes);
        let (status, output, hints) = check(&["--envoy", &name]);
        assert_eq!((status, output.as_str()), (0, "ok\n"), "{hints}");
        assert_eq!(hints, format!("hint: {}\n", expected.replace("{filter}", FILTER)));
        assert!(!hints.contains(secret));
        assert_eq!(check(&["--deny-hints", "--envoy", &name]).0, 1);
    }
}

#[test]
fn a_policy_as_json_and_no_policy() {
    let value = ENVOY
        .split_once("value:\n")
        .unwrap()
        .1
        .split_once("  clusters:")
        .unwrap()
        .0;
    let json = "                    '{\"version\": 1, \"inbound\": {\"rules\": [{\"name\": \"on\", \"deny\": true}]}}'\n";
    let changes = [("Struct", "StringValue"), (value, json)];
    assert_eq!(check(&["--envoy", &envoy("json.yaml", &changes)]), ok());
    let changes = [("Struct", "StringValue"), (value, "                    '{'\n")];
    let (status, _, errors) = check(&["--envoy", &envoy("none.yaml", &changes)]);
    assert_eq!(status, 1);
    assert_eq!(
        errors,
        format!(
            "error: {FILTER}: the filter has no policy\n  help: `configuration` is a google.protobuf.Struct, or a \
             google.protobuf.StringValue with JSON\n1 error\n"
        )
    );
}

#[test]
fn a_policy_in_a_file_of_its_own() {
    let good = ENVOY
        .split_once("value:\n")
        .unwrap()
        .1
        .split_once("  clusters:")
        .unwrap()
        .0;
    let policy = file("policy.yaml", good);
    let seed = "SEED=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    assert_eq!(
        check(&[&policy, "--env", seed, "--envoy", &envoy("own.yaml", &[])]),
        ok()
    );
    let calls =
        "version: 1\noutbound: {rules: [{match: {clusters: [api]}, totp: {seed: {env: CALLS_SEED}}}]}\n";
    let calls = file("calls.yaml", calls);
    let arguments = [
        calls.as_str(),
        "--env",
        "CALLS_SEED=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "--envoy",
    ];
    let (status, output, errors) = check(&[arguments.as_slice(), &[&envoy("own.yaml", &[])]].concat());
    assert_eq!((status, output.as_str()), (1, ""));
    assert_eq!(
        errors,
        format!(
            "error: outbound.rules[0].match.clusters[0]: cluster `api` is not in the Envoy file\n  help: add it to \
             `static_resources.clusters`, or name the cluster that is meant\nerror: {FILTER}: variable `CALLS_SEED` is not \
             handed to the filter\n  help: add it to `vm_config.environment_variables.host_env_keys` of the filter\n2 errors\n"
        )
    );
}

#[test]
fn halves_and_names() {
    let half = "version: 1\n                    inbound:";
    let outbound = envoy(
        "half.yaml",
        &[(
            half,
            "version: 1\n                    outbound: {on_no_match: deny}\n                    # inbound:",
        )],
    );
    // What stands below is no part of `outbound`, and a fault of its own: the rest of the file goes.
    let text = fs::read_to_string(&outbound).unwrap();
    let (before, after) = text.split_once("                    # inbound:").unwrap();
    let rest = after.split_once("  clusters:").unwrap().1;
    let outbound = file("half.yaml", &format!("{before}  clusters:{rest}"));
    let (status, _, errors) = check(&["--envoy", &outbound]);
    assert_eq!(status, 1);
    assert_eq!(
        errors,
        format!(
            "error: {FILTER}: the policy has no `inbound`: every request is answered with 503 here\n1 error\n"
        )
    );
    let listener = ENVOY
        .split_once("  listeners:\n")
        .unwrap()
        .1
        .split_once("  clusters:")
        .unwrap()
        .0;
    let second = listener.replace("vm_id: peergate", "vm_id: other");
    let both = file(
        "both.yaml",
        &ENVOY.replace("  clusters:", &format!("{second}  clusters:")),
    );
    let (status, _, hints) = check(&["--envoy", &both]);
    assert_eq!(status, 0);
    assert_eq!(
        hints,
        "hint: configuration: filters of listeners have several `vm_id`s (`other`, `peergate`): they do not know of each other's \
         codes and keys\n  help: give them one, unless they are to know nothing of each other\n"
    );
}

#[test]
fn files_that_are_none() {
    let (status, _, errors) = check(&["--envoy", "nowhere.yaml"]);
    assert_eq!(status, 1);
    assert!(
        errors.starts_with("error: nowhere.yaml: cannot be read: "),
        "{errors}"
    );
    let twice = file("twice.yaml", "static_resources: {}\nstatic_resources: {}\n");
    let (status, _, errors) = check(&["--envoy", &twice]);
    assert_eq!(status, 1);
    assert!(errors.contains("is not accepted as YAML: "), "{errors}");
    assert_eq!(check(&[]).0, 2);
}
