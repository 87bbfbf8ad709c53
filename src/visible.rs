//! Text of others where a person reads it: in messages, in comments of what is rendered, in what a token says. What has no
//! shape of its own (control characters, line separators, marks that turn the direction of writing) is spelt out, so that
//! it moves no cursor, begins no line and hides nothing.
//!
//! It keeps no secret and shortens nothing: see `redact` and `excerpt`.

/// The text with what nobody sees spelt out: `\n`, `\u{202e}`. All else stays as it is.
pub fn visible(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for character in text.chars() {
        match is_invisible(character) {
            true => output.extend(character.escape_default()),
            false => output.push(character),
        }
    }
    output
}

/// Whether a character has no shape of its own, or ends a line: control characters, Unicode's default ignorable and format
/// characters (DerivedCoreProperties.txt, general category Cf), its line and paragraph separators, what YAML forbids.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_spelt_out() {
        for (text, expected) in [
            ("/srv/a b/\"é\"\\…", "/srv/a b/\"é\"\\…"),
            ("a\u{1b}[31m\r\n\t\u{7f}", r"a\u{1b}[31m\r\n\t\u{7f}"),
            ("\u{85}\u{9b}\u{2028}\u{2029}", r"\u{85}\u{9b}\u{2028}\u{2029}"),
            (
                "\u{202e}\u{2066}\u{200b}\u{feff}",
                r"\u{202e}\u{2066}\u{200b}\u{feff}",
            ),
            ("\u{e0041}\u{ffff}", r"\u{e0041}\u{ffff}"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }
}
