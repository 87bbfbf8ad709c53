//! Text that somebody else wrote, made safe to print: short, on one line, without control characters.

use std::fmt;

/// The start of a text from outside, escaped. Errors carry it in place of the text itself, which may be long or
/// hold line breaks that would forge a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Takes the first [`MAX_CHARS`] characters; `…` stands for the rest.
    pub fn new(text: &str) -> Self {
        let mut chars = text.chars();
        let mut excerpt: String = chars
            .by_ref()
            .take(MAX_CHARS)
            .flat_map(char::escape_debug)
            .collect();
        if chars.next().is_some() {
            excerpt.push('…');
        }
        Self(excerpt)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How much of a foreign text is kept. A UUID or a SHA-256 in hex still fits.
pub const MAX_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_kept() {
        assert_eq!(Excerpt::new("").to_string(), "");
        assert_eq!(
            Excerpt::new("https://idp.example/é").to_string(),
            "https://idp.example/é"
        );
    }

    #[test]
    fn long_text_is_cut_and_controls_are_escaped() {
        let exact = "a".repeat(MAX_CHARS);
        assert_eq!(Excerpt::new(&exact).to_string(), exact);
        assert_eq!(
            Excerpt::new(&format!("{exact}b")).to_string(),
            format!("{exact}…")
        );
        assert_eq!(
            Excerpt::new("a\r\n\0\u{202e}\"").to_string(),
            r#"a\r\n\0\u{202e}\""#
        );
    }
}
