//! What outbound rules have put on a call, as it is remembered on the stream: names, never values.
//!
//! A proxy may run the filter again on the headers that it has changed: after a redirect that the proxy follows itself,
//! or, within a cluster, with each retry. In the first case everything that was put on comes off before anything is
//! asked, whoever asks: the mesh's own credential would else be taken for the caller's, or go elsewhere.

use std::rc::Rc;

use crate::cookie;
use crate::decision::{ORIGINAL_PATH, ORIGINAL_URL, state};
use crate::echo::Given;
use crate::http::{Edits, Request};
use crate::policy::Policy;
use crate::query;
use crate::role::Role;
use crate::secret::Secret;

/// What was put on, and by which rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Injected {
    hands: Vec<Hand>,
    pub(super) headers: Vec<String>,
    pub(super) parameters: Vec<String>,
    pub(super) cookies: Vec<String>,
}

/// Who has put something on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hand {
    /// The identity of the policy.
    pub(super) policy: String,
    /// The name of the rule.
    pub(super) rule: String,
    /// The cluster that the filter stands in, where it stands in one.
    pub(super) cluster: Option<String>,
}

impl Injected {
    /// Nothing yet, by a rule.
    pub(super) fn by(hand: Hand) -> Self {
        Self {
            hands: vec![hand],
            ..Self::default()
        }
    }

    /// What stands on the stream.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let text = std::str::from_utf8(request.injected.as_deref()?).ok()?;
        let mut injected = Self::default();
        for line in text.lines() {
            let (kind, name) = line.split_once(' ')?;
            match kind {
                RULE => {
                    let mut words = name.splitn(3, ' ');
                    injected.hands.push(Hand {
                        policy: words.next()?.to_owned(),
                        rule: words.next()?.to_owned(),
                        cluster: words.next().map(str::to_owned),
                    });
                }
                HEADER => injected.headers.push(name.to_owned()),
                PARAMETER => injected.parameters.push(name.to_owned()),
                _ => injected.cookies.push(name.to_owned()),
            }
        }
        (!injected.hands.is_empty()).then_some(injected)
    }

    /// Whether this is a second run on what the first one has left, and neither a retry within a cluster nor another
    /// filter of the same run.
    pub(super) fn is_of_a_run_before(&self, policy: &Policy, role: Role, request: &Request) -> bool {
        // Envoy names the URL before a redirect that it has followed.
        request.headers.first(ORIGINAL_URL).is_some()
            || match role {
                // Callers are asked first; nothing was put on before.
                Role::Inbound | Role::Gateway => true,
                // At a listener a policy puts on once for a run, and clusters come later.
                Role::Outbound => {
                    let mut hands = self.hands.iter();
                    hands.any(|hand| hand.policy == policy.identity || hand.cluster.is_some())
                }
                // A run goes to one cluster.
                Role::Upstream => {
                    let here = cluster(request);
                    let mut clusters = self.hands.iter().filter_map(|hand| hand.cluster.as_ref());
                    clusters.any(|other| *other != here)
                }
            }
    }

    /// Whether this rule has put something on.
    pub(super) fn is_by(&self, policy: &str, rule: &str) -> bool {
        self.hands
            .iter()
            .any(|hand| hand.policy == policy && hand.rule == rule)
    }

    /// This, and what was put on before it.
    pub(super) fn and(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            join(&mut self.hands, &before.hands);
            join(&mut self.headers, &before.headers);
            join(&mut self.parameters, &before.parameters);
            join(&mut self.cookies, &before.cookies);
        }
        self
    }

    /// Puts it on the stream.
    pub(super) fn remember(&self, edits: &mut Edits) {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.hands.iter().map(Hand::line));
        let named = [
            (HEADER, &self.headers),
            (PARAMETER, &self.parameters),
            (COOKIE, &self.cookies),
        ];
        for (kind, names) in named {
            lines.extend(names.iter().map(|name| format!("{kind} {name}")));
        }
        edits.set_state(state::INJECTED, lines.join("\n").into_bytes());
    }

    /// The policy's, and what else was put into `Authorization`, where it still stands: a token that was got for the call.
    fn secrets(&self, request: &Request, of_policy: &Given) -> Given {
        let mut secrets = of_policy.clone();
        if self.headers.iter().any(|header| header == TOKEN_HEADER) {
            for value in request.headers.all(TOKEN_HEADER.as_bytes()) {
                // Behind the scheme, where there is one.
                let token = value.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
                secrets.add(Rc::new(Secret::new(token.to_vec())));
            }
        }
        secrets
    }

    /// Takes it off, and out of the path where the upstream's redirect has repeated it there; `Err` with what else comes
    /// off if it cannot be taken out.
    pub(super) fn removal(&self, request: &Request, secrets: &Given) -> Result<Edits, Edits> {
        let mut edits = Edits::default();
        edits.set_state(state::INJECTED, Vec::new());
        edits.remove(ORIGINAL_URL);
        // The path of the first request is none of the second's.
        edits.remove(ORIGINAL_PATH);
        for header in &self.headers {
            edits.remove(header.as_bytes());
        }
        if let Some(cookies) = cookies(request).filter(|_| !self.cookies.is_empty()) {
            let is_ours = |name: &[u8]| self.cookies.iter().any(|own| own.as_bytes() == name);
            match cookie::without(&cookies, is_ours) {
                Some(kept) => edits.set(b"cookie", kept),
                None => edits.remove(b"cookie"),
            }
        }
        let Some(path) = request.path() else {
            return Ok(edits);
        };
        let is_ours = |name: &str| self.parameters.iter().any(|own| own == name);
        match self
            .secrets(request, secrets)
            .taken_out_of(&query::without(path, is_ours))
        {
            Some(clean) => {
                if clean != path {
                    edits.set(b":path", clean);
                }
                Ok(edits)
            }
            None => Err(edits),
        }
    }
}

impl Hand {
    fn line(&self) -> String {
        let Self {
            policy,
            rule,
            cluster,
        } = self;
        match cluster {
            Some(cluster) => format!("{RULE} {policy} {rule} {cluster}"),
            None => format!("{RULE} {policy} {rule}"),
        }
    }
}

/// The cluster that a call goes to, as it is remembered.
pub(super) fn cluster(request: &Request) -> String {
    String::from_utf8_lossy(request.cluster.as_deref().unwrap_or_default()).into_owned()
}

/// All cookies of a request as one header.
pub(super) fn cookies(request: &Request) -> Option<Vec<u8>> {
    let headers: Vec<&[u8]> = request.headers.all(b"cookie").collect();
    (!headers.is_empty()).then(|| headers.join(b"; ".as_slice()))
}

fn join<T: Clone + PartialEq>(all: &mut Vec<T>, further: &[T]) {
    for each in further {
        if !all.contains(each) {
            all.push(each.clone());
        }
    }
}

/// Where tokens that were got for a call stand.
const TOKEN_HEADER: &str = "authorization";
const RULE: &str = "rule";
const HEADER: &str = "header";
const PARAMETER: &str = "parameter";
const COOKIE: &str = "cookie";
