//! The headers that only the filter writes, and how header names are compared with theirs.

/// A set of header names that are compared as careless servers read them: without case, `_` and `-` equal.
///
/// An upstream that folds `x_agent_sub` into `X-Agent-Sub` (CGI and WSGI do) would otherwise take a forged header
/// for the filter's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedHeaders {
    // A handful: a list is smaller and faster than a tree.
    names: Vec<Vec<u8>>,
    /// A bit for each of their lengths: most headers of a request are told apart by it.
    lengths: u64,
}

impl OwnedHeaders {
    /// From header names.
    pub fn new(names: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let names: Vec<Vec<u8>> = names.into_iter().collect();
        let lengths = names.iter().fold(0, |bits, name| bits | bit(name));
        Self { names, lengths }
    }

    /// Whether a header of this name is the filter's own.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.lengths & bit(name) != 0 && self.names.iter().any(|own| is_same_header(own, name))
    }
}

/// Of a name's length; long names share some.
fn bit(name: &[u8]) -> u64 {
    1 << (name.len() % 64)
}

/// Whether two header names are one to a careless server: without case, `_` and `-` equal.
pub fn is_same_header(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| folded(*left) == folded(*right))
}

const fn folded(byte: u8) -> u8 {
    match byte {
        b'_' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded() {
        let owned = OwnedHeaders::new([b"X-Agent-Sub".to_vec()]);
        for name in ["x-agent-sub", "X-AGENT-SUB", "x_agent_sub", "x-agent_sub"] {
            assert!(owned.contains(name.as_bytes()), "{name}");
        }
        assert!(!owned.contains(b"x-agent-subject"));
    }
}
