//! One inbound rule: what it matches, and what it asks of a caller.

use crate::authority::Authority;
use crate::claims::ClaimPath;
use crate::http::{Headers, Repeated, Request};
use crate::matcher::{HeaderMatch, HostMatch, MethodMatch, PathExact, PathPrefix, PathTemplate};
use crate::path::{MARKS, RequestPath};
use crate::policy::Enforcement;
use crate::policy::rules::{Indexed, PathReach, Reach};
use crate::totp::{CodeParameters, Replay};

/// A rule (`inbound.rules[]`). The first that matches decides.
#[derive(Debug)]
pub struct Rule {
    /// Its name, or its index where it has none.
    pub name: String,
    /// What it matches.
    pub condition: Condition,
    /// What then happens.
    pub action: Action,
    /// The form of refusals.
    pub protocol: Protocol,
    /// Whether a caller's token may go on to the upstream of an MCP rule (`insecure_token_passthrough`).
    pub passes_token: bool,
    /// Whether it decides. One that does not is passed over once it is known what it would say.
    pub enforcement: Enforcement,
    /// Whether the bodies of its requests are looked into for the JSON-RPC methods that get the extended card.
    pub has_card_rpc: bool,
}

impl Indexed for Rule {
    /// One that does not match has nothing to say.
    const JUDGES_AMBIGUOUS_PATHS: bool = false;

    fn reach(&self) -> Reach<'_> {
        let condition = &self.condition;
        let exact = condition
            .paths
            .iter()
            .map(|path| PathReach::whole(path.as_bytes()));
        let prefixes = condition.path_prefixes.iter();
        let below = prefixes.map(|prefix| PathReach::below(prefix.as_bytes()));
        let templates = condition.path_templates.iter();
        let beginning = templates.map(|template| PathReach::beginning_with(template.first_literals()));
        Reach {
            hosts: condition.hosts.iter().map(HostMatch::as_str).collect(),
            paths: exact.chain(below).chain(beginning).collect(),
        }
    }
}

impl Rule {
    /// Whether a credential is asked for, and no token of a caller may go on to the upstream: it was issued for this server, and MCP forbids that another
    /// one gets it (MCP 2025-06-18, Authorization, Access Token Privilege Restriction).
    pub fn bars_token(&self) -> bool {
        let is_asked = matches!(self.action, Action::Authenticate(..));
        is_asked && self.protocol == Protocol::Mcp && !self.passes_token
    }

    /// Whether somebody without a credential may pass.
    pub const fn lets_strangers_through(&self) -> bool {
        match &self.action {
            Action::Deny => false,
            Action::Public => true,
            Action::Authenticate(accept, _) => accept.none,
        }
    }

    /// What becomes of a code that comes again; `None` where none is asked for.
    pub fn replay(&self) -> Option<Replay> {
        match &self.action {
            Action::Authenticate(_, require) => require.totp.map(|totp| totp.replay),
            Action::Deny | Action::Public => None,
        }
    }
}

/// What a rule matches: every kind that is not empty must match, one of each suffices.
#[derive(Debug, Default)]
pub struct Condition {
    /// Hosts of `:authority`.
    pub hosts: Vec<HostMatch>,
    /// Exact paths. Paths, prefixes and templates are one kind.
    pub paths: Vec<PathExact>,
    /// Prefixes of whole segments.
    pub path_prefixes: Vec<PathPrefix>,
    /// Templates.
    pub path_templates: Vec<PathTemplate>,
    /// Methods.
    pub methods: Vec<MethodMatch>,
    /// Headers; every one of them must match.
    pub headers: Vec<HeaderMatch>,
}

/// What happens to a request that a rule matches.
#[derive(Debug)]
pub enum Action {
    /// Refused, whoever asks (`deny: true`).
    Deny,
    /// Let through without a look at any credential (`accept: [none]`).
    Public,
    /// Let through if a credential proves the caller.
    Authenticate(Accept, Require),
}

