//! `peergate seal`, as a person sees it, and `peergate check` on what it made.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use program::{Folder, Seen};
use serde_json::Value;

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const KEY: &str = "cli-seal-key-4d1e7b";

fn folder(name: &str) -> Folder {
    let folder = Folder::new("cli-seal", name);
    folder.secret(SEED);
    folder.secret(KEY);
    folder
}

impl Folder {
    fn seal(&self, arguments: &[&str], input: &str) -> Seen {
        self.run(&[&["seal"], arguments].concat(), input, &[])
    }

    /// Makes a key; the public half is in `NAME.pub`, the private one in `NAME.jwk`.
    fn new_key(&self, name: &str, arguments: &[&str]) {
        let file = format!("{name}.jwk");
        let arguments = [&["--new-key", &file], arguments].concat();
        let (status, public, errors) = self.seal(&arguments, "");
        assert_eq!(status, 0, "{errors}");
        self.write(&format!("{name}.pub"), public);
    }

    /// Seals with `NAME.pub`.
    fn sealed(&self, name: &str, text: &str) -> String {
        let (status, output, errors) = self.seal(&["--key", &format!("{name}.pub")], text);
        assert_eq!((status, errors.as_str()), (0, ""));
        output.strip_suffix('\n').unwrap().to_owned()
    }

    /// What `check` says of a policy, with the private key of this file.
    fn check(&self, policy: &str, key: Option<&str>, arguments: &[&str]) -> Seen {
        self.write("policy.yaml", policy);
        let private = key.map(|file| self.read(file));
        let environment: Vec<(&str, &str)> = private
            .iter()
            .map(|private| ("PEERGATE_UNSEALING_KEY", private.as_str()))
            .collect();
        self.run(&[&["check", "policy.yaml"], arguments].concat(), "", &environment)
    }
}

fn ok() -> Seen {
    (0, "ok\n".into(), String::new())
}

fn policy(seed: &str) -> String {
    format!(
        "version: 1\ninbound:\n  peers: {{mrpink: {{totp_seeds: [{seed}], api_keys: [{{sha256: {}}}]}}}}\n  rules:\n    \
         - {{name: card, match: {{paths: [/.well-known/agent-card.json]}}, accept: [none]}}\n    \
         - {{name: all, accept: [api_key], require: {{totp: true}}}}\n",
        "ab".repeat(32)
    )
}

#[test]
fn a_new_key() {
    let folder = folder("new_key");
    let (status, public, errors) = folder.seal(&["--new-key", "key.jwk"], "");
    assert_eq!(status, 0, "{errors}");
    assert_eq!(
        errors,
        "private key written to key.jwk: the proxy needs what is in it as variable PEERGATE_UNSEALING_KEY\n\
         public key, for `peergate seal --key`:\n"
    );
    let private = folder.read("key.jwk");
    let [mut private, public]: [Value; 2] =
        [&private, &public].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(private["d"].as_str().unwrap().len(), 43);
    private.as_object_mut().unwrap().remove("d");
    assert_eq!(private, public);
    assert_eq!(public["kty"], "EC");
    assert_eq!(public["crv"], "P-256");

    folder.assert_private("key.jwk");

    // A key that is there is not written over: what was sealed to it would be lost.
    let before = folder.read("key.jwk");
    let (status, public, errors) = folder.seal(&["--new-key", "key.jwk"], "");
    assert_eq!((status, public.as_str()), (1, ""));
    assert!(errors.starts_with("error: key.jwk: "), "{errors}");
    assert_eq!(folder.read("key.jwk"), before);
}

