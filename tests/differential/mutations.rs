//! Tokens of every kind of wrong, and some that are good.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::filter::{ALGORITHMS, MAIN, SECRET, SHARED};
use crate::support::tokens::{base64url, keys};

/// A way of making a token, by its name.
pub(crate) type Mutation = (&'static str, fn(&mut Forge) -> Vec<u8>);

pub(crate) const MUTATIONS: &[Mutation] = &[
    ("as issued", |forge| forge.any().token.into_bytes()),
    // The text, whatever it means.
    ("a bit of the text flipped", |forge| {
        forge.changed_text(|rng, text| flip(rng, text))
    }),
    ("a byte inserted into the text", |forge| {
        forge.changed_text(|rng, text| insert(rng, text, &PRINTABLE))
    }),
    ("a byte of any value inserted into the text", |forge| {
        forge.changed_text(|rng, text| text.insert(rng.usize(..=text.len()), rng.u8(..)))
    }),
    ("bytes deleted from the text", |forge| forge.changed_text(delete)),
    ("bytes of the text exchanged", |forge| {
        forge.changed_text(|rng, text| {
            let bytes = text.len();
            text.swap(rng.usize(..bytes), rng.usize(..bytes));
        })
    }),
    ("a letter of the text in the other case", |forge| {
        forge.changed_text(|rng, text| {
            let place = rng.usize(..text.len());
            text[place] ^= 0x20 * u8::from(text[place].is_ascii_alphabetic());
        })
    }),
    ("cut off", |forge| {
        forge.changed_text(|rng, text| text.truncate(rng.usize(..text.len())))
    }),
    ("something behind", |forge| {
        forge.changed_text(|rng, text| {
            let tail = rng.choice([
                "=", "==", ".", "..", "A", "AA", "AAA", "\n", " ", "%3D", "?", "&a=b", ",", "\0",
            ]);
            text.extend(tail.unwrap().bytes());
        })
    }),
    // The segments.
    ("a bit of a decoded segment flipped", |forge| {
        forge.changed_segment(|rng, bytes| flip(rng, bytes))
    }),
    ("a byte inserted into a decoded segment", |forge| {
        forge.changed_segment(|rng, bytes| bytes.insert(rng.usize(..=bytes.len()), rng.u8(..)))
    }),
    ("bytes deleted from a decoded segment", |forge| {
        forge.changed_segment(delete)
    }),
    ("a zero byte at an end of a decoded segment", |forge| {
        forge.changed_segment(|rng, bytes| bytes.insert(if rng.bool() { 0 } else { bytes.len() }, 0))
    }),
    ("segments of two tokens", Forge::mixed),
    ("segments moved or repeated", Forge::shuffled),
    ("padded", Forge::padded),
    ("stray bits", Forge::stray_bits),
    // The signature.
    ("numbers of the signature changed", Forge::other_numbers),
    ("signed by a stranger", Forge::by_a_stranger),
    ("an HMAC with a public key", Forge::hmac_with_a_public_key),
    // The header, signed again.
    ("a header member changed", |forge| {
        forge.signed_with(|rng, header, _| change(rng, header, HEADER_MEMBERS))
    }),
    ("a header member doubled", |forge| {
        forge.signed_text(|rng, header, _| double(rng, header, HEADER_MEMBERS))
    }),
    ("another algorithm in the header", Forge::other_algorithm),
    ("another key in the header", Forge::other_key),
    // The claims, signed again.
    ("a claim changed", |forge| {
        forge.signed_with(|rng, _, claims| change(rng, claims, CLAIMS))
    }),
    ("a claim doubled", |forge| {
        forge.signed_text(|rng, _, claims| double(rng, claims, CLAIMS))
    }),
    ("a claim taken away", |forge| {
        forge.signed_with(|rng, _, claims| {
            let name = rng.choice(["iss", "aud", "sub", "exp", "iat"]).unwrap();
            claims.remove(name);
        })
    }),
    ("times around the edges", Forge::at_the_edges),
    ("shapes of aud", |forge| {
        forge.signed_with(|rng, _, claims| {
            claims.insert("aud".into(), audience(rng));
        })
    }),
    ("shapes of iss", |forge| {
        forge.signed_with(|rng, _, claims| {
            claims.insert("iss".into(), issuer(rng));
        })
    }),
    // The JSON, signed again.
    ("a byte of the header's JSON changed", |forge| {
        forge.signed_text(|rng, header, _| change_byte(rng, header))
    }),
    ("a byte of the claims' JSON changed", |forge| {
        forge.signed_text(|rng, _, claims| change_byte(rng, claims))
    }),
    ("JSON spelt otherwise", |forge| {
        forge.signed_text(|rng, header, claims| {
            *header = respell(rng, header);
            *claims = respell(rng, claims);
        })
    }),
    ("numbers spelt otherwise", |forge| {
        forge.signed_text(|rng, _, claims| respell_number(rng, claims))
    }),
    ("nested JSON", |forge| {
        forge.signed_text(|rng, header, claims| {
            let part = if rng.bool() { header } else { claims };
            let depth = rng.usize(1..20);
            let (open, close) = *rng.choice(&[("[", "]"), ("{\"a\":", "}")]).unwrap();
            let nested = format!(",\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            part.truncate(part.len() - 1);
            part.extend(nested.bytes());
        })
    }),
];

/// Makes tokens. The same seed makes the same mutations.
pub(crate) struct Forge {
    rng: Rng,
    /// The time of the tokens that are good.
    now: u64,
    issued: Vec<Issued>,
}

/// A good token.
#[derive(Clone)]
struct Issued {
    algorithm: &'static str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    token: String,
}

impl Forge {
    pub(crate) fn new(seed: u64, now: u64) -> Self {
        let issue = |algorithm: &'static str| {
            let (kid, issuer) = match algorithm {
                "ES256" => ("p256", MAIN),
                "ES384" => ("p384", MAIN),
                "EdDSA" => ("ed25519", MAIN),
                "HS256" => ("shared", SHARED),
                _ => ("rsa", MAIN),
            };
            let header = object(json!({"alg": algorithm, "kid": kid}));
            let claims = object(json!({
                "iss": issuer, "aud": "agents", "sub": "mrpink", "iat": now - 10, "exp": now + 3600,
                "jti": algorithm, "scope": "a b", "realm_access": {"roles": ["x", "y"]}, "n": 1.5
            }));
            let token = sign(algorithm, &text(&header), &text(&claims));
            Issued {
                algorithm,
                header,
                claims,
                token,
            }
        };
        Self {
            rng: Rng::with_seed(seed),
            now,
            issued: ALGORITHMS.into_iter().chain(["HS256"]).map(issue).collect(),
        }
    }

    fn any(&mut self) -> Issued {
        self.rng.choice(&self.issued).unwrap().clone()
    }

    /// One to be signed again: mostly of an algorithm that is quick.
    fn template(&mut self) -> Issued {
        let algorithm = match self.rng.u8(..10) {
            0 => "RS256",
            1 => "ES256",
            2..6 => "EdDSA",
            _ => "HS256",
        };
        let found = self.issued.iter().find(|issued| issued.algorithm == algorithm);
        found.unwrap().clone()
    }

    fn changed_text(&mut self, change: fn(&mut Rng, &mut Vec<u8>)) -> Vec<u8> {
        let mut text = self.any().token.into_bytes();
        change(&mut self.rng, &mut text);
        text
    }

    fn changed_segment(&mut self, change: fn(&mut Rng, &mut Vec<u8>)) -> Vec<u8> {
        let mut segments = segments(&self.any().token);
        let segment = &mut segments[self.rng.usize(..3)];
        let mut bytes = URL_SAFE_NO_PAD.decode(&segment).unwrap();
        change(&mut self.rng, &mut bytes);
        *segment = base64url(&bytes);
        segments.join(".").into_bytes()
    }

    fn signed_with(
        &mut self,
        change: fn(&mut Rng, &mut Map<String, Value>, &mut Map<String, Value>),
    ) -> Vec<u8> {
        let Issued {
            algorithm,
            mut header,
            mut claims,
            ..
        } = self.template();
        change(&mut self.rng, &mut header, &mut claims);
        sign(algorithm, &text(&header), &text(&claims)).into_bytes()
    }

    fn signed_text(&mut self, change: fn(&mut Rng, &mut Vec<u8>, &mut Vec<u8>)) -> Vec<u8> {
        let issued = self.template();
        let (mut header, mut claims) = (text(&issued.header), text(&issued.claims));
        change(&mut self.rng, &mut header, &mut claims);
        sign(issued.algorithm, &header, &claims).into_bytes()
    }

    fn mixed(&mut self) -> Vec<u8> {
        let (one, other) = (segments(&self.any().token), segments(&self.any().token));
        let rng = &mut self.rng;
        let mixed = one
            .iter()
            .zip(&other)
            .map(|(one, other)| if rng.bool() { one } else { other });
        mixed
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(".")
            .into_bytes()
    }

    fn shuffled(&mut self) -> Vec<u8> {
        let mut segments = segments(&self.any().token);
        segments.push(String::new());
        let count = self.rng.usize(1..=6);
        let mut chosen: Vec<&str> = Vec::new();
        for _ in 0..count {
            chosen.push(self.rng.choice(&segments).unwrap());
        }
        chosen.join(".").into_bytes()
    }

    fn padded(&mut self) -> Vec<u8> {
        let mut segments = segments(&self.any().token);
        let place = self.rng.usize(..3);
        let bytes = URL_SAFE_NO_PAD.decode(&segments[place]).unwrap();
        segments[place] = match self.rng.u8(..4) {
            0 => STANDARD.encode(bytes),
            1 => format!("{}=", segments[place]),
            2 => format!("{}==", segments[place]),
            _ => format!("{} ", segments[place]),
        };
        segments.join(".").into_bytes()
    }

    /// Signed as the segments stand there.
    fn stray_bits(&mut self) -> Vec<u8> {
        let issued = self.template();
        let mut header = base64url(&text(&issued.header));
        let mut claims = base64url(&text(&issued.claims));
        let changed = if self.rng.bool() { &mut header } else { &mut claims };
        let last = changed.pop().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let place = alphabet.find(last).unwrap() ^ self.rng.usize(1..16);
        changed.push(char::from(alphabet.as_bytes()[place]));
        let input = format!("{header}.{claims}");
        let signature = keys().sign_input(issued.algorithm, false, input.as_bytes(), SECRET);
        format!("{input}.{}", base64url(&signature)).into_bytes()
    }

    fn other_numbers(&mut self) -> Vec<u8> {
        let mut segments = segments(&self.any().token);
        let signature = URL_SAFE_NO_PAD.decode(&segments[2]).unwrap();
        let (first, second) = signature.split_at(signature.len() / 2);
        let zero = vec![0; first.len()];
        let order = match first.len() {
            32 => hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
            48 => hex(
                "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
            ),
            _ => vec![0xff; first.len()],
        };
        let changed = match self.rng.u8(..9) {
            0 => [&zero, second].concat(),
            1 => [first, &zero].concat(),
            2 => [second, first].concat(),
            3 => [&order, second].concat(),
            4 => [first, &order].concat(),
            5 => [first, &subtract(&order, second)].concat(),
            6 => [&subtract(&order, first), second].concat(),
            7 => [&[0], first, &[0], second].concat(),
            _ => signature.iter().rev().copied().collect(),
        };
        segments[2] = base64url(&changed);
        segments.join(".").into_bytes()
    }

    fn by_a_stranger(&mut self) -> Vec<u8> {
        let issued = self.template();
        let (header, claims) = (text(&issued.header), text(&issued.claims));
        match issued.algorithm {
            "HS256" => sign_with(
                issued.algorithm,
                &header,
                &claims,
                "fedcba9876543210fedcba9876543210",
            ),
            // The other issuer's RSA key; for the others another curve's.
            "RS256" => keys().sign("RS256", true, &utf8(&header), &utf8(&claims), ""),
            "ES256" => sign("ES256K", &header, &claims),
            _ => sign("ES256", &header, &claims),
        }
        .into_bytes()
    }

    fn hmac_with_a_public_key(&mut self) -> Vec<u8> {
        let mut issued = self.any();
        issued.header.insert("alg".into(), json!("HS256"));
        let jwks = keys().jwks();
        let key = self.rng.choice(jwks["keys"].as_array().unwrap()).unwrap();
        let member = key.get("n").or(key.get("x")).unwrap().as_str().unwrap();
        let secret = match self.rng.bool() {
            true => member.to_owned(),
            false => key.to_string(),
        };
        sign_with("HS256", &text(&issued.header), &text(&issued.claims), &secret).into_bytes()
    }

    fn other_algorithm(&mut self) -> Vec<u8> {
        let mut issued = self.template();
        let others = [
            "HS256", "HS384", "HS512", "none", "None", "NONE", "ES512", "ES256K", "Ed25519", "EdDSA ",
            "rs256", "",
        ];
        let names: Vec<&str> = ALGORITHMS.into_iter().chain(others).collect();
        let name = self.rng.choice(names).unwrap();
        issued.header.insert("alg".into(), json!(name));
        if self.rng.u8(..4) == 0 {
            issued.header.remove("kid");
        }
        sign(issued.algorithm, &text(&issued.header), &text(&issued.claims)).into_bytes()
    }

    fn other_key(&mut self) -> Vec<u8> {
        let mut issued = self.template();
        let kids = [
            Some("rsa"),
            Some("p256"),
            Some("p384"),
            Some("p521"),
            Some("secp256k1"),
            Some("ed25519"),
            Some("shared"),
            Some(""),
            Some("RSA"),
            Some("unknown"),
            Some("../rsa"),
            None,
        ];
        match self.rng.choice(kids).unwrap() {
            Some(kid) => issued.header.insert("kid".into(), json!(kid)),
            None => issued.header.remove("kid"),
        };
        sign(issued.algorithm, &text(&issued.header), &text(&issued.claims)).into_bytes()
    }

    fn at_the_edges(&mut self) -> Vec<u8> {
        let mut issued = self.template();
        for (claim, signs) in [("exp", [-1.0, -1.0]), ("nbf", [1.0, 1.0]), ("iat", [1.0, -1.0])] {
            if self.rng.u8(..3) == 0 {
                continue;
            }
            let sign = self.rng.choice(signs).unwrap();
            let seconds = self.rng.i32(58..=62)
                + if self.rng.bool() {
                    0
                } else {
                    self.rng.i32(-70..=10)
                };
            let time = self.now as f64 + sign * f64::from(seconds);
            let value = match self.rng.u8(..3) {
                0 => json!(time + self.rng.f64()),
                1 => json!(time),
                _ => json!(time as u64),
            };
            issued.claims.insert(claim.into(), value);
        }
        sign(issued.algorithm, &text(&issued.header), &text(&issued.claims)).into_bytes()
    }
}

const HEADER_MEMBERS: &[&str] = &[
    "alg", "kid", "typ", "cty", "crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "enc", "zip",
    "url", "nonce", "p2c", "exp", "Alg", "x",
];

const CLAIMS: &[&str] = &[
    "iss", "aud", "sub", "exp", "nbf", "iat", "jti", "azp", "scope", "scp", "Exp", "typ", "events",
    "at_hash", "x", "",
];

const PRINTABLE: [u8; 16] = *b".-_=+/ ,A0~%?\"{\t";

/// Puts a value of any kind under one of these names.
fn change(rng: &mut Rng, members: &mut Map<String, Value>, names: &[&str]) {
    let name = *rng.choice(names).unwrap();
    members.insert(name.to_owned(), value(rng));
}

/// Puts a member behind the last one, be its name there already or not.
fn double(rng: &mut Rng, object: &mut Vec<u8>, names: &[&str]) {
    let parsed: Map<String, Value> = serde_json::from_slice(object).unwrap();
    let name = match rng.u8(..3) {
        0 => (*rng.choice(names).unwrap()).to_owned(),
        _ => rng.choice(parsed.keys()).unwrap().clone(),
    };
    let value = match parsed.get(&name) {
        Some(same) if rng.bool() => same.clone(),
        _ => value(rng),
    };
    let name = match rng.u8(..3) {
        0 if !name.is_empty() => format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]),
        _ => name,
    };
    object.truncate(object.len() - 1);
    object.extend(format!(",\"{name}\":{value}}}").bytes());
}

