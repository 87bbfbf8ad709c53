//! What a token says, in words for a person.

use std::path::Path;

use peergate_filter::mint::Decoded;
use serde_json::Value;

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
    let indented = |object| format!("{:#}", Value::Object(object)).replace('\n', "\n  ");
    let (header, claims) = (indented(decoded.header), indented(decoded.claims));
    Ok(format!("{{\n  \"header\": {header},\n  \"claims\": {claims}\n}}"))
}
