//! QR codes, for a terminal.

use peergate_filter::secret::Secret;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Two rows of modules in each line of text, with the quiet zone around them. `None` if there is too much for a code.
///
/// Blocks are what is light: right where light text stands on a dark ground. On a terminal both colours are set, so that it
/// is right on every ground.
pub(super) fn draw(text: &str, is_terminal: bool) -> Option<Secret<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let drawn = Secret::new(
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build(),
    );
    if !is_terminal {
        return Some(drawn);
    }
    let lines: Vec<String> = drawn
        .expose()
        .lines()
        .map(|line| format!("{WHITE_ON_BLACK}{line}{RESET}"))
        .collect();
    Some(Secret::new(lines.join("\n")))
}

/// ECMA-48 §8.3.117 (SGR), with the bright white that terminals add.
const WHITE_ON_BLACK: &str = "\u{1b}[97;40m";
const RESET: &str = "\u{1b}[0m";
