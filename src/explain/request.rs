//! A request as text, as a person has it: HTTP/1.1, what `curl -v` prints of one, lines with pseudo-headers.
//!
//! It is lenient where a copy loses something, as line ends and versions, and strict where two readings would differ. What
//! a proxy makes of a request before filters see it is done here too.

use std::fmt;

/// A request as filters see it.
#[derive(Debug, PartialEq, Eq)]
pub struct RawRequest {
    /// Pseudo-headers first, names in lower case.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How long its body is.
    pub body_bytes: usize,
    /// What a proxy has taken off, in its order.
    pub taken_off: Vec<String>,
}

impl RawRequest {
    /// From its text.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let sent = sent_lines(bytes);
        let mut lines = sent
            .lines
            .into_iter()
            .skip_while(|(_, line)| line.is_empty())
            .peekable();
        let (number, first) = lines.next().ok_or(RequestError::Empty)?;
        let mut parts = Parts::default();
        match first.starts_with(b":") {
            true => parts.header(number, first)?,
            false => parts.request_line(number, first)?,
        }
        for (number, line) in lines.by_ref().take_while(|(_, line)| !line.is_empty()) {
            parts.header(number, line)?;
        }
        Ok(Self {
            body_bytes: sent.body_bytes,
            ..parts.finish()?
        })
    }
}

/// The lines of the head, with their numbers.
struct Sent<'a> {
    lines: Vec<(usize, &'a [u8])>,
    body_bytes: usize,
}

