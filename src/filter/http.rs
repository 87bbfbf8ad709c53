//! One stream: read once, decided once, applied once.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

use crate::decision::{self, CardMeans, Decision, Held, Means, Permit, Step, Wish, record};
use crate::filter::attachment::Attachment;
use crate::filter::host::{self, Body, HostError, Map};
use crate::filter::state::Store;
use crate::http::{Edits, Headers, Reply, Request};
use crate::jwt;
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::role::Role;
use crate::spiffe;
use crate::time::UnixTime;

/// See the module.
pub(super) struct Stream {
    slot: Rc<Slot>,
}

/// A stream as others hold it who may have to go on with it.
pub(super) struct Slot {
    context: u32,
    attachment: Rc<Attachment>,
    state: RefCell<State>,
    /// Whether trailers have come while it waited: the host does not show them again.
    holds_trailers: Cell<bool>,
    /// Whether a body has come while it waited, and whether to its end: nor that.
    holds_body: Cell<Option<bool>>,
}

/// How far a stream is.
enum State {
    /// Not decided; nothing may pass.
    Undecided,
    /// Not decided until there is an answer; nothing may pass.
    Waiting(Box<Waiting>),
    /// It goes on; the permit is the proof that it may.
    Forwarded(Permit),
    /// It was answered; nothing of it may pass.
    Answered,
}

/// What a decision is made of that could not be made yet.
struct Waiting {
    request: Request,
    role: Role,
    since: UnixTime,
    /// What was decided before.
    held: Option<Held>,
    /// What it waits for, and until when.
    wish: Wish,
    deadline: UnixTime,
}

/// What became of a stream that was decided again.
pub(super) enum Resumed {
    /// It waits no more.
    Ended,
    /// It waits, for something else perhaps.
    Waits(Wish, UnixTime),
}

impl Stream {
    pub(super) fn new(context: u32, attachment: Rc<Attachment>) -> Self {
        Self {
            slot: Rc::new(Slot {
                context,
                attachment,
                state: RefCell::new(State::Undecided),
                holds_trailers: Cell::new(false),
                holds_body: Cell::new(None),
            }),
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let state = handle(&self.slot);
        self.slot.state.replace(state);
        self.action()
    }

    /// A body must not pass what its headers did not.
    fn on_http_request_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        if let State::Forwarded(permit) = &mut *self.slot.state.borrow_mut() {
            see_request(permit, end_of_stream);
            return Action::Continue;
        }
        self.slot.holds_body.set(Some(end_of_stream));
        self.action()
    }

    /// An answer that cannot be cleaned is not shown.
    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let cleaned = match &mut *self.slot.state.borrow_mut() {
            State::Forwarded(permit) if permit.looks_at_answer() => {
                clean_answer(&self.slot.attachment, permit)
            }
            State::Undecided | State::Waiting(_) | State::Forwarded(_) | State::Answered => Ok(()),
        };
        let Err(error) = cleaned else {
            return Action::Continue;
        };
        log_failure(error);
        self.refuse_answer()
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match &mut *self.slot.state.borrow_mut() {
            State::Forwarded(permit) if permit.holds_answer() => {
                take_answer(&self.slot.attachment, permit, size, end_of_stream)
            }
            State::Undecided | State::Waiting(_) | State::Forwarded(_) | State::Answered => Action::Continue,
        }
    }

    /// Trailers before the end of a card: too late for another body, and an answer without one is no card.
    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        let is_held = matches!(&*self.slot.state.borrow(), State::Forwarded(permit) if permit.holds_answer());
        match is_held {
            true => self.refuse_answer(),
            false => Action::Continue,
        }
    }

    fn on_log(&mut self) {
        if let State::Forwarded(permit) = &*self.slot.state.borrow()
            && permit.looks_at_log()
        {
            let path = host::property(ORIGINAL_PATH);
            if let Some(exposure) = permit.exposure(path.as_deref()) {
                self.slot.attachment.note_exposure(&exposure);
            }
        }
    }

    /// Trailers that cannot be cleaned stop the request.
    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let cleaned = match &mut *self.slot.state.borrow_mut() {
            State::Forwarded(permit) => {
                // They end its body.
                permit.see_request(&[], true);
                clean_trailers(&self.slot.attachment, permit)
            }
            State::Waiting(_) => {
                self.slot.holds_trailers.set(true);
                Ok(())
            }
            State::Undecided | State::Answered => Ok(()),
        };
        if let Err(error) = cleaned {
            log_failure(error);
            self.slot.state.replace(State::Undecided);
        }
        self.action()
    }
}

impl Stream {
    fn action(&self) -> Action {
        match &*self.slot.state.borrow() {
            State::Forwarded(_) => Action::Continue,
            State::Undecided | State::Waiting(_) | State::Answered => Action::Pause,
        }
    }

    /// Has the caller see nothing of what the upstream answers. Where the headers are gone already, its stream breaks off.
    fn refuse_answer(&self) -> Action {
        if let Step::Reply(reply) = decision::host_failed(None, &Request::default()).step {
            let _ = host::send_local_response(&reply);
        }
        self.slot.state.replace(State::Answered);
        Action::Pause
    }
}

