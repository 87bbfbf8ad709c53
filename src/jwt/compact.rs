//! The form of a token: three segments of base64url, the first of which is the header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::MAX_DEPTH;
use super::error::{Error, Malformed, Segment};
use crate::excerpt::Excerpt;
use crate::json;
use crate::jwks::{Algorithm, MAX_KID_BYTES};

/// A token taken apart and decoded. Nothing of it is verified.
#[derive(Debug)]
pub(super) struct Compact<'token> {
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// The first two segments and the dot between them (RFC 7515 §5.2).
    pub(super) signing_input: &'token [u8],
    pub(super) payload_segment: &'token str,
}

impl<'token> Compact<'token> {
    /// The length comes first and all else is one pass over at most `limit` bytes. Decoding is canonical: no padding
    /// and no stray bits, so a token has one form only.
    pub(super) fn parse(token: &'token [u8], limit: usize) -> Result<Self, Error> {
        if token.len() > limit {
            return Err(Error::TooLong {
                bytes: token.len(),
                limit,
            });
        }
        let text = ascii(token)?;
        let (header, payload, signature) = segments(text)?;
        let signed = text.len().saturating_sub(signature.len()).saturating_sub(1);
        Ok(Self {
            header: decode(header, Segment::Header)?,
            payload: decode(payload, Segment::Payload)?,
            signature: decode(signature, Segment::Signature)?,
            signing_input: token.get(..signed).unwrap_or_default(),
            payload_segment: payload,
        })
    }
}

/// What is used of a header (RFC 7515 §4.1).
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut members = json::object(bytes, MAX_DEPTH).map_err(|error| {
            Error::Malformed(Malformed::Json {
                segment: Segment::Header,
                error,
            })
        })?;
        let kid = take_text(&mut members, "kid")?;
        if let Some(bytes) = kid
            .as_ref()
            .map(String::len)
            .filter(|bytes| *bytes > MAX_KID_BYTES)
        {
            return Err(Error::Malformed(Malformed::KidTooLong { bytes }));
        }
        let name = take_text(&mut members, "alg")?
            .ok_or(Error::Malformed(Malformed::HeaderMember { name: "alg" }))?;
        let algorithm = Algorithm::from_name(&name).ok_or_else(|| Error::AlgorithmNotAllowed {
            algorithm: Excerpt::new(&name),
        })?;
        // RFC 7797 §6: `b64` must be listed in `crit`, but a token that leaves it out there is refused as well.
        if members
            .get("b64")
            .is_some_and(|value| *value != Value::Bool(true))
        {
            return Err(Error::UnencodedPayload);
        }
        // RFC 7515 §4.1.11: what is listed must be understood, and no extension is. An empty list is an error too.
        if members.contains_key("crit") {
            return Err(Error::CriticalHeader);
        }
        let typ = take_text(&mut members, "typ")?;
        Ok(Self { algorithm, kid, typ })
    }

    pub(super) fn algorithm_not_allowed(&self) -> Error {
        Error::AlgorithmNotAllowed {
            algorithm: Excerpt::new(self.algorithm.name()),
        }
    }
}

/// The token as text, if it has no character but those of base64url and the dot.
fn ascii(token: &[u8]) -> Result<&str, Error> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bad = |offset| Error::Malformed(Malformed::Character { offset });
    match token.iter().position(|byte| !allowed(byte)) {
        Some(offset) => Err(bad(offset)),
        None => std::str::from_utf8(token).map_err(|error| bad(error.valid_up_to())),
    }
}

fn segments(text: &str) -> Result<(&str, &str, &str), Error> {
    let mut segments = text.splitn(4, '.');
    match (segments.next(), segments.next(), segments.next(), segments.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok((header, payload, signature)),
        _ => match text.split('.').count() {
            // RFC 7516 §3.1: the compact form of a JWE.
            5 => Err(Error::Encrypted),
            count => Err(Error::Malformed(Malformed::Segments { count })),
        },
    }
}

fn decode(text: &str, segment: Segment) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Error::Malformed(Malformed::Base64 { segment }))
}

/// A header member that must be a string where it is there.
fn take_text(members: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, Error> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::Malformed(Malformed::HeaderMember { name })),
    }
}
