//! One stream: read once, decided once, applied once.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

use crate::decision::{self, Decision, Means, Permit, Step};
use crate::filter::attachment::Attachment;
use crate::filter::host::{self, HostError, Map};
use crate::http::{Edits, Reply, Request};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::role::Role;
use crate::spiffe;

/// See the module.
pub(super) struct Stream {
    attachment: Rc<Attachment>,
    state: State,
}

/// How far a stream is.
enum State {
    /// Not decided; nothing may pass.
    Undecided,
    /// It goes on; the permit is the proof that it may.
    Forwarded(Permit),
    /// It was answered; nothing of it may pass.
    Answered,
}

impl Stream {
    pub(super) fn new(attachment: Rc<Attachment>) -> Self {
        Self {
            attachment,
            state: State::Undecided,
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let attachment = Rc::clone(&self.attachment);
        self.state = handle(&attachment);
        self.action()
    }

    /// A body must not pass what its headers did not.
    fn on_http_request_body(&mut self, _size: usize, _end_of_stream: bool) -> Action {
        self.action()
    }

    /// An answer that cannot be cleaned is not shown.
    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        if let State::Forwarded(permit) = &self.state
            && permit.looks_at_answer()
            && let Err(error) = clean_answer(permit)
        {
            log_failure(error);
            if let Step::Reply(reply) = decision::host_failed(None, &Request::default()).step {
                let _ = host::send_local_response(&reply);
            }
            self.state = State::Answered;
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let State::Forwarded(permit) = &self.state
            && permit.looks_at_log()
        {
            let path = host::property(ORIGINAL_PATH);
            if let Some(exposure) = permit.exposure(path.as_deref()) {
                self.attachment.note_exposure(&exposure);
            }
        }
    }

    /// Trailers that cannot be cleaned stop the request.
    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        if let State::Forwarded(permit) = &self.state
            && let Err(error) = clean_trailers(&self.attachment, permit)
        {
            log_failure(error);
            self.state = State::Undecided;
        }
        self.action()
    }
}

impl Stream {
    const fn action(&self) -> Action {
        match self.state {
            State::Forwarded(_) => Action::Continue,
            State::Undecided | State::Answered => Action::Pause,
        }
    }
}

/// The way of a request.
fn handle(attachment: &Attachment) -> State {
    let mut request = Request::default();
    let ended = decide_and_apply(attachment, &mut request);
    match ended {
        Ok(state) => state,
        // The host failed in the midst of it: whatever was applied, the request does not go on.
        Err(error) => {
            log_failure(error);
            let decision = decision::host_failed(attachment.policy.as_ref(), &request);
            attachment.note(&decision.records, &request);
            match decision.step {
                Step::Reply(reply) => answer(&reply).map_or(State::Undecided, |()| State::Answered),
                Step::Forward(..) | Step::Recheck(..) => State::Undecided,
            }
        }
    }
}

fn decide_and_apply(attachment: &Attachment, request: &mut Request) -> Result<State, HostError> {
    request.headers = host::read(Map::Headers)?;
    let Some(policy) = &attachment.policy else {
        return finish(attachment, request, decision::without_policy(request));
    };
    let role = role(attachment, policy);
    request.mark = host::property(MARK);
    if policy.asks_for_principal(role) {
        request.principal = spiffe::principal(&attachment.node_id, host::property);
    }
    request.injected = host::property(INJECTED);
    if role.looks_outbound() {
        request.cluster = host::property(CLUSTER);
    }
    let decision = decision::decide(Means::of(policy), role, request, host::now()?);
    finish(attachment, request, decision)
}

fn role(attachment: &Attachment, policy: &Policy) -> Role {
    match policy.role.depends_on_place() {
        true => policy.role.role(&attachment.place()),
        false => policy.role.role(&crate::role::Place::default()),
    }
}

/// Applies a decision, and what it leads to. Only what was applied is counted.
fn finish(
    attachment: &Attachment,
    request: &Request,
    Decision { step, records }: Decision<'_>,
) -> Result<State, HostError> {
    let state = match step {
        Step::Forward(permit, edits) => forward(permit, &edits)?,
        Step::Reply(reply) => answer(&reply).map(|()| State::Answered)?,
        Step::Recheck(edits, recheck) => {
            apply(&edits)?;
            let cluster = host::property(CLUSTER);
            finish(attachment, request, recheck.resume(request, cluster.as_deref()))?
        }
    };
    attachment.note(&records, request);
    Ok(state)
}

fn clean_trailers(attachment: &Attachment, permit: &Permit) -> Result<(), HostError> {
    let Some(policy) = &attachment.policy else {
        return Ok(());
    };
    for name in decision::decide_trailers(policy, permit, &host::read(Map::Trailers)?).removals() {
        host::remove(Map::Trailers, name)?;
    }
    Ok(())
}

fn clean_answer(permit: &Permit) -> Result<(), HostError> {
    apply_to(Map::Answer, &permit.decide_answer(&host::read(Map::Answer)?))
}

fn log_failure(error: HostError) {
    let line = format!("peergate: host call failed: {error}");
    host::log(LogLevel::Error, &Redactor::default().clean(line));
}

/// Lets a request go on, which takes a permit.
fn forward(permit: Permit, edits: &Edits) -> Result<State, HostError> {
    apply(edits)?;
    Ok(State::Forwarded(permit))
}

fn answer(reply: &Reply) -> Result<(), HostError> {
    apply(&reply.edits)?;
    host::send_local_response(reply)
}

fn apply(edits: &Edits) -> Result<(), HostError> {
    apply_to(Map::Headers, edits)?;
    for (name, value) in edits.state() {
        host::set_filter_state(name, value)?;
    }
    Ok(())
}

fn apply_to(map: Map, edits: &Edits) -> Result<(), HostError> {
    for name in edits.removals() {
        host::remove(map, name)?;
    }
    for (name, value) in edits.settings() {
        host::replace(map, name, value)?;
    }
    Ok(())
}

const ORIGINAL_PATH: &[&str] = &["request", "headers", "x-envoy-original-path"];
const MARK: &[&str] = &["filter_state", decision::MARK];
const INJECTED: &[&str] = &["filter_state", decision::INJECTED];
const CLUSTER: &[&str] = &["xds", "cluster_name"];