fn value(rng: &mut Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1),
        json!(1.5),
        json!(-1e300),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(18_446_744_073_709_551_616.0),
        json!(9_999_999_999_u64),
        json!(""),
        json!("0"),
        json!("9999999999"),
        json!("agents"),
        json!("RS256"),
        json!("none"),
        json!("JWT"),
        json!("at+jwt"),
        json!("mrpink"),
        json!("a\u{0}b"),
        json!("\u{feff}"),
        json!("é"),
        json!([]),
        json!([""]),
        json!(["exp"]),
        json!(["agents"]),
        json!([null]),
        json!([1]),
        json!([[]]),
        json!({}),
        json!({"a": 1}),
        json!({"kty": "RSA"}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!("DEF"),
        json!(MAIN),
        json!([MAIN]),
        json!("x".repeat(300)),
    ];
    rng.choice(values).unwrap()
}

fn audience(rng: &mut Rng) -> Value {
    let one = |rng: &mut Rng| {
        let names = [
            "agents",
            "https://agents.example",
            "others",
            "agents2",
            "AGENTS",
            "agents ",
            "",
            "agents,others",
            "*",
            "agents\u{0}",
            "https://agents.example/",
        ];
        json!(rng.choice(names).unwrap())
    };
    match rng.u8(..4) {
        0 => one(rng),
        1 => value(rng),
        _ => {
            let mut list: Vec<Value> = (0..rng.usize(..4)).map(|_| one(rng)).collect();
            if rng.u8(..4) == 0 {
                list.push(value(rng));
            }
            rng.shuffle(&mut list);
            Value::Array(list)
        }
    }
}

