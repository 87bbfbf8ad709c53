//! Paths: the filter against `url`, which normalises as browsers and many servers do (WHATWG URL), and against servers
//! that decode a path before they take it apart.

use std::borrow::Cow;

use fastrand::Rng;
use peergate_filter::decision::{self, Means, Step};
use peergate_filter::http::{Headers, Request};
use peergate_filter::policy::Policy;
use peergate_filter::role::Role;
use peergate_filter::time::UnixTime;
use percent_encoding::percent_decode;
use serde_json::{Value, json};
use url::Url;

use crate::filter::{Compiled, load};

/// How many paths.
const PATHS: usize = 40_000;

/// Every so many of them go through the compiled module, too.
const SAMPLE: usize = 100;

const SEED: u64 = 0x7061_7468_7061_7468;

/// Everything is public, so what is refused is refused for being ambiguous.
fn policy(ambiguous_paths: &str) -> Value {
    json!({"version": 1, "role": "inbound", "inbound": {
        "ambiguous_paths": ambiguous_paths,
        "rules": [{"name": "all", "accept": ["none"]}],
    }})
}

#[test]
fn no_public_path_is_another_one_elsewhere() {
    let (reject, raw) = (load(&policy("reject")), load(&policy("raw")));
    let mut compiled = Compiled::of(&policy("reject"));
    let mut rng = Rng::with_seed(SEED);
    let (mut taken, mut refused, mut refused_by_filter_only, mut through_module) = (0, 0, 0, 0);
    let mut failures = Vec::new();
    for number in 0..PATHS {
        let target = target(&mut rng);
        let shown = target.escape_ascii().to_string();
        let is_public = permits(&reject, &target);
        if is_public != permits(&raw, &target) {
            failures.push(format!("{shown}: `raw` and `reject` do not agree"));
        }
        match (is_public, change(&target)) {
            (true, None) => taken += 1,
            (true, Some(other)) => failures.push(format!("{shown}: {other}")),
            (false, None) => refused_by_filter_only += 1,
            (false, Some(_)) => refused += 1,
        }
        // What Envoy lets through as a path.
        let can_be_sent = !target.is_empty() && !target.iter().any(|byte| b"\r\n\0".contains(byte));
        if number % SAMPLE == 0 && can_be_sent {
            through_module += 1;
            assert_eq!(compiled.admits_path(&target), is_public, "{shown}");
        }
    }
    println!(
        "{taken} paths taken by both, {refused} changed by others and refused, {refused_by_filter_only} refused by the \
         filter only; {through_module} through the module"
    );
    assert!(failures.is_empty(), "{}\n{}", failures.len(), failures.join("\n"));
    assert!(taken > 5_000 && refused > 5_000 && refused_by_filter_only > 1_000 && through_module > 300);
}

fn permits(policy: &Policy, target: &[u8]) -> bool {
    let headers = [
        (":method", b"GET".as_slice()),
        (":authority", b"agent.example"),
        (":path", target),
    ];
    let request = Request {
        headers: Headers::new(headers.map(|(name, value)| (name.into(), value.to_vec()))),
        ..Request::default()
    };
    let decision = decision::decide(
        Means::of(policy),
        Role::Inbound,
        &request,
        UnixTime::from_seconds(0),
    );
    matches!(decision.step, Step::Forward(..))
}

/// What somebody else makes of the path, where that is something else.
fn change(target: &[u8]) -> Option<String> {
    let (path, query) = split(target);
    let Ok(text) = std::str::from_utf8(path) else {
        return Some("no text".to_owned());
    };
    let query = query.map_or(String::new(), |query| {
        format!("?{}", String::from_utf8_lossy(query))
    });
    let parsed = match Url::parse(&format!("http://agent.example{text}{query}")) {
        Ok(parsed) if parsed.host_str() == Some("agent.example") && parsed.port().is_none() => parsed,
        Ok(parsed) => return Some(format!("{parsed}, another host")),
        Err(error) => return Some(error.to_string()),
    };
    if parsed.path().as_bytes() != path {
        return Some(format!("`{}` by WHATWG", parsed.path()));
    }
    if parsed.fragment().is_some() {
        return Some("with a fragment".to_owned());
    }
    (1..=2).find_map(|times| decoded_first(path, times))
}

