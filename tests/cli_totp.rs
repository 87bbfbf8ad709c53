//! `peergate totp`, as a person sees it: RFC 6238's vectors, QR codes that are read again, and clocks that are wrong.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

#[path = "program/mod.rs"]
mod program;

use program::{Folder, Seen, misused, refused};

/// The seeds of RFC 6238, appendix B: `1234567890` again and again, as long as each hash.
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SEED_256: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";
const SEED_512: &str =
    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA";

const POLICY: &str = "
version: 1
inbound:
  peers:
    mrpink: {api_keys: [{sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}], totp_seeds: [{env: OLD}, {env: NEW}]}
    mrwhite: {bearer_tokens: [{sha256: ca7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}]}
  totp: {code: {algorithm: SHA256, digits: 8, period_seconds: 60, window_steps: 2}}
  rules:
    - {name: card, match: {paths: [/.well-known/agent-card.json]}, accept: [none]}
    - {name: strict, match: {paths: [/admin]}, accept: [api_key], require: {totp: {window_steps: 0}}}
    - {name: all, accept: [api_key, bearer_token], require: {totp: true}}
";

/// How `POLICY` makes its codes.
const AS_POLICY: [&str; 6] = ["--algorithm", "SHA256", "--digits", "8", "--period", "60"];

fn folder(name: &str) -> Folder {
    let folder = Folder::new("cli-totp", name);
    for (file, seed) in [("sha1", SEED), ("sha256", SEED_256), ("sha512", SEED_512)] {
        folder.secret(seed);
        folder.write(file, format!("{seed}\n"));
    }
    folder.write("policy.yaml", POLICY);
    folder
}

fn totp(folder: &Folder, arguments: &[&str], input: &str) -> Seen {
    folder.run(
        &[&["totp"], arguments].concat(),
        input,
        &[("OLD", SEED), ("NEW", SEED_256)],
    )
}

#[test]
fn the_vectors_of_rfc_6238() {
    let folder = folder("vectors");
    for (at, codes) in [
        ("59", ["94287082", "46119246", "90693936"]),
        ("1111111109", ["07081804", "68084774", "25091201"]),
        ("1111111111", ["14050471", "67062674", "99943326"]),
        ("2009-02-13T23:31:30Z", ["89005924", "91819424", "93441116"]),
        ("2000000000", ["69279037", "90698825", "38618901"]),
    ] {
        for (algorithm, code) in ["sha1", "sha256", "sha512"].into_iter().zip(codes) {
            let arguments = [
                "code",
                "--from",
                algorithm,
                "--algorithm",
                algorithm,
                "--digits",
                "8",
                "--at",
                at,
            ];
            let (status, output, _) = totp(&folder, &arguments, "");
            assert_eq!((status, output), (0, format!("{code}\n")));
        }
    }
}

#[test]
fn where_a_seed_comes_from() {
    let folder = folder("sources");
    let expected = (
        0,
        "005924\n".to_owned(),
        "from 2009-02-13T23:31:30Z to 2009-02-13T23:32:00Z, for 23 more s\n".to_owned(),
    );
    let at = ["--at", "1234567897"];
    let code = |arguments: &[&str], input: &str| totp(&folder, &[&["code"], arguments, &at].concat(), input);
    assert_eq!(code(&[], SEED), expected);
    assert_eq!(code(&[], &format!("{}\r\n", SEED.to_lowercase())), expected);
    assert_eq!(code(&["--from", "sha1"], ""), expected);
    assert_eq!(code(&["--from-env", "OLD"], ""), expected);
    assert_eq!(
        code(&["--from-env", "OTHER", "--env", &format!("OTHER={SEED}")], ""),
        expected
    );

    let of_policy = ["--policy", "policy.yaml", "--peer", "mrpink"];
    let (status, first, errors) = code(&of_policy, "");
    assert_eq!(status, 0);
    assert_eq!(
        errors,
        "the code of seed 1 of 2: `--seed` takes another\nfrom 2009-02-13T23:31:00Z to 2009-02-13T23:32:00Z, for 23 more s\n"
    );
    let same = |file: &str| code(&[&["--from", file], &AS_POLICY[..]].concat(), "").1;
    assert_eq!(same("sha1"), first);
    let second = code(&[&of_policy[..], &["--seed", "2"]].concat(), "");
    assert_eq!(same("sha256"), second.1);
    assert_ne!(first, second.1);
}

