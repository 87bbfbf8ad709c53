use serde_json::json;

use super::*;
use crate::agent_card::Card;

/// Each card with the bytes that the SDKs themselves sign of it, and what the specification's form is.
const VECTORS: [(&str, &str); 6] = [
    ("v1", include_str!("../../../tests/vectors/agent_cards/v1.json")),
    (
        "v0_3",
        include_str!("../../../tests/vectors/agent_cards/v0_3.json"),
    ),
    (
        "hybrid",
        include_str!("../../../tests/vectors/agent_cards/hybrid.json"),
    ),
    (
        "plain_v1",
        include_str!("../../../tests/vectors/agent_cards/plain_v1.json"),
    ),
    (
        "plain_v0_3",
        include_str!("../../../tests/vectors/agent_cards/plain_v0_3.json"),
    ),
    (
        "underscores",
        include_str!("../../../tests/vectors/agent_cards/underscores.json"),
    ),
];

fn written(style: Style, value: &Value) -> String {
    // As it is built elsewhere: with the names in the order of the style.
    let form = match style {
        Style::Jcs => Form::Document,
        Style::Python => Form::Sdk03,
    };
    let mut out = String::new();
    let value = form.value(value, &Kind::Any, true).ok().flatten();
    style.value(&value.unwrap(), &mut out);
    out
}

fn of(form: Form, card: Value, shape: Shape) -> Option<String> {
    form.of(card.as_object().unwrap(), shape)
}

#[test]
fn what_is_signed_is_what_the_sdks_sign() {
    for (file, text) in VECTORS {
        let vector: Value = serde_json::from_str(text).unwrap();
        let members = vector["card"].as_object().unwrap().clone();
        let mut card = Card::from_members(members).unwrap();
        card.unsign();
        for form in Form::ALL {
            let ours = form.of(&card.members, card.shape);
            let theirs = &vector["forms"][format!("{form:?}")];
            assert_eq!(ours.as_deref(), theirs.as_str(), "{file}, {form:?}");
        }
    }
}

/// The example of A2A 1.0 §8.4.1: with the card's other members it would be the same.
#[test]
fn the_example_of_the_specification() {
    let card = json!({
        "name": "Example Agent",
        "description": "",
        "capabilities": { "streaming": false, "pushNotifications": false, "extensions": [] },
        "skills": []
    });
    let canonical = r#"{"capabilities":{"pushNotifications":false,"streaming":false},"description":"","name":"Example Agent","skills":[]}"#;
    for form in [Form::Document, Form::Known] {
        assert_eq!(of(form, card.clone(), Shape::V1).as_deref(), Some(canonical));
    }
}

/// RFC 8785 §3.2.2 with §3.2.3, and the order of §3.2.3.
#[test]
fn the_examples_of_rfc_8785() {
    // `serde_json` itself would read the first of them, 333333333.33333329, one step away.
    let example = json!({
        "numbers": [333_333_333.333_333_3, 1E30, 4.50, 2e-3, 0.000_000_000_000_000_000_000_000_001],
        "string": "\u{20ac}$\u{F}\u{a}A'\u{42}\u{22}\u{5c}\\\"/",
        "literals": [null, true, false]
    });
    assert_eq!(
        written(Style::Jcs, &example),
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    let names: Value = serde_json::from_str(
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
            "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
    )
    .unwrap();
    assert_eq!(
        written(Style::Jcs, &names),
        concat!(
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",",
            "\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",",
            "\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
        )
    );
}

/// RFC 8785 appendix B.
#[test]
fn the_numbers_of_rfc_8785() {
    for (bits, text) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(
            written(Style::Jcs, &f64::from_bits(bits).into()),
            text,
            "{bits:x}"
        );
    }
}

/// As `json.dumps` wrote them.
#[test]
fn the_numbers_of_python() {
    for (number, text) in [
        (json!(0), "0"),
        (json!(-7), "-7"),
        (json!(9007199254740993_u64), "9007199254740993"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(0.0), "0.0"),
        (json!(-0.0), "-0.0"),
        (json!(1.0), "1.0"),
        (json!(120.0), "120.0"),
        (json!(0.5), "0.5"),
        (json!(-12.75), "-12.75"),
        (json!(1e15), "1000000000000000.0"),
        (json!(9999999999999998.0), "9999999999999998.0"),
        (json!(1e16), "1e+16"),
        (json!(1.5e16), "1.5e+16"),
        (json!(1e22), "1e+22"),
        (json!(1e100), "1e+100"),
        (json!(0.001), "0.001"),
        (json!(0.00012), "0.00012"),
        (json!(0.0001), "0.0001"),
        (json!(0.00001), "1e-05"),
        (json!(1.25e-10), "1.25e-10"),
        (json!(5e-324), "5e-324"),
        (json!(f64::MAX), "1.7976931348623157e+308"),
    ] {
        assert_eq!(written(Style::Python, &number), text);
    }
}

