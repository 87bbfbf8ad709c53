//! Who asks, whom, and how it proves that it is the one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::callout::{Callout, Endpoint};
use crate::metadata;
use crate::secret::Secret;
use crate::signer::{NoHostSigner, SigningKey};
use crate::time::UnixTime;

use super::form::{Form, encoded};

/// One client of one authorization server (`outbound.oauth_clients`).
#[derive(Debug)]
pub struct Client {
    name: String,
    token_endpoint: TokenEndpoint,
    client_id: String,
    authentication: ClientAuthentication,
    parameters: Vec<(String, String)>,
    /// Of all of it but the name.
    digest: [u8; 32],
}

/// Where tokens are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// At a URL that is known.
    At(Endpoint),
    /// Where the metadata of this issuer says (RFC 8414, OpenID Connect Discovery 1.0).
    Discovered {
        /// The issuer, which the metadata must name byte for byte.
        issuer: String,
        /// The metadata.
        metadata: Endpoint,
    },
}

/// How a client proves who it is (RFC 6749 §2.3).
#[derive(Debug)]
pub enum ClientAuthentication {
    /// It does not: a public client.
    None,
    /// HTTP Basic, both parts form-urlencoded (RFC 6749 §2.3.1).
    ClientSecretBasic(Secret<String>),
    /// HTTP Basic as RFC 7617 alone has it: for servers that decode nothing.
    ClientSecretBasicRaw(Secret<String>),
    /// In the form.
    ClientSecretPost(Secret<String>),
    /// By a signed assertion (RFC 7523 §2.2).
    PrivateKeyJwt {
        /// What signs it.
        key: Box<SigningKey>,
        /// Its `aud`: the server's issuer, or its token endpoint.
        audience: String,
    },
}

/// What makes a proof of who a client is good now, and once.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// When it is made.
    pub now: UnixTime,
    /// Bytes that nobody can foresee, for this request alone.
    pub random: &'a [u8; 48],
}

impl Client {
    /// From its parts. Parameters go with every request for a token, behind what the protocol sets.
    pub fn new(
        name: String,
        token_endpoint: TokenEndpoint,
        client_id: String,
        authentication: ClientAuthentication,
        parameters: Vec<(String, String)>,
    ) -> Self {
        let mut digest = Digest::default();
        let (kind, issuer, endpoint) = match &token_endpoint {
            TokenEndpoint::At(endpoint) => ("at", "", endpoint),
            TokenEndpoint::Discovered { issuer, metadata } => ("discovered", issuer.as_str(), metadata),
        };
        for part in [
            kind,
            issuer,
            &endpoint.cluster,
            &endpoint.url.to_string(),
            &client_id,
        ] {
            digest.add(part.as_bytes());
        }
        let (method, secret) = authentication.parts();
        digest.add(method.as_bytes());
        digest.add(secret);
        if let ClientAuthentication::PrivateKeyJwt { key, audience } = &authentication {
            digest.add(key.public_jwk().as_bytes());
            digest.add(audience.as_bytes());
        }
        for (name, value) in &parameters {
            digest.add(name.as_bytes());
            digest.add(value.as_bytes());
        }
        Self {
            name,
            token_endpoint,
            client_id,
            authentication,
            parameters,
            digest: digest.finish(),
        }
    }

    /// Its name in the policy, for logs and metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it asks for tokens.
    pub const fn token_endpoint(&self) -> &TokenEndpoint {
        &self.token_endpoint
    }

    /// How it proves who it is.
    pub const fn authentication(&self) -> &ClientAuthentication {
        &self.authentication
    }

    /// Tells it from every other client, its credential included; of high worth to who guesses that, so never printed
    /// and never a name that others can read.
    pub(super) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Under what the metadata of its server may be kept. Nothing secret is in it.
    pub fn metadata_key(&self) -> [u8; 32] {
        let mut digest = Digest::default();
        digest.add(b"metadata");
        match &self.token_endpoint {
            TokenEndpoint::At(_) => {}
            TokenEndpoint::Discovered { issuer, metadata } => {
                for part in [issuer, &metadata.cluster, &metadata.url.to_string()] {
                    digest.add(part.as_bytes());
                }
            }
        }
        digest.finish()
    }

