//! Signatures that are none, and second signatures made of a good one.

use crate::door::{CODE, Door, MALFORMED, SIGNATURE, TOTP_INVALID, bearer, identity, state};
use crate::token::{Parts, Token};

/// CVE-2022-21449 (r and s zero are a signature of everything), CVE-2020-28042 (an empty one), and Wycheproof's other
/// numbers at the ends of the range. ECDSA in JWS is R and S of fixed length, both from 1 to n−1 (RFC 7518 §3.4).
#[test]
fn ecdsa_numbers_out_of_range() {
    let mut door = Door::new();
    for (algorithm, order) in ORDERS {
        let order = &hex(order);
        let good = Parts::of(&Token::new(algorithm).sign());
        let bytes = good.signature_bytes();
        assert_eq!(bytes.len(), 2 * order.len());
        let (r, s) = bytes.split_at(order.len());
        let zero = &vec![0; order.len()];
        let one = &number(1, order.len());
        let ones = &vec![0xff; order.len()];
        let above = &add(order, one).unwrap();
        for (what, r, s) in [
            ("both zero", zero, zero),
            ("r zero", zero, &s.to_vec()),
            ("s zero", &r.to_vec(), zero),
            ("r zero, s one", zero, one),
            ("r one, s zero", one, zero),
            ("both one", one, one),
            ("both n", order, order),
            ("r n", order, &s.to_vec()),
            ("s n", &r.to_vec(), order),
            ("r n, s one", order, one),
            ("r one, s n", one, order),
            ("r n+1, s one", above, one),
            ("r all ones", ones, &s.to_vec()),
            ("s all ones", &r.to_vec(), ones),
            ("both all ones", ones, ones),
            ("exchanged", &s.to_vec(), &r.to_vec()),
        ] {
            let what = format!("{algorithm}: {what}");
            door.refuses(&what, bearer(good.signed([r.as_slice(), s].concat())), SIGNATURE);
        }
        // r+n and s+n are the same numbers modulo n. Only P-521 has the room for them, its 521 bits standing in 66 bytes.
        let sums = [
            add(r, order).map(|sum| [&sum, s].concat()),
            add(s, order).map(|sum| [r, &sum].concat()),
        ];
        assert!(algorithm != "ES512" || sums.iter().all(Option::is_some));
        for sum in sums.into_iter().flatten() {
            door.refuses(
                &format!("{algorithm}: plus n"),
                bearer(good.signed(sum)),
                SIGNATURE,
            );
        }
        door.admits_as(algorithm, bearer(good.signed(&bytes)), "mrpink");
    }
}

/// CVE-2020-28042: a signature of another length, or in the form that other protocols have (DER).
#[test]
fn signatures_of_another_form() {
    let mut door = Door::new();
    for (algorithm, _) in ORDERS {
        let good = Parts::of(&Token::new(algorithm).sign());
        let bytes = good.signature_bytes();
        let (r, s) = bytes.split_at(bytes.len() / 2);
        for (what, signature) in [
            ("DER", der(r, s)),
            ("DER without its sequence", der(r, s)[2..].to_vec()),
            ("r alone", r.to_vec()),
            ("a byte less", bytes[..bytes.len() - 1].to_vec()),
            ("a byte less at the start", bytes[1..].to_vec()),
            ("a zero more", [&bytes, [0].as_slice()].concat()),
            ("a zero before", [[0].as_slice(), &bytes].concat()),
            ("zeros before both", [[0].as_slice(), r, &[0], s].concat()),
            ("twice", [bytes.as_slice(), &bytes].concat()),
            ("SEC 1 point before", [[4].as_slice(), &bytes].concat()),
            ("empty", Vec::new()),
            ("one zero", vec![0]),
            (
                "6000 zeros",
                vec![0; 6_000 - good.header.len() - good.claims.len()],
            ),
        ] {
            door.refuses(
                &format!("{algorithm}: {what}"),
                bearer(good.signed(signature)),
                SIGNATURE,
            );
        }
    }
    for algorithm in ["RS256", "RS512", "PS256", "PS512", "EdDSA", "HS256"] {
        let good = Parts::of(&Token::new(algorithm).sign());
        let bytes = good.signature_bytes();
        let last = bytes.len() - 1;
        for (what, signature) in [
            ("a byte less", bytes[..last].to_vec()),
            ("a byte less at the start", bytes[1..].to_vec()),
            ("a zero more", [&bytes, [0].as_slice()].concat()),
            ("a zero before", [[0].as_slice(), &bytes].concat()),
            ("half", bytes[..bytes.len() / 2].to_vec()),
            ("all zeros", vec![0; bytes.len()]),
            ("all ones", vec![0xff; bytes.len()]),
            ("the number one", number(1, bytes.len())),
            ("reversed", bytes.iter().rev().copied().collect()),
            ("empty", Vec::new()),
            ("one zero", vec![0]),
        ] {
            door.refuses(
                &format!("{algorithm}: {what}"),
                bearer(good.signed(signature)),
                SIGNATURE,
            );
        }
        door.admits_as(algorithm, bearer(good.signed(&bytes)), "mrpink");
    }
}

