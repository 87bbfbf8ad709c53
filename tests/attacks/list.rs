//! `docs/attacks.md` and the tests, held together.

use std::collections::BTreeSet;
use std::path::Path;

/// Every test that the list names exists, and every test of this folder stands in the list.
#[test]
fn the_list_of_attacks_names_every_test() {
    let list = read("docs/attacks.md");
    let rows: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| attack |"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    let here = tests_here();
    let mut named = BTreeSet::new();
    for row in &rows {
        let [attack, _, what_happens, tests] = row[..] else {
            panic!("not four columns: {row:?}")
        };
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert_eq!(
            names.is_empty(),
            what_happens.starts_with("not yet: comes with "),
            "{attack}: either tests, or what they wait for"
        );
        for name in names {
            if let Some((file, function)) = name.split_once(": ") {
                let python = read(&format!("tests/envoy/{file}"));
                assert!(
                    python.contains(&format!("\ndef {function}(")),
                    "{attack}: no `{name}`"
                );
            } else if name.contains('/') {
                read(name);
            } else {
                assert!(here.contains(name), "{attack}: no `{name}`");
                named.insert(name.to_owned());
            }
        }
    }
    let unnamed: Vec<&String> = here.difference(&named).collect();
    assert_eq!(unnamed, ["the_list_of_attacks_names_every_test"]);
}

/// The functions of this folder that are tests.
fn tests_here() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let files = std::fs::read_dir(folder).unwrap();
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let mut is_test = false;
        for line in text.lines() {
            if let (true, Some(signature)) = (is_test, line.strip_prefix("fn ")) {
                let name = signature.split('(').next().unwrap().to_owned();
                assert!(names.insert(name.clone()), "two tests `{name}`");
                is_test = false;
            }
            is_test |= line == "#[test]";
        }
    }
    names
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
