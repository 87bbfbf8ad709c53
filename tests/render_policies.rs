//! Every policy that the tests know to be good is rendered as it was written, whoever reads it.
//!
//! They are the accepted cases of `tests/config`, and the policies of `tests/policies` and `examples`. What is rendered is
//! read again as YAML 1.2, and with the words and octal numbers of 1.1.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "support/config_cases.rs"]
mod config_cases;

use std::fs;
use std::path::Path;

use config_cases::cases;
use peergate_filter::config::{Document, Environment};
use peergate_filter::render::{
    self, Address, Addresses, EnvoyOptions, IstioOptions, Kind, Phase, RenderError, Subject, Target,
};

const IMAGE: &str =
    "oci://registry.example/peergate@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Where a good policy comes from, and the policy.
fn policies() -> Vec<(String, Document)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let accepted = cases()
        .into_iter()
        .filter(|(_, case)| case.accepted.is_some() && case.load().is_ok());
    let mut policies: Vec<_> = accepted.map(|(name, case)| (name, case.policy())).collect();
    for folder in ["tests/policies", "examples"] {
        for file in fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                policies.push((path.display().to_string(), read(&text, false)));
            }
        }
    }
    assert!(policies.len() > 60, "only {}", policies.len());
    policies
}

fn read(text: &str, is_1_1: bool) -> Document {
    let options = serde_saphyr::options! { strict_booleans: !is_1_1, legacy_octal_numbers: is_1_1 };
    serde_saphyr::from_str_with_options(text, options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn all_readers_read_what_was_written() {
    for (name, policy) in policies() {
        let text = render::policy(&policy);
        for is_1_1 in [false, true] {
            // Values of different kinds are written in different ways: equal texts are equal documents.
            assert_eq!(render::policy(&read(&text, is_1_1)), text, "{name}");
        }
    }
}

#[test]
fn a_good_policy_is_one_without_what_it_names() {
    for (name, policy) in policies() {
        let subject = Subject::new(&policy, &Environment::default());
        let subject = subject.unwrap_or_else(|errors| panic!("{name}\n{errors}"));
        let options = EnvoyOptions {
            role: None,
            module: "target/peergate.wasm".into(),
            agent: Address::new("127.0.0.1", 9000),
            port: 10000,
            ca_file: "ca.pem".into(),
            addresses: Addresses::new(),
            workload: None,
            namespace: None,
            filter_only: false,
            allows_inline_secrets: true,
        };
        let text = render::envoy(&subject, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!text.contains("{{"), "{name}\n{text}");
        let _: Document = read(&text, true);
    }
}

#[test]
fn what_istio_is_given_is_yaml() {
    let mut count = 0;
    for (name, policy) in policies() {
        let subject = Subject::new(&policy, &Environment::default()).unwrap();
        let options = IstioOptions {
            kind: Kind::WasmPlugin,
            name: "peergate".into(),
            target: Target {
                namespace: "agents".into(),
                selector: vec![("app".into(), "agent".into())],
                references: Vec::new(),
            },
            image: IMAGE.into(),
            sha256: None,
            pull_secret: None,
            phase: Phase::Authn,
            priority: None,
            mode: None,
            simple_query: false,
            secret: "peergate".into(),
            addresses: Addresses::new(),
            pair: None,
            root_namespace: "istio-system".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            allows_inline_secrets: true,
        };
        let text = match render::istio(&subject, &options) {
            Ok(text) => text,
            Err(
                RenderError::UpstreamInIstio | RenderError::NoIstioCluster(_) | RenderError::QueryAtGateway,
            ) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        assert!(!text.contains("{{"), "{name}\n{text}");
        for document in text.split("\n---\n") {
            let _: Document = read(document, true);
        }
        count += 1;
    }
    assert!(count > 40, "only {count}");
}
