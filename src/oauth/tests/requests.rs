//! Requests for tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{NOW, SECRET, body, client, client_of, endpoint, secret};
use crate::callout::Callout;
use crate::jwks::{Algorithm, NoHostSignatures};
use crate::oauth::{
    Client, ClientAuthentication, Grant, IntrospectionRequest, Proof, Target, TokenEndpoint, TokenRequest,
    TokenType, TypedToken,
};
use crate::secret::Secret;
use crate::signer::SigningKey;
use crate::time::UnixTime;

pub(super) fn sent(request: &TokenRequest<'_>) -> Callout {
    let proof = Proof {
        now: UnixTime::from_seconds(NOW),
        random: &[7; 48],
    };
    request.callout(&endpoint(), &proof).unwrap()
}

fn target() -> Target {
    let texts = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
    Target {
        resources: texts(["https://b.example/?c=d", "urn:a"]),
        audiences: texts(["b", "a ü"]),
        scopes: texts(["write", "read"]),
        requested_token_type: TokenType::parse("jwt"),
    }
}

pub(super) fn subject<'a>(token: &'a [u8], token_type: &'a TokenType) -> TypedToken<'a> {
    TypedToken { token, token_type }
}

#[test]
fn the_request_itself() {
    let (client, target) = (client(), Target::default());
    let callout = sent(&TokenRequest {
        client: &client,
        grant: Grant::ClientCredentials,
        target: &target,
    });
    let headers: Vec<String> = callout
        .headers
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        headers,
        [
            ":method=POST",
            ":scheme=https",
            ":authority=idp.example:8443",
            ":path=/token?a=b",
            "accept=application/json",
            "user-agent=peergate",
            "content-type=application/x-www-form-urlencoded",
        ]
    );
    assert_eq!((callout.cluster.as_str(), callout.timeout_seconds), ("idp", 7));
    assert!(callout.authorization.is_none());
    assert_eq!(body(&callout), "grant_type=client_credentials&client_id=agent");
}

#[test]
fn forms_of_every_grant() {
    let bare = Target::default();
    let full = target();
    let client = client_of(
        "agent",
        ClientAuthentication::None,
        &[("tenant", "a&b"), ("x y", "z")],
    );
    let access = TokenType::ACCESS_TOKEN;
    let jwt = TokenType::parse("jwt").unwrap();
    let exchange = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A";
    let own = "&tenant=a%26b&x+y=z&client_id=agent";
    let targets = "&resource=https%3A%2F%2Fb.example%2F%3Fc%3Dd&resource=urn%3Aa&audience=b&audience=a+%C3%BC\
                   &scope=write+read";
    let form = |grant, target| {
        body(&sent(&TokenRequest {
            client: &client,
            grant,
            target,
        }))
    };
    let least = Grant::TokenExchange {
        subject: subject(b"a.b-c_d", &access),
        actor: None,
    };
    assert_eq!(
        form(least, &bare),
        format!("{exchange}&subject_token=a.b-c_d&subject_token_type={kind}access_token{own}")
    );
    let most = Grant::TokenExchange {
        subject: subject(b"a+b/c=\xff", &jwt),
        actor: Some(subject(b"actor", &access)),
    };
    assert_eq!(
        form(most, &full),
        format!(
            "{exchange}&subject_token=a%2Bb%2Fc%3D%FF&subject_token_type={kind}jwt&actor_token=actor\
             &actor_token_type={kind}access_token{targets}&requested_token_type={kind}jwt{own}"
        )
    );
    assert_eq!(
        form(Grant::JwtBearer { assertion: b"a.b.c" }, &full),
        format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c{targets}{own}"
        )
    );
    assert_eq!(
        form(Grant::ClientCredentials, &full),
        format!("grant_type=client_credentials{targets}{own}")
    );
}

