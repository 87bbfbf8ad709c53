//! Where a credential may stand and how often; optional and public rules; the second factor.

use serde_json::json;

use crate::door::{
    API_KEY, API_KEY_UNKNOWN, CODE, Door, EXPIRED, HOST, MALFORMED, NO_BEARER, NO_CREDENTIALS, NOT_ACCEPTED,
    PATH, REPEATED, RULE_DENIED, STATIC_TOKEN, TOTP_INVALID, TOTP_MISSING, bearer, get, policy,
};
use crate::host::{HeaderMap, Request};
use crate::token::Token;

/// CVE-2021-32777: two `Authorization` headers, of which one reader takes the first and another the last. Envoy joins
/// them with a comma; were they to arrive apart, they would be refused just so.
#[test]
fn two_authorization_headers() {
    let mut door = Door::new();
    let good = format!("Bearer {}", Token::quick().sign());
    let forged = format!("Bearer {}", Token::quick().secret("another").sign());
    let twice: [[&str; 2]; 9] = [
        [&good, &forged],
        [&forged, &good],
        [&good, &good],
        [&good, "Basic bXJwaW5rOng="],
        ["Basic bXJwaW5rOng=", &good],
        [&good, "Bearer pinks-static-token"],
        [&good, ","],
        [",", &good],
        ["Bearer a,", &good],
    ];
    for values in twice {
        for path in ["/", "/optional", "/totp"] {
            let mut joined = get(path);
            let mut apart = get(path);
            for (index, value) in values.into_iter().enumerate() {
                joined = joined.header(["authorization", "AUTHORIZATION"][index], value);
            }
            let fields = apart
                .headers
                .iter()
                .map(|(name, value)| (name.to_vec(), value.to_vec()));
            let two = values.map(|value| (b"authorization".to_vec(), value.as_bytes().to_vec()));
            apart.headers = HeaderMap::raw(fields.chain(two).collect::<Vec<_>>());
            door.refuses(&format!("joined: {values:?}"), joined, REPEATED);
            door.refuses(&format!("apart: {values:?}"), apart, REPEATED);
        }
    }
    // Envoy drops an empty one.
    let beside_nothing = get("/")
        .header("authorization", "")
        .header("authorization", &good);
    door.admits_as("an empty one and a good one", beside_nothing, "mrpink");
}

/// CVE-2021-32777 for the other credentials, which Envoy does not join.
#[test]
fn two_keys_or_two_codes() {
    let mut door = Door::new();
    let good = Token::new("ES256").sign();
    for (name, first, second) in [
        ("x-api-key", API_KEY, "another"),
        ("x-api-key", "another", API_KEY),
        ("x-api-key", API_KEY, API_KEY),
        ("x-api-key", API_KEY, ""),
        ("x-api-key", "", API_KEY),
    ] {
        door.refuses(
            &format!("{first:?}, {second:?}"),
            get("/").header(name, first).header("X-API-KEY", second),
            REPEATED,
        );
        door.refuses(
            "joined",
            get("/").header(name, format!("{first},{second}")),
            REPEATED,
        );
    }
    for (first, second) in [
        (CODE, "000000"),
        ("000000", CODE),
        (CODE, CODE),
        (CODE, ""),
        ("", CODE),
    ] {
        let request = || bearer(&good).header(":path", "/totp");
        door.refuses(
            &format!("{first:?}, {second:?}"),
            request().header("x-totp", first).header("X-Totp", second),
            REPEATED,
        );
        door.refuses(
            "joined",
            request().header("x-totp", format!("{first}, {second}")),
            REPEATED,
        );
    }
}

