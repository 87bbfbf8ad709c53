//! Agent cards on their way out: which answers may be one, what of their headers no longer holds, and the card itself, once
//! all of it has come.
//!
//! ```text
//! request for a card ─► answer with a card? ─► hold the body ─┬─► too long ─► let it go as it is
//!                                                             └─► its end ─► rewritten, or as it is
//! ```
//!
//! The headers of an answer go on at once, so that they must say what holds of both. Nothing of it decides anything: a card
//! that is missed is one that the upstream wrote.

mod coming;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::agent_card::Card;
use crate::config::identity;
use crate::decision::{Permit, record};
use crate::http::{Edits, Headers, Request, media_type};
use crate::json;
use crate::path::without_query;
use crate::policy::card::Said;
use crate::policy::rule::Rule;
use crate::policy::{Inbound, Policy};
use crate::redact::{Clean, Redactor, printable};
use crate::signer::HostSigner;

use self::coming::{Come, Outline, Room};

/// A card that may come as the answer to a request.
#[derive(Debug, Clone)]
pub(super) enum Watch {
    /// The request asks for one.
    Asked(Form),
    /// It may; so much of its body was seen.
    MayAsk(Vec<u8>),
    /// The body of the answer is held.
    Held {
        form: Form,
        body: Vec<u8>,
        /// How long it will be, where that was said.
        length: Option<usize>,
        object: Outline,
        room: Room,
    },
}

/// How a card stands in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It is the answer.
    Document,
    /// It is the `result` of a JSON-RPC answer.
    Result,
}

/// Whether the answer to a request that a rule lets in is to be looked at for a card. What would have the upstream answer
/// with something else than the whole card as it is comes off.
pub(super) fn watch(inbound: &Inbound, request: &Request, rule: &Rule, edits: &mut Edits) -> Option<Watch> {
    if !inbound.card.advertise {
        return None;
    }
    let (watch, unwanted) = match request.method() {
        b"GET" | b"HEAD" if is_card_path(request.path()?) => {
            (Watch::Asked(Form::Document), CONDITIONS.as_slice())
        }
        b"POST" if rule.has_card_rpc => (Watch::MayAsk(Vec::new()), ENCODINGS),
        _ => return None,
    };
    edits.remove_all(&request.headers, |name| unwanted.contains(&name));
    Some(watch)
}

/// What a request for a card asks for, as a log may show it.
pub(super) fn path(request: &Request) -> Rc<str> {
    let path = without_query(request.path().unwrap_or_default());
    printable(path, MAX_SHOWN_PATH).into()
}

/// Who asks, likewise.
pub(super) fn id(request: &Request) -> Rc<str> {
    record::request_id(request.headers.first(b"x-request-id")).into()
}

/// The places of cards, public and extended, of A2A 0.2 to 1.0; whatever stands before them, for tenants and mounted
/// applications.
fn is_card_path(target: &[u8]) -> bool {
    let path = without_query(target);
    CARD_PATHS.iter().any(|end| path.ends_with(end))
}

impl Permit {
    /// How many bytes of the request's body are to be looked at, still.
    pub fn wants_request(&self) -> usize {
        match &self.card {
            Some(Watch::MayAsk(seen)) => MAX_REQUEST_BYTES.saturating_sub(seen.len()).saturating_add(1),
            Some(Watch::Asked(_) | Watch::Held { .. }) | None => 0,
        }
    }

    /// Looks at a part of the request's body. It stays as it is.
    pub fn see_request(&mut self, part: &[u8], is_end: bool) {
        let Some(Watch::MayAsk(seen)) = &mut self.card else {
            return;
        };
        seen.extend(part);
        if seen.len() > MAX_REQUEST_BYTES {
            self.card = None;
        } else if is_end {
            self.card = asks_for_card(seen).then_some(Watch::Asked(Form::Result));
        }
    }

    /// What was asked for, where a card may come as the answer.
    pub fn card_path(&self) -> &str {
        &self.card_path
    }

    /// The id of the request for it, as a log line names it; empty where it has none.
    pub fn card_request(&self) -> &str {
        &self.card_request
    }

    /// Whether a card may come as the answer.
    pub(super) const fn expects_card(&self) -> bool {
        matches!(self.card, Some(Watch::Asked(_)))
    }

