//! The outbound half: `outbound`.

mod credentials;

use crate::authority::HostName;
use crate::config::Environment;
use crate::config::document::Document;
use crate::config::header::{Use, header};
use crate::config::oauth::{Around, token};
use crate::config::problem::{HOSTS_BOUND, OauthProblem, OutboundProblem, PeerProblem, ShapeProblem};
use crate::config::reader::{Node, Object, all, distinct, plain_text};
use crate::config::rules::{RuleNames, check_no_url, path_prefix};
use crate::config::sealed::Variable;
use crate::config::secret::{Found, look_up, present};
use crate::config::totp::{DEFAULT_HEADER, code_parameters, seed};
use crate::config::warning::Caution;
use crate::policy::location::AUTHORIZATION;
use crate::policy::outbound::{Clusters, Condition, OnNoMatch, Outbound, Rule, TotpInjection};
use crate::totp::{CodeParameters, Seed};

use self::credentials::{Credentials, credentials, has, has_secret_parameter};

/// Reads `outbound`. Where the filter is placed within a cluster, the placement says where calls go.
pub(super) fn outbound(node: &Node<'_>, is_placed: bool, around: &Around<'_>) -> Option<Outbound> {
    let outbound = node.object(MEMBERS)?;
    let is_allowed = outbound.insecure_flag("insecure_allow_query_param_auth", Caution::QueryParameters);
    let query_hosts = query_hosts(&outbound);
    let on_no_match = outbound.or("on_no_match", OnNoMatch::Forward, |node| {
        node.choice(&[
            ("forward", Some(OnNoMatch::Forward)),
            ("deny", Some(OnNoMatch::Deny)),
        ])
    });
    let strip_headers = outbound.list("strip_headers", distinct(|node| header(node, Use::Removed)));
    let destinations = Destinations {
        is_allowed,
        hosts: query_hosts.as_deref(),
        is_placed,
        around,
    };
    let rules = rules(&outbound, &destinations);
    is_allowed?;
    Some(Outbound {
        clients: around.clients.all()?,
        rules: rules?.into(),
        on_no_match: on_no_match?,
        strip_headers: strip_headers?,
        query_hosts: query_hosts?,
    })
}

/// What the policy says of where secrets go; `None` is what could not be read.
struct Destinations<'h> {
    is_allowed: Option<bool>,
    hosts: Option<&'h [HostName]>,
    is_placed: bool,
    around: &'h Around<'h>,
}

/// The hosts that may be sent a credential in the query, each within what the platform allows.
fn query_hosts(outbound: &Object<'_>) -> Option<Vec<HostName>> {
    let member = "insecure_query_param_auth_allowed_hosts";
    let Some(node) = outbound.optional(member) else {
        return Some(Vec::new());
    };
    let hosts = node.list(|node| Some((host(&node)?, node)))?;
    let Some(bound) = platform_bound(node.environment()) else {
        return node.refuse(OutboundProblem::BoundMalformed);
    };
    all(hosts.into_iter().map(|(host, node)| match &bound {
        Some(bound) if !bound.contains(&host) => {
            node.refuse(OutboundProblem::OutOfBound(host.as_str().to_owned()))
        }
        Some(_) | None => Some(host),
    }))
}

/// The hosts that the platform lists: `None` if its list is malformed, `Some(None)` if it has none.
fn platform_bound(environment: &Environment) -> Option<Option<Vec<HostName>>> {
    let Some(list) = environment.variables.get(HOSTS_BOUND) else {
        return Some(None);
    };
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| HostName::parse(entry).ok())
        .collect::<Option<Vec<_>>>()
        .map(Some)
}

fn rules(outbound: &Object<'_>, destinations: &Destinations<'_>) -> Option<Vec<Rule>> {
    let Some(node) = outbound.optional("rules") else {
        return Some(Vec::new());
    };
    let nodes = node.list(Some)?;
    let mut names = RuleNames::new(nodes.len());
    all(nodes
        .iter()
        .enumerate()
        .map(|(index, node)| rule(index, node, &mut names, destinations)))
}

