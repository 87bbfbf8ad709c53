//! What may be printed of what came from outside. Works on any bytes, never fails.

/// A URL or request target in which the value of every parameter whose name tells of a secret is `*****`, and user
/// information is `REDACTED:REDACTED@`. Query and fragment alike; names are compared decoded and without case.
///
/// `names` are further names, in lower case.
pub fn url(url: &[u8], names: &[String]) -> Vec<u8> {
    let parameters_at = url
        .iter()
        .position(|byte| matches!(byte, b'?' | b'#'))
        .unwrap_or(url.len());
    let (location, parameters) = url.split_at_checked(parameters_at).unwrap_or((url, &[]));
    let mut redacted = without_user_information(location);
    for parameter in parameters.split_inclusive(|byte| SEPARATORS.contains(byte)) {
        let (parameter, separator) = match parameter.split_last() {
            Some((last, rest)) if SEPARATORS.contains(last) => (rest, Some(*last)),
            _ => (parameter, None),
        };
        match parameter
            .iter()
            .position(|byte| *byte == b'=')
            .and_then(|at| parameter.split_at_checked(at))
        {
            Some((name, [_, _, ..])) if is_secret_name(name, names) => {
                redacted.extend(name);
                redacted.push(b'=');
                redacted.extend(crate::secret::REDACTED.bytes());
            }
            _ => redacted.extend(parameter),
        }
        redacted.extend(separator);
    }
    redacted
}

/// Bytes as text for a log line: at most `limit` of them; controls, quotes and non-ASCII escaped, so that nobody
/// writes lines of their own.
pub fn printable(bytes: &[u8], limit: usize) -> String {
    let shown = bytes.get(..limit).unwrap_or(bytes);
    let mut text = shown.escape_ascii().to_string();
    if shown.len() < bytes.len() {
        text.push('…');
    }
    text
}

fn is_secret_name(name: &[u8], names: &[String]) -> bool {
    let Some((decoded, _)) = form_urlencoded::parse(name).next() else {
        return false;
    };
    let decoded = decoded.to_lowercase();
    SECRET_NAMES.contains(&decoded.as_str()) || names.contains(&decoded)
}

/// The authority stands behind `//`, up to the next `/`; user information is all of it before its last `@`.
fn without_user_information(location: &[u8]) -> Vec<u8> {
    let authority_at = location
        .windows(2)
        .position(|pair| pair == b"//")
        .map(|at| at.saturating_add(2));
    let Some((before, rest)) = authority_at.and_then(|at| location.split_at_checked(at)) else {
        return location.to_vec();
    };
    let authority_end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'\\'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(authority_end).unwrap_or((rest, &[]));
    match authority
        .iter()
        .rposition(|byte| *byte == b'@')
        .and_then(|at| authority.split_at_checked(at))
    {
        Some((_, host)) => [before, b"REDACTED:REDACTED", host, path].concat(),
        None => location.to_vec(),
    }
}

/// Where one parameter ends and the next begins. `;` parts them for some servers, and a fragment may hold parameters
/// (RFC 6749 §4.2.2); a value may not hide behind either.
const SEPARATORS: [u8; 4] = [b'?', b'#', b'&', b';'];

/// Names whose values are secrets wherever they stand.
const SECRET_NAMES: [&str; 23] = [
    "api_key",
    "apikey",
    "api-key",
    "key",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "client_secret",
    "auth",
    "auth_token",
    "secret",
    "password",
    "pwd",
    "credential",
    "credentials",
    "sig",
    "signature",
    "code",
    "tavilyapikey",
    "x-api-key",
    "x-totp",
    "authorization",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        String::from_utf8(url(text.as_bytes(), &["own".to_owned()])).unwrap()
    }

    #[test]
    fn urls() {
        for (given, expected) in [
            ("/p", "/p"),
            ("/p?a=1&b", "/p?a=1&b"),
            ("/p?api_key=s&a=1", "/p?api_key=*****&a=1"),
            ("/p?a=1&Token=s", "/p?a=1&Token=*****"),
            ("/p?%74oken=s", "/p?%74oken=*****"),
            ("/p?own=s", "/p?own=*****"),
            ("/p?token=", "/p?token="),
            ("/p?token=a=b", "/p?token=*****"),
            ("/p?a;token=s", "/p?a;token=*****"),
            ("/p#access_token=s", "/p#access_token=*****"),
            ("/p?x?key=s", "/p?x?key=*****"),
            ("https://u:p@h/p?key=s", "https://REDACTED:REDACTED@h/p?key=*****"),
            ("//u@h/p", "//REDACTED:REDACTED@h/p"),
            ("https://u:p@q@h", "https://REDACTED:REDACTED@h"),
            ("https://h/p@q", "https://h/p@q"),
            ("/p?tokens=1", "/p?tokens=1"),
        ] {
            assert_eq!(redacted(given), expected, "{given}");
            assert_eq!(redacted(expected), expected, "once is enough: {given}");
        }
    }

    #[test]
    fn any_bytes() {
        // A small generator (xorshift) instead of a dependency: the bytes only have to be many and the same each time.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let alphabet = b"?#&;=/@:%4\\tokenkey \xff\0";
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..24 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.push(alphabet[usize::try_from(state % 23).unwrap() % alphabet.len()]);
            }
            let once = url(&text, &[]);
            assert_eq!(url(&once, &[]), once, "{}", text.escape_ascii());
            let planted = [b"/p?".as_slice(), &text, b"&ToKeN=hunter2"].concat();
            assert!(
                !url(&planted, &[]).windows(7).any(|window| window == b"hunter2"),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn printing() {
        assert_eq!(printable(b"a\nb\"\xff", 10), "a\\nb\\\"\\xff");
        assert_eq!(printable(b"abc", 2), "ab…");
    }
}
