//! From bytes to the tree of a configuration. Three spellings give the same tree: JSON, a serialized
//! `google.protobuf.Struct`, and (through [`serde::Deserialize`]) the YAML that a person writes.
//!
//! It knows no member of the configuration; the readers of the sections do.

use std::fmt;

use prost::Message as _;
use prost_types::value::Kind as StructKind;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::config::path::Path;
use crate::config::problem::{DocumentProblem, Error, Kind};
use crate::json;
use crate::secret::Secret;

/// A configuration as a tree, members in the order in which they were written.
///
/// Every text may be a secret that somebody wrote into the wrong place, so none is printed by `Debug`.
#[derive(Debug, Clone)]
pub enum Document {
    /// Nothing: the same as a member that is not there.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A finite number.
    Number(Number),
    /// A text.
    Text(Secret<String>),
    /// A list.
    List(Vec<Document>),
    /// Named members.
    Object(Vec<(String, Document)>),
}

impl Document {
    /// From the bytes that Envoy hands to a plugin: JSON, or a serialized `google.protobuf.Struct`.
    ///
    /// A `StringValue` arrives as its text and a `Struct` as protobuf, with nothing to tell them apart, and both may
    /// begin with `\n{`. JSON is tried first: its syntax leaves no room for protobuf.
    ///
    /// # Errors
    /// Neither is there, or what is there nests deeper than 32, holds a member twice, or a number that is not finite.
    pub(super) fn from_plugin_configuration(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.trim_ascii().is_empty() {
            return Err(Error::at_root(DocumentProblem::Empty));
        }
        match Self::from_json(bytes) {
            Err(syntax @ (json::Error::Syntax { .. } | json::Error::NotUtf8 { .. })) => {
                match decode_struct(bytes) {
                    Some(decoded) => from_struct(&decoded, &Path::root()),
                    None => Err(Error::at_root(DocumentProblem::NeitherJsonNorStruct(syntax))),
                }
            }
            other => other.map_err(|error| Error::at_root(DocumentProblem::Json(error))),
        }
    }

    /// From the text of one JSON object.
    ///
    /// # Errors
    /// What [`json::object`] refuses: above all syntax, and members that stand twice.
    pub fn from_json(bytes: &[u8]) -> Result<Self, json::Error> {
        // The strict reader decides; it does not keep the order of members, so its result only serves as a verdict.
        json::object(bytes, MAX_DEPTH)?;
        serde_json::from_slice(bytes).map_err(|error| json::Error::Syntax {
            line: error.line(),
            column: error.column(),
        })
    }

    /// A member of an object. One that is null is as good as absent.
    pub fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        let (_, value) = members.iter().find(|(other, _)| other == name)?;
        (!matches!(value, Self::Null)).then_some(value)
    }

    /// What kind of value this is.
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Flag(_) => Kind::Flag,
            Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
            Self::List(_) => Kind::List,
            Self::Object(_) => Kind::Object,
        }
    }

    /// The same as JSON, for the parts of a configuration that have a format of their own (RFC 7517).
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.expose().clone()),
            Self::List(entries) => Value::Array(entries.iter().map(Self::to_json).collect()),
            Self::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    fn text(text: String) -> Self {
        Self::Text(Secret::new(text))
    }

    /// A number as a protobuf or a JSON text with a point writes it: `30.0` is the integer 30.
    #[expect(
        clippy::as_conversions,
        reason = "a whole number within the range of an i64 is that integer; no other conversion exists, and to print \
                  it and read it again takes a hundredth of the module"
    )]
    fn number(number: f64) -> Option<Self> {
        match number.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&number) {
            true => Some(Self::Number((number as i64).into())),
            false => Number::from_f64(number).map(Self::Number),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    /// Takes what the format gives. That members stand once, and that nesting has an end, is for the format's reader
    /// to say.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a configuration")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_none<E>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Document, E> {
        Ok(Document::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Document, E> {
        Ok(Document::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Document, E> {
        Ok(Document::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Document, E> {
        Document::number(value).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Document, E> {
        Ok(Document::text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Document, E> {
        Ok(Document::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Document::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry::<String, Document>()? {
            object.push(member);
        }
        Ok(Document::Object(object))
    }
}

/// A `Struct`, if the bytes are one and nothing else.
///
/// Protobuf skips fields that it does not know and lets the last of two entries win. What was skipped is missing
/// when the result is written again, so that only bytes count of which every one was understood.
fn decode_struct(bytes: &[u8]) -> Option<prost_types::Struct> {
    prost_types::Struct::decode(bytes)
        .ok()
        .filter(|decoded| decoded.encoded_len() == bytes.len())
}

fn from_struct(decoded: &prost_types::Struct, path: &Path<'_>) -> Result<Document, Error> {
    if path.depth() >= MAX_DEPTH {
        return Err(Error::new(path, DocumentProblem::TooDeep(MAX_DEPTH)));
    }
    let member = |(name, value): (&String, &prost_types::Value)| {
        Ok((name.clone(), from_struct_value(value, &path.member(name))?))
    };
    decoded
        .fields
        .iter()
        .map(member)
        .collect::<Result<_, _>>()
        .map(Document::Object)
}

fn from_struct_value(value: &prost_types::Value, path: &Path<'_>) -> Result<Document, Error> {
    match &value.kind {
        None => Err(Error::new(path, DocumentProblem::NoValue)),
        Some(StructKind::NullValue(_)) => Ok(Document::Null),
        Some(StructKind::BoolValue(flag)) => Ok(Document::Flag(*flag)),
        Some(StructKind::NumberValue(number)) => {
            Document::number(*number).ok_or_else(|| Error::new(path, DocumentProblem::NotFinite))
        }
        Some(StructKind::StringValue(text)) => Ok(Document::text(text.clone())),
        Some(StructKind::StructValue(inner)) => from_struct(inner, path),
        Some(StructKind::ListValue(_)) if path.depth() >= MAX_DEPTH => {
            Err(Error::new(path, DocumentProblem::TooDeep(MAX_DEPTH)))
        }
        Some(StructKind::ListValue(inner)) => {
            let entry = |(index, value)| from_struct_value(value, &path.index(index));
            inner
                .values
                .iter()
                .enumerate()
                .map(entry)
                .collect::<Result<_, _>>()
                .map(Document::List)
        }
    }
}

/// Ours: the deepest member of a configuration, a key of an inline key set, stands in nine objects and lists.
pub const MAX_DEPTH: usize = 32;

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