fn issuer(rng: &mut Rng) -> Value {
    let issuers = [
        json!(MAIN),
        json!(SHARED),
        json!(format!("{MAIN}/")),
        json!(format!(" {MAIN}")),
        json!(MAIN.to_uppercase()),
        json!([MAIN]),
        json!([SHARED]),
        json!([MAIN, SHARED]),
        json!([MAIN, "x"]),
        json!({"iss": MAIN}),
        json!("api-key"),
        json!("https://issuer.example:443"),
        json!("http://issuer.example"),
        json!(""),
        json!("https://issuer.example\u{0}"),
    ];
    match rng.u8(..5) {
        0 => value(rng),
        _ => rng.choice(issuers).unwrap(),
    }
}

/// One byte of JSON is another one, one more, or not there.
fn change_byte(rng: &mut Rng, json: &mut Vec<u8>) {
    let place = rng.usize(..json.len());
    let marks = b"{}[]\",:\\.-+eEutfn019 \t\n\r\0\x0b\x7f\xff\xc3\xef/'";
    let byte = match rng.bool() {
        true => *rng.choice(marks).unwrap(),
        false => rng.u8(..),
    };
    match rng.u8(..3) {
        0 => json[place] = byte,
        1 => json.insert(place, byte),
        _ => {
            json.remove(place);
        }
    }
}

