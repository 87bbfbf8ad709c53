//! New keys for tests: the private half into a file, the public one for a policy.

use std::path::Path;

use jwt_simple::algorithms::RS256KeyPair;
use peergate_filter::jwks::Algorithm;
use peergate_filter::mint::{KeyError, MintingKey, Wish};
use peergate_filter::secret::Secret;
use peergate_filter::signer::jwk_set;

use super::refused::Refused;
use crate::cli::secrets;
use crate::cli::shown_path;

/// Writes a private JWK; gives the JWK set that verifies its tokens.
pub(super) fn new_key(algorithm: Algorithm, file: &Path, kid: Option<&str>) -> Result<String, Refused> {
    let key = match algorithm {
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => rsa(algorithm, kid)?,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::Es256K | Algorithm::EdDsa => {
            by_chance(algorithm, kid)?
        }
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return Err(Refused::NoPair(algorithm)),
    };
    let key = key.named();
    let public = key.public_jwk().ok_or(Refused::NoPair(algorithm))?;
    secrets::write_private(file, &key.private_jwk())?;
    super::tell(&format!(
        "private key written to {}\npublic key, for `jwks: {{inline: …}}`:",
        shown_path(file)
    ));
    Ok(jwk_set(&[&public]))
}

fn by_chance(algorithm: Algorithm, kid: Option<&str>) -> Result<MintingKey, Refused> {
    loop {
        match MintingKey::from_random(algorithm, kid, &secrets::random()?) {
            // No number of the curve's order: one in 2³² at the most.
            Err(KeyError::Malformed) => {}
            key => return key.map_err(Refused::NewKey),
        }
    }
}

fn rsa(algorithm: Algorithm, kid: Option<&str>) -> Result<MintingKey, Refused> {
    let malformed = |_| Refused::NewKey(KeyError::Malformed);
    let pair = RS256KeyPair::generate(RSA_BITS).map_err(malformed)?;
    let pem = Secret::new(pair.to_pem().map_err(malformed)?);
    let wish = Wish {
        algorithm: Some(algorithm),
        kid,
        ..Wish::default()
    };
    MintingKey::parse(&pem, wish).map_err(Refused::NewKey)
}

/// RFC 7518 §3.3: the least that is taken.
const RSA_BITS: usize = 2048;