/// Where `curl -v` has printed it, only what `curl` has sent; else all of it.
fn sent_lines(bytes: &[u8]) -> Sent<'_> {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').map(without_return).collect();
    let numbered = lines
        .iter()
        .enumerate()
        .map(|(index, line)| (index.saturating_add(1), *line));
    let sent = |line: &'_ [u8]| line == b">" || line.starts_with(b"> ");
    if lines.iter().any(|line| line.starts_with(b"> ")) {
        let own = numbered.filter(|(_, line)| sent(line));
        let own = own.map(|(number, line)| (number, line.get(2..).unwrap_or_default()));
        return Sent {
            lines: own.collect(),
            body_bytes: 0,
        };
    }
    let mut body_bytes = 0;
    let (mut is_begun, mut is_over) = (false, false);
    let mut head = Vec::new();
    for ((number, line), raw) in numbered.zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        if is_over {
            body_bytes += raw.len();
            continue;
        }
        is_over = is_begun && line.is_empty();
        is_begun = is_begun || !line.is_empty();
        head.push((number, line));
    }
    Sent {
        lines: head,
        body_bytes,
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What was read so far.
#[derive(Default)]
struct Parts {
    pseudo: Vec<(&'static str, Vec<u8>)>,
    host: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parts {
    /// `POST /path HTTP/1.1`; the version may be missing.
    fn request_line(&mut self, number: usize, line: &[u8]) -> Result<(), RequestError> {
        let no_line = RequestError::RequestLine { line: number };
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (method, target) = match (words.next(), words.next(), words.next(), words.next()) {
            (Some(method), Some(target), None, _) => (method, target),
            (Some(method), Some(target), Some(version), None) if version.starts_with(b"HTTP/") => {
                (method, target)
            }
            _ => return Err(no_line),
        };
        if !method.iter().all(|byte| is_token_byte(*byte)) {
            return Err(no_line);
        }
        self.pseudo.push((METHOD, method.to_vec()));
        if method == b"CONNECT" {
            self.host = Some(target.to_vec());
            return Ok(());
        }
        let (scheme, rest) = match (target.strip_prefix(b"http://"), target.strip_prefix(b"https://")) {
            (Some(rest), _) => ("http", rest),
            (_, Some(rest)) => ("https", rest),
            (None, None) => {
                self.pseudo.push((PATH, target.to_vec()));
                return Ok(());
            }
        };
        // RFC 9112 §3.2.2: an absolute target counts more than `host`.
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, b""));
        let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
        self.pseudo.push((SCHEME, scheme.as_bytes().to_vec()));
        self.pseudo.push((AUTHORITY, authority.to_vec()));
        self.pseudo.push((PATH, [slash, path].concat()));
        Ok(())
    }

    fn header(&mut self, number: usize, line: &[u8]) -> Result<(), RequestError> {
        if line.first().is_some_and(u8::is_ascii_whitespace) {
            return Err(RequestError::Folded { line: number });
        }
        let start = usize::from(line.starts_with(b":"));
        let colon = line.iter().skip(start).position(|byte| *byte == b':');
        let colon = colon
            .ok_or(RequestError::HeaderLine { line: number })?
            .saturating_add(start);
        let name = line.get(..colon).unwrap_or_default().to_ascii_lowercase();
        let value = line
            .get(colon.saturating_add(1)..)
            .unwrap_or_default()
            .trim_ascii()
            .to_vec();
        let is_name = !name.is_empty() && name.iter().skip(start).all(|byte| is_token_byte(*byte));
        if !is_name {
            return Err(RequestError::HeaderLine { line: number });
        }
        if start == 1 {
            let known = [METHOD, SCHEME, AUTHORITY, PATH]
                .into_iter()
                .find(|known| known.as_bytes() == name);
            // `:protocol` (RFC 8441) and what else may come is a header like others.
            match known {
                Some(known) if self.pseudo.iter().any(|(set, _)| *set == known) => {
                    return Err(RequestError::Twice {
                        line: number,
                        name: known,
                    });
                }
                Some(known) => self.pseudo.push((known, value)),
                None => self.headers.push((name, value)),
            }
            return Ok(());
        }
        match (name.as_slice(), &self.host) {
            (b"host", Some(_)) => {
                return Err(RequestError::Twice {
                    line: number,
                    name: "host",
                });
            }
            (b"host", None) => self.host = Some(value),
            _ => self.headers.push((name, value)),
        }
        Ok(())
    }

    /// As a proxy hands it to filters.
    fn finish(mut self) -> Result<RawRequest, RequestError> {
        let mut take = |name: &str| {
            let index = self.pseudo.iter().position(|(set, _)| *set == name)?;
            Some(self.pseudo.swap_remove(index).1)
        };
        let method = take(METHOD).ok_or(RequestError::NoMethod)?;
        let (scheme, authority, path) = (take(SCHEME), take(AUTHORITY), take(PATH));
        let mut headers = vec![(METHOD.into(), method)];
        headers.push((SCHEME.into(), scheme.unwrap_or_else(|| b"http".to_vec())));
        headers.extend(
            authority
                .or(self.host)
                .map(|authority| (AUTHORITY.into(), authority)),
        );
        headers.extend(path.map(|path| (PATH.into(), path)));
        let hop = hop_by_hop(&self.headers);
        let is_kept = |(name, _): &(Vec<u8>, Vec<u8>)| !hop.contains(name);
        headers.extend(self.headers.iter().filter(|header| is_kept(header)).cloned());
        let taken_off = hop.iter().map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(RawRequest {
            headers,
            body_bytes: 0,
            taken_off: taken_off.collect(),
        })
    }
}

/// What Envoy takes off before a filter sees it: `connection` and what it names, but for an upgrade (RFC 9110 §7.6.1).
fn hop_by_hop(headers: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
    let values = headers.iter().filter(|(name, _)| name == b"connection");
    let mut names: Vec<Vec<u8>> = values
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    if names.iter().any(|name| name == b"upgrade") {
        return Vec::new();
    }
    names.push(b"connection".to_vec());
    names.retain(|name| headers.iter().any(|(own, _)| own == name));
    names.dedup();
    names
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Why a text is no request. Nothing of it is repeated, for it holds credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// There is nothing.
    Empty,
    /// The first line is neither a request line nor a pseudo-header.
    RequestLine {
        /// Its number.
        line: usize,
    },
    /// A line that is no header.
    HeaderLine {
        /// Its number.
        line: usize,
    },
    /// A header on two lines (RFC 9112 §5.2), which proxies refuse.
    Folded {
        /// The number of the second.
        line: usize,
    },
    /// A pseudo-header, or `host`, that stands twice.
    Twice {
        /// The number of the second line.
        line: usize,
        /// Its name.
        name: &'static str,
    },
    /// Pseudo-headers without `:method`.
    NoMethod,
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("holds no request"),
            Self::RequestLine { line } => write!(
                formatter,
                "line {line} is no request line\n  help: it is written as `POST /path HTTP/1.1`, or begins with `:method:`"
            ),
            Self::HeaderLine { line } => write!(
                formatter,
                "line {line} is no header\n  help: it is written as `name: value`; a body stands behind an empty line"
            ),
            Self::Folded { line } => write!(
                formatter,
                "line {line} begins with white space\n  help: each header stands on a line of its own"
            ),
            Self::Twice { line, name } => write!(formatter, "line {line} has `{name}` again"),
            Self::NoMethod => formatter.write_str("has no `:method`"),
        }
    }
}

