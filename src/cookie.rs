//! The `Cookie` header (RFC 6265 §4.2.1): pairs parted by semicolons. What is not the cookie that is meant stays as it
//! is, byte for byte. It reads no `Set-Cookie`, and decodes nothing: a cookie's value has no encoding of its own.

/// The cookies whose names meet a condition, in one pass, for however many names. Names have a case.
pub fn named(header: &[u8], is_meant: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs(header).map(split).filter(move |(name, _)| is_meant(name))
}

/// The header without the cookies of these names; `None` if nothing is left. The rest stands as it stood.
pub fn without(header: &[u8], is_removed: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let kept: Vec<&[u8]> = pairs(header).filter(|pair| !is_removed(split(pair).0)).collect();
    (!kept.is_empty()).then(|| kept.join(b"; ".as_slice()))
}

/// The header with one cookie more, in place of every one of its name.
pub fn with(header: Option<&[u8]>, name: &str, value: &[u8]) -> Vec<u8> {
    let kept = header.and_then(|header| without(header, |own| own == name.as_bytes()));
    let mut header = kept.unwrap_or_default();
    if !header.is_empty() {
        header.extend(b"; ");
    }
    header.extend(name.as_bytes());
    header.push(b'=');
    header.extend(value);
    header
}

/// Whether this can be the name of a cookie: a token (RFC 9110 §5.6.2).
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a byte can stand in a cookie's value (RFC 6265 §4.1.1).
pub const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// What stands between the semicolons, but for white space and nothing.
fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

/// Name and value; a pair without `=` is a name of its own.
fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    let (name, value) = pair.split_at_checked(at).unwrap_or((pair, b""));
    (
        name.trim_ascii_end(),
        value.get(1..).unwrap_or_default().trim_ascii_start(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &str, name: &str) -> Vec<String> {
        named(header.as_bytes(), |own| own == name.as_bytes())
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    #[test]
    fn cookies_are_found_by_their_name() {
        assert_eq!(found("a=1; session=x=y; b=2", "session"), ["x=y"]);
        assert_eq!(found("session=x;session=y", "session"), ["x", "y"]);
        assert_eq!(found(" session = x ;", "session"), ["x"]);
        assert_eq!(found("session", "session"), [""]);
        assert_eq!(found("Session=x; xsession=y; a=session=z", "session"), [""; 0]);
    }

    #[test]
    fn the_others_stay() {
        let without = |header: &str| {
            without(header.as_bytes(), |name| name == b"s").map(|kept| String::from_utf8(kept).unwrap())
        };
        assert_eq!(without("a=1; s=x; b=\"2\""), Some("a=1; b=\"2\"".into()));
        assert_eq!(without("s=x;s"), None);
        assert_eq!(without("flag; s=x; flag"), Some("flag; flag".into()));
    }

    #[test]
    fn one_more_is_merged() {
        let with =
            |header: Option<&str>| String::from_utf8(with(header.map(str::as_bytes), "s", b"new")).unwrap();
        assert_eq!(with(None), "s=new");
        assert_eq!(with(Some("s=old")), "s=new");
        assert_eq!(with(Some("a=1; s=old; b=2; s")), "a=1; b=2; s=new");
        assert_eq!(with(Some("a=1; b=2; s=new")), "a=1; b=2; s=new");
    }

    #[test]
    fn names() {
        assert!(is_name("__Host-session"));
        for name in ["", "a b", "a;b", "a=b", "ä"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
