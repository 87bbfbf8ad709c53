//! What happens to questions, as an operator sees it. It makes the names; it counts nothing. Why a request was refused
//! stands in that request's line.

use std::rc::Rc;

use super::question::{Failure, Good, Kind, Question};

/// An answer, or none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    kind: Kind,
    server: Rc<str>,
    outcome: &'static str,
}

impl Event {
    pub(super) fn of(question: &dyn Question, read: Result<&Good, &Failure>) -> Self {
        Self {
            kind: question.kind(),
            server: question.server(),
            outcome: match read {
                Ok(_) => "ok",
                Err(failure) => failure.kind.as_str(),
            },
        }
    }

    /// The name of the counter of answers.
    pub fn counter(&self) -> String {
        let Self {
            kind,
            server,
            outcome,
        } = self;
        match kind {
            Kind::Token => format!("peergate_token_requests_total.client.{server}.outcome.{outcome}"),
            Kind::Metadata => format!("peergate_metadata_requests_total.client.{server}.outcome.{outcome}"),
            Kind::Introspection => {
                format!("peergate_introspections_total.introspection.{server}.outcome.{outcome}")
            }
        }
    }
}

/// The name of the counter of waits for an answer.
pub fn wait_counter(question: &dyn Question, outcome: &'static str) -> String {
    let server = question.server();
    match question.kind() {
        Kind::Token | Kind::Metadata => {
            format!("peergate_token_waits_total.client.{server}.outcome.{outcome}")
        }
        Kind::Introspection => {
            format!("peergate_introspection_waits_total.introspection.{server}.outcome.{outcome}")
        }
    }
}