#[test]
fn what_was_sealed_is_checked_with_the_key_and_without() {
    let folder = folder("sealed");
    folder.new_key("key", &[]);
    folder.new_key("other", &[]);
    for line_end in ["", "\n", "\r\n"] {
        let sealed = folder.sealed("key", &format!("{SEED}{line_end}"));
        let policy = policy(&format!("{{sealed: {sealed}}}"));
        assert_eq!(folder.check(&policy, Some("key.jwk"), &[]), ok());
        assert_eq!(folder.check(&policy, None, &["--without-unsealing-key"]), ok());
    }
    // Each time it is another text, as it must be.
    assert_ne!(folder.sealed("key", SEED), folder.sealed("key", SEED));

    let sealed = folder.sealed("key", SEED);
    let policy = policy(&format!("{{sealed: {sealed}}}"));
    let (status, output, errors) = folder.check(&policy, Some("other.jwk"), &[]);
    assert_eq!((status, output.as_str()), (1, ""));
    let place = "error: inbound.peers.mrpink.totp_seeds[0].sealed: sealed secret";
    assert!(
        errors.starts_with(&format!("{place} is sealed to key `")),
        "{errors}"
    );
    let (status, _, errors) = folder.check(&policy, None, &[]);
    assert_eq!(status, 1);
    assert!(
        errors.starts_with(&format!(
            "{place} cannot be opened: variable `PEERGATE_UNSEALING_KEY` is not set\n"
        )),
        "{errors}"
    );
    // Without the key the form is still looked at.
    assert_eq!(folder.check(&policy, None, &["--without-environment"]), ok());
    for without in ["--without-unsealing-key", "--without-environment"] {
        let (status, _, errors) = folder.check(&policy.replace(&sealed, &sealed[1..]), None, &[without]);
        assert_eq!(status, 1);
        assert!(errors.starts_with(&format!("{place} header")), "{errors}");
    }
}

#[test]
fn from_a_file_and_with_a_key_in_the_argument() {
    let folder = folder("from");
    folder.new_key("key", &[]);
    folder.write("seed", format!("{SEED}\n"));
    let public = folder.read("key.pub");
    let (status, sealed, errors) = folder.seal(&["--key", public.trim(), "--from", "seed"], "");
    assert_eq!((status, errors.as_str()), (0, ""));
    let policy = policy(&format!("{{sealed: {}}}", sealed.trim()));
    assert_eq!(folder.check(&policy, Some("key.jwk"), &[]), ok());
}