/// Envoy's own jwt_authn takes `Bearer` wherever it stands, and looks for the token behind it. Here it is the start of
/// the value, and then comes one token (RFC 6750 §2.1, RFC 9110 §11.4).
#[test]
fn bearer_counts_only_at_the_start() {
    let mut door = Door::new();
    let token = Token::quick().sign();
    let (start, rest) = token.split_at(10);
    for value in [
        format!("Basic Bearer {token}"),
        format!("Basic x Bearer {token}"),
        format!("x Bearer {token}"),
        format!("xBearer {token}"),
        format!(" Bearer {token}"),
        format!("\tBearer {token}"),
        format!("\"Bearer {token}\""),
        format!("Bearer:{token}"),
        format!("Bearer: {token}"),
        format!("Bearer={token}"),
        format!("Bearer\t{token}"),
        format!("Bearer \t{token}"),
        format!("Bearer\u{a0}{token}"),
        format!("Bearer\u{b}{token}"),
        format!("Bearer%20{token}"),
        format!("Bearer{token}"),
        format!("Bearerx {token}"),
        format!("Bear er {token}"),
        format!("Token {token}"),
        format!("JWT {token}"),
        format!("DPoP {token}"),
        format!("Negotiate {token}"),
        format!("Bearer {token} "),
        format!("Bearer {token}\t"),
        format!("Bearer {token} {token}"),
        format!("Bearer x {token}"),
        format!("Bearer {token} x"),
        format!("Bearer {start} {rest}"),
        format!("Bearer {start}\t{rest}"),
        format!("Bearer {start}\u{c}{rest}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer      ".to_owned(),
        "Bearer\t".to_owned(),
        "bearer".to_owned(),
        "Beare".to_owned(),
        String::new(),
        " ".to_owned(),
        token.clone(),
    ] {
        for path in ["/", "/optional"] {
            let request = get(path).header("authorization", &value);
            door.refuses(&format!("{value:?} at {path}"), request, NO_BEARER);
        }
    }
    for junk in [
        "\u{b}", "\"", "'", "<", "=", "%20", "\u{feff}", "\u{a0}", "\u{200b}", "token=",
    ] {
        door.refuses(
            &format!("{junk:?} before"),
            bearer(format!("{junk}{token}")),
            MALFORMED,
        );
        door.refuses(
            &format!("{junk:?} behind"),
            bearer(format!("{token}{junk}")),
            MALFORMED,
        );
    }
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer    "] {
        let request = get("/").header("authorization", format!("{scheme}{token}"));
        door.admits_as(scheme, request, "mrpink");
    }
    // Where this policy has no place for a token, there is none.
    for name in [
        "proxy-authorization",
        "x-authorization",
        "x-forwarded-authorization",
        "cookie",
        "x-access-token",
    ] {
        door.refuses(
            name,
            get("/").header(name, format!("Bearer {token}")),
            NO_CREDENTIALS,
        );
    }
    for query in ["access_token", "token", "authorization", "jwt"] {
        door.refuses(query, get(&format!("/?{query}={token}")), NO_CREDENTIALS);
    }
}

/// The SDK of proxy-wasm panics on values that are no text. Every byte from 0x80 on, in every header that is read and
/// in some that are not: nothing traps, and nothing but what it should is refused.
#[test]
fn bytes_that_are_no_text() {
    let mut door = Door::new();
    let good = Token::new("ES256").sign();
    let valid = |request: Request| request.header("authorization", format!("Bearer {good}"));
    for byte in 0x80..=u8::MAX {
        for junk in [vec![byte], vec![byte, b'a'], vec![b'a', byte], vec![byte; 300]] {
            let what = format!("{byte:#04x}, {} bytes", junk.len());
            let path = [b"/".as_slice(), &junk].concat();
            door.refuses(&what, bearer(&junk), MALFORMED);
            door.refuses(&what, get("/").header("authorization", &junk), NO_BEARER);
            door.refuses(&what, get("/").header("x-api-key", &junk), API_KEY_UNKNOWN);
            door.refuses(&what, get("/public").header(":path", path), PATH);
            door.refuses(&what, get("/public").header(":authority", &junk), HOST);
            if byte % 16 == 0 {
                let coded = bearer(&good).header(":path", "/totp").header("x-totp", &junk);
                door.refuses(&what, coded, TOTP_INVALID);
                let mut others = get("/");
                for name in [
                    "x-agent-sub",
                    "x-other",
                    "content-type",
                    "cookie",
                    "origin",
                    "x-envoy-original-path",
                    "x-request-id",
                    "user-agent",
                    "a2a-version",
                    "x-forwarded-for",
                    "connection",
                    "upgrade",
                ] {
                    others = others.header(name, &junk);
                }
                let forwarded = door.admits_as(&what, valid(others), "mrpink");
                assert_eq!(forwarded.headers.first(b"x-other"), Some(junk.as_slice()));
            }
        }
    }
    for junk in [
        b"\xff".as_slice(),
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xef\xbb\xbf",
    ] {
        door.refuses("a method", get("/admin").header(":method", junk), RULE_DENIED);
        let query = [b"/public?".as_slice(), junk].concat();
        door.admits_nobody("a query", get("/public").header(":path", query));
    }
}

