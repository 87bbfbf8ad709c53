//! Why a request is decided as it is, told to a person: for `peergate explain`.
//!
//! The decision is [`decision::decide`]'s, carried through as a proxy would, with nobody to ask. The steps before it are
//! [`Findings`]: the same functions, asked one by one. Where both do not say the same, [`Explanation::disagreement`] says
//! so, and the decision counts.
//!
//! It fetches nothing, asks no server, and knows what was remembered only where it is handed a state. It reads no file and
//! no clock.

pub mod report;
pub mod request;
mod shown;
mod text;
mod waiting;

use std::rc::Rc;

use crate::answers::{Answers, Question};
use crate::callout::{Answer, Body};
use crate::decision::findings::Findings;
use crate::decision::{self, Deny, Means, Outcome, Permit, Record, Step, Wish};
use crate::findings::{Finding, Kind, Verdict};
use crate::http::{Edits, Headers, Reply, Request};
use crate::policy::Enforcement;
use crate::role::{Direction, Role};
use crate::time::UnixTime;

pub use self::report::{Report, Setting};
pub use self::waiting::Waiting;

/// Why a request is decided as it is.
#[derive(Debug)]
pub struct Explanation<'p> {
    /// What was looked at.
    pub findings: Findings,
    /// What the request would wait for; what is told of it besides is what happens without.
    pub waiting: Option<Waiting>,
    /// The question that it is, where it is one that an answer can be given to with [`answer`].
    pub question: Option<Rc<dyn Question>>,
    /// One for each machine that came to an end, and for each rule in shadow.
    pub records: Vec<Record<'p>>,
    /// What is changed of the request, in this order.
    pub edits: Vec<Edits>,
    /// What becomes of it.
    pub end: End,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum End {
    /// It goes on.
    Forwarded(Permit),
    /// The filter answers it.
    Answered(Reply),
}

/// Decides a request, and says why. `cluster_after` is the cluster of the route once the edits are applied.
pub fn explain<'p>(
    means: Means<'p>,
    role: Role,
    request: &Request,
    cluster_after: Option<&[u8]>,
    now: UnixTime,
) -> Explanation<'p> {
    // First, for a decision uses codes up.
    let mut findings = Findings::of(means, role, request, now);
    let (mut waiting, mut question) = (None, None);
    let (mut records, mut edits) = (Vec::new(), Vec::new());
    let mut next = decision::decide(means, role, request, now);
    loop {
        records.append(&mut next.records);
        match next.step {
            Step::Forward(permit, of_step) => {
                edits.push(of_step);
                return Explanation {
                    findings,
                    waiting,
                    question,
                    records,
                    edits,
                    end: End::Forwarded(permit),
                };
            }
            Step::Reply(reply) => {
                edits.push(reply.edits.clone());
                return Explanation {
                    findings,
                    waiting,
                    question,
                    records,
                    edits,
                    end: End::Answered(reply),
                };
            }
            Step::Wait(pending) => {
                waiting = Some(Waiting::of(pending.wish(), means.policy, now));
                question = match pending.wish() {
                    Wish::Answer(question) => Some(Rc::clone(question)),
                    Wish::Keys(_) => None,
                };
                next = pending.refuse();
            }
            Step::Recheck(of_step, recheck) => {
                edits.push(of_step);
                next = recheck.resume(request, cluster_after);
                let deny = next.records.last().and_then(|record| match &record.outcome {
                    Outcome::Denied(deny @ Deny::OutboundClusterChanged) => Some(deny),
                    _ => None,
                });
                findings.add_recheck(deny, cluster_after);
            }
        }
    }
}

/// Has a question answered with a JSON document, as a server would: for the next explanation.
pub fn answer(answers: &Answers, question: &Rc<dyn Question>, document: Vec<u8>, now: UnixTime) {
    let headers = [
        (b":status".to_vec(), b"200".to_vec()),
        (b"content-type".to_vec(), b"application/json".to_vec()),
    ];
    let answer = Answer::Received {
        headers: Headers::new(headers),
        body: Body::Whole(document),
    };
    answers.want(question, now.after_milliseconds(ANSWERED_WITHIN));
    answers.answered(question.id(), answer, now);
}

impl Explanation<'_> {
    /// What the findings say otherwise than the decision: nothing, or there is a fault in one of them.
    pub fn disagreement(&self) -> Option<String> {
        [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .find_map(|direction| self.disagreement_in(direction))
    }

    fn disagreement_in(&self, direction: Direction) -> Option<String> {
        let Findings {
            request,
            inbound,
            outbound,
            ..
        } = &self.findings;
        let told: Vec<&Finding> = match direction {
            Direction::Inbound => request.iter().chain(inbound).collect(),
            Direction::Outbound => outbound.iter().collect(),
        };
        let mut records: Vec<&Record<'_>> = self
            .records
            .iter()
            .filter(|record| record.direction == direction)
            .collect();
        let last = records.pop()?;
        let shadows = told.iter().filter(|finding| finding.kind == Kind::ShadowRule);
        let shadows = shadows.filter(|finding| finding.result == Verdict::Good);
        let shadows: Vec<_> = shadows
            .map(|rule| said(Some(&rule.name), rule.reasons().first().copied()))
            .collect();
        let recorded: Vec<_> = records
            .iter()
            .map(|record| said(record.rule, reason(record)))
            .collect();
        if shadows != recorded {
            return Some(format!("in shadow: {shadows:?}, decided: {recorded:?}"));
        }
        let deciding = told.iter().rev().find(|finding| {
            let is_rule = finding.kind == Kind::Rule;
            is_rule && finding.result == Verdict::Good
        });
        let mut reasons = told.iter().filter(|finding| finding.kind != Kind::ShadowRule);
        let reason_told = reasons.find_map(|finding| finding.reasons().first().copied());
        let told = said(deciding.map(|rule| rule.name.as_str()), reason_told);
        let decided = said(last.rule, reason(last));
        (told != decided).then(|| format!("told: {told:?}, decided: {decided:?}"))
    }

    /// Whether the request is refused, by what counts.
    pub fn is_refused(&self) -> bool {
        self.records.iter().any(|record| {
            record.enforcement == Enforcement::Enforce && matches!(record.outcome, Outcome::Denied(_))
        })
    }
}

/// A rule, and the reason of its refusal.
fn said(rule: Option<&str>, reason: Option<&'static str>) -> (Option<String>, Option<&'static str>) {
    (rule.map(str::to_owned), reason)
}

fn reason(record: &Record<'_>) -> Option<&'static str> {
    match &record.outcome {
        Outcome::Denied(deny) => Some(deny.reason()),
        Outcome::Allowed
        | Outcome::NoMatch
        | Outcome::StoodAside
        | Outcome::NoPolicy
        | Outcome::Published(_) => None,
    }
}

/// It is answered at once.
const ANSWERED_WITHIN: u64 = 1_000;