/// RFC 8032 §8.4: S+L verifies like S where nobody looks, and so does a signature by a key of small order.
#[test]
fn ed25519_signatures_with_a_second_form() {
    let mut door = Door::new();
    let good = Parts::of(&Token::new("EdDSA").sign());
    let bytes = good.signature_bytes();
    let (point, scalar) = bytes.split_at(32);
    let order: Vec<u8> = hex("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");
    let big_endian: Vec<u8> = scalar.iter().rev().copied().collect();
    let mut sum = big_endian;
    for times in 1..=15 {
        let Some(next) = add(&sum, &order) else { break };
        sum = next;
        let little_endian: Vec<u8> = sum.iter().rev().copied().collect();
        let signature = [point, &little_endian].concat();
        door.refuses(&format!("S+{times}L"), bearer(good.signed(signature)), SIGNATURE);
    }
    let identity_point = [[1].as_slice(), &[0; 31]].concat();
    for (what, signature) in [
        ("identity, S zero", [identity_point.as_slice(), &[0; 32]].concat()),
        ("identity, S good", [identity_point.as_slice(), scalar].concat()),
        (
            "identity with a sign",
            [[1].as_slice(), &[0; 30], &[0x80], &[0; 32]].concat(),
        ),
        ("point zero, S zero", vec![0; 64]),
    ] {
        door.refuses(what, bearer(good.signed(signature)), SIGNATURE);
    }
    // A set with a key of small order, which "signs" everything: the key is left out.
    let faults = crate::door::refused_policy(
        serde_json::json!({"inbound": {"providers": {"main": {"jwks": {"inline": {
            "keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed25519", "x": crate::support::tokens::base64url(&identity_point)}]
        }}}}}}),
    );
    assert_eq!(
        faults,
        "inbound.providers.main.jwks.inline: has no key that can be used; the first: point is not on the curve or of \
         small order"
    );
}

/// `s` turned into `n−s` is another token with the same meaning. There is nothing to gain by it: it is the same caller
/// with the same claims until the same second. What is kept of a token goes by all of it.
#[test]
fn a_mirrored_signature_is_the_same_identity() {
    let mut door = Door::new();
    for (algorithm, order) in ORDERS {
        let good = Parts::of(&Token::new(algorithm).sign());
        let bytes = good.signature_bytes();
        let (r, s) = bytes.split_at(bytes.len() / 2);
        let mirrored = good.signed([r, &subtract(&hex(order), s)].concat());
        let original = door.admits_as(algorithm, bearer(good.signed(&bytes)), "mrpink");
        let second = door.admits_as(algorithm, bearer(mirrored), "mrpink");
        assert_eq!(identity(&original.headers), identity(&second.headers));
        assert_eq!(original.headers, second.headers);
        assert_eq!(original.filter_state, second.filter_state);
        assert_eq!(state(&second.filter_state, "peer").as_deref(), Some("mrpink"));
    }
}

/// What codes are bound to, and what failed codes are counted for, is the token and not its signature.
#[test]
fn a_mirrored_signature_is_the_same_credential() {
    for claims in [serde_json::json!({"jti": "one"}), serde_json::json!({})] {
        let mut door = Door::with(serde_json::json!({"inbound": {
            "totp": {"throttle": {"max_failures": 2}},
            "rules": [{"name": "bound", "accept": ["jwt"], "require": {"totp": {"replay": "per_token"}}}],
        }}));
        let (algorithm, order) = ORDERS[0];
        let good = Parts::of(&Token::new(algorithm).claims(claims).sign());
        let bytes = good.signature_bytes();
        let (r, s) = bytes.split_at(bytes.len() / 2);
        let original = good.signed(&bytes);
        let mirrored = good.signed([r, &subtract(&hex(order), s)].concat());
        let with = |token: &str, code: &str| bearer(token).header("x-totp", code);
        door.admits_as("the token", with(&original, CODE), "mrpink");
        door.admits_as("the same token", with(&mirrored, CODE), "mrpink");
        door.refuses("a guess", with(&original, "000000"), TOTP_INVALID);
        door.refuses("another one", with(&mirrored, "000000"), TOTP_INVALID);
        let refused = [&original, &mirrored].map(|token| door.answer(with(token, CODE)));
        assert_eq!(
            refused,
            [
                (429, "totp_throttled".to_owned()),
                (429, "totp_throttled".to_owned())
            ]
        );
    }
}

