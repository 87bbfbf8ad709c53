//! Introspection, both ways.

use serde_json::{Value, json};

use super::{NOW, answer, body, client_of, endpoint, secret};
use crate::callout::Answer;
use crate::jwt::Audiences;
use crate::oauth::{Active, ClientAuthentication, IntrospectionError, IntrospectionRequest, Proof, Vouched};
use crate::time::UnixTime;

pub(super) fn introspected(answer: Answer, issuer: Option<&str>) -> Result<Active, IntrospectionError> {
    let audiences = Audiences::OneOf(vec!["charlie".into()]);
    let vouched = Vouched {
        issuer,
        audiences: &audiences,
    };
    Active::read(answer, &vouched, UnixTime::from_seconds(NOW))
}

#[test]
fn the_request_of_an_introspection() {
    let client = client_of(
        "agent",
        ClientAuthentication::ClientSecretBasic(secret()),
        &[("tenant", "a")],
    );
    let request = IntrospectionRequest {
        client: &client,
        endpoint: &endpoint(),
        token: b"a+b",
    };
    let proof = Proof {
        now: UnixTime::from_seconds(NOW),
        random: &[7; 48],
    };
    let callout = request.callout(&proof).unwrap();
    assert_eq!(body(&callout), "token=a%2Bb&token_type_hint=access_token");
    assert!(callout.authorization.is_some());
    assert_eq!(callout.headers[3], (":path", "/token?a=b".to_owned()));
}

#[test]
fn active_tokens() {
    let issuer = Some("https://idp.example");
    for (claims, expires_at) in [
        (json!({}), None),
        (json!({"exp": NOW + 60}), Some(NOW + 60)),
        (
            json!({"exp": NOW - 59, "nbf": NOW + 60, "iat": NOW + 60}),
            Some(NOW - 59),
        ),
        (
            json!({"exp": UnixTime::from_seconds(NOW).numeric_date() + 0.5, "aud": "charlie", "iss": "https://idp.example", "sub": "a", "jti": "b"}),
            Some(NOW),
        ),
        (json!({"aud": ["other", "charlie"], "token_type": "Bearer"}), None),
        (
            json!({"token_type": "access_token", "token_use": "access_token", "typ": "Bearer"}),
            None,
        ),
    ] {
        let mut body = claims.clone();
        body["active"] = true.into();
        let active = introspected(answer("200", &body.to_string()), issuer).unwrap();
        assert_eq!(active.expires_at.map(UnixTime::seconds), expires_at, "{claims}");
        assert_eq!(Value::Object(active.claims), claims);
    }
}

#[test]
fn tokens_that_are_not_good() {
    let issuer = Some("https://idp.example");
    for (claims, expected) in [
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"exp": "1"}), "exp"),
        (json!({"exp": null}), "exp"),
        (json!({"nbf": NOW + 61}), "valid"),
        (json!({"iat": NOW + 61}), "issued at"),
        (json!({"aud": "other"}), "other"),
        (json!({"aud": []}), "aud"),
        (json!({"aud": 1}), "aud"),
        (json!({"iss": "https://idp.example/"}), "https://idp.example/"),
        (json!({"iss": 1}), "iss"),
        (json!({"sub": 1}), "sub"),
        (json!({"jti": []}), "jti"),
    ] {
        let mut body = claims.clone();
        body["active"] = true.into();
        let error = introspected(answer("200", &body.to_string()), issuer).unwrap_err();
        assert!(
            matches!(error, IntrospectionError::Claims(_)),
            "{claims} {error:?}"
        );
        assert!(error.to_string().contains(expected), "{claims} {error}");
    }
    for claims in [
        json!({"token_type": "DPoP"}),
        json!({"token_type": "refresh_token"}),
        json!({"token_type": null}),
        json!({"token_use": "refresh_token"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "ID"}),
    ] {
        let mut body = claims.clone();
        body["active"] = true.into();
        let error = introspected(answer("200", &body.to_string()), issuer).unwrap_err();
        assert_eq!(error, IntrospectionError::NoAccessToken, "{claims}");
    }
    for (status, body) in [
        ("200", r#"{"active":false}"#),
        ("200", r#"{"active":false,"exp":"x"}"#),
        ("400", r#"{"error":"unsupported_token_type"}"#),
    ] {
        let error = introspected(answer(status, body), issuer).unwrap_err();
        assert_eq!(error, IntrospectionError::Inactive, "{body}");
    }
    for (status, body) in [
        ("200", "{}"),
        ("200", r#"{"active":"true"}"#),
        ("200", r#"{"active":true,"active":false}"#),
        ("200", "true"),
        ("401", r#"{"error":"invalid_client"}"#),
        ("302", r#"{"active":true}"#),
        ("500", r#"{"active":true}"#),
    ] {
        let error = introspected(answer(status, body), issuer).unwrap_err();
        assert!(
            matches!(error, IntrospectionError::Unavailable(_)),
            "{body} {error:?}"
        );
    }
}
