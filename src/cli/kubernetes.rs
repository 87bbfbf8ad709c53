//! Names of Kubernetes, as arguments: what is none is refused here, and not by a cluster later.

/// A name without dots, as namespaces have (RFC 1123 §2.1, as Kubernetes reads it).
pub(super) fn label(text: &str) -> Result<String, &'static str> {
    match text.len() <= LONGEST_LABEL && is_label(text) {
        true => Ok(text.to_owned()),
        false => {
            Err("expected a name of Kubernetes: at most 63 of `a-z`, `0-9` and `-`, with no `-` at an end")
        }
    }
}

/// A name with or without dots, as most resources have.
pub(super) fn subdomain(text: &str) -> Result<String, &'static str> {
    match text.len() <= LONGEST_SUBDOMAIN && text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err(
            "expected a name of Kubernetes: at most 253 of `a-z`, `0-9`, `-` and `.`, with no `-` or `.` at an end",
        ),
    }
}

fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Kubernetes: `DNS1123LabelMaxLength` and `DNS1123SubdomainMaxLength`.
const LONGEST_LABEL: usize = 63;
const LONGEST_SUBDOMAIN: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kubernetes() {
        for good in ["a", "0", "istio-system", &"a".repeat(63)] {
            assert_eq!(label(good).as_deref(), Ok(good));
            assert_eq!(subdomain(good).as_deref(), Ok(good));
        }
        assert_eq!(subdomain("a.b-c.0").as_deref(), Ok("a.b-c.0"));
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a b",
            "a\nkind: Evil",
            "a\u{2028}b",
            "é",
            "$(id)",
            "a;b",
        ] {
            assert!(label(bad).is_err(), "{bad:?}");
            assert!(subdomain(bad).is_err(), "{bad:?}");
        }
        assert!(label("a.b").is_err() && label(&"a".repeat(64)).is_err());
        for bad in [".a", "a.", "a..b", "a.-b", &"a".repeat(254)] {
            assert!(subdomain(bad).is_err(), "{bad:?}");
        }
    }
}
