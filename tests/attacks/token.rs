//! Tokens as attackers make them: with keys of the issuer where they steal or change tokens, with their own else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::door::{NOW, SHARED_SECRET};
use crate::support::case::merge;
use crate::support::tokens::{base64url, keys};

/// A token to be signed. Without changes it is good.
#[derive(Clone)]
pub(crate) struct Token {
    algorithm: &'static str,
    by_other: bool,
    header: Value,
    claims: Value,
    raw_header: Option<String>,
    raw_claims: Option<String>,
    secret: String,
}

impl Token {
    /// Of the issuer `main`, by its key for this algorithm. HS256 and `none` are of the issuer `shared`.
    pub(crate) fn new(algorithm: &'static str) -> Self {
        let (kid, issuer) = match algorithm {
            "ES256" => ("p256", "https://issuer.example"),
            "ES384" => ("p384", "https://issuer.example"),
            "ES512" => ("p521", "https://issuer.example"),
            "ES256K" => ("secp256k1", "https://issuer.example"),
            "EdDSA" => ("ed25519", "https://issuer.example"),
            "HS256" => ("shared", "https://shared.example"),
            _ => ("rsa", "https://issuer.example"),
        };
        Self {
            algorithm,
            by_other: false,
            header: json!({"alg": algorithm, "kid": kid}),
            claims: json!({
                "iss": issuer, "aud": "agents", "sub": "mrpink", "iat": NOW - 10, "exp": NOW + 300
            }),
            raw_header: None,
            raw_claims: None,
            secret: SHARED_SECRET.to_owned(),
        }
    }

    /// A good token that is quick to sign and to verify, where the algorithm does not matter.
    pub(crate) fn quick() -> Self {
        Self::new("HS256")
    }

    /// Signed by the one key of the issuer `other`, which has the `kid` of `main`'s RSA key.
    pub(crate) fn by_other(mut self) -> Self {
        self.by_other = true;
        self
    }

    /// Members of the header beside the usual ones, or instead of them; `null` takes one away.
    pub(crate) fn header(mut self, members: Value) -> Self {
        merge(&mut self.header, members);
        self
    }

    /// Claims beside the usual ones, or instead of them; `null` takes one away.
    pub(crate) fn claims(mut self, members: Value) -> Self {
        merge(&mut self.claims, members);
        self
    }

    /// The header as text, for what JSON libraries do not write.
    pub(crate) fn raw_header(mut self, text: impl Into<String>) -> Self {
        self.raw_header = Some(text.into());
        self
    }

    /// The claims as text.
    pub(crate) fn raw_claims(mut self, text: impl Into<String>) -> Self {
        self.raw_claims = Some(text.into());
        self
    }

    /// The usual claims as JSON, with this put behind the last member.
    pub(crate) fn claims_and(self, members: &str) -> Self {
        let text = self.claims.to_string();
        let open = text.strip_suffix('}').unwrap().to_owned();
        self.raw_claims(format!("{open},{members}}}"))
    }

    /// The secret of HS256, HS384 and HS512.
    pub(crate) fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = secret.into();
        self
    }

    pub(crate) fn header_text(&self) -> String {
        self.raw_header.clone().unwrap_or_else(|| self.header.to_string())
    }

    pub(crate) fn claims_text(&self) -> String {
        self.raw_claims.clone().unwrap_or_else(|| self.claims.to_string())
    }

    pub(crate) fn sign(&self) -> String {
        keys().sign(
            self.algorithm,
            self.by_other,
            &self.header_text(),
            &self.claims_text(),
            &self.secret,
        )
    }

    /// The first two segments with the dot between them: what somebody else may sign.
    pub(crate) fn signing_input(&self) -> String {
        format!(
            "{}.{}",
            base64url(self.header_text().as_bytes()),
            base64url(self.claims_text().as_bytes())
        )
    }
}

/// A token taken apart.
pub(crate) struct Parts {
    pub(crate) header: String,
    pub(crate) claims: String,
    pub(crate) signature: String,
}

impl Parts {
    pub(crate) fn of(token: &str) -> Self {
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("no three segments")
        };
        Self {
            header: header.to_owned(),
            claims: claims.to_owned(),
            signature: signature.to_owned(),
        }
    }

    /// The bytes of the signature.
    pub(crate) fn signature_bytes(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(&self.signature).unwrap()
    }

    /// The token with another signature.
    pub(crate) fn signed(&self, signature: impl AsRef<[u8]>) -> String {
        format!(
            "{}.{}.{}",
            self.header,
            self.claims,
            base64url(signature.as_ref())
        )
    }
}
