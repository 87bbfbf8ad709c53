//! What comes back: the answer of an upstream that was given a secret, and the request as the proxy logs it.

use crate::answers::Answers;
use crate::decision::{Permit, record};
use crate::echo;
use crate::http::{Edits, Headers};
use crate::redact::{Clean, Redactor};
use crate::time::UnixTime;

impl Permit {
    /// Whether the answer is to be looked at.
    pub fn looks_at_answer(&self) -> bool {
        !self.given.is_empty() || self.expects_card()
    }

    /// Whether the request is to be looked at when it is logged.
    pub fn looks_at_log(&self) -> bool {
        self.query_rule.is_some()
    }

    /// Forgets the token that the call was given, if the upstream has refused it: the next call gets another.
    pub fn forget_refused(&self, answer: &Headers, answers: &Answers, now: UnixTime) {
        if let Some(receipt) = &self.token
            && answer.first(b":status") == Some(b"401")
        {
            answers.forget(&receipt.id, receipt.answer, now);
        }
    }

    /// What is taken out of the headers of the answer: what the call was given, where the upstream repeats it.
    pub fn decide_answer(&self, answer: &Headers) -> Edits {
        let mut edits = Edits::default();
        for name in echo::HEADERS.map(str::as_bytes) {
            let values: Vec<&[u8]> = answer.all(name).collect();
            let clean: Option<Vec<Vec<u8>>> = values
                .iter()
                .map(|value| self.given.taken_out_of(value))
                .collect();
            match clean {
                Some(clean) if clean == values => {}
                // All of these headers may be lists, but for those that stand once.
                Some(clean) => edits.set(name, clean.join(b", ".as_slice())),
                None => edits.remove(name),
            }
        }
        edits
    }

    /// Whether the path that the proxy's logs print holds what was put into the query: on a route that rewrites the path,
    /// the router has put the one with the credential there.
    pub fn exposure(&self, logged_path: Option<&[u8]>) -> Option<Exposure<'_>> {
        let rule = self.query_rule.as_deref()?;
        self.given.are_in(logged_path?).then_some(Exposure { rule })
    }
}

/// A credential of the query that the proxy's logs show.
#[derive(Debug, PartialEq, Eq)]
pub struct Exposure<'p> {
    /// The rule that has put it there.
    pub rule: &'p str,
}

impl Exposure<'_> {
    /// The name of the counter.
    pub fn counter(&self) -> String {
        format!("peergate_query_credential_exposed_total.rule.{}", self.rule)
    }

    /// The line for the log, once for each rule, with the id of the request that showed it.
    pub fn line(&self, request: Option<&[u8]>, redactor: &Redactor) -> Clean {
        redactor.clean(format!(
            "peergate: query_credential_exposed rule={}{}: the route rewrites the path, and access logs and traces of it \
             show the credential; put the filter into the cluster (`role: upstream`) instead",
            self.rule,
            record::request_id(request)
        ))
    }
}