/// The first factors of which one must be there and valid (`accept`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accept {
    /// Which providers' tokens.
    pub jwt: AcceptedTokens,
    /// Opaque tokens of which one of these is asked, by name (`introspection:<name>`).
    pub introspections: Vec<String>,
    /// API keys.
    pub api_key: bool,
    /// Static bearer tokens.
    pub bearer_token: bool,
    /// Certificates of connections, where nothing else is presented.
    pub mtls: bool,
    /// No credential at all; what is presented must be valid all the same.
    pub none: bool,
}

impl Accept {
    /// Whether it accepts tokens that a client gets from an authorization server.
    pub const fn takes_issued_tokens(&self) -> bool {
        !matches!(self.jwt, AcceptedTokens::None) || !self.introspections.is_empty()
    }
}

/// Which providers' tokens a rule accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AcceptedTokens {
    /// None.
    #[default]
    None,
    /// Those of every provider (`jwt`).
    Any,
    /// Those of the providers of these names (`jwt:<name>`).
    Of(Vec<String>),
}

impl AcceptedTokens {
    /// Whether tokens of this provider are accepted.
    pub fn accepts(&self, provider: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Of(names) => names.iter().any(|name| name == provider),
        }
    }
}

/// What must hold besides, all of it (`require`). An empty list asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Require {
    /// A second factor.
    pub totp: Option<TotpRequirement>,
    /// Scopes that the caller must all have.
    pub scopes: Vec<String>,
    /// Audiences of which the token must name one, narrower than its provider's.
    pub audiences: Vec<String>,
    /// Peers of which the caller must be one.
    pub peers: Vec<String>,
    /// Claims, each of which must hold one of its values.
    pub claims: Vec<(ClaimPath, Vec<String>)>,
}

/// A second factor that a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotpRequirement {
    /// How codes are made: the policy's way, or with the rule's own, narrower window.
    pub code: CodeParameters,
    /// What becomes of a code that comes again.
    pub replay: Replay,
}

/// What a rule's callers speak (`protocol`), and so how they are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Told by each request.
    #[default]
    Auto,
    /// A2A over JSON-RPC.
    JsonRpc,
    /// A2A over HTTP and JSON.
    A2aRest,
    /// MCP: JSON-RPC, and a second factor that fails is 403, for any 401 restarts its client's OAuth flow.
    Mcp,
    /// gRPC.
    Grpc,
    /// Plain HTTP.
    Http,
}

impl Condition {
    /// Whether host, path and method match.
    pub fn matches_target(
        &self,
        request: &Request,
        authority: &Authority<'_>,
        path: &RequestPath<'_>,
    ) -> bool {
        (self.is_any_path()
            || self.paths.iter().any(|matcher| matcher.matches(path))
            || self.path_prefixes.iter().any(|matcher| matcher.matches(path))
            || self.path_templates.iter().any(|matcher| matcher.matches(path)))
            && (self.hosts.is_empty() || self.hosts.iter().any(|matcher| matcher.matches(authority)))
            && (self.methods.is_empty()
                || self
                    .methods
                    .iter()
                    .any(|matcher| matcher.matches(request.method())))
    }

    /// The marks that its paths name: to this rule, an escape of one of them is another path.
    pub fn path_marks(&self) -> impl Iterator<Item = u8> {
        let whole = self.paths.iter().map(PathExact::as_bytes);
        let starts = self.path_prefixes.iter().map(PathPrefix::as_bytes);
        let parts = self.path_templates.iter().flat_map(PathTemplate::literals);
        let bytes = whole.chain(starts).chain(parts).flatten().copied();
        bytes.filter(|byte| MARKS.contains(byte) || *byte == b'%')
    }

    /// Whether every path matches.
    pub fn is_any_path(&self) -> bool {
        let is_unnamed =
            self.paths.is_empty() && self.path_prefixes.is_empty() && self.path_templates.is_empty();
        is_unnamed || self.path_prefixes.iter().any(PathPrefix::is_root)
    }

    /// Whether the headers match.
    ///
    /// # Errors
    /// [`Repeated`] if one of them comes more than once.
    pub fn matches_headers(&self, headers: &Headers) -> Result<bool, Repeated> {
        for matcher in &self.headers {
            headers.single(matcher.name())?;
        }
        Ok(self.headers.iter().all(|matcher| matcher.matches(headers)))
    }
}
