//! Problems with the outbound half. Some texts are fixed by what the filter took over from other programs.

use std::fmt;

use crate::authority::HostNameError;

/// What is wrong with the outbound half.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells what its fields hold")]
pub enum OutboundProblem {
    /// Query parameters without the switch that allows them.
    QueryDisabled,
    /// Query parameters for a host that is not listed.
    QueryHostNotAllowed { host: String, allowed: Vec<String> },
    /// Query parameters for whatever host.
    QueryWithoutHosts,
    /// A listed host that the platform's variable does not list.
    OutOfBound(String),
    /// The platform's variable lists something that is no host.
    BoundMalformed,
    /// A host.
    Host(HostNameError),
    /// Not the name of a query parameter.
    ParameterName,
    /// Two credentials would stand in one header.
    HeaderTwice(String),
    /// No header can carry it.
    HeaderValue,
    /// A scheme would run into its credentials.
    SchemeWithoutSpace,
    /// No user name of Basic authentication (RFC 7617 §2).
    Username,
    /// No cookie can have this name.
    CookieName,
    /// No cookie can carry it.
    CookieValue,
    /// A rule adds a secret, and says nothing of where it goes.
    SecretAnywhere,
    /// There is no seed to make codes from.
    NoSeed,
}

impl OutboundProblem {
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::QueryHostNotAllowed { .. } => {
                "list it in `outbound.insecure_query_param_auth_allowed_hosts`, exactly"
            }
            Self::QueryWithoutHosts => "name the hosts that the credential is for",
            Self::OutOfBound(_) | Self::BoundMalformed => {
                "whoever runs the platform sets it in the proxy's environment"
            }
            Self::SecretAnywhere => {
                "name the Envoy clusters that it may go to, such as `outbound|443||mcp.example.com`: \
                 the host alone is the caller's word"
            }
            Self::HeaderTwice(_) => "a header carries one credential",
            Self::HeaderValue => "visible ASCII characters, and spaces between them",
            Self::SchemeWithoutSpace => "write `\"Bearer \"`, with a space before the closing quotation mark",
            Self::Username => "it holds no colon and no control characters (RFC 7617 §2)",
            Self::CookieName => "letters, digits and `!#$%&'*+-.^_`|~` (RFC 6265 §4.1.1)",
            Self::CookieValue => "visible ASCII characters without `\"`, `,`, `;` and `\\` (RFC 6265 §4.1.1)",
            Self::QueryDisabled | Self::Host(_) | Self::ParameterName | Self::NoSeed => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for OutboundProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueryDisabled => formatter.write_str(
                "Query parameter authentication is disabled. Set insecure_allow_query_param_auth to true to enable. \
                 WARNING: API keys in URLs may appear in proxy logs.",
            ),
            Self::QueryHostNotAllowed { host, allowed } => {
                let allowed = if allowed.is_empty() { "none".into() } else { allowed.join(", ") };
                write!(
                    formatter,
                    "Host '{host}' is not in the allowed hosts for query parameter auth. Allowed hosts: {allowed}"
                )
            }
            Self::QueryWithoutHosts => formatter.write_str("is required where `query_params` are"),
            Self::OutOfBound(host) => write!(formatter, "variable `{HOSTS_BOUND}` does not list `{host}`"),
            Self::BoundMalformed => write!(formatter, "variable `{HOSTS_BOUND}` lists something that is no host"),
            Self::Host(error) => error.fmt(formatter),
            Self::ParameterName => formatter.write_str(
                "Query parameter key must start with a letter or underscore, followed by letters, numbers, \
                 underscores, or hyphens",
            ),
            Self::SecretAnywhere => formatter
                .write_str("a rule that adds a secret needs `match.clusters` or `insecure_any_cluster: true`"),
            Self::HeaderTwice(name) => write!(formatter, "the rule puts two credentials into header `{name}`"),
            Self::HeaderValue => formatter.write_str("holds what no header can carry"),
            Self::SchemeWithoutSpace => formatter.write_str("does not end in a space"),
            Self::Username => formatter.write_str("is no user name"),
            Self::CookieName => formatter.write_str("is no name of a cookie"),
            Self::CookieValue => formatter.write_str("holds what no cookie can carry"),
            Self::NoSeed => {
                formatter.write_str("No TOTP seed configured. Set seed parameter or A2A_TOTP_SEED env var.")
            }
        }
    }
}

/// The variable with which the platform bounds the hosts that any policy may list.
pub(in crate::config) const HOSTS_BOUND: &str = "INSECURE_QUERYPARAM_AUTH_ALLOWED_HOSTS";
