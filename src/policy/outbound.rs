//! The compiled outbound half: what calls to which upstream are given.

use std::rc::Rc;

use crate::authority::{Authority, HostName};
use crate::http::Request;
use crate::matcher::PathPrefix;
use crate::oauth::Client;
use crate::path::{Ambiguity, RequestPath};
use crate::policy::rules::{Indexed, PathReach, Reach, Rules};
use crate::policy::token::TokenPlan;
use crate::query::ParameterName;
use crate::secret::Secret;
use crate::totp::{CodeParameters, Seed};

/// The outbound half of a policy.
#[derive(Debug)]
pub struct Outbound {
    /// All clients of authorization servers whose credentials are there (`oauth_clients`).
    pub clients: Vec<Rc<Client>>,
    /// The first that matches is applied.
    pub rules: Rules<Rule>,
    /// What becomes of a call that no rule matches.
    pub on_no_match: OnNoMatch,
    /// Headers removed from every call, in lower case.
    pub strip_headers: Vec<String>,
    /// The only hosts that are sent a credential in the query (`insecure_query_param_auth_allowed_hosts`, within the
    /// platform's bound).
    pub query_hosts: Vec<HostName>,
}

impl Outbound {
    /// Whether any rule puts something on calls.
    pub fn puts_on(&self) -> bool {
        self.rules.iter().any(Rule::puts_on)
    }
}

/// What becomes of a call that no rule matches (`on_no_match`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNoMatch {
    /// It goes on as it is.
    Forward,
    /// It is refused.
    Deny,
}

/// An outbound rule (`outbound.rules[]`).
#[derive(Debug)]
pub struct Rule {
    /// Its name, or its index where it has none.
    pub name: String,
    /// Which calls it matches.
    pub condition: Condition,
    /// Credentials put into the query.
    pub query_parameters: Vec<(ParameterName, ParameterValue)>,
    /// A credential of the query moved to a header.
    pub query_to_header: Option<QueryToHeader>,
    /// Credentials put into headers, by name in lower case: whole values.
    pub headers: Vec<(String, HeaderCredential)>,
    /// Credentials put among the cookies.
    pub cookies: Vec<(String, SharedSecret)>,
    /// Whether an `Authorization` that the call comes with stays, whatever the rule would put there.
    pub keeps_authorization: bool,
    /// A token of its own for every call, in `Authorization`, where no header of the policy stands there.
    pub token: Option<TokenPlan>,
    /// A TOTP code put into a header.
    pub totp: Option<TotpInjection>,
    /// Whether it also applies to calls of callers that nobody verified, in a gateway (`insecure_for_anonymous`).
    pub for_anonymous: bool,
    /// Whether a secret that it puts on is not there (`on_missing_secret: deny_rule`): its calls are refused.
    pub lacks_secret: bool,
}

impl Indexed for Rule {
    /// A rule that asks for a path refuses what can be read as another.
    const JUDGES_AMBIGUOUS_PATHS: bool = true;

    fn reach(&self) -> Reach<'_> {
        let prefixes = self.condition.path_prefixes.iter();
        Reach {
            hosts: self.condition.hosts.iter().map(HostName::as_str).collect(),
            paths: prefixes
                .map(|prefix| PathReach::below(prefix.as_bytes()))
                .collect(),
        }
    }
}

impl Rule {
    /// Whether a call is given something of the mesh's own, that a stranger must not have.
    pub fn adds_secret(&self) -> bool {
        let is_secret = |(_, value): &(_, ParameterValue)| matches!(value, ParameterValue::Secret(_));
        self.query_parameters.iter().any(is_secret)
            || !self.headers.is_empty()
            || !self.cookies.is_empty()
            || self.totp.is_some()
            || self.token.is_some()
    }

