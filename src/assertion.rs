//! The filter's own assertion: a short-lived JWT (RFC 7519) that tells an upstream who called, so that it can verify the
//! caller by itself and need not trust a header.
//!
//! It is told who the caller is, what time it is and what is random, and says what is signed. It does not know how a caller
//! was verified, nor what becomes of an assertion. Who is to know one again keeps its [`id`].

#[cfg(test)]
mod tests;

use std::rc::Rc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::claims::Claims;
use crate::http::Bytes;
use crate::signer::{HostSigner, Salt, SigningKey};
use crate::time::UnixTime;

/// How assertions are made (`inbound.forward.assertion`).
#[derive(Debug)]
pub struct Assertion {
    /// The header that carries it, in lower case.
    pub header: Rc<str>,
    /// Where the public keys are served.
    pub jwks_path: Option<String>,
    /// Whether one of the keys is not there (`on_missing_secret: deny_rule`).
    pub lacks_key: bool,
    /// The claims of the caller's token that go into it, by their names at the top level.
    claims: Vec<String>,
    /// How long one is good.
    pub lifetime_seconds: u32,
    /// The first signs.
    keys: Vec<SigningKey>,
    /// `iss` and `aud`, with the brace before them.
    head: String,
}

/// What is written of it in a policy.
#[derive(Debug)]
pub struct Settings {
    /// The header that carries it, in lower case.
    pub header: String,
    /// The first signs, the others are only served.
    pub keys: Vec<SigningKey>,
    /// Whether one more is not there.
    pub lacks_key: bool,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// The claims of the caller's token that go into it.
    pub claims: Vec<String>,
    /// How long it is good.
    pub lifetime_seconds: u32,
    /// Where the public keys are served.
    pub jwks_path: Option<String>,
}

/// Who called, as an assertion says it.
#[derive(Debug)]
pub struct Subject {
    /// Members of the payload, each with a comma behind it.
    members: Box<str>,
    /// The words of `amr` (RFC 8176) but for `otp`, each in its quotes.
    amr: Box<str>,
}

/// An assertion that was made.
#[derive(Debug)]
pub struct Minted {
    /// The token.
    pub value: Bytes,
    /// Its `jti`.
    pub jti: String,
    /// Its `exp`.
    pub expires_at: u64,
    /// From when another one is to be made in its place.
    renew_at: u64,
}

impl Minted {
    /// Whether it may still be sent: half of its life is left, or nothing longer can be had.
    pub const fn is_fresh(&self, now: UnixTime) -> bool {
        now.seconds() < self.renew_at
    }
}

impl Assertion {
    /// From what is written.
    pub fn new(settings: Settings) -> Self {
        let mut head = "{\"iss\":".to_owned();
        head.push_str(&Value::from(settings.issuer).to_string());
        head.push_str(",\"aud\":");
        head.push_str(&Value::from(settings.audience).to_string());
        head.push(',');
        Self {
            header: settings.header.into(),
            jwks_path: settings.jwks_path,
            lacks_key: settings.lacks_key,
            claims: settings.claims,
            lifetime_seconds: settings.lifetime_seconds,
            keys: settings.keys,
            head,
        }
    }

    /// The public keys: JWKs (RFC 7517 §4).
    pub fn public_jwks(&self) -> Vec<&str> {
        self.keys.iter().map(SigningKey::public_jwk).collect()
    }

    /// The key that signs.
    pub fn key(&self) -> Option<&SigningKey> {
        self.keys.first()
    }

    /// What is said of a caller, whenever it calls. `claims` are those of its token; `act` (RFC 8693 §4.1) always goes in,
    /// others where they were chosen. `amr` are the words for how it was known (RFC 8176 §2), but for `otp`.
    pub fn subject(
        &self,
        sub: Option<&str>,
        idp_iss: &str,
        peer: Option<&str>,
        claims: &Claims,
        amr: &[&str],
    ) -> Subject {
        let mut members = String::new();
        let mut add = |name: &str, value: &Value| {
            members.push_str(&Value::from(name).to_string());
            members.push(':');
            members.push_str(&value.to_string());
            members.push(',');
        };
        for (name, text) in [("sub", sub), (IDP_ISS, Some(idp_iss)), (PEER, peer)] {
            if let Some(text) = text {
                add(name, &text.into());
            }
        }
        if let Some(actor) = claims.get(ACT) {
            add(ACT, actor);
        }
        for name in &self.claims {
            if let Some(value) = claims.get(name) {
                add(name, value);
            }
        }
        let mut words = String::new();
        for word in amr.iter().filter(|word| **word != OTP) {
            if !words.is_empty() {
                words.push(',');
            }
            words.push_str(&Value::from(*word).to_string());
        }
        Subject {
            members: members.into(),
            amr: words.into(),
        }
    }

