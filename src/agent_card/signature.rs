//! Signatures of cards (A2A 1.0 §8.4): JWS with a detached payload (RFC 7515 appendix F), one for each form in which verifiers
//! sign a card.
//!
//! It does not verify signatures: that is for whoever reads the card.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Card;
use super::canonical::Form;
use crate::signer::{HostSigner, Salt, SigningKey};

impl Card {
    /// Signs it, in the place of the signatures that it has. One good signature is enough for a verifier, whatever the others
    /// are, so there is one for each form that this card has and no two over the same bytes. `false` if there is none: then
    /// the card is unsigned.
    pub fn sign(&mut self, key: &SigningKey, host: &dyn HostSigner) -> bool {
        self.unsign();
        let mut signed: Vec<String> = Vec::new();
        let mut signatures = Vec::new();
        for form in Form::ALL {
            if let Some(canonical) = form.of(&self.members, self.shape)
                && !signed.contains(&canonical)
                && let Some(signature) = signature(&canonical, key, host)
            {
                signatures.push(signature);
                signed.push(canonical);
            }
        }
        let is_signed = !signatures.is_empty();
        if is_signed {
            self.members.insert("signatures".into(), Value::Array(signatures));
        }
        is_signed
    }
}

/// `AgentCardSignature` (A2A 1.0 §4.4.7).
fn signature(canonical: &str, key: &SigningKey, host: &dyn HostSigner) -> Option<Value> {
    // PSS wants no secret in its salt and nothing that cannot be foreseen, only that it does not fall together for different
    // messages by plan: its proof needs no salt at all for what it says of the hash (RFC 8017 §9.1, note 4), and a salt that
    // the message makes is one salt for one message, as the nonce of RFC 6979 is. So a card is signed the same each time.
    let salt: Salt = Sha256::digest(canonical).into();
    let token = key.sign("JOSE", canonical, &salt, host)?;
    let (protected, rest) = token.split_once('.')?;
    let (_, signature) = rest.split_once('.')?;
    let mut members = Map::new();
    members.insert("protected".into(), protected.into());
    members.insert("signature".into(), signature.into());
    Some(Value::Object(members))
}
