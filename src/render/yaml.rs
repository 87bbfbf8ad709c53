//! YAML that all who read it read alike.
//!
//! Envoy and Kubernetes read YAML 1.1, where `on` is true and `010` is eight; others read 1.2. A text is written without
//! quotes only where no reader could take it for anything else: the rest stands in double quotes, as JSON writes it.

use crate::config::Document;
use crate::visible::{is_invisible, visible};

/// A document as lines, each with its line feed.
pub(super) fn document(document: &Document) -> String {
    let mut lines = Lines::default();
    lines.value(document, 0, 0);
    lines.text
}

/// A text, as a value or as the name of a member.
pub(crate) fn scalar(text: &str) -> String {
    match is_plain(text) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// Texts on one line: `[a, "b c"]`.
pub(crate) fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| scalar(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// A template with each `{{name}}` replaced. One that has a line to itself may be of many lines, each of which gets the
/// indentation of that line; of none at all, and the line goes too.
pub(super) fn fill(template: &str, holes: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        let content = line.trim_start_matches(' ');
        let (indentation, _) = line.split_at(line.len() - content.len());
        let name = content
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"));
        let hole = name.and_then(|name| holes.iter().find(|(other, _)| *other == name));
        if let Some((_, value)) = hole {
            for line in value.lines() {
                text.push_str(if line.is_empty() { "" } else { indentation });
                text.push_str(line);
                text.push('\n');
            }
            continue;
        }
        let mut rest = line;
        // What is put in is not looked at again.
        while let Some((before, after)) = rest.split_once("{{") {
            let named = after
                .split_once("}}")
                .and_then(|(name, after)| Some((holes.iter().find(|(other, _)| *other == name)?.1, after)));
            text.push_str(before);
            rest = match named {
                Some((value, after)) => {
                    text.push_str(value);
                    after
                }
                None => {
                    text.push_str("{{");
                    after
                }
            };
        }
        text.push_str(rest);
        text.push('\n');
    }
    text
}

/// A comment of this text, in lines of a good length. It stays one, whatever the text holds.
pub(crate) fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace().map(visible) {
        if line.len() > 1 && line.len() + 1 + word.len() > COMMENT_COLUMNS {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(&word);
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    /// A value that begins on a line of its own.
    fn value(&mut self, value: &Document, column: usize, depth: usize) {
        match value {
            Document::Object(members) if !members.is_empty() => {
                for (index, (name, member)) in members.iter().enumerate() {
                    // The first one may stand behind the mark of a list's entry.
                    if index > 0 || self.text.ends_with('\n') || self.text.is_empty() {
                        self.indent(column);
                    }
                    let name = scalar(name);
                    self.text.push_str(&name);
                    self.text.push(':');
                    self.member(member, column, name.len() + 2, depth + 1);
                }
            }
            Document::List(entries) if !entries.is_empty() => {
                for entry in entries {
                    self.indent(column);
                    self.text.push('-');
                    self.entry(entry, column, depth + 1);
                }
            }
            Document::Null
            | Document::Flag(_)
            | Document::Number(_)
            | Document::Text(_)
            | Document::List(_)
            | Document::Object(_) => {
                self.indent(column);
                self.text.push_str(&flow(value));
                self.text.push('\n');
            }
        }
    }

    fn member(&mut self, value: &Document, column: usize, before: usize, depth: usize) {
        let flow = flow(value);
        let is_many = match value {
            Document::Object(members) => depth <= SPREAD_DEPTH && !members.is_empty(),
            Document::List(entries) => {
                entries.len() > 1 && entries.iter().any(|entry| matches!(entry, Document::Object(_)))
            }
            Document::Null | Document::Flag(_) | Document::Number(_) | Document::Text(_) => false,
        };
        let fits = column + before + flow.len() <= COLUMNS;
        if is_scalar(value) || (fits && !is_many) {
            self.text.push(' ');
            self.text.push_str(&flow);
            self.text.push('\n');
            return;
        }
        self.text.push('\n');
        // The entries of a list may stand below its name.
        let inner = if matches!(value, Document::List(_)) {
            column
        } else {
            column + 2
        };
        self.value(value, inner, depth);
    }

    fn entry(&mut self, value: &Document, column: usize, depth: usize) {
        let flow = flow(value);
        if is_scalar(value) || column + 2 + flow.len() <= COLUMNS {
            self.text.push(' ');
            self.text.push_str(&flow);
            self.text.push('\n');
            return;
        }
        self.text.push(match value {
            Document::List(_) => '\n',
            _ => ' ',
        });
        self.value(value, column + 2, depth);
    }

    fn indent(&mut self, column: usize) {
        self.text.push_str(&" ".repeat(column));
    }
}

fn is_scalar(value: &Document) -> bool {
    match value {
        Document::Null | Document::Flag(_) | Document::Number(_) | Document::Text(_) => true,
        Document::List(entries) => entries.is_empty(),
        Document::Object(members) => members.is_empty(),
    }
}

/// A value on one line.
fn flow(value: &Document) -> String {
    match value {
        Document::Null => "null".to_owned(),
        Document::Flag(flag) => flag.to_string(),
        Document::Number(number) => number.to_string(),
        Document::Text(text) => scalar(text.expose()),
        Document::List(entries) => {
            let entries: Vec<String> = entries.iter().map(flow).collect();
            format!("[{}]", entries.join(", "))
        }
        Document::Object(members) => {
            let member = |(name, value): &(String, Document)| format!("{}: {}", scalar(name), flow(value));
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// Whether every reader takes this for a text, in block and in flow style, as a name and as a value: it begins as no
/// number, mark or date does, and is no word of YAML 1.1.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '_'));
    let holds =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b':' | b'@' | b'-');
    begins
        && text.bytes().all(holds)
        && !text.ends_with(':')
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// A text as JSON has it, which is YAML as well.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Line breaks of YAML 1.1 and the mark that begins a file among them.
            character if is_invisible(character) => quoted.push_str(&escaped(character)),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn escaped(character: char) -> String {
    match u32::from(character) {
        code @ ..=0xffff => format!("\\u{code:04x}"),
        // YAML knows no pairs of halves, as JSON has them (YAML 1.2.2 §5.7).
        code => format!("\\U{code:08x}"),
    }
}

/// The words that YAML 1.1 takes for booleans and for nothing (yaml.org/type/bool.html, null.html), in any case, and what
/// some readers take for a number.
const WORDS: [&str; 13] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity", "_",
];

/// Ours: a line of a policy that can be read.
const COLUMNS: usize = 96;
/// Ours: the width of the project's own samples.
const COMMENT_COLUMNS: usize = 110;
/// Ours: the halves of a policy, and what they hold, begin lines of their own.
const SPREAD_DEPTH: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_a_reader_could_take_for_something_else_are_quoted() {
        for plain in [
            "agent",
            "/.well-known/agent-card.json",
            "https://issuer.example",
            "x-api-key",
            "a:b",
            "_x",
        ] {
            assert_eq!(scalar(plain), plain);
        }
        for text in [
            "on",
            "Off",
            "YES",
            "n",
            "true",
            "Null",
            "010",
            "1e3",
            "-",
            "a:",
            "",
            " a",
            "a b",
            "a#b",
            "2026-11-21",
            ".inf",
            "12:30",
            "~",
            "*",
            "&a",
            "<<",
            "=",
            "outbound|443||api.example",
            "*.example",
            "NaN",
            "é",
        ] {
            assert_eq!(scalar(text), format!("\"{text}\""));
        }
        assert_eq!(
            scalar("a\"\\\n\t\u{7f}\u{2028}"),
            "\"a\\\"\\\\\\n\\t\\u007f\\u2028\""
        );
        assert_eq!(scalar("\u{202e}\u{e0041}"), r#""\u202e\U000e0041""#);
    }

    #[test]
    fn documents_come_back_as_they_were() {
        let json = br#"{"version": 1, "a": {"on": [1, -2, 0.5, null, true, "true"], "b": {}, "c": [], "d": [[{"e": 1}], []]},
            "long": [{"a": "0123456789012345678901234567890123456789", "b": "0123456789012345678901234567890123456789",
            "c": "0123456789012345678901234567890123456789"}, [["0123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789", "0123456789012345678901234567890123456789"]]], "e": "\u0000\u0085"}"#;
        let written = Document::from_json(json).unwrap();
        let text = document(&written);
        let read: Document = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read.to_json(), written.to_json(), "{text}");
    }

    #[test]
    fn comments_stay_comments() {
        let text = "a\nb: 1\r---\u{85}c\u{2028}d\u{2029}e\u{b}f\u{c}g\u{0}\u{1b}[2J\u{9b}\u{202e}";
        assert_eq!(
            comment(text),
            "# a b: 1 --- c d e f g\\u{0}\\u{1b}[2J\\u{9b}\\u{202e}\n"
        );
    }

    #[test]
    fn templates() {
        let template = "a: {{a}}\n  {{b}}\n  {{c}}\nd\n";
        let holes = [("a", "1"), ("b", "x\n\n  y\n"), ("c", "")];
        assert_eq!(fill(template, &holes), "a: 1\n  x\n\n    y\nd\n");
    }
}
