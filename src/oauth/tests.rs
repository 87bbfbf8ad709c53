//! What is sent, byte for byte, and what becomes of every answer.

mod answers;
mod introspection;
mod requests;

use super::*;
use crate::callout::{Answer, Body, Callout, Endpoint, Url};
use crate::http::Headers;
use crate::jwt;
use crate::secret::Secret;

use self::answers::{answered, read};
use self::introspection::introspected;
use self::requests::{sent, subject};

/// What HTTP Basic must encode (RFC 6749 §2.3.1).
const SECRET: &str = "s+e%41c=r&t";

const NOW: u64 = 1_700_000_000;

fn endpoint() -> Endpoint {
    Endpoint {
        url: Url::parse("https://idp.example:8443/token?a=b").unwrap(),
        cluster: "idp".into(),
        timeout_seconds: 7,
    }
}

fn client_of(id: &str, authentication: ClientAuthentication, parameters: &[(&str, &str)]) -> Client {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Client::new(
        "kc".into(),
        TokenEndpoint::At(endpoint()),
        id.into(),
        authentication,
        parameters.iter().map(owned).collect(),
    )
}

fn client() -> Client {
    client_of("agent", ClientAuthentication::None, &[])
}

fn secret() -> Secret<String> {
    Secret::new(SECRET.to_owned())
}

fn body(callout: &Callout) -> String {
    String::from_utf8(callout.body.expose().clone()).unwrap()
}

fn answer(status: &str, body: &str) -> Answer {
    Answer::Received {
        headers: Headers::new([(b":status".to_vec(), status.as_bytes().to_vec())]),
        body: Body::Whole(body.as_bytes().to_vec()),
    }
}

#[test]
fn nothing_prints_a_token() {
    let client = client_of("agent", ClientAuthentication::ClientSecretPost(secret()), &[]);
    let access = TokenType::ACCESS_TOKEN;
    let target = Target::default();
    let request = TokenRequest {
        client: &client,
        grant: Grant::TokenExchange {
            subject: subject(b"hunter2", &access),
            actor: Some(subject(b"hunter2", &access)),
        },
        target: &target,
    };
    let introspection = IntrospectionRequest {
        client: &client,
        endpoint: &endpoint(),
        token: b"hunter2",
    };
    let printed = format!("{request:?} {:?} {introspection:?}", sent(&request));
    let printed = format!(
        "{printed} {:?} {:?}",
        request.cache_key(),
        answered(r#"{"access_token":"hunter2","token_type":"bearer"}"#)
    );
    assert!(
        !printed.contains("hunter2") && !printed.contains(SECRET),
        "{printed}"
    );
    assert!(!printed.contains("104, 117, 110"), "{printed}");
}

/// Any bytes, and every good answer with a byte changed or cut off: an answer or an error, and no panic.
#[test]
fn whatever_a_server_says() {
    let good = [
        r#"{"access_token":"a.b.c","token_type":"Bearer","expires_in":60,"issued_token_type":"urn:a"}"#,
        r#"{"active":true,"exp":1700000060,"aud":["charlie"],"iss":"https://idp.example","token_type":"bearer"}"#,
        r#"{"error":"invalid_client"}"#,
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut bodies: Vec<Vec<u8>> = (0..500)
        .map(|_| (0..random.usize(0..200)).map(|_| random.u8(..)).collect())
        .collect();
    for text in good {
        for at in 0..text.len() {
            bodies.push(text.as_bytes()[..at].to_vec());
            let mut changed = text.as_bytes().to_vec();
            changed[at] = random.u8(..);
            bodies.push(changed);
        }
    }
    for body in bodies {
        for status in [b"200".as_slice(), b"400", b"503", b"\xff"] {
            let answer = Answer::Received {
                headers: Headers::new([(b":status".to_vec(), status.to_vec())]),
                body: Body::Whole(body.clone()),
            };
            if let Ok(granted) = read(answer.clone(), None, None) {
                let token = granted.access_token.expose();
                assert!(
                    status == b"200"
                        && !token.is_empty()
                        && token.bytes().all(|byte| byte.is_ascii_graphic())
                );
            }
            let _ = introspected(answer, None);
        }
        let _ = jwt::unverified_expiry(&body);
        let _ = TokenType::parse(&String::from_utf8_lossy(&body));
        let _ = check_resource(&String::from_utf8_lossy(&body));
        let _ = TokenEndpoint::Discovered {
            issuer: "a".into(),
            metadata: endpoint(),
        }
        .discover(&body);
    }
}
