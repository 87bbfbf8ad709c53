//! What is advised on policies that load, with exactly which words: `tests/hints/*.yaml` is the specification.
//!
//! A file is a list of cases. Each has a policy, or only one half of it, the place where it is read, and all `hints` on
//! it. The YAML of a case is read as `peergate check` reads it, but for `<<`, which the files use.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "support/case_files.rs"]
mod case_files;
#[path = "support/halves.rs"]
mod halves;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use peergate_filter::advice::{self, Hint};
use peergate_filter::config::{self, Document, Environment};
use serde::Deserialize;

const SIGNING_KEY: &str = include_str!("vectors/signer/p256.pem");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    policy: Option<Document>,
    inbound: Option<Document>,
    outbound: Option<Document>,
    #[serde(default)]
    hints: String,
    /// What other cases refer to.
    #[serde(rename = "also")]
    _also: Option<Document>,
}

impl Case {
    fn hints(self, name: &str) -> Vec<Hint> {
        let environment = Environment {
            variables: self.environment,
            workload: Some("charlie".into()),
            namespace: Some("agents".into()),
        };
        let policy = halves::policy(self.policy, self.inbound, self.outbound);
        hints(name, &policy, &environment)
    }
}

fn hints(name: &str, policy: &Document, environment: &Environment) -> Vec<Hint> {
    match config::load(policy, environment) {
        Ok(loaded) => advice::hints(&loaded.policy, policy, environment),
        Err(errors) => panic!("{name}: {errors}"),
    }
}

/// As `peergate check` prints them, without its `hint:`.
fn printed(hints: &[Hint]) -> String {
    let line = |hint: &Hint| match hint.help() {
        Some(help) => format!("{hint}\n  help: {help}"),
        None => hint.to_string(),
    };
    hints.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cases() -> Vec<(String, Case)> {
    let cases = case_files::cases::<Case>("tests/hints").into_iter();
    cases
        .map(|(file, case)| (format!("{file}: {}", case.case), case))
        .collect()
}

#[test]
fn every_case_says_exactly_this() {
    let cases = cases();
    assert!(cases.len() > 80, "only {} cases were found", cases.len());
    let mut failures = Vec::new();
    for (name, case) in cases {
        let expected = case.hints.trim_end().to_owned();
        let actual = printed(&case.hints(&name));
        if actual != expected {
            failures.push(format!("{name}\n--- expected:\n{expected}\n--- but:\n{actual}\n"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} cases differ\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A kind of advice without a case has words that nobody has read.
#[test]
fn every_kind_of_advice_has_a_case() {
    let mut seen = BTreeSet::new();
    for (name, case) in cases() {
        for hint in case.hints(&name) {
            let printed = format!("{:?}", hint.advice());
            // Every word that is a variant, of `Advice` and of what it holds.
            let words = printed.split(|character: char| !character.is_ascii_alphanumeric());
            seen.extend(words.map(str::to_owned));
        }
    }
    for file in ["words.rs", "strength.rs"] {
        let all = variants(&format!("src/advice/{file}"));
        assert!(all.len() > 2, "{file} was read wrongly: {all:?}");
        let missing: Vec<&String> = all.iter().filter(|variant| !seen.contains(*variant)).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{file}");
    }
}

/// The variants of all public enums in a source file: a list of its own would be forgotten.
fn variants(file: &str) -> BTreeSet<String> {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let mut variants = BTreeSet::new();
    let mut is_within = false;
    for line in source.lines() {
        if line.starts_with("pub enum ") {
            is_within = true;
        } else if line == "}" {
            is_within = false;
        } else if let Some(variant) = line.strip_prefix("    ").filter(|_| is_within)
            && variant.starts_with(|first: char| first.is_ascii_uppercase())
        {
            let name = variant
                .split(|character: char| !character.is_ascii_alphanumeric())
                .next();
            variants.insert(name.unwrap().to_owned());
        }
    }
    variants
}

/// Nobody learns from a document that its own program frowns at.
#[test]
fn documented_policies_are_without_hints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    let mut files = vec![root.join("README.md")];
    for (folder, ending) in [("docs", "md"), ("envoy", "yaml")] {
        let entries = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|found| found == ending)));
    }
    for file in files {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        let policies = match name.ends_with("md") {
            true => in_markdown(&text),
            false => in_envoy(serde_saphyr::from_str(&text).unwrap()),
        };
        for policy in &policies {
            assert_eq!(printed(&hints(&name, policy, &around(&text))), "", "{name}");
        }
        count += policies.len();
    }
    assert!(count >= 5, "only {count} policies were found");
}

fn in_markdown(text: &str) -> Vec<Document> {
    let blocks = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next());
    blocks
        .filter(|block| block.starts_with("version: 1\n"))
        .map(|block| serde_saphyr::from_str(block).unwrap())
        .collect()
}

/// Every `configuration` with a policy as its `value`, wherever it stands.
fn in_envoy(document: Document) -> Vec<Document> {
    let is_policy = document.member("version").is_some();
    match document {
        Document::Object(_) if is_policy => vec![document],
        Document::Object(members) => members
            .into_iter()
            .flat_map(|(_, value)| in_envoy(value))
            .collect(),
        Document::List(entries) => entries.into_iter().flat_map(in_envoy).collect(),
        _ => Vec::new(),
    }
}

/// A value for each variable that a secret names, of its own: seeds, which are good API keys as well; but a private key
/// where it stands as the `key` of what signs.
fn around(text: &str) -> Environment {
    let mut variables = BTreeMap::new();
    for name in text
        .split("{env: ")
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
    {
        let letters = name.bytes().filter(u8::is_ascii_uppercase).map(char::from);
        let seed: String = letters
            .chain("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".chars())
            .take(32)
            .collect();
        let signs = text.contains(&format!(" key: {{env: {name}}}"));
        let value = if signs { SIGNING_KEY.to_owned() } else { seed };
        variables.insert(name.to_owned(), value);
    }
    Environment {
        variables,
        workload: Some("charlie".into()),
        namespace: Some("agents".into()),
    }
}
