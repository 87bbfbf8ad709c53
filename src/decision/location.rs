//! The places of credentials in a request: what stands there, and how it is taken off.

use std::borrow::Cow;

use crate::decision::{Deny, ORIGINAL_PATH};
use crate::http::{Edits, Headers, Repeated, Request};
use crate::policy::Inbound;
use crate::policy::location::{AUTHORIZATION, Location};
use crate::policy::owned::is_same_header;
use crate::{cookie, query};

/// What stands in a place.
pub(super) struct Found<'p, 'r, T> {
    pub(super) location: &'p Location,
    /// What the place means to who asks.
    pub(super) meaning: T,
    pub(super) value: Cow<'r, [u8]>,
}

/// The one of these places that holds something. A credential of a kind stands once.
pub(super) fn only<'p, 'r, T>(
    places: impl Iterator<Item = (&'p Location, T)> + Clone,
    request: &'r Request,
) -> Result<Option<Found<'p, 'r, T>>, Deny> {
    let parts = Parts::of(request, places.clone().map(|(location, _)| location));
    let mut found: Option<Found<'_, '_, T>> = None;
    for (location, meaning) in places {
        let Some(value) = value(location, request, &parts)? else {
            continue;
        };
        if let Some(first) = found {
            return Err(Deny::CredentialsInTwoPlaces {
                first: first.location.to_string().into(),
                second: location.to_string().into(),
            });
        }
        found = Some(Found {
            location,
            meaning,
            value,
        });
    }
    Ok(found)
}

/// A header that may come once. Envoy joins repeated ones with a comma, which no credential holds.
pub(super) fn single<'h>(headers: &'h Headers, name: &str) -> Result<Option<&'h [u8]>, Deny> {
    let repeated = || Deny::CredentialRepeated {
        place: format!("header `{name}`"),
    };
    match headers.single(name.as_bytes()) {
        Ok(Some(value)) if value.contains(&b',') => Err(repeated()),
        Ok(value) => Ok(value),
        Err(Repeated) => Err(repeated()),
    }
}

/// The cookies and parameters that are places, found in one pass each: a stranger chooses how many others there are.
struct Parts<'r> {
    cookies: Vec<(&'r [u8], &'r [u8])>,
    parameters: Vec<(Cow<'r, str>, Cow<'r, str>)>,
}

impl<'r> Parts<'r> {
    fn of<'p>(request: &'r Request, places: impl Iterator<Item = &'p Location> + Clone) -> Self {
        let cookies: Vec<&str> = places.clone().filter_map(Location::cookie).collect();
        let parameters: Vec<&str> = places.filter_map(Location::parameter).collect();
        let is_cookie = |name: &[u8]| cookies.iter().any(|own| own.as_bytes() == name);
        let headers = request.headers.all(COOKIE).filter(|_| !cookies.is_empty());
        let target = request.path().filter(|_| !parameters.is_empty());
        Self {
            cookies: headers
                .flat_map(|header| cookie::named(header, is_cookie))
                .collect(),
            parameters: query::named(target.unwrap_or_default(), |name| parameters.contains(&name)).collect(),
        }
    }
}

fn value<'r>(
    location: &Location,
    request: &'r Request,
    parts: &Parts<'r>,
) -> Result<Option<Cow<'r, [u8]>>, Deny> {
    match location {
        Location::Header(name) => Ok(single(&request.headers, name)?.map(Cow::Borrowed)),
        Location::Cookie(name) => {
            let is_named = |(own, _): &&(&[u8], &[u8])| *own == name.as_bytes();
            let values = parts.cookies.iter().filter(is_named).map(|(_, value)| *value);
            Ok(once(values, location)?.map(Cow::Borrowed))
        }
        Location::Parameter(name) => {
            let is_named = |(own, _): &&(Cow<'_, str>, Cow<'_, str>)| own == name;
            let values = parts.parameters.iter().filter(is_named).map(|(_, value)| value);
            Ok(once(values, location)?.map(|value| match value {
                Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
                Cow::Owned(value) => Cow::Owned(value.clone().into_bytes()),
            }))
        }
    }
}

fn once<V>(mut values: impl Iterator<Item = V>, location: &Location) -> Result<Option<V>, Deny> {
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Deny::CredentialRepeated {
            place: location.to_string(),
        }),
        (value, None) => Ok(value),
    }
}

