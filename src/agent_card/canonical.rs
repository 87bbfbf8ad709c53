//! The bytes of a card that are signed. The specification has one form for them (A2A 1.0 §8.4.1) and SDKs have others; a
//! verifier takes a card whose signature over its own form is good.
//!
//! It does not sign, and does not change the card. Whoever reads a card otherwise than the SDKs do is not followed.

mod members;
#[cfg(test)]
mod tests;
mod write;

use serde_json::{Map, Value};

use self::members::{CARD, FLAT, Flat, Kind, Member, SCHEME, TRANSPORT, V1, V03, VERSION};
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
        let object = match (self, shape) {
            (Self::Known, Shape::V03) | (Self::Sdk03, Shape::V1) => return None,
            (Self::Document, _) if CLAIMS.iter().any(|claim| members.contains_key(*claim)) => return None,
            (Self::Document | Self::Known | Self::Sdk03, _) => self.object(members, &CARD),
            (Self::Sdk1, _) => self.object(&upgraded(members), &CARD),
        };
        let mut out = String::new();
        self.style().value(&object.ok()?, &mut out);
        Some(out)
    }

    const fn style(self) -> Style {
        match self {
            Self::Document | Self::Known | Self::Sdk1 => Style::Jcs,
            Self::Sdk03 => Style::Python,
        }
    }

    fn object(self, members: &Map<String, Value>, known: &[Member]) -> Result<Value, Unfit> {
        let mut object = Map::new();
        for (name, value) in members {
            let member = known.iter().find(|member| self.is_named(member, name));
            let (name, kind, is_kept) = match member {
                Some(member) if member.name != name && members.contains_key(member.name) => {
                    return Err(Unfit);
                }
                // What is null is not there (ProtoJSON).
                Some(_) if value.is_null() => continue,
                Some(member) => (member.name, &member.kind, member.is_kept()),
                None if self == Self::Document => (name.as_str(), &Kind::Any, true),
                None => continue,
            };
            self.put(&mut object, name, self.value(value, kind, is_kept)?);
        }
        Ok(Value::Object(object))
    }

    /// A member, if it is there at all.
    fn put(self, object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            object.insert(self.style().key(name), value);
        }
    }

    /// The SDKs take the names of their own too, with underscores.
    fn is_named(self, member: &Member, name: &str) -> bool {
        match self {
            Self::Document => member.is_of(V1) && member.name == name,
            Self::Known | Self::Sdk1 => member.is_of(V1) && is_spelled(member.name, name),
            Self::Sdk03 => member.is_of(V03) && is_spelled(member.name, name),
        }
    }

    /// What is left of a value. `is_kept` says that a default is.
    fn value(self, value: &Value, kind: &Kind, is_kept: bool) -> Result<Option<Value>, Unfit> {
        let left = match (kind, value) {
            (Kind::TextOr(default), Value::String(text)) if text == default => return Ok(None),
            (Kind::Flag, Value::Bool(false)) if !is_kept && self != Self::Sdk03 => return Ok(None),
            (Kind::Text | Kind::TextOr(_), Value::String(_)) | (Kind::Flag, Value::Bool(_)) => value.clone(),
            (Kind::List(kind), Value::Array(values)) => self.list(values, kind)?,
            (Kind::Map(kind), Value::Object(members)) => self.map(members, kind)?,
            (Kind::Object(known), Value::Object(members)) => self.object(members, known)?,
            (Kind::Scheme, Value::Object(members)) => {
                let known = match self {
                    Self::Document | Self::Known | Self::Sdk1 => &SCHEME[..],
                    Self::Sdk03 => flat(members).ok_or(Unfit)?.known,
                };
                self.object(members, known)?
            }
            (Kind::Any, Value::Array(values)) => self.list(values, kind)?,
            (Kind::Any, Value::Object(members)) => self.map(members, kind)?,
            (Kind::Any, _) => value.clone(),
            _ if self == Self::Document => return self.value(value, &Kind::Any, true),
            _ => return Err(Unfit),
        };
        let is_left = match self {
            Self::Document | Self::Known => is_kept || !is_empty(&left),
            Self::Sdk1 | Self::Sdk03 => !is_empty(&left),
        };
        Ok(is_left.then_some(left))
    }

    fn list(self, values: &[Value], kind: &Kind) -> Result<Value, Unfit> {
        let mut list = Vec::new();
        for value in values {
            if let Some(value) = self.value(value, kind, true)? {
                list.push(value);
            }
        }
        Ok(Value::Array(list))
    }

    fn map(self, members: &Map<String, Value>, kind: &Kind) -> Result<Value, Unfit> {
        let mut map = Map::new();
        for (name, value) in members {
            self.put(&mut map, name, self.value(value, kind, true)?);
        }
        Ok(Value::Object(map))
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

/// What a flat scheme is.
fn flat(scheme: &Map<String, Value>) -> Option<&'static Flat> {
    let name = scheme.get("type")?.as_str()?;
    FLAT.iter().find(|flat| flat.name == name)
}