/// The way of a request.
fn handle(slot: &Rc<Slot>) -> State {
    let mut request = Request::default();
    let ended = decide_and_apply(slot, &mut request);
    ended.unwrap_or_else(|error| failed(&slot.attachment, &request, error))
}

/// Decides a stream again that waits, and lets it go on or answers it.
pub(super) fn resume(slot: &Rc<Slot>, now: UnixTime) -> Resumed {
    let State::Waiting(waiting) = slot.state.replace(State::Undecided) else {
        return Resumed::Ended;
    };
    let Waiting {
        mut request,
        role,
        since,
        held,
        ..
    } = *waiting;
    let moment = Moment { since, now };
    let ended = decide_at(slot, role, &mut request, held, moment, |_, _| true);
    let ended = ended.and_then(|mut state| {
        if let State::Forwarded(permit) = &mut state {
            if slot.holds_trailers.get() {
                clean_trailers(&slot.attachment, permit)?;
            }
            if let Some(is_end) = slot.holds_body.get() {
                see_request(permit, is_end);
            }
        }
        Ok(state)
    });
    let state = ended.unwrap_or_else(|error| failed(&slot.attachment, &request, error));
    let goes_on = matches!(state, State::Forwarded(_));
    let resumed = match &state {
        State::Waiting(waiting) => Resumed::Waits(waiting.wish.clone(), waiting.deadline),
        State::Undecided | State::Forwarded(_) | State::Answered => Resumed::Ended,
    };
    slot.state.replace(state);
    if goes_on && let Err(error) = host::continue_request() {
        log_failure(error);
    }
    resumed
}

/// The host failed in the midst of it: whatever was applied, the request does not go on.
fn failed(attachment: &Attachment, request: &Request, error: HostError) -> State {
    log_failure(error);
    let decision = decision::host_failed(attachment.policy.as_ref(), request);
    attachment.note(&decision.records, request);
    match decision.step {
        Step::Reply(reply) => answer(&reply, None).map_or(State::Undecided, |()| State::Answered),
        Step::Forward(..) | Step::Recheck(..) | Step::Wait(_) => State::Undecided,
    }
}

