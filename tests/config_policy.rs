//! What a configuration compiles to, default by default and member by member.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests by their attribute, and helpers have none"
)]

use std::rc::Rc;

use peergate_filter::authority::Authority;
use peergate_filter::claims::ClaimPath;
use peergate_filter::config::{self, Document, Environment};
use peergate_filter::jwks::{Algorithm, AlgorithmSet};
use peergate_filter::jwt::{Audiences, MediaType, SubjectPattern};
use peergate_filter::oauth::{ClientAuthentication, GrantType, Target, TokenEndpoint, TokenType};
use peergate_filter::policy::Policy;
use peergate_filter::policy::inbound::{AmbiguousPaths, CorsPreflight, Forward, Inbound};
use peergate_filter::policy::location::{Location, TokenForm, TokenLocation};
use peergate_filter::policy::outbound::{Clusters, OnNoMatch, Outbound, ParameterValue};
use peergate_filter::policy::rule::{Accept, AcceptedTokens, Action, Protocol, Require, TotpRequirement};
use peergate_filter::policy::token::{Actor, OnFailure, OnMissingSubject, SubjectSource, Verify};
use peergate_filter::role::{Role, RoleSetting};
use peergate_filter::time::UnixTime;
use peergate_filter::totp::{self, CodeParameters, Digits};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn load(yaml: &str) -> Policy {
    let environment = Environment {
        variables: [("SEED", SEED), ("SHARED", "0123456789abcdef0123456789abcdef")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        workload: Some("charlie".into()),
        namespace: Some("agents".into()),
    };
    let document: Document = serde_saphyr::from_str(yaml).unwrap();
    config::load(&document, &environment)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .policy
}

fn full() -> Policy {
    load(include_str!("policies/full.yaml"))
}

fn inbound(policy: &Policy) -> &Inbound {
    policy.inbound.as_ref().unwrap()
}

fn outbound(policy: &Policy) -> &Outbound {
    policy.outbound.as_ref().unwrap()
}

fn claim(path: &str) -> ClaimPath {
    ClaimPath::parse(path).unwrap()
}

#[test]
fn the_least_inbound_policy() {
    let policy = load("{version: 1, inbound: {}}");
    assert_eq!(policy.role, RoleSetting::Auto);
    assert!(policy.outbound.is_none());
    assert_eq!(policy.errors.realm, "charlie");
    assert!(policy.errors.verbose);
    assert_eq!(policy.errors.jsonrpc_code, -32000);

    let inbound = inbound(&policy);
    assert!(inbound.providers.is_empty() && inbound.rules.is_empty() && inbound.bearer_tokens.is_empty());
    assert_eq!(inbound.locations().count(), 0);
    assert_eq!(inbound.totp.header, "x-totp");
    assert!(inbound.totp.shared_seeds.is_empty());
    assert_eq!(inbound.ambiguous_paths, AmbiguousPaths::Reject);
    assert_eq!(inbound.cors_preflight, CorsPreflight::Authenticate);
    let header = |name: &str| Some(name.into());
    let forward = Forward {
        peer: header("x-agent-peer"),
        sub: header("x-agent-sub"),
        iss: header("x-agent-iss"),
        method: header("x-agent-auth"),
        rb_auth_claims: None,
        list_separator: ",".into(),
    };
    assert_eq!(inbound.forward, forward);
    for name in [
        "x-agent-peer",
        "X_Agent_Sub",
        "x-agent-iss",
        "x-agent-auth",
        "rb-auth-claims",
    ] {
        assert!(policy.owned_headers.contains(name.as_bytes()), "{name}");
    }
    // Places of credentials: the machine knows those that the policy uses.
    for name in ["x-api-key", "x-totp", "authorization"] {
        assert!(!policy.owned_headers.contains(name.as_bytes()), "{name}");
    }
}

#[test]
fn the_least_outbound_policy() {
    let policy = load("{version: 1, outbound: {}}");
    assert!(policy.inbound.is_none());
    let outbound = outbound(&policy);
    assert!(
        outbound.rules.is_empty() && outbound.strip_headers.is_empty() && outbound.query_hosts.is_empty()
    );
    assert_eq!(outbound.on_no_match, OnNoMatch::Forward);
}

#[test]
fn the_least_provider() {
    let policy = load(
        "{version: 1, inbound: {providers: {kc: {issuer: https://a.example, audiences: [a], jwks: {inline: {keys: [
         {kty: EC, crv: P-256, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4,
          y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM}]}}}}, peers: {mrpink: {}}}}",
    );
    let inbound = inbound(&policy);
    assert_eq!(
        inbound.token_locations,
        [TokenLocation {
            location: Location::Header("authorization".into()),
            forms: vec![TokenForm {
                scheme: Some("Bearer".into()),
                providers: vec![0],
                is_for_static_tokens: false,
                is_for_opaque_tokens: false,
            }],
        }]
    );
    assert_eq!(inbound.api_keys.locations, []);
    let verification = &inbound.tokens.providers()[0];
    let default = [
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::EdDsa,
    ];
    assert_eq!(verification.algorithms, AlgorithmSet::of(&default));
    assert_eq!(verification.types, []);
    assert_eq!(verification.clock_skew_seconds, 60);
    assert_eq!(verification.max_lifetime_seconds, None);
    assert_eq!(verification.required_claims, ["sub"]);
    assert_eq!(verification.subjects, []);
    let meaning = &inbound.providers[0];
    assert_eq!(meaning.peer_claim, claim("sub"));
    assert_eq!(meaning.scope_claims, [claim("scope"), claim("scp")]);
    assert!(!meaning.forwards_token && meaning.claim_headers.is_empty());
    // With one provider, a peer's name is the value of its claim.
    assert_eq!(&*meaning.peers["mrpink"].name, "mrpink");
}