/// What a server that decodes so often, and then takes the path apart, makes of it: other segments, or steps.
fn decoded_first(path: &[u8], times: usize) -> Option<String> {
    let decode = |bytes: &[u8]| {
        let once = |bytes: Cow<'_, [u8]>| percent_decode(&bytes).collect::<Vec<u8>>();
        (0..times).fold(bytes.to_vec(), |bytes, _| once(bytes.into()))
    };
    let is_separator = |byte: &u8| b"/\\".contains(byte);
    let of_whole: Vec<Vec<u8>> = decode(path).split(is_separator).map(<[u8]>::to_vec).collect();
    let of_parts: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(decode).collect();
    let is_step = |segment: &Vec<u8>| segment == b"." || segment == b"..";
    if of_whole != of_parts {
        return Some(format!("other segments once it is decoded {times} times"));
    }
    if of_whole.iter().any(is_step) {
        return Some(format!("steps once it is decoded {times} times"));
    }
    let inner = of_whole
        .get(1..of_whole.len().saturating_sub(1))
        .unwrap_or_default();
    if inner.iter().any(Vec::is_empty) {
        return Some(format!("empty segments once it is decoded {times} times"));
    }
    let controls = of_whole.iter().flatten().any(|byte| byte.is_ascii_control());
    controls.then(|| format!("control characters once it is decoded {times} times"))
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(end) => (&target[..end], Some(&target[end + 1..])),
        None => (target, None),
    }
}

/// A path of plain and of odd parts, sometimes with a byte changed.
fn target(rng: &mut Rng) -> Vec<u8> {
    const PLAIN: &[&str] = &[
        "a",
        "public",
        "admin",
        ".well-known",
        "agent-card.json",
        "v1",
        "message:send",
        "tasks",
        "~user",
        "a_b-c.d",
        "...",
        ".x",
        "x.",
        "@me",
        "a,b",
        "a=b",
        "a+b",
        "a&b",
        "$ref",
        "(x)",
        "!",
        "*",
        "'",
        "0",
        "%20",
        "%C3%A9",
        "%e2%82%ac",
    ];
    const ODD: &[&str] = &[
        "",
        "/",
        "//",
        ".",
        "..",
        "./",
        "../",
        "\\",
        "..\\",
        ";",
        ";a=b",
        "..;",
        "#",
        "?",
        "%",
        "%2",
        "%zz",
        "%2e",
        "%2E%2e",
        ".%2e",
        "%2f",
        "%2F",
        "%5c",
        "%5C",
        "%00",
        "%0a",
        "%0D%0A",
        "%09",
        "%7f",
        "%61",
        "%41",
        "%2d",
        "%5f",
        "%7E",
        "%30",
        "%25",
        "%252e",
        "%252f",
        "%25%32%65",
        "%2525",
        "%c0%ae",
        "%c0%af",
        "%e0%80%ae",
        "%ff",
        "%ed%a0%80",
        "%ef%bc%8f",
        "%3b",
        "%3f",
        "%23",
        "%u002e",
        " ",
        "\t",
        "\n",
        "\r",
        "\0",
        "\u{b}",
        "\u{7f}",
        "\u{e9}",
        "\u{ff0e}",
        "\u{2215}",
        "\u{feff}",
        "\"",
        "<",
        ">",
        "[",
        "]",
        "^",
        "`",
        "{",
        "|",
        "}",
        "@",
        ":",
        ":80",
        "http:",
        "//x",
        "/\\x",
        "%3A",
        "%40",
        "%21",
        "%28",
        "%7B",
        "%7D",
        "%22",
        "%5B",
        "%7c",
    ];
    let mut path = String::new();
    if rng.u8(..20) > 0 {
        path.push('/');
    }
    let parts = rng.usize(1..=5);
    let oddity = rng.u8(..3);
    for part in 0..parts {
        if part > 0 && rng.u8(..8) > 0 {
            path.push('/');
        }
        let is_odd = oddity > 0 && rng.u8(..4) < oddity;
        path.push_str(rng.choice(if is_odd { ODD } else { PLAIN }).unwrap());
    }
    if rng.u8(..6) == 0 {
        path.push_str(
            rng.choice(&[
                "?",
                "?a=b",
                "?a=//../%2e",
                "?a#b",
                "?/public",
                "/",
                "/?",
                "//",
                "/.",
            ])
            .unwrap(),
        );
    }
    let mut bytes = path.into_bytes();
    if rng.u8(..6) == 0 && !bytes.is_empty() {
        let place = rng.usize(..bytes.len());
        match rng.u8(..3) {
            0 => bytes[place] = rng.u8(..),
            1 => bytes.insert(place, rng.u8(..)),
            _ => bytes[place] ^= 1 << rng.u8(..8),
        }
    }
    bytes
}
