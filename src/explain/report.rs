//! What is told of an explanation: texts, in which no secret stands, in one order.
//!
//! The JSON of it is stable: members may be added, and none goes or changes its meaning without a note in the change log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use crate::decision::record::Severity;
use crate::decision::{Outcome, Record};
use crate::findings::Finding;
use crate::http::Request;
use crate::policy::{Enforcement, Policy};
use crate::redact::Redactor;
use crate::role::Role;
use crate::time::UnixTime;

use super::shown::Shown;
use super::text;
use super::{End, Explanation, Waiting};

/// What an explanation was made of.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Knows its secrets.
    pub redactor: &'a Redactor,
    /// The request.
    pub request: &'a Request,
    /// The role.
    pub role: Role,
    /// Why it is this one.
    pub role_because: &'a str,
    /// The time of the decision.
    pub now: UnixTime,
    /// What the program cannot know.
    pub notes: &'a [String],
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of this form: 1.
    pub version: u8,
    /// What becomes of the request.
    pub decision: Decision,
    /// The reason, as in filter state: of a gateway's two the refusal, else the inbound one.
    pub reason: &'static str,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The time, as RFC 3339 writes it.
    pub time: String,
    /// The same in seconds since 1970.
    pub unix_seconds: u64,
    /// `inbound`, `outbound`, `gateway`, `upstream`.
    pub role: &'static str,
    /// Why it is this one.
    pub role_because: String,
    /// What was looked at of the request itself.
    pub request: Vec<Finding>,
    /// Its credentials, where a rule asks for some.
    pub credentials: Vec<Finding>,
    /// The inbound rules, up to the one that decides.
    pub inbound: Vec<Finding>,
    /// The outbound rules, up to the one that decides.
    pub outbound: Vec<Finding>,
    /// What would be asked first. All below it is then what happens without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waiting>,
    /// Each decision that is counted, those of shadow too.
    pub decisions: Vec<Counted>,
    /// The answer of the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// What is changed of the request on its way to the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// What access logs and RBAC see, by the name under `wasm.`.
    pub filter_state: BTreeMap<String, String>,
    /// What the program cannot know.
    pub notes: Vec<String>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It goes on.
    Forward,
    /// It is refused.
    Refuse,
    /// The filter answers it with a document of its own.
    Publish,
    /// It waits for an answer that the program cannot give.
    Wait,
}

/// A decision that is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The name of the counter in Envoy.
    pub metric: String,
    /// `inbound` or `outbound`: which half of the policy it is of.
    pub direction: String,
    /// Whether it decides nothing.
    pub is_shadow: bool,
    /// Its reason.
    pub reason: &'static str,
    /// Its rule.
    pub rule: Option<String>,
    /// The line in Envoy's log, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// An answer of the filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// For a gRPC caller, who gets HTTP 200 with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u8>,
    /// Its headers.
    #[serde(serialize_with = "as_members")]
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

/// What is changed on the way to the upstream. A credential is shown by its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upstream {
    /// Headers that are set, in place of those that came.
    #[serde(serialize_with = "as_members")]
    pub set: Vec<(String, String)>,
    /// Headers that came and are removed.
    pub removed: Vec<String>,
}

