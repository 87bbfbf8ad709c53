//! Which of two inbound rules asks for less.

use std::cmp::Ordering;
use std::fmt;

use crate::claims::ClaimPath;
use crate::policy::rule::{Accept, AcceptedTokens, Action, Require, TotpRequirement};

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
    let introspections: Vec<&String> = weak.introspections.iter().chain(&strong.introspections).collect();
    let weak = kinds(weak, providers, &introspections);
    let strong = kinds(strong, providers, &introspections);
    let pairs = || weak.iter().zip(&strong);
    match (pairs().all(|(weak, strong)| weak >= strong), weak == strong) {
        (_, true) => Comparison::Equal,
        (true, false) => Comparison::Weaker,
        (false, false) => Comparison::Other,
    }
}

/// Whether each kind of credential is accepted, in an order of its own.
fn kinds(accept: &Accept, providers: &[&str], all_introspections: &[&String]) -> Vec<bool> {
    // By all of its fields, so that a new one cannot be forgotten here.
    let Accept {
        jwt,
        introspections,
        api_key,
        bearer_token,
        mtls,
        none,
    } = accept;
    let is_any = *jwt == AcceptedTokens::Any;
    let tokens = providers.iter().map(|provider| jwt.accepts(provider));
    [
        *api_key,
        *bearer_token,
        *mtls,
        *none,
        is_any && providers.is_empty(),
    ]
    .into_iter()
    .chain(tokens)
    .chain(
        all_introspections
            .iter()
            .map(|name| introspections.contains(name)),
    )
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
    // A narrower window is no other factor; how often a code counts is a part of it.
    let strictness = |totp: Option<TotpRequirement>| totp.map(|totp| totp.replay);
    let totp = match strictness(*totp).cmp(&strictness(strong.totp)) {
        Ordering::Less => Comparison::Weaker,
        Ordering::Greater => Comparison::Other,
        Ordering::Equal => Comparison::Equal,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totp::{CodeParameters, Replay};

    fn accept(kinds: &[&str]) -> Accept {
        let has = |kind: &str| kinds.contains(&kind);
        let of: Vec<String> = kinds
            .iter()
            .filter_map(|kind| kind.strip_prefix("jwt:"))
            .map(str::to_owned)
            .collect();
        Accept {
            introspections: Vec::new(),
            jwt: match (has("jwt"), of.is_empty()) {
                (true, _) => AcceptedTokens::Any,
                (false, false) => AcceptedTokens::Of(of),
                (false, true) => AcceptedTokens::None,
            },
            api_key: has("api_key"),
            bearer_token: has("bearer_token"),
            mtls: has("mtls"),
            none: has("none"),
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn claim(values: &[&str]) -> (ClaimPath, Vec<String>) {
        (ClaimPath::parse("role").unwrap(), texts(values))
    }

    fn jwt(require: Require) -> Action {
        Action::Authenticate(accept(&["jwt"]), require)
    }

    fn compare(weak: &Action, strong: &Action) -> Option<Weakness> {
        weakness(weak, strong, &["a", "b"])
    }

    #[test]
    fn who_is_let_in() {
        let authenticate = |kinds: &[&str]| Action::Authenticate(accept(kinds), Require::default());
        let less = || Some(Weakness::Less(vec!["accept"]));
        for (weak, strong, expected) in [
            (Action::Public, Action::Deny, Some(Weakness::AdmitsStrangers)),
            (
                Action::Public,
                authenticate(&["jwt"]),
                Some(Weakness::AdmitsStrangers),
            ),
            (
                authenticate(&["api_key", "none"]),
                authenticate(&["jwt"]),
                Some(Weakness::AdmitsStrangers),
            ),
            (authenticate(&["jwt"]), Action::Deny, Some(Weakness::Admits)),
            (authenticate(&["jwt", "api_key"]), authenticate(&["jwt"]), less()),
            (authenticate(&["jwt"]), authenticate(&["jwt:a"]), less()),
            (
                authenticate(&["jwt:a", "jwt:b"]),
                authenticate(&["jwt:b"]),
                less(),
            ),
            (
                authenticate(&["jwt:a", "bearer_token"]),
                authenticate(&["bearer_token"]),
                less(),
            ),
        ] {
            assert_eq!(compare(&weak, &strong), expected, "{weak:?} {strong:?}");
            assert_eq!(compare(&strong, &weak), None, "{strong:?} {weak:?}");
        }
        for (one, other) in [
            (Action::Deny, Action::Deny),
            (Action::Public, Action::Public),
            (Action::Public, authenticate(&["jwt", "none"])),
            (authenticate(&["jwt"]), authenticate(&["jwt:a", "jwt:b"])),
            (authenticate(&["jwt"]), authenticate(&["api_key"])),
            (authenticate(&["jwt:a"]), authenticate(&["jwt:b"])),
        ] {
            assert_eq!(compare(&one, &other), None, "{one:?} {other:?}");
            assert_eq!(compare(&other, &one), None, "{other:?} {one:?}");
        }
    }

    #[test]
    fn what_is_asked_besides() {
        let code = |window| TotpRequirement {
            code: CodeParameters::DEFAULT.with_window_steps(window).unwrap(),
            replay: Replay::Allow,
        };
        let totp = |window| Require {
            totp: Some(code(window)),
            ..Require::default()
        };
        let scopes = |names: &[&str]| Require {
            scopes: texts(names),
            ..Require::default()
        };
        let audiences = |names: &[&str]| Require {
            audiences: texts(names),
            ..Require::default()
        };
        let peers = |names: &[&str]| Require {
            peers: texts(names),
            ..Require::default()
        };
        let claims = |values: &[&[&str]]| Require {
            claims: values.iter().map(|values| claim(values)).collect(),
            ..Require::default()
        };
        let nothing = Require::default;
        for (weak, strong, member) in [
            (nothing(), totp(1), "require.totp"),
            (nothing(), scopes(&["x"]), "require.scopes"),
            (scopes(&["x"]), scopes(&["y", "x"]), "require.scopes"),
            (nothing(), audiences(&["x"]), "require.audiences"),
            (audiences(&["x", "y"]), audiences(&["x"]), "require.audiences"),
            (nothing(), peers(&["x"]), "require.peers"),
            (peers(&["x", "y"]), peers(&["y"]), "require.peers"),
            (nothing(), claims(&[&["x"]]), "require.claims"),
            (claims(&[&["x", "y"]]), claims(&[&["x"]]), "require.claims"),
            (claims(&[&["x"]]), claims(&[&["x"], &["z"]]), "require.claims"),
        ] {
            let (weak, strong) = (jwt(weak), jwt(strong));
            assert_eq!(
                compare(&weak, &strong),
                Some(Weakness::Less(vec![member])),
                "{weak:?} {strong:?}"
            );
            assert_eq!(compare(&strong, &weak), None, "{strong:?} {weak:?}");
        }
        for (one, other) in [
            (totp(0), totp(1)),
            (scopes(&["x"]), scopes(&["y"])),
            (scopes(&["x"]), totp(1)),
            (peers(&["x"]), peers(&["y"])),
            (audiences(&["x", "y"]), audiences(&["y", "z"])),
            (claims(&[&["x"]]), claims(&[&["y"]])),
        ] {
            let (one, other) = (jwt(one), jwt(other));
            assert_eq!(compare(&one, &other), None, "{one:?} {other:?}");
            assert_eq!(compare(&other, &one), None, "{other:?} {one:?}");
        }
    }
}
