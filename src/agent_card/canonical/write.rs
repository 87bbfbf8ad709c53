//! JSON as it is signed: RFC 8785, and as Python's `json.dumps(…, separators=(",", ":"), sort_keys=True)` writes it.
//!
//! It does not know what a card is. The two differ in the order of members, in what is escaped, and in numbers.

use serde_json::{Number, Value};

/// How JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// RFC 8785.
    Jcs,
    /// Python's, in ASCII.
    Python,
}

impl Style {
    /// A value whose objects have the keys of [`Style::key`].
    pub(super) fn value(self, value: &Value, out: &mut String) {
        match value {
            Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
            Value::Number(number) => self.number(number, out),
            Value::String(text) => self.text(text, out),
            Value::Array(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    part(at, out);
                    self.value(value, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    part(at, out);
                    match self {
                        Self::Jcs => self.text(&each(key, from_utf16_order), out),
                        Self::Python => self.text(key, out),
                    }
                    out.push(':');
                    self.value(value, out);
                }
                out.push('}');
            }
        }
    }

    /// A name as it stands in an object that is to be written: a map keeps its members in the order of their UTF-8,
    /// which is Python's order, and RFC 8785 §3.2.3 wants that of their UTF-16.
    pub(super) fn key(self, name: &str) -> String {
        match self {
            Self::Jcs => each(name, to_utf16_order),
            Self::Python => name.to_owned(),
        }
    }

    /// RFC 8785 §3.2.2.2 escapes what `serde_json` does. Python does it with all that is no printable ASCII too.
    fn text(self, text: &str, out: &mut String) {
        let quoted = Value::from(text).to_string();
        if self == Self::Jcs {
            out.push_str(&quoted);
            return;
        }
        for character in quoted.chars() {
            if matches!(character, ' '..='~') {
                out.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = u32::from(*unit >> shift & 15);
                    out.push(char::from_digit(digit, 16).unwrap_or_default());
                }
            }
        }
    }

    /// RFC 8785 §3.2.2.3, which is `Number::toString` of ECMAScript; Python's `repr`, which knows integers.
    fn number(self, number: &Number, out: &mut String) {
        let is_float = self == Self::Jcs || number.is_f64();
        let Some(float) = number.as_f64().filter(|_| is_float) else {
            out.push_str(&number.to_string());
            return;
        };
        // The shortest digits that make this number, which is what both want.
        let text = Value::from(float).to_string();
        let unsigned = text.trim_start_matches('-');
        if unsigned.len() < text.len() && (self == Self::Python || float != 0.0) {
            out.push('-');
        }
        let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let significant = digits.trim_start_matches('0');
        let point = size(whole) + exponent.parse().unwrap_or(0) - (size(&digits) - size(significant));
        match significant.trim_end_matches('0') {
            "" => self.decimal("0", 1, out),
            significant => self.decimal(significant, point, out),
        }
    }

    /// The number 0.DIGITS × 10^`point`.
    fn decimal(self, digits: &str, point: i32, out: &mut String) {
        let (plain, whole_ends) = match self {
            Self::Jcs => (-5..=21, ""),
            Self::Python => (-3..=16, ".0"),
        };
        let (place, whole_ends) = match plain.contains(&point) {
            true => (point, whole_ends),
            false => (1, ""),
        };
        let zeros = |count: i32| {
            ZEROS
                .get(..usize::try_from(count).unwrap_or(0))
                .unwrap_or_default()
        };
        let padded = [zeros(1 - place), digits, zeros(place - size(digits))].concat();
        let ones = usize::try_from(place).unwrap_or(0).max(1);
        let (whole, fraction) = padded.split_at_checked(ones).unwrap_or_default();
        out.push_str(whole);
        if fraction.is_empty() {
            out.push_str(whole_ends);
        } else {
            out.push('.');
            out.push_str(fraction);
        }
        if !plain.contains(&point) {
            let exponent = point - 1;
            out.push_str(if exponent < 0 { "e-" } else { "e+" });
            if self == Self::Python && exponent.abs() < 10 {
                out.push('0');
            }
            out.push_str(&exponent.abs().to_string());
        }
    }
}

/// A comma before all but the first.
fn part(at: usize, out: &mut String) {
    if at > 0 {
        out.push(',');
    }
}

fn each(name: &str, place: fn(char) -> char) -> String {
    let mut placed = String::new();
    for character in name.chars() {
        placed.push(place(character));
    }
    placed
}

fn size(digits: &str) -> i32 {
    i32::try_from(digits.len()).unwrap_or(i32::MAX)
}

/// The characters in the order of their UTF-16 units (RFC 8785 §3.2.3), each as the one that has its place in the order of
/// UTF-8: there, what is written with surrogates (U+10000 and above) stands behind U+E000 to U+FFFF.
fn to_utf16_order(character: char) -> char {
    let code = u32::from(character);
    let place = match code {
        0x1_0000.. => code - 0x2000,
        0xE000.. => code + 0x10_0000,
        _ => code,
    };
    char::from_u32(place).unwrap_or(character)
}

/// The way back.
fn from_utf16_order(character: char) -> char {
    let place = u32::from(character);
    let code = match place {
        0x10_E000.. => place - 0x10_0000,
        0xE000.. => place + 0x2000,
        _ => place,
    };
    char::from_u32(code).unwrap_or(character)
}

/// As many as stand side by side in a number: more are an exponent.
const ZEROS: &str = "000000000000000000000";
