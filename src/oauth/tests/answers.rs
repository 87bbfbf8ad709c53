//! Answers to requests for tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{NOW, answer};
use crate::callout::{Answer, Body};
use crate::http::Headers;
use crate::oauth::{Expected, Granted, TokenError, TokenType};
use crate::time::UnixTime;

pub(super) fn read(
    answer: Answer,
    requested: Option<&TokenType>,
    subject: Option<u64>,
) -> Result<Granted, TokenError> {
    let expected = Expected {
        requested_token_type: requested,
        subject_expires_at: subject.map(UnixTime::from_seconds),
        now: UnixTime::from_seconds(NOW),
    };
    Granted::read(answer, &expected)
}

pub(super) fn answered(body: &str) -> Result<Granted, TokenError> {
    read(answer("200", body), None, None)
}

#[test]
fn good_answers() {
    for body in [
        r#"{"access_token":"a","token_type":"Bearer"}"#,
        r#"{"access_token":"a","token_type":"bearer","expires_in":0}"#,
        r#"{"access_token":"a","token_type":"BEARER","expires_in":1.5,"refresh_token":"b","scope":"c","x":[{}]}"#,
        // zitadel, where no kind was asked for.
        r#"{"access_token":"a","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:refresh_token"}"#,
    ] {
        assert_eq!(answered(body).unwrap().access_token.expose(), "a", "{body}");
    }
    let jwt = TokenType::parse("jwt").unwrap();
    let body = format!(
        r#"{{"access_token":"a","token_type":"Bearer","issued_token_type":"{}"}}"#,
        jwt.as_str()
    );
    assert!(read(answer("200", &body), Some(&jwt), None).is_ok());
}