#[test]
fn seeds_that_are_none() {
    let folder = folder("refused");
    let code = |arguments: &[&str], input: &str| totp(&folder, &[&["code"], arguments].concat(), input);
    assert_eq!(code(&[], "\n"), refused("error: seed is empty\n"));
    assert_eq!(
        code(&[], "GEZD GNBV"),
        refused("error: seed is not base32 (A-Z and 2-7, no spaces)\n")
    );
    assert_eq!(
        code(&[], "GEZDGNBVGY3TQOJQ"),
        refused(
            "error: seed has 80 bits, at least 128 are needed\n  help: `peergate totp new` makes one that is long enough; \
             `--insecure-allow-short` takes this one\n"
        )
    );
    assert_eq!(code(&["--insecure-allow-short"], "GEZDGNBVGY3TQOJQ").0, 0);
    assert_eq!(
        code(&["--from-env", "NONE"], ""),
        refused("error: variable `NONE` is not set\n")
    );
    assert_eq!(
        code(&["--period", "301"], SEED),
        misused("error: period of `301` seconds is not within 1 to 300\n")
    );
    let of = |peer: &str| code(&["--policy", "policy.yaml", "--peer", peer], "");
    assert_eq!(
        of("mrblue"),
        refused("error: the policy has no peer `mrblue` that a caller can be\n")
    );
    assert_eq!(of("mrwhite"), refused("error: peer `mrwhite` has no TOTP seed\n"));
    assert_eq!(
        code(
            &["--policy", "policy.yaml", "--peer", "mrpink", "--seed", "3"],
            ""
        ),
        refused("error: there is no such seed\n  help: `--seed` counts from 1 to 2\n")
    );
    folder.write(
        "lax.yaml",
        POLICY
            .replace("totp: true", "")
            .replace("totp: {window_steps: 0}", ""),
    );
    assert_eq!(
        code(&["--policy", "lax.yaml", "--peer", "mrpink"], ""),
        refused("error: no rule of the policy asks for a code\n")
    );
    folder.write("broken.yaml", "{version: 2, inbound: {}}");
    assert_eq!(
        code(&["--policy", "broken.yaml", "--peer", "mrpink"], ""),
        refused(
            "error: version: `2` is no version that is read\n  help: this release reads version 1\n1 error\n"
        )
    );
}

/// What a camera makes of the blocks: light where there is ink, and two rows in each line.
fn decoded(drawing: &str) -> String {
    let rows: Vec<Vec<bool>> = drawing
        .lines()
        .flat_map(|line| {
            let halves = line.chars().map(|block| match block {
                ' ' => (true, true),
                '\u{2580}' => (false, true),
                '\u{2584}' => (true, false),
                '\u{2588}' => (false, false),
                other => panic!("{other:?}"),
            });
            let (upper, lower): (Vec<bool>, Vec<bool>) = halves.unzip();
            [upper, lower]
        })
        .collect();
    const SCALE: usize = 4;
    let (width, height) = (rows[0].len() * SCALE, rows.len() * SCALE);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        if rows[y / SCALE][x / SCALE] { 0 } else { 255 }
    });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

#[test]
fn a_uri_and_its_qr_code() {
    let folder = folder("uri");
    let uri = format!(
        "otpauth://totp/agents:mrpink?secret={SEED}&issuer=agents&algorithm=SHA1&digits=6&period=30\n"
    );
    let arguments = [
        "totp", "uri", "--issuer", "agents", "--label", "mrpink", "--from", "sha1",
    ];
    assert_eq!(
        folder.run_unkept(&arguments, "", &[]),
        (0, uri.clone(), String::new())
    );
    let (status, shown, errors) = folder.run_unkept(&[&arguments[..], &["--qr"]].concat(), "", &[]);
    assert_eq!((status, errors.as_str()), (0, ""));
    let drawing = shown.strip_prefix(&uri).unwrap();
    assert_eq!(format!("{}\n", decoded(drawing)), uri);

    // The longest there is in practice.
    let arguments = [
        "totp",
        "uri",
        "--label",
        "mr pink@agents.example",
        "--from",
        "sha512",
        "--algorithm",
        "SHA512",
        "--qr",
    ];
    let (status, shown, errors) = folder.run_unkept(&arguments, "", &[]);
    assert_eq!(status, 0);
    assert!(
        errors.starts_with("warning: some authenticators take no notice of `algorithm`"),
        "{errors}"
    );
    let (uri, drawing) = shown.split_once('\n').unwrap();
    assert!(uri.starts_with("otpauth://totp/mr%20pink%40agents.example?secret="));
    assert_eq!(decoded(drawing), uri);

    let of_policy = [
        "totp",
        "uri",
        "--label",
        "mrpink",
        "--policy",
        "policy.yaml",
        "--peer",
        "mrpink",
        "--seed",
        "2",
    ];
    let (status, shown, _) = folder.run_unkept(&of_policy, "", &[("OLD", SEED), ("NEW", SEED_256)]);
    let expected = format!("otpauth://totp/mrpink?secret={SEED_256}&algorithm=SHA256&digits=8&period=60\n");
    assert_eq!((status, shown), (0, expected));

    let long = "x".repeat(4000);
    assert_eq!(
        totp(&folder, &["uri", "--label", &long, "--from", "sha1", "--qr"], ""),
        refused("error: the key URI is too long for a QR code\n")
    );
    assert_eq!(
        totp(&folder, &["uri", "--label", "a:b", "--from", "sha1"], ""),
        misused("error: the label of a key URI is a name without a colon\n")
    );
}