#[test]
fn providers() {
    let policy = full();
    let inbound = inbound(&policy);
    let [kc, partner] = inbound.tokens.providers() else {
        panic!("two providers")
    };
    assert_eq!((kc.name.as_str(), partner.name.as_str()), ("kc", "partner"));
    assert_eq!(kc.issuer, "https://sso.example/realms/agents");
    assert_eq!(kc.audiences, Audiences::OneOf(vec!["charlie".into()]));
    assert_eq!(policy.keys.written.get(0).map(|keys| keys.len()), Some(1));
    assert!(!kc.is_symmetric);
    assert_eq!(kc.algorithms, AlgorithmSet::of(&[Algorithm::Es256]));
    assert_eq!(kc.types, [MediaType::new("at+jwt")]);
    assert_eq!((kc.clock_skew_seconds, kc.max_lifetime_seconds), (30, Some(3600)));
    assert_eq!(kc.required_claims, ["sub", "azp"]);
    assert_eq!(kc.subjects, [SubjectPattern::Prefix("service-".into())]);
    assert_eq!(partner.audiences, Audiences::Any);
    assert!(partner.is_symmetric && policy.keys.written.get(1).is_some_and(|keys| keys.is_symmetric()));
    assert_eq!(partner.algorithms, AlgorithmSet::of(&[Algorithm::Hs256]));

    let [kc, partner] = inbound.providers.as_slice() else {
        panic!("two providers")
    };
    assert_eq!((kc.name.as_str(), partner.name.as_str()), ("kc", "partner"));
    assert_eq!(kc.peer_claim, claim("azp"));
    assert_eq!(kc.scope_claims, [claim("scp")]);
    assert!(kc.forwards_token && !partner.forwards_token);
    assert_eq!(
        kc.claim_headers,
        [("x-agent-roles".into(), claim("realm_access.roles"))]
    );
    assert_eq!(kc.payload_header.as_deref(), Some("x-agent-payload"));
    assert_eq!(partner.payload_header, None);
    assert!(policy.owned_headers.contains(b"x_agent_roles"));
    assert!(policy.owned_headers.contains(b"x-agent-payload"));
    assert!(policy.owned_headers.contains(b"rb-auth-claims"));
    // Left away by this policy, and believed by an upstream that knows peergate.
    assert!(policy.owned_headers.contains(b"x-agent-iss"));
}

#[test]
fn peers() {
    let policy = full();
    let inbound = inbound(&policy);
    let pink = &inbound.providers[0].peers["pink"];
    assert_eq!(inbound.providers[0].peers.len(), 1);
    assert!(Rc::ptr_eq(pink, &inbound.providers[1].peers["other-pink"]));
    assert!(Rc::ptr_eq(
        pink,
        inbound
            .api_keys
            .keys
            .find(b"inline-key-that-nobody-may-see")
            .unwrap()
    ));
    assert!(Rc::ptr_eq(pink, inbound.bearer_tokens.find(b"abc").unwrap()));
    assert!(inbound.api_keys.keys.find(b"abc").is_none());
    assert_eq!(&*pink.name, "mrpink");
    assert_eq!(pink.display_name.as_deref(), Some("Mr Pink"));
    assert_eq!(pink.scopes, ["a2a.invoke"]);
    assert_eq!(pink.totp_seeds.len(), 2);
    // RFC 6238, appendix B.
    let code = totp::code_at(
        &pink.totp_seeds[0],
        &CodeParameters::DEFAULT,
        UnixTime::from_seconds(59),
    );
    assert_eq!(code.expose(), b"287082");
    assert_eq!(inbound.totp.shared_seeds.len(), 1);
    let principals = inbound.principals.as_ref().unwrap();
    let mrpinks = principals
        .find("spiffe://cluster.local/ns/agents/sa/pink")
        .unwrap();
    assert!(Rc::ptr_eq(pink, mrpinks));
    assert!(principals.find("spiffe://cluster.local/ns/agents").is_none());
}

