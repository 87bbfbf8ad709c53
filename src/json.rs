//! Strict JSON objects, for whatever a decision rests on: token headers, claims, key sets, policies.
//!
//! Two readers that see different values in the same bytes are a way around a check, so what RFC 8259 leaves
//! open is refused here: duplicate members (compared after unescaping, at every depth), a byte order mark,
//! anything that is not UTF-8, numbers that are not finite, and nesting beyond a limit. Reading stops at the first
//! of these; nothing behind it is looked at.
//!
//! It does not limit the length, which is the caller's to do, and it does not keep the order of members.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::excerpt::Excerpt;

/// Reads one JSON object, and nothing but white space around it.
///
/// `max_depth` counts arrays and objects that stand in each other, the object itself being 1. Above 127 the limit
/// of `serde_json` comes first and is reported as [`Error::Syntax`].
///
/// # Errors
/// The first [`Error`] in the order of the bytes.
pub fn object(bytes: &[u8], max_depth: usize) -> Result<Map<String, Value>, Error> {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return Err(Error::ByteOrderMark);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    let refusal = RefCell::new(None);
    let reader = Reader {
        depth: 1,
        max_depth,
        refusal: &refusal,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = reader
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Error::NotAnObject),
        Err(error) => Err(refusal.take().unwrap_or_else(|| Error::Syntax {
            line: error.line(),
            column: error.column(),
        })),
    }
}

/// Why bytes are no acceptable JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The bytes are not UTF-8 (RFC 8259 §8.1).
    NotUtf8 {
        /// How many bytes before the fault are good.
        offset: usize,
    },
    /// A byte order mark stands before the text (RFC 8259 §8.1).
    ByteOrderMark,
    /// The text is no JSON, or holds a number that is not finite.
    Syntax {
        /// The line of the fault, from 1.
        line: usize,
        /// The column of the fault, from 1; 0 at the end of the line before.
        column: usize,
    },
    /// The text is JSON, but no object.
    NotAnObject,
    /// A member stands twice in one object (RFC 8259 §4).
    DuplicateMember {
        /// Its name, after unescaping.
        name: Excerpt,
    },
    /// Arrays and objects stand in each other too often.
    TooDeep {
        /// The depth allowed.
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { offset } => write!(formatter, "not UTF-8 after {offset} bytes"),
            Self::ByteOrderMark => formatter.write_str("starts with a byte order mark"),
            Self::Syntax { line, column } => {
                write!(formatter, "invalid JSON at line {line} column {column}")
            }
            Self::NotAnObject => formatter.write_str("not a JSON object"),
            Self::DuplicateMember { name } => write!(formatter, "duplicate member `{name}`"),
            Self::TooDeep { limit } => write!(formatter, "nested deeper than {limit}"),
        }
    }
}

impl std::error::Error for Error {}

/// Reads one value. `serde_json` carries only texts as errors, so a refusal of ours travels beside it.
#[derive(Clone, Copy)]
struct Reader<'a> {
    /// The depth that an array or object has which starts here.
    depth: usize,
    max_depth: usize,
    refusal: &'a RefCell<Option<Error>>,
}