fn rule(
    index: usize,
    node: &Node<'_>,
    names: &mut RuleNames,
    destinations: &Destinations<'_>,
) -> Option<Rule> {
    let rule = node.object(RULE_MEMBERS)?;
    let name = names.name(index, &rule);
    let condition = condition(&rule, destinations);
    let totp = rule.or("totp", None, |node| totp_injection(&node).map(Some));
    let code_header = totp
        .as_ref()
        .and_then(Option::as_ref)
        .map(|(_, header, _)| header.as_str());
    let credentials = credentials(&rule, code_header);
    let token = rule.or("token", None, |node| token(&node, destinations.around).map(Some));
    check_header_of_token(&rule, credentials.as_ref());
    if has(&rule, "query_params") && destinations.is_allowed == Some(false) {
        rule.refuse_member::<()>("query_params", OutboundProblem::QueryDisabled);
    }
    let keeps_authorization = rule.flag("keep_authorization");
    if keeps_authorization == Some(true) && takes_authorization(&rule) {
        let with = "a token whose subject stands in `authorization`";
        rule.refuse_member::<()>("keep_authorization", OauthProblem::NotWith(with));
    }
    let for_anonymous = rule.insecure_flag("insecure_for_anonymous", Caution::ForAnonymous);

    all_of!(
        name,
        condition,
        totp,
        credentials,
        token,
        keeps_authorization,
        for_anonymous
    );
    let (query_parameters, lacks_parameter) = present_named(credentials.query_parameters);
    let (headers, lacks_header) = present_named(credentials.headers);
    let (cookies, lacks_cookie) = present_named(credentials.cookies);
    let (totp, lacks_seed) = match totp {
        None => (None, false),
        Some((Found::Missing, ..)) => (None, true),
        Some((Found::There(seed), header, code)) => (Some(TotpInjection { header, seed, code }), false),
    };
    let (token, lacks_client) = match token {
        None => (None, false),
        Some(found) => {
            let token = found.there();
            let lacks_client = token.is_none();
            (token, lacks_client)
        }
    };
    Some(Rule {
        name,
        condition,
        token,
        query_parameters,
        query_to_header: credentials.query_to_header,
        headers,
        cookies,
        keeps_authorization,
        totp,
        for_anonymous,
        lacks_secret: lacks_parameter || lacks_header || lacks_cookie || lacks_seed || lacks_client,
    })
}

/// Whether the token of a rule is exchanged for what stands in `Authorization`, which then cannot stay there.
fn takes_authorization(rule: &Object<'_>) -> bool {
    let subject = rule
        .node()
        .document()
        .member("token")
        .and_then(|token| token.member("subject"));
    let header = subject.and_then(|subject| subject.member("from_header"));
    matches!(header, Some(Document::Text(name)) if name.expose().eq_ignore_ascii_case(AUTHORIZATION))
}

/// A token stands in `Authorization`: what is moved there has no place then, and what the policy puts there counts.
fn check_header_of_token(rule: &Object<'_>, credentials: Option<&Credentials>) {
    let (Some(node), Some(credentials)) = (rule.optional("token"), credentials) else {
        return;
    };
    if credentials.headers.iter().any(|(name, _)| name == AUTHORIZATION) {
        node.warn(Caution::TokenOverridden);
    }
    let moved = credentials.query_to_header.as_ref();
    if moved.is_some_and(|moved| moved.to == AUTHORIZATION) {
        let name = AUTHORIZATION.to_owned();
        rule.refuse_member::<()>("query_to_header", OutboundProblem::HeaderTwice(name));
    }
}

/// Parts what is there from what is missing.
fn present_named<N, T>(found: Vec<(N, Found<T>)>) -> (Vec<(N, T)>, bool) {
    let named = |(name, found): (N, Found<T>)| found.map(|value| (name, value));
    present(found.into_iter().map(named).collect())
}

/// Reads `match` and `insecure_any_cluster`, which together say where a secret may go.
fn condition(rule: &Object<'_>, destinations: &Destinations<'_>) -> Option<Condition> {
    let any_cluster = rule.insecure_flag("insecure_any_cluster", Caution::AnyCluster);
    let condition = rule.section("match", &["hosts", "clusters", "ports", "path_prefixes"])?;
    let hosts = condition.list("hosts", |node| {
        let host = host(&node)?;
        if has(rule, "query_params") {
            check_query_host(&node, &host, destinations)?;
        }
        Some(host)
    });
    // Within its cluster a rule needs none: the policy's list still says which hosts get a key.
    let is_bound = destinations.is_placed && destinations.hosts.is_none_or(|hosts| !hosts.is_empty());
    if has(rule, "query_params") && !is_bound && !condition.has_entries("hosts") {
        condition.refuse_member::<()>("hosts", OutboundProblem::QueryWithoutHosts);
    }
    let clusters = condition.list("clusters", distinct(plain_text));
    let ports = condition.list("ports", |node| node.integer(1..=u16::MAX.into()));
    let path_prefixes = condition.list("path_prefixes", distinct(path_prefix));

    let names_clusters = condition.has_entries("clusters");
    let is_mistyped = condition.is_mistyped("clusters")
        || rule.is_mistyped("match")
        || rule.is_mistyped("insecure_any_cluster");
    let adds_secret = has_secret_parameter(rule)
        || has(rule, "headers")
        || has(rule, "cookies")
        || rule.has("totp")
        || rule.has("token");
    match any_cluster? {
        true if names_clusters => {
            return rule.node().refuse(ShapeProblem::Excluding(vec![
                "match.clusters",
                "insecure_any_cluster",
            ]));
        }
        false if adds_secret && !names_clusters && !destinations.is_placed && !is_mistyped => {
            return rule.node().refuse(OutboundProblem::SecretAnywhere);
        }
        _ => {}
    }
    let clusters = match clusters? {
        names if names.is_empty() => Clusters::Any,
        names => Clusters::OneOf(names),
    };
    Some(Condition {
        hosts: hosts?,
        clusters,
        ports: ports?,
        path_prefixes: path_prefixes?,
    })
}