/// The same JSON in other words: white space, and escapes of letters.
fn respell(rng: &mut Rng, json: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    let mut in_string = false;
    let mut is_escaped = false;
    for letter in utf8(json).chars() {
        if in_string && letter.is_ascii_alphanumeric() && !is_escaped && rng.u8(..6) == 0 {
            text.push_str(&match rng.bool() {
                true => format!("\\u{:04x}", u32::from(letter)),
                false => format!("\\u{:04X}", u32::from(letter)),
            });
            continue;
        }
        is_escaped = letter == '\\' && !is_escaped;
        in_string ^= letter == '"';
        text.push(letter);
        if !in_string
            && rng.u8(..4) == 0
            && !letter.is_ascii_digit()
            && !letter.is_ascii_alphabetic()
            && letter != '.'
        {
            text.push(*rng.choice(&[' ', '\n', '\t', '\r']).unwrap());
        }
    }
    text.into_bytes()
}

/// A number of the claims in other words, some of which are no JSON.
fn respell_number(rng: &mut Rng, claims: &mut Vec<u8>) {
    let text = utf8(claims);
    let parsed: Value = serde_json::from_str(&text).unwrap();
    let name = *rng.choice(&["exp", "iat", "n"]).unwrap();
    let number = parsed[name].to_string();
    let digits = number.trim_end_matches(".5");
    let other = match rng.u8(..16) {
        0 => format!("{digits}.0"),
        1 => format!("{digits}e0"),
        2 => format!("{digits}E+0"),
        3 => format!("{digits}0e-1"),
        4 => format!("0{digits}"),
        5 => format!("+{digits}"),
        6 => format!("-{digits}"),
        7 => format!("{digits}."),
        8 => format!("{digits}e400"),
        9 => format!("{digits}{}", "0".repeat(rng.usize(1..400))),
        10 => format!("{digits}.{}", "9".repeat(rng.usize(1..40))),
        11 => format!("0x{digits}"),
        12 => format!("\"{digits}\""),
        13 => format!("{}e{}", &digits[..1], digits.len() - 1),
        14 => format!("[{digits}]"),
        _ => (*rng
            .choice(&["NaN", "Infinity", "-0", "1e-400", "null", "true", "1_0"])
            .unwrap())
        .to_owned(),
    };
    let changed = text.replacen(&format!("\"{name}\":{number}"), &format!("\"{name}\":{other}"), 1);
    *claims = changed.into_bytes();
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    let place = rng.usize(..bytes.len());
    bytes[place] ^= 1 << rng.u8(..8);
}

