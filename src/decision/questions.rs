//! What is asked of authorization servers on behalf of requests: tokens for upstreams, where tokens are asked for, and what
//! opaque tokens mean.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use crate::answers::{Failure, FailureKind, Good, Kind, Question, Random};
use crate::callout::{Answer, Body, Callout, Endpoint};
use crate::jwt::Audiences;
use crate::oauth::{
    Active, Client, Expected, Grant, Granted, IntrospectionError, IntrospectionRequest, Proof, Target,
    TokenEndpoint, TokenError, TokenRequest, TokenType, TypedToken, Vouched,
};
use crate::policy::inbound::Introspection;
use crate::secret::Secret;
use crate::state::Id;
use crate::time::UnixTime;

/// A token that stands for somebody, and its kind.
#[derive(Clone)]
pub(super) struct HeldToken {
    pub(super) token: Rc<Secret<Vec<u8>>>,
    pub(super) token_type: TokenType,
    /// When it ends, where that is known.
    pub(super) expires_at: Option<UnixTime>,
}

impl HeldToken {
    pub(super) fn typed(&self) -> TypedToken<'_> {
        TypedToken {
            token: self.token.expose(),
            token_type: &self.token_type,
        }
    }
}

/// In exchange for what a token is asked for, as long as the question lasts.
#[derive(Clone)]
pub(super) enum Means {
    /// RFC 8693.
    TokenExchange {
        subject: HeldToken,
        actor: Option<HeldToken>,
    },
    /// RFC 7523.
    JwtBearer { assertion: HeldToken },
    /// RFC 6749 §4.4.
    ClientCredentials,
}

impl Means {
    pub(super) fn grant(&self) -> Grant<'_> {
        match self {
            Self::TokenExchange { subject, actor } => Grant::TokenExchange {
                subject: subject.typed(),
                actor: actor.as_ref().map(HeldToken::typed),
            },
            Self::JwtBearer { assertion } => Grant::JwtBearer {
                assertion: assertion.token.expose(),
            },
            Self::ClientCredentials => Grant::ClientCredentials,
        }
    }

    /// When the token ends that the new one is got for.
    fn subject_expires_at(&self) -> Option<UnixTime> {
        match self {
            Self::TokenExchange { subject, .. } => subject.expires_at,
            Self::JwtBearer { assertion } => assertion.expires_at,
            Self::ClientCredentials => None,
        }
    }
}

/// A token for upstreams.
pub(super) struct ForToken {
    id: Id,
    client: Rc<Client>,
    endpoint: Endpoint,
    target: Target,
    means: Means,
}

impl ForToken {
    pub(super) fn new(
        id: Id,
        client: &Rc<Client>,
        endpoint: Endpoint,
        target: &Target,
        means: Means,
    ) -> Self {
        Self {
            id,
            client: Rc::clone(client),
            endpoint,
            target: target.clone(),
            means,
        }
    }

    fn request(&self) -> TokenRequest<'_> {
        TokenRequest {
            client: &self.client,
            grant: self.means.grant(),
            target: &self.target,
        }
    }
}

impl Question for ForToken {
    fn id(&self) -> &Id {
        &self.id
    }

    fn kind(&self) -> Kind {
        Kind::Token
    }

    fn server(&self) -> Rc<str> {
        self.client.name().into()
    }

    fn timeout_seconds(&self) -> u16 {
        self.endpoint.timeout_seconds
    }

    fn ask(&self, now: UnixTime, random: &Random) -> Option<Callout> {
        self.request().callout(&self.endpoint, &Proof { now, random })
    }

    fn read(&self, answer: Answer, now: UnixTime) -> Result<Good, Failure> {
        let request = self.request();
        let expected = Expected {
            requested_token_type: request.requested_token_type(),
            subject_expires_at: self.means.subject_expires_at(),
            now,
        };
        let granted = Granted::read(answer, &expected).map_err(|error| failure(&error))?;
        Ok(Good {
            value: Secret::new(granted.access_token.expose().clone().into_bytes()),
            // One that is over already serves those who wait for it.
            expires_at: granted
                .usable_until
                .max(now.after_milliseconds(SHORTEST_MILLISECONDS)),
        })
    }
}

/// Without what it holds.
impl fmt::Debug for ForToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ForToken").finish_non_exhaustive()
    }
}

/// Where a client asks for tokens.
#[derive(Debug)]
pub(super) struct ForEndpoint {
    id: Id,
    client: Rc<Client>,
    metadata: Endpoint,
}

impl ForEndpoint {
    /// `None` where the endpoint is known.
    pub(super) fn of(client: &Rc<Client>) -> Option<Self> {
        match client.token_endpoint() {
            TokenEndpoint::At(_) => None,
            TokenEndpoint::Discovered { metadata, .. } => Some(Self {
                id: client.metadata_key(),
                client: Rc::clone(client),
                metadata: metadata.clone(),
            }),
        }
    }