    /// What goes with every request for a token.
    pub(super) fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// Puts a form and the proof of who asks together. `None` if no proof could be made.
    pub(super) fn ask(&self, endpoint: &Endpoint, mut form: Form, proof: &Proof<'_>) -> Option<Callout> {
        let basic = |id: &str, secret: &str| {
            let pair = Secret::new(format!("{id}:{secret}"));
            let encoded = Secret::new(STANDARD.encode(pair.expose()));
            Secret::new(format!("Basic {}", encoded.expose()))
        };
        let id = self.client_id.as_str();
        let authorization = match &self.authentication {
            ClientAuthentication::ClientSecretBasic(secret) => {
                Some(basic(encoded(id).expose(), encoded(secret.expose()).expose()))
            }
            ClientAuthentication::ClientSecretBasicRaw(secret) => Some(basic(id, secret.expose())),
            ClientAuthentication::None => {
                form.push("client_id", id.as_bytes());
                None
            }
            ClientAuthentication::ClientSecretPost(secret) => {
                form.push("client_id", id.as_bytes());
                form.push("client_secret", secret.expose().as_bytes());
                None
            }
            ClientAuthentication::PrivateKeyJwt { key, audience } => {
                // RFC 7521 §4.2 lets the id be left away; Entra ID does not.
                form.push("client_id", id.as_bytes());
                form.push("client_assertion_type", ASSERTION_TYPE.as_bytes());
                form.push(
                    "client_assertion",
                    assertion(key, id, audience, proof)?.as_bytes(),
                );
                None
            }
        };
        Some(Callout::post_form(endpoint, authorization, form.into_body()))
    }
}

impl ClientAuthentication {
    /// The secret that the server is shown; empty where none is.
    pub fn secret(&self) -> &[u8] {
        self.parts().1
    }

    /// The name of the method (RFC 7591 §2), and what it rests on.
    fn parts(&self) -> (&'static str, &[u8]) {
        match self {
            Self::None => ("none", &[]),
            Self::ClientSecretBasic(secret) => ("client_secret_basic", secret.expose().as_bytes()),
            Self::ClientSecretBasicRaw(secret) => ("client_secret_basic_raw", secret.expose().as_bytes()),
            Self::ClientSecretPost(secret) => ("client_secret_post", secret.expose().as_bytes()),
            Self::PrivateKeyJwt { .. } => ("private_key_jwt", &[]),
        }
    }
}

/// A token that says who the client is (RFC 7523 §3). It is good once: servers refuse a second use.
fn assertion(key: &SigningKey, id: &str, audience: &str, proof: &Proof<'_>) -> Option<String> {
    let (jti, salt) = proof.random.split_first_chunk::<JTI_BYTES>()?;
    let now = proof.now.seconds();
    let (id, audience) = (Value::from(id), Value::from(audience));
    let claims = format!(
        r#"{{"iss":{id},"sub":{id},"aud":{audience},"jti":"{}","iat":{now},"exp":{}}}"#,
        URL_SAFE_NO_PAD.encode(jti),
        now.saturating_add(ASSERTION_SECONDS),
    );
    // Tokens are asked for so rarely that nobody need be faster.
    key.sign("JWT", &claims, salt.first_chunk()?, &NoHostSigner)
}

impl TokenEndpoint {
    /// The endpoint that the metadata names; it is asked as the metadata was.
    ///
    /// # Errors
    /// [`metadata::Error`]; an endpoint that is known needs no metadata, and there is no error of it.
    pub fn discover(&self, document: &[u8]) -> Result<Endpoint, metadata::Error> {
        match self {
            Self::At(endpoint) => Ok(endpoint.clone()),
            Self::Discovered { issuer, metadata } => {
                let document = metadata::read(issuer, document)?;
                metadata::endpoint(&document, "token_endpoint", issuer, metadata)
            }
        }
    }
}

/// SHA-256 over parts, each behind its length, so that no two lists of parts run together.
#[derive(Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    pub(super) fn add(&mut self, part: &[u8]) {
        self.add_length(part.len());
        self.0.update(part);
    }

    pub(super) fn add_length(&mut self, length: usize) {
        // No target has lengths of more bits.
        self.0
            .update(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }

    /// A list of parts, behind how many there are.
    pub(super) fn add_all(&mut self, parts: &[String]) {
        self.add_length(parts.len());
        for part in parts {
            self.add(part.as_bytes());
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// 128 bits (RFC 7519 §4.1.7: no two by chance).
const JTI_BYTES: usize = 16;
/// Ours: a minute, which clocks may differ by.
const ASSERTION_SECONDS: u64 = 60;
