//! What is counted and logged of a decision. It makes the texts; it writes none.

use std::fmt::Write as _;

use crate::decision::{Deny, published};
use crate::http::Request;
use crate::jwt;
use crate::keys::Wish;
use crate::policy::published::Kind;
use crate::policy::{Enforcement, KeyPlan, NO_RULE};
use crate::redact::{Clean, Redactor};
use crate::role::Direction;

/// How one machine ended.
#[derive(Debug, PartialEq)]
pub struct Record<'p> {
    /// Which machine.
    pub direction: Direction,
    /// The rule that decided.
    pub rule: Option<&'p str>,
    /// The end.
    pub outcome: Outcome,
    /// Whether it counted.
    pub enforcement: Enforcement,
}

/// The end of a machine.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// The request goes on because a rule lets it.
    Allowed,
    /// The call goes on as it is because no outbound rule matches it.
    NoMatch,
    /// The request goes on because another policy has decided before this one (`fallback`).
    StoodAside,
    /// The request goes on because the policy has nothing to say here.
    NoPolicy,
    /// The request is answered with a document of the filter's own.
    Published(Kind),
    /// The request is refused.
    Denied(Deny),
}

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Not logged: an access log shows every request, and this line would be a host call for each.
    Silent,
    /// A refusal.
    Info,
    /// Said once: the filter stands where it does nothing.
    WarnOnce,
    /// Something is broken.
    Error,
}

impl Outcome {
    /// A stable name for metrics, filter state and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Allowed => "ok",
            Self::NoMatch => "no_match",
            Self::StoodAside => "stood_aside",
            Self::NoPolicy => "no_policy",
            Self::Published(kind) => published::reason(*kind),
            Self::Denied(deny) => deny.reason(),
        }
    }
}

impl<'p> Record<'p> {
    /// Of a machine that decides.
    pub const fn new(direction: Direction, rule: Option<&'p str>, outcome: Outcome) -> Self {
        Self {
            direction,
            rule,
            outcome,
            enforcement: Enforcement::Enforce,
        }
    }

    /// A refusal.
    pub const fn denied(direction: Direction, rule: Option<&'p str>, deny: Deny) -> Self {
        Self::new(direction, rule, Outcome::Denied(deny))
    }

    /// The keys that would have helped.
    pub fn wish(&self, keys: &KeyPlan) -> Option<Wish> {
        match &self.outcome {
            Outcome::Denied(Deny::Token(error)) => wish(error, keys),
            Outcome::Allowed
            | Outcome::NoMatch
            | Outcome::StoodAside
            | Outcome::NoPolicy
            | Outcome::Published(_)
            | Outcome::Denied(_) => None,
        }
    }

    const fn label(&self) -> &'static str {
        match (self.enforcement, &self.outcome) {
            (Enforcement::Enforce, Outcome::Denied(_)) => "deny",
            (Enforcement::Enforce, _) => "allow",
            (Enforcement::Shadow, Outcome::Denied(_)) => "shadow_deny",
            (Enforcement::Shadow, _) => "shadow_allow",
        }
    }

    /// The name of the counter. Envoy's tag extraction turns it into `peergate_requests_total` with labels; `none`
    /// stands for a decision without a rule.
    pub fn counter(&self) -> String {
        format!(
            "peergate_requests_total.direction.{}.outcome.{}.reason.{}.rule.{}",
            self.direction,
            self.label(),
            self.outcome.reason(),
            self.rule.unwrap_or(NO_RULE)
        )
    }

    /// How loud the line is.
    pub const fn severity(&self) -> Severity {
        match self.outcome {
            Outcome::Allowed | Outcome::NoMatch | Outcome::StoodAside | Outcome::Published(_) => {
                Severity::Silent
            }
            Outcome::NoPolicy => Severity::WarnOnce,
            Outcome::Denied(Deny::Internal(_)) => Severity::Error,
            Outcome::Denied(_) => Severity::Info,
        }
    }

    /// The line for the log, which says how many were left out before it.
    pub fn line(&self, request: &Request, redactor: &Redactor, left_out: u64) -> Clean {
        let mut line = format!(
            "peergate: {} {} reason={} rule={}",
            self.label(),
            self.direction,
            self.outcome.reason(),
            self.rule.unwrap_or(NO_RULE),
        );
        line.push_str(&request_id(request.headers.first(b"x-request-id")));
        match &self.outcome {
            Outcome::Allowed | Outcome::NoMatch | Outcome::StoodAside | Outcome::Published(_) => {}
            Outcome::NoPolicy => {
                let _ = write!(
                    line,
                    ": the policy has no `{}` section; requests pass unchanged",
                    self.direction
                );
            }
            Outcome::Denied(deny) => {
                let _ = write!(line, ": {deny}");
            }
        }
        if left_out > 0 {
            let _ = write!(line, " ({left_out} lines left out before this one)");
        }
        redactor.clean(line)
    }
}

/// What joins a line with the access log and the trace of its request; nothing where the request has no id.
///
/// A caller may have written it: whoever reads fields by `=` and spaces shall find none of theirs.
pub fn request_id(id: Option<&[u8]>) -> String {
    let Some(id) = id else {
        return String::new();
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut text = String::from(" request_id=");
    for byte in id.iter().take(MAX_REQUEST_ID_BYTES) {
        text.push(if is_plain(*byte) { char::from(*byte) } else { '?' });
    }
    if id.len() > MAX_REQUEST_ID_BYTES {
        text.push_str("...");
    }
    text
}

/// The keys that would help a token.
pub(super) fn wish(error: &jwt::Error, keys: &KeyPlan) -> Option<Wish> {
    let (provider, wish) = match *error {
        jwt::Error::KeysMissing { provider } => (provider, Wish::AnyKeys { provider }),
        jwt::Error::KeyUnknown { provider, .. } => (provider, Wish::NewerKeys { provider }),
        _ => return None,
    };
    keys.are_fetched(provider).then_some(wish)
}

/// Envoy's request ids are UUIDs of 36 bytes; one from outside may be longer.
const MAX_REQUEST_ID_BYTES: usize = 64;