impl Reader<'_> {
    /// The reader of what stands inside, if the array or object that starts here is not too deep.
    fn enter<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth > self.max_depth {
            return Err(self.refuse(Error::TooDeep {
                limit: self.max_depth,
            }));
        }
        Ok(Self {
            depth: self.depth.saturating_add(1),
            ..self
        })
    }

    fn refuse<E: serde::de::Error>(self, refusal: Error) -> E {
        let error = E::custom(&refusal);
        self.refusal.replace(Some(refusal));
        error
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // The parser has refused `1e400` already; this keeps it refused should the parser change.
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.enter()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.enter()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(Error::DuplicateMember {
                    name: Excerpt::new(&name),
                }));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, Error> {
        object(text.as_bytes(), 16).map(Value::Object)
    }

    fn duplicate(name: &str) -> Result<Value, Error> {
        Err(Error::DuplicateMember {
            name: Excerpt::new(name),
        })
    }

    #[test]
    fn values_are_read_as_serde_json_reads_them() {
        let text = r#" {"a": [1, -2, 1.7e9, true, null, "é\u00e9"], "b": {"c": {}}, "": 18446744073709551615}
        "#;
        let expected = json!({"a": [1, -2, 1.7e9, true, null, "éé"], "b": {"c": {}}, "": u64::MAX});
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn duplicates_are_refused_after_unescaping_and_at_every_depth() {
        assert_eq!(read(r#"{"a":1,"a":1}"#), duplicate("a"));
        assert_eq!(read(r#"{"exp":1,"\u0065xp":2}"#), duplicate("exp"));
        assert_eq!(read(r#"{"a":[{"b":{"c":1,"c":2}}]}"#), duplicate("c"));
        assert_eq!(read(r#"{"a":1,"a":"#), duplicate("a"));
        assert_eq!(
            read(r#"{"a":{"b":1},"c":{"b":1}}"#),
            Ok(json!({"a":{"b":1},"c":{"b":1}}))
        );
        assert_eq!(read(r#"{"exp":1,"Exp":2}"#), Ok(json!({"exp":1,"Exp":2})));
    }

    #[test]
    fn depth_counts_the_object_itself() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(read(&nested(16)).is_ok());
        assert_eq!(read(&nested(17)), Err(Error::TooDeep { limit: 16 }));
        assert_eq!(object(b"{}", 1), Ok(Map::new()));
        assert_eq!(object(b"{\"a\":[]}", 1), Err(Error::TooDeep { limit: 1 }));
        assert_eq!(
            object(format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes(), 16),
            Err(Error::TooDeep { limit: 16 })
        );
    }

    #[test]
    fn nothing_behind_the_limit_is_read() {
        // Were it read, the syntax fault behind would be the answer.
        assert_eq!(object(br#"{"a":[[!]]}"#, 2), Err(Error::TooDeep { limit: 2 }));
    }

    #[test]
    fn encoding() {
        assert_eq!(object(b"\xef\xbb\xbf{}", 16), Err(Error::ByteOrderMark));
        assert_eq!(object(b"{\"a\":\"\xff\"}", 16), Err(Error::NotUtf8 { offset: 6 }));
        assert_eq!(
            object(b"{\0\"\0}\0", 16),
            Err(Error::Syntax { line: 1, column: 2 })
        );
        assert_eq!(
            read(r#"{"a":"\ud800"}"#),
            Err(Error::Syntax { line: 1, column: 13 })
        );
    }

    #[test]
    fn only_one_object() {
        for text in ["[]", "\"a\"", "1", "null", "[{}]"] {
            assert_eq!(read(text), Err(Error::NotAnObject), "{text}");
        }
        for (text, column) in [
            ("", 0),
            ("{} {}", 4),
            ("{}x", 3),
            ("{'a':1}", 2),
            ("{\"a\":1,}", 8),
            ("{\"a\"", 4),
        ] {
            assert_eq!(read(text), Err(Error::Syntax { line: 1, column }), "{text}");
        }
    }

    #[test]
    fn numbers_are_finite_json_numbers() {
        for text in ["1e400", "-1e400", "NaN", "Infinity", "01", "+1", ".5", "1."] {
            let result = read(&format!("{{\"exp\":{text}}}"));
            assert!(
                matches!(result, Err(Error::Syntax { line: 1, .. })),
                "{text}: {result:?}"
            );
        }
        assert_eq!(read(r#"{"exp":1e300}"#), Ok(json!({"exp": 1e300})));
    }

    #[test]
    fn texts() {
        let text = |bytes: &[u8], depth| object(bytes, depth).unwrap_err().to_string();
        assert_eq!(text(b"\xff", 1), "not UTF-8 after 0 bytes");
        assert_eq!(text(b"\xef\xbb\xbf", 1), "starts with a byte order mark");
        assert_eq!(text(b"{]", 1), "invalid JSON at line 1 column 2");
        assert_eq!(text(b"[]", 1), "not a JSON object");
        assert_eq!(text(b"{\"a\\n\":1,\"a\\n\":1}", 1), "duplicate member `a\\n`");
        assert_eq!(text(b"{\"a\":{}}", 1), "nested deeper than 1");
    }
}