/// ISTIO-SECURITY-2021-001: where a token is optional, one that is not good is not none.
#[test]
fn an_invalid_token_on_an_optional_rule() {
    let mut door = Door::new();
    let at = |token: &str| bearer(token).header(":path", "/optional");
    let expired = Token::new("ES256").claims(json!({"exp": 1}));
    door.refuses("expired", at(&expired.sign()), EXPIRED);
    let none = Token::new("ES256").header(json!({"alg": "none"}));
    door.refuses(
        "none",
        at(&format!("{}.", none.signing_input())),
        crate::door::ALGORITHM,
    );
    door.refuses(
        "of nobody",
        at(&Token::new("ES256").claims(json!({"iss": "x"})).sign()),
        crate::door::ISSUER,
    );
    door.refuses(
        "of another key",
        at(&Token::new("RS256").by_other().sign()),
        crate::door::SIGNATURE,
    );
    for garbage in ["x", "a.b.c", "e30.e30.", "null", "undefined"] {
        door.refuses(garbage, at(garbage), MALFORMED);
    }
    for value in ["", "Bearer", "Basic bXJwaW5rOng=", "Bearer  "] {
        door.refuses(value, get("/optional").header("authorization", value), NO_BEARER);
    }
    // Good, but of a kind that the rule does not take.
    door.refuses(
        "an API key",
        get("/optional").header("x-api-key", API_KEY),
        NOT_ACCEPTED,
    );
    door.refuses("a static token", at(STATIC_TOKEN), NOT_ACCEPTED);
    door.refuses(
        "an unknown API key",
        get("/optional").header("x-api-key", "x"),
        API_KEY_UNKNOWN,
    );
    door.refuses(
        "an empty API key",
        get("/optional").header("x-api-key", ""),
        API_KEY_UNKNOWN,
    );
    let both = at(&Token::new("ES256").sign()).header("x-api-key", "x");
    door.refuses("beside a good token", both, API_KEY_UNKNOWN);
    door.admits_nobody("none", get("/optional"));
    door.admits_as("a good one", at(&Token::new("ES256").sign()), "mrpink");
}

/// ISTIO-SECURITY-2021-001: a public rule looks at no credential. Good or bad, it is taken off, and makes nobody of
/// anybody.
#[test]
fn credentials_on_a_public_rule_are_ignored_and_removed() {
    let mut door = Door::new();
    for token in [
        Token::new("ES256").sign(),
        Token::new("ES256").claims(json!({"exp": 1})).sign(),
        Token::new("RS256").by_other().sign(),
        "x".to_owned(),
        STATIC_TOKEN.to_owned(),
        "a,b".to_owned(),
    ] {
        let request = bearer(&token)
            .header(":path", "/public")
            .header("x-api-key", API_KEY)
            .header("x-api-key", "another")
            .header("X-TOTP", CODE)
            .header("x_totp", CODE)
            .header("x-agent-sub", "boss");
        let forwarded = door.admits_nobody(&token, request);
        assert_eq!(forwarded.headers.len(), 4, "{:?}", forwarded.headers);
    }
}

