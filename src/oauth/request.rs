//! A request for a token: RFC 8693 §2.1, RFC 7523 §2.1, RFC 6749 §4.4.2, with resources of RFC 8707.

use std::borrow::Cow;
use std::fmt;

use crate::callout::{Callout, Endpoint};

use super::client::{Client, Digest, Proof};
use super::form::Form;
use super::uri::is_absolute_uri;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// In exchange for what.
    pub grant: Grant<'a>,
    /// For whom the token shall be.
    pub target: &'a Target,
}

/// The kinds of [`Grant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 8693.
    TokenExchange,
    /// RFC 7523 §2.1.
    JwtBearer,
    /// RFC 6749 §4.4.
    ClientCredentials,
}

/// In exchange for what a token is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// For a token of the caller, in the name of an actor where there is one (RFC 8693).
    TokenExchange {
        /// The caller's.
        subject: TypedToken<'a>,
        /// The actor's.
        actor: Option<TypedToken<'a>>,
    },
    /// For a JWT of the caller (RFC 7523 §2.1).
    JwtBearer {
        /// The JWT.
        assertion: &'a [u8],
    },
    /// For nothing but who the client is.
    ClientCredentials,
}

/// A token and its kind.
#[derive(Clone, Copy)]
pub struct TypedToken<'a> {
    /// The token.
    pub token: &'a [u8],
    /// Its kind.
    pub token_type: &'a TokenType,
}

/// Without the token.
impl fmt::Debug for TypedToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.token_type.fmt(formatter)
    }
}

/// For whom a token shall be, and what it shall allow. Empty lists are not sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Absolute URIs without fragments (RFC 8707 §2).
    pub resources: Vec<String>,
    /// Names (RFC 8693 §2.1).
    pub audiences: Vec<String>,
    /// Scope-tokens (RFC 6749 §3.3).
    pub scopes: Vec<String>,
    /// What kind of token is asked for, in an exchange (RFC 8693 §2.1).
    pub requested_token_type: Option<TokenType>,
}

/// A kind of token, as a URI (RFC 8693 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenType(Cow<'static, str>);

impl TokenType {
    /// An access token, of whatever form.
    pub const ACCESS_TOKEN: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:access_token"));

    /// From a short name, or from a URI.
    pub fn parse(text: &str) -> Option<Self> {
        let short = match text {
            "access_token" => return Some(Self::ACCESS_TOKEN),
            "jwt" => "urn:ietf:params:oauth:token-type:jwt",
            "id_token" => "urn:ietf:params:oauth:token-type:id_token",
            uri if is_absolute_uri(uri) => return Some(Self(Cow::Owned(uri.to_owned()))),
            _ => return None,
        };
        Some(Self(Cow::Borrowed(short)))
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TokenRequest<'_> {
    /// The request itself. `None` if the client cannot prove who it is.
    pub fn callout(&self, endpoint: &Endpoint, proof: &Proof<'_>) -> Option<Callout> {
        let mut form = Form::for_secrets(self.grant.bytes());
        form.push("grant_type", self.grant.kind().as_str().as_bytes());
        match &self.grant {
            Grant::TokenExchange { subject, actor } => {
                form.push("subject_token", subject.token);
                form.push("subject_token_type", subject.token_type.as_str().as_bytes());
                if let Some(actor) = actor {
                    form.push("actor_token", actor.token);
                    form.push("actor_token_type", actor.token_type.as_str().as_bytes());
                }
            }
            Grant::JwtBearer { assertion } => form.push("assertion", assertion),
            Grant::ClientCredentials => {}
        }
        form.push_all("resource", &self.target.resources);
        form.push_all("audience", &self.target.audiences);
        if !self.target.scopes.is_empty() {
            form.push("scope", self.target.scopes.join(" ").as_bytes());
        }
        if let Some(requested) = self.requested_token_type() {
            form.push("requested_token_type", requested.as_str().as_bytes());
        }
        for (name, value) in self.client.parameters() {
            form.push(name, value.as_bytes());
        }
        self.client.ask(endpoint, form, proof)
    }

    /// Under what an answer may be kept: two requests have one key only where every answer to one is an answer to the
    /// other.
    pub fn cache_key(&self) -> CacheKey {
        let mut digest = Digest::default();
        digest.add(self.client.digest());
        digest.add(self.grant.kind().as_str().as_bytes());
        let mut add = |token: Option<TypedToken<'_>>| match token {
            Some(TypedToken { token, token_type }) => {
                digest.add(token_type.as_str().as_bytes());
                digest.add(token);
            }
            None => digest.add(&[]),
        };
        match self.grant {
            Grant::TokenExchange { subject, actor } => {
                add(Some(subject));
                add(actor);
            }
            Grant::JwtBearer { assertion } => digest.add(assertion),
            Grant::ClientCredentials => {}
        }
        for list in [
            &self.target.resources,
            &self.target.audiences,
            &self.target.scopes,
        ] {
            digest.add_all(list);
        }
        if let Some(requested) = self.requested_token_type() {
            digest.add(requested.as_str().as_bytes());
        }
        CacheKey::from(digest)
    }

    /// Only an exchange asks for a kind.
    pub fn requested_token_type(&self) -> Option<&TokenType> {
        let requested = self.target.requested_token_type.as_ref();
        requested.filter(|_| self.grant.kind() == GrantType::TokenExchange)
    }
}

impl GrantType {
    /// As `grant_type` has it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

impl Grant<'_> {
    const fn kind(&self) -> GrantType {
        match self {
            Self::TokenExchange { .. } => GrantType::TokenExchange,
            Self::JwtBearer { .. } => GrantType::JwtBearer,
            Self::ClientCredentials => GrantType::ClientCredentials,
        }
    }

    /// How long its tokens are.
    fn bytes(&self) -> usize {
        match self {
            Self::TokenExchange { subject, actor } => {
                let actor = actor.map_or(0, |actor| actor.token.len());
                subject.token.len().saturating_add(actor)
            }
            Self::JwtBearer { assertion } => assertion.len(),
            Self::ClientCredentials => 0,
        }
    }
}

/// Under what a token is kept. Whoever can read the names of what workers share must not see it as it is: it would let
/// a client's secret be guessed at leisure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<Digest> for CacheKey {
    fn from(digest: Digest) -> Self {
        Self(digest.finish())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CacheKey")
    }
}
