//! How much work an attacker gets for its bytes. The interpreter counts instructions, so nothing here depends on how
//! quick the machine is.

use serde_json::json;

use crate::cards::{CARD, answered, card, resigned};
use crate::door::{Door, ENCRYPTED, MALFORMED, Refusal, SIGNATURE, TOO_LONG, bearer, get};
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

/// A definition that each mention by a skill would copy.
#[test]
fn a_scheme_that_skills_name_over_and_over_costs_no_work_in_proportion() {
    let of = |bytes: usize| {
        let definition = r#""a","#.repeat(bytes / 8);
        let mentions = r#"{"a":0},"#.repeat(bytes / 16);
        format!(
            r#"{{{CARD_OF_03},"securitySchemes":{{"a":[{definition}0]}},"skills":[{{"security":[{mentions}{{}}]}}]}}"#
        )
    };
    let mut door = Door::metered(json!({}));
    // The first makes what all others find.
    work_of_card(&mut door, &of(64));
    let (half, whole) = (
        work_of_card(&mut door, &of(16_000)),
        work_of_card(&mut door, &of(32_000)),
    );
    assert!(whole < half * 9 / 4, "{half} for 16 KB, {whole} for 32 KB");
}

/// Whoever writes cards gets no more work for a byte of a long one than of a short one, whatever stands in it.
#[test]
fn hostile_cards_cost_no_work_in_proportion() {
    let shapes: [(&str, Members); 9] = [
        ("schemes whose names collide", |bytes| {
            let schemes: String = (2..bytes / 16)
                .map(|number| format!(r#","bearer_{number}":0"#))
                .collect();
            format!(r#""securitySchemes":{{"bearer":0{schemes}}}"#)
        }),
        ("requirements", |bytes| {
            format!(r#""security":[{}{{}}]"#, r#"{"a":["b"]},"#.repeat(bytes / 12))
        }),
        ("unreadable requirements", |bytes| {
            format!(r#""security":[{}{{}}]"#, r#"{"a":0},"#.repeat(bytes / 8))
        }),
        ("schemes of one requirement", |bytes| {
            format!(
                r#""security":[{{{}}}]"#,
                numbered(bytes / 10, |number| format!(r#""{number}":[]"#))
            )
        }),
        ("scopes of one scheme", |bytes| {
            format!(
                r#""security":[{{"a":[{}]}}]"#,
                numbered(bytes / 8, |number| format!(r#""{number}""#))
            )
        }),
        ("interfaces", |bytes| {
            let interface = |number| format!(r#"{{"url":"https://agent.example/{number}"}}"#);
            format!(r#""supportedInterfaces":[{}]"#, numbered(bytes / 40, interface))
        }),
        ("arrays", |bytes| format!(r#""x":[{}0]"#, "[],".repeat(bytes / 3))),
        ("members", |bytes| {
            format!(
                r#""x":{{{}}}"#,
                numbered(bytes / 9, |number| format!(r#""{number}":0"#))
            )
        }),
        ("numbers", |bytes| {
            format!(r#""x":[{}0]"#, "1e-300,".repeat(bytes / 7))
        }),
    ];
    let mut resigns = resigned("agent.example");
    resigns["merge"] = json!("and");
    for (which, agent_card) in [("replaced", json!({})), ("added to, and signed", resigns)] {
        let mut door = Door::metered(json!({"inbound": {"agent_card": agent_card}}));
        work_of_card(&mut door, &format!("{{{CARD_OF_03}}}"));
        for (what, members) in shapes {
            let mut work = |bytes| work_of_card(&mut door, &format!("{{{CARD_OF_03},{}}}", members(bytes)));
            let (half, whole) = (work(16_000), work(32_000));
            assert!(
                whole < half * 5 / 2,
                "{what}, {which}: {half} for 16 KB, {whole} for 32 KB"
            );
        }
    }
}

/// A document at the place of the card that is read as a whole to find that it is none: once, as a card is.
#[test]
fn what_is_no_card_is_not_read_again_and_again() {
    let mut door = Door::metered(json!({}));
    let members = numbered(4_000, |number| format!(r#""{number}":0"#));
    let mut again = |last: &str| {
        let document = format!(r#"{{{CARD_OF_03},{members},{last}}}"#);
        work_of_card(&mut door, &document);
        work_of_card(&mut door, &document)
    };
    let (card, no_card) = (again(r#""last":0"#), again(r#""0":0"#));
    assert!(
        no_card < 2 * card,
        "{card} for a card, {no_card} for what is none"
    );
}

/// Whoever asks for a document that anybody may have gets no work for each of its bytes and each secret of the policy.
#[test]
fn a_document_for_everybody_costs_no_work_for_each_secret() {
    let work = |secrets: usize, words: usize| {
        let mut own = card(&["https://agent.example/a2a"]);
        own["description"] = json!("a-key-of-somebody/ ".repeat(words));
        let rules: Vec<_> = (0..secrets)
            .map(|number| {
                let value = json!({"inline": format!("a-key-of-somebody/{number}/with+marks=")});
                json!({
                    "match": {"clusters": [format!("api{number}")]},
                    "headers": {"authorization": {"prefix": "Bearer ", "value": value}},
                })
            })
            .collect();
        let mut door = Door::metered(json!({
            "inbound": {"agent_card": {"static": own}},
            "outbound": {"rules": rules},
        }));
        door.outputs(get(CARD));
        let before = door.work();
        assert!(door.outputs(get(CARD)).is_refusal, "answered by the filter");
        door.work() - before
    };
    let (short, long) = (work(100, 1), work(100, 500));
    assert!(
        long < short * 9 / 8,
        "{short} for a short document, {long} for a long one"
    );
}

/// Members of a card that are so long.
type Members = fn(usize) -> String;

/// What makes a card of A2A 0.3.
const CARD_OF_03: &str = r#""url":"https://agent.example/","protocolVersion":"0.3.0""#;

/// So many of something, with commas between them.
fn numbered(count: usize, of: impl Fn(usize) -> String) -> String {
    (0..count).map(of).collect::<Vec<_>>().join(",")
}

fn work_of_card(door: &mut Door, card: &str) -> u64 {
    let before = door.work();
    door.admits("the card", get(CARD).upstream(answered(card)));
    door.work() - before
}
