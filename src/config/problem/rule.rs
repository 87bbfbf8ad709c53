//! Problems with inbound rules, and with what is forwarded and answered.

use std::fmt;

use crate::callout::UrlError;
use crate::config::problem::did_you_mean;
use crate::excerpt::Excerpt;
use crate::matcher::{
    HeaderMatchError, HostMatchError, MethodMatchError, PathPatternError, PathTemplateError,
};
use crate::signer;

/// What is wrong with a rule, or with what is forwarded and answered.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum RuleProblem {
    /// Neither `accept` nor `deny: true`.
    NeitherAcceptNorDeny,
    /// Both.
    AcceptAndDeny,
    /// `require` in a rule that lets nobody through.
    RequireWithDeny,
    /// `require` in a rule that lets strangers through.
    RequireWithNone,
    /// Not a kind of credential.
    AcceptUnknown {
        found: Excerpt,
        nearest: Option<&'static str>,
    },
    /// `jwt:P` beside `jwt`.
    AcceptRedundant,
    /// A kind of credential that nobody has.
    AcceptsNobody(AcceptedKind),
    /// Certificates, where nobody says that they are validated.
    CertificatesUnvalidated,
    /// A requirement that only tokens can meet, in a rule that accepts this as well.
    OnlyTokens { accepted: &'static str },
    /// A second factor that nobody has.
    TotpWithoutSeed,
    /// A code that comes again is treated more laxly than the policy says.
    ReplayWeaker,
    /// A code that is bound to a credential which is the same with every request.
    BindsNothing { accepted: &'static str },
    /// A code that is bound to a credential, of a seed that many have.
    BindsSharedSeeds,
    /// Another rule has the name.
    NameTwice(usize),
    /// The name reads like the index of another rule.
    NameIsIndex(usize),
    /// The name that metrics give to a decision without a rule.
    NameReserved,
    /// A header that the filter itself writes.
    HeaderOwned { header: String },
    /// A path or a prefix.
    Path(PathPatternError),
    /// A template.
    Template(PathTemplateError),
    /// A host.
    Host(HostMatchError),
    /// A method.
    Method(MethodMatchError),
    /// A header.
    Header(HeaderMatchError),
    /// A claim that `rb-auth-claims` holds in any case.
    ClaimForwarded,
    /// A claim that an assertion holds in any case.
    ClaimAsserted,
    /// A key that signs assertions.
    SigningKey(signer::Error),
    /// An algorithm that is not signed with.
    AlgorithmNotSigned(Excerpt),
    /// Another key has the name.
    KidTwice,
    /// There are more keys than are ever needed.
    TooManySigningKeys,
    /// A document that the filter serves, at this path, holds a secret that is put on calls.
    SecretPublished(String),
    /// A separator that cannot be told from what it separates.
    Separator,
    /// A realm that would break out of its quotes.
    Realm,
    /// A token's way to the upstream is opened where it is not closed.
    PassthroughElsewhere,
    /// A protected resource that is no URL.
    ResourceUrl(UrlError),
    /// A protected resource with a query.
    ResourceQuery,
    /// A protected resource whose metadata stand where those of another do.
    ResourceTwice(usize),
    /// A path at which something else is served already.
    PathPublished(String),
    /// A code that A2A uses for something else.
    JsonRpcCodeTaken(i32),
}

impl RuleProblem {
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::NeitherAcceptNorDeny => {
                "`accept: [none]` lets everybody through; nothing else does so by itself"
            }
            Self::AcceptAndDeny => "`deny: true` refuses whoever asks; keep one of them",
            Self::RequireWithDeny => "`deny: true` refuses whoever asks; take `require` away",
            Self::RequireWithNone => "take `none` out of `accept`, or take `require` away",
            Self::AcceptUnknown {
                nearest: Some(nearest),
                ..
            } => return Some(did_you_mean(nearest)),
            Self::AcceptUnknown { nearest: None, .. } => {
                "it takes jwt, jwt:PROVIDER, introspection:NAME, api_key, bearer_token, mtls and none"
            }
            Self::AcceptRedundant => "`jwt` takes the tokens of every provider; keep one of them",
            Self::AcceptsNobody(AcceptedKind::Jwt) => "add one under `inbound.providers`",
            Self::AcceptsNobody(AcceptedKind::ApiKey) => "add one under `inbound.peers.NAME.api_keys`",
            Self::AcceptsNobody(AcceptedKind::BearerToken) => {
                "add one under `inbound.peers.NAME.bearer_tokens`"
            }
            Self::CertificatesUnvalidated => {
                "Envoy says of a connection only that a certificate was presented, not that it was validated: set it \
                 where every listener of this policy requires one and checks it against a CA that you trust"
            }
            Self::OnlyTokens { .. } => "give it a rule of its own",
            Self::TotpWithoutSeed => "add one under `inbound.peers.NAME.totp_seeds`",
            Self::ReplayWeaker => {
                "a rule may only be stricter: from `allow` to `per_token` to `one_time`; write the laxer one into \
                 `inbound.totp.replay`, and the stricter one into the rules that need it"
            }
            Self::BindsNothing { .. } => {
                "use `one_time`, or give callers with tokens a rule of their own for `per_token`"
            }
            Self::BindsSharedSeeds => "use `one_time`, or give every caller a seed of its own",
            Self::NameTwice(_) => "a name is a label of metrics and logs, and must be one rule's",
            Self::NameIsIndex(_) => "a rule without a name goes by its index",
            Self::NameReserved => "metrics and logs say `none` where no rule decided",
            Self::HeaderOwned { .. } => {
                "whatever a caller sends under this name is its own word, and removed"
            }
            Self::AlgorithmNotSigned(_) => "it takes ES256, RS256 and PS256",
            Self::KidTwice => "a verifier looks for its key by this name",
            Self::TooManySigningKeys => {
                "the first signs; the others are the one before it and the one after it"
            }
            Self::SecretPublished(_) => "take it out of the document, or give the call another secret",
            Self::Separator => "one to 8 ASCII marks or spaces, but not `%` and `\"`",
            Self::Realm => "printable ASCII without `\"` and `\\`",
            Self::JsonRpcCodeTaken(_) => "-32001 to -32010 are those of A2A",
            Self::Host(HostMatchError::Port { .. }) => {
                "a host is matched whatever its port: write the host alone"
            }
            Self::ResourceUrl(_) | Self::ResourceQuery => {
                "the URL that clients reach it under, such as `https://mcp.example/tools`"
            }
            Self::ResourceTwice(_) => "metadata are found by host and path, whatever the port",
            Self::PassthroughElsewhere => "elsewhere `forward` of a provider says whether its tokens go on",
            Self::PathPublished(_)
            | Self::Path(_)
            | Self::Template(_)
            | Self::Host(_)
            | Self::Method(_)
            | Self::Header(_)
            | Self::ClaimForwarded
            | Self::ClaimAsserted
            | Self::SigningKey(_) => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeitherAcceptNorDeny => formatter.write_str("needs `accept` or `deny: true`"),
            Self::AcceptAndDeny => formatter.write_str("has both `accept` and `deny: true`"),
            Self::RequireWithDeny => formatter.write_str("asks something of callers who are all refused"),
            Self::RequireWithNone => formatter.write_str("cannot hold for a caller without a credential"),
            Self::AcceptUnknown { found, .. } => write!(formatter, "unknown kind of credential `{found}`"),
            Self::AcceptRedundant => formatter.write_str("is accepted already, by `jwt`"),
            Self::AcceptsNobody(kind) => write!(formatter, "there is no {kind} that this could accept"),
            Self::CertificatesUnvalidated => {
                formatter.write_str("needs `inbound.mtls.listener_validates_client_certificates: true`")
            }
            Self::OnlyTokens { accepted } => {
                write!(
                    formatter,
                    "only tokens can meet this, and the rule accepts `{accepted}`"
                )
            }
            Self::TotpWithoutSeed => formatter.write_str("there is no seed that a code could be made from"),
            Self::ReplayWeaker => formatter.write_str("is weaker than `inbound.totp.replay`"),
            Self::BindsNothing { accepted } => write!(
                formatter,
                "`per_token` would refuse nothing: the rule accepts `{accepted}`, which is the same with every request"
            ),
            Self::BindsSharedSeeds => formatter.write_str(
                "`per_token` would refuse nothing: whoever has a shared seed can make a code for every token",
            ),
            Self::NameTwice(first) => write!(formatter, "is the name of rule {first} too"),
            Self::NameIsIndex(index) => write!(formatter, "reads like the index of rule {index}"),
            Self::NameReserved => formatter.write_str("`none` is no name for a rule"),
            Self::HeaderOwned { header } => {
                write!(
                    formatter,
                    "`{header}` is the filter's own header, which says nothing about a caller"
                )
            }
            Self::Path(error) => error.fmt(formatter),
            Self::Template(error) => error.fmt(formatter),
            Self::Host(error) => error.fmt(formatter),
            Self::Method(error) => error.fmt(formatter),
            Self::Header(error) => error.fmt(formatter),
            Self::ClaimForwarded => formatter.write_str("is always among the forwarded claims"),
            Self::ClaimAsserted => formatter.write_str("is in every assertion, or only the filter's to say"),
            Self::SigningKey(error) => error.fmt(formatter),
            Self::AlgorithmNotSigned(name) => {
                write!(formatter, "`{name}` is no algorithm that is signed with")
            }
            Self::KidTwice => formatter.write_str("is the name of an earlier key too"),
            Self::TooManySigningKeys => formatter.write_str("has more than 4 keys"),
            Self::SecretPublished(path) => write!(
                formatter,
                "the document that is served at `{path}` holds a secret that is put on calls"
            ),
            Self::Separator => formatter.write_str("cannot be told from what it separates"),
            Self::Realm => formatter.write_str("cannot stand in a challenge"),
            Self::PassthroughElsewhere => formatter.write_str("is for `protocol: mcp`"),
            Self::ResourceUrl(error) => error.fmt(formatter),
            Self::ResourceQuery => formatter.write_str("a URL with a query"),
            Self::ResourceTwice(first) => write!(formatter, "has the host and the path of entry {first}"),
            Self::PathPublished(path) => {
                write!(formatter, "`{path}` is where the filter serves something else")
            }
            Self::JsonRpcCodeTaken(code) => write!(formatter, "`{code}` means something else in A2A"),
        }
    }
}

/// The kinds of credentials of which there may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptedKind {
    /// Tokens of a provider.
    Jwt,
    /// API keys.
    ApiKey,
    /// Static bearer tokens.
    BearerToken,
}

impl fmt::Display for AcceptedKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jwt => "provider",
            Self::ApiKey => "API key",
            Self::BearerToken => "bearer token",
        })
    }
}
