//! From a verified caller to what is forwarded of it: headers for the upstream, filter state for the proxy.

use crate::claims;
use crate::decision::credentials::Proved;
use crate::decision::{Caller, Deny, location, state};
use crate::http::{Edits, Request};
use crate::policy::inbound::Forward;
use crate::policy::{Inbound, RB_AUTH_CLAIMS};

/// Adds all that is forwarded of a verified caller.
///
/// # Errors
/// [`Deny::ClaimNotForwardable`] if an identity holds control characters, or any value is too long: to change an
/// identity would make one caller of two.
pub(super) fn forward(
    inbound: &Inbound,
    credential: &Proved<'_>,
    request: &Request,
    edits: &mut Edits,
) -> Result<(), Deny> {
    let forward = &inbound.forward;
    let caller = &credential.caller;
    for (value, state, header) in identity(caller, forward) {
        let Some(value) = value else { continue };
        let value = plain(value, header.unwrap_or(state))?;
        if let Some(header) = header {
            edits.set(header.as_bytes(), value.clone());
        }
        edits.set_state(state, value);
    }
    if let Some(provider) = credential.provider {
        for (header, claim) in &provider.claim_headers {
            let text = claim
                .find(&caller.claims)
                .and_then(|value| claims::text(value, &forward.list_separator));
            if let Some(text) = text {
                edits.set(header.as_bytes(), bounded(claims::header_value(&text), header)?);
            }
        }
        if let (Some(header), Some(token)) = (&provider.payload_header, &credential.token) {
            edits.set(header.as_bytes(), bounded(token.payload().to_owned(), header)?);
        }
        if provider.forwards_token
            && let Some(location) = credential.location
        {
            location::keep(inbound, location, request, edits);
        }
    }
    if let Some(extra) = &forward.rb_auth_claims {
        edits.set(
            RB_AUTH_CLAIMS.as_bytes(),
            bounded(rb_auth_claims(caller, extra), RB_AUTH_CLAIMS)?,
        );
    }
    Ok(())
}

/// The filter state of a caller whose first factor was good although the request is refused: an access log then says
/// who fails. Nothing goes to the upstream.
pub(super) fn shown(forward: &Forward, caller: &Caller) -> Edits {
    let mut edits = Edits::default();
    for (value, state, header) in identity(caller, forward) {
        if let Some(Ok(value)) = value.map(|value| plain(value, header.unwrap_or(state))) {
            edits.set_state(state, value);
        }
    }
    edits
}

/// What names a caller: each value, its filter state, and its header where it has one.
fn identity<'c>(
    caller: &'c Caller,
    forward: &'c Forward,
) -> [(Option<&'c str>, &'static str, Option<&'c str>); 4] {
    let peer = caller.peer.as_ref().map(|peer| peer.name.as_str());
    [
        (peer, state::PEER, forward.peer.as_deref()),
        (caller.sub.as_deref(), state::SUB, forward.sub.as_deref()),
        (Some(caller.iss.as_str()), state::ISS, forward.iss.as_deref()),
        (
            Some(caller.method.as_str()),
            state::METHOD,
            forward.method.as_deref(),
        ),
    ]
}

/// The members of `rb-auth-claims`, in their order; those without a text are left away.
fn rb_auth_claims(caller: &Caller, extra: &[claims::ClaimPath]) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let first = [
        ("sub", text(&caller.sub)),
        ("name", text(&caller.display_name)),
        ("iss", caller.iss.clone()),
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
fn plain(value: &str, header: &str) -> Result<Vec<u8>, Deny> {
    match value.chars().any(char::is_control) || value.trim() != value {
        true => Err(Deny::ClaimNotForwardable {
            header: header.to_owned(),
        }),
        false => bounded(value.to_owned(), header),
    }
}

fn bounded(value: String, header: &str) -> Result<Vec<u8>, Deny> {
    match value.len() > MAX_VALUE_BYTES {
        true => Err(Deny::ClaimNotForwardable {
            header: header.to_owned(),
        }),
        false => Ok(value.into_bytes()),
    }
}

/// Common servers refuse a header line of more than 8 KiB.
const MAX_VALUE_BYTES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_refused() {
        let longest = "a".repeat(MAX_VALUE_BYTES);
        assert_eq!(bounded(longest.clone(), "x-a"), Ok(longest.clone().into_bytes()));
        let header = "x-a".to_owned();
        assert_eq!(
            bounded(longest + "a", "x-a"),
            Err(Deny::ClaimNotForwardable { header })
        );
    }
}
