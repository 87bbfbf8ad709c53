//! Where messages are sent. The paths are those that the SDKs' clients send to.

use super::*;

/// Authority and path of each, or why there is none.
fn found(card: &Value) -> Vec<String> {
    let card = Card::read(card.to_string().as_bytes()).unwrap();
    let interfaces = card.interfaces().into_iter();
    interfaces
        .map(|interface| match interface {
            Ok(Interface { authority, path }) => format!("{authority} {path}"),
            Err(error) => error.to_string(),
        })
        .collect()
}

fn v1(url: &str, binding: &str, version: &str) -> Vec<String> {
    let interface = json!({"url": url, "protocolBinding": binding, "protocolVersion": version});
    found(&json!({"supportedInterfaces": [interface]}))
}

#[test]
fn of_real_cards() {
    assert_eq!(
        found(&parse(V1)),
        [
            "agents.example /weather",
            "agents.example:443 /lf.a2a.v1.A2AService/SendMessage",
            "agents.example /rest/acme/message:send",
        ]
    );
    assert_eq!(
        found(&parse(V03)),
        [
            "agents.example /weather",
            "agents.example:443 /a2a.v1.A2AService/SendMessage",
            "agents.example /rest/v1/message:send",
        ]
    );
    assert_eq!(
        found(&parse(HYBRID)),
        ["agents.example /weather", "agents.example /rest/v1/message:send"]
    );
}

#[test]
fn json_rpc_is_posted_to_the_url() {
    for (url, expected) in [
        ("https://a.example", "a.example /"),
        ("https://A.example/", "a.example /"),
        ("http://a.example:8080/a2a/", "a.example:8080 /a2a/"),
        ("HTTPS://[2001:db8::1]/a2a", "[2001:db8::1] /a2a"),
        ("https://a.example/a2a?tenant=1", "a.example /a2a?tenant=1"),
    ] {
        assert_eq!(v1(url, "JSONRPC", "1.0"), [expected]);
        assert_eq!(v1(url, "JSONRPC", "0.3"), [expected]);
        assert_eq!(found(&json!({"url": url})), [expected]);
        // What is not known is taken for the same.
        assert_eq!(v1(url, "https://a.example/bindings/own", "1.0"), [expected]);
        assert_eq!(v1(url, "", ""), [expected]);
    }
    let tenant = json!({"url": "https://a.example/a2a", "protocolBinding": "JSONRPC", "tenant": "acme"});
    assert_eq!(
        found(&json!({"supportedInterfaces": [tenant]})),
        ["a.example /a2a"],
        "it travels in the message"
    );
}

#[test]
fn rest_goes_on_from_the_url() {
    for (url, version, expected) in [
        ("https://a.example", "1.0", "/message:send"),
        ("https://a.example/", "1.0.1", "/message:send"),
        ("https://a.example/", "", "/message:send"),
        ("https://a.example/rest", "1.0", "/rest/message:send"),
        ("https://a.example/rest/", "1.0", "/rest/message:send"),
        ("https://a.example/rest?x", "1.0", "/rest/message:send"),
        ("https://a.example", "0.3", "/v1/message:send"),
        ("https://a.example/rest/", "0.3.0", "/rest/v1/message:send"),
    ] {
        assert_eq!(v1(url, "HTTP+JSON", version), [format!("a.example {expected}")]);
    }
    let card = |version: Value| json!({"url": "https://a.example/", "preferredTransport": "HTTP+JSON", "protocolVersion": version});
    for (version, expected) in [
        (json!(null), "a.example /v1/message:send"),
        (json!("0.3.0"), "a.example /v1/message:send"),
        (json!("1.0"), "a.example /message:send"),
    ] {
        assert_eq!(found(&card(version)), [expected]);
    }
    let tenant = |version: &str| {
        let interface = json!({
            "url": "https://a.example/rest", "protocolBinding": "HTTP+JSON", "tenant": "acme", "protocolVersion": version,
        });
        found(&json!({"supportedInterfaces": [interface]}))
    };
    assert_eq!(tenant("1.0"), ["a.example /rest/acme/message:send"]);
    assert_eq!(tenant("0.3"), ["a.example /rest/v1/message:send"]);
}

#[test]
fn grpc_has_the_path_of_its_method() {
    for url in [
        "a.example:50051",
        "A.example:50051",
        "grpc://a.example:50051",
        "https://a.example:50051/ignored",
        "dns:///a.example:50051",
    ] {
        assert_eq!(
            v1(url, "GRPC", "1.0"),
            ["a.example:50051 /lf.a2a.v1.A2AService/SendMessage"]
        );
        assert_eq!(
            v1(url, "GRPC", "0.3"),
            ["a.example:50051 /a2a.v1.A2AService/SendMessage"]
        );
    }
}

#[test]
fn both_spellings_are_read() {
    let interface = json!({
        "url": "https://a.example/", "protocol_binding": "HTTP+JSON", "protocol_version": "0.3",
    });
    assert_eq!(
        found(&json!({"supported_interfaces": [interface]})),
        ["a.example /v1/message:send"]
    );
    let card = json!({
        "url": "https://a.example/", "preferred_transport": "GRPC", "protocol_version": "0.3.0",
        "additional_interfaces": [{"url": "https://a.example/", "transport": "HTTP+JSON"}],
    });
    assert_eq!(
        found(&card),
        [
            "a.example /a2a.v1.A2AService/SendMessage",
            "a.example /v1/message:send",
        ]
    );
}

#[test]
fn urls_that_no_message_can_be_sent_to_are_told_apart() {
    for (url, binding, error) in [
        ("", "JSONRPC", "no absolute URL"),
        ("/a2a", "JSONRPC", "no absolute URL"),
        ("a.example:80", "HTTP+JSON", "no absolute URL"),
        (
            "ws://a.example/",
            "JSONRPC",
            "the scheme of the URL is not `http` or `https`",
        ),
        (
            "https://user:password@a.example/",
            "JSONRPC",
            "the host of the URL: host holds `@`",
        ),
        ("https://", "JSONRPC", "the host of the URL: host is empty"),
        (
            "https://a.example/ü",
            "JSONRPC",
            "a URL with white space or characters outside ASCII",
        ),
        ("", "GRPC", "the host of the URL: host is empty"),
        ("//", "GRPC", "the host of the URL: host is empty"),
        (
            "a.example:0",
            "GRPC",
            "the host of the URL: port is not within 1 to 65535",
        ),
        (
            "unix:/run/a.sock",
            "GRPC",
            "the host of the URL: port is not within 1 to 65535",
        ),
    ] {
        let expected = format!("the `url` of an interface: {error}");
        assert_eq!(v1(url, binding, "1.0"), [expected], "{url}");
    }
}

#[test]
fn what_is_no_interface_is_none() {
    assert_eq!(found(&json!({"supportedInterfaces": {}})), [""; 0]);
    assert_eq!(
        found(&json!({"supportedInterfaces": [1, null, "https://a.example"]})),
        [""; 0]
    );
    for url in [json!(null), json!(1), json!({})] {
        let expected = "the `url` of an interface: no absolute URL";
        assert_eq!(found(&json!({"supportedInterfaces": [{"url": url}]})), [expected]);
    }
    // What is behind a `#` is not sent.
    assert_eq!(v1("https://a.example/b#c", "JSONRPC", "1.0"), ["a.example /b"]);
    // Many are the same one.
    let same = vec![json!({"url": "https://a.example/"}); 64];
    assert_eq!(found(&json!({"supportedInterfaces": same})), ["a.example /"]);
}
