//! Cards that are still coming: where their JSON ends, and how much of them a worker holds.

use std::cell::Cell;
use std::rc::Rc;

/// How far an object of JSON has come, by its braces and texts alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::decision) struct Outline {
    depth: usize,
    is_in_text: bool,
    is_escaped: bool,
}

/// What has come of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Come {
    /// It goes on.
    Part,
    /// All of it.
    All,
    /// It is none.
    Other,
}

impl Outline {
    pub(super) fn with(&mut self, part: &[u8]) -> Come {
        for byte in part {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_in_text => self.is_escaped = true,
                b'"' if self.depth > 0 => self.is_in_text = !self.is_in_text,
                _ if self.is_in_text => {}
                b'{' => self.depth = self.depth.saturating_add(1),
                b'}' if self.depth == 1 => return Come::All,
                b'}' if self.depth > 1 => self.depth -= 1,
                _ if self.depth > 0 || byte.is_ascii_whitespace() => {}
                _ => return Come::Other,
            }
        }
        Come::Part
    }
}

/// What the cards of a worker that are held take up. Anybody may ask for one, and an agent may be slow.
#[derive(Debug, Default)]
pub(in crate::decision) struct Room {
    all: Rc<Cell<usize>>,
    own: usize,
}

impl Room {
    /// None yet, of what a worker has.
    pub(super) fn of(all: &Rc<Cell<usize>>) -> Self {
        Self {
            all: Rc::clone(all),
            own: 0,
        }
    }

    /// Takes so many bytes more, if there is room for them.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let all = self.all.get().saturating_add(bytes);
        let is_there = all <= MAX_HELD_BYTES;
        if is_there {
            self.all.set(all);
            self.own = self.own.saturating_add(bytes);
        }
        is_there
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(self.own));
    }
}

/// A copy holds nothing yet.
impl Clone for Room {
    fn clone(&self) -> Self {
        Self::of(&self.all)
    }
}

/// Ours: hundreds of cards that come slowly at the same time.
const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_with_its_last_brace_however_it_comes() {
        let object = br#" {"a":{"}":"\"}{","b":[{}]},"c\\":"{"} "#;
        let end = object.iter().rposition(|byte| *byte == b'}').unwrap();
        for cut in 0..=end {
            let (first, second) = object.split_at(cut);
            let mut outline = Outline::default();
            assert_eq!(outline.with(first), Come::Part, "{cut}");
            assert_eq!(outline.with(second), Come::All, "{cut}");
        }
        assert_eq!(Outline::default().with(&object[..end]), Come::Part);
    }

    #[test]
    fn what_begins_otherwise_is_none() {
        for other in ["[{}]", " \"{}\"", "1", "<html>", "\u{feff}{}", "}"] {
            assert_eq!(Outline::default().with(other.as_bytes()), Come::Other, "{other}");
        }
        assert_eq!(Outline::default().with(b" \r\n"), Come::Part);
    }
}