fn insert(rng: &mut Rng, bytes: &mut Vec<u8>, from: &[u8]) {
    bytes.insert(rng.usize(..=bytes.len()), *rng.choice(from).unwrap());
}

fn delete(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let start = rng.usize(..bytes.len());
    let end = (start + rng.usize(1..=4)).min(bytes.len());
    bytes.drain(start..end);
}

fn segments(token: &str) -> Vec<String> {
    token.split('.').map(str::to_owned).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("no object: {other}"),
    }
}

fn text(members: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(members).unwrap()
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn sign(algorithm: &str, header: &[u8], claims: &[u8]) -> String {
    sign_with(algorithm, header, claims, SECRET)
}

fn sign_with(algorithm: &str, header: &[u8], claims: &[u8], secret: &str) -> String {
    let input = format!("{}.{}", base64url(header), base64url(claims));
    let signature = keys().sign_input(algorithm, false, input.as_bytes(), secret);
    format!("{input}.{}", base64url(&signature))
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The difference of two big-endian numbers of the same length.
fn subtract(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut difference: Vec<u8> = left
        .iter()
        .zip(right)
        .rev()
        .map(|(left, right)| {
            let digit = i16::from(*left) - i16::from(*right) - borrow;
            borrow = i16::from(digit < 0);
            digit as u8
        })
        .collect();
    difference.reverse();
    difference
}
