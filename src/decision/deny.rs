//! Every way in which a request is refused. One closed enum; its meaning for the caller, the metrics and the log
//! stands in the exhaustive matches below and nowhere else.

#[cfg(test)]
mod tests;
mod token;

use std::borrow::Cow;
use std::fmt;

use crate::authority::AuthorityError;
use crate::decision::Method;
use crate::jwt;
use crate::path::Ambiguity;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Deny {
    /// No policy stands here: none could be read, or it has no part for this role.
    NotConfigured,
    /// Another policy has decided on the stream, and this one is no fallback.
    LayerOrder,
    /// A request without a path (CONNECT).
    PathMissing,
    /// A path that two servers could read in two ways.
    PathAmbiguous(Ambiguity),
    /// No host, or more than one.
    HostInvalid(AuthorityError),
    /// `Connection` names a header of the filter, to have it removed further on.
    ConnectionNamesOwned,
    /// A method in lower case.
    MethodAmbiguous,
    /// A header that a rule asks for, more than once.
    HeaderRepeated {
        /// The rule.
        rule: String,
    },
    /// A credential of one kind more than once, in one place.
    CredentialRepeated {
        /// The place.
        place: String,
    },
    /// A credential of one kind more than once, in several places.
    CredentialsInTwoPlaces {
        /// One of them.
        first: Box<str>,
        /// Another.
        second: Box<str>,
    },
    /// A token in the query of an MCP request, where MCP forbids it.
    TokenInQuery,
    /// No rule matches.
    NoRule,
    /// The rule refuses everyone.
    RuleDenied,
    /// The rule wants a credential and there is none.
    CredentialsMissing,
    /// A place of tokens that does not hold one token as it is written there: in `Authorization` one behind the
    /// scheme's name (RFC 6750 §2.1).
    AuthorizationMalformed {
        /// The place.
        place: String,
    },
    /// A bearer token that is nobody's static one, where no provider issues tokens.
    BearerTokenUnknown,
    /// An API key that is nobody's.
    ApiKeyUnknown,
    /// A valid credential of a kind that the rule does not accept.
    CredentialNotAccepted {
        /// Its kind.
        method: Method,
        /// The provider of a token.
        provider: Option<String>,
    },
    /// A token that does not verify.
    Token(jwt::Error),
    /// A valid token in a place that its provider does not list.
    TokenMisplaced {
        /// The provider.
        provider: Box<str>,
        /// The place.
        place: Box<str>,
    },
    /// A valid token for none of the rule's audiences.
    AudienceNotAccepted,
    /// A claim that would break out of the header that forwards it.
    ClaimNotForwardable {
        /// The header.
        header: String,
    },
    /// The rule wants a TOTP code and there is none.
    TotpMissing,
    /// The rule wants a TOTP code and the caller has no seed.
    TotpNotConfigured,
    /// A wrong TOTP code.
    TotpInvalid,
    /// A TOTP code that was used before, where codes are good once, or with one credential.
    TotpReplayed,
    /// Too many wrong TOTP codes; this one was not looked at.
    TotpThrottled {
        /// For how long none is.
        seconds: u64,
    },
    /// The caller lacks a scope.
    ScopeInsufficient {
        /// All that the rule wants.
        required: Vec<String>,
    },
    /// The caller is none of the rule's peers.
    PeerNotAllowed,
    /// A claim of the caller holds none of the rule's values.
    ClaimNotAllowed {
        /// The claim.
        claim: String,
    },
    /// No outbound rule matches, and only what matches may leave.
    OutboundNoMatch,
    /// A stranger's request in a gateway would be given the mesh's credential.
    OutboundAnonymous,
    /// A credential would go into the query for a host that is not listed.
    QueryHostNotAllowed {
        /// The host.
        host: String,
    },
    /// The edited request would go to another cluster than the rule names.
    OutboundClusterChanged,
    /// The proxy follows a redirect away from where a rule has put a secret.
    OutboundRedirected,
    /// A call without anybody for whom a token could be got.
    SubjectMissing,
    /// A call without the token of whoever acts.
    ActorMissing,
    /// The authorization server gave no token, and may give one soon.
    TokenUnavailable {
        /// The client of it.
        client: Box<str>,
        /// What happened.
        detail: Box<str>,
    },
    /// The authorization server gave no token, and will give none.
    TokenRefused {
        /// The client of it.
        client: Box<str>,
        /// What happened.
        detail: Box<str>,
    },
    /// A server that knows opaque tokens could not be asked.
    IntrospectionUnavailable {
        /// Its name.
        introspection: Box<str>,
        /// What happened.
        detail: Box<str>,
    },
    /// An opaque token of which its server says that it is not good.
    TokenInactive {
        /// The name of the introspection.
        introspection: Box<str>,
        /// What it said.
        detail: Box<str>,
    },
    /// A credential that is to be moved holds what the new place cannot carry.
    CredentialMalformed,
    /// A secret that is needed is not there (`on_missing_secret: deny_rule`).
    SecretMissing,
    /// Something that cannot be, or a host call that failed.
    Internal(&'static str),
}

impl Deny {
    /// A stable name for metrics, filter state and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::LayerOrder => "layer_order",
            Self::PathMissing => "path_missing",
            Self::PathAmbiguous(_) => "path_ambiguous",
            Self::HostInvalid(_) => "host_invalid",
            Self::ConnectionNamesOwned => "connection_names_owned",
            Self::MethodAmbiguous => "method_ambiguous",
            Self::HeaderRepeated { .. } => "header_repeated",
            Self::CredentialRepeated { .. } | Self::CredentialsInTwoPlaces { .. } => "credential_repeated",
            Self::TokenInQuery => "token_in_query",
            Self::NoRule => "no_rule",
            Self::RuleDenied => "rule_denied",
            Self::CredentialsMissing => "credentials_missing",
            Self::AuthorizationMalformed { .. } => "authorization_malformed",
            Self::BearerTokenUnknown => "bearer_token_unknown",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::CredentialNotAccepted { .. } => "credential_not_accepted",
            Self::Token(error) => token::reason(error),
            Self::TokenMisplaced { .. } => "token_misplaced",
            Self::AudienceNotAccepted => "audience_not_accepted",
            Self::ClaimNotForwardable { .. } => "claim_not_forwardable",
            Self::TotpMissing => "totp_missing",
            Self::TotpNotConfigured => "totp_not_configured",
            Self::TotpInvalid => "totp_invalid",
            Self::TotpReplayed => "totp_replayed",
            Self::TotpThrottled { .. } => "totp_throttled",
            Self::ScopeInsufficient { .. } => "scope_insufficient",
            Self::PeerNotAllowed => "peer_not_allowed",
            Self::ClaimNotAllowed { .. } => "claim_not_allowed",
            Self::OutboundNoMatch => "outbound_no_match",
            Self::OutboundAnonymous => "outbound_anonymous",
            Self::QueryHostNotAllowed { .. } => "query_host_not_allowed",
            Self::OutboundClusterChanged => "outbound_cluster_changed",
            Self::OutboundRedirected => "outbound_redirected",
            Self::SubjectMissing => "subject_missing",
            Self::ActorMissing => "actor_missing",
            Self::TokenUnavailable { .. } => "token_unavailable",
            Self::TokenRefused { .. } => "token_refused",
            Self::IntrospectionUnavailable { .. } => "introspection_unavailable",
            Self::TokenInactive { .. } => "token_inactive",
            Self::CredentialMalformed => "credential_malformed",
            Self::SecretMissing => "secret_missing",
            Self::Internal(_) => "internal",
        }
    }

    /// What kind of refusal this is for the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::PathMissing
            | Self::PathAmbiguous(_)
            | Self::HostInvalid(_)
            | Self::ConnectionNamesOwned
            | Self::MethodAmbiguous
            | Self::HeaderRepeated { .. }
            | Self::CredentialRepeated { .. }
            | Self::CredentialsInTwoPlaces { .. }
            | Self::CredentialMalformed
            | Self::TokenInQuery => Class::InvalidRequest,
            Self::CredentialsMissing => Class::Unauthenticated,
            Self::AuthorizationMalformed { .. }
            | Self::BearerTokenUnknown
            | Self::ApiKeyUnknown
            | Self::CredentialNotAccepted { .. }
            | Self::TokenMisplaced { .. }
            | Self::AudienceNotAccepted
            | Self::TokenInactive { .. }
            | Self::ClaimNotForwardable { .. } => Class::InvalidToken,
            Self::TotpMissing | Self::TotpNotConfigured | Self::TotpInvalid | Self::TotpReplayed => {
                Class::SecondFactor
            }
            Self::TotpThrottled { seconds } => Class::Throttled { seconds: *seconds },
            Self::ScopeInsufficient { .. } => Class::InsufficientScope,
            Self::NoRule
            | Self::RuleDenied
            | Self::PeerNotAllowed
            | Self::ClaimNotAllowed { .. }
            | Self::OutboundNoMatch
            | Self::OutboundAnonymous
            | Self::QueryHostNotAllowed { .. }
            | Self::OutboundClusterChanged
            | Self::OutboundRedirected
            | Self::SubjectMissing
            | Self::ActorMissing => Class::Forbidden,
            Self::TokenRefused { .. } => Class::BadGateway,
            Self::NotConfigured
            | Self::LayerOrder
            | Self::SecretMissing
            | Self::TokenUnavailable { .. }
            | Self::IntrospectionUnavailable { .. }
            | Self::Token(jwt::Error::KeysMissing { .. })
            | Self::Internal(_) => Class::Unavailable,
            Self::Token(_) => Class::InvalidToken,
        }
    }

    /// What the caller is told.
    pub fn told(&self) -> Told {
        match self {
            Self::NotConfigured | Self::LayerOrder | Self::SecretMissing | Self::Internal(_) => {
                Told::new("UNAVAILABLE", "Authentication is not available")
            }
            Self::PathMissing => Told::new("PATH_MISSING", "Request without a path"),
            Self::PathAmbiguous(_) => Told::new("PATH_AMBIGUOUS", "Ambiguous request path"),
            Self::HostInvalid(_) => Told::new("HOST_INVALID", "Invalid host"),
            Self::ConnectionNamesOwned => Told::new("CONNECTION_INVALID", "Invalid Connection header"),
            Self::MethodAmbiguous => Told::new("METHOD_INVALID", "Invalid method"),
            Self::HeaderRepeated { .. } => Told::new("HEADER_REPEATED", "A header must not be repeated"),
            Self::CredentialRepeated { .. } | Self::CredentialsInTwoPlaces { .. } => {
                Told::new("CREDENTIAL_REPEATED", "More than one credential of a kind")
            }
            Self::TokenInQuery => Told::new("TOKEN_IN_QUERY", "Token in the query"),
            Self::NoRule | Self::RuleDenied | Self::PeerNotAllowed | Self::ClaimNotAllowed { .. } => {
                Told::new("ACCESS_DENIED", "Access denied")
            }
            Self::CredentialsMissing | Self::AuthorizationMalformed { .. } => {
                Told::new("CREDENTIALS_MISSING", "Missing or invalid Authorization header")
            }
            Self::BearerTokenUnknown
            | Self::ApiKeyUnknown
            | Self::CredentialNotAccepted { .. }
            | Self::TokenMisplaced { .. }
            | Self::ClaimNotForwardable { .. } => Told::credentials_invalid(),
            Self::Token(error) => token::told(error),
            Self::AudienceNotAccepted => Told::audience_invalid(),
            Self::TotpMissing => Told::new("TOTP_MISSING", "Missing X-TOTP header"),
            Self::TotpNotConfigured => Told::new("TOTP_NOT_CONFIGURED", "TOTP not configured for this peer"),
            // Whether it was a good one once is nobody's business.
            Self::TotpInvalid | Self::TotpReplayed => Told::new("TOTP_INVALID", "Invalid TOTP code"),
            Self::TotpThrottled { .. } => Told::new("TOTP_THROTTLED", "Too many failed TOTP codes"),
            Self::ScopeInsufficient { .. } => Told::new("SCOPE_INSUFFICIENT", "Insufficient scope"),
            Self::OutboundNoMatch
            | Self::OutboundAnonymous
            | Self::OutboundClusterChanged
            | Self::OutboundRedirected
            | Self::SubjectMissing
            | Self::ActorMissing => Told::new("CALL_NOT_ALLOWED", "Call not allowed"),
            Self::TokenUnavailable { .. } => Told::new("TOKEN_UNAVAILABLE", "Token service unavailable"),
            Self::TokenRefused { .. } => Told::new("TOKEN_REFUSED", "Unable to get a token for the upstream"),
            Self::IntrospectionUnavailable { .. } => Told::new(
                "INTROSPECTION_UNAVAILABLE",
                "Token introspection service unavailable",
            ),
            Self::TokenInactive { .. } => Told::new("TOKEN_INACTIVE", "Token is not active"),
            Self::CredentialMalformed => Told::new("CREDENTIAL_MALFORMED", "Malformed credential"),
            Self::QueryHostNotAllowed { .. } => Told::new(
                "QUERY_HOST_NOT_ALLOWED",
                "Host not allowed for query parameter authentication",
            ),
        }
    }
}