#[test]
fn a_new_seed() {
    let folder = folder("new");
    let new = |arguments: &[&str]| folder.run_unkept(&[&["totp", "new"], arguments].concat(), "", &[]);
    for (algorithm, characters) in [("SHA1", 32), ("sha256", 52), ("SHA512", 103)] {
        let (status, seed, errors) = new(&["--algorithm", algorithm]);
        assert_eq!((status, errors.as_str()), (0, ""));
        assert_eq!(seed.trim_end().len(), characters);
        assert_ne!(seed, new(&["--algorithm", algorithm]).1);
        assert_eq!(totp(&folder, &["code"], &seed).0, 0);
    }
    let (status, shown, errors) = new(&["--out", "seed", "--label", "mrpink", "--uri", "--qr"]);
    assert_eq!((status, errors.as_str()), (0, "seed written to seed\n"));
    folder.assert_private("seed");
    let (uri, drawing) = shown.split_once('\n').unwrap();
    let seed = folder.read("seed");
    assert_eq!(
        uri,
        format!(
            "otpauth://totp/mrpink?secret={}&algorithm=SHA1&digits=6&period=30",
            seed.trim_end()
        )
    );
    assert_eq!(decoded(drawing), uri);
    // All on the standard output: seed, URI, code.
    let (_, shown, _) = new(&["--label", "mrpink", "--uri"]);
    let (seed, uri) = shown.split_once('\n').unwrap();
    assert!(uri.contains(&format!("secret={seed}&")));

    assert_eq!(
        new(&["--out", "seed"]),
        refused(
            "error: seed: File exists (os error 17)\n  help: it is not overwritten: name another file, or move this one \
             away\n"
        )
    );
    // Nothing on the standard output is nothing, and not an empty line.
    assert_eq!(
        new(&["--out", "other"]),
        (0, String::new(), "seed written to other\n".into())
    );
}

#[test]
fn what_a_code_tells_of_a_clock() {
    let folder = folder("check");
    let check = |at: &str, more: &[&str]| {
        totp(
            &folder,
            &[&["check", "--from", "sha1", "--at", at], more].concat(),
            "005924\n",
        )
    };
    let good = |told: &str| (0, format!("good: {told}\n"), String::new());
    assert_eq!(check("1234567897", &[]), good("the code of this step"));
    let late = "the code of 1 step ago: its clock is 3 to 32 seconds behind, or it is that old";
    assert_eq!(check("1234567922", &[]), good(late));
    let early = "the code of 1 step from now: its clock is 1 to 30 seconds ahead";
    assert_eq!(check("1234567889", &[]), good(early));

    let off = |told: &str, window: &str| {
        refused(&format!(
            "error: not good: {told}\n  help: codes are good up to {window} away (`window_steps`): set the clocks right, with \
             chrony or the like\n"
        ))
    };
    assert_eq!(
        check("1234567922", &["--window-steps", "0"]),
        off(late, "0 steps")
    );
    assert_eq!(
        check("1234571497", &[]),
        off(
            "the code of 120 steps ago: its clock is 3578 to 3607 seconds behind, or it is that old",
            "1 step"
        )
    );
    assert_eq!(
        check("1234571550", &[]),
        refused(
            "error: not good: no code of this seed within 1h of 2009-02-14T00:32:30Z\n  help: it was made of another seed, \
             or in another way\n"
        )
    );
    assert_eq!(
        check("1234571550", &["--within", "2h", "--window-steps", "2"]).0,
        1
    );
    assert_eq!(
        check("1234567897", &["--algorithm", "SHA256", "--period", "60"]),
        refused(
            "error: not good: no code of this seed within 1h of 2009-02-13T23:31:37Z\n  help: it is one by SHA1 with 6 digits \
             and 30 seconds: make client and policy agree\n"
        )
    );
}

