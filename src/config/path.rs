//! Where in a configuration something stands: `inbound.rules[2].match.paths[0]`.

use std::fmt;

use crate::config::document::Document;
use crate::excerpt::Excerpt;

/// The way from the root of a document to one of its values, or to one that is missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Path<'c> {
    segments: Vec<Segment<'c>>,
}

#[derive(Debug, Clone, Copy)]
enum Segment<'c> {
    Member(&'c str),
    Index(usize),
}

impl<'c> Path<'c> {
    /// The document itself.
    pub(crate) const fn root() -> Self {
        Self { segments: Vec::new() }
    }

    /// The path of a member of the object that stands here.
    pub(crate) fn member(&self, name: &'c str) -> Self {
        self.followed_by(Segment::Member(name))
    }

    /// The path of an entry of the list that stands here.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.followed_by(Segment::Index(index))
    }

    /// How many objects and lists stand around.
    pub(crate) const fn depth(&self) -> usize {
        self.segments.len()
    }

    /// The place in the order of the document, as the positions on the way. What is missing comes after all that is
    /// there.
    pub(crate) fn position(&self, root: &Document) -> Vec<usize> {
        let mut here = Some(root);
        let step = |segment: &Segment<'_>| {
            let (position, next) = match (segment, here) {
                (Segment::Index(index), Some(Document::List(entries))) => (*index, entries.get(*index)),
                (Segment::Member(name), Some(Document::Object(members))) => {
                    match members.iter().position(|(other, _)| other == name) {
                        Some(position) => (position, members.get(position).map(|(_, value)| value)),
                        None => (usize::MAX, None),
                    }
                }
                _ => (usize::MAX, None),
            };
            here = next;
            position
        };
        self.segments.iter().map(step).collect()
    }

    fn followed_by(&self, segment: Segment<'c>) -> Self {
        let mut segments = Vec::with_capacity(self.segments.len() + 1);
        segments.extend_from_slice(&self.segments);
        segments.push(segment);
        Self { segments }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return formatter.write_str("configuration");
        }
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(formatter, "[{index}]")?,
                Segment::Member(name) if is_plain(name) && position == 0 => formatter.write_str(name)?,
                Segment::Member(name) if is_plain(name) => write!(formatter, ".{name}")?,
                Segment::Member(name) => write!(formatter, "[\"{}\"]", Excerpt::new(name))?,
            }
        }
        Ok(())
    }
}

/// Whether a name can stand between dots.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_they_are_read() {
        let rules = Path::root().member("inbound").member("rules");
        assert_eq!(Path::root().to_string(), "configuration");
        assert_eq!(
            rules
                .index(2)
                .member("match")
                .member("paths")
                .index(0)
                .to_string(),
            "inbound.rules[2].match.paths[0]"
        );
        let peers = Path::root().member("peers");
        assert_eq!(
            peers.member("a.b").member("scopes").to_string(),
            "peers[\"a.b\"].scopes"
        );
        assert_eq!(peers.member("a\n\"").to_string(), "peers[\"a\\n\\\"\"]");
        assert_eq!(peers.member("").to_string(), "peers[\"\"]");
    }

    #[test]
    fn positions_follow_the_document() {
        let document = Document::from_json(br#"{"b": [1, {"x": 1}], "a": 1}"#).unwrap();
        let position = |path: Path<'_>| path.position(&document);
        let root = Path::root();
        assert_eq!(position(root.clone()), [0_usize; 0]);
        assert_eq!(position(root.member("a")), [1]);
        assert_eq!(position(root.member("b").index(1).member("x")), [0, 1, 0]);
        assert_eq!(
            position(root.member("b").index(1).member("y").index(3)),
            [0, 1, usize::MAX, usize::MAX]
        );
    }
}
