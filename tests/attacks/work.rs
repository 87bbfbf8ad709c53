//! How much work an attacker gets for its bytes. The interpreter counts instructions, so nothing here depends on how
//! quick the machine is.

use serde_json::json;

use crate::door::{Door, ENCRYPTED, MALFORMED, Refusal, SIGNATURE, TOO_LONG, bearer};
use crate::host::Level;
use crate::token::{Parts, Token};

/// Whoever sends requests without a credential decides how many there are, and not how long the log is.
#[test]
fn a_flood_of_refusals_is_no_flood_of_lines() {
    let mut door = Door::new();
    let flood = |door: &mut Door, count: usize| {
        for _ in 0..count {
            door.refuses("garbage", bearer("x"), MALFORMED);
        }
        let lines = door.logs(Level::Info).into_iter();
        let refusals: Vec<String> = lines
            .filter(|line| line.contains("deny"))
            .map(str::to_owned)
            .collect();
        refusals
    };
    assert_eq!(flood(&mut door, 1_000).len(), 100);
    door.pass_milliseconds(1_000);
    let lines = flood(&mut door, 1_000);
    assert_eq!(lines.len(), 120);
    assert!(
        lines[100].ends_with(" (900 lines left out before this one)"),
        "{}",
        lines[100]
    );
}

/// CVE-2025-30204, CVE-2026-48042: a token of a megabyte, ten thousand dots, JSON nested a hundred thousand deep. Above
/// the limit a byte costs no more than the search for the comma of a second header. Below the largest limit that can be
/// set, where all bytes are read, none of them makes twice the work of one forged signature, and work grows no faster
/// than bytes.
#[test]
fn refusals_cost_no_work_in_proportion() {
    let mut door = Door::metered(json!({"inbound": {"limits": {"max_token_bytes": 65536}}}));
    let mut work = |what: &str, token: String, refusal: Refusal| {
        let before = door.work();
        door.refuses(what, bearer(token), refusal);
        door.work() - before
    };
    // The first request makes what all others find.
    work("first", "x".to_owned(), MALFORMED);
    let good = Parts::of(&Token::new("ES256").sign());
    let other = Parts::of(&Token::new("ES256").claims(json!({"sub": "boss"})).sign());
    let forged = work(
        "a forged signature",
        good.signed(other.signature_bytes()),
        SIGNATURE,
    );
    let nothing = work("no token", "x".to_owned(), MALFORMED);
    assert!(nothing * 20 < forged, "{nothing}, {forged}");

    const MEBIBYTE: usize = 1024 * 1024;
    for (what, unit) in [("letters", "A"), ("dots", "."), ("segments", "AAAA.")] {
        let of = |bytes: usize| unit.repeat(bytes / unit.len());
        let (one, four) = (
            work(what, of(MEBIBYTE), TOO_LONG),
            work(what, of(4 * MEBIBYTE), TOO_LONG),
        );
        let per_byte = (four - one) / (3 * MEBIBYTE as u64);
        assert!(
            per_byte <= 6,
            "{what}: {per_byte} instructions for each byte above the limit"
        );
        assert!(one < forged, "{what}: {one}, {forged}");
    }

    let within: [(&str, Attack, usize); 7] = [
        ("dots", dots, 10_000),
        ("arrays", |depth| nested("[", depth), 20_000),
        ("objects", |depth| nested(r#"{"":"#, depth), 4_000),
        ("arrays in the header", nested_header, 20_000),
        ("members", many_members, 1_500),
        ("segments of a JWE", five_segments, 5_000),
        ("a kid", long_kid, 20_000),
    ];
    for (what, token, count) in within {
        let (half, refusal) = token(count);
        let (whole, _) = token(2 * count);
        assert!(whole.len() <= 65_536, "{what}: {} bytes", whole.len());
        let (half, whole) = (work(what, half, refusal), work(what, whole, refusal));
        assert!(whole < 2 * forged, "{what}: {whole}, a forged signature {forged}");
        // Twice as much for twice the bytes, and something for what both cost.
        assert!(
            whole < half * 9 / 4,
            "{what}: {half} for {count}, {whole} for twice as many"
        );
    }
}

/// A token of so many of something, and how it is refused.
type Attack = fn(usize) -> (String, Refusal);

fn dots(count: usize) -> (String, Refusal) {
    (".".repeat(count), MALFORMED)
}

fn nested(open: &str, depth: usize) -> (String, Refusal) {
    let token = Token::quick().claims_and(&format!(r#""x":{}"#, open.repeat(depth)));
    (token.sign(), MALFORMED)
}

fn nested_header(depth: usize) -> (String, Refusal) {
    let header = format!(r#"{{"alg":"HS256","kid":"shared","x":{}"#, "[".repeat(depth));
    (Token::quick().raw_header(header).sign(), MALFORMED)
}

fn five_segments(bytes: usize) -> (String, Refusal) {
    (["A".repeat(bytes).as_str(); 5].join("."), ENCRYPTED)
}

fn long_kid(bytes: usize) -> (String, Refusal) {
    let token = Token::quick().header(json!({"kid": "k".repeat(bytes)}));
    (token.sign(), MALFORMED)
}

/// So many different members, and the first of them once more at the end.
fn many_members(count: usize) -> (String, Refusal) {
    let members: Vec<String> = (0..count)
        .chain([0])
        .map(|number| format!(r#""{number}":0"#))
        .collect();
    (Token::quick().claims_and(&members.join(",")).sign(), MALFORMED)
}
