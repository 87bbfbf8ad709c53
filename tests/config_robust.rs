//! No configuration, however broken, makes the reader panic, tells a secret, or forges a line of a log.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use std::sync::LazyLock;

use peergate_filter::advice;
use peergate_filter::config::{self, Document, Environment};
use peergate_filter::sealed::{KeyPair, Recipient, UNSEALING_KEY};
use peergate_filter::secret::Secret;
use serde_json::{Value, json};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const INLINE_KEY: &str = "inline-key-that-nobody-may-see";
const SHARED: &str = "shared-secret-that-nobody-may-see-0123456789";

fn full() -> Value {
    serde_saphyr::from_str(include_str!("policies/full.yaml")).unwrap()
}

fn tokens() -> Value {
    serde_saphyr::from_str(include_str!("policies/tokens.yaml")).unwrap()
}

/// With secrets that stand sealed in it, of which one is the seed again.
fn with_sealed(mut policy: Value) -> Value {
    let recipient = Recipient::parse(&KEY.public).unwrap();
    let seal = |text: &str| recipient.seal(text, &Secret::new([3; 32]), [3; 12]).unwrap();
    policy["sealed_env"] = json!(seal(&json!({"SEALED": SEED}).to_string()));
    let seeds = policy["inbound"]["peers"]["mrpink"]["totp_seeds"].as_array_mut();
    seeds
        .unwrap()
        .extend([json!({"env": "SEALED"}), json!({"sealed": seal(SEED)})]);
    policy
}

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::new(&Secret::new([7; 32])).unwrap());

#[test]
fn no_bytes_make_it_panic() {
    let originals = [full(), tokens()].map(|policy| policy.to_string().into_bytes());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for round in 0..3_000 {
        let mut bytes = originals[round % 2].clone();
        for _ in 0..=random.below(4) {
            mutate_bytes(&mut bytes, &mut random);
        }
        refused += usize::from(check(&bytes));
    }
    assert!(refused > 1_000, "only {refused} were refused");
}

#[test]
fn no_shape_makes_it_panic_or_tell_a_secret() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut refused = 0;
    let sealed = with_sealed(full());
    for round in 0..2_000 {
        // To open one takes as long as all the rest.
        let mut document = match round % 10 {
            0 => sealed.clone(),
            1..5 => tokens(),
            _ => full(),
        };
        for _ in 0..=random.below(4) {
            mutate_shape(&mut document, &mut random);
        }
        refused += usize::from(check(document.to_string().as_bytes()));
    }
    assert!(refused > 1_500, "only {refused} were refused");
}

/// Whether the configuration is refused; and nothing that is said of it tells a secret or breaks out of its line.
fn check(bytes: &[u8]) -> bool {
    let key = KEY.private.expose();
    let environment = Environment {
        variables: [("SEED", SEED), ("SHARED", SHARED), (UNSEALING_KEY, key)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        workload: Some("charlie".into()),
        namespace: Some("agents".into()),
    };
    let (texts, is_refused) = match config::from_plugin_configuration(bytes, &environment) {
        Ok(loaded) => {
            let mut texts: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            if let Ok(document) = Document::from_json(bytes) {
                let hints = advice::hints(&loaded.policy, &document, &environment);
                let lines = hints
                    .iter()
                    .flat_map(|hint| [Some(hint.to_string()), hint.help()]);
                texts.extend(lines.flatten());
            }
            assert!(
                texts.iter().all(|text| !text.contains(char::is_control)),
                "{texts:?}"
            );
            texts.push(format!("{loaded:?}"));
            (texts, false)
        }
        Err(errors) => {
            assert!(errors.iter().len() > 0);
            let lines = errors
                .iter()
                .flat_map(|error| [Some(error.to_string()), error.help()]);
            let mut texts: Vec<String> = lines.flatten().collect();
            assert!(
                texts.iter().all(|text| !text.contains(char::is_control)),
                "{texts:?}"
            );
            texts.push(format!("{errors:?}"));
            (texts, true)
        }
    };
    let number = key.rsplit_once(r#""d":""#).unwrap().1;
    for text in texts {
        for secret in [SEED, INLINE_KEY, SHARED, number] {
            // Half of it, for mutations may have changed the rest.
            assert!(
                !text.contains(&secret[..secret.len() / 2]),
                "a secret is told: {text}"
            );
        }
    }
    is_refused
}

fn mutate_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let end = (at + random.below(20)).min(bytes.len());
    match random.below(5) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.truncate(at),
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => bytes[at] = b"{}[]\",:0$\\"[random.below(10)],
    }
}

/// Replaces, removes, renames or adds something somewhere. Texts of the document are never moved: what stands where
/// no secret belongs may be repeated.
fn mutate_shape(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(members) if !members.is_empty() && random.below(8) > 0 => {
            let name = members.keys().nth(random.below(members.len())).unwrap().clone();
            match random.below(12) {
                0 => drop(members.remove(&name)),
                1 => {
                    let value = members.remove(&name).unwrap();
                    members.insert(format!("{name}s"), value);
                }
                2 => drop(members.insert(format!("{name}\n"), json!(1))),
                _ => mutate_shape(members.get_mut(&name).unwrap(), random),
            }
        }
        Value::Array(entries) if !entries.is_empty() && random.below(8) > 0 => {
            let at = random.below(entries.len());
            match random.below(6) {
                0 => drop(entries.remove(at)),
                1 => entries.push(json!({})),
                _ => mutate_shape(&mut entries[at], random),
            }
        }
        other => {
            let values = [
                json!(null),
                json!(true),
                json!(-1),
                json!(1.5),
                json!(u64::MAX),
                json!(""),
                json!("x\r\ny"),
                json!("${A}"),
                json!("${"),
                json!("ü"),
                json!([]),
                json!([[]]),
                json!({}),
                json!({"": {}}),
            ];
            *other = values[random.below(values.len())].clone();
        }
    }
}

/// xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % limit
    }
}
