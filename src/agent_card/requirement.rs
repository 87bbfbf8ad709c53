//! Requirements: lists of alternatives, each of schemes that are asked for together (A2A 0.3 §5.5, A2A 1.0 §4.5).
//!
//! They are kept as 0.3 has them, `{"oidc":["a2a.invoke"],"totp":[]}`; 1.0 wraps the same.

use serde_json::{Map, Value};

use super::{MAX_ALTERNATIVES, Requirement, Shape, scheme};

/// The members of a card, or of a skill, that hold them: of two, clients go by the former.
const MEMBERS: [&str; 3] = [V1, "security_requirements", V03];
const V1: &str = "securityRequirements";
const V03: &str = "security";

/// One alternative: the lists of scopes, by the names of their schemes.
type Alternative = Map<String, Value>;

/// What a card declares at its top, as far as it can be read: what cannot is left out, and never read as a call without
/// credentials.
pub(super) fn declared(card: &Map<String, Value>) -> Vec<Alternative> {
    let list = MEMBERS.iter().find_map(|name| card.get(*name)?.as_array());
    let alternatives = list.into_iter().flatten().filter_map(alternative);
    alternatives.take(MAX_ALTERNATIVES).collect()
}

fn alternative(entry: &Value) -> Option<Alternative> {
    let mut read = Map::new();
    let mut bytes: usize = 0;
    for (name, scopes) in schemes(entry)? {
        let scopes = match scopes {
            // Not all servers wrap what they should.
            Value::Array(scopes) => scopes.as_slice(),
            Value::Object(members) if members.is_empty() => &[],
            wrapped => wrapped.get("list")?.as_array()?,
        };
        bytes = bytes.saturating_add(name.len());
        for scope in scopes {
            bytes = bytes.saturating_add(scope.as_str()?.len()).saturating_add(1);
        }
        if bytes > MAX_ALTERNATIVE_BYTES {
            return None;
        }
        read.insert(name.clone(), scopes.into());
    }
    Some(read)
}

/// The members of an alternative that name schemes, in either shape.
fn schemes(entry: &Value) -> Option<&Map<String, Value>> {
    match entry.get("schemes") {
        Some(Value::Object(schemes)) => Some(schemes),
        Some(_) | None => entry.as_object(),
    }
}

/// The schemes that a card's skills name, as the members of an object.
pub(super) fn named_by_skills(card: &Map<String, Value>) -> Map<String, Value> {
    let mut named = Map::new();
    let skills = card.get("skills").and_then(Value::as_array);
    for skill in skills.into_iter().flatten() {
        let lists = MEMBERS.iter().filter_map(|name| skill.get(name)?.as_array());
        for schemes in lists.flatten().filter_map(schemes) {
            named.extend(schemes.keys().map(|name| (name.clone(), Value::Null)));
        }
    }
    named
}

/// What the filter asks for, by the names that its schemes have in the card. An alternative of a scheme that is none is
/// left out: without it, it would ask for less.
pub(super) fn own(alternatives: &[Requirement], names: &[String]) -> Vec<Alternative> {
    let own = alternatives.iter().filter_map(|requirement| {
        let mut own = Map::new();
        for (scheme, scopes) in &requirement.schemes {
            add(
                &mut own,
                names.get(*scheme)?,
                scopes.iter().map(|scope| scope.as_str().into()),
            );
        }
        Some(own)
    });
    own.collect()
}

/// Each of the one with each of the other; where the card has none of its own, ours.
pub(super) fn together(ours: Vec<Alternative>, theirs: Vec<Alternative>) -> Vec<Alternative> {
    if theirs.is_empty() {
        return ours;
    }
    let mut all = Vec::new();
    for (own, other) in ours
        .iter()
        .flat_map(|own| theirs.iter().map(move |other| (own, other)))
    {
        let mut both = own.clone();
        for (name, scopes) in other {
            add(&mut both, name, scopes.as_array().into_iter().flatten().cloned());
        }
        if !all.contains(&both) {
            all.push(both);
        }
        if all.len() == MAX_ALTERNATIVES {
            break;
        }
    }
    all
}

/// Asks for a scheme in an alternative, and for these scopes beside those that are asked of it already.
fn add(alternative: &mut Alternative, name: &str, scopes: impl Iterator<Item = Value>) {
    let list = alternative
        .entry(name)
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list {
        for scope in scopes {
            if !list.contains(&scope) {
                list.push(scope);
            }
        }
    }
}

/// Leaves no list empty for which there is a word.
pub(super) fn fill(alternatives: &mut [Alternative], schemes: &Map<String, Value>) {
    for (name, scopes) in alternatives
        .iter_mut()
        .flat_map(|alternative| alternative.iter_mut())
    {
        if let Value::Array(scopes) = scopes
            && scopes.is_empty()
        {
            let word = schemes
                .get(name)
                .and_then(|definition| scheme::word(name, definition));
            scopes.extend(word.map(Value::from));
        }
    }
}

/// Writes them into a card of this shape, in place of all that stand there.
pub(super) fn write(card: &mut Map<String, Value>, alternatives: Vec<Alternative>, shape: Shape) {
    for name in MEMBERS {
        card.remove(name);
    }
    if alternatives.is_empty() {
        return;
    }
    if shape != Shape::V03 {
        card.insert(V1.into(), alternatives.iter().map(wrapped).collect());
    }
    if shape != Shape::V1 {
        card.insert(V03.into(), alternatives.into_iter().map(Value::Object).collect());
    }
}

/// As 1.0 has it. Clients take a list that is not there for an empty one, and one that is empty too.
fn wrapped(alternative: &Alternative) -> Value {
    let within = |name: &str, value: Value| {
        let mut members = Map::new();
        members.insert(name.into(), value);
        Value::Object(members)
    };
    let mut schemes = Map::new();
    for (name, scopes) in alternative {
        schemes.insert(name.clone(), within("list", scopes.clone()));
    }
    within("schemes", Value::Object(schemes))
}

/// The longest alternative of a card that is asked beside ours, by its names and scopes: with 64 of ours it makes a quarter of
/// a megabyte.
const MAX_ALTERNATIVE_BYTES: usize = 4096;