#[test]
fn how_long_a_token_is_used() {
    let jwt = |claims: Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.AA", part(&json!({"alg": "ES256"})), part(&claims))
    };
    let seconds = |token: &str, expires_in: &str, subject: Option<u64>| {
        let body = format!(r#"{{"access_token":"{token}","token_type":"bearer"{expires_in}}}"#);
        let granted = read(answer("200", &body), None, subject).unwrap();
        i64::try_from(granted.usable_until.seconds()).unwrap() - i64::try_from(NOW).unwrap()
    };
    let own = jwt(json!({"exp": NOW + 300}));
    for (token, expires_in, subject, expected) in [
        ("opaque", r#","expires_in":3600"#, None, 3595),
        ("opaque", r#","expires_in":3600.9"#, None, 3595),
        ("opaque", r#","expires_in":3"#, None, -2),
        ("opaque", r#","expires_in":1e300"#, None, 86_395),
        ("opaque", "", None, 55),
        (&own, "", None, 295),
        (&own, r#","expires_in":60"#, None, 55),
        (&jwt(json!({"exp": "soon"})), "", None, 55),
        (
            &jwt(json!({"exp": 1})),
            "",
            None,
            1 - i64::try_from(NOW).unwrap() - 1,
        ),
        ("opaque", r#","expires_in":3600"#, Some(NOW + 100), 100),
        ("opaque", r#","expires_in":60"#, Some(NOW + 100), 55),
    ] {
        assert_eq!(
            seconds(token, expires_in, subject),
            expected,
            "{token} {expires_in}"
        );
    }
}

#[test]
fn what_gives_no_token() {
    let long = format!(
        r#"{{"access_token":"{}","token_type":"bearer"}}"#,
        "a".repeat(65_537)
    );
    let longer = format!(r#"{{"a":"{}"}}"#, "a".repeat(131_072));
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let missing = "the answer has no `access_token` that a header can carry";
    for (body, expected) in [
        ("", "the answer: invalid JSON at line 1 column 0"),
        ("[]", "the answer: not a JSON object"),
        (
            "access_token=a&token_type=bearer",
            "the answer: invalid JSON at line 1 column 1",
        ),
        (
            r#"{"access_token":"a","access_token":"b","token_type":"bearer"}"#,
            "the answer: duplicate member",
        ),
        ("{}", missing),
        (r#"{"token_type":"bearer"}"#, missing),
        (r#"{"access_token":null,"token_type":"bearer"}"#, missing),
        (r#"{"access_token":"","token_type":"bearer"}"#, missing),
        (r#"{"access_token":["a"],"token_type":"bearer"}"#, missing),
        (r#"{"access_token":"a b","token_type":"bearer"}"#, missing),
        (r#"{"access_token":"a\r\nx: y","token_type":"bearer"}"#, missing),
        (r#"{"access_token":"a,b","token_type":"bearer"}"#, missing),
        (r#"{"access_token":"ü","token_type":"bearer"}"#, missing),
        (&long, missing),
        (&longer, "an answer of 131080 bytes, more than 131072"),
        (&deep, "an answer of 600000 bytes, more than 131072"),
        (r#"{"access_token":"a"}"#, "the answer has no `token_type`"),
        (
            r#"{"access_token":"a","token_type":1}"#,
            "the answer has no `token_type`",
        ),
        (
            r#"{"access_token":"a","token_type":"N_A"}"#,
            "`token_type` of the answer is `N_A`, not Bearer",
        ),
        (
            r#"{"access_token":"a","token_type":"dpop"}"#,
            "`token_type` of the answer is `DPoP`, not Bearer",
        ),
        (
            r#"{"access_token":"a","token_type":"a"}"#,
            "`token_type` of the answer is another type, not Bearer",
        ),
        (
            r#"{"access_token":"a","token_type":"bearer","expires_in":-1}"#,
            "`expires_in` of the answer is no number of seconds",
        ),
        (
            r#"{"access_token":"a","token_type":"bearer","expires_in":"60"}"#,
            "`expires_in` of the answer is no number of seconds",
        ),
        (
            r#"{"access_token":"a","token_type":"bearer","expires_in":null}"#,
            "`expires_in` of the answer is no number of seconds",
        ),
    ] {
        let error = answered(body).unwrap_err();
        assert_eq!(error.to_string(), expected, "{body:.80}");
        assert_eq!(
            (error.reason(), error.is_unavailable()),
            ("malformed", false),
            "{body:.80}"
        );
    }
    let jwt = TokenType::parse("jwt").unwrap();
    for (issued, expected) in [
        ("", "the answer has no `issued_token_type`"),
        (
            r#","issued_token_type":"urn:a""#,
            "`issued_token_type` of the answer is another type, not what was requested",
        ),
        (
            r#","issued_token_type":"urn:ietf:params:oauth:token-type:saml2""#,
            "`issued_token_type` of the answer is `urn:ietf:params:oauth:token-type:saml2`, not what was requested",
        ),
    ] {
        let body = format!(r#"{{"access_token":"a","token_type":"bearer"{issued}}}"#);
        let error = read(answer("200", &body), Some(&jwt), None).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn refusals_and_outages() {
    let good = r#"{"access_token":"a","token_type":"bearer"}"#;
    for (status, body, reason, expected) in [
        (
            "400",
            r#"{"error":"invalid_grant"}"#,
            "refused",
            "status 400, `invalid_grant`",
        ),
        (
            "401",
            r#"{"error":"invalid_client","error_description":"hunter2"}"#,
            "refused",
            "status 401, `invalid_client`: the client's id or secret; Keycloak says so of an unknown audience too",
        ),
        (
            "403",
            r#"{"error":"access_denied"}"#,
            "refused",
            "status 403, `access_denied`: Keycloak says so where the subject token is not for this client",
        ),
        (
            "400",
            r#"{"error":"invalid_target"}"#,
            "refused",
            "status 400, `invalid_target`: the server knows no such resource or audience",
        ),
        (
            "400",
            r#"{"error":"a\nb"}"#,
            "refused",
            "status 400, another code",
        ),
        ("400", r#"{"error":""}"#, "refused", "status 400, another code"),
        ("400", r#"{"error":1}"#, "refused", "status 400"),
        (
            "400",
            r#"{"error":"the-secret-of-the-client"}"#,
            "refused",
            "status 400, another code",
        ),
        ("404", "<html>", "refused", "status 404"),
        ("429", good, "refused", "status 429"),
        ("500", good, "status", "status 500"),
        ("503", "", "status", "status 503"),
        ("504", "", "status", "status 504"),
        ("302", good, "malformed", "status 302"),
        ("201", good, "malformed", "status 201"),
        ("204", good, "malformed", "status 204"),
        ("", good, "malformed", "status "),
        ("40", good, "malformed", "status 40"),
        ("4000", good, "malformed", "status 4000"),
    ] {
        let error = read(answer(status, body), None, None).unwrap_err();
        assert_eq!(
            (error.reason(), error.to_string().as_str()),
            (reason, expected),
            "{status} {body:.40}"
        );
        assert_eq!(error.is_unavailable(), reason == "status");
    }
    let too_long = Answer::Received {
        headers: Headers::new([(b":status".to_vec(), b"200".to_vec())]),
        body: Body::TooLong { bytes: 10_000_000 },
    };
    for (answer, is_unavailable, expected) in [
        (Answer::Nothing, true, "no answer"),
        (Answer::NotSent, true, "the proxy has no such cluster"),
        (too_long, false, "an answer of 10000000 bytes, more than 131072"),
    ] {
        let error = read(answer, None, None).unwrap_err();
        assert_eq!(
            (error.is_unavailable(), error.to_string().as_str()),
            (is_unavailable, expected)
        );
    }
}
