//! From verified claims to what is forwarded: text of a claim, lists, scopes. Verifies nothing.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The verified claims of a token (RFC 7519 §4).
pub type Claims = Map<String, Value>;

/// Where a claim stands: member names from the outside in, as `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    written: String,
    members: Vec<String>,
}

impl ClaimPath {
    /// From member names parted by dots; `\.` is a dot within a name, `\\` a backslash.
    ///
    /// # Errors
    /// [`ClaimPathError`] for an empty name, another escape, or more than 15 names: a token nests no deeper.
    pub fn parse(written: &str) -> Result<Self, ClaimPathError> {
        let mut members = Vec::new();
        let mut member = String::new();
        let mut characters = written.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => member.push(escaped),
                    Some(_) | None => return Err(ClaimPathError::Escape),
                },
                '.' => members.push(std::mem::take(&mut member)),
                other => member.push(other),
            }
        }
        members.push(member);
        if members.iter().any(String::is_empty) {
            return Err(ClaimPathError::EmptyName);
        }
        if members.len() > MAX_MEMBERS {
            return Err(ClaimPathError::TooDeep);
        }
        Ok(Self {
            written: written.to_owned(),
            members,
        })
    }

    /// The claim in this place. A `null` is an absent claim.
    pub fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        let mut members = self.members.iter();
        let mut value = claims.get(members.next()?)?;
        for member in members {
            value = value.as_object()?.get(member)?;
        }
        (!value.is_null()).then_some(value)
    }

    /// The name at the top level.
    pub fn outermost(&self) -> &str {
        self.members.first().map_or("", String::as_str)
    }

    /// As it was written in the configuration.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

/// What is wrong with a claim path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimPathError {
    /// Two dots in a row, or a dot at an end, or nothing.
    EmptyName,
    /// A backslash before anything but a dot or a backslash.
    Escape,
    /// More names than a token nests.
    TooDeep,
}

impl std::fmt::Display for ClaimPathError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::EmptyName => {
                "has an empty name; write names parted by single dots, and a dot within a name as `\\.`"
            }
            Self::Escape => "has a backslash before something that is no dot and no backslash",
            Self::TooDeep => "has more than 15 names; a token nests no deeper",
        })
    }
}

/// A claim as the text of a header: strings as they are, numbers and booleans as JSON writes them, lists of those
/// joined by the separator. An item that holds the separator has it percent-encoded, so that one item stays one.
/// Objects and lists of lists have no text.
pub fn text(value: &Value, separator: &str) -> Option<String> {
    match value {
        Value::Array(items) => {
            let mut joined = String::new();
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    joined.push_str(separator);
                }
                joined.push_str(&with_ends(
                    &scalar(item)?.replace(separator, &percent_encoded(separator)),
                ));
            }
            Some(joined)
        }
        other => scalar(other).map(|text| with_ends(&text)),
    }
}

/// Whether a claim holds one of the values: as its text, or as the text of one item of a list.
pub fn holds_any(value: &Value, wanted: &[String]) -> bool {
    match value {
        Value::Array(items) => items.iter().filter_map(scalar).any(|item| wanted.contains(&item)),
        other => scalar(other).is_some_and(|text| wanted.contains(&text)),
    }
}

/// The scopes of a token: of the first of these claims that is present, a string parted by spaces (RFC 8693 §4.2) or
/// a list of strings. What is no scope-token (RFC 6749 §3.3), such as a list item with a space, is no scope.
pub fn scopes(claims: &Claims, scope_claims: &[ClaimPath]) -> Vec<String> {
    let Some(value) = scope_claims.iter().find_map(|claim| claim.find(claims)) else {
        return Vec::new();
    };
    let candidates: Vec<&str> = match value {
        Value::String(text) => text.split(' ').collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    candidates
        .into_iter()
        .filter(|candidate| is_scope_token(candidate))
        .map(str::to_owned)
        .collect()
}

/// Whether a text is a scope-token (RFC 6749 §3.3).
pub fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// The JSON object that `rb-auth-claims` carries: members with non-empty text in this order, ASCII only.
pub fn ascii_object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut object = String::from("{");
    for (name, value) in members.into_iter().filter(|(_, value)| !value.is_empty()) {
        if object.len() > 1 {
            object.push(',');
        }
        push_ascii_string(&mut object, name);
        object.push(':');
        push_ascii_string(&mut object, &value);
    }
    object.push('}');
    object
}

/// A claim as a member of `rb-auth-claims`: a string, or a list of strings joined by spaces. Anything else never
/// appears there.
pub fn string_or_strings(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(" ")),
        _ => None,
    }
}