#[test]
fn variables() {
    let folder = folder("variables");
    folder.new_key("key", &[]);
    folder.write(
        "env",
        format!("# of the agents\n\nMRPINK_TOTP={SEED}\r\nBATCH_KEY={KEY}==\n"),
    );
    folder.write(
        "env.json",
        format!(r#"{{"MRPINK_TOTP": "{SEED}", "BATCH_KEY": " \"{KEY}"}}"#),
    );
    for file in ["env", "env.json"] {
        let (status, sealed, errors) = folder.seal(&["--key", "key.pub", "--variables", file], "");
        assert_eq!((status, errors.as_str()), (0, ""));
        let policy = format!("sealed_env: {}{}", sealed, policy("{env: MRPINK_TOTP}"));
        assert_eq!(folder.check(&policy, Some("key.jwk"), &[]), ok());
        assert_eq!(folder.check(&policy, None, &["--without-unsealing-key"]), ok());
        let (status, _, errors) = folder.check(
            &policy.replace("MRPINK_TOTP", "MRWHITE_TOTP"),
            Some("key.jwk"),
            &[],
        );
        assert_eq!(status, 1);
        assert!(
            errors.contains("totp_seeds[0].env: variable `MRWHITE_TOTP` is not set"),
            "{errors}"
        );
    }
    let (status, sealed, _) = folder.seal(&["--key", "key.pub", "--variables", "-"], &folder.read("env"));
    assert_eq!(status, 0);
    let policy = format!("sealed_env: {}{}", sealed, policy("{env: MRPINK_TOTP}"));
    assert_eq!(folder.check(&policy, Some("key.jwk"), &[]), ok());
}

/// As docs/secrets.md tells it: the old key is kept until nothing is sealed to it.
#[test]
fn rotation() {
    let folder = folder("rotation");
    folder.new_key("old", &[]);
    folder.new_key("new", &["--keep", "old.jwk"]);
    let by_old = policy(&format!("{{sealed: {}}}", folder.sealed("old", SEED)));
    let by_new = policy(&format!("{{sealed: {}}}", folder.sealed("new", SEED)));
    assert_eq!(folder.check(&by_old, Some("new.jwk"), &[]), ok());
    assert_eq!(folder.check(&by_new, Some("new.jwk"), &[]), ok());
    assert_eq!(folder.check(&by_new, Some("old.jwk"), &[]).0, 1);
    // What is sealed with the whole set is sealed to the new one.
    folder.write("set.pub", folder.read("new.jwk"));
    let by_set = policy(&format!("{{sealed: {}}}", folder.sealed("set", SEED)));
    assert_eq!(folder.check(&by_set, Some("new.jwk"), &[]), ok());
    assert_eq!(folder.check(&by_set, Some("old.jwk"), &[]).0, 1);
    // Three, and so on; a public key is none to keep.
    folder.new_key("third", &["--keep", "new.jwk"]);
    assert_eq!(folder.check(&by_old, Some("third.jwk"), &[]), ok());
    let (status, _, errors) = folder.seal(&["--new-key", "fourth.jwk", "--keep", "old.pub"], "");
    assert_eq!(
        (status, errors.as_str()),
        (
            1,
            "error: key: `d` is missing, or not 32 bytes in base64url\n  help: `peergate seal --new-key FILE` makes one\n"
        )
    );
    assert!(!folder.path().join("fourth.jwk").exists());
}

#[test]
fn what_is_not_sealed() {
    let folder = folder("refused");
    folder.new_key("key", &[]);
    folder.write("bytes", b"\xff\xfe");
    folder.write("rsa.pub", r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB"}"#);
    folder.write("text.pub", KEY);
    let key = ["--key", "key.pub"];
    let variables = ["--key", "key.pub", "--variables", "-"];
    let is_no_object = "error: variables: is no JSON object of names of variables and texts\n";
    let help = "\n  help: `peergate seal --new-key FILE` makes one\n";
    let quotes = |line: u8| {
        format!(
            "error: variables: line {line} has a quote or white space around its value\n  help: leave it away, or write a \
             JSON object where it belongs to the value\n"
        )
    };
    let cases: [(&[&str], String, String); 16] = [
        (&key, String::new(), "error: there is nothing to seal\n".into()),
        (&key, " \n".into(), "error: there is nothing to seal\n".into()),
        (
            &key,
            KEY.repeat(4000),
            "error: secret is longer than 65536 bytes when it is sealed\n".into(),
        ),
        (
            &["--key", "key.pub", "--from", "bytes"],
            String::new(),
            "error: bytes: is not UTF-8\n".into(),
        ),
        (
            &["--key", "rsa.pub"],
            KEY.into(),
            format!("error: key: is not of `kty` EC and `crv` P-256{help}"),
        ),
        (
            &["--key", "text.pub"],
            KEY.into(),
            format!("error: key: is no JWK{help}"),
        ),
        (
            &["--key", "{}"],
            KEY.into(),
            format!("error: key: is not of `kty` EC and `crv` P-256{help}"),
        ),
        (
            &variables,
            "# nothing\n".into(),
            "error: there is nothing to seal\n".into(),
        ),
        (
            &variables,
            format!("A=b\n{KEY}\n"),
            "error: variables: line 2 is not NAME=VALUE\n".into(),
        ),
        (
            &variables,
            format!("A B={KEY}\n"),
            "error: variables: line 1 is not NAME=VALUE\n".into(),
        ),
        (
            &variables,
            "A=\n".into(),
            "error: variables: line 1 is not NAME=VALUE\n".into(),
        ),
        (&variables, format!("A=\"{KEY}\"\n"), quotes(1)),
        (&variables, format!("A=b\nB= {KEY}\n"), quotes(2)),
        (
            &variables,
            format!("A={KEY}\nA={KEY}\n"),
            "error: variables: line 2 names a variable again\n".into(),
        ),
        (
            &variables,
            format!(r#"{{"A": "{KEY}", "A": "b"}}"#),
            is_no_object.into(),
        ),
        (&variables, format!(r#"{{"A": ["{KEY}"]}}"#), is_no_object.into()),
    ];
    for (arguments, input, says) in cases {
        assert_eq!(folder.seal(arguments, &input), (1, String::new(), says));
    }
    let (status, _, errors) = folder.seal(&["--key", "missing.pub"], KEY);
    assert_eq!(status, 1);
    assert!(errors.starts_with("error: missing.pub: "), "{errors}");
}

/// No argument takes a secret.
#[test]
fn usage() {
    let folder = folder("usage");
    folder.new_key("key", &[]);
    let cases: [&[&str]; 6] = [
        &[],
        &["--key", "key.pub", "word"],
        &["--key", "key.pub", "--new-key", "a.jwk"],
        &["--key", "key.pub", "--keep", "key.jwk"],
        &["--key", "key.pub", "--from", "a", "--variables", "b"],
        &["--variables", "b"],
    ];
    for arguments in cases {
        let (status, output, _) = folder.seal(arguments, "");
        assert_eq!((status, output.as_str()), (2, ""), "{arguments:?}");
    }
    assert!(!folder.path().join("a.jwk").exists());
}
