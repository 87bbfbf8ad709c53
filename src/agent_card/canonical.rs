//! The bytes of a card that are signed. The specification has one form for them (A2A 1.0 §8.4.1) and SDKs have others; a
//! verifier takes a card whose signature over its own form is good.
//!
//! It does not sign, and does not change the card. Whoever reads a card otherwise than the SDKs do is not followed.

mod members;
#[cfg(test)]
mod tests;
mod write;

use serde_json::{Map, Value};

use self::members::{CARD, Kind, Member, SCHEME, SCHEME_TYPES, TRANSPORT, V1, V03, VERSION};
use self::write::Style;
use super::Shape;

/// What of a card is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A2A 1.0 §8.4.1 over the document: RFC 8785, members that 1.0 knows left out where their value is the default that
    /// their absence means too. Members that it does not know are signed as they are.
    Document,
    /// A2A 1.0 §8.4.1 over what a reader of 1.0 keeps of the document: without the members that it does not know.
    Known,
    /// a2a-sdk 1.3 (and its sister in JavaScript): what 1.0 knows, a card of 0.3 brought into the shape of 1.0, then without
    /// anything empty at any depth, in RFC 8785.
    Sdk1,
    /// a2a-sdk 0.3.26: what 0.3 knows, without defaults and anything empty at any depth, as Python writes JSON.
    Sdk03,
}

/// A value is not of the kind that its member holds, or a member stands there in two spellings.
struct Unfit;

impl Form {
    /// All of them. The specification's come first, for who looks no further.
    pub(super) const ALL: [Self; 4] = [Self::Document, Self::Known, Self::Sdk1, Self::Sdk03];

    /// What is signed of a card without its signatures, as this form has it. `None` if cards of this shape have none, or
    /// this card has none.
    pub(super) fn of(self, members: &Map<String, Value>, shape: Shape) -> Option<String> {
        let canonical = match (self, shape) {
            (Self::Known, Shape::V03) | (Self::Sdk03, Shape::V1) => return None,
            (Self::Document | Self::Known | Self::Sdk03, _) => self.object(members, &CARD),
            (Self::Sdk1, _) => self.object(&upgraded(members), &CARD),
        };
        let mut out = String::new();
        self.style().object(&canonical.ok()?, &mut out);
        Some(out)
    }

    const fn style(self) -> Style {
        match self {
            Self::Document | Self::Known | Self::Sdk1 => Style::Jcs,
            Self::Sdk03 => Style::Python,
        }
    }

    /// Whether nothing empty is left anywhere.
    const fn cleans(self) -> bool {
        matches!(self, Self::Sdk1 | Self::Sdk03)
    }

    fn object(self, members: &Map<String, Value>, known: &[Member]) -> Result<Map<String, Value>, Unfit> {
        let mut object = Map::new();
        for (name, value) in members {
            let Some(member) = known.iter().find(|member| self.is_named(member, name)) else {
                if self == Self::Document {
                    object.extend(self.any(value).map(|value| (self.style().key(name), value)));
                }
                continue;
            };
            if member.name != name && members.contains_key(member.name) {
                return Err(Unfit);
            }
            // What is null is not there (ProtoJSON).
            if !value.is_null()
                && let Some(value) = self.value(value, &member.kind, member.is_kept())?
            {
                object.insert(member.name.to_owned(), value);
            }
        }
        Ok(object)
    }

    /// The SDKs take the names of their own too, with underscores.
    fn is_named(self, member: &Member, name: &str) -> bool {
        match self {
            Self::Document => member.is_of(V1) && member.name == name,
            Self::Known | Self::Sdk1 => member.is_of(V1) && is_spelled(member.name, name),
            Self::Sdk03 => member.is_of(V03) && is_spelled(member.name, name),
        }
    }

    /// What is left of a value. `is_kept` says that its default is.
    fn value(self, value: &Value, kind: &Kind, is_kept: bool) -> Result<Option<Value>, Unfit> {
        let left: Value = match (kind, value) {
            (Kind::Any, value) => return Ok(self.any(value)),
            (Kind::TextOr(default), Value::String(text)) if text == default => return Ok(None),
            (Kind::Text | Kind::TextOr(_), Value::String(_)) => value.clone(),
            (Kind::Flag, Value::Bool(false)) if !is_kept && self != Self::Sdk03 => return Ok(None),
            (Kind::Flag, Value::Bool(_)) => value.clone(),
            (Kind::List(kind), Value::Array(values)) => {
                let mut list = Vec::new();
                for value in values {
                    list.extend(self.value(value, kind, true)?);
                }
                list.into()
            }
            (Kind::Map(kind), Value::Object(members)) => {
                let mut map = Map::new();
                for (name, value) in members {
                    let value = self.value(value, kind, true)?;
                    map.extend(value.map(|value| (self.style().key(name), value)));
                }
                map.into()
            }
            (Kind::Object(known), Value::Object(members)) => return self.nested(members, known),
            (Kind::Scheme, Value::Object(members)) if self == Self::Sdk03 => {
                match scheme(members).map(|member| &member.kind) {
                    Some(Kind::Object(known)) => return self.nested(members, known),
                    _ => return Err(Unfit),
                }
            }
            (Kind::Scheme, Value::Object(members)) => return self.nested(members, &SCHEME),
            _ if self == Self::Document => return Ok(self.any(value)),
            _ => return Err(Unfit),
        };
        Ok((is_kept && !self.cleans() || !is_empty(&left)).then_some(left))
    }