impl Report {
    /// What there is to tell.
    pub fn new(explanation: &Explanation<'_>, setting: Setting<'_>) -> Self {
        let shown = Shown::new(setting.policy, setting.redactor);
        let Explanation {
            findings,
            waiting,
            records,
            ..
        } = explanation;
        let clean = |all: &[Finding]| all.iter().map(|finding| cleaned(finding, &shown)).collect();
        let decisive = decisive(records);
        let decision = match (&explanation.end, waiting) {
            (_, Some(_)) if setting.policy.enforcement == Enforcement::Enforce => Decision::Wait,
            (End::Forwarded(_), _) => Decision::Forward,
            (End::Answered(_), _) if explanation.is_refused() => Decision::Refuse,
            (End::Answered(_), _) => Decision::Publish,
        };
        let (answer, upstream) = match &explanation.end {
            End::Answered(reply) => {
                let header = |(name, value): &(&str, crate::redact::Clean)| {
                    ((*name).to_owned(), shown.clean(value.as_str()))
                };
                let answer = Answer {
                    status: if reply.grpc_status.is_some() {
                        200
                    } else {
                        reply.status
                    },
                    grpc_status: reply.grpc_status,
                    headers: reply.headers.iter().map(header).collect(),
                    body: shown.clean(reply.body.as_str()),
                };
                (Some(answer), None)
            }
            End::Forwarded(_) => (None, Some(upstream(explanation, setting, &shown))),
        };
        Self {
            version: 1,
            decision,
            reason: decisive.map_or("ok", |record| record.outcome.reason()),
            rule: decisive.and_then(|record| record.rule).map(str::to_owned),
            time: setting.now.to_string(),
            unix_seconds: setting.now.seconds(),
            role: setting.role.as_str(),
            role_because: setting.role_because.to_owned(),
            request: clean(&findings.request),
            credentials: clean(&findings.credentials),
            inbound: clean(&findings.inbound),
            outbound: clean(&findings.outbound),
            waits: waiting.clone(),
            decisions: records
                .iter()
                .map(|record| counted(record, setting, &shown))
                .collect(),
            answer,
            upstream,
            filter_state: state(explanation, &shown),
            notes: setting.notes.to_vec(),
        }
    }

    /// As one JSON object, on several lines.
    pub fn json(&self) -> String {
        // What it is made of are texts and numbers.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// As a person reads it.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, formatter)
    }
}

/// Names with their values, in their order: each name stands once.
fn as_members<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// The record that filter state tells of; of a policy in shadow that one.
fn decisive<'r, 'p>(records: &'r [Record<'p>]) -> Option<&'r Record<'p>> {
    let enforced = || {
        records
            .iter()
            .filter(|record| record.enforcement == Enforcement::Enforce)
    };
    let is_refusal = |record: &&Record<'p>| matches!(record.outcome, Outcome::Denied(_));
    enforced()
        .find(is_refusal)
        .or(enforced().next())
        .or(records.last())
}

fn cleaned(finding: &Finding, shown: &Shown<'_>) -> Finding {
    Finding {
        name: shown.clean(&finding.name),
        text: shown.clean(&finding.text),
        findings: finding
            .findings
            .iter()
            .map(|below| cleaned(below, shown))
            .collect(),
        ..finding.clone()
    }
}

fn counted(record: &Record<'_>, setting: Setting<'_>, shown: &Shown<'_>) -> Counted {
    let is_logged = match record.severity() {
        Severity::Silent => false,
        Severity::Info | Severity::WarnOnce | Severity::Error => true,
    };
    let line = is_logged.then(|| record.line(setting.request, setting.redactor, 0));
    Counted {
        metric: record.counter(),
        direction: record.direction.to_string(),
        is_shadow: record.enforcement == Enforcement::Shadow,
        reason: record.outcome.reason(),
        rule: record.rule.map(str::to_owned),
        log: line.map(|line| shown.clean(line.as_str())),
    }
}

/// Of each name what was set last; of what is removed, what was there.
fn upstream(explanation: &Explanation<'_>, setting: Setting<'_>, shown: &Shown<'_>) -> Upstream {
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let mut removed: BTreeSet<String> = BTreeSet::new();
    for edits in &explanation.edits {
        for name in edits.removals() {
            let name = name.to_ascii_lowercase();
            let is_there = setting.request.headers.first(&name).is_some();
            let name = String::from_utf8_lossy(&name).into_owned();
            set.remove(&name);
            if is_there {
                removed.insert(name);
            }
        }
        for (name, value) in edits.settings() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let value = shown.value(&name, value);
            removed.remove(&name);
            set.insert(name, value);
        }
    }
    Upstream {
        set: set.into_iter().collect(),
        removed: removed.into_iter().collect(),
    }
}

fn state(explanation: &Explanation<'_>, shown: &Shown<'_>) -> BTreeMap<String, String> {
    let all = explanation.edits.iter().flat_map(|edits| edits.state());
    let text = |value: &[u8]| shown.clean(&String::from_utf8_lossy(value));
    all.map(|(name, value)| (name.to_owned(), text(value))).collect()
}
