use super::*;
use crate::matcher::{MethodMatch, PathExact};

/// What [`crate::config`] makes of a URL that it takes.
fn resource(identifier: &str) -> Resource {
    let url = Url::parse(identifier).unwrap();
    let (scheme, rest) = identifier.split_once("://").unwrap();
    let authority = rest.split('/').next().unwrap();
    let origin = format!("{scheme}://{authority}");
    let path = identifier.strip_prefix(&origin).unwrap();
    let host = Authority::parse(url.authority().as_bytes()).unwrap();
    Resource {
        identifier: identifier.to_owned(),
        name: None,
        host: host.host().to_owned(),
        path: PathPrefix::parse(if path.is_empty() { "/" } else { path }).unwrap(),
        origin,
    }
}

#[test]
fn where_metadata_are_served() {
    for (identifier, url) in [
        (
            "https://mcp.example",
            "https://mcp.example/.well-known/oauth-protected-resource",
        ),
        (
            "https://mcp.example/",
            "https://mcp.example/.well-known/oauth-protected-resource",
        ),
        (
            "https://mcp.example/a/b",
            "https://mcp.example/.well-known/oauth-protected-resource/a/b",
        ),
        (
            "https://MCP.example:8443/a/",
            "https://MCP.example:8443/.well-known/oauth-protected-resource/a/",
        ),
        (
            "http://[::1]:80/a",
            "http://[::1]:80/.well-known/oauth-protected-resource/a",
        ),
    ] {
        assert_eq!(resource(identifier).metadata_url(), url);
    }
}

/// A condition of one path, told by how it is written here: a prefix (`/admin/…`), a template, or a path.
fn condition(text: &str) -> Condition {
    let mut condition = Condition::default();
    if let Some(prefix) = text.strip_suffix('…') {
        condition.path_prefixes.push(PathPrefix::parse(prefix).unwrap());
    } else if text.contains(['*', '{']) {
        condition.path_templates.push(PathTemplate::parse(text).unwrap());
    } else {
        condition.paths.push(PathExact::parse(text).unwrap());
    }
    condition
}

#[test]
fn what_reaches_a_resource() {
    let (all, part, nothing) = (Some(true), Some(false), None);
    for (path, text, expected) in [
        ("/a", "/…", all),
        ("/a", "/a…", all),
        ("/a/", "/a…", all),
        ("/a", "/a/b…", part),
        ("/a", "/ab…", nothing),
        ("/a/b", "/a…", all),
        ("/ab", "/a…", nothing),
        ("/a", "/a", part),
        ("/a", "/a/", part),
        ("/a", "/a/b", part),
        ("/a", "/ab", nothing),
        ("/a", "/", nothing),
        ("/a/b", "/a", nothing),
        ("", "/", part),
        ("/", "/a/b", part),
        ("", "/a…", part),
        ("", "/…", all),
        ("", "/**", all),
        ("/a", "/**", all),
        ("/a", "/a/**", part),
        ("/a/b", "/a/**", all),
        ("/a/b", "/{x}/**", all),
        ("/a/b", "/{x}/c/**", nothing),
        ("/a/b", "/{x}/{y}", part),
        ("/a/b", "/{x}", nothing),
        ("/a/b:c", "/a/{x}:c", part),
        ("/a/b:c", "/a/{x}:d", nothing),
        ("/a", "/{x}/b/{y}", part),
        ("", "/{x}/b", part),
    ] {
        let resource = resource(&format!("https://mcp.example{path}"));
        assert_eq!(
            resource.is_reached_by(&condition(text)),
            expected,
            "{path} {text}"
        );
    }
}

#[test]
fn methods_and_hosts_narrow_a_rule() {
    let resource = resource("https://MCP.example:8443/a");
    let mut condition = condition("/a…");
    condition.methods.push(MethodMatch::parse("POST").unwrap());
    assert_eq!(resource.is_reached_by(&condition), Some(false));
    for (host, expected) in [
        ("mcp.example", Some(false)),
        ("*.example", Some(false)),
        ("other.example", None),
        ("*.mcp.example", None),
    ] {
        condition.hosts = vec![HostMatch::parse(host).unwrap()];
        assert_eq!(resource.is_reached_by(&condition), expected, "{host}");
    }
}

#[test]
fn the_longest_path_of_the_host() {
    let resources = |identifiers: &[&str]| identifiers.iter().map(|text| resource(text)).collect::<Vec<_>>();
    let one = resources(&[
        "https://a.example/x",
        "https://a.example",
        "https://a.example/x/y",
    ]);
    let two = resources(&["https://a.example", "https://b.example/x", "https://b.example/z"]);
    let found = |resources: &[Resource], path: &str, authority: &str| {
        let path = RequestPath::raw(path.as_bytes());
        of_request(resources, &path, authority.as_bytes()).map(|found| found.identifier.clone())
    };
    for (path, expected) in [
        ("/", "https://a.example"),
        ("/x", "https://a.example/x"),
        ("/x/", "https://a.example/x"),
        ("/xy", "https://a.example"),
        ("/x/y/z?a=b", "https://a.example/x/y"),
    ] {
        for authority in ["a.example", "internal:8080", "", "a,b"] {
            assert_eq!(found(&one, path, authority).as_deref(), Some(expected), "{path}");
        }
    }
    for (path, authority, expected) in [
        ("/x", "A.example:1", Some("https://a.example")),
        ("/x", "b.example", Some("https://b.example/x")),
        ("/x", "c.example", None),
        ("/x", "a.example,b.example", None),
        // There is but one.
        ("/y", "c.example", Some("https://a.example")),
    ] {
        assert_eq!(
            found(&two, path, authority).as_deref(),
            expected,
            "{path} {authority}"
        );
    }
    assert_eq!(found(&[], "/", "a.example"), None);
}