    /// An object that is there is told from one that is not, even if it is empty.
    fn nested(self, members: &Map<String, Value>, known: &[Member]) -> Result<Option<Value>, Unfit> {
        let object = Value::Object(self.object(members, known)?);
        Ok((!self.cleans() || !is_empty(&object)).then_some(object))
    }

    /// What is left of a value of any kind.
    fn any(self, value: &Value) -> Option<Value> {
        let left = match value {
            Value::Array(values) => values.iter().filter_map(|value| self.any(value)).collect(),
            Value::Object(members) => {
                let left = members
                    .iter()
                    .filter_map(|(name, value)| Some((self.style().key(name), self.any(value)?)));
                Value::Object(left.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        };
        (!self.cleans() || !is_empty(&left)).then_some(left)
    }
}

/// Whether a name is this one, or this one as Protocol Buffers and Python spell it: `iconUrl`, `icon_url`.
fn is_spelled(member: &str, name: &str) -> bool {
    if member == name {
        return true;
    }
    let mut rest = name.chars();
    member.chars().all(|character| {
        let is_upper = character.is_ascii_uppercase();
        (!is_upper || rest.next() == Some('_')) && rest.next() == Some(character.to_ascii_lowercase())
    }) && rest.next().is_none()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A flat scheme's place in a wrapped one.
fn scheme(flat: &Map<String, Value>) -> Option<&'static Member> {
    let name = flat.get("type")?.as_str()?;
    let types = SCHEME_TYPES.iter().zip(&SCHEME);
    types
        .filter(|(other, _)| **other == name)
        .map(|(_, member)| member)
        .next()
}

/// A card as the SDK 1.3 understands it: what a card of 0.3 says in the words of 1.0. Members that 1.0 does not know stay.
fn upgraded(card: &Map<String, Value>) -> Map<String, Value> {
    let mut card = card.clone();
    if !card.contains_key("supportedInterfaces")
        && let Some(url) = card.get("url").filter(|url| !is_empty(url))
    {
        let interfaces = interfaces(&card, url);
        card.insert("supportedInterfaces".into(), interfaces);
    }
    upgrade_requirements(&mut card);
    if let Some(Value::Array(skills)) = card.get_mut("skills") {
        skills
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(upgrade_requirements);
    }
    if let Some(Value::Object(schemes)) = card.get_mut("securitySchemes") {
        schemes
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(upgrade_scheme);
    }
    if let Some(Value::Bool(true)) = card.get("supportsAuthenticatedExtendedCard") {
        let capabilities = card.entry("capabilities").or_insert_with(|| Map::new().into());
        if let Value::Object(capabilities) = capabilities {
            capabilities
                .entry("extendedAgentCard")
                .or_insert(Value::Bool(true));
        }
    }
    card
}

/// The interfaces of a card of 0.3, all in its version; the preferred one is at `url`.
fn interfaces(card: &Map<String, Value>, url: &Value) -> Value {
    let (transport, version) = (Value::from(TRANSPORT), Value::from(VERSION));
    let transport = card.get("preferredTransport").unwrap_or(&transport);
    let version = card.get("protocolVersion").unwrap_or(&version);
    let interface = |url: Option<&Value>, transport: Option<&Value>| {
        let members = [
            ("url", url),
            ("protocolBinding", transport),
            ("protocolVersion", Some(version)),
        ];
        let mut interface = Map::new();
        for (name, value) in members {
            interface.extend(value.map(|value| (name.to_owned(), value.clone())));
        }
        Value::Object(interface)
    };
    let mut interfaces = vec![interface(Some(url), Some(transport))];
    if let Some(Value::Array(others)) = card.get("additionalInterfaces") {
        interfaces.extend(
            others
                .iter()
                .map(|other| interface(other.get("url"), other.get("transport"))),
        );
    }
    interfaces.into()
}

/// `security` as `securityRequirements`, unless they are there.
fn upgrade_requirements(object: &mut Map<String, Value>) {
    let Some(Value::Array(flat)) = object.get("security") else {
        return;
    };
    if object.contains_key("securityRequirements") {
        return;
    }
    let wrap = |name: &str, value: Value| Value::Object(Map::from_iter([(name.to_owned(), value)]));
    let mut requirements = Vec::new();
    for requirement in flat {
        let mut schemes = Map::new();
        for (name, scopes) in requirement.as_object().into_iter().flatten() {
            schemes.insert(name.clone(), wrap("list", scopes.clone()));
        }
        requirements.push(wrap("schemes", schemes.into()));
    }
    object.insert("securityRequirements".into(), requirements.into());
}

/// A flat scheme as a wrapped one. Where both stand in one document, the flat one is it.
fn upgrade_scheme(flat: &mut Map<String, Value>) {
    let Some(member) = scheme(flat) else {
        return;
    };
    let mut inner = std::mem::take(flat);
    if member.name == "apiKeySecurityScheme"
        && let Some(place) = inner.remove("in")
    {
        inner.insert("location".into(), place);
    }
    flat.insert(member.name.into(), inner.into());
}
