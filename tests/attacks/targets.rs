//! Where a request goes: paths and hosts that two servers read in two ways.

use serde_json::json;

use crate::door::{Door, HOST, METHOD, NO_CREDENTIALS, NO_PATH, PATH, RULE_DENIED, Refusal, bearer, get};
use crate::host::Request;
use crate::token::Token;

const CARD: &str = "/.well-known/agent-card.json";

/// CVE-2021-29492, CVE-2026-33186: a path that is public or weakly guarded here, and something else behind. Refused
/// with a good token, too: which rule it falls under cannot be told.
#[test]
fn ambiguous_paths_are_refused_before_any_rule() {
    let mut door = Door::new();
    let good = Token::quick().sign();
    let mut paths: Vec<String> = Vec::new();
    for public in [CARD, "/public", "/public/x"] {
        for step in [
            "/../admin",
            "/../../admin",
            "/./admin",
            "/.",
            "/..",
            "/../",
            "/..;/admin",
            ";/../admin",
            ";",
            ";a=b",
            "/;/admin",
            "//admin",
            "//",
            "\\..\\admin",
            "/..\\admin",
            "\\",
            "/%2e%2e/admin",
            "/%2E%2E/admin",
            "/.%2e/admin",
            "/%2e./admin",
            "/%2e/admin",
            "%2fadmin",
            "%2Fadmin",
            "%2f..%2fadmin",
            "/..%2fadmin",
            "/%2e%2e%2fadmin",
            "%5cadmin",
            "/..%5cadmin",
            "/%5c../admin",
            "%00",
            "%00.json",
            "/%00/admin",
            "%0a",
            "%0d%0a",
            "%09",
            "%7f",
            "%",
            "%2",
            "%zz",
            "%u002e%u002e/admin",
            "%u2215admin",
            "%c0%ae%c0%ae/admin",
            "%c0%afadmin",
            "/%e0%80%ae%e0%80%ae/admin",
            "%252e%252e/admin",
            "/%252e%252e%252fadmin",
            "/%25%32%65/admin",
            "%61",
            "/%41dmin",
            "/%2d",
            "/%5f",
            "/%7e",
            "/%30",
            "#",
            "#/admin",
            "/#",
            "?x#y",
            " ",
            " /admin",
            "\t",
            "\u{b}",
            "\0",
            "\r",
            "\u{7f}",
            "\u{80}",
            "\u{ff0f}admin",
            "\u{2215}admin",
            "/\u{ff0e}\u{ff0e}/admin",
            "%ff",
            "%fe%ff",
            "%ed%a0%80",
        ] {
            paths.push(format!("{public}{step}"));
        }
    }
    for path in [
        "//admin",
        "//",
        "///",
        "/\\admin",
        "\\admin",
        "/;admin",
        "/%2fadmin",
        "/%2e",
        "/./",
        "/.",
        "/..",
        "/../",
        "/..//admin",
        "",
        "*",
        "?",
        "admin",
        "public",
        "%2fpublic",
        "http://agent.example/public",
        "https://agent.example:443/public",
        "//agent.example/public",
        "/\\agent.example/public",
        "file:///public",
        "agent.example:443",
        ";/public",
        "\u{feff}/public",
        " /public",
        "/%61dmin",
        "/a%64min",
        "/admin%2f",
        "/admi%6e",
        "/%c1%a1dmin",
    ] {
        paths.push(path.to_owned());
    }
    for path in &paths {
        for request in [get(path), bearer(&good).header(":path", path)] {
            door.refuses(&format!("{path:?}"), request, PATH);
        }
    }
    assert!(paths.len() > 200);
}

/// CVE-2021-29492: what only resembles the public path is not public, and nothing becomes public by what stands behind
/// it, or in the query.
#[test]
fn only_the_public_path_is_public() {
    let mut door = Door::new();
    for path in [
        "/.well-known/agent-card.json/",
        "/.well-known/agent-card.json/admin",
        "/.well-known/agent-card.jsonx",
        "/.well-known/agent-card.json.bak",
        "/.well-known/agent-card.json~",
        "/.well-known/agent-card.json:80",
        "/.well-known/agent-card.json&x=1",
        "/.well-known/agent-card.json%20",
        "/.well-known/agent-card.json%3f",
        "/.well-known/agent-card.json%23",
        "/.well-known/agent-card.json%3b",
        "/.well-known/agent-card.json,x",
        "/.WELL-KNOWN/AGENT-CARD.JSON",
        "/.well-known/Agent-Card.json",
        "/.well-known/agent-card",
        "/.well-known",
        "/x/.well-known/agent-card.json",
        "/Public",
        "/PUBLIC/x",
        "/publicx",
        "/public-x",
        "/public.json",
        "/public%20",
        "/public%20/x",
        "/public%3f/x",
        "/x?/public",
        "/x?/.well-known/agent-card.json",
        "/?path=/public",
        "/x/public",
        "/",
    ] {
        door.refuses(path, get(path), NO_CREDENTIALS);
    }
    for path in [
        CARD,
        "/.well-known/agent-card.json?x=/admin",
        "/.well-known/agent-card.json?",
        "/public",
        "/public/",
        "/public?/../admin",
        "/public?a=//;%2e%2e%2f\\",
        "/public/...",
        "/public/.x",
        "/public/a%20b",
        "/public/%c3%a9",
    ] {
        door.admits_nobody(path, get(path));
    }
    // The rule that refuses is met by what is below it, and by nothing that only looks so.
    for path in ["/admin", "/admin/", "/admin/x", "/admin?x", "/admin?/public"] {
        door.refuses(path, get(path), RULE_DENIED);
    }
    for path in ["/Admin", "/admins", "/admin.", "/admin%20"] {
        door.refuses(path, get(path), NO_CREDENTIALS);
    }
}

