//! A policy of which a case writes one half only.

use peergate_filter::config::Document;

/// The policy that is written, or version 1 with the halves that are.
pub(crate) fn policy(
    policy: Option<Document>,
    inbound: Option<Document>,
    outbound: Option<Document>,
) -> Document {
    policy.unwrap_or_else(|| {
        let half = |name: &str, half: Option<Document>| half.map(|half| (name.to_owned(), half));
        let version = ("version".to_owned(), Document::Number(1.into()));
        let halves = [half("inbound", inbound), half("outbound", outbound)];
        let members = [version].into_iter().chain(halves.into_iter().flatten());
        Document::Object(members.collect())
    })
}