    /// What is changed of the headers of an answer that may hold a card, whose body is held from now on.
    pub fn decide_card(&mut self, policy: &Policy, answer: &Headers) -> (Edits, Option<CardNote>) {
        let mut edits = Edits::default();
        let (Some(Watch::Asked(form)), Some(inbound)) = (self.card.take(), &policy.inbound) else {
            return (edits, None);
        };
        if answer.first(b":status") != Some(b"200") || !is_json(answer) {
            return (edits, None);
        }
        let is_encoded = |value: &[u8]| !value.eq_ignore_ascii_case(b"identity");
        if answer.all(b"content-encoding").any(is_encoded) {
            return (edits, Some(CardNote::Encoded));
        }
        let length = answer.first(b"content-length");
        let length = length.and_then(|length| std::str::from_utf8(length).ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > inbound.card.max_bytes) {
            return (edits, Some(CardNote::TooLong));
        }
        edits.remove_all(answer, |name| OF_THE_BODY.contains(&name));
        if let Some(etag) = answer.first(b"etag") {
            edits.set(b"etag", validator(etag, policy));
        }
        self.card = Some(Watch::Held {
            form,
            body: Vec::new(),
            length,
            object: Outline::default(),
            room: Room::default(),
        });
        (edits, None)
    }

    /// Whether the body of the answer is held.
    pub const fn holds_answer(&self) -> bool {
        matches!(self.card, Some(Watch::Held { .. }))
    }

    /// Takes a part of the answer's body. What comes back takes the place of all that was taken.
    pub fn take_answer(&mut self, means: CardMeans<'_>, part: &[u8], is_end: bool) -> Option<Passed> {
        let inbound = means.policy.inbound.as_ref()?;
        let Some(Watch::Held {
            form,
            body,
            length,
            object,
            room,
        }) = &mut self.card
        else {
            return None;
        };
        if body.is_empty() {
            *room = means.cards.room();
        }
        body.extend(part);
        let is_too_long = body.len() > inbound.card.max_bytes || !room.take(part.len());
        // Trailers may follow, after which nothing can be written any more.
        let is_whole = is_end || *length == Some(body.len()) || object.with(part) != Come::Part;
        if !is_whole && !is_too_long {
            return None;
        }
        let (form, body) = (*form, std::mem::take(body));
        self.card = None;
        Some(match is_too_long {
            true => Passed {
                body: body.into(),
                note: CardNote::TooLong,
            },
            false => rewritten(means, inbound, form, body),
        })
    }
}

/// What a card is rewritten with.
#[derive(Clone, Copy)]
pub struct CardMeans<'p> {
    /// What is enforced.
    pub policy: &'p Policy,
    /// The host, which may sign.
    pub signer: &'p dyn HostSigner,
    /// What was rewritten before.
    pub cards: &'p Cards,
}

/// The body of an answer that goes on.
#[derive(Debug)]
pub struct Passed {
    /// It.
    pub body: Rc<[u8]>,
    /// What became of the card.
    pub note: CardNote,
}

/// Cards that were rewritten under one policy: an upstream has few of them, and anybody may ask for them again and again.
#[derive(Debug, Default)]
pub struct Cards {
    kept: RefCell<Vec<Kept>>,
    /// How many bytes are held of cards that are still coming.
    held: Rc<Cell<usize>>,
}

#[derive(Debug)]
struct Kept {
    /// Of what the upstream wrote, and where the card stands in it.
    digest: [u8; 32],
    body: Rc<[u8]>,
    note: CardNote,
}

impl Cards {
    fn room(&self) -> Room {
        Room::of(&self.held)
    }

    fn kept(&self, digest: &[u8; 32]) -> Option<Passed> {
        let kept = self.kept.try_borrow().ok()?;
        kept.iter()
            .find(|kept| kept.digest == *digest)
            .map(|kept| Passed {
                body: Rc::clone(&kept.body),
                note: kept.note,
            })
    }

    fn keep(&self, digest: [u8; 32], passed: &Passed) {
        if let Ok(mut kept) = self.kept.try_borrow_mut() {
            if kept.len() == MAX_CARDS {
                kept.remove(0);
            }
            kept.push(Kept {
                digest,
                body: Rc::clone(&passed.body),
                note: passed.note,
            });
        }
    }
}

fn rewritten(means: CardMeans<'_>, inbound: &Inbound, form: Form, body: Vec<u8>) -> Passed {
    let mut digest = Sha256::new();
    digest.update([u8::from(form == Form::Result)]);
    digest.update(&body);
    let digest = digest.finalize().into();
    if let Some(passed) = means.cards.kept(&digest) {
        return passed;
    }
    let card = match form {
        Form::Document => Card::read(&body),
        Form::Result => Card::read_answer(&body),
    };
    let (body, note) = match card.ok().filter(Card::is_surely_one) {
        Some(mut card) => {
            let said = inbound.tell(&mut card, means.signer);
            let body = match said {
                Said::Exactly | Said::Strictest | Said::Unsigned => card.to_bytes(),
                Said::Signed | Said::Unreachable => body,
            };
            (body, CardNote::Read(said))
        }
        None => (body, CardNote::NoCard),
    };
    let passed = Passed {
        body: body.into(),
        note,
    };
    // An answer to a call is another one each time: it bears the call's own `id`.
    if form == Form::Document {
        means.cards.keep(digest, &passed);
    }
    passed
}

