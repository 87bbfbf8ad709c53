//! Inbound rules: `inbound.rules`.

use crate::authority::HostName;
use crate::config::document::Document;
use crate::config::enforcement;
use crate::config::problem::{RuleProblem, ShapeProblem};
use crate::config::reader::{Node, Object, all, distinct, plain_text};
use crate::config::requirements::{accept, require};
use crate::config::sorted;
use crate::config::surroundings::Surroundings;
use crate::config::warning::Caution;
use crate::matcher::{HeaderMatch, HeaderTest, HostMatch, MethodMatch, PathExact, PathPrefix, PathTemplate};
use crate::policy::rule::{Accept, Action, Condition, Protocol, Require, Rule};
use crate::policy::{NO_RULE, OwnedHeaders};

/// Reads `rules`.
pub(super) fn rules(inbound: &Object<'_>, around: &Surroundings<'_, '_>) -> Option<Vec<Rule>> {
    let Some(node) = inbound.optional("rules") else {
        return Some(Vec::new());
    };
    let nodes = node.list(Some)?;
    let mut names = RuleNames::new(nodes.len());
    let rules = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| rule(index, node, &mut names, around));
    all(rules)
}

fn rule(index: usize, node: &Node<'_>, names: &mut RuleNames, around: &Surroundings<'_, '_>) -> Option<Rule> {
    let rule = node.object(MEMBERS)?;
    rule.refuse_null(&["match", "require"]);
    let name = names.name(index, &rule);
    let condition = rule.or("match", Condition::default(), |node| {
        condition(&node, &around.owned_headers)
    });
    let action = action(&rule, around);
    let protocol = rule.or("protocol", Protocol::Auto, |node| {
        node.choice(&[
            ("auto", Some(Protocol::Auto)),
            ("jsonrpc", Some(Protocol::JsonRpc)),
            ("a2a_rest", Some(Protocol::A2aRest)),
            ("mcp", Some(Protocol::Mcp)),
            ("grpc", Some(Protocol::Grpc)),
            ("http", Some(Protocol::Http)),
        ])
    });
    let passes_token = rule.insecure_flag("insecure_token_passthrough", Caution::TokenPassthrough);
    if passes_token == Some(true) && protocol.is_some_and(|protocol| protocol != Protocol::Mcp) {
        return rule.refuse_member("insecure_token_passthrough", RuleProblem::PassthroughElsewhere);
    }
    if let (Some(condition), Some(Action::Public)) = (&condition, &action)
        && condition.is_any_path()
    {
        node.warn(Caution::EverythingPublic);
    }
    let enforcement = enforcement(&rule);
    let has_card_rpc = rule.flag("extended_card_rpc");
    all_of!(
        name,
        condition,
        action,
        protocol,
        passes_token,
        enforcement,
        has_card_rpc
    );
    Some(Rule {
        name,
        condition,
        action,
        protocol,
        passes_token,
        enforcement,
        has_card_rpc,
    })
}

/// Reads `deny`, `accept` and `require`.
fn action(rule: &Object<'_>, around: &Surroundings<'_, '_>) -> Option<Action> {
    let denies = rule.flag("deny");
    let accept = rule.optional("accept").map(|node| accept(&node, around));
    let accepted = accept.as_ref().and_then(Option::as_ref);
    let require = rule.or("require", Require::default(), |node| {
        require(&node, accepted, around)
    });
    let asks_something = require
        .as_ref()
        .is_some_and(|require| *require != Require::default());
    match (denies?, accept) {
        (true, Some(_)) => rule.node().refuse(RuleProblem::AcceptAndDeny),
        (true, None) if asks_something => rule.refuse_member("require", RuleProblem::RequireWithDeny),
        (true, None) => require.map(|_| Action::Deny),
        (false, None) if rule.is_mistyped("accept") || rule.is_mistyped("deny") => None,
        (false, None) => rule.node().refuse(RuleProblem::NeitherAcceptNorDeny),
        (false, Some(accept)) => {
            let accept = accept?;
            if accept.none && asks_something {
                return rule.refuse_member("require", RuleProblem::RequireWithNone);
            }
            let is_public = accept
                == Accept {
                    none: true,
                    ..Accept::default()
                };
            match is_public {
                true => require.map(|_| Action::Public),
                false => Some(Action::Authenticate(accept, require?)),
            }
        }
    }
}