impl std::error::Error for RequestError {}

const METHOD: &str = ":method";
const SCHEME: &str = ":scheme";
const AUTHORITY: &str = ":authority";
const PATH: &str = ":path";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let line = |(name, value): &(Vec<u8>, Vec<u8>)| {
            format!(
                "{} {}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value)
            )
        };
        RawRequest::parse(text.as_bytes())
            .unwrap()
            .headers
            .iter()
            .map(line)
            .collect()
    }

    const SENT: [&str; 5] = [
        ":method POST",
        ":scheme http",
        ":authority a.example",
        ":path /a?b=1",
        "x-one 1: 2",
    ];

    #[test]
    fn one_request_in_many_spellings() {
        for text in [
            "POST /a?b=1 HTTP/1.1\r\nHost: a.example\r\nX-One: 1: 2\r\n\r\n{}",
            "\nPOST /a?b=1 HTTP/2\nhost:a.example\nx-one:  1: 2 ",
            "POST /a?b=1\nHost: a.example\nX-One: 1: 2\nConnection: keep-alive, x-two\nX-Two: 2",
            "POST http://a.example/a?b=1 HTTP/1.1\nHost: other.example\nX-One: 1: 2",
            ":method: POST\n:authority: a.example\n:path: /a?b=1\nx-one: 1: 2",
            ":path: /a?b=1\n:method: POST\n:scheme: http\nhost: a.example\nx-one: 1: 2",
            "* Connected to a.example\n> POST /a?b=1 HTTP/1.1\r\n> Host: a.example\r\n> X-One: 1: 2\r\n>\r\n* done\n< HTTP/1.1 401",
        ] {
            assert_eq!(read(text), SENT, "{text}");
        }
    }

    #[test]
    fn what_is_left() {
        assert_eq!(
            read("CONNECT a.example:443 HTTP/1.1"),
            [":method CONNECT", ":scheme http", ":authority a.example:443"]
        );
        let upgrade = "GET / HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket";
        assert_eq!(
            read(upgrade),
            [
                ":method GET",
                ":scheme http",
                ":path /",
                "connection Upgrade",
                "upgrade websocket"
            ]
        );
        let request =
            RawRequest::parse(b"POST / HTTP/1.1\r\nConnection: x-a\r\nX-A: 1\r\n\r\n{\r\n\r\n}").unwrap();
        assert_eq!(request.body_bytes, 6);
        assert_eq!(request.taken_off, ["x-a", "connection"]);
    }

    #[test]
    fn what_is_no_request() {
        for (text, error) in [
            ("", "holds no request"),
            ("\r\n\r\n", "holds no request"),
            (
                "hello",
                "line 1 is no request line\n  help: it is written as `POST /path HTTP/1.1`, or begins with `:method:`",
            ),
            (
                "GET / HTTP/1.1\nAuthorization",
                "line 2 is no header\n  help: it is written as `name: value`; a body stands behind an empty line",
            ),
            (
                "GET / HTTP/1.1\nA: b\n c",
                "line 3 begins with white space\n  help: each header stands on a line of its own",
            ),
            ("GET / HTTP/1.1\nHost: a\nhost: b", "line 3 has `host` again"),
            (":method: GET\n:method: PUT", "line 2 has `:method` again"),
            (":path: /", "has no `:method`"),
        ] {
            assert_eq!(
                RawRequest::parse(text.as_bytes()).unwrap_err().to_string(),
                error,
                "{text}"
            );
        }
        assert!(RawRequest::parse(b"GET / HTTP/1.1 x\n").is_err());
    }
}