/// CVE-2026-33186: with `raw`, where an upstream needs such paths, none of them matches a rule that lets strangers
/// through, be it the only one.
#[test]
fn raw_paths_never_match_a_public_rule() {
    let mut door = Door::with(json!({"inbound": {
        "ambiguous_paths": "raw",
        "rules": [{"name": "public", "accept": ["none"]}, {"name": "optional", "accept": ["jwt", "none"]}, {"name": "jwt", "accept": ["jwt"]}],
    }}));
    for path in [
        "//public",
        "/public//",
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public;/x",
        "/public\\x",
        "/public#x",
        "public",
        "",
        "*",
        "http://agent.example/public",
        "/public%2fx",
        "/public%00",
        "/%70ublic",
        "/public ",
        "/\u{e9}",
        "/%ff",
        "/%",
        "/public?x#y",
        "/%252e",
    ] {
        door.refuses(path, get(path), NO_CREDENTIALS);
        let good = bearer(Token::quick().sign()).header(":path", path);
        door.admits_as(path, good, "mrpink");
    }
    door.admits_nobody("one meaning", get("/public"));
}

/// CVE-2026-33186: a path that is not there, or a method that some server takes for another.
#[test]
fn requests_without_a_path_or_a_plain_method() {
    let mut door = Door::new();
    let tunnel = || Request::new([(":method", "CONNECT"), (":authority", "agent.example:443")]);
    door.refuses("CONNECT", tunnel(), NO_PATH);
    let good = tunnel().header("authorization", format!("Bearer {}", Token::quick().sign()));
    door.refuses("CONNECT with a token", good, NO_PATH);
    for method in ["get", "Get", "pOST", "options", "gET ", "connect"] {
        door.refuses(method, Request::inbound(method, "/public"), METHOD);
    }
}

/// GHSA-g53w-w6mj-hrpp: a host with two meanings, before a rule that trusts hosts.
#[test]
fn hosts_with_two_meanings_are_refused() {
    let mut door = by_host();
    for host in [
        "public.example,admin.example",
        "admin.example,public.example",
        "public.example, admin.example",
        "public.example,",
        ",public.example",
        ",",
        "public.example admin.example",
        " public.example",
        "public.example ",
        "public.example\t",
        "admin.example@public.example",
        "public.example@admin.example",
        "user:pass@public.example",
        "@public.example",
        "public.example@",
        "public.example:443@admin.example",
        "",
        ":443",
        ":",
        "public.example:",
        "public.example:0",
        "public.example:65536",
        "public.example:443:80",
        "public.example:+443",
        "public.example:4 43",
        "public.example:https",
        "public.example/",
        "public.example/admin",
        "public.example?x",
        "public.example#x",
        "public.example\\x",
        "http://public.example",
        "public.example.",
        "public.example.:443",
        "public..example",
        ".public.example",
        "public%2eexample",
        "public.example%00",
        "*.example",
        "*",
        "p\u{fc}blic.example",
        "\u{ff50}ublic.example",
        "public\u{3002}example",
        "[public.example]",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:x",
        "[::1%25eth0]",
        "public.example\0",
        "public.example\u{7f}",
        "public.example;x",
        "public.example'",
        "(public.example)",
    ] {
        for request in [get("/"), bearer(Token::quick().sign())] {
            door.refuses(&format!("{host:?}"), request.header(":authority", host), HOST);
        }
    }
    let long = format!("{}.public.example", "a".repeat(250));
    door.refuses("too long", get("/").header(":authority", long), HOST);
}

/// GHSA-g53w-w6mj-hrpp: letter case and port make no other host, and no other header says the host. Whoever is not
/// listed is not, however like it looks.
#[test]
fn the_host_is_normalised_and_only_authority_says_it() {
    let mut door = by_host();
    for host in [
        "public.example",
        "PUBLIC.example",
        "pUbLiC.eXaMpLe",
        "public.example:443",
        "Public.Example:65535",
    ] {
        door.admits_nobody(host, get("/").header(":authority", host));
    }
    for host in ["admin.example", "ADMIN.EXAMPLE", "Admin.example:8443"] {
        door.refuses(host, get("/").header(":authority", host), RULE_DENIED);
    }
    for host in [
        "public.example.attacker.example",
        "x.public.example",
        "example",
        "public-example",
        "publicexample",
        "127.0.0.1",
        "[::1]",
        "[::1]:80",
        "localhost",
        "xn--pblic-kva.example",
        "public_example",
    ] {
        let others = [
            "host",
            "x-forwarded-host",
            "x-host",
            "x-original-host",
            "forwarded",
            "x-http-host-override",
            "x-forwarded-server",
        ];
        let request = others
            .into_iter()
            .fold(get("/").header(":authority", host), |request, name| {
                request.header(name, "public.example")
            });
        door.refuses(host, request, Refusal::new(403, "no_rule", "Access denied"));
    }
}

/// Two hosts: one is public, one refuses.
fn by_host() -> Door {
    Door::with(json!({"inbound": {"rules": [
        {"name": "public", "match": {"hosts": ["public.example"]}, "accept": ["none"]},
        {"name": "admin", "match": {"hosts": ["admin.example"]}, "deny": true},
    ]}}))
}
