//! Other spellings of a token, for readers that disagree about where it ends and what it says; and sizes.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::json;

use crate::door::{Door, ENCRYPTED, MALFORMED, NO_BEARER, REPEATED, SHARED_SECRET, TOO_LONG, bearer};
use crate::support::tokens::base64url;
use crate::token::{Parts, Token};

/// Wycheproof's JWS vectors: base64url has one spelling (RFC 7515 §2). All others are refused in each segment, also
/// where the signature covers them, for two spellings of one token get past whatever remembers tokens.
#[test]
fn base64url_has_one_spelling() {
    let mut door = Door::new();
    // Lengths that leave 1 and 2 bytes over, so that there is room for padding and stray bits.
    let good = Parts::of(&signed_over(
        r#"{"alg":"HS256","kid":"shared"} "#,
        &claims_of_length(1),
    ));
    for (what, change) in SPELLINGS {
        for segment in 0..3 {
            let mut segments = [good.header.clone(), good.claims.clone(), good.signature.clone()];
            let Some(changed) = change(&segments[segment]) else {
                continue;
            };
            segments[segment] = changed;
            if segment < 2 {
                // Signed as it stands there.
                let input = format!("{}.{}", segments[0], segments[1]);
                segments[2] = base64url(&tag(&input));
            }
            let refusal = match *what {
                "a comma" => REPEATED,
                "a space inside" | "a tab inside" | "a line feed inside" | "a line feed behind" => NO_BEARER,
                _ => MALFORMED,
            };
            door.refuses(
                &format!("segment {segment}: {what}"),
                bearer(segments.join(".")),
                refusal,
            );
        }
    }
    door.admits_as(
        "as it should be",
        bearer(format!("{}.{}.{}", good.header, good.claims, good.signature)),
        "mrpink",
    );
}

/// Wycheproof: bits behind the last whole byte that are not zero, each of them, in each segment.
#[test]
fn stray_bits_are_refused() {
    let mut door = Door::new();
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for over in [1, 2] {
        let header = match over {
            1 => r#"{"alg":"HS256","kid":"shared"} "#,
            _ => r#"{"alg":"HS256","kid":"shared"}  "#,
        };
        let good = Parts::of(&signed_over(header, &claims_of_length(over)));
        assert_eq!(
            [good.header.len() % 4, good.claims.len() % 4],
            [over + 1, over + 1]
        );
        for segment in 0..3 {
            let segments = [good.header.clone(), good.claims.clone(), good.signature.clone()];
            let last = *segments[segment].as_bytes().last().unwrap();
            let place = ALPHABET.iter().position(|letter| *letter == last).unwrap();
            // Two bits are over behind 2 bytes (and behind the 32 of this signature), four behind 1.
            let bits = match segments[segment].len() % 4 {
                2 => 4,
                _ => 2,
            };
            for stray in 1..1 << bits {
                let mut segments = segments.clone();
                segments[segment].pop();
                segments[segment].push(char::from(ALPHABET[place | stray]));
                if segment < 2 {
                    let input = format!("{}.{}", segments[0], segments[1]);
                    segments[2] = base64url(&tag(&input));
                }
                let what = format!("segment {segment}, {over} over, bits {stray:b}");
                door.refuses(&what, bearer(segments.join(".")), MALFORMED);
            }
        }
    }
}

/// A header value can hold every byte but CR, LF and NUL. None of them can stand in a token, at its start, or at its end.
#[test]
fn every_other_byte_in_a_token_is_refused() {
    let mut door = Door::new();
    let good = Token::quick().sign().into_bytes();
    for byte in 0..=u8::MAX {
        if byte.is_ascii_alphanumeric() || b"-_.\r\n\0".contains(&byte) {
            continue;
        }
        for place in [0, 10, good.len() / 2, good.len()] {
            let mut token = good.clone();
            token.insert(place, byte);
            let refusal = match byte {
                b',' => REPEATED,
                // The scheme's name takes the spaces behind it with it.
                b' ' if place == 0 => continue,
                b' ' | b'\t' | b'\x0c' => NO_BEARER,
                _ => MALFORMED,
            };
            door.refuses(&format!("byte {byte:#04x} at {place}"), bearer(token), refusal);
        }
    }
}

/// CVE-2025-30204: splitting at every dot before looking at the length. Thousands of them, within the limit and far over.
#[test]
fn ten_thousand_dots() {
    let mut door = Door::with(json!({"inbound": {"limits": {"max_token_bytes": 65536}}}));
    for (dots, refusal) in [
        (1, MALFORMED),
        (2, MALFORMED),
        (3, MALFORMED),
        (4, ENCRYPTED),
        (5, MALFORMED),
        (10_000, MALFORMED),
        (60 * 1024, MALFORMED),
        (65_536, MALFORMED),
        (65_537, TOO_LONG),
        (1024 * 1024, TOO_LONG),
    ] {
        door.refuses(&format!("{dots} dots"), bearer(".".repeat(dots)), refusal);
    }
    let good = Token::quick().sign();
    for dots in [1, 3, 10_000, 60_000] {
        door.refuses(
            "behind a good one",
            bearer(format!("{good}{}", ".".repeat(dots))),
            MALFORMED,
        );
        door.refuses(
            "before a good one",
            bearer(format!("{}{good}", ".".repeat(dots))),
            MALFORMED,
        );
    }
    door.refuses("two behind a good one", bearer(format!("{good}..")), ENCRYPTED);
}