#[test]
fn a_seed_that_is_sealed_in_the_policy() {
    let folder = folder("sealed");
    let (_, public, _) = folder.run(&["seal", "--new-key", "unsealing.jwk"], "", &[]);
    folder.write("sealing.jwk", public);
    let (status, sealed, _) = folder.run(&["seal", "--key", "sealing.jwk", "--from", "sha1"], "", &[]);
    assert_eq!(status, 0);
    let seeds = "totp_seeds: [{env: OLD}, {env: NEW}]";
    let seed = format!("totp_seeds: [{{sealed: {}}}]", sealed.trim_end());
    folder.write("policy.yaml", POLICY.replace(seeds, &seed));
    let arguments = [
        "totp",
        "code",
        "--policy",
        "policy.yaml",
        "--peer",
        "mrpink",
        "--at",
        "1234567897",
    ];
    let private = folder.read("unsealing.jwk");
    let (status, code, _) = folder.run(&arguments, "", &[("PEERGATE_UNSEALING_KEY", &private)]);
    assert_eq!(status, 0);
    let same = [&["code", "--from", "sha1", "--at", "1234567897"], &AS_POLICY[..]].concat();
    assert_eq!(totp(&folder, &same, "").1, code);
    // Where the key is not, all but the seed is known.
    let (status, output, errors) = folder.run(&arguments, "", &[]);
    assert_eq!((status, output.as_str()), (1, ""));
    let missing = "error: the seed of peer `mrpink` is not there: its variable is not set, or the key of sealed secrets\n";
    assert!(errors.ends_with(missing), "{errors}");
}

#[test]
fn what_a_code_tells_of_a_policy() {
    let folder = folder("check-policy");
    let of_policy = ["--policy", "policy.yaml", "--peer", "mrpink"];
    let at = ["--at", "1234567897"];
    let code = totp(
        &folder,
        &[&["code", "--seed", "2"], &of_policy[..], &at].concat(),
        "",
    )
    .1;
    let check = |at: &str| totp(&folder, &[&["check", "--at", at], &of_policy[..]].concat(), &code);
    assert_eq!(
        check("1234567897"),
        (
            0,
            "good: the code of this step, of seed 2 of 2\n".into(),
            String::new()
        )
    );
    // Two steps of a minute, the widest window of a rule.
    assert_eq!(check("1234568000").0, 0);
    assert_eq!(check("1234568060").0, 1);
}

#[test]
fn codes_and_times_that_are_none() {
    let folder = folder("check-refused");
    let check = |input: &str| totp(&folder, &["check", "--from", "sha1"], input);
    assert_eq!(
        check(""),
        refused("error: there is no code on the standard input\n")
    );
    assert_eq!(
        check("005 924"),
        refused("error: the code on the standard input is not made of digits alone\n")
    );
    assert_eq!(
        totp(&folder, &["check"], "005924"),
        misused(
            "error: the code is read from the standard input, and its seed must come from elsewhere\n  help: `--from FILE`, \
             `--from-env NAME`, or `--policy FILE --peer NAME`\n"
        )
    );
    for time in ["yesterday", "20000000000", "-1"] {
        let (status, output, errors) =
            totp(&folder, &["code", "--from", "sha1", &format!("--at={time}")], "");
        assert_eq!((status, output.as_str()), (2, ""));
        assert!(
            errors.contains("write `2026-11-21T22:00:00Z`, or seconds since 1970"),
            "{errors}"
        );
    }
}

#[test]
fn seeds_and_codes_are_no_arguments() {
    let folder = folder("argument");
    for arguments in [
        &["code", SEED][..],
        &["uri", "--label", "mrpink", SEED],
        &["check", "--from", "sha1", "005924"],
        &["check", SEED, "005924"],
    ] {
        let (status, output, errors) = folder.run_unkept(&[&["totp"], arguments].concat(), "", &[]);
        assert_eq!((status, output.as_str()), (2, ""));
        assert!(errors.starts_with("error: a secret is not taken as an argument"));
        assert!(!errors.contains(SEED) && !errors.contains("005924"));
    }
}

#[test]
fn arguments_that_are_wrong() {
    let folder = folder("arguments");
    for arguments in [
        &[][..],
        &[
            "code",
            "--from",
            "sha1",
            "--policy",
            "policy.yaml",
            "--peer",
            "mrpink",
        ],
        &["code", "--policy", "policy.yaml"],
        &[
            "code",
            "--policy",
            "policy.yaml",
            "--peer",
            "mrpink",
            "--digits",
            "8",
        ],
        &["code", "--digits", "7"],
        &["new", "--qr"],
        &["new", "--issuer", "agents"],
        &["uri"],
    ] {
        let (status, output, errors) = folder.run_unkept(&[&["totp"], arguments].concat(), "", &[]);
        assert_eq!((status, output.as_str()), (2, ""), "{arguments:?}");
        assert!(errors.contains("Usage: peergate totp") || errors.contains("[possible values: 6, 8]"));
    }
}