/// What a caller is told. The reason comes with its text and is no finer, or it would say how a forgery fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// For programs: the reason of an `ErrorInfo`.
    pub reason: &'static str,
    /// For people.
    pub text: Cow<'static, str>,
}

impl Told {
    const fn new(reason: &'static str, text: &'static str) -> Self {
        Self {
            reason,
            text: Cow::Borrowed(text),
        }
    }

    /// Of every credential that just does not fit, and of every 401 where `errors.verbose` is false.
    pub(super) const fn credentials_invalid() -> Self {
        Self::new(
            "CREDENTIALS_INVALID",
            "Invalid or missing authentication credentials",
        )
    }

    const fn audience_invalid() -> Self {
        Self::new("AUDIENCE_INVALID", "Invalid token audience")
    }
}

/// What kind of refusal a caller meets: decides the status and the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 400 `invalid_request` (RFC 6750 §3.1).
    InvalidRequest,
    /// 401 without an error: no credential came (RFC 6750 §3.1).
    Unauthenticated,
    /// 401 `invalid_token`.
    InvalidToken,
    /// 401 `insufficient_user_authentication` (RFC 9470 §3): the first factor was good.
    SecondFactor,
    /// 429 (RFC 6585 §4): the first factor was good, and the second was tried too often.
    Throttled {
        /// For how long.
        seconds: u64,
    },
    /// 403 `insufficient_scope`.
    InsufficientScope,
    /// 403.
    Forbidden,
    /// 502: a server that the filter asks refuses.
    BadGateway,
    /// 503.
    Unavailable,
}

