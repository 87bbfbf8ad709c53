//! Words and numbers of a policy that Envoy reads otherwise than they were written (docs/operations.md).

use super::Findings;
use super::filters::{Attachment, Step, at};
use super::finding::Problem;
use crate::config::Document;
use crate::excerpt::Excerpt;

/// Compares what stands in a Struct with what Envoy makes of it.
pub(super) fn look(attachment: &Attachment<'_>, as_envoy_reads: &Document, findings: &mut Findings) {
    let Some(written @ Document::Object(_)) = attachment.value() else {
        return;
    };
    let mut steps = attachment.steps.clone();
    steps.extend(["configuration", "value"].map(Step::Member));
    if let Some(read) = at(as_envoy_reads, &steps) {
        compare(written, read, &attachment.path, "", findings);
    }
}

fn compare(written: &Document, read: &Document, place: &str, path: &str, findings: &mut Findings) {
    match (written, read) {
        (Document::Object(written), Document::Object(read)) => {
            for ((name, written), (_, read)) in written.iter().zip(read) {
                let dot = if path.is_empty() { "" } else { "." };
                compare(written, read, place, &format!("{path}{dot}{name}"), findings);
            }
        }
        (Document::List(written), Document::List(read)) => {
            for (index, (written, read)) in written.iter().zip(read).enumerate() {
                compare(written, read, place, &format!("{path}[{index}]"), findings);
            }
        }
        (Document::Text(written), Document::Flag(read)) if is_word(written.expose()) => {
            add(place, path, written.expose(), read.to_string(), findings);
        }
        (Document::Number(written), Document::Number(read)) if written != read => {
            // The number is what 1.2 makes of it: the zeros that began it are gone.
            add(place, path, &format!("0{written}"), read.to_string(), findings);
        }
        _ => {}
    }
}

fn add(place: &str, path: &str, written: &str, read: String, findings: &mut Findings) {
    let written = Excerpt::new(written).to_string();
    findings.add(&format!("{place}: {path}"), Problem::Misread { written, read });
}

/// Envoy's reader takes a word in lower case, in upper case, and with a capital.
fn is_word(text: &str) -> bool {
    let rest = text.get(1..).unwrap_or_default();
    let is_lower = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_upper = |text: &str| !text.bytes().any(|byte| byte.is_ascii_lowercase());
    is_upper(text) || is_lower(rest)
}
