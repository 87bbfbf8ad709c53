//! Requirements: lists of alternatives, each of schemes that are asked for together (A2A 0.3 §5.5, A2A 1.0 §4.5).
//!
//! An alternative is kept as 0.3 has it, an object: `{"oidc":["a2a.invoke"],"totp":[]}`; 1.0 wraps the same.

use serde_json::{Map, Value};

use super::scheme::{self, put, within};
use super::{MAX_ALTERNATIVES, Requirement, Shape};

/// The members of a card, or of a skill, that hold them: of two, clients go by the former.
const MEMBERS: [&str; 3] = [V1, "security_requirements", V03];
const V1: &str = "securityRequirements";
const V03: &str = "security";

/// What a card declares at its top, as far as it can be read: what cannot is left out, and never read as a call without
/// credentials.
pub(super) fn declared(card: &Map<String, Value>) -> Vec<Value> {
    let mut declared = Vec::new();
    let list = MEMBERS.iter().find_map(|name| card.get(*name)?.as_array());
    for entry in list.map(Vec::as_slice).unwrap_or_default() {
        declared.extend(alternative(entry));
        if declared.len() == MAX_ALTERNATIVES {
            break;
        }
    }
    declared
}

fn alternative(entry: &Value) -> Option<Value> {
    let mut read = Map::new();
    let mut bytes = MAX_ALTERNATIVE_BYTES;
    for (name, scopes) in schemes(entry)? {
        let scopes = match scopes {
            // Not all servers wrap what they should.
            Value::Array(scopes) => scopes.as_slice(),
            Value::Object(members) if members.is_empty() => &[],
            wrapped => wrapped.get("list")?.as_array()?,
        };
        bytes = room_for(name, bytes)?;
        add(&mut read, name, None);
        for scope in scopes {
            let scope = scope.as_str()?;
            bytes = room_for(scope, bytes)?;
            add(&mut read, name, Some(scope));
        }
    }
    Some(Value::Object(read))
}

/// How many bytes are left behind a name or a scope.
fn room_for(text: &str, bytes: usize) -> Option<usize> {
    bytes.checked_sub(text.len())?.checked_sub(BYTES_BESIDE)
}

/// The members of an alternative that name schemes, in either shape.
fn schemes(entry: &Value) -> Option<&Map<String, Value>> {
    match entry.get("schemes") {
        Some(Value::Object(schemes)) => Some(schemes),
        Some(_) | None => entry.as_object(),
    }
}

/// Of these schemes those that a card's skills name.
pub(super) fn named_by_skills(card: &Map<String, Value>, of: &Map<String, Value>) -> Map<String, Value> {
    let mut named = Map::new();
    for skill in array(card.get("skills")) {
        for member in MEMBERS {
            for entry in array(skill.get(member)) {
                for (name, _) in schemes(entry).into_iter().flatten() {
                    // A skill may name one over and over.
                    if !named.contains_key(name)
                        && let Some(definition) = of.get(name)
                    {
                        put(&mut named, name, definition.clone());
                    }
                }
            }
        }
    }
    named
}

/// The elements of an array; none of what is no array.
pub(super) fn array(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(elements)) => elements,
        _ => &[],
    }
}

/// What the filter asks for, by the names that its schemes have in the card. An alternative of a scheme that is none is
/// left out: without it, it would ask for less.
pub(super) fn own(alternatives: &[Requirement], names: &[String]) -> Vec<Value> {
    let mut own = Vec::new();
    'alternatives: for requirement in alternatives {
        let mut alternative = Map::new();
        for (scheme, scopes) in &requirement.schemes {
            let Some(name) = names.get(*scheme) else {
                continue 'alternatives;
            };
            add(&mut alternative, name, None);
            for scope in scopes {
                add(&mut alternative, name, Some(scope));
            }
        }
        own.push(Value::Object(alternative));
    }
    own
}

/// Each of the one with each of the other; where the card has none of its own, ours.
pub(super) fn together(ours: Vec<Value>, theirs: &[Value]) -> Vec<Value> {
    if theirs.is_empty() {
        return ours;
    }
    let mut all = Vec::new();
    for own in &ours {
        for other in theirs {
            if all.len() == MAX_ALTERNATIVES {
                return all;
            }
            let mut both = own.clone();
            if let Value::Object(both) = &mut both {
                for (name, scopes) in other.as_object().into_iter().flatten() {
                    add(both, name, None);
                    for scope in array(Some(scopes)) {
                        add(both, name, scope.as_str());
                    }
                }
            }
            if !all.contains(&both) {
                all.push(both);
            }
        }
    }
    all
}

/// Asks for a scheme in an alternative, and for a scope beside those that are asked of it already.
fn add(alternative: &mut Map<String, Value>, name: &str, scope: Option<&str>) {
    if !alternative.contains_key(name) {
        put(alternative, name, Value::Array(Vec::new()));
    }
    if let (Some(Value::Array(list)), Some(scope)) = (alternative.get_mut(name), scope)
        && !list.iter().any(|other| other == scope)
    {
        list.push(scope.into());
    }
}

/// Leaves no list empty for which there is a word.
pub(super) fn fill(alternatives: &mut [Value], schemes: &Map<String, Value>) {
    for alternative in alternatives {
        for (name, scopes) in alternative.as_object_mut().into_iter().flatten() {
            if let Value::Array(scopes) = scopes
                && scopes.is_empty()
                && let Some(word) = scheme::word(name, schemes.get(name))
            {
                scopes.push(word.into());
            }
        }
    }
}

/// Writes them into a card of this shape, in place of all that stand there.
pub(super) fn write(card: &mut Map<String, Value>, alternatives: Vec<Value>, shape: Shape) {
    for name in MEMBERS {
        card.remove(name);
    }
    if alternatives.is_empty() {
        return;
    }
    if shape != Shape::V03 {
        let mut wrapped = Vec::new();
        for alternative in &alternatives {
            // Clients take a list that is not there for an empty one, and one that is empty too.
            let mut schemes = Map::new();
            for (name, scopes) in alternative.as_object().into_iter().flatten() {
                put(&mut schemes, name, within("list", scopes.clone()));
            }
            wrapped.push(within("schemes", Value::Object(schemes)));
        }
        put(card, V1, Value::Array(wrapped));
    }
    if shape != Shape::V1 {
        put(card, V03, Value::Array(alternatives));
    }
}

/// The longest alternative of a card that is asked beside ours: 64 of them make less than a megabyte in both shapes, and none
/// has more than 256 names and scopes.
const MAX_ALTERNATIVE_BYTES: usize = 4096;
/// What a name or a scope counts for besides its own bytes.
const BYTES_BESIDE: usize = 16;