    /// The secrets of the policy that it puts on, but for seeds.
    pub fn secrets(&self) -> impl Iterator<Item = &SharedSecret> {
        let of_query = self.query_parameters.iter().filter_map(|(_, value)| match value {
            ParameterValue::Secret(secret) => Some(secret),
            ParameterValue::FromHeader(_) => None,
        });
        let of_headers = self.headers.iter().flat_map(|(_, header)| &header.secrets);
        let of_cookies = self.cookies.iter().map(|(_, secret)| secret);
        of_query.chain(of_headers).chain(of_cookies)
    }

    /// Whether a call leaves with a credential that it did not have, or had elsewhere.
    pub fn puts_on(&self) -> bool {
        self.adds_secret() || !self.query_parameters.is_empty() || self.query_to_header.is_some()
    }
}

/// A secret of the policy that goes with many calls.
pub type SharedSecret = Rc<Secret<Vec<u8>>>;

/// What a header gets.
#[derive(Debug)]
pub struct HeaderCredential {
    /// The whole value.
    pub whole: SharedSecret,
    /// What of it is secret, in every form in which an upstream could repeat it.
    pub secrets: Vec<SharedSecret>,
}

/// What a parameter of the query gets.
#[derive(Debug)]
pub enum ParameterValue {
    /// A secret of the policy.
    Secret(SharedSecret),
    /// The value of this header of the call, in lower case; the header goes.
    FromHeader(String),
}

/// A credential of the query moved to a header (`query_to_header`).
#[derive(Debug)]
pub struct QueryToHeader {
    /// The parameter, which goes.
    pub from: String,
    /// The header, in lower case.
    pub to: String,
    /// What stands before the value.
    pub prefix: String,
}

/// Which calls a rule matches: every kind that is not empty must match, one of each suffices.
#[derive(Debug, Default)]
pub struct Condition {
    /// Hosts of `:authority`, exact: a credential goes nowhere that was not written down.
    pub hosts: Vec<HostName>,
    /// Envoy clusters that the route goes to: the authority alone is the caller's word.
    pub clusters: Clusters,
    /// Ports of `:authority`; without one, that of the scheme.
    pub ports: Vec<u16>,
    /// Prefixes of whole segments.
    pub path_prefixes: Vec<PathPrefix>,
}

/// The Envoy clusters that a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Clusters {
    /// Any (`insecure_any_cluster`, or a rule that adds no secret).
    #[default]
    Any,
    /// Only these.
    OneOf(Vec<String>),
}

impl Clusters {
    /// Whether a call to this cluster is meant. A call without a cluster goes nowhere that was named.
    pub fn contain(&self, cluster: Option<&[u8]>) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(names) => {
                cluster.is_some_and(|cluster| names.iter().any(|name| name.as_bytes() == cluster))
            }
        }
    }
}

/// A TOTP code put into a header (`totp`).
#[derive(Debug)]
pub struct TotpInjection {
    /// The header, in lower case.
    pub header: String,
    /// What codes are made from.
    pub seed: Seed,
    /// How codes are made.
    pub code: CodeParameters,
}

impl Condition {
    /// Whether a call matches.
    ///
    /// # Errors
    /// [`Ambiguity`] if all but the path matches, and the path can be read in two ways of which the prefixes mean one.
    pub fn matches(
        &self,
        request: &Request,
        authority: &Authority<'_>,
        path: &RequestPath<'_>,
    ) -> Result<bool, Ambiguity> {
        let port = || {
            let is_https = request.scheme() == b"https";
            authority
                .port()
                .unwrap_or(if is_https { HTTPS_PORT } else { HTTP_PORT })
        };
        let is_meant = (self.hosts.is_empty() || self.hosts.iter().any(|name| name.matches(authority)))
            && (self.ports.is_empty() || self.ports.contains(&port()))
            && self.clusters.contain(request.cluster.as_deref());
        if !is_meant || self.path_prefixes.is_empty() || self.path_prefixes.iter().any(PathPrefix::is_root) {
            return Ok(is_meant);
        }
        match path.ambiguity() {
            Some(ambiguity) => Err(ambiguity),
            None => Ok(self.path_prefixes.iter().any(|prefix| prefix.matches(path))),
        }
    }
}

/// RFC 9110 §4.2.1 and §4.2.2.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