#[test]
fn the_text_of_python() {
    let value = json!({"\u{1f600}": "é\u{7f}\u{1}\n\"\\/ ~", "\u{fb33}": [], "a": [1]});
    assert_eq!(
        written(Style::Python, &value),
        r#"{"a":[1],"\ud83d\ude00":"\u00e9\u007f\u0001\n\"\\/ ~"}"#
    );
    let value = json!({"\u{1f600}": 1, "\u{fb33}": 2});
    assert_eq!(written(Style::Python, &value), r#"{"\ufb33":2,"\ud83d\ude00":1}"#);
}

/// Every scalar value has its own place in the order of UTF-16.
#[test]
fn names_are_in_the_order_of_utf_16() {
    let characters = [
        '\0',
        'a',
        '\u{d7ff}',
        '\u{e000}',
        '\u{ffff}',
        '\u{10000}',
        '\u{1f600}',
        '\u{10ffff}',
    ];
    for one in characters {
        for other in characters {
            let names = [format!("x{one}"), format!("x{other}a")];
            let [key, other_key] = [Style::Jcs.key(&names[0]), Style::Jcs.key(&names[1])];
            let in_utf_16 = names[0].encode_utf16().cmp(names[1].encode_utf16());
            assert_eq!(key.cmp(&other_key), in_utf_16, "{names:?}");
        }
    }
    for code in (0..=0x10_ffff_u32).filter_map(char::from_u32).step_by(97) {
        let object = json!({ code: 1 });
        let text = written(Style::Jcs, &object);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), object);
    }
}

#[test]
fn a_value_of_another_kind_is_signed_in_the_document_alone() {
    for (name, value) in [
        ("name", json!(1)),
        ("capabilities", json!({"streaming": "true"})),
        ("defaultInputModes", json!(["a", null])),
        ("defaultInputModes", json!("a")),
        ("skills", json!([[]])),
        ("securitySchemes", json!({"a": null})),
    ] {
        let mut card = json!({"name": "n", "url": "u", "supportedInterfaces": [{"url": "u"}]});
        card[name] = value;
        assert!(
            of(Form::Document, card.clone(), Shape::Hybrid).is_some(),
            "{card}"
        );
        for form in [Form::Known, Form::Sdk1, Form::Sdk03] {
            assert_eq!(of(form, card.clone(), Shape::Hybrid), None, "{form:?} {card}");
        }
    }
}

/// Which of the two wins is up to the reader, and to the order of a document.
#[test]
fn a_member_in_two_spellings_is_signed_in_the_document_alone() {
    let card = json!({"name": "n", "url": "u", "supportedInterfaces": [], "iconUrl": "", "icon_url": "b"});
    for form in [Form::Known, Form::Sdk1, Form::Sdk03] {
        assert_eq!(of(form, card.clone(), Shape::Hybrid), None, "{form:?}");
    }
    assert_eq!(
        of(Form::Document, card, Shape::Hybrid).as_deref(),
        Some(r#"{"iconUrl":"","icon_url":"b","name":"n","supportedInterfaces":[],"url":"u"}"#)
    );
}

#[test]
fn a_scheme_of_no_known_type_is_none_of_0_3() {
    for scheme in [json!({"in": "header", "name": "n"}), json!({"type": "later"})] {
        let card = json!({"url": "u", "securitySchemes": {"s": scheme}});
        assert_eq!(of(Form::Sdk03, card.clone(), Shape::V03), None);
        // The SDK 1.3 drops what it does not know of it, and there is nothing else.
        let interfaces = r#"{"protocolBinding":"JSONRPC","protocolVersion":"0.3.0","url":"u"}"#;
        let canonical = format!(r#"{{"supportedInterfaces":[{interfaces}]}}"#);
        assert_eq!(of(Form::Sdk1, card, Shape::V03), Some(canonical));
    }
}

/// Where the flat and the wrapped members of a scheme differ, the SDK 1.3 takes the flat ones.
#[test]
fn flat_members_win_in_the_sdk_1() {
    let card = json!({"supportedInterfaces": [], "url": "u", "securitySchemes": {"s": {
        "type": "apiKey", "in": "query", "location": "header", "name": "n",
        "apiKeySecurityScheme": {"location": "header", "name": "N"}
    }}});
    assert_eq!(
        of(Form::Sdk1, card, Shape::Hybrid).as_deref(),
        Some(r#"{"securitySchemes":{"s":{"apiKeySecurityScheme":{"location":"query","name":"n"}}}}"#)
    );
}

#[test]
fn a_transport_and_a_version_of_0_3_that_are_no_defaults_are_signed() {
    let card = json!({"url": "u", "preferredTransport": "GRPC", "protocolVersion": "0.3.1",
        "additionalInterfaces": [{"url": "v", "transport": "JSONRPC"}]});
    assert_eq!(
        of(Form::Sdk03, card.clone(), Shape::V03).as_deref(),
        Some(
            r#"{"additionalInterfaces":[{"transport":"JSONRPC","url":"v"}],"preferredTransport":"GRPC","protocolVersion":"0.3.1","url":"u"}"#
        )
    );
    assert_eq!(
        of(Form::Sdk1, card, Shape::V03).as_deref(),
        Some(
            r#"{"supportedInterfaces":[{"protocolBinding":"GRPC","protocolVersion":"0.3.1","url":"u"},{"protocolBinding":"JSONRPC","protocolVersion":"0.3.1","url":"v"}]}"#
        )
    );
}

/// A key that signs assertions is asked for no token.
#[test]
fn a_card_with_claims_is_signed_without_what_nobody_knows() {
    for claim in CLAIMS.iter().chain(&crate::assertion::ALWAYS_THERE) {
        let mut card = json!({"name": "n", "supportedInterfaces": [], "zz": 1});
        assert!(of(Form::Document, card.clone(), Shape::V1).is_some());
        card[claim] = json!("https://mesh.example");
        assert_eq!(of(Form::Document, card.clone(), Shape::V1), None, "{claim}");
        assert_eq!(
            of(Form::Known, card, Shape::V1).as_deref(),
            Some(r#"{"name":"n","supportedInterfaces":[]}"#)
        );
    }
}