    /// Makes one. `has_otp` says that a one-time password was checked on this request; `not_after` is the `exp` of the
    /// caller's own credential. `None` if none can be signed, or it would be longer than a header may be.
    pub fn mint(
        &self,
        subject: &Subject,
        has_otp: bool,
        not_after: Option<u64>,
        now: UnixTime,
        random: &Random,
        host: &dyn HostSigner,
    ) -> Option<Minted> {
        let iat = now.seconds();
        let exp = iat.saturating_add(self.lifetime_seconds.into());
        let (exp, renew_at) = match not_after {
            // Another one would not be good for longer.
            Some(not_after) if not_after <= exp => (not_after, not_after.max(iat.saturating_add(1))),
            _ => (
                exp,
                iat.saturating_add(u64::from(self.lifetime_seconds).div_ceil(2)),
            ),
        };
        let (members, amr, jti) = (&subject.members, &subject.amr, &random.jti);
        let otp = match (has_otp, amr.is_empty()) {
            (true, true) => "\"otp\"",
            (true, false) => ",\"otp\"",
            (false, _) => "",
        };
        let head = &self.head;
        let claims =
            format!("{head}{members}\"amr\":[{amr}{otp}],\"iat\":{iat},\"exp\":{exp},\"jti\":\"{jti}\"}}");
        let token = self.keys.first()?.sign(TYPE, &claims, &random.salt, host)?;
        (token.len() <= MAX_BYTES).then(|| Minted {
            value: token.into_bytes().into(),
            jti: jti.clone(),
            expires_at: exp,
            renew_at,
        })
    }
}

impl Subject {
    /// What it takes, and what the assertions made of it do, by estimate.
    pub const fn bytes(&self) -> usize {
        // Two, each of them in base64.
        (self.members.len() + MINTED_BYTES) * 4
    }
}

/// What is new with each assertion. Nobody may foresee it.
#[derive(Debug)]
pub struct Random {
    /// Its `jti`.
    pub jti: String,
    /// For its signature.
    pub salt: Salt,
}

/// What tells an assertion from every other text: its digest. A policy keeps under it whom it was made for; with another
/// `jti`, another signature or another byte anywhere it is another one, which nobody has kept.
pub fn id(token: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    // Other things are kept under digests too.
    digest.update(b"assertion\0");
    digest.update(token);
    digest.finalize().into()
}

/// Whether an assertion says that a one-time password was checked.
pub fn has_otp(claims: &Map<String, Value>) -> bool {
    words(claims).contains(&OTP)
}

/// The words of `amr` (RFC 8176 §1); other values are none.
pub fn words(claims: &Map<String, Value>) -> Vec<&str> {
    let words = claims.get(AMR).and_then(Value::as_array);
    let words = words.map(Vec::as_slice).unwrap_or_default();
    words.iter().filter_map(Value::as_str).collect()
}

/// `typ` of assertions (RFC 8725 §3.11): nothing else that the same keys sign can be taken for one.
pub const TYPE: &str = "peergate+jwt";
/// The issuer of the caller's own credential, or the word that stands for one.
pub const IDP_ISS: &str = "idp_iss";
/// The name of the peer.
pub const PEER: &str = "peer";
/// What an assertion holds of every caller who has it, so that none can be chosen.
pub const ALWAYS_THERE: [&str; 10] = ["iss", "aud", "sub", IDP_ISS, PEER, ACT, AMR, "iat", "exp", "jti"];
const ACT: &str = "act";
const AMR: &str = "amr";
const OTP: &str = "otp";
/// Common servers refuse a header line of more than 8 KiB.
const MAX_BYTES: usize = 8192;
/// Of an assertion beside what it says of the caller: header, signature, issuer, audience, times.
const MINTED_BYTES: usize = 256;
