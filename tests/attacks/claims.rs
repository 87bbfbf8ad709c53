//! Claims that mean one thing to the issuer and another to a careless reader.

use serde_json::json;

use crate::door::{
    AUDIENCE, CLAIM_TYPE, Door, EXPIRED, ISSUER, MALFORMED, MISSING_EXP, NOW, bearer, identity,
};
use crate::token::Token;

/// CVE-2026-25537: an `exp` that is no finite number is not an `exp` without end, and not a missing one.
#[test]
fn exp_of_a_wrong_type_is_no_exp() {
    let mut door = Door::new();
    let good = Token::quick().claims(json!({"exp": null}));
    for exp in [
        "\"1234568190\"",
        "\"\"",
        "\"never\"",
        "\"Infinity\"",
        "\"2099-01-01T00:00:00Z\"",
        "true",
        "false",
        "null",
        "[]",
        "[1234568190]",
        "{}",
        "{\"$date\":1234568190}",
    ] {
        let token = good.clone().claims_and(&format!(r#""exp":{exp}"#));
        door.refuses(exp, bearer(token.sign()), CLAIM_TYPE);
    }
    // No JSON at all, or no finite number.
    for exp in [
        "1e400",
        "-1e400",
        "1e999999999",
        "Infinity",
        "NaN",
        "0x7fffffff",
        "1_234_568_190",
        "+1234568190",
        "01234568190",
        "1234568190.",
        ".5",
        "1234568190e",
        "\u{661}",
        "undefined",
        "",
    ] {
        let token = good.clone().claims_and(&format!(r#""exp":{exp}"#));
        door.refuses(exp, bearer(token.sign()), MALFORMED);
    }
    for exp in [
        "-1",
        "-1e300",
        "-0",
        "0",
        "0.0",
        "1e-300",
        "-9223372036854775808",
        "1234567830",
        "1.23456783e9",
    ] {
        let token = good.clone().claims_and(&format!(r#""exp":{exp}"#));
        door.refuses(exp, bearer(token.sign()), EXPIRED);
    }
    door.refuses("absent", bearer(good.sign()), MISSING_EXP);
    let elsewhere = good.clone().header(json!({"exp": NOW + 300}));
    door.refuses("in the header", bearer(elsewhere.sign()), MISSING_EXP);
    let nested = good.clone().claims(json!({"claims": {"exp": NOW + 300}}));
    door.refuses("nested", bearer(nested.sign()), MISSING_EXP);
    for exp in [
        "1.7e9",
        "1234567831",
        "1234567830.5",
        "1e300",
        "18446744073709551615",
        "99999999999999999999999",
    ] {
        let token = good.clone().claims_and(&format!(r#""exp":{exp}"#));
        door.admits_as(exp, bearer(token.sign()), "mrpink");
    }
}

/// CVE-2026-25537 for the other times, which may be absent, but not of a wrong type.
#[test]
fn nbf_and_iat_of_a_wrong_type_are_refused() {
    let mut door = Door::new();
    for claim in ["nbf", "iat"] {
        let without = Token::quick().claims(json!({"iat": null}));
        for value in ["\"0\"", "\"1234567890\"", "true", "null", "[]", "{}"] {
            let token = without.clone().claims_and(&format!(r#""{claim}":{value}"#));
            door.refuses(&format!("{claim}: {value}"), bearer(token.sign()), CLAIM_TYPE);
        }
        for value in ["1e400", "NaN", "-Infinity"] {
            let token = without.clone().claims_and(&format!(r#""{claim}":{value}"#));
            door.refuses(&format!("{claim}: {value}"), bearer(token.sign()), MALFORMED);
        }
    }
}

/// GHSA-4gph-2hhr-5mwg: a member twice, of which one reader takes the first and another the last. Signed by the issuer,
/// as where a caller has a word in the claims.
#[test]
fn duplicate_members_are_refused() {
    let mut door = Door::new();
    for members in [
        r#""exp":9999999999"#,
        r#""iss":"https://issuer.example""#,
        r#""sub":"boss""#,
        r#""aud":"agents""#,
        r#""iat":0"#,
        r#""sub":"mrpink""#,
        r#""\u0073ub":"boss""#,
        r#""s\u0075\u0062":"boss""#,
        r#""x":1,"x":1"#,
        r#""x":1,"\u0078":1"#,
        r#""x":{"a":1,"a":2}"#,
        r#""x":[[{"a":1,"b":[],"a":2}]]"#,
        r#""":1,"":2"#,
        r#""x\u0000":1,"x\u0000":2"#,
        r#""\ud83d\ude00":1,"😀":2"#,
        r#""__proto__":1,"__proto__":2"#,
    ] {
        let token = Token::quick().claims_and(members);
        door.refuses(members, bearer(token.sign()), MALFORMED);
    }
    for header in [
        r#"{"alg":"HS256","kid":"shared","alg":"HS256"}"#,
        r#"{"alg":"none","kid":"shared","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"shared","alg":"none"}"#,
        r#"{"alg":"HS256","kid":"other","kid":"shared"}"#,
        r#"{"alg":"HS256","kid":"shared","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"shared","typ":"JWT","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","kid":"shared","crit":[],"crit":["x"]}"#,
        r#"{"alg":"HS256","kid":"shared","jwk":{"kty":"EC","kty":"RSA"}}"#,
    ] {
        let token = Token::quick().raw_header(header);
        door.refuses(header, bearer(token.sign()), MALFORMED);
    }
}

/// GHSA-4gph-2hhr-5mwg: names have a case. `Exp` is neither another `exp` nor one in its place.
#[test]
fn names_of_claims_have_a_case() {
    let mut door = Door::new();
    for members in [
        r#""Exp":1,"EXP":1,"eXp":1"#,
        r#""Iss":"https://other.example","ISS":"x""#,
        r#""Sub":"boss","SUB":"boss","sub ":"boss"," sub":"boss""#,
        r#""Aud":"others","Nbf":9999999999,"Iat":9999999999"#,
        r#""ſub":"boss","ıss":"x","exp\u0000":1"#,
    ] {
        let token = Token::quick().claims_and(members);
        let forwarded = door.admits_as(members, bearer(token.sign()), "mrpink");
        assert_eq!(
            identity(&forwarded.headers),
            [
                "x-agent-sub: mrpink",
                "x-agent-iss: https://shared.example",
                "x-agent-auth: jwt",
            ],
            "{members}"
        );
    }
    let upper_exp = Token::quick().claims(json!({"exp": null, "Exp": NOW + 300, "EXP": NOW + 300}));
    door.refuses("only `Exp`", bearer(upper_exp.sign()), MISSING_EXP);
    let upper_iss = Token::quick().claims(json!({"iss": null, "Iss": "https://shared.example"}));
    door.refuses("only `Iss`", bearer(upper_iss.sign()), ISSUER);
    let upper_aud = Token::quick().claims(json!({"aud": null, "Aud": "agents"}));
    door.refuses("only `Aud`", bearer(upper_aud.sign()), AUDIENCE);
    let upper_kid =
        Token::quick().raw_header(r#"{"Alg":"HS256","alg":"HS256","KID":"other","kid":"shared"}"#);
    door.admits_as("`KID` beside `kid`", bearer(upper_kid.sign()), "mrpink");
    let upper_alg = Token::quick().raw_header(r#"{"Alg":"HS256","kid":"shared"}"#);
    door.refuses("only `Alg`", bearer(upper_alg.sign()), MALFORMED);
}

/// CVE-2026-35039: a token that another tenant, or another service, received is good there and not here.
#[test]
fn a_token_for_somebody_else_is_refused() {
    let mut door =
        Door::with(json!({"inbound": {"providers": {"shared": {"audiences": ["agents", "agents-b"]}}}}));
    for aud in [
        json!("others"),
        json!("agents2"),
        json!("agent"),
        json!("AGENTS"),
        json!("agents "),
        json!("agents,others"),
        json!("agents others"),
        json!("agents/"),
        json!("agents\u{0}"),
        json!("https://agents"),
        json!("*"),
        json!(""),
        json!([]),
        json!([""]),
        json!(["others", "agents2"]),
        serde_json::Value::Null,
    ] {
        let token = Token::quick().claims(json!({"aud": aud}));
        door.refuses(&aud.to_string(), bearer(token.sign()), AUDIENCE);
    }
    for aud in [
        "null",
        "7",
        "true",
        r#"{"agents":true}"#,
        r#"["agents",7]"#,
        r#"[["agents"]]"#,
        r#"["agents",null]"#,
    ] {
        let token = Token::quick()
            .claims(json!({"aud": null}))
            .claims_and(&format!(r#""aud":{aud}"#));
        door.refuses(aud, bearer(token.sign()), CLAIM_TYPE);
    }
    // An audience of one provider is none of another.
    let elsewhere = Token::new("ES256").claims(json!({"aud": "agents-b"}));
    door.refuses("of another provider", bearer(elsewhere.sign()), AUDIENCE);
    door.admits_as(
        "of its own",
        bearer(Token::quick().claims(json!({"aud": ["x", "agents-b"]})).sign()),
        "mrpink",
    );
    for iss in [
        json!("https://issuer.example/"),
        json!("https://ISSUER.example"),
        json!("http://issuer.example"),
        json!("https://issuer.example "),
        json!("https://issuer.example\u{0}"),
        json!("https://issuer.example#https://shared.example"),
        json!("api-key"),
        json!("bearer-token"),
        json!(""),
        json!(["https://shared.example"]),
        json!({"https://shared.example": true}),
        json!(7),
    ] {
        let token = Token::quick().claims(json!({"iss": iss}));
        door.refuses(&iss.to_string(), bearer(token.sign()), ISSUER);
    }
}

/// The same `sub` at two providers, one of them weaker: two callers. The weaker one's has no key, seed or scope of the
/// other's, and does not look like it upstream.
#[test]
fn the_same_sub_at_a_weaker_provider_is_another_caller() {
    use crate::door::{CODE, Refusal, TOTP_NOT_CONFIGURED};
    let mut door = Door::with(json!({"inbound": {"rules": [
        {"name": "totp", "match": {"path_prefixes": ["/totp"]}, "accept": ["jwt"], "require": {"totp": true}},
        {"name": "pink", "match": {"path_prefixes": ["/pink"]}, "accept": ["jwt"], "require": {"peers": ["mrpink"]}},
        {"name": "main", "match": {"path_prefixes": ["/main"]}, "accept": ["jwt:main"]},
        {"name": "all", "accept": ["jwt"]},
    ]}}));
    let strong = Token::new("ES256").sign();
    let weak = [
        Token::quick().sign(),
        Token::new("RS256")
            .by_other()
            .claims(json!({"iss": "https://other.example"}))
            .sign(),
    ];
    let at = |path: &str, token: &str| bearer(token).header(":path", path).header("x-totp", CODE);
    for path in ["/totp", "/pink", "/main", "/"] {
        let forwarded = door.admits_as(path, at(path, &strong), "mrpink");
        assert_eq!(forwarded.headers.all("x-agent-peer"), ["mrpink"]);
    }
    let not_a_peer = Refusal::forbidden("peer_not_allowed", "Access denied");
    for token in &weak {
        door.refuses("the other's seed", at("/totp", token), TOTP_NOT_CONFIGURED);
        door.refuses("the other's rule", at("/pink", token), not_a_peer);
        door.refuses(
            "the other's provider",
            at("/main", token),
            crate::door::NOT_ACCEPTED,
        );
        let forwarded = door.admits_as("its own", at("/", token), "mrpink");
        assert_eq!(forwarded.headers.all("x-agent-peer"), Vec::<String>::new());
        assert_ne!(forwarded.headers.all("x-agent-iss"), ["https://issuer.example"]);
    }
}