/// CVE-2026-48042: JSON nested until the reader's stack ends. The token is signed by the issuer.
#[test]
fn json_nested_deeply() {
    let mut door = Door::with(json!({"inbound": {"limits": {"max_token_bytes": 65536}}}));
    let forms: [(&str, &str); 3] = [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")];
    for (open, close) in forms {
        // The object itself is one deep, and the third form opens two.
        let levels = open.matches(['[', '{']).count();
        for depth in [15, 16, 100, 127, 128, 129, 1_000, 5_000, 100_000] {
            let times = depth / levels;
            let value = format!("{}1{}", open.repeat(times), close.repeat(times));
            let unclosed = open.repeat(times);
            let allowed = times * levels < 16;
            for text in [value, unclosed] {
                let is_whole = text.contains('1');
                let claims = Token::quick().claims_and(&format!(r#""x":{text}"#)).sign();
                let header = Token::quick()
                    .raw_header(format!(r#"{{"alg":"HS256","kid":"shared","x":{text}}}"#))
                    .sign();
                for token in [claims, header] {
                    let what = format!("{open} {times} times, closed: {is_whole}");
                    match token.len() {
                        0..=65_536 if allowed && is_whole => {
                            door.admits_as(&what, bearer(token), "mrpink");
                        }
                        0..=65_536 => {
                            door.refuses(&what, bearer(token), MALFORMED);
                        }
                        _ => {
                            door.refuses(&what, bearer(token), TOO_LONG);
                        }
                    }
                }
            }
        }
    }
}

/// CVE-2025-30204: a megabyte where a token stands.
#[test]
fn a_token_of_a_megabyte() {
    let mut door = Door::new();
    let good = Token::quick().sign();
    for bytes in [8_193, 60 * 1024, 65_537, 1024 * 1024, 4 * 1024 * 1024] {
        for (what, token) in [
            ("letters", "A".repeat(bytes)),
            ("three segments", format!("{0}.{0}.{0}", "A".repeat(bytes / 3))),
            ("a good one and more", format!("{good}{}", "A".repeat(bytes))),
            ("bytes that are no text", "\u{e9}".repeat(bytes / 2 + 1)),
        ] {
            door.refuses(&format!("{bytes} bytes, {what}"), bearer(token), TOO_LONG);
        }
    }
    let padded = |padding: usize| Token::quick().claims(json!({"x": "x".repeat(padding)})).sign();
    let room = (8_192 - good.len()) * 3 / 4;
    let (largest, larger) = (padded(room - 12), padded(room + 12));
    assert!(largest.len() <= 8_192 && larger.len() > 8_192);
    door.admits_as("the largest that is read", bearer(largest), "mrpink");
    door.refuses("a larger one", bearer(larger), TOO_LONG);
}

type Spelling = (&'static str, fn(&str) -> Option<String>);

/// Other spellings of a segment; `None` where the segment has none.
const SPELLINGS: &[Spelling] = &[
    ("padding", |text| {
        let padding = (4 - text.len() % 4) % 4;
        (padding > 0).then(|| format!("{text}{}", "=".repeat(padding)))
    }),
    ("one sign of padding", |text| Some(format!("{text}="))),
    ("encoded padding", |text| Some(format!("{text}%3D"))),
    ("a question mark", |text| Some(format!("{text}?"))),
    ("the other alphabet", |text| {
        let bytes = GeneralPurpose::new(
            &URL_SAFE,
            GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        )
        .decode(text)
        .unwrap();
        let standard = STANDARD_NO_PAD.encode(bytes);
        (standard != text).then_some(standard)
    }),
    ("a space inside", |text| {
        Some(format!("{} {}", &text[..4], &text[4..]))
    }),
    ("a tab inside", |text| {
        Some(format!("{}\t{}", &text[..4], &text[4..]))
    }),
    ("a comma", |text| Some(format!("{text},"))),
    ("a minus behind", |text| Some(format!("{text}!"))),
    ("one letter", |text| {
        (text.len() % 4 == 0).then(|| format!("{text}A"))
    }),
    ("a letter too many", |text| {
        Some(format!("{text}{}", "A".repeat((5 - text.len() % 4) % 4)))
    }),
    ("quotes", |text| Some(format!("\"{text}\""))),
    ("an escape", |text| {
        Some(format!("%{:02X}{}", text.as_bytes()[0], &text[1..]))
    }),
    ("a byte order mark", |text| Some(format!("\u{feff}{text}"))),
    ("a wide letter", |text| Some(format!("{text}\u{ff21}"))),
];

/// Claims whose JSON leaves so many bytes over behind the last three.
fn claims_of_length(over: usize) -> String {
    let claims = Token::quick().claims_text();
    let spaces = (0..3).find(|spaces| (claims.len() + spaces) % 3 == over).unwrap();
    format!("{claims}{}", " ".repeat(spaces))
}

fn signed_over(header: &str, claims: &str) -> String {
    Token::quick().raw_header(header).raw_claims(claims).sign()
}

fn tag(input: &str) -> Vec<u8> {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SHARED_SECRET.as_bytes()).unwrap();
    mac.update(input.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
