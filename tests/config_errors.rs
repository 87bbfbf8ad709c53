//! What configurations are refused, with exactly which words: `tests/config/*.yaml` is the specification.
//!
//! A file is a list of cases. Each has a configuration (`policy`, or only its `inbound` or `outbound` half) and the
//! place where it is read; and either `refused`, which is all that is said of it, or `accepted`, which is all
//! warnings. The YAML of a case is read as `peergate check` reads it, but for `<<`, which the files use.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "support/config_cases.rs"]
mod config_cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use config_cases::cases;
use peergate_filter::config::{self, Document, Environment, Problem};

#[test]
fn every_case_says_exactly_this() {
    let cases = cases();
    assert!(cases.len() > 200, "only {} cases were found", cases.len());
    let mut failures = Vec::new();
    for (name, case) in cases {
        let (kind, expected) = match (&case.refused, &case.accepted) {
            (Some(refused), None) => ("refused", refused),
            (None, Some(accepted)) => ("accepted", accepted),
            _ => panic!("{name}: needs one of `refused` and `accepted`"),
        };
        let (actual_kind, actual) = match case.load() {
            Ok(loaded) => {
                let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
                ("accepted", warnings.join("\n"))
            }
            Err(errors) => ("refused", errors.to_string()),
        };
        if (actual_kind, actual.trim_end()) != (kind, expected.trim_end()) {
            failures.push(format!(
                "{name}\n--- expected: {kind}\n{expected}\n--- but: {actual_kind}\n{actual}\n"
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} cases differ\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A kind of problem without a case has words that nobody has read.
#[test]
fn every_kind_of_problem_has_a_case() {
    let mut seen = BTreeSet::new();
    for (_, case) in cases() {
        if let Err(errors) = case.load() {
            seen.extend(errors.iter().map(|error| kind(error.problem())));
        }
    }
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|kind| (*kind).to_owned()).collect();
    let all = all_kinds();
    assert!(
        all.is_superset(&elsewhere) && all.is_superset(&seen),
        "the sources were read wrongly: {all:?}"
    );
    let missing: Vec<&String> = all.iter().filter(|kind| !seen.contains(*kind)).collect();
    let expected: Vec<&String> = elsewhere.iter().collect();
    assert_eq!(missing, expected);
}

/// Every policy in the documentation is one.
#[test]
fn documented_policies_are_accepted() {
    let files = [
        ("docs/configuration.md", 2),
        ("docs/keys.md", 4),
        ("docs/placements.md", 2),
        ("README.md", 1),
    ];
    for (file, least) in files {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let blocks = text
            .split("```yaml\n")
            .skip(1)
            .filter_map(|block| block.split("```").next());
        let policies: Vec<&str> = blocks.filter(|block| block.starts_with("version: 1\n")).collect();
        assert!(policies.len() >= least, "{file} has {} policies", policies.len());
        for policy in policies {
            let document: Document = serde_saphyr::from_str(policy).unwrap();
            let environment = Environment {
                variables: variables(policy),
                workload: Some("charlie".into()),
                namespace: Some("agents".into()),
            };
            if let Err(errors) = config::load(&document, &environment) {
                panic!("{file}\n{policy}\n{errors}");
            }
        }
    }
}

/// A value for each `{env: NAME}`: a seed, which is a good key as well.
fn variables(policy: &str) -> BTreeMap<String, String> {
    let names = policy
        .split("{env: ")
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    names
        .map(|name| (name.to_owned(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()))
        .collect()
}

/// `Shape::Missing`, out of what `Debug` prints.
fn kind(problem: &Problem) -> String {
    let printed = format!("{problem:?}");
    let mut words = printed.split(|character: char| !character.is_ascii_alphanumeric());
    format!("{}::{}", words.next().unwrap(), words.next().unwrap())
}

/// All kinds, as the sources have them: a list of its own would be forgotten.
fn all_kinds() -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/problem");
    for file in fs::read_dir(folder).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut part = None;
        for line in source.lines() {
            if let Some(name) = line.strip_prefix("pub enum ") {
                part = name.split_once("Problem ").map(|(part, _)| part);
            } else if line == "}" {
                part = None;
            } else if let (Some(part), Some(variant)) = (part, line.strip_prefix("    "))
                && variant.starts_with(|first: char| first.is_ascii_uppercase())
            {
                let name = variant
                    .split(|character: char| !character.is_ascii_alphanumeric())
                    .next();
                kinds.insert(format!("{part}::{}", name.unwrap()));
            }
        }
    }
    kinds
}

/// What no configuration in YAML leads to.
const ELSEWHERE: &[&str] = &[
    // Of other formats: tests/config_formats.rs.
    "Document::Empty",
    "Document::Json",
    "Document::NeitherJsonNorStruct",
    "Document::NoValue",
    "Document::NotFinite",
    "Document::TooDeep",
    // Of documents that are too large to be read by people: there as well.
    "Shape::TooMany",
    // Behind other checks, should those ever be forgotten.
    "Document::Unread",
    "Provider::KeySet",
];