    /// What an answer says.
    pub(super) fn endpoint(&self, document: &[u8]) -> Option<Endpoint> {
        self.client.token_endpoint().discover(document).ok()
    }
}

impl Question for ForEndpoint {
    fn id(&self) -> &Id {
        &self.id
    }

    fn kind(&self) -> Kind {
        Kind::Metadata
    }

    fn server(&self) -> Rc<str> {
        self.client.name().into()
    }

    fn timeout_seconds(&self) -> u16 {
        self.metadata.timeout_seconds
    }

    fn ask(&self, _now: UnixTime, _random: &Random) -> Option<Callout> {
        Some(Callout::get(&self.metadata))
    }

    /// Whatever is wrong with metadata may be mended soon.
    fn read(&self, answer: Answer, now: UnixTime) -> Result<Good, Failure> {
        let unavailable = |detail: String| Failure::new(FailureKind::Unavailable, detail);
        let document = match answer {
            Answer::Received {
                headers,
                body: Body::Whole(body),
            } if headers.first(b":status") == Some(b"200") => body,
            Answer::Received { .. } | Answer::Nothing | Answer::NotSent => {
                return Err(unavailable("no metadata of the authorization server".to_owned()));
            }
        };
        match self.client.token_endpoint().discover(&document) {
            Ok(_) => Ok(Good {
                value: Secret::new(document),
                expires_at: now.after_milliseconds(METADATA_MILLISECONDS),
            }),
            Err(error) => Err(unavailable(format!(
                "metadata of the authorization server: {error}"
            ))),
        }
    }
}

/// What an opaque token means.
pub(super) struct ForClaims {
    id: Id,
    name: Rc<str>,
    client: Rc<Client>,
    endpoint: Endpoint,
    token: Rc<Secret<Vec<u8>>>,
    issuer: Option<Rc<str>>,
    audiences: Audiences,
    cache_seconds: u32,
}

impl ForClaims {
    pub(super) fn new(
        id: Id,
        introspection: &Introspection,
        client: &Rc<Client>,
        token: Rc<Secret<Vec<u8>>>,
    ) -> Self {
        Self {
            id,
            name: introspection.name.as_str().into(),
            client: Rc::clone(client),
            endpoint: introspection.endpoint.clone(),
            token,
            issuer: introspection.issuer.clone(),
            audiences: introspection.audiences.clone(),
            cache_seconds: introspection.cache_seconds,
        }
    }
}

impl Question for ForClaims {
    fn id(&self) -> &Id {
        &self.id
    }

    fn kind(&self) -> Kind {
        Kind::Introspection
    }

    fn server(&self) -> Rc<str> {
        Rc::clone(&self.name)
    }

    fn timeout_seconds(&self) -> u16 {
        self.endpoint.timeout_seconds
    }

    fn ask(&self, now: UnixTime, random: &Random) -> Option<Callout> {
        let request = IntrospectionRequest {
            client: &self.client,
            endpoint: &self.endpoint,
            token: self.token.expose(),
        };
        request.callout(&Proof { now, random })
    }

    fn read(&self, answer: Answer, now: UnixTime) -> Result<Good, Failure> {
        let vouched = Vouched {
            issuer: self.issuer.as_deref(),
            audiences: &self.audiences,
        };
        let active = Active::read(answer, &vouched, now).map_err(|error| {
            let kind = match &error {
                IntrospectionError::Inactive
                | IntrospectionError::NoAccessToken
                | IntrospectionError::Claims(_) => FailureKind::Refused,
                IntrospectionError::Unavailable(_) => FailureKind::Unavailable,
            };
            Failure::new(kind, error.to_string())
        })?;
        let kept = u64::from(self.cache_seconds).saturating_mul(1_000);
        // One that is not to be kept serves those who wait for it.
        let kept = now.after_milliseconds(kept.max(SHORTEST_MILLISECONDS));
        Ok(Good {
            value: Secret::new(Value::Object(active.claims).to_string().into_bytes()),
            // Within the skew of clocks its end may have passed: it serves them all the same.
            expires_at: active
                .expires_at
                .map_or(kept, |end| end.min(kept))
                .max(now.after_milliseconds(SHORTEST_MILLISECONDS)),
        })
    }
}

/// Without what it holds.
impl fmt::Debug for ForClaims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ForClaims").finish_non_exhaustive()
    }
}

/// What a failure means for those who wait, and what an operator reads of it.
fn failure(error: &TokenError) -> Failure {
    let kind = match error {
        TokenError::Unavailable(_) => FailureKind::Unavailable,
        TokenError::Refused { .. } => FailureKind::Refused,
        TokenError::Malformed(_) => FailureKind::Malformed,
    };
    Failure::new(kind, error.to_string())
}

/// Ours: long enough for all who wait.
const SHORTEST_MILLISECONDS: u64 = 1_000;
/// Ours: an hour. Endpoints move seldom; where one has moved, the old one refuses.
const METADATA_MILLISECONDS: u64 = 3_600_000;
