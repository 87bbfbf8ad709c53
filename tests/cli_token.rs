//! `peergate token`, as a person sees it: keys of every kind, and tokens that a policy takes or says why it does not.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use program::{Folder, Seen, misused, refused};
use serde_json::{Value, json};

const SHARED: &str = "cli-token-shared-secret-of-tests-which-is-as-long-as-the-longest-hash-6f2a";

/// As the provider of `policy` wants them.
const OF_POLICY: [&str; 4] = ["--policy", "policy.yaml", "--provider", "idp"];

fn folder(name: &str) -> Folder {
    let folder = Folder::new("cli-token", name);
    folder.secret(SHARED);
    folder
}

/// Makes a key, and gives its public half.
fn new_key(folder: &Folder, algorithm: &str, file: &str) -> String {
    let (status, public, errors) = folder.run(&["token", "--new-key", algorithm, "--out", file], "", &[]);
    assert_eq!(status, 0, "{errors}");
    assert_eq!(
        errors,
        format!("private key written to {file}\npublic key, for `jwks: {{inline: …}}`:\n")
    );
    folder.assert_private(file);
    let private: Value = serde_json::from_str(&folder.read(file)).unwrap();
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        if let Some(number) = private[name].as_str() {
            folder.secret(number);
        }
    }
    public.trim_end().to_owned()
}

