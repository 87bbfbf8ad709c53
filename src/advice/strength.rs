//! Which of two inbound rules asks for less.

use std::fmt;

use crate::claims::ClaimPath;
use crate::policy::rule::{Accept, AcceptedTokens, Action, Require};

/// In what a rule asks for less than another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weakness {
    /// It lets callers through, and the other one nobody.
    Admits,
    /// It lets callers without a credential through, and the other one does not.
    AdmitsStrangers,
    /// It asks for nothing that the other one does not ask for, and for less in these members.
    Less(Vec<&'static str>),
}

impl fmt::Display for Weakness {
    /// As what is said of the weaker rule.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admits => formatter.write_str("lets callers through"),
            Self::AdmitsStrangers => formatter.write_str("lets callers without a credential through"),
            Self::Less(members) => write!(formatter, "is weaker in `{}`", members.join("` and `")),
        }
    }
}

/// In what the first asks for less, if it is weaker: it lets in whom the other one lets in, and others. Of two rules of
/// which each asks for something of its own, none is.
pub(super) fn weakness(weak: &Action, strong: &Action, providers: &[&str]) -> Option<Weakness> {
    match (weak, strong) {
        (Action::Deny, _) | (_, Action::Public) => None,
        (_, Action::Authenticate(Accept { none: true, .. }, _)) => None,
        (Action::Public, Action::Deny | Action::Authenticate(..)) => Some(Weakness::AdmitsStrangers),
        (Action::Authenticate(Accept { none: true, .. }, _), _) => Some(Weakness::AdmitsStrangers),
        (Action::Authenticate(..), Action::Deny) => Some(Weakness::Admits),
        (Action::Authenticate(accept, require), Action::Authenticate(other_accept, other_require)) => {
            let compared = [compare_accept(accept, other_accept, providers)]
                .into_iter()
                .chain(compare_requirements(require, other_require));
            let mut weaker = Vec::new();
            for (member, comparison) in MEMBERS.into_iter().zip(compared) {
                match comparison {
                    Comparison::Equal => {}
                    Comparison::Weaker => weaker.push(member),
                    Comparison::Other => return None,
                }
            }
            (!weaker.is_empty()).then_some(Weakness::Less(weaker))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Weaker,
    /// Stronger, or neither.
    Other,
}

fn compare_accept(weak: &Accept, strong: &Accept, providers: &[&str]) -> Comparison {
    let weak = kinds(weak, providers);
    let strong = kinds(strong, providers);
    let pairs = || weak.iter().zip(&strong);
    match (pairs().all(|(weak, strong)| weak >= strong), weak == strong) {
        (_, true) => Comparison::Equal,
        (true, false) => Comparison::Weaker,
        (false, false) => Comparison::Other,
    }
}

/// Whether each kind of credential is accepted, in an order of its own.
fn kinds(accept: &Accept, providers: &[&str]) -> Vec<bool> {
    // By all of its fields, so that a new one cannot be forgotten here.
    let Accept {
        jwt,
        api_key,
        bearer_token,
        none,
    } = accept;
    let is_any = *jwt == AcceptedTokens::Any;
    let tokens = providers.iter().map(|provider| jwt.accepts(provider));
    [*api_key, *bearer_token, *none, is_any && providers.is_empty()]
        .into_iter()
        .chain(tokens)
        .collect()
}

/// In the order of [`MEMBERS`] behind `accept`.
fn compare_requirements(weak: &Require, strong: &Require) -> [Comparison; 5] {
    let Require {
        totp,
        scopes,
        audiences,
        peers,
        claims,
    } = weak;
    // A narrower window is no other factor.
    let totp = match (totp.is_some(), strong.totp.is_some()) {
        (false, true) => Comparison::Weaker,
        (true, false) => Comparison::Other,
        _ => Comparison::Equal,
    };
    let scopes = match (
        is_subset(scopes, &strong.scopes),
        is_subset(&strong.scopes, scopes),
    ) {
        (true, true) => Comparison::Equal,
        (true, false) => Comparison::Weaker,
        (false, _) => Comparison::Other,
    };
    [
        totp,
        scopes,
        compare_choices(audiences, &strong.audiences),
        compare_choices(peers, &strong.peers),
        compare_claims(claims, &strong.claims),
    ]
}

/// Lists of which the caller must meet one entry, and the empty one asks nothing.
fn compare_choices(weak: &[String], strong: &[String]) -> Comparison {
    match (weak, strong) {
        ([], []) => Comparison::Equal,
        ([], _) => Comparison::Weaker,
        (_, []) => Comparison::Other,
        (weak, strong) => match (is_subset(strong, weak), is_subset(weak, strong)) {
            (true, true) => Comparison::Equal,
            (true, false) => Comparison::Weaker,
            (false, _) => Comparison::Other,
        },
    }
}

type Claims = [(ClaimPath, Vec<String>)];

fn compare_claims(weak: &Claims, strong: &Claims) -> Comparison {
    match (follow(weak, strong), follow(strong, weak)) {
        (true, true) => Comparison::Equal,
        (true, false) => Comparison::Weaker,
        (false, _) => Comparison::Other,
    }
}

/// Whether whoever meets the second list meets the first one.
fn follow(asked: &Claims, met: &Claims) -> bool {
    asked.iter().all(|(claim, values)| {
        met.iter()
            .any(|(other, found)| other.as_str() == claim.as_str() && is_subset(found, values))
    })
}

fn is_subset(part: &[String], whole: &[String]) -> bool {
    part.iter().all(|entry| whole.contains(entry))
}

const MEMBERS: [&str; 6] = [
    "accept",
    "require.totp",
    "require.scopes",
    "require.audiences",
    "require.peers",
    "require.claims",
];