/// FortiWeb 8.0.3 let every `OPTIONS` through. Here a method is a method; where preflights pass, they are those of the
/// Fetch standard, and nobody's.
#[test]
fn options_is_authenticated_like_the_rest() {
    let options = || Request::inbound("OPTIONS", "/");
    let preflight = || {
        options()
            .header("origin", "https://attacker.example")
            .header("access-control-request-method", "POST")
    };
    let mut door = Door::new();
    door.refuses("alone", options(), NO_CREDENTIALS);
    door.refuses("a preflight", preflight(), NO_CREDENTIALS);
    let admin = preflight().header(":path", "/admin");
    door.refuses("where nobody may", admin, RULE_DENIED);
    let mut lenient = Door::with(json!({"inbound": {"cors_preflight": "pass"}}));
    lenient.refuses("without headers", options(), NO_CREDENTIALS);
    lenient.refuses(
        "without a method",
        options().header("origin", "null"),
        NO_CREDENTIALS,
    );
    lenient.refuses(
        "without an origin",
        options().header("access-control-request-method", "POST"),
        NO_CREDENTIALS,
    );
    for method in ["GET", "POST", "OPTIONSX", "TRACE", "DELETE"] {
        let request = preflight().header(":method", method);
        lenient.refuses(method, request, NO_CREDENTIALS);
    }
    for method in ["options", "Options"] {
        lenient.refuses(method, preflight().header(":method", method), crate::door::METHOD);
    }
    let forged = preflight()
        .header("authorization", format!("Bearer {}", Token::new("ES256").sign()))
        .header("x-agent-sub", "boss");
    lenient.admits_nobody("a preflight", forged);
    // A header that overrides the method says nothing.
    for name in ["x-http-method-override", "x-method-override", "x-http-method"] {
        lenient.refuses(
            name,
            preflight().header(":method", "GET").header(name, "OPTIONS"),
            NO_CREDENTIALS,
        );
    }
}

/// CVE-2025-43798 as far as one process needs no memory for it: no code, a wrong one, another's, and one out of its
/// time get nowhere behind a stolen token, and a code alone is nothing.
#[test]
fn a_stolen_token_without_the_second_factor() {
    let mut door = Door::new();
    let stolen = Token::new("ES256").sign();
    let at = || bearer(&stolen).header(":path", "/totp");
    door.refuses("no code", at(), TOTP_MISSING);
    door.refuses("an empty code", at().header("x-totp", ""), TOTP_MISSING);
    for code in [
        "000000",
        "00592",
        "0059240",
        "5924",
        " 005924",
        "005924 ",
        "+05924",
        "-05924",
        "005 924",
        "0x1724",
        "5924.0",
        "5.924e3",
        "005924\0",
        "٠٠٥٩٢٤",
        "００５９２４",
        "null",
        "true",
        "*",
        "%30%30%35924",
        "89005924",
        "005924;",
        "186057",
        "240500",
    ] {
        door.refuses(code, at().header("x-totp", code), TOTP_INVALID);
    }
    door.refuses(
        "a code alone",
        get("/totp").header("x-totp", CODE),
        NO_CREDENTIALS,
    );
    let expired = Token::new("ES256").claims(json!({"exp": 1})).sign();
    let with_expired = bearer(expired).header(":path", "/totp").header("x-totp", CODE);
    door.refuses("a code does not mend a token", with_expired, EXPIRED);
    for name in ["x-otp", "x-totp-code", "totp", "x.totp"] {
        door.refuses(name, at().header(name, CODE), TOTP_MISSING);
    }
    door.refuses(
        "in the query",
        at().header(":path", format!("/totp?x-totp={CODE}")),
        TOTP_MISSING,
    );
    door.admits_as("the owner", at().header("x-totp", CODE), "mrpink");
}

/// An empty configured secret would be everybody's: no policy holds one, and an empty credential matches nothing.
#[test]
fn empty_credentials_match_nothing() {
    let mut door = Door::new();
    for value in ["", " "] {
        door.refuses("an API key", get("/").header("x-api-key", value), API_KEY_UNKNOWN);
    }
    door.refuses("a token", get("/").header("authorization", "Bearer "), NO_BEARER);
    for (member, told) in [
        (
            "api_keys",
            "inbound.peers.mrpink.api_keys[0].inline: secret is empty",
        ),
        (
            "bearer_tokens",
            "inbound.peers.mrpink.bearer_tokens[0].inline: secret is empty",
        ),
        (
            "totp_seeds",
            "inbound.peers.mrpink.totp_seeds[0].inline: secret is empty",
        ),
    ] {
        let mut peer = policy()["inbound"]["peers"]["mrpink"].clone();
        peer[member] = json!([{"inline": ""}]);
        let faults = crate::door::refused_policy(json!({"inbound": {"peers": {"mrpink": peer}}}));
        assert_eq!(faults, told);
    }
}
