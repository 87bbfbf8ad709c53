//! `peergate explain`, as a person sees it: exactly what it prints, where, and its exit status.
//!
//! Each file `tests/explain/*.txt` is a test: a command line, its exit status, and what stands on the standard output. What
//! a test sees is kept in `target/test-output/explain`, in the same form: a change that is meant is copied from there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{Folder, Seen};

/// Secrets of the policies, and the code of the moment.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("MRPINK_TOTP", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
    ("PINKS_KEY", "pinks-explained-key-0001"),
    ("IDP_SECRET", "idp-explained-secret-0001"),
    ("API_KEY", "upstream-explained-key-0001"),
];

fn run(arguments: &[&str], input: &str) -> Seen {
    let program = Folder::at("cli-explain", folder());
    for (_, value) in ENVIRONMENT {
        program.secret(value);
    }
    for signature in requests().iter().flat_map(|text| signatures(text)) {
        program.secret(&signature);
    }
    program.run(arguments, input, &ENVIRONMENT)
}

/// The texts of all requests that are asked about.
fn requests() -> Vec<String> {
    let own = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let sample = root().join("examples/explain/request.http");
    let requests = own
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .chain([sample]);
    requests.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The signatures of the tokens in a request.
fn signatures(request: &str) -> Vec<String> {
    let words = request.split_whitespace().filter(|word| word.starts_with("eyJ"));
    words
        .filter_map(|word| word.rsplit_once('.'))
        .map(|(_, signature)| signature.to_owned())
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    root().join("tests/explain")
}

fn captured() -> PathBuf {
    root().join("target/test-output")
}

#[test]
fn what_is_told() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 8, "the outputs are not all there");
    let kept = captured().join("explain");
    fs::create_dir_all(&kept).unwrap();
    let mut differing = Vec::new();
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        let command = expected.lines().next().unwrap();
        let arguments: Vec<&str> = command.strip_prefix("$ peergate ").unwrap().split(' ').collect();
        let (status, output, errors) = run(&arguments, "");
        assert!(!errors.contains("the steps say otherwise"), "{command}: {errors}");
        let seen = format!("{command}\n-> {status}\n{output}");
        let kept = kept.join(file.file_name().unwrap());
        fs::write(&kept, &seen).unwrap();
        if seen != expected {
            differing.push(format!("{} is not {}", kept.display(), file.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What the document shows was seen.
#[test]
fn the_document_shows_what_is_told() {
    let document = fs::read_to_string(root().join("docs/explain.md")).unwrap();
    let told = fs::read_to_string(folder().join("let-in.txt")).unwrap();
    let told = told.split_once("-> 0\n").unwrap().1;
    assert!(
        document.contains(told),
        "docs/explain.md does not show tests/explain/let-in.txt"
    );
}

/// The standard input is a file like another.
#[test]
fn by_the_standard_input() {
    let request = fs::read_to_string(root().join("examples/explain/request.http")).unwrap();
    let told = fs::read_to_string(folder().join("let-in.txt")).unwrap();
    let policy = "../../examples/explain/policy.yaml";
    let (status, output, errors) = run(&["explain", policy, "--at", "2009-02-13T23:31:30Z"], &request);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert_eq!(
        Some(output.as_str()),
        told.split_once("-> 0\n").map(|(_, told)| told)
    );
}

#[test]
fn what_is_not_explained() {
    let policy = "../../examples/explain/policy.yaml";
    let request = "../../examples/explain/request.http";
    for (arguments, status, errors) in [
        (
            vec![policy, request, "--at", "yesterday"],
            2,
            "error: invalid value 'yesterday' for '--at <TIME>': write `2026-11-21T22:00:00Z`, or seconds since 1970, up to the \
             year 2554\n\nFor more information, try '--help'.\n",
        ),
        (
            vec![policy, request, "--role", "gateway"],
            2,
            "error: `--role gateway`: the policy says `role: inbound`\n",
        ),
        (
            vec![policy, request, "--jwks", "other=keys.json"],
            2,
            "error: `--jwks`: the policy has no provider `other`\n",
        ),
        (
            vec![policy, request, "--jwks", "idp"],
            2,
            "error: `--jwks` takes PROVIDER=FILE\n",
        ),
        (
            vec![policy, request, "--env", "MRPINK_TOTP"],
            2,
            "error: `--env` takes NAME=VALUE\n",
        ),
        (
            vec![policy, request, "--jwks", "idp=to-tool.http"],
            1,
            "error: to-tool.http: is not accepted as JSON: invalid JSON at line 1 column 1\n",
        ),
        (
            vec![policy, "missing.http"],
            1,
            "error: missing.http: No such file or directory (os error 2)\n",
        ),
        (
            vec![policy, "-"],
            1,
            "error: the standard input: holds no request\n",
        ),
        (
            vec![policy, policy],
            1,
            "error: ../../examples/explain/policy.yaml: line 1 is no request line\n  help: it is written as `POST /path \
             HTTP/1.1`, or begins with `:method:`\n",
        ),
        (
            vec![policy, request, "--env", "MRPINK_TOTP=short"],
            1,
            "error: inbound.peers.mrpink.totp_seeds[0]: last character of the seed is not one that base32 ends with\n1 error\n",
        ),
    ] {
        let seen = run(&[&["explain"], arguments.as_slice()].concat(), "");
        assert_eq!(seen, (status, String::new(), errors.to_owned()), "{arguments:?}");
    }
}
