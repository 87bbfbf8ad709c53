//! Which known name somebody may have meant.

/// The known name that is nearest to what was written, if one is near enough to be a slip of the fingers.
pub(crate) fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let length = written.chars().count();
    if length > LONGEST_NAME {
        return None;
    }
    let allowed = (length / CHARACTERS_PER_SLIP).clamp(1, MOST_SLIPS);
    known
        .into_iter()
        .filter(|name| name.len() <= LONGEST_NAME)
        .map(|name| (distance(written, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many characters must be put in, left out or replaced to make one name of the other (Levenshtein), without
/// regard to case, and with `-` and `_` equal.
fn distance(left: &str, right: &str) -> usize {
    let folded = |character: char| match character {
        '-' => '_',
        other => other.to_ascii_lowercase(),
    };
    let right: Vec<char> = right.chars().map(folded).collect();
    // The distances from what was read of the left name to each beginning of the right one.
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for character in left.chars().map(folded) {
        let mut diagonal = row.first().copied().unwrap_or_default();
        let mut before = diagonal + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = *cell;
            *cell = replaced.min(before + 1).min(diagonal + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first += 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Ours: every known member name is shorter; longer input is not compared, for the cost is the product of lengths.
const LONGEST_NAME: usize = 64;
/// Ours: one slip in four characters is still the same word.
const CHARACTERS_PER_SLIP: usize = 4;
/// Ours: with more, another word is as likely.
const MOST_SLIPS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("issuer", "isuer", 1),
            ("Clock-Skew", "clock_skew", 0),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn only_what_is_near() {
        let known = ["issuer", "audiences", "algorithms", "typ"];
        assert_eq!(nearest("isuer", known), Some("issuer"));
        assert_eq!(nearest("audience", known), Some("audiences"));
        assert_eq!(nearest("type", known), Some("typ"));
        assert_eq!(nearest("keys", known), None);
        assert_eq!(nearest(&"a".repeat(65), known), None);
    }
}
