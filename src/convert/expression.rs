//! Regular expressions: those that are a list of segments in disguise, and where the paths of the others begin.
//!
//! Expressions are not run here, and what is not understood is taken for one that matches anything.

use super::matching::is_plain;

/// What a regular expression takes, which is matched against the whole path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// Every path.
    Everything,
    /// This path, and no other.
    Path(String),
    /// What this template takes.
    Template(String),
    /// Some paths, all of them below this folder.
    Within(String),
    /// Nobody knows.
    Anything,
}

impl Expression {
    /// Reads one in the syntax of RE2.
    pub(super) fn read(text: &str) -> Self {
        let inner = text.strip_prefix('^').unwrap_or(text);
        segments(inner.strip_suffix('$').unwrap_or(inner)).unwrap_or_else(|| {
            let folder = folder(inner);
            folder.map_or(Self::Anything, |folder| Self::Within(folder.to_owned()))
        })
    }
}

/// A list of segments.
fn segments(text: &str) -> Option<Expression> {
    if matches!(text, ".*" | "/.*") {
        return Some(Expression::Everything);
    }
    // It stands for a hole below.
    let text = text.strip_prefix('/').filter(|text| !text.contains('\u{0}'))?;
    // A slash within brackets parts nothing.
    let text = text.replace("[^/]", "\u{0}");
    let mut has_hole = false;
    let mut segments: Vec<String> = Vec::new();
    let mut parts = text.split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let hole = match part {
            "\u{0}+" => Some("*"),
            ".*" if is_last => Some("**"),
            _ => None,
        };
        has_hole |= hole.is_some();
        segments.push(match hole {
            Some(hole) => hole.to_owned(),
            // A star that is one must not become a hole.
            None => literal(part).filter(|segment| is_plain(segment))?,
        });
    }
    let path = format!("/{}", segments.join("/"));
    Some(match has_hole {
        true => Expression::Template(path),
        false => Expression::Path(path),
    })
}

/// A piece of a regular expression in which each character stands for itself.
fn literal(part: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().filter(|next| next.is_ascii_punctuation())?),
            _ if is_itself(character) => text.push(character),
            _ => return None,
        }
    }
    Some(text)
}

/// The folder that all paths of an expression are below of: it begins with characters that stand for themselves, the
/// last slash of which nothing takes away.
fn folder(text: &str) -> Option<&str> {
    if !text.starts_with('/') || has_outer_choice(text) {
        return None;
    }
    let end = text
        .find(|character| character != '/' && !is_itself(character))
        .unwrap_or(text.len());
    let (start, rest) = text.split_at_checked(end)?;
    // What can be repeated can be left out.
    let start = match rest.starts_with(['?', '*', '+', '{']) {
        true => start.get(..start.len().checked_sub(1)?)?,
        false => start,
    };
    let (folder, _) = start.rsplit_once('/')?;
    // No path has an empty segment here.
    let folder = folder.split_once("//").map_or(folder, |(folder, _)| folder);
    (!folder.is_empty()).then_some(folder)
}

/// Whether an expression may be a choice as a whole, so that it may begin with anything. Where brackets and escapes make
/// it hard to tell, it is one.
fn has_outer_choice(text: &str) -> bool {
    if !text.contains('|') {
        return false;
    }
    if text.contains(['\\', '[', ']']) {
        return true;
    }
    let mut depth = 0_usize;
    text.chars().any(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == '|' && depth == 0
    })
}

fn is_itself(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '~' | '@' | '%')
}
