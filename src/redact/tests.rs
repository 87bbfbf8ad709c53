use super::*;

fn sanitized(url: &str) -> String {
    let output = Redactor::default().sanitize(url.as_bytes());
    String::from_utf8(output).unwrap()
}

#[test]
fn values_of_listed_names() {
    for (url, expected) in [
        ("/p?key=s", "/p?key=*****"),
        ("/p?a=1&key=s&b=2", "/p?a=1&key=*****&b=2"),
        ("/p?KEY=s&Api-Key=t", "/p?KEY=*****&Api-Key=*****"),
        ("/p?%6bey=s", "/p?%6bey=*****"),
        ("/p?+key%20=s", "/p?+key%20=*****"),
        ("/p?key=a=b?c;d/e", "/p?key=*****"),
        ("/p?key=", "/p?key=*****"),
        ("/p?key", "/p?key"),
        ("/p?key=s&key=t", "/p?key=*****&key=*****"),
        (
            "/p?user[password]=s&token[]=t",
            "/p?user[password]=*****&token[]=*****",
        ),
        ("/p?a=1;key=s", "/p?a=1;key=*****"),
        ("/p#access_token=s&state=x", "/p#access_token=*****&state=x"),
        ("/p?a#key=s", "/p?a#key=*****"),
        ("/p?key=s#code=t", "/p?key=*****#code=*****"),
        ("key=s&a=1", "key=*****&a=1"),
        ("?key=s", "?key=*****"),
        ("https://h/p?tavilyApiKey=s", "https://h/p?tavilyApiKey=*****"),
        ("//h?key=s", "//h?key=*****"),
        ("/p?to=https://h/?key=s", "/p?to=https://h/?key=*****"),
    ] {
        assert_eq!(sanitized(url), expected);
    }
}

#[test]
fn what_is_not_secret_stays_byte_for_byte() {
    for url in [
        "",
        "/",
        "/p?a=1&a=2&b=&flag&&",
        "/p?monkey=s&keys=t&tokens=u&x-key=v",
        "/p?q=100%25&z=%zz&u=%C3%A9",
        "/p?email=a@b.example",
        "/p?email=a%40b.example",
        "/p/@scope/name@1.2",
        "https://h:443/p?to=https%3A%2F%2Fother%2F%3Fa%3Db",
        "/key=s/token",
    ] {
        assert_eq!(sanitized(url), url);
    }
    let bytes = b"/p?a=\xff\x00\r\n";
    assert_eq!(Redactor::default().sanitize(bytes), bytes);
}

#[test]
fn every_name_of_the_list() {
    let redactor = Redactor::new(["X-Tavily-Key"]);
    for name in COMMON_NAMES.iter().chain(&["x-tavily-key"]) {
        for name in [(*name).to_owned(), name.to_uppercase()] {
            let output = redactor.sanitize(format!("/p?{name}=hunter2&z=1").as_bytes());
            assert_eq!(output, format!("/p?{name}=*****&z=1").as_bytes());
        }
    }
    assert_eq!(sanitized("/p?x-tavily-key=s"), "/p?x-tavily-key=s");
}

#[test]
fn userinfo_of_all_kinds() {
    for (url, expected) in [
        ("https://u:p@h/p", "https://REDACTED:REDACTED@h/p"),
        ("https://u@h", "https://REDACTED:REDACTED@h"),
        ("https://u:p@q@h:443/p@q", "https://REDACTED:REDACTED@h:443/p@q"),
        ("https://u:p\\q@h/p", "https://REDACTED:REDACTED@h/p"),
        ("https://u:p;key=q@h/p", "https://REDACTED:REDACTED@h/p"),
        ("//u:p@h?key=s", "//REDACTED:REDACTED@h?key=*****"),
        ("https:/u:p@h", "https:/REDACTED:REDACTED@h"),
        ("https:///u:p@h", "https:///REDACTED:REDACTED@h"),
        ("/p?to=https:\\\\u:p@h", "/p?to=https:\\\\REDACTED:REDACTED@h"),
        ("u:p@h:443", "REDACTED:REDACTED@h:443"),
        ("/p?to=https://u:p@h/", "/p?to=https://REDACTED:REDACTED@h/"),
        ("https://@h", "https://REDACTED:REDACTED@h"),
    ] {
        assert_eq!(sanitized(url), expected);
    }
}

#[test]
fn secrets_below_further_layers_of_encoding() {
    for (url, expected) in [
        ("/p?to=https%3A%2F%2Fh%2F%3Fkey%3Ds&a=1", "/p?*****&a=1"),
        ("/p?to=https%3A%2F%2Fu%3Ap%40h&a=1", "/p?*****&a=1"),
        ("/p?a%26key=s", "/p?*****"),
        ("/p?key%3Ds", "/p?*****"),
        ("/p?to=%253Fkey%253Ds", "/p?*****"),
        ("/p?to=%3Fkey%3Ds;t?u&a=1", "/p?*****&a=1"),
        // Three layers are looked into, a fourth is not.
        ("/p?a=%252541", "/p?a=%252541"),
        ("/p?a=%25252541", "/p?*****"),
    ] {
        assert_eq!(sanitized(url), expected);
    }
}