/// A good signature over other bytes than the claims that are read.
#[test]
fn changed_segments_are_refused() {
    let mut door = Door::new();
    for algorithm in ["ES256", "RS256", "PS256", "EdDSA", "HS256"] {
        let good = Parts::of(&Token::new(algorithm).sign());
        let boss = Parts::of(
            &Token::new(algorithm)
                .claims(serde_json::json!({"sub": "boss"}))
                .sign(),
        );
        let typed = Parts::of(
            &Token::new(algorithm)
                .header(serde_json::json!({"typ": "JWT"}))
                .sign(),
        );
        for (what, token) in [
            (
                "another's claims",
                format!("{}.{}.{}", good.header, boss.claims, good.signature),
            ),
            (
                "another header",
                format!("{}.{}.{}", typed.header, good.claims, good.signature),
            ),
            (
                "another's signature",
                format!("{}.{}.{}", good.header, good.claims, boss.signature),
            ),
        ] {
            door.refuses(&format!("{algorithm}: {what}"), bearer(token), SIGNATURE);
        }
        for (what, token) in [
            (
                "header and claims exchanged",
                format!("{}.{}.{}", good.claims, good.header, good.signature),
            ),
            ("no signature", format!("{}.{}", good.header, good.claims)),
            ("no claims", format!("{}..{}", good.header, good.signature)),
            ("no header", format!(".{}.{}", good.claims, good.signature)),
        ] {
            door.refuses(&format!("{algorithm}: {what}"), bearer(token), MALFORMED);
        }
    }
}

/// The orders of the curves (SEC 2, FIPS 186-5), with their leading zeros as far as a signature has room for them.
const ORDERS: [(&str, &str); 4] = [
    (
        "ES256",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    ),
    (
        "ES384",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
    (
        "ES512",
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d0\
         3bb5c9b8899c47aebb6fb71e91386409",
    ),
    (
        "ES256K",
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
    ),
];

fn hex(text: &str) -> Vec<u8> {
    let digit = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// A small number in so many bytes, big-endian.
fn number(value: u8, bytes: usize) -> Vec<u8> {
    let mut number = vec![0; bytes];
    *number.last_mut().unwrap() = value;
    number
}

/// The sum of two big-endian numbers of the same length, if it has room there.
fn add(left: &[u8], right: &[u8]) -> Option<Vec<u8>> {
    let mut carry = 0;
    let mut sum: Vec<u8> = left
        .iter()
        .zip(right)
        .rev()
        .map(|(left, right)| {
            let digit = u16::from(*left) + u16::from(*right) + carry;
            carry = digit >> 8;
            digit as u8
        })
        .collect();
    sum.reverse();
    (carry == 0).then_some(sum)
}

/// The difference of two big-endian numbers of the same length, the first being the larger one.
fn subtract(left: &[u8], right: &[u8]) -> Vec<u8> {
    let complement: Vec<u8> = right.iter().map(|byte| !byte).collect();
    let mut carry = 1;
    let mut difference: Vec<u8> = left
        .iter()
        .zip(&complement)
        .rev()
        .map(|(left, right)| {
            let digit = u16::from(*left) + u16::from(*right) + carry;
            carry = digit >> 8;
            digit as u8
        })
        .collect();
    difference.reverse();
    difference
}

/// A signature as X.509 and TLS write it: a sequence of two integers.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = if digits[0] >= 0x80 { vec![0] } else { vec![] };
        let value = [sign, digits].concat();
        [vec![2, value.len() as u8], value].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let length = match body.len() {
        short @ 0..0x80 => vec![short as u8],
        long => vec![0x81, long as u8],
    };
    [vec![0x30], length, body].concat()
}