fn policy(provider: &str) -> String {
    format!(
        "version: 1
inbound:
  providers:
    idp: {{issuer: https://issuer.example, audiences: [charlie, other], {provider}}}
  rules:
    - {{name: card, match: {{paths: [/.well-known/agent-card.json]}}, accept: [none]}}
    - {{name: all, accept: [jwt]}}
"
    )
}

fn mint(folder: &Folder, arguments: &[&str]) -> Seen {
    let seen = folder.run_unkept(&[&["token"], arguments].concat(), "", &[("SHARED", SHARED)]);
    if seen.0 == 0 {
        folder.secret(seen.1.trim_end());
    }
    seen
}

/// Header and claims.
fn read(token: &str) -> (Value, Value) {
    let segments: Vec<&str> = token.trim_end().split('.').collect();
    let [header, claims, _] = segments.as_slice() else {
        panic!("no token");
    };
    let [header, claims] = [header, claims]
        .map(|segment| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap());
    (header, claims)
}

#[test]
fn what_a_token_says_reaches_no_terminal_raw() {
    let folder = folder("raw");
    let text = "a\u{1b}[31m\u{9b}2J\u{85}\u{2028}\u{202e}\u{2066}\u{e0041}\u{feff}\n é";
    let (header, claims) = (
        json!({"alg": "none", "kid": text}),
        json!({"sub": text, text: [text]}),
    );
    let [first, second] = [&header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let (status, output, errors) = folder.run(&["token", "--decode"], &format!("{first}.{second}.AAAA"), &[]);
    assert_eq!(status, 0, "{errors}");
    let is_raw = |character: char| character != '\n' && character != 'é' && !(' '..='~').contains(&character);
    assert!(!output.contains(is_raw) && !errors.contains(is_raw), "{output:?}");
    let read: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(read, json!({"header": header, "claims": claims}));
}

#[test]
fn a_key_of_every_kind_and_a_token_that_its_policy_takes() {
    let folder = folder("kinds");
    for algorithm in ["RS256", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA"] {
        let file = format!("{algorithm}.jwk");
        let public = new_key(&folder, algorithm, &file);
        let jwks: Value = serde_json::from_str(&public).unwrap();
        let jwk = &jwks["keys"][0];
        assert_eq!((&jwk["alg"], &jwk["use"]), (&json!(algorithm), &json!("sig")));
        assert!(jwk.get("d").is_none());

        folder.write(
            "policy.yaml",
            policy(&format!("jwks: {{inline: {public}}}, algorithms: [{algorithm}]")),
        );
        let arguments = [&["--key", &file, "--sub", "mrpink"], &OF_POLICY[..]].concat();
        // No warning: the filter's own code would take it.
        let (status, token, errors) = mint(&folder, &arguments);
        assert_eq!((status, errors.as_str()), (0, ""), "{algorithm}");
        let (header, claims) = read(&token);
        assert_eq!(header, json!({"alg": algorithm, "kid": jwk["kid"], "typ": "JWT"}));
        assert_eq!(claims["iss"], "https://issuer.example");
        assert_eq!(claims["aud"], "charlie");
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            300
        );
    }
}

#[test]
fn one_key_of_rsa_signs_in_all_ways() {
    let folder = folder("rsa");
    let public = new_key(&folder, "RS256", "rsa.jwk").replace("\"alg\":\"RS256\",", "");
    let private = folder.read("rsa.jwk").replace("\"alg\":\"RS256\",", "");
    folder.write("rsa.jwk", private);
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        folder.write(
            "policy.yaml",
            policy(&format!("jwks: {{inline: {public}}}, algorithms: [{algorithm}]")),
        );
        let arguments = [&["--key", "rsa.jwk", "--sub", "a"], &OF_POLICY[..]].concat();
        let (status, token, errors) = mint(&folder, &arguments);
        assert_eq!((status, errors.as_str()), (0, ""), "{algorithm}");
        assert_eq!(read(&token).0["alg"], algorithm);
    }
}

#[test]
fn a_shared_secret() {
    let folder = folder("shared");
    folder.write("secret", format!("{SHARED}\n"));
    for algorithm in ["HS256", "HS384", "HS512"] {
        let secrets = format!(
            "jwks: {{secrets: [{{alg: {algorithm}, secret: {{env: SHARED}}}}]}}, algorithms: [{algorithm}]"
        );
        folder.write("policy.yaml", policy(&secrets));
        let arguments = [
            &["--key", "secret", "--alg", algorithm, "--sub", "a"],
            &OF_POLICY[..],
        ]
        .concat();
        let (status, token, errors) = mint(&folder, &arguments);
        assert_eq!((status, errors.as_str()), (0, ""), "{algorithm}");
        assert_eq!(read(&token).0, json!({"alg": algorithm, "typ": "JWT"}));
    }
    folder.write("other", "some-other-secret-that-is-long-enough-for-hs256");
    let arguments = [&["--key", "other", "--alg", "HS512"], &OF_POLICY[..]].concat();
    assert_eq!(
        mint(&folder, &arguments),
        refused(
            "error: other is a secret of 47 bytes, and the filter takes none that is shorter than the hash\n"
        )
    );
    assert_eq!(
        mint(&folder, &["--new-key", "HS256", "--out", "new"]),
        misused(
            "error: `HS256` has no key pair: its secret is any text that nobody guesses\n  help: `openssl rand -hex 64` makes \
             one, and `--key FILE --alg HS256` signs with it\n"
        )
    );
}

#[test]
fn claims_are_what_one_says() {
    let folder = folder("claims");
    new_key(&folder, "EdDSA", "test.jwk");
    let arguments = [
        "--key",
        "test.jwk",
        "--iss",
        "https://a.example",
        "--sub",
        "mrpink",
        "--aud",
        "b",
        "--aud",
        "c",
        "--scope",
        "read",
        "--scope",
        "write",
        "--expires-in",
        "90s",
        "--typ",
        "at+jwt",
        "--kid",
        "k1",
        "--claim",
        "roles=[\"admin\"]",
        "--claim",
        "n=1.5",
        "--claim",
        "sub=null",
        "--at",
        "1234567890",
    ];
    let (header, claims) = read(&mint(&folder, &arguments).1);
    assert_eq!(header, json!({"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}));
    assert_eq!(
        claims,
        json!({"iss": "https://a.example", "aud": ["b", "c"], "scope": "read write", "iat": 1234567890, "exp": 1234567980,
            "roles": ["admin"], "n": 1.5})
    );
    let (header, claims) = read(&mint(&folder, &["--key", "test.jwk", "--typ", "", "--at", "0"]).1);
    assert!(header.get("typ").is_none());
    assert_eq!(claims, json!({"iat": 0, "exp": 300}));

    let (status, _, errors) = mint(&folder, &["--key", "test.jwk", "--claim", "role=admin"]);
    assert_eq!(status, 2);
    assert!(
        errors.contains("write `name=json`, a text in quotes of its own: 'role=\"admin\"'"),
        "{errors}"
    );
}

#[test]
fn what_a_provider_would_say() {
    let folder = folder("warnings");
    let public = new_key(&folder, "ES256", "ours.jwk");
    new_key(&folder, "ES256", "theirs.jwk");
    folder.write(
        "policy.yaml",
        policy(&format!(
            "jwks: {{inline: {public}}}, typ: [at+jwt], max_lifetime_seconds: 60"
        )),
    );
    let mint = |arguments: &[&str]| mint(&folder, &[arguments, &OF_POLICY].concat());
    let (status, token, errors) = mint(&["--key", "ours.jwk", "--sub", "a"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    let (header, claims) = read(&token);
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        60
    );

    for (arguments, warning) in [
        (&["--key", "ours.jwk"][..], "missing claim `sub`"),
        (&["--key", "ours.jwk", "--sub", "a", "--aud", "x"], "audience"),
        (
            &["--key", "ours.jwk", "--sub", "a", "--typ", "jwt"],
            "type `jwt` is not allowed",
        ),
        (&["--key", "ours.jwk", "--sub", "a", "--iss", "x"], "issuer"),
    ] {
        let (status, _, errors) = mint(arguments);
        assert_eq!(status, 0);
        assert!(
            errors.starts_with("warning: provider `idp` would refuse this token: "),
            "{errors}"
        );
        assert!(errors.contains(warning), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    let (status, _, errors) = mint(&["--key", "theirs.jwk", "--sub", "a"]);
    assert_eq!(status, 0);
    let (warning, help) = errors.split_once('\n').unwrap();
    assert!(warning.starts_with("warning: provider `idp` would refuse this token: "));
    let theirs: Value = serde_json::from_str(&folder.read("theirs.jwk")).unwrap();
    assert!(
        help.starts_with("  help: the key is not one of `jwks.inline.keys`: put {\"use\":\"sig\""),
        "{help}"
    );
    assert!(help.contains(theirs["x"].as_str().unwrap()) && !help.contains(theirs["d"].as_str().unwrap()));
    // Past its time when it is made.
    let (_, _, errors) = mint(&["--key", "ours.jwk", "--sub", "a", "--expires-in", "0s"]);
    assert_eq!(errors, "");

    folder.write("policy.yaml", policy("jwks: {discovery: {cluster: idp}}"));
    let (status, _, errors) = mint(&["--key", "ours.jwk", "--sub", "a"]);
    let fetched =
        "warning: provider `idp` fetches its keys: whether this one is among them is not known here\n";
    assert_eq!((status, errors.as_str()), (0, fetched));
    assert_eq!(
        folder.run(
            &[
                "token",
                "--key",
                "ours.jwk",
                "--policy",
                "policy.yaml",
                "--provider",
                "none"
            ],
            "",
            &[]
        ),
        refused("error: the policy has no provider `none`\n")
    );
}

#[test]
fn keys_that_are_none() {
    let folder = folder("keys");
    let public = new_key(&folder, "ES256", "test.jwk");
    let mint = |file: &str, content: &str, arguments: &[&str]| {
        folder.write(file, content);
        folder.run(&[&["token", "--key", file], arguments].concat(), "", &[])
    };
    let private = folder.read("test.jwk");
    let says = |error: &str| refused(&format!("error: key {error}\n"));
    let no_key = "is no private key\n  help: `peergate token --new-key ES256 --out FILE` makes one; a shared secret needs `--alg`";
    assert_eq!(mint("key", "hello", &[]), says(no_key));
    assert_eq!(mint("key", "{\"kty\": ", &[]), says(no_key));
    assert_eq!(
        mint("key", "\n", &[]),
        refused("error: the file of the key is empty\n")
    );
    assert_eq!(
        mint("key", &public, &[]),
        says("is a public key, and signs nothing")
    );
    assert_eq!(
        mint("key", &private, &["--alg", "RS256"]),
        says("is a key that does not sign by `RS256`")
    );
    let other = new_key(&folder, "ES256", "other.jwk");
    let x = |jwk: &str| jwk.split("\"x\":\"").nth(1).unwrap()[..43].to_owned();
    assert_eq!(
        mint("key", &private.replace(&x(&private), &x(&other)), &[]),
        says("is a key whose numbers do not belong together")
    );
    let set = format!("{{\"keys\": [{private}, {}]}}", folder.read("other.jwk"));
    assert_eq!(
        mint("key", &set, &[]),
        says("is a set of 2 keys\n  help: `--kid` says which of them signs")
    );
    assert_eq!(
        mint("key", &set, &["--kid", "none"]),
        says("is a set of keys without a key `none`")
    );
    let kid: Value = serde_json::from_str(&private).unwrap();
    folder.write("key", &set);
    let (status, token, _) = folder.run_unkept(
        &["token", "--key", "key", "--kid", kid["kid"].as_str().unwrap()],
        "",
        &[],
    );
    assert_eq!((status, &read(&token).0["kid"]), (0, &kid["kid"]));
    for older in ["EC", "RSA"] {
        let pem = format!("-----BEGIN {older} PRIVATE KEY-----\nMHcC\n-----END {older} PRIVATE KEY-----\n");
        assert!(mint("key", &pem, &[]).2.contains("openssl pkcs8 -topk8"));
    }
    assert_eq!(
        folder.run(&["token", "--new-key", "ES256", "--out", "test.jwk"], "", &[]),
        refused(
            "error: test.jwk: File exists (os error 17)\n  help: it is not overwritten: name another file, or move this \
             one away\n"
        )
    );
}

#[test]
fn decoding_verifies_nothing() {
    let folder = folder("decode");
    new_key(&folder, "ES256", "test.jwk");
    let token = mint(
        &folder,
        &[
            "--key",
            "test.jwk",
            "--sub",
            "mrpink",
            "--kid",
            "k",
            "--at",
            "1234567890",
        ],
    )
    .1;
    let (head, _) = token.rsplit_once('.').unwrap();
    let decode = |input: &str| folder.run(&["token", "--decode"], input, &[]);
    for input in [token.clone(), format!("Bearer {token}"), format!("{head}.forged")] {
        let (status, output, errors) = decode(&input);
        assert_eq!(status, 0);
        assert_eq!(
            errors,
            "not verified: whoever wrote this token can have written anything\niat: 2009-02-13T23:31:30Z\n\
             exp: 2009-02-13T23:36:30Z\n"
        );
        let shown: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(
            shown,
            json!({"header": {"alg": "ES256", "kid": "k", "typ": "JWT"}, "claims": {"sub": "mrpink", "iat": 1234567890, "exp": 1234568190}})
        );
    }
    folder.write("token", &token);
    assert_eq!(
        folder.run(&["token", "--decode", "--from", "token"], "", &[]).0,
        0
    );
    assert_eq!(decode(""), refused("error: there is no token to decode\n"));
    assert_eq!(
        decode("opaque"),
        refused("error: the text is no JWT: those have three parts with dots between them\n")
    );
    assert_eq!(
        decode("a.b.c.d.e"),
        refused("error: the text is encrypted (JWE), and tells nobody but its recipient\n")
    );
    assert_eq!(
        decode("!.e30.x"),
        refused("error: the text is no JWT: its header is not base64url\n")
    );
    assert_eq!(
        decode("e30.W10.x"),
        refused("error: the text is no JWT: its payload is no JSON object with members once only\n")
    );
}

#[test]
fn arguments_that_are_wrong() {
    let folder = folder("arguments");
    for arguments in [
        &[][..],
        &["--new-key", "ES256"],
        &["--key", "a", "--decode"],
        &["--key", "a", "--out", "b"],
        &["--decode", "--sub", "a"],
        &["--key", "a", "--provider", "b"],
        &["--key", "a", "--policy", "b"],
    ] {
        let (status, output, errors) = folder.run(&[&["token"], arguments].concat(), "", &[]);
        assert_eq!((status, output.as_str()), (2, ""), "{arguments:?}");
        assert!(errors.contains("Usage: peergate token"), "{errors}");
    }
    let (status, _, errors) = folder.run_unkept(&["token", "--decode", "e30.e30.c2ln"], "", &[]);
    assert_eq!(status, 2);
    assert!(errors.starts_with("error: a secret is not taken as an argument") && !errors.contains("e30"));
    let (status, _, errors) = folder.run(&["token", "--new-key", "none", "--out", "a"], "", &[]);
    assert_eq!(status, 2);
    assert!(errors.contains("there are RS256, "), "{errors}");
}
