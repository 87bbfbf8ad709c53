//! Problems with OAuth clients, with the tokens that they get, and with introspection.

use std::fmt;

use crate::config::problem::did_you_mean;
use crate::excerpt::Excerpt;
use crate::oauth::ResourceError;
use crate::signer;

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum OauthProblem {
    /// No client has this name.
    ClientUnknown { name: Excerpt, nearest: Option<String> },
    /// Metadata without the issuer that it must be of.
    IssuerMissing,
    /// No client can have this id (RFC 6749 appendix A.1).
    ClientId,
    /// An id that HTTP Basic cannot carry as it is.
    ColonInId,
    /// No private key that signs.
    SigningKey(signer::Error),
    /// A parameter that the protocol itself sets.
    OwnParameter,
    /// A member that means nothing beside what else is said.
    NotWith(&'static str),
    /// No resource indicator.
    Resource(ResourceError),
    /// No kind of token.
    TokenType(Excerpt),
    /// Nobody's token is there where the filter stands, and no header is named that brings one.
    SubjectMissing,
    /// It is not said who must have issued the token; whether there are providers at all.
    VerifyMissing { has_some: bool },
    /// No introspection has this name.
    IntrospectionUnknown { name: Excerpt, nearest: Option<String> },
    /// A provider has the name.
    NameOfProvider,
}

impl OauthProblem {
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::ClientUnknown { nearest, .. } | Self::IntrospectionUnknown { nearest, .. } => {
                return nearest.as_ref().map(did_you_mean);
            }
            Self::IssuerMissing => "the metadata must name it, byte for byte (RFC 8414 §3.3)",
            Self::ClientId => "visible ASCII characters, and spaces between them",
            Self::ColonInId => "use `client_secret_basic`, which encodes it",
            Self::OwnParameter => "rules say for whom a token is: `audience`, `resource`, `scope`",
            Self::Resource(_) => "such as `https://mcp.example/` (RFC 8707 §2)",
            Self::TokenType(_) => "`access_token`, `jwt`, `id_token`, or a URI (RFC 8693 §3)",
            Self::SubjectMissing => {
                "the workload must pass the caller's token on: name the header, such as `authorization`"
            }
            Self::VerifyMissing { has_some: true } => {
                "name the provider; whatever the header holds would go to the token endpoint"
            }
            Self::VerifyMissing { has_some: false } => {
                "whatever the header holds would go to the token endpoint: add a provider to `inbound.providers`, or \
                 `insecure_unverified_subject: true`"
            }
            Self::NameOfProvider => "rules and peers tell them apart by their names",
            Self::NotWith(_) | Self::SigningKey(_) => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for OauthProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientUnknown { name, .. } => write!(formatter, "there is no client `{name}`"),
            Self::IntrospectionUnknown { name, .. } => {
                write!(formatter, "there is no introspection `{name}`")
            }
            Self::IssuerMissing => formatter.write_str("is required where `discovery` is"),
            Self::ClientId => formatter.write_str("is no client id"),
            Self::ColonInId => formatter.write_str("cannot carry a client id with a colon"),
            Self::SigningKey(error) => error.fmt(formatter),
            Self::OwnParameter => formatter.write_str("is a parameter that the protocol itself sets"),
            Self::NotWith(what) => write!(formatter, "does not go with {what}"),
            Self::Resource(error) => error.fmt(formatter),
            Self::TokenType(name) => write!(formatter, "`{name}` is no kind of token"),
            Self::SubjectMissing => {
                formatter.write_str("is required: in this role nobody's token is verified on the same stream")
            }
            Self::VerifyMissing { has_some: true } => {
                formatter.write_str("is required where there are several providers")
            }
            Self::VerifyMissing { has_some: false } => {
                formatter.write_str("is required, and there is no provider")
            }
            Self::NameOfProvider => formatter.write_str("is the name of a provider too"),
        }
    }
}