/// Percent-encodes control characters, which RFC 9110 §5.5 forbids in a field value, so that no claim can break out of
/// its header.
pub fn header_value(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|character| match character.is_control() {
            true => percent_encoded(character.encode_utf8(&mut [0; 4])),
            false => character.to_string(),
        })
        .collect()
}

/// Percent-encodes white space at the ends, which is lost on the way (RFC 9110 §5.5): `admin ` is not `admin`.
fn with_ends(text: &str) -> String {
    let inner = text.trim();
    match text.split_once(inner) {
        _ if inner.len() == text.len() => text.to_owned(),
        Some((before, after)) => format!("{}{inner}{}", percent_encoded(before), percent_encoded(after)),
        None => percent_encoded(text),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        // Writing to a string cannot fail.
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}

/// A JSON string (RFC 8259 §7) in which everything but printable ASCII is `\uXXXX`.
fn push_ascii_string(target: &mut String, text: &str) {
    target.push('"');
    for character in text.chars() {
        match character {
            '"' => target.push_str("\\\""),
            '\\' => target.push_str("\\\\"),
            ' '..='~' => target.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(target, "\\u{unit:04x}");
                }
            }
        }
    }
    target.push('"');
}

/// A token is an object of depth at most 16; the value in the path's last place takes one.
const MAX_MEMBERS: usize = 15;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn paths() {
        let claims =
            claims(json!({"realm_access": {"roles": ["a"]}, "https://a.example/x": 1, "null": null}));
        let find = |path: &str| ClaimPath::parse(path).unwrap().find(&claims).cloned();
        assert_eq!(find("realm_access.roles"), Some(json!(["a"])));
        assert_eq!(find("https://a\\.example/x"), Some(json!(1)));
        assert_eq!(find("realm_access.roles.a"), None);
        assert_eq!(find("null"), None);
        assert_eq!(ClaimPath::parse(""), Err(ClaimPathError::EmptyName));
        assert_eq!(ClaimPath::parse("a..b"), Err(ClaimPathError::EmptyName));
        assert_eq!(ClaimPath::parse("a\\b"), Err(ClaimPathError::Escape));
        assert_eq!(ClaimPath::parse("a\\"), Err(ClaimPathError::Escape));
        assert_eq!(
            ClaimPath::parse(&["a"; 16].join(".")),
            Err(ClaimPathError::TooDeep)
        );
    }

    #[test]
    fn texts() {
        assert_eq!(text(&json!("a,b"), ","), Some("a,b".into()));
        assert_eq!(text(&json!(["a", 1, true]), ","), Some("a,1,true".into()));
        assert_eq!(text(&json!(["a,admin"]), ","), Some("a%2Cadmin".into()));
        assert_eq!(text(&json!("admin "), ","), Some("admin%20".into()));
        assert_eq!(text(&json!([" a", " "]), ","), Some("%20a,%20".into()));
        assert_eq!(text(&json!({"a": 1}), ","), None);
        assert_eq!(text(&json!([["a"]]), ","), None);
        assert_eq!(header_value("a\r\nx: b\u{85}ü"), "a%0D%0Ax: b%C2%85ü");
    }

    #[test]
    fn scope_claims() {
        let paths = [
            ClaimPath::parse("scope").unwrap(),
            ClaimPath::parse("scp").unwrap(),
        ];
        assert_eq!(
            scopes(&claims(json!({"scope": "a b", "scp": ["c"]})), &paths),
            ["a", "b"]
        );
        assert_eq!(
            scopes(&claims(json!({"scp": ["c", "d admin", 1]})), &paths),
            ["c"]
        );
        assert_eq!(scopes(&claims(json!({"scope": {}})), &paths), [""; 0]);
    }

    #[test]
    fn values() {
        assert!(holds_any(&json!(["a", "admin"]), &["admin".into()]));
        assert!(holds_any(&json!(true), &["true".into()]));
        assert!(!holds_any(&json!("administrator"), &["admin".into()]));
        assert!(!holds_any(&json!({"admin": true}), &["admin".into()]));
    }

    #[test]
    fn ascii_objects() {
        let members = [
            ("sub", "a\"\\\n".to_owned()),
            ("name", "ü😀".to_owned()),
            ("iss", String::new()),
        ];
        assert_eq!(
            ascii_object(members),
            r#"{"sub":"a\"\\\u000a","name":"\u00fc\ud83d\ude00"}"#
        );
        assert_eq!(ascii_object([]), "{}");
        assert_eq!(string_or_strings(&json!(["a", "b"])), Some("a b".into()));
        assert_eq!(string_or_strings(&json!(["a", 1])), None);
        assert_eq!(string_or_strings(&json!(1)), None);
    }
}
