//! Secrets that are easily guessed, or that stand in two places. None is printed, and none is kept: seeds are compared
//! by their digests.

use crate::advice::Findings;
use crate::advice::entry::{entries, members, text};
use crate::advice::words::{Advice, LEAST_KEY_BYTES};
use crate::api_key::{Credentials, Digest};
use crate::config::path::Path;
use crate::config::{Document, Environment};
use crate::secret::Secret;

/// Looks at every secret whose text is known.
pub(super) fn advise(document: &Document, environment: &Environment, findings: &mut Findings<'_>) {
    let mut seeds = Seeds::default();
    let root = Path::root();
    let (inbound, inbound_path) = (document.member("inbound"), root.member("inbound"));
    for (name, peer) in members(inbound, "peers") {
        let path = inbound_path.member("peers").member(name);
        for member in ["api_keys", "bearer_tokens"] {
            let path = path.member(member);
            for (index, key) in entries(Some(peer), member).iter().enumerate() {
                if let Some(key) = secret(key, environment) {
                    check_key(key, &path.index(index), findings);
                }
            }
        }
        let owner = Owner::Peer(name.to_owned());
        seeds.check_all(peer, "totp_seeds", &path, &owner, environment, findings);
    }
    if let Some(totp) = inbound.and_then(|inbound| inbound.member("totp")) {
        let path = inbound_path.member("totp");
        seeds.check_all(
            totp,
            "insecure_shared_seeds",
            &path,
            &Owner::Shared,
            environment,
            findings,
        );
    }
    for (name, provider) in members(inbound, "providers") {
        let path = inbound_path.member("providers").member(name);
        let path = path.member("jwks").member("secrets");
        for (index, entry) in entries(provider.member("jwks"), "secrets").iter().enumerate() {
            let secret = entry.member("secret").and_then(|node| secret(node, environment));
            if secret.is_some_and(is_one_character) {
                findings.add(&path.index(index).member("secret"), Advice::OneCharacter);
            }
        }
    }
    let path = root.member("outbound").member("rules");
    for (index, rule) in entries(document.member("outbound"), "rules").iter().enumerate() {
        let seed = rule.member("totp").and_then(|totp| match totp.member("seed") {
            Some(seed) => secret(seed, environment),
            None => variable(DEFAULT_SEED_VARIABLE, environment),
        });
        if let Some(seed) = seed {
            let path = path.index(index).member("totp").member("seed");
            seeds.check(seed, &path, &Owner::Outbound, findings);
        }
    }
}

/// The text of a SECRET; `None` where only its digest is there, where it is sealed, or missing.
fn secret<'d>(node: &'d Document, environment: &'d Environment) -> Option<&'d str> {
    match text(Some(node), "env") {
        Some(name) => variable(name, environment),
        None => text(Some(node), "inline"),
    }
}

/// The value of a variable; one that is blank is as good as not set.
fn variable<'d>(name: &str, environment: &'d Environment) -> Option<&'d str> {
    let value = environment.variables.get(name)?;
    (!value.trim().is_empty()).then_some(value)
}

fn check_key(key: &str, path: &Path<'_>, findings: &mut Findings<'_>) {
    if key.len() < LEAST_KEY_BYTES {
        findings.add(path, Advice::KeyShort { bytes: key.len() });
    } else if is_one_character(key) {
        findings.add(path, Advice::OneCharacter);
    }
}

/// What whoever has nothing to say writes into a place for a secret.
fn is_one_character(secret: &str) -> bool {
    let mut characters = secret.chars();
    let first = characters.next();
    characters.all(|character| Some(character) == first)
}

/// Whose a seed is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Peer(String),
    /// Of every caller without its own.
    Shared,
    /// This workload's own, for its calls. It has one for several upstreams by default.
    Outbound,
}

/// Seeds, by what they decode to.
#[derive(Default)]
struct Seeds {
    places: Credentials<(Owner, String)>,
}

impl Seeds {
    fn check_all(
        &mut self,
        node: &Document,
        member: &str,
        path: &Path<'_>,
        owner: &Owner,
        environment: &Environment,
        findings: &mut Findings<'_>,
    ) {
        let path = path.member(member);
        for (index, seed) in entries(Some(node), member).iter().enumerate() {
            if let Some(seed) = secret(seed, environment) {
                self.check(seed, &path.index(index), owner, findings);
            }
        }
    }

    fn check(&mut self, seed: &str, path: &Path<'_>, owner: &Owner, findings: &mut Findings<'_>) {
        // Base32 without its padding and in upper case: the seed is good, so that equal bytes have one such text.
        let canonical = Secret::new(seed.trim_end_matches('=').to_ascii_uppercase());
        if is_one_character(canonical.expose()) {
            findings.add(path, Advice::OneCharacter);
        }
        let Ok(digest) = Digest::of_secret(canonical.expose().as_bytes()) else {
            return;
        };
        if let Err(duplicate) = self.places.insert(digest, (owner.clone(), path.to_string())) {
            let (first, with) = duplicate.first;
            if first != *owner {
                findings.add(path, Advice::SeedShared { with });
            }
        }
    }
}

/// As `outbound.rules[].totp.seed` has it.
const DEFAULT_SEED_VARIABLE: &str = "A2A_TOTP_SEED";