/// Whether a query carries a token (RFC 6750 §2.3), which MCP forbids.
pub(super) fn holds_token(inbound: &Inbound, query: &[u8]) -> bool {
    // `;` parts parameters for some servers; some trim names, some know no case.
    let mut parameters = query.split(|byte| matches!(byte, b'&' | b';'));
    parameters.any(|parameter| {
        form_urlencoded::parse(parameter).next().is_some_and(|(name, _)| {
            let is_named = |own: &str| name.trim().eq_ignore_ascii_case(own);
            let tokens = inbound.token_locations.iter();
            let mut own = tokens.filter_map(|token| token.location.parameter());
            is_named(ACCESS_TOKEN) || own.any(is_named)
        })
    })
}

/// Takes the caller's token off the header that holds tokens nearly everywhere, whether the policy looks at it or not.
pub(super) fn bar(request: &Request, edits: &mut Edits) {
    if request.headers.first(AUTHORIZATION.as_bytes()).is_some() {
        edits.remove(AUTHORIZATION.as_bytes());
    }
}

/// Whether a header is a place of a credential.
pub(super) fn is_header(inbound: &Inbound, name: &[u8]) -> bool {
    let mut headers = inbound.locations().filter_map(Location::header);
    headers.any(|own| is_same_header(name, own.as_bytes()))
}

/// Whether a cookie of a credential is there.
pub(super) fn is_in_cookies(inbound: &Inbound, headers: &Headers) -> bool {
    let names: Vec<&str> = inbound.locations().filter_map(Location::cookie).collect();
    let is_ours = |name: &[u8]| names.iter().any(|own| own.as_bytes() == name);
    !names.is_empty()
        && headers
            .all(COOKIE)
            .any(|header| cookie::named(header, is_ours).next().is_some())
}

/// Takes the cookies and parameters of credentials off. The others stay as they are.
pub(super) fn strip(inbound: &Inbound, request: &Request, edits: &mut Edits) {
    if is_in_cookies(inbound, &request.headers) {
        match cookies_but(inbound, &request.headers, None) {
            Some(rest) => edits.set(COOKIE, rest),
            None => edits.remove(COOKIE),
        }
    }
    if let Some(target) = request.path()
        && inbound.parameters().next().is_some()
    {
        let rest = target_but(inbound, target, None);
        if rest != target {
            edits.set(PATH, rest);
        }
    }
}

/// Puts back what [`strip`] and the removal of headers took off one place.
pub(super) fn keep(inbound: &Inbound, location: &Location, request: &Request, edits: &mut Edits) {
    match location {
        Location::Header(name) => {
            if let Some(value) = request.headers.first(name.as_bytes()) {
                edits.set(name.as_bytes(), value.to_vec());
            }
        }
        Location::Cookie(name) => {
            if let Some(rest) = cookies_but(inbound, &request.headers, Some(name)) {
                edits.set(COOKIE, rest);
            }
        }
        Location::Parameter(name) => {
            if let Some(target) = request.path() {
                // Envoy's default access log and its tracers print this header in place of the path.
                edits.set(ORIGINAL_PATH, target_but(inbound, target, None));
                edits.set(PATH, target_but(inbound, target, Some(name)));
            }
        }
    }
}

/// Takes the parameters of credentials off the path that logs print. One of them may still be on the path itself.
pub(super) fn clean_original_path(inbound: &Inbound, edits: &mut Edits) {
    let set = edits.settings().find(|(name, _)| *name == ORIGINAL_PATH);
    let clean = set.map(|(_, target)| target_but(inbound, target, None));
    if let Some(clean) = clean {
        edits.set(ORIGINAL_PATH, clean);
    }
}

/// All cookies as one header, but for those of credentials, of which one may stay.
fn cookies_but(inbound: &Inbound, headers: &Headers, kept: Option<&str>) -> Option<Vec<u8>> {
    let is_removed = |name: &[u8]| {
        kept.is_none_or(|kept| kept.as_bytes() != name)
            && inbound
                .locations()
                .filter_map(Location::cookie)
                .any(|own| own.as_bytes() == name)
    };
    let rest: Vec<Vec<u8>> = headers
        .all(COOKIE)
        .filter_map(|header| cookie::without(header, is_removed))
        .collect();
    (!rest.is_empty()).then(|| rest.join(b"; ".as_slice()))
}

/// The target without the parameters of credentials, of which one may stay.
fn target_but(inbound: &Inbound, target: &[u8], kept: Option<&str>) -> Vec<u8> {
    query::without(target, |name| {
        kept != Some(name) && inbound.parameters().any(|own| own == name)
    })
}

/// The header of cookies.
pub(super) const COOKIE: &[u8] = b"cookie";
const PATH: &[u8] = b":path";
/// The parameter of bearer tokens (RFC 6750 §2.3).
const ACCESS_TOKEN: &str = "access_token";
