//! What is no card.

use super::*;

fn refusal(document: &str) -> (NotACard, String) {
    let error = Card::read(document.as_bytes()).unwrap_err();
    let text = error.to_string();
    (error, text)
}

#[test]
fn documents_that_are_no_card() {
    for (document, error, text) in [
        (
            "{}",
            NotACard::NoInterfaces,
            "neither `url` nor `supportedInterfaces` is there",
        ),
        (
            r#"{"error":"not found","protocolVersion":"2025-06-18"}"#,
            NotACard::NoInterfaces,
            "neither `url` nor `supportedInterfaces` is there",
        ),
        (
            "<html>",
            NotACard::Json(json::Error::Syntax { line: 1, column: 1 }),
            "invalid JSON at line 1 column 1",
        ),
        (
            "[]",
            NotACard::Json(json::Error::NotAnObject),
            "not a JSON object",
        ),
        (
            r#"{"url":"https://a.example/","url":"https://b.example/"}"#,
            NotACard::Json(json::Error::DuplicateMember {
                name: crate::excerpt::Excerpt::new("url"),
            }),
            "duplicate member `url`",
        ),
    ] {
        assert_eq!(refusal(document), (error, text.to_owned()));
    }
}

#[test]
fn depth_and_length_are_limited() {
    let nested = |depth: usize| {
        let inner = depth - 1;
        format!(r#"{{"url":"","a":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
    };
    assert!(Card::read(nested(64).as_bytes()).is_ok());
    let (error, text) = refusal(&nested(65));
    assert_eq!(error, NotACard::Json(json::Error::TooDeep { limit: 64 }));
    assert_eq!(text, "nested deeper than 64");

    let long = |bytes: usize| format!(r#"{{"url":"{}"}}"#, "a".repeat(bytes - 10));
    assert_eq!(long(MAX_BYTES).len(), 1_048_576);
    assert!(Card::read(long(MAX_BYTES).as_bytes()).is_ok());
    let (error, text) = refusal(&long(MAX_BYTES + 1));
    assert_eq!(error, NotACard::TooLong);
    assert_eq!(text, "longer than 1048576 bytes");

    for list in [
        "supportedInterfaces",
        "supported_interfaces",
        "additionalInterfaces",
        "additional_interfaces",
    ] {
        let many = |count| format!(r#"{{"url":"","{list}":[{}]}}"#, vec!["null"; count].join(","));
        assert!(Card::read(many(64).as_bytes()).is_ok());
        let (error, text) = refusal(&many(65));
        assert_eq!(error, NotACard::TooManyInterfaces);
        assert_eq!(text, "more than 64 interfaces");
    }
}

#[test]
fn answers_without_a_card() {
    for (answer, error, text) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#,
            NotACard::NoResult,
            "the answer has no `result` that is an object",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
            NotACard::NoResult,
            "the answer has no `result` that is an object",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"kind":"task"},"url":""}"#,
            NotACard::NoInterfaces,
            "neither `url` nor `supportedInterfaces` is there",
        ),
    ] {
        let found = Card::read_answer(answer.as_bytes()).unwrap_err();
        assert_eq!(found.to_string(), text);
        assert_eq!(found, error);
    }
}
