//! What an opaque token means: its authorization server is asked (RFC 7662).

use std::fmt;

use serde_json::{Map, Value};

use crate::callout::{Answer, Callout, Endpoint};
use crate::jwt::{self, Audiences};
use crate::time::UnixTime;

use super::answer::{Malformed, TokenError, object};
use super::client::{Client, Digest, Proof};
use super::form::Form;
use super::request::CacheKey;

/// A question.
#[derive(Clone, Copy)]
pub struct IntrospectionRequest<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// Where.
    pub endpoint: &'a Endpoint,
    /// What is asked about.
    pub token: &'a [u8],
}

/// Without the token.
impl fmt::Debug for IntrospectionRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.name().fmt(formatter)
    }
}

impl IntrospectionRequest<'_> {
    /// The request itself (RFC 7662 §2.1). `None` if the client cannot prove who it is.
    pub fn callout(&self, proof: &Proof<'_>) -> Option<Callout> {
        let mut form = Form::for_secrets(self.token.len());
        form.push("token", self.token);
        form.push("token_type_hint", b"access_token");
        self.client.ask(self.endpoint, form, proof)
    }

    /// Under what an answer may be kept.
    pub fn cache_key(&self) -> CacheKey {
        let mut digest = Digest::default();
        digest.add(b"introspection");
        digest.add(self.client.digest());
        digest.add(self.endpoint.cluster.as_bytes());
        digest.add(self.endpoint.url.to_string().as_bytes());
        digest.add(self.token);
        CacheKey::from(digest)
    }
}

/// What claims must satisfy that a server vouches for, where they are there.
#[derive(Debug, Clone, Copy)]
pub struct Vouched<'a> {
    /// Their `iss`, byte for byte.
    pub issuer: Option<&'a str>,
    /// For whom the token may be.
    pub audiences: &'a Audiences,
}

/// A token that is good now.
#[derive(Debug)]
pub struct Active {
    /// What the server says of it. `iss`, `sub` and `jti` are strings where present.
    pub claims: Map<String, Value>,
    /// When it ends, where the server says so.
    pub expires_at: Option<UnixTime>,
}

impl Active {
    /// Reads an answer (RFC 7662 §2.2).
    ///
    /// # Errors
    /// [`IntrospectionError`].
    pub fn read(answer: Answer, vouched: &Vouched<'_>, now: UnixTime) -> Result<Self, IntrospectionError> {
        let mut claims = object(answer).map_err(|error| match &error {
            // RFC 7009 §2.2.1. oidc-provider says so of its JWTs, which it does not introspect.
            TokenError::Refused { code: Some(code), .. } if code.is("unsupported_token_type") => {
                IntrospectionError::Inactive
            }
            _ => IntrospectionError::Unavailable(error),
        })?;
        match claims.remove("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err(IntrospectionError::Inactive),
            _ => {
                let malformed = TokenError::Malformed(Malformed::Active);
                return Err(IntrospectionError::Unavailable(malformed));
            }
        }
        if !is_access_token(&claims) {
            return Err(IntrospectionError::NoAccessToken);
        }
        let expires_at = jwt::check_vouched(&claims, vouched.issuer, vouched.audiences, now)
            .map_err(IntrospectionError::Claims)?;
        Ok(Self {
            claims,
            expires_at: expires_at.map(|date| UnixTime::from_numeric_date(date.seconds())),
        })
    }
}

/// Whether this is not known to be something else: to its server a refresh token is active too. `token_type` as in RFC
/// 6749 §5.1, or as Hydra has it; one that needs a proof besides (`DPoP`) is nothing without it.
fn is_access_token(claims: &Map<String, Value>) -> bool {
    let is_one_of = |claim: &str, words: &[&str]| {
        claims.get(claim).is_none_or(|value| {
            let word = value.as_str();
            word.is_some_and(|word| words.iter().any(|good| good.eq_ignore_ascii_case(word)))
        })
    };
    let is_named = |claim: &str, bad: &[&str]| {
        let word = claims.get(claim).and_then(Value::as_str);
        word.is_some_and(|word| bad.contains(&word))
    };
    is_one_of("token_type", &["bearer", "access_token"])
        && !is_named("token_use", &["refresh_token", "id"])
        // Keycloak.
        && !is_named("typ", &["Refresh", "Offline", "ID", "Logout"])
}

/// Why a token is not good.
#[derive(Debug, Clone, PartialEq)]
pub enum IntrospectionError {
    /// The server says that it is not, or not to this client.
    Inactive,
    /// It is active, and no access token.
    NoAccessToken,
    /// What the server says of it.
    Claims(jwt::Error),
    /// The server was not asked, or says nothing that can be understood: the token may be good.
    Unavailable(TokenError),
}

impl fmt::Display for IntrospectionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => formatter.write_str(
                "not active; Keycloak and zitadel say so to a client that is not in the token's `aud` too",
            ),
            Self::NoAccessToken => formatter.write_str("active, and no access token"),
            Self::Claims(error) => error.fmt(formatter),
            Self::Unavailable(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for IntrospectionError {}