/// For the operator: what the reason alone does not say. Never a secret; what a caller sent is escaped and cut.
impl fmt::Display for Deny {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathAmbiguous(ambiguity) => ambiguity.fmt(formatter),
            Self::HostInvalid(error) => error.fmt(formatter),
            Self::MethodAmbiguous => formatter.write_str("the method is in lower case"),
            Self::HeaderRepeated { rule } => {
                write!(
                    formatter,
                    "a header that rule `{rule}` asks for came more than once"
                )
            }
            Self::CredentialRepeated { place } => write!(formatter, "{place} came more than once"),
            Self::CredentialsInTwoPlaces { first, second } => {
                write!(formatter, "both {first} and {second} hold a credential")
            }
            Self::CredentialNotAccepted {
                method,
                provider: None,
            } => {
                write!(formatter, "the rule does not accept `{}`", method.as_str())
            }
            Self::CredentialNotAccepted {
                method,
                provider: Some(provider),
            } => {
                write!(
                    formatter,
                    "the rule does not accept `{}:{provider}`",
                    method.as_str()
                )
            }
            Self::Token(error) => error.fmt(formatter),
            Self::TokenMisplaced { provider, place } => {
                write!(formatter, "tokens of provider `{provider}` do not count in {place}")
            }
            Self::AudienceNotAccepted => formatter.write_str("the token is for none of the rule's audiences"),
            Self::ClaimNotForwardable { header } => {
                write!(
                    formatter,
                    "control characters, white space at an end, or too long for header `{header}`"
                )
            }
            Self::ScopeInsufficient { required } => write!(formatter, "needs `{}`", required.join(" ")),
            Self::ClaimNotAllowed { claim } => {
                write!(formatter, "claim `{claim}` has none of the rule's values")
            }
            Self::QueryHostNotAllowed { host } => {
                write!(
                    formatter,
                    "host `{}` is not listed",
                    crate::redact::printable(host.as_bytes(), MAX_SHOWN)
                )
            }
            Self::Internal(what) => formatter.write_str(what),
            Self::NotConfigured => {
                formatter.write_str("the policy has no part for this role, or none was accepted")
            }
            Self::LayerOrder => formatter.write_str(
                "another policy has decided before this one, which is no `fallback`; a fallback must run last",
            ),
            Self::PathMissing => formatter.write_str("the request has no path"),
            Self::ConnectionNamesOwned => formatter.write_str("`connection` names a header of the filter"),
            Self::TokenInQuery => formatter.write_str("a token in the query of an MCP request"),
            Self::NoRule => formatter.write_str("no rule matches"),
            Self::RuleDenied => formatter.write_str("the rule refuses everyone"),
            Self::CredentialsMissing => formatter.write_str("no credential"),
            Self::AuthorizationMalformed { place } => {
                write!(formatter, "{place} does not hold one token as it is written there")
            }
            Self::BearerTokenUnknown => formatter.write_str("the bearer token is nobody's"),
            Self::ApiKeyUnknown => formatter.write_str("the API key is nobody's"),
            Self::TotpMissing => formatter.write_str("no code"),
            Self::TotpNotConfigured => formatter.write_str("the caller has no seed"),
            Self::TotpInvalid => formatter.write_str("no seed of the caller makes this code now"),
            Self::TotpReplayed => formatter.write_str("the code was used before"),
            Self::TotpThrottled { seconds } => write!(
                formatter,
                "too many codes have failed; none is looked at for {seconds} seconds"
            ),
            Self::PeerNotAllowed => formatter.write_str("the caller is none of the rule's peers"),
            Self::OutboundNoMatch => formatter.write_str("no outbound rule matches"),
            Self::OutboundAnonymous => {
                formatter.write_str("the rule adds a credential and the caller is not verified")
            }
            Self::OutboundRedirected => formatter
                .write_str("the proxy follows a redirect that leaves the rule which has put a secret on the call"),
            Self::SubjectMissing => formatter.write_str("the call carries no token that could be exchanged"),
            Self::ActorMissing => formatter.write_str("the call carries no token of who acts"),
            Self::TokenUnavailable { client, detail } | Self::TokenRefused { client, detail } => {
                write!(formatter, "client `{client}`: {detail}")
            }
            Self::IntrospectionUnavailable {
                introspection,
                detail,
            }
            | Self::TokenInactive {
                introspection,
                detail,
            } => write!(formatter, "introspection `{introspection}`: {detail}"),
            Self::CredentialMalformed => formatter.write_str("the credential holds what a header cannot carry"),
            Self::SecretMissing => formatter.write_str("a secret that is needed is not set in the proxy's environment"),
            Self::OutboundClusterChanged => {
                formatter.write_str("the edited request goes to a cluster that the rule does not name")
            }
        }
    }
}

/// What a caller sent is shown up to this length.
const MAX_SHOWN: usize = 64;