fn host(node: &Node<'_>) -> Option<HostName> {
    check_no_url(node)?;
    match HostName::parse(node.text()?) {
        Ok(host) => Some(host),
        Err(error) => node.refuse(OutboundProblem::Host(error)),
    }
}

fn check_query_host(node: &Node<'_>, host: &HostName, destinations: &Destinations<'_>) -> Option<()> {
    match destinations.hosts {
        Some(allowed) if destinations.is_allowed == Some(true) && !allowed.contains(host) => {
            node.refuse(OutboundProblem::QueryHostNotAllowed {
                host: host.as_str().to_owned(),
                allowed: allowed.iter().map(|host| host.as_str().to_owned()).collect(),
            })
        }
        // Nothing follows from what could not be read; and where the switch is off, that is what is wrong.
        Some(_) | None => Some(()),
    }
}

/// Reads `totp`: seed, header, and how codes are made.
fn totp_injection(node: &Node<'_>) -> Option<(Found<Seed>, String, CodeParameters)> {
    let totp = node.object(&["seed", "header", "code"])?;
    let seed = injected_seed(&totp);
    let header = totp.or("header", DEFAULT_HEADER.to_owned(), |node| {
        header(&node, Use::Own)
    });
    let code = totp.section("code", &["algorithm", "digits", "period_seconds"]);
    // What is sent is the code of the present step.
    let code = code.and_then(|code| code_parameters(&code, Some(CodeParameters::DEFAULT.window_steps())));
    Some((seed?, header?, code?))
}

/// The seed that is written, or the one of the variable that agents use.
fn injected_seed(totp: &Object<'_>) -> Option<Found<Seed>> {
    let written = totp.optional("seed");
    let names_default = written.as_ref().is_none_or(|node| {
        matches!(node.document().member("env"), Some(Document::Text(name)) if name.expose() == DEFAULT_SEED_VARIABLE)
    });
    if !names_default {
        return seed(&written?, false);
    }
    match look_up(totp.node(), DEFAULT_SEED_VARIABLE) {
        Variable::There(text) => match written {
            Some(node) => seed(&node, false),
            None => {
                totp.node().remember(&text);
                match Seed::parse(text.expose()) {
                    Ok(seed) => Some(Found::There(seed)),
                    Err(error) => totp.refuse_member("seed", PeerProblem::Seed(error)),
                }
            }
        },
        Variable::Unknown => Some(Found::Missing),
        Variable::Refused => None,
        Variable::Blank | Variable::Absent if totp.node().secrets_may_miss() => {
            totp.node()
                .warn(Caution::SecretMissing(DEFAULT_SEED_VARIABLE.to_owned()));
            Some(Found::Missing)
        }
        Variable::Blank | Variable::Absent => totp.refuse_member("seed", OutboundProblem::NoSeed),
    }
}

const MEMBERS: &[&str] = &[
    "oauth_clients",
    "insecure_allow_query_param_auth",
    "insecure_query_param_auth_allowed_hosts",
    "on_no_match",
    "strip_headers",
    "rules",
];
const RULE_MEMBERS: &[&str] = &[
    "name",
    "match",
    "query_params",
    "totp",
    "insecure_any_cluster",
    "insecure_for_anonymous",
    "token",
    "headers",
    "cookies",
    "query_to_header",
    "keep_authorization",
];
const DEFAULT_SEED_VARIABLE: &str = "A2A_TOTP_SEED";