#[test]
fn places_of_credentials() {
    let policy = full();
    let inbound = inbound(&policy);
    let form = |scheme: Option<&str>, providers: &[usize]| TokenForm {
        scheme: scheme.map(str::to_owned),
        providers: providers.to_vec(),
        is_for_static_tokens: false,
        is_for_opaque_tokens: false,
    };
    let header = |name: &str| Location::Header(name.to_owned());
    let tokens: Vec<_> = inbound
        .token_locations
        .iter()
        .map(|token| (token.location.clone(), token.forms.clone()))
        .collect();
    let bearer = TokenForm {
        is_for_static_tokens: true,
        ..form(Some("Bearer"), &[1])
    };
    assert_eq!(
        tokens,
        [
            (header("x-agent-token"), vec![form(None, &[0])]),
            (header("authorization"), vec![form(Some("Token"), &[0]), bearer]),
            (Location::Cookie("agent_token".into()), vec![form(None, &[0])]),
            (Location::Parameter("agent-token".into()), vec![form(None, &[0])]),
        ]
    );
    assert_eq!(
        inbound.api_keys.locations,
        [
            header("x-key"),
            Location::Cookie("agent_key".into()),
            Location::Parameter("agentKey".into())
        ]
    );
}

#[test]
fn rules() {
    let policy = full();
    let rules = &inbound(&policy).rules;
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["card", "admin", "2", "3"]);
    assert!(matches!(rules[0].action, Action::Public));
    assert!(matches!(rules[2].action, Action::Deny));
    assert_eq!(
        (rules[0].protocol, rules[1].protocol),
        (Protocol::Auto, Protocol::Mcp)
    );

    let code = CodeParameters::new(totp::Algorithm::Sha256, Digits::Eight, 60, 2).unwrap();
    let Action::Authenticate(accept, require) = &rules[1].action else {
        panic!("{:?}", rules[1].action)
    };
    let only_kc = AcceptedTokens::Of(vec!["kc".into()]);
    assert_eq!(
        *accept,
        Accept {
            jwt: only_kc,
            ..Accept::default()
        }
    );
    let expected = Require {
        totp: Some(TotpRequirement {
            code: code.with_window_steps(0).unwrap(),
            replay: totp::Replay::Allow,
        }),
        scopes: vec!["a2a.admin".into()],
        audiences: vec!["charlie".into()],
        peers: vec!["mrpink".into()],
        claims: vec![(claim("roles"), vec!["admin".into()])],
    };
    assert_eq!(*require, expected);

    let Action::Authenticate(accept, require) = &rules[3].action else {
        panic!("{:?}", rules[3].action)
    };
    let all = Accept {
        jwt: AcceptedTokens::Any,
        introspections: Vec::new(),
        api_key: true,
        bearer_token: true,
        mtls: true,
        none: false,
    };
    assert_eq!(*accept, all);
    assert_eq!(
        *require,
        Require {
            totp: Some(TotpRequirement {
                code,
                replay: totp::Replay::Allow
            }),
            ..Require::default()
        }
    );
    let condition = &rules[1].condition;
    assert_eq!(
        (
            condition.hosts.len(),
            condition.path_prefixes.len(),
            condition.path_templates.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(
        (
            condition.headers.len(),
            condition.methods.len(),
            condition.paths.len()
        ),
        (1, 0, 0)
    );
}

/// Each such question is a host call.
#[test]
fn who_has_connected_is_asked_where_a_rule_accepts_it() {
    let mtls = "mtls: {listener_validates_client_certificates: true}";
    let asks = |rules: &str, role| {
        load(&format!(
            "{{version: 1, inbound: {{{mtls}, rules: [{rules}]}}, outbound: {{}}}}"
        ))
        .asks_for_principal(role)
    };
    let accepted = "{accept: [mtls]}";
    assert!(asks(accepted, Role::Inbound) && asks(accepted, Role::Gateway));
    assert!(asks("{accept: [mtls, none], enforcement: shadow}", Role::Inbound));
    assert!(!asks(accepted, Role::Outbound) && !asks(accepted, Role::Upstream));
    assert!(!asks("{accept: [none]}, {deny: true, name: a}", Role::Inbound));
}

#[test]
fn the_rest_of_the_inbound_half() {
    let policy = full();
    assert_eq!(policy.role, RoleSetting::Fixed(Role::Gateway));
    assert_eq!(policy.errors.realm, "charlie");
    assert_eq!(
        (policy.errors.verbose, policy.errors.jsonrpc_code),
        (false, -32050)
    );
    // The names of all query parameters are redacted.
    let path = b"/mcp?searchKey=abc&q=1&agent-token=abc&agentKey=abc";
    assert_eq!(
        policy.errors.redactor.sanitize(path),
        b"/mcp?searchKey=*****&q=1&agent-token=*****&agentKey=*****"
    );

    let inbound = inbound(&policy);
    assert_eq!(inbound.totp.header, "x-code");
    assert_eq!(inbound.ambiguous_paths, AmbiguousPaths::Raw);
    assert_eq!(inbound.cors_preflight, CorsPreflight::Pass);
    let header = |name: &str| Some(name.into());
    let forward = Forward {
        peer: header("x-peer"),
        sub: header("x-sub"),
        iss: None,
        method: header("x-method"),
        rb_auth_claims: Some(vec![claim("email")]),
        list_separator: "|".into(),
    };
    assert_eq!(inbound.forward, forward);
}

#[test]
fn the_outbound_half() {
    let policy = full();
    let outbound = outbound(&policy);
    assert_eq!(outbound.on_no_match, OnNoMatch::Deny);
    assert_eq!(outbound.strip_headers, ["x-internal"]);
    let authority = Authority::parse(b"MCP.example:443").unwrap();
    assert!(outbound.query_hosts.iter().all(|host| host.matches(&authority)));
    assert_eq!(outbound.query_hosts.len(), 1);

    let [search, code] = &*outbound.rules else {
        panic!("two rules")
    };
    assert_eq!(search.name, "search");
    assert!(search.for_anonymous && search.adds_secret());
    assert_eq!(search.condition.clusters, Clusters::OneOf(vec!["mcp".into()]));
    assert_eq!(search.condition.ports, [443]);
    assert!(search.condition.hosts[0].matches(&authority));
    let (name, value) = &search.query_parameters[0];
    let ParameterValue::Secret(value) = value else {
        panic!("a secret")
    };
    assert_eq!(
        (name.as_str(), value.expose().as_slice()),
        ("searchKey", b"inline-key-that-nobody-may-see".as_slice())
    );

    assert_eq!(code.name, "1");
    assert!(!code.for_anonymous && code.adds_secret());
    assert_eq!(code.condition.clusters, Clusters::Any);
    let totp = code.totp.as_ref().unwrap();
    assert_eq!(totp.header, "x-code");
    assert_eq!(
        totp.code,
        CodeParameters::new(totp::Algorithm::Sha512, Digits::Eight, 15, 1).unwrap()
    );
}

#[test]
fn clients_tokens_and_introspection() {
    let policy = load(include_str!("policies/tokens.yaml"));
    let outbound = outbound(&policy);
    let names: Vec<&str> = outbound.clients.iter().map(|client| client.name()).collect();
    assert_eq!(names, ["basic", "raw", "post", "signs"]);
    let place = |client: usize| match outbound.clients[client].token_endpoint() {
        TokenEndpoint::At(endpoint) => endpoint.url.to_string(),
        TokenEndpoint::Discovered { issuer, metadata } => format!("{issuer} at {}", metadata.url),
    };
    assert_eq!(place(0), "http://kc/token");
    assert_eq!(
        place(2),
        "https://sso.example/realms/a at https://sso.example/realms/a/.well-known/openid-configuration"
    );
    assert_eq!(
        place(1),
        "https://sso.example/ at http://kc/.well-known/oauth-authorization-server"
    );
    let ClientAuthentication::PrivateKeyJwt { key, audience } = outbound.clients[3].authentication() else {
        panic!("a key")
    };
    assert_eq!(
        (key.kid(), audience.as_str()),
        (Some("one"), "https://sso.example")
    );
    assert_eq!(key.algorithm(), Algorithm::Es256);

    let plans: Vec<_> = outbound
        .rules
        .iter()
        .map(|rule| rule.token.as_ref().unwrap())
        .collect();
    assert!(
        outbound
            .rules
            .iter()
            .all(|rule| rule.adds_secret() && rule.puts_on())
    );
    let most = plans[0];
    assert_eq!(
        (most.client.name(), most.grant),
        ("basic", GrantType::TokenExchange)
    );
    assert_eq!(
        most.target,
        Target {
            resources: vec!["https://search.example/".into(), "urn:a".into()],
            audiences: vec!["b".into(), "a".into()],
            scopes: vec!["write".into(), "read".into()],
            requested_token_type: TokenType::parse("id_token"),
        }
    );
    let subject = most.subject.as_ref().unwrap();
    assert_eq!(Some(&subject.token_type), TokenType::parse("jwt").as_ref());
    let SubjectSource::Header(header, Verify::Provider(1)) = &subject.source else {
        panic!("{:?}", subject.source)
    };
    assert_eq!(
        (header.name.as_str(), header.form.scheme.as_deref()),
        ("x-token", Some("Token"))
    );
    let Some(Actor::Header(header, kind)) = &most.actor else {
        panic!("{:?}", most.actor)
    };
    assert_eq!(
        (header.name.as_str(), header.form.scheme.as_deref()),
        ("x-actor", None)
    );
    assert_eq!(kind.as_str(), "urn:example:actor");
    assert_eq!(most.on_missing_subject, OnMissingSubject::ClientCredentials);
    assert_eq!(most.on_failure, OnFailure::InsecureStrip);

    let least = plans[1];
    let subject = least.subject.as_ref().unwrap();
    assert!(matches!(subject.source, SubjectSource::Inbound) && least.actor.is_none());
    assert_eq!(
        (&subject.token_type, &least.target),
        (&TokenType::ACCESS_TOKEN, &Target::default())
    );
    assert_eq!(least.grant, GrantType::TokenExchange);
    assert_eq!(
        (least.on_missing_subject, least.on_failure),
        (OnMissingSubject::Deny, OnFailure::Deny)
    );

    let entra = plans[2];
    let source = &entra.subject.as_ref().unwrap().source;
    let SubjectSource::Header(header, Verify::Unverified) = source else {
        panic!("{source:?}")
    };
    assert_eq!(
        (header.name.as_str(), header.form.scheme.as_deref()),
        ("authorization", Some("Bearer"))
    );
    assert_eq!(entra.grant, GrantType::JwtBearer);
    assert_eq!(
        (entra.on_missing_subject, entra.on_failure),
        (OnMissingSubject::InsecureForward, OnFailure::InsecureForward)
    );
    assert!(plans[3].subject.is_none() && plans[3].grant == GrantType::ClientCredentials);
    assert!(matches!(plans[4].actor, Some(Actor::ClientCredentials)));

    let inbound = inbound(&policy);
    let [opaque] = inbound.introspections.as_slice() else {
        panic!("one introspection")
    };
    assert_eq!((opaque.name.as_str(), opaque.cache_seconds), ("opaque", 5));
    assert_eq!(opaque.client.as_ref().unwrap().name(), "post");
    assert_eq!(
        opaque.issuer.as_deref(),
        Some("https://sso.example/realms/agents")
    );
    assert_eq!(opaque.audiences, Audiences::OneOf(vec!["charlie".into()]));
    assert_eq!(
        (&opaque.peer_claim, &opaque.scope_claims),
        (&claim("client_id"), &vec![claim("permissions")])
    );
    assert_eq!(&*opaque.peers["opaque-pink"].name, "mrpink");
    assert!(
        inbound
            .token_locations
            .iter()
            .any(|place| place.forms.iter().any(|form| form.is_for_opaque_tokens))
    );
    let Action::Authenticate(accept, _) = &inbound.rules[0].action else {
        panic!("{:?}", inbound.rules[0].action)
    };
    assert_eq!(accept.introspections, ["opaque"]);
    assert_eq!(accept.jwt, AcceptedTokens::Of(vec!["kc".into()]));
}

#[test]
fn api_keys_are_in_use_where_anything_is_said_of_them() {
    let in_use = |half: &str| {
        let policy = load(&format!("{{version: 1, inbound: {half}}}"));
        !inbound(&policy).api_keys.locations.is_empty()
    };
    assert!(!in_use("{peers: {a: {}}}"));
    assert!(!in_use("{peers: {a: {api_keys: []}}}"));
    assert!(in_use("{api_key: {}}"));
    assert!(in_use("{peers: {a: {api_keys: [{inline: abc}]}}}"));
}
