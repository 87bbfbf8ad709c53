//! The crate `jsonwebtoken`, set as strictly as it can be. It reads the clock itself.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::filter::{ALGORITHMS, AUDIENCES, MAIN, SECRET, SHARED, SKEW_SECONDS};
use crate::support::tokens::keys;

/// A key with the algorithms that it serves.
struct Key {
    kid: &'static str,
    issuer: &'static str,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// All keys of both issuers.
pub(crate) struct Independent(Vec<Key>);

impl Independent {
    pub(crate) fn new() -> Self {
        let jwks = keys().jwks();
        let of_main = |kid: &'static str, prefixes: &[&str]| {
            let all = jwks["keys"].as_array().unwrap();
            let jwk = all.iter().find(|jwk| jwk["kid"] == kid).unwrap();
            let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
            let serves = |name: &&&str| prefixes.iter().any(|prefix| name.starts_with(prefix));
            Key {
                kid,
                issuer: MAIN,
                algorithms: ALGORITHMS
                    .iter()
                    .filter(serves)
                    .map(|name| name.parse().unwrap())
                    .collect(),
                key: DecodingKey::from_jwk(&jwk).unwrap(),
            }
        };
        Self(vec![
            of_main("rsa", &["RS", "PS"]),
            of_main("p256", &["ES256"]),
            of_main("p384", &["ES384"]),
            of_main("ed25519", &["EdDSA"]),
            Key {
                kid: "shared",
                issuer: SHARED,
                algorithms: vec![Algorithm::HS256],
                key: DecodingKey::from_secret(SECRET.as_bytes()),
            },
        ])
    }

    /// The claims of a token that is good now.
    pub(crate) fn verify(&self, token: &[u8]) -> Result<Map<String, Value>, String> {
        let header = decode_header(token).map_err(|error| error.to_string())?;
        let fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&header.alg) && header.kid.as_ref().is_none_or(|kid| kid == key.kid)
        });
        let mut refusal = "no key".to_owned();
        for key in fitting {
            let mut validation = Validation::new(header.alg);
            validation.set_issuer(&[key.issuer]);
            validation.set_audience(&AUDIENCES);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.leeway = SKEW_SECONDS;
            validation.validate_exp = true;
            validation.validate_nbf = true;
            validation.validate_aud = true;
            match decode(token, &key.key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => refusal = error.to_string(),
            }
        }
        Err(refusal)
    }
}
