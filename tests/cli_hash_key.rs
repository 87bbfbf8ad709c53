//! `peergate hash-key`, as a person sees it, and policies with what it printed.

#![allow(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use program::{Folder, misused, refused};

const KEY: &str = "cli-hash-key-5e8d02";
/// As `sha256sum` has it.
const DIGEST: &str = "3c945723aa9444140c0983491b786efd521d38b07576d2c68f673bf1f29557bd";

fn folder(name: &str) -> Folder {
    let folder = Folder::new("cli-hash-key", name);
    folder.secret(KEY);
    folder
}

/// Whether `check` takes a policy where this is the key, in YAML and in JSON, and says nothing of it.
fn assert_taken(folder: &Folder, member: &str) {
    let policy = format!(
        r#"{{"version": 1, "inbound": {{"peers": {{"mrpink": {{"api_keys": [{member}]}}}}, "rules": [
        {{"name": "card", "match": {{"paths": ["/.well-known/agent-card.json"]}}, "accept": ["none"]}},
        {{"name": "all", "accept": ["api_key"]}}]}}}}"#
    );
    for file in ["policy.yaml", "policy.json"] {
        folder.write(file, &policy);
        let seen = folder.run(&["check", file, "--deny-hints"], "", &[]);
        assert_eq!(seen, (0, "ok\n".into(), String::new()));
    }
}

#[test]
fn the_digest_of_a_key() {
    let folder = folder("digest");
    let expected = (0, format!("{{\"sha256\": \"{DIGEST}\"}}\n"), String::new());
    for input in [KEY.to_owned(), format!("{KEY}\n"), format!("{KEY}\r\n")] {
        assert_eq!(folder.run(&["hash-key"], &input, &[]), expected);
        folder.write("key.txt", &input);
        assert_eq!(folder.run(&["hash-key", "--from", "key.txt"], "", &[]), expected);
    }
    assert_taken(&folder, expected.1.trim_end());
}

#[test]
fn keys_that_a_policy_does_not_take() {
    let folder = folder("refused");
    let hash = |input: &str| folder.run(&["hash-key"], input, &[]);
    for nothing in ["", "\n", "  \n"] {
        assert_eq!(hash(nothing), refused("error: key is empty\n"));
    }
    let character = |place: usize| {
        refused(&format!(
            "error: character {place} of the key is not allowed in a key\n  help: a key is of visible ASCII characters, \
             without a comma\n"
        ))
    };
    assert_eq!(hash(&format!("Bearer {KEY}")), character(7));
    assert_eq!(hash(&format!("{KEY} \n")), character(20));
    assert_eq!(hash(&format!("{KEY},{KEY}")), character(20));
    assert_eq!(hash(&format!("{KEY}\n{KEY}\n")), character(20));
    assert_eq!(
        hash(&"k".repeat(8193)),
        refused("error: key has 8193 bytes, at most 8192 are looked at\n")
    );
    assert_eq!(
        folder.run(&["hash-key", "--from", "none.txt"], "", &[]),
        refused("error: none.txt: No such file or directory (os error 2)\n")
    );
}

#[test]
fn keys_that_can_be_guessed() {
    let folder = folder("short");
    let short = refused(
        "error: key has 7 bytes, and can be guessed below 16\n  help: `peergate hash-key --new` makes one by chance; \
         `--insecure-allow-short` takes this one all the same\n",
    );
    assert_eq!(folder.run(&["hash-key"], "hunter2", &[]), short);
    let (status, output, errors) = folder.run(&["hash-key", "--insecure-allow-short"], "hunter2", &[]);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(output.contains("f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"));
}

#[test]
fn a_new_key_is_shown_once() {
    let folder = folder("new");
    let (status, member, errors) = folder.run_unkept(&["hash-key", "--new"], "", &[]);
    assert_eq!(status, 0);
    let key = errors
        .strip_prefix("key, which is not shown again: ")
        .and_then(|key| key.strip_suffix('\n'))
        .unwrap();
    assert!(key.starts_with("pgk_") && key.len() == 4 + 43, "{key}");
    assert!(!member.contains(key));
    assert_eq!(folder.run(&["hash-key"], key, &[]).1, member);
    assert_taken(&folder, member.trim_end());

    let (_, other, _) = folder.run_unkept(&["hash-key", "--new", "--prefix", "agents-"], "", &[]);
    assert_ne!(member, other);
    assert_eq!(
        folder.run(&["hash-key", "--new", "--prefix", "a b"], "", &[]),
        misused("error: a prefix has at most 32 letters, digits and `_`, `-`, `.`\n")
    );
}

#[test]
fn a_new_key_in_a_file() {
    let folder = folder("out");
    let arguments = ["hash-key", "--new", "--out", "mrpink.key"];
    let (status, member, errors) = folder.run_unkept(&arguments, "", &[]);
    assert_eq!((status, errors.as_str()), (0, "key written to mrpink.key\n"));
    folder.assert_private("mrpink.key");
    let hashed = folder.run(&["hash-key", "--from", "mrpink.key"], "", &[]);
    assert_eq!(hashed, (0, member, String::new()));
    // One that is there is somebody's.
    let again = folder.run(&arguments, "", &[]);
    assert_eq!(
        again,
        refused(
            "error: mrpink.key: File exists (os error 17)\n  help: it is not overwritten: name another file, or move \
             this one away\n"
        )
    );
}

#[test]
fn a_key_is_no_argument() {
    let folder = folder("argument");
    let error = "error: a secret is not taken as an argument, which every process of this machine sees\n  help: pipe it in, or \
                 use `--from FILE`\n";
    for arguments in [
        &["hash-key", KEY][..],
        &["hash-key", "--new", KEY],
        &["hash-key", KEY, KEY],
    ] {
        assert_eq!(folder.run_unkept(arguments, "", &[]), misused(error));
    }
}

#[test]
fn arguments_that_are_wrong() {
    let folder = folder("arguments");
    for arguments in [
        &["--out", "a"][..],
        &["--new", "--from", "a"],
        &["--new", "--insecure-allow-short"],
    ] {
        let (status, output, errors) = folder.run_unkept(&[&["hash-key"], arguments].concat(), "", &[]);
        assert_eq!((status, output.as_str()), (2, ""));
        assert!(errors.contains("Usage: peergate hash-key"), "{errors}");
    }
}
