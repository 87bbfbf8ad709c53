//! `peergate schema`, and the files that it prints.

#![allow(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use std::fs;
use std::path::Path;

use program::{Seen, run_in};

fn run(arguments: &[&str]) -> Seen {
    run_in(env!("CARGO_MANIFEST_DIR"), arguments, "", &[])
}

/// A file that differs is made again by `peergate schema --envoy > schema/envoy.schema.json`, or with `--istio`.
#[test]
fn the_files_are_what_it_prints() {
    for (arguments, file) in [
        (&["schema"][..], "peergate.schema.json"),
        (&["schema", "--envoy"], "envoy.schema.json"),
        (&["schema", "--istio"], "istio.schema.json"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
        let (status, output, errors) = run(arguments);
        assert_eq!((status, errors.as_str()), (0, ""), "{file}");
        let is_same = fs::read_to_string(path).is_ok_and(|text| text == output);
        assert!(
            is_same,
            "schema/{file} is not what `peergate {}` prints",
            arguments.join(" ")
        );
    }
}

#[test]
fn one_schema_at_a_time() {
    let (status, output, errors) = run(&["schema", "--envoy", "--istio"]);
    assert_eq!((status, output.as_str()), (2, ""));
    assert!(errors.contains("cannot be used with"), "{errors}");
}