/// A card as the SDK 1.3 understands it: what a card of 0.3 says in the words of 1.0. Members that 1.0 does not know stay.
fn upgraded(card: &Map<String, Value>) -> Map<String, Value> {
    let mut card = card.clone();
    if !card.contains_key("supportedInterfaces")
        && let Some(url) = card.get("url").filter(|url| !is_empty(url))
    {
        let interfaces = interfaces(&card, url);
        card.insert("supportedInterfaces".to_owned(), interfaces);
    }
    upgrade_requirements(&mut card);
    if let Some(Value::Array(skills)) = card.get_mut("skills") {
        for skill in skills {
            if let Value::Object(skill) = skill {
                upgrade_requirements(skill);
            }
        }
    }
    if let Some(Value::Object(schemes)) = card.get_mut("securitySchemes") {
        for (_, scheme) in schemes {
            if let Value::Object(scheme) = scheme {
                upgrade_scheme(scheme);
            }
        }
    }
    if let Some(Value::Bool(true)) = card.get("supportsAuthenticatedExtendedCard") {
        let capabilities = card.entry("capabilities").or_insert(Value::Object(Map::new()));
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
    let mut interfaces = vec![interface(url, transport, version)];
    if let Some(Value::Array(others)) = card.get("additionalInterfaces") {
        for other in others {
            let member = |name| other.get(name).unwrap_or(&Value::Null);
            interfaces.push(interface(member("url"), member("transport"), version));
        }
    }
    Value::Array(interfaces)
}

fn interface(url: &Value, transport: &Value, version: &Value) -> Value {
    let mut interface = Map::new();
    for (name, value) in [
        ("url", url),
        ("protocolBinding", transport),
        ("protocolVersion", version),
    ] {
        interface.insert(name.to_owned(), value.clone());
    }
    Value::Object(interface)
}

/// `security` as `securityRequirements`, unless they are there.
fn upgrade_requirements(object: &mut Map<String, Value>) {
    let Some(Value::Array(flat)) = object.get("security") else {
        return;
    };
    if object.contains_key("securityRequirements") {
        return;
    }
    let mut requirements = Vec::new();
    for requirement in flat {
        let mut schemes = Map::new();
        if let Value::Object(flat) = requirement {
            for (name, scopes) in flat {
                schemes.insert(name.clone(), wrapped("list", scopes.clone()));
            }
        }
        requirements.push(wrapped("schemes", Value::Object(schemes)));
    }
    object.insert("securityRequirements".to_owned(), Value::Array(requirements));
}

fn wrapped(name: &str, value: Value) -> Value {
    let mut object = Map::new();
    object.insert(name.to_owned(), value);
    Value::Object(object)
}

/// A flat scheme as a wrapped one. Where both stand in one document, the flat one is it.
fn upgrade_scheme(scheme: &mut Map<String, Value>) {
    let Some(flat) = flat(scheme) else {
        return;
    };
    let mut inner = std::mem::take(scheme);
    if let Some(place) = inner.remove("in") {
        inner.insert("location".to_owned(), place);
    }
    scheme.insert(flat.wrapper.to_owned(), Value::Object(inner));
}

/// What says of a JWT whose and for whom it is (RFC 7519 §4.1), and of an assertion who called. A key may sign those too, and
/// an upstream that writes them into its card must not be handed a token: it is signed without what nobody knows.
const CLAIMS: [&str; 11] = [
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "idp_iss", "peer", "act", "amr",
];