#[test]
fn sanitising_again_changes_nothing() {
    for url in [
        "https://u:p@h/p?key=s&a=1#token=t",
        "/p?to=https%3A%2F%2Fh%2F%3Fkey%3Ds",
        // The value that goes holds the slash that hid the `@`.
        "//h;key=x/y&b@c",
        "x@a:/b@c",
    ] {
        let once = sanitized(url);
        assert_eq!(sanitized(&once), once);
    }
}

/// Bytes from a fixed seed (xorshift64), mostly such that mean something in a URL.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = usize::try_from(self.next() % u64::try_from(from.len()).unwrap()).unwrap();
        &from[index]
    }

    fn bytes(&mut self) -> Vec<u8> {
        const FRAGMENTS: [&[u8]; 28] = [
            b"/", b"//", b"\\", b":", b"@", b"?", b"&", b"#", b";", b"=", b"%", b"%3D", b"%25", b"%26",
            b"%40", b"%2F", b"%3f", b"key", b"Token", b"[", b"]", b"+", b"a", b"https:", b"\0", b"\xff",
            b"*****", b" ",
        ];
        let pieces = self.next() % 24;
        let mut bytes = Vec::new();
        for _ in 0..pieces {
            let piece: &&[u8] = self.pick(&FRAGMENTS);
            bytes.extend_from_slice(piece);
            if self.next().is_multiple_of(16) {
                bytes.push(self.next().to_be_bytes()[0]);
            }
        }
        bytes
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn noise_never_panics_and_is_sanitised_once_and_for_all() {
    let redactor = Redactor::default();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for _ in 0..50_000 {
        let bytes = noise.bytes();
        let once = redactor.sanitize(&bytes);
        assert_eq!(redactor.sanitize(&once), once, "{}", bytes.escape_ascii());
        assert!(printable(&bytes, 40).len() <= 43);
    }
}

#[test]
fn an_injected_secret_never_survives() {
    const SECRET: &[u8] = b"tvly-S3cr3tV4lue";
    let redactor = Redactor::default();
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    for round in 0..50_000 {
        let mut bytes = noise.bytes();
        if round % 2 == 0 {
            bytes.push(*noise.pick(b"?&#;"));
            let name = *noise.pick(&COMMON_NAMES);
            for byte in name.bytes() {
                match noise.next() % 4 {
                    0 => bytes.extend(format!("%{byte:02x}").bytes()),
                    1 => bytes.push(byte.to_ascii_uppercase()),
                    _ => bytes.push(byte),
                }
            }
            bytes.push(b'=');
            bytes.extend_from_slice(SECRET);
        } else {
            bytes.extend_from_slice(b"//user:");
            bytes.extend_from_slice(SECRET);
            bytes.extend_from_slice(b"@host");
        }
        if noise.next().is_multiple_of(2) {
            bytes.push(*noise.pick(b"&#/?"));
            bytes.extend(noise.bytes());
        }
        let output = redactor.sanitize(&bytes);
        assert!(!contains(&output, SECRET), "{}", bytes.escape_ascii());
    }
}

#[test]
fn printable_text() {
    for (bytes, limit, expected) in [
        (b"plain text".as_slice(), 10, "plain text"),
        (b"plain text", 9, "plain tex..."),
        (b"", 0, ""),
        (b"a", 0, "..."),
        (b"a\r\nb\0", 20, "a\\r\\nb\\x00"),
        (b"\x1b[31m\x7f\xff", 20, "\\x1b[31m\\x7f\\xff"),
        ("\u{e9}".as_bytes(), 20, "\\xc3\\xa9"),
        (b"\\x00\"'", 20, "\\\\x00\\\"\\'"),
        // An escape is never cut.
        (b"ab\xff", 5, "ab..."),
        (b"ab\xff", 6, "ab\\xff"),
    ] {
        assert_eq!(printable(bytes, limit), expected);
    }
}

#[test]
fn what_is_printed_holds_no_known_secret() {
    let mut redactor = Redactor::default();
    redactor.add_secret(b"p@ss word");
    redactor.add_secret(b"tiny");
    let clean = |text: &str| redactor.clean(text.to_owned()).to_string();
    assert_eq!(clean("key p@ss word here"), "key ***** here");
    assert_eq!(clean("/?k=p%40ss+word&l=p%40ss%20word"), "/?k=*****&l=*****");
    assert_eq!(clean("tiny p@ss"), "tiny p@ss");
    assert!(!format!("{redactor:?}").contains("p@ss"));
}
