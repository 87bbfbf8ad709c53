//! What a token says, in words for a person.

use std::path::Path;

use peergate_filter::mint::Decoded;
use peergate_filter::visible::is_invisible;
use serde_json::{Map, Value};

use super::refused::Refused;
use super::tell;
use crate::cli::secrets;

/// Header and claims as JSON on the standard output; beside it, that nobody has verified them, and when the times are.
pub(super) fn decode(from: Option<&Path>) -> Result<String, Refused> {
    let text = secrets::from(from)?;
    let text = secrets::without_line_end(&text).ok_or(Refused::NothingToDecode)?;
    let decoded = Decoded::parse(&text).map_err(Refused::NoToken)?;
    tell("not verified: whoever wrote this token can have written anything");
    for claim in ["iat", "nbf", "exp"] {
        if let Some(time) = decoded.time(claim) {
            tell(&format!("{claim}: {time}"));
        }
    }
    // By hand, for the library would put the claims first.
    let indented = |object| json_text(object).replace('\n', "\n  ");
    let (header, claims) = (indented(decoded.header), indented(decoded.claims));
    Ok(format!("{{\n  \"header\": {header},\n  \"claims\": {claims}\n}}"))
}

/// JSON of the same meaning, in which what nobody sees is escaped (RFC 8259 §7): the token's author wrote it.
fn json_text(object: Map<String, Value>) -> String {
    let text = format!("{:#}", Value::Object(object));
    let mut output = String::with_capacity(text.len());
    for character in text.chars() {
        // The line feeds are the library's; those of the token are escaped already.
        match character != '\n' && is_invisible(character) {
            true => {
                let mut halves = [0; 2];
                for half in character.encode_utf16(&mut halves) {
                    output.push_str(&format!("\\u{half:04x}"));
                }
            }
            false => output.push(character),
        }
    }
    output
}