fn decide_and_apply(slot: &Rc<Slot>, request: &mut Request) -> Result<State, HostError> {
    let attachment = &slot.attachment;
    request.headers = host::read(Map::Headers)?;
    let Some(policy) = &attachment.policy else {
        let decision = decision::without_policy(request);
        return finish(attachment, request, Some(&request.headers), decision);
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
    let now = host::now()?;
    let moment = Moment { since: now, now };
    decide_at(slot, role, request, None, moment, |wish, deadline| {
        let errands = attachment.errands.as_ref();
        errands.is_some_and(|errands| errands.enlist(slot.context, slot, wish, deadline, now))
    })
}

/// When a request has come, and when it is decided.
#[derive(Clone, Copy)]
struct Moment {
    since: UnixTime,
    now: UnixTime,
}

/// Decides a request. One that lacks keys, or another answer, waits, where that may help and there is room.
fn decide_at(
    slot: &Rc<Slot>,
    role: Role,
    request: &mut Request,
    held: Option<Held>,
    moment: Moment,
    has_place: impl FnOnce(&Wish, UnixTime) -> bool,
) -> Result<State, HostError> {
    let attachment = &slot.attachment;
    let (Some(policy), Some(errands)) = (&attachment.policy, &attachment.errands) else {
        let decision = decision::without_policy(request);
        return finish(attachment, request, None, decision);
    };
    let Moment { since, now } = moment;
    let sets = errands.sets();
    let means = Means {
        policy,
        tokens: jwt::Means {
            keys: &sets,
            signatures: attachment.signatures(),
        },
        signer: attachment.signer(),
        known: attachment.known.as_ref(),
        state: &Store::Shared,
        answers: Some(errands.answers()),
        machine_key: attachment.machine_key,
    };
    let decision = match decision::decide_on(means, role, request, held, now) {
        Decision {
            step: Step::Wait(pending),
            records,
        } => {
            attachment.note(&records, request);
            let deadline = errands.patience(pending.wish(), since, now);
            let deadline = deadline.filter(|deadline| has_place(pending.wish(), *deadline));
            if let Some(deadline) = deadline {
                let (wish, held) = pending.hold();
                return Ok(State::Waiting(Box::new(Waiting {
                    request: mem::take(request),
                    role,
                    since,
                    held,
                    wish,
                    deadline,
                })));
            }
            pending.refuse()
        }
        decision => decision,
    };
    // Who waited has headers that others may have changed meanwhile.
    let headers = (since == now).then_some(&request.headers);
    finish(attachment, request, headers, decision)
}

fn role(attachment: &Attachment, policy: &Policy) -> Role {
    match policy.role.depends_on_place() {
        true => policy.role.role(&attachment.place()),
        false => policy.role.role(&crate::role::Place::default()),
    }
}

/// Applies a decision, and what it leads to. Only what was applied is counted.
///
/// `headers` are those that stand on the stream; `None` where some were changed since they were read.
fn finish(
    attachment: &Attachment,
    request: &Request,
    headers: Option<&Headers>,
    Decision { step, records }: Decision<'_>,
) -> Result<State, HostError> {
    let state = match step {
        Step::Forward(permit, edits) => forward(permit, &edits, headers)?,
        Step::Reply(reply) => answer(&reply, headers).map(|()| State::Answered)?,
        Step::Wait(pending) => {
            attachment.note(&records, request);
            return finish(attachment, request, headers, pending.refuse());
        }
        Step::Recheck(edits, recheck) => {
            apply(&edits, headers)?;
            let cluster = host::property(CLUSTER);
            let decision = recheck.resume(request, cluster.as_deref());
            finish(attachment, request, None, decision)?
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

fn clean_answer(attachment: &Attachment, permit: &mut Permit) -> Result<(), HostError> {
    let answer = host::read(Map::Answer)?;
    if let Some(errands) = &attachment.errands {
        permit.forget_refused(&answer, errands.answers(), host::now()?);
    }
    let mut edits = permit.decide_answer(&answer);
    if let Some(policy) = &attachment.policy {
        let (of_card, note) = permit.decide_card(policy, &answer);
        edits.merge(of_card);
        note.into_iter()
            .for_each(|note| attachment.note_card(note, permit));
    }
    apply_to(Map::Answer, &edits, Some(&answer))
}

/// Shows the permit a part of the request's body, if it wants to see one. That it sees none refuses no request.
fn see_request(permit: &mut Permit, is_end: bool) {
    if let wanted @ 1.. = permit.wants_request() {
        let part = host::body(Body::Request, wanted).unwrap_or_default();
        permit.see_request(&part, is_end);
    }
}

/// Takes what has come of the answer's body, and gives back what is to go on.
///
/// What has come goes on as nothing, and the host is never told to hold it: what it holds must not grow beyond its limit,
/// for then it ends the stream within the call, and calls a module that it has not left (Envoy 1.40 dies of it). What goes
/// on has no limit. A body that cannot be changed goes on as it is.
fn take_answer(attachment: &Attachment, permit: &mut Permit, size: usize, is_end: bool) -> Action {
    let Some(policy) = &attachment.policy else {
        return Action::Continue;
    };
    let means = CardMeans {
        policy,
        signer: attachment.signer(),
        cards: &attachment.cards,
    };
    let part = match size {
        0 => Ok(Vec::new()),
        size => host::body(Body::Answer, size),
    };
    let taken = part.and_then(|part| match permit.take_answer(means, &part, is_end) {
        Some(passed) => {
            attachment.note_card(passed.note, permit);
            host::replace_body(Body::Answer, &passed.body)
        }
        None => host::replace_body(Body::Answer, &[]),
    });
    if let Err(error) = taken {
        log_failure(error);
    }
    Action::Continue
}

fn log_failure(error: HostError) {
    let id = record::request_id(host::request_id().as_deref());
    let line = format!("peergate: host call failed{id}: {error}");
    host::log(LogLevel::Error, &Redactor::default().clean(line));
}

/// Lets a request go on, which takes a permit.
fn forward(permit: Permit, edits: &Edits, headers: Option<&Headers>) -> Result<State, HostError> {
    apply(edits, headers)?;
    Ok(State::Forwarded(permit))
}

fn answer(reply: &Reply, headers: Option<&Headers>) -> Result<(), HostError> {
    apply(&reply.edits, headers)?;
    host::send_local_response(reply)
}

fn apply(edits: &Edits, headers: Option<&Headers>) -> Result<(), HostError> {
    apply_to(Map::Headers, edits, headers)?;
    for (name, value) in edits.state() {
        host::set_filter_state(name, value)?;
    }
    Ok(())
}

/// Every call to the host costs: where it is known what stands there, what is not there is not removed.
fn apply_to(map: Map, edits: &Edits, headers: Option<&Headers>) -> Result<(), HostError> {
    let standing = |name: &[u8]| headers.map_or(usize::MAX, |headers| headers.all(name).count());
    for name in edits.removals().filter(|name| standing(name) > 0) {
        host::remove(map, name)?;
    }
    for (name, value) in edits.settings() {
        let is_removed = edits.removals().any(|removed| removed == name);
        match standing(name) {
            // Pseudo-headers stand once and cannot be removed.
            _ if name.starts_with(b":") => host::replace_first(map, name, value)?,
            0 => host::add(map, name, value)?,
            _ if is_removed => host::add(map, name, value)?,
            1 => host::replace_first(map, name, value)?,
            _ => {
                host::remove(map, name)?;
                host::add(map, name, value)?;
            }
        }
    }
    Ok(())
}

const ORIGINAL_PATH: &[&str] = &["request", "headers", "x-envoy-original-path"];
const MARK: &[&str] = &["filter_state", decision::MARK];
const INJECTED: &[&str] = &["filter_state", decision::INJECTED];
const CLUSTER: &[&str] = &["xds", "cluster_name"];