/// What became of a card, or of what came in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CardNote {
    /// It was read.
    Read(Said),
    /// It went by as it was: it is too long.
    TooLong,
    /// It went by as it was: it is compressed.
    Encoded,
    /// What came in its place is no card.
    NoCard,
}

impl CardNote {
    /// A stable name for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read(Said::Exactly) => "rewritten",
            Self::Read(Said::Strictest) => "rewritten_strictest",
            Self::Read(Said::Unsigned) => "rewritten_unsigned",
            Self::Read(Said::Signed) => "passed_signed",
            Self::Read(Said::Unreachable) => "passed_unreachable",
            Self::TooLong => "passed_too_long",
            Self::Encoded => "passed_encoded",
            Self::NoCard => "passed_no_card",
        }
    }

    /// The name of the counter.
    pub fn counter(self) -> String {
        let mut name = "peergate_agent_cards_total.outcome.".to_owned();
        name.push_str(self.name());
        name
    }

    /// The line for the log, once for each path, with the id of a request for it; `None` where all is as it should be.
    pub fn line(self, path: &str, request: &str, redactor: &Redactor) -> Option<Clean> {
        let text = match self {
            Self::Read(Said::Exactly) => return None,
            Self::Read(said) => said.text(),
            Self::TooLong => "it is longer than `inbound.agent_card.max_bytes` and stays as it is",
            Self::Encoded => "it is compressed and stays as it is",
            Self::NoCard => "what came in its place is no agent card, and stays as it is",
        };
        let mut line = "peergate: agent_card outcome=".to_owned();
        line.push_str(self.name());
        line.push_str(" path=");
        line.push_str(path);
        line.push_str(request);
        line.push_str(": ");
        line.push_str(text);
        Some(redactor.clean(line))
    }
}

/// Whether the body of a request asks for the extended card.
fn asks_for_card(body: &[u8]) -> bool {
    let Ok(call) = json::object(body, MAX_REQUEST_DEPTH) else {
        return false;
    };
    let method = call.get("method").and_then(Value::as_str);
    method.is_some_and(|method| CARD_METHODS.contains(&method))
}

fn is_json(answer: &Headers) -> bool {
    let kind = answer.first(b"content-type").unwrap_or_default();
    let essence = media_type(kind).to_ascii_lowercase();
    essence.ends_with(b"/json") || essence.ends_with(b"+json")
}

/// What tells the card as it goes on from what it was before: made of the upstream's own and of the policy, weak, for the
/// bytes may differ (RFC 9110 §8.8.1).
fn validator(etag: &[u8], policy: &Policy) -> Vec<u8> {
    let mut text = etag.to_vec();
    text.extend(policy.identity.as_bytes());
    let mut etag = b"W/\"".to_vec();
    etag.extend(identity(&text).as_bytes());
    etag.push(b'"');
    etag
}

const CARD_PATHS: [&[u8]; 5] = [
    b"/.well-known/agent-card.json",
    b"/.well-known/agent.json",
    b"/agent/authenticatedExtendedCard",
    b"/extendedAgentCard",
    b"/v1/card",
];
/// Of A2A 0.3 and 1.0.
const CARD_METHODS: [&str; 2] = ["agent/getAuthenticatedExtendedCard", "GetExtendedAgentCard"];
/// What asks for another form than the card's own.
const ENCODINGS: &[&[u8]] = &[b"accept-encoding"];
/// That, and what asks for less than the whole.
const CONDITIONS: [&[u8]; 7] = [
    b"accept-encoding",
    b"if-none-match",
    b"if-modified-since",
    b"if-match",
    b"if-unmodified-since",
    b"if-range",
    b"range",
];
/// What an answer says of its body as the upstream wrote it (RFC 9110 §8.6, §8.8, §14.3; RFC 9421; RFC 9530; RFC 3230;
/// RFC 1864).
const OF_THE_BODY: [&[u8]; 10] = [
    b"signature",
    b"signature-input",
    b"content-length",
    b"etag",
    b"last-modified",
    b"accept-ranges",
    b"content-digest",
    b"repr-digest",
    b"digest",
    b"content-md5",
];
/// Ours: a call that asks for the extended card has some hundred bytes.
const MAX_REQUEST_BYTES: usize = 16 * 1024;
/// Ours.
const MAX_REQUEST_DEPTH: usize = 16;
/// Ours: cards stand at short paths.
const MAX_SHOWN_PATH: usize = 128;
/// Ours: a card for each of a few agents behind one filter, its old form, its extended one.
const MAX_CARDS: usize = 8;
