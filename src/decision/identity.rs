//! From a verified caller to what is forwarded of it: headers for the upstream, filter state for the proxy.

use std::rc::Rc;

use crate::claims;
use crate::decision::credentials::Proved;
use crate::decision::{Caller, Deny, location, state};
use crate::http::{Bytes, Edits, Request};
use crate::policy::inbound::{Forward, Provider};
use crate::policy::rule::Rule;
use crate::policy::{Inbound, RB_AUTH_CLAIMS};

/// What is forwarded of a caller, as the bytes that the host wants.
#[derive(Debug)]
pub(super) struct Forwarded {
    headers: Box<[(Bytes, Bytes)]>,
    state: Box<[(&'static str, Bytes)]>,
}

impl Forwarded {
    fn add_to(&self, edits: &mut Edits) {
        for (name, value) in &self.headers {
            edits.set_shared(name, value);
        }
        for (name, value) in &self.state {
            edits.set_state(name, value.clone());
        }
    }

    /// What it takes, by estimate.
    pub(super) fn bytes(&self) -> usize {
        let entries = self.headers.len().saturating_add(self.state.len());
        let values = self.headers.iter().map(|(_, value)| value.len());
        values.fold(entries.saturating_mul(ENTRY_BYTES), usize::saturating_add)
    }
}

/// Adds all that is forwarded of a verified caller.
///
/// # Errors
/// [`Deny::ClaimNotForwardable`] as of [`forwarded`].
pub(super) fn forward(
    inbound: &Inbound,
    rule: &Rule,
    credential: &Proved<'_>,
    request: &Request,
    edits: &mut Edits,
) -> Result<(), Deny> {
    match &credential.token {
        Some(known) => known.forwarded.as_ref().map_err(Deny::clone)?.add_to(edits),
        None => forwarded(&inbound.forward, None, &credential.caller, None)?.add_to(edits),
    }
    if let (Some(provider), Some(location)) = (credential.provider, credential.location)
        && provider.forwards_token
        && !rule.bars_token()
    {
        location::keep(inbound, location, request, edits);
    }
    Ok(())
}

/// All that is forwarded of a verified caller, but for the token itself.
///
/// # Errors
/// [`Deny::ClaimNotForwardable`] if an identity holds control characters, or any value is too long: to change an
/// identity would make one caller of two.
pub(super) fn forwarded(
    forward: &Forward,
    provider: Option<&Provider>,
    caller: &Caller,
    payload: Option<&str>,
) -> Result<Forwarded, Deny> {
    let (mut headers, mut states) = (Edits::default(), Vec::new());
    for named in identity(caller, forward) {
        let Some(value) = named.value.clone() else {
            continue;
        };
        let value = plain(value, named.place())?;
        if let Some(header) = named.header {
            headers.set_shared(&Rc::clone(header).into(), &value);
        }
        states.push((named.state, value));
    }
    if let Some(provider) = provider {
        for (header, claim) in &provider.claim_headers {
            let text = claim
                .find(&caller.claims)
                .and_then(|value| claims::text(value, &forward.list_separator));
            if let Some(text) = text {
                let value = bounded(claims::header_value(&text).into_bytes().into(), header)?;
                headers.set_shared(&Rc::clone(header).into(), &value);
            }
        }
        if let (Some(header), Some(payload)) = (&provider.payload_header, payload) {
            headers.set_shared(
                &Rc::clone(header).into(),
                &bounded(payload.as_bytes().to_vec().into(), header)?,
            );
        }
    }
    if let Some(extra) = &forward.rb_auth_claims {
        let value = bounded(rb_auth_claims(caller, extra).into_bytes().into(), RB_AUTH_CLAIMS)?;
        headers.set_shared(&RB_AUTH_CLAIMS.into(), &value);
    }
    Ok(Forwarded {
        headers: headers.into_settings().into(),
        state: states.into(),
    })
}

/// The filter state of a caller whose first factor was good although the request is refused: an access log then says
/// who fails. Nothing goes to the upstream.
pub(super) fn shown(forward: &Forward, caller: &Caller) -> Edits {
    let mut edits = Edits::default();
    for named in identity(caller, forward) {
        let value = named.value.clone().map(|value| plain(value, named.place()));
        if let Some(Ok(value)) = value {
            edits.set_state(named.state, value);
        }
    }
    edits
}

/// One thing that names a caller.
struct Named<'c> {
    /// What it is, where it is there.
    value: Option<Bytes>,
    /// Its filter state.
    state: &'static str,
    /// Its header, where it has one.
    header: Option<&'c Rc<str>>,
}

impl Named<'_> {
    /// Where it goes, in words.
    fn place(&self) -> &str {
        self.header.map_or(self.state, |header| header)
    }
}

/// What names a caller.
fn identity<'c>(caller: &Caller, forward: &'c Forward) -> [Named<'c>; 4] {
    let shared = |text: &Rc<str>| Bytes::from(Rc::clone(text));
    let named = |value, state, header: &'c Option<Rc<str>>| Named {
        value,
        state,
        header: header.as_ref(),
    };
    let peer = caller.peer.as_ref().map(|peer| shared(&peer.name));
    [
        named(peer, state::PEER, &forward.peer),
        named(caller.sub.as_ref().map(shared), state::SUB, &forward.sub),
        named(Some(shared(&caller.iss)), state::ISS, &forward.iss),
        named(
            Some(caller.method.as_str().into()),
            state::METHOD,
            &forward.method,
        ),
    ]
}

/// The members of `rb-auth-claims`, in their order; those without a text are left away.
fn rb_auth_claims(caller: &Caller, extra: &[claims::ClaimPath]) -> String {
    let text = |value: &Option<Rc<str>>| value.as_deref().unwrap_or_default().to_owned();
    let first = [
        ("sub", text(&caller.sub)),
        ("name", text(&caller.display_name)),
        ("iss", caller.iss.to_string()),
        ("scope", caller.scopes.join(" ")),
    ];
    let further = extra.iter().map(|claim| {
        (
            claim.as_str(),
            claim
                .find(&caller.claims)
                .and_then(claims::string_or_strings)
                .unwrap_or_default(),
        )
    });
    claims::ascii_object(first.into_iter().chain(further))
}

/// A value that names somebody: forwarded as it is or not at all. White space at an end would be lost on the way
/// (RFC 9110 §5.5), and one name become another.
fn plain(value: Bytes, header: &str) -> Result<Bytes, Deny> {
    let is_plain = |text: &str| !text.chars().any(char::is_control) && text.trim() == text;
    match std::str::from_utf8(&value).is_ok_and(is_plain) {
        true => bounded(value, header),
        false => Err(not_forwardable(header)),
    }
}

fn bounded(value: Bytes, header: &str) -> Result<Bytes, Deny> {
    match value.len() > MAX_VALUE_BYTES {
        true => Err(not_forwardable(header)),
        false => Ok(value),
    }
}

fn not_forwardable(header: &str) -> Deny {
    Deny::ClaimNotForwardable {
        header: header.to_owned(),
    }
}

/// Of a header or a filter state: two slices, and what the allocator adds to a value.
const ENTRY_BYTES: usize = 40;
/// Common servers refuse a header line of more than 8 KiB.
const MAX_VALUE_BYTES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_refused() {
        let of = |length: usize| Bytes::from(vec![b'a'; length]);
        assert_eq!(bounded(of(MAX_VALUE_BYTES), "x-a"), Ok(of(MAX_VALUE_BYTES)));
        assert_eq!(
            bounded(of(MAX_VALUE_BYTES + 1), "x-a"),
            Err(not_forwardable("x-a"))
        );
    }
}
