//! Secrets stay where they are: not in a log line, an answer, a metric, filter state, or what an access log prints.

use serde_json::json;

use crate::door::{API_KEY, CODE, Door, QUERY_KEY, SEED, SHARED_SECRET, STATIC_TOKEN, bearer, get, policy};
use crate::host::{Request, Response};
use crate::token::Token;

/// CWE-532, CWE-598: every secret of the policy and of the caller, in every place where one may stand, in requests that
/// are refused and in such that go on. `tests/secrets_check.py` looks for them in all that a real Envoy prints as well.
#[test]
fn no_secret_in_any_output() {
    let mut both = policy();
    both["role"] = json!("gateway");
    both["outbound"] = json!({
        "insecure_allow_query_param_auth": true,
        "insecure_query_param_auth_allowed_hosts": ["api.example"],
        "rules": [{
            "name": "api",
            "match": {"hosts": ["api.example"], "clusters": ["api"]},
            "query_params": {"key": {"env": "QUERY_KEY"}},
            "totp": {"seed": {"env": "PINKS_SEED"}},
        }],
    });
    let mut door = Door::of(&both, "");
    let good = Token::new("ES256").sign();
    let expired = Token::new("ES256").claims(json!({"exp": 1})).sign();
    let secrets = [
        API_KEY,
        STATIC_TOKEN,
        SEED,
        SHARED_SECRET,
        QUERY_KEY,
        &good,
        &expired,
    ];
    let misplaced = |request: Request, secret: &str| {
        request
            .header("x-totp", secret)
            .header("x-request-id", "1")
            .header("connection", "keep-alive")
            .header("user-agent", "test")
    };
    let mut requests: Vec<Request> = Vec::new();
    for secret in secrets {
        for path in ["/", "/optional", "/totp", "/public", "/admin"] {
            requests.push(get(path).header("authorization", format!("Bearer {secret}")));
            requests.push(get(path).header("authorization", format!("Basic {secret}")));
            requests.push(get(path).header("authorization", secret));
            requests.push(get(path).header("x-api-key", secret));
            requests.push(get(path).header("x-api-key", secret).header("x-api-key", secret));
            requests.push(misplaced(bearer(&good).header(":path", path), secret));
            for name in [
                "api_key",
                "token",
                "access_token",
                "client_secret",
                "key",
                "code",
                "apikey",
                "sig",
            ] {
                requests.push(get(&format!("{path}?a=1&{name}={secret}")));
                requests.push(get(&format!("{path}/..?{name}={secret}")));
            }
        }
    }
    let mut api = Vec::new();
    for request in [get("/x?a=1"), get("/public"), bearer(&good), bearer(&expired)] {
        api.push(
            request
                .header(":authority", "api.example")
                .route(|_| b"api".to_vec()),
        );
    }
    let (mut refused, mut admitted) = (0, 0);
    for (index, request) in requests.into_iter().chain(api).enumerate() {
        // As much time as a line of the log takes: none is left out.
        door.pass_milliseconds(50);
        let output = door.outputs(request);
        match output.is_refusal {
            true => refused += 1,
            false => admitted += 1,
        }
        for secret in secrets {
            let place = output.texts.iter().find(|(_, text)| text.contains(secret));
            assert!(place.is_none(), "request {index}: {secret} in {place:?}");
        }
    }
    assert!(refused > 400 && admitted > 50, "{refused}, {admitted}");
    assert!(door.everything().len() > 500);
    for secret in secrets {
        let line = door.everything().into_iter().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

/// An upstream that sends its query back: in a redirect, a link, a refresh. The caller does not see the key of the mesh.
#[test]
fn no_secret_in_an_answer_that_echoes_it() {
    let mut door = Door::of(
        &json!({"version": 1, "role": "outbound", "outbound": {
            "insecure_allow_query_param_auth": true,
            "insecure_query_param_auth_allowed_hosts": ["api.example"],
            "rules": [{
                "name": "api",
                "match": {"hosts": ["api.example"], "clusters": ["api"]},
                "query_params": {"key": {"env": "QUERY_KEY"}},
            }],
        }}),
        "",
    );
    for (name, value) in [
        ("location", "/next?a=1&key=tvly-key-0001"),
        ("location", "https://api.example/next?key=tvly-key-0001#x"),
        ("location", "https://user:tvly-key-0001@api.example/"),
        ("location", "/next?other=tvly-key-0001"),
        ("location", "/tvly-key-0001/next"),
        ("location", "/next?key=tvly%2Dkey%2D0001"),
        ("location", "/next?key=%74vly-key-0001"),
        ("content-location", "/x?key=tvly-key-0001"),
        ("link", "</p?key=tvly-key-0001>; rel=\"next\""),
        ("refresh", "0; url=/p?key=tvly-key-0001"),
    ] {
        let request = get("/x?a=1")
            .header(":authority", "api.example")
            .route(|_| b"api".to_vec())
            .upstream(Response::new(302).header(name, value));
        let forwarded = door.admits(value, request);
        let seen = forwarded.response.headers.all(name).concat();
        let decoded = seen.replace("%2D", "-").replace("%74", "t");
        assert!(!decoded.contains(QUERY_KEY), "{name}: {value} became {seen}");
    }
    let clean = Response::new(302).header("location", "/next?a=1");
    let request = get("/x")
        .header(":authority", "api.example")
        .route(|_| b"api".to_vec());
    let forwarded = door.admits("clean", request.upstream(clean));
    assert_eq!(forwarded.response.headers.all("location"), ["/next?a=1"]);
}

/// A policy that is refused, or that cannot be read, is not printed with what it holds.
#[test]
fn no_secret_of_a_refused_policy_is_told() {
    let secret = "inline-secret-0001";
    for changes in [
        json!({"inbound": {"peers": {"mrpink": {"api_keys": [{"inline": secret}, {"inline": secret}]}}}}),
        json!({"inbound": {"peers": {"mrpink": {"totp_seeds": [{"inline": secret}]}}}}),
        json!({"inbound": {"peers": {"mrpink": {"api_keys": secret}}}}),
        json!({"inbound": {"peers": {"mrpink": {"api_keys": [secret]}}}}),
        json!({"inbound": {"peers": {"mrpink": {"api_keys": [{"sha256": secret}]}}}}),
        json!({"inbound": {"peers": {"mrpink": {"api_keys": [{"env": secret}]}}}}),
        json!({"inbound": {"peers": {"mrpink": {"bearer_tokens": [{"inline": format!("{secret},{secret}")}]}}}}),
        json!({"inbound": {"providers": {"shared": {"jwks": {"secrets": [{"alg": "HS256", "secret": {"inline": secret}}]}}}}}),
        json!({"inbound": {"providers": {"shared": {"jwks": {"secrets": [{"alg": "HS256", "secret": secret}]}}}}}),
        json!({"inbound": {"providers": {"main": {"jwks": {"inline": {"keys": [{"kty": "oct", "k": secret}]}}}}}}),
    ] {
        let told = crate::door::refused_policy(changes.clone());
        assert!(!told.contains(secret), "{changes}: {told}");
        assert!(!told.contains(CODE), "{told}");
    }
}

/// Whoever writes a policy says where secrets go. What opens those of all policies goes nowhere, whatever it is called for.
#[test]
fn the_key_of_sealed_secrets_goes_nowhere() {
    let key = json!({"env": "PEERGATE_UNSEALING_KEY"});
    let rule = |members: serde_json::Value| {
        let mut rule = json!({"match": {"hosts": ["evil.example"], "clusters": ["evil"]}});
        rule.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        json!({"outbound": {"insecure_allow_query_param_auth": true, "insecure_query_param_auth_allowed_hosts": ["evil.example"], "rules": [rule]}})
    };
    for changes in [
        rule(json!({"headers": {"x-key": {"value": key}}})),
        rule(json!({"cookies": {"key": key}})),
        rule(json!({"query_params": {"key": key}})),
        rule(json!({"totp": {"seed": key}})),
        json!({"inbound": {"peers": {"mrpink": {"totp_seeds": [key]}}}}),
        json!({"inbound": {"errors": {"realm": "${PEERGATE_UNSEALING_KEY}"}}}),
        json!({"inbound": {"providers": {"main": {"audiences": ["${PEERGATE_UNSEALING_KEY}"]}}}}),
    ] {
        let told = crate::door::refused_policy(changes.clone());
        let says = "this variable opens sealed secrets, and goes nowhere else";
        assert!(told.contains(says), "{changes}: {told}");
    }
}
