//! Wildcards where there are none: what is written as in other proxies' configurations, and matches itself alone.

use crate::advice::Findings;
use crate::advice::entry::{as_text, entries};
use crate::advice::words::Advice;
use crate::config::Document;
use crate::config::path::Path;

/// Looks at the paths, prefixes and methods of all rules.
pub(super) fn advise(document: &Document, findings: &mut Findings<'_>) {
    let root = Path::root();
    for half in ["inbound", "outbound"] {
        let list = root.member(half);
        let list = list.member("rules");
        for (index, rule) in entries(document.member(half), "rules").iter().enumerate() {
            let rule_path = list.index(index);
            let conditions = rule_path.member("match");
            for member in ["paths", "path_prefixes", "methods"] {
                let texts = entries(rule.member("match"), member).iter().enumerate();
                let suspects = texts.filter(|(_, text)| as_text(text).is_some_and(has_wildcard));
                for (entry, _) in suspects {
                    findings.add(&conditions.member(member).index(entry), wildcard_in(member));
                }
            }
        }
    }
}

fn has_wildcard(text: &str) -> bool {
    text.contains('*')
}

fn wildcard_in(member: &'static str) -> Advice {
    match member {
        "methods" => Advice::NoSuchMethod,
        member => Advice::NoWildcard { member },
    }
}