/// Reads `match`: an empty one matches everything.
fn condition(node: &Node<'_>, owned: &OwnedHeaders) -> Option<Condition> {
    let condition = node.object(CONDITIONS)?;
    condition.refuse_null(CONDITIONS);
    let hosts = condition.list(
        "hosts",
        distinct(|node| {
            check_no_url(node)?;
            parsed(node, HostMatch::parse, RuleProblem::Host)
        }),
    );
    let paths = condition.list(
        "paths",
        distinct(|node| parsed(node, PathExact::parse, RuleProblem::Path)),
    );
    let path_prefixes = condition.list("path_prefixes", distinct(path_prefix));
    let path_templates = condition.list(
        "path_templates",
        distinct(|node| parsed(node, PathTemplate::parse, RuleProblem::Template)),
    );
    let methods = condition.list(
        "methods",
        distinct(|node| parsed(node, MethodMatch::parse, RuleProblem::Method)),
    );
    let headers = condition.or("headers", Vec::new(), |node| {
        let header = |(name, node): (&str, Node<'_>)| {
            let value = HeaderTest::Exact(plain_text(&node)?);
            match HeaderMatch::parse(name, value) {
                Ok(header) if owned.contains(header.name()) => node.refuse(RuleProblem::HeaderOwned {
                    header: name.to_owned(),
                }),
                Ok(header) => Some(header),
                Err(error) => node.refuse(RuleProblem::Header(error)),
            }
        };
        if let Document::Object(members) = node.document()
            && members.iter().any(|(_, value)| matches!(value, Document::Null))
        {
            node.refuse::<()>(ShapeProblem::NullCondition);
        }
        all(node.members()?.into_iter().map(header))
    });
    Some(Condition {
        hosts: hosts?,
        paths: paths?,
        path_prefixes: path_prefixes?,
        path_templates: path_templates?,
        methods: methods?,
        headers: headers?,
    })
}

/// Reports a URL where a host stands. What it holds besides its host may be a secret, and is not repeated.
pub(super) fn check_no_url(node: &Node<'_>) -> Option<()> {
    let Some((_, rest)) = node.text()?.split_once("://") else {
        return Some(());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    node.refuse(ShapeProblem::UrlForHost(HostName::parse(authority).ok()))
}

/// Reads a prefix of whole segments.
pub(super) fn path_prefix(node: &Node<'_>) -> Option<PathPrefix> {
    parsed(node, PathPrefix::parse, RuleProblem::Path)
}

/// A text that has a parser of its own.
fn parsed<T, E>(
    node: &Node<'_>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    problem: impl FnOnce(E) -> RuleProblem,
) -> Option<T> {
    match parse(node.text()?) {
        Ok(value) => Some(value),
        Err(error) => node.refuse(problem(error)),
    }
}

/// The names of the rules of a list: labels of metrics and logs, of which none may stand for two rules.
#[derive(Debug)]
pub(super) struct RuleNames {
    count: usize,
    indices: Vec<(String, usize)>,
}

impl RuleNames {
    /// For a list of this many rules.
    pub(super) const fn new(count: usize) -> Self {
        Self {
            count,
            indices: Vec::new(),
        }
    }

    /// Reads the name of a rule, which is its index where none is written.
    pub(super) fn name(&mut self, index: usize, rule: &Object<'_>) -> Option<String> {
        let Some(node) = rule.optional("name") else {
            return Some(index.to_string());
        };
        let name = node.text()?;
        node.check_name(name, LONGEST_NAME, "_-")?;
        if name == NO_RULE {
            return node.refuse(RuleProblem::NameReserved);
        }
        if let Ok(other) = name.parse::<usize>()
            && other != index
            && other < self.count
            && other.to_string() == name
        {
            return node.refuse(RuleProblem::NameIsIndex(other));
        }
        match sorted::first(&mut self.indices, name.to_owned(), index) {
            first if first == index => Some(name.to_owned()),
            first => node.refuse(RuleProblem::NameTwice(first)),
        }
    }
}

const CONDITIONS: &[&str] = &[
    "hosts",
    "paths",
    "path_prefixes",
    "path_templates",
    "methods",
    "headers",
];
const MEMBERS: &[&str] = &[
    "name",
    "match",
    "accept",
    "deny",
    "require",
    "protocol",
    "insecure_token_passthrough",
    "enforcement",
    "extended_card_rpc",
];
/// Ours: a name is a label of metrics.
const LONGEST_NAME: usize = 64;