#[test]
fn clients_prove_who_they_are() {
    let proved = |authentication| {
        let client = client_of("a b", authentication, &[]);
        let callout = sent(&TokenRequest {
            client: &client,
            grant: Grant::ClientCredentials,
            target: &Target::default(),
        });
        let authorization = callout.authorization.as_ref().map(|value| {
            let encoded = value.expose().strip_prefix("Basic ").unwrap();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
        assert!(!format!("{callout:?} {client:?}").contains("c%3Dr"));
        (authorization, body(&callout))
    };
    let credentials = "grant_type=client_credentials".to_owned();
    assert_eq!(
        proved(ClientAuthentication::ClientSecretBasic(secret())),
        (Some("a+b:s%2Be%2541c%3Dr%26t".into()), credentials.clone())
    );
    assert_eq!(
        proved(ClientAuthentication::ClientSecretBasicRaw(secret())),
        (Some(format!("a b:{SECRET}")), credentials.clone())
    );
    assert_eq!(
        proved(ClientAuthentication::ClientSecretPost(secret())),
        (
            None,
            format!("{credentials}&client_id=a+b&client_secret=s%2Be%2541c%3Dr%26t")
        )
    );
    assert_eq!(
        proved(ClientAuthentication::None),
        (None, format!("{credentials}&client_id=a+b"))
    );
}

pub(super) fn key() -> SigningKey {
    let pem = include_str!("../../../tests/vectors/signer/p256.pem");
    SigningKey::parse(pem, Algorithm::Es256, Some("one")).unwrap()
}

/// RFC 7523 §3.
#[test]
fn a_client_assertion_is_signed_and_new_each_time() {
    let signing = key();
    let keys = crate::signer::key_set(&[signing.public_jwk()]).unwrap();
    let client = client_of(
        "a\"b",
        ClientAuthentication::PrivateKeyJwt {
            key: Box::new(signing),
            audience: "https://idp.example".into(),
        },
        &[],
    );
    let assertion = |now: u64, random: u8| {
        let proof = Proof {
            now: UnixTime::from_seconds(now),
            random: &[random; 48],
        };
        let target = Target::default();
        let request = TokenRequest {
            client: &client,
            grant: Grant::ClientCredentials,
            target: &target,
        };
        let form = body(&request.callout(&endpoint(), &proof).unwrap());
        let start = "grant_type=client_credentials&client_id=a%22b\
                     &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
                     &client_assertion=";
        form.strip_prefix(start).unwrap().to_owned()
    };
    let token = assertion(NOW, 7);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut candidates = keys.candidates(Some("one"), Algorithm::Es256).unwrap();
    assert!(candidates.any(|key| key.verify(
        Algorithm::Es256,
        input.as_bytes(),
        &signature,
        &NoHostSignatures
    )));
    let (header, claims) = input.split_once('.').unwrap();
    let decoded =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(
        decoded(header),
        json!({"alg": "ES256", "kid": "one", "typ": "JWT"})
    );
    assert_eq!(
        decoded(claims),
        json!({
            "iss": "a\"b",
            "sub": "a\"b",
            "aud": "https://idp.example",
            "jti": URL_SAFE_NO_PAD.encode([7; 16]),
            "iat": NOW,
            "exp": NOW + 60,
        })
    );
    assert_ne!(assertion(NOW, 8), token);
    assert_ne!(assertion(NOW + 1, 7), token);
}

#[test]
fn no_two_requests_share_a_cache_entry() {
    let (access, jwt) = (TokenType::ACCESS_TOKEN, TokenType::parse("jwt").unwrap());
    let exchange = |token: &'static [u8], actor| Grant::TokenExchange {
        subject: subject(token, &access),
        actor,
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let to = |resources: &[&str], audiences: &[&str], scopes: &[&str], requested: Option<&str>| Target {
        resources: texts(resources),
        audiences: texts(audiences),
        scopes: texts(scopes),
        requested_token_type: requested.and_then(TokenType::parse),
    };
    let bare = Target::default();
    let clients = [
        client(),
        client_of("agent2", ClientAuthentication::None, &[]),
        client_of("agent", ClientAuthentication::ClientSecretPost(secret()), &[]),
        client_of("agent", ClientAuthentication::ClientSecretBasic(secret()), &[]),
        client_of(
            "agent",
            ClientAuthentication::ClientSecretPost(Secret::new("other".into())),
            &[],
        ),
        client_of("agent", ClientAuthentication::None, &[("a", "b")]),
        client_of("agent", ClientAuthentication::None, &[("ab", "")]),
        client_of(
            "agent",
            ClientAuthentication::PrivateKeyJwt {
                key: Box::new(key()),
                audience: "a".into(),
            },
            &[],
        ),
        client_of(
            "agent",
            ClientAuthentication::PrivateKeyJwt {
                key: Box::new(key()),
                audience: "b".into(),
            },
            &[],
        ),
        Client::new(
            "kc".into(),
            TokenEndpoint::Discovered {
                issuer: "https://idp.example".into(),
                metadata: endpoint(),
            },
            "agent".into(),
            ClientAuthentication::None,
            Vec::new(),
        ),
    ];
    let targets = [
        to(&["a:b"], &[], &[], None),
        to(&[], &["a:b"], &[], None),
        to(&[], &[], &["a:b"], None),
        to(&[], &["a", "b"], &[], None),
        to(&[], &["b", "a"], &[], None),
        to(&[], &["ab"], &[], None),
        to(&[], &["a"], &["b"], None),
        to(&[], &[], &[], Some("jwt")),
        to(&[], &[], &[], Some("id_token")),
    ];
    let grants = [
        exchange(b"one", None),
        exchange(b"two", None),
        exchange(b"one", Some(subject(b"two", &access))),
        exchange(b"one", Some(subject(b"three", &access))),
        exchange(b"one", Some(subject(b"two", &jwt))),
        Grant::TokenExchange {
            subject: subject(b"one", &jwt),
            actor: None,
        },
        Grant::JwtBearer { assertion: b"one" },
        Grant::ClientCredentials,
    ];
    let mut keys = Vec::new();
    let mut add = |client, grant, target| {
        keys.push(
            TokenRequest {
                client,
                grant,
                target,
            }
            .cache_key(),
        );
    };
    for client in &clients {
        add(client, grants[0], &bare);
    }
    for target in &targets {
        add(&clients[0], grants[0], target);
    }
    for grant in grants.iter().skip(1) {
        add(&clients[0], *grant, &bare);
    }
    for token in [b"one".as_slice(), b"two"] {
        let request = IntrospectionRequest {
            client: &clients[0],
            endpoint: &endpoint(),
            token,
        };
        keys.push(request.cache_key());
    }
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
    let again = client_of("agent", ClientAuthentication::None, &[]);
    let key = |client: &Client| {
        TokenRequest {
            client,
            grant: grants[0],
            target: &bare,
        }
        .cache_key()
    };
    assert_eq!(key(&clients[0]), key(&again));
}
