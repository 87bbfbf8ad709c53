//! A policy in its surroundings: does an Envoy file have the clusters and the variables that the policy names, and does it
//! hold the filter well?
//!
//! It is for `peergate check --envoy`, and looks at one file: what comes by discovery is not known here. It validates no
//! Envoy file: `envoy --mode validate` does.

mod filters;
mod finding;
mod misread;

pub use self::finding::{Finding, Problem};

use std::collections::BTreeSet;

use crate::config::{Document, Environment, Errors};
use crate::render::{Named, Subject, policy as written};
use crate::role::{Role, RoleSetting};

use self::filters::{Attachment, Place, attachments};

/// An Envoy file, read twice.
#[derive(Debug)]
pub struct EnvoyFile {
    /// As YAML 1.2 has it, and a policy's file.
    pub as_written: Document,
    /// As Envoy has it: with the words and numbers of YAML 1.1.
    pub as_envoy_reads: Document,
}

/// What there is to say of a file, and of a policy that it is for; without one, of each policy in it. Errors first.
pub fn check(file: &EnvoyFile, policy: Option<&Subject<'_>>) -> Vec<Finding> {
    let attachments = attachments(&file.as_written);
    let mut findings = Findings::default();
    if attachments.is_empty() {
        findings.add("configuration", Problem::NoFilter);
        return findings.finish();
    }
    for attachment in &attachments {
        misread::look(attachment, &file.as_envoy_reads, &mut findings);
        attachment_itself(attachment, &mut findings);
    }
    match policy {
        Some(subject) => {
            let text = written(subject.document);
            let same: Vec<&Attachment<'_>> = attachments
                .iter()
                .filter(|attachment| attachment.policy().is_some_and(|policy| written(&policy) == text))
                .collect();
            let meant = if same.is_empty() {
                attachments.iter().collect()
            } else {
                same
            };
            clusters("", &subject.named, &file.as_written, &mut findings);
            variables("", subject, &meant, &mut findings);
        }
        None => policies(&attachments, &file.as_written, &mut findings),
    }
    whole(&attachments, &file.as_written, &mut findings);
    findings.finish()
}

/// The policies that stand in the file, each once.
fn policies(attachments: &[Attachment<'_>], file: &Document, findings: &mut Findings) {
    let mut seen: BTreeSet<(String, Vec<String>)> = BTreeSet::new();
    for attachment in attachments {
        let Some(policy) = attachment.policy() else {
            findings.add(&attachment.path, Problem::NoPolicy);
            continue;
        };
        let variables = attachment.variables();
        if !seen.insert((written(&policy), variables)) {
            continue;
        }
        let subject = match Subject::new(&policy, &Environment::default()) {
            Ok(subject) => subject,
            Err(errors) => {
                faults(&attachment.path, &errors, findings);
                continue;
            }
        };
        let place = format!("{}: ", attachment.path);
        clusters(&place, &subject.named, file, findings);
        self::variables(&place, &subject, &[attachment], findings);
        halves(attachment, &subject, findings);
    }
}

/// The faults of a policy, as they are printed: without a secret, should one stand in them.
fn faults(place: &str, errors: &Errors, findings: &mut Findings) {
    let lines = errors.lines();
    let mut lines = lines.iter().map(|line| line.as_str()).peekable();
    while let Some(line) = lines.next() {
        let help = lines.next_if(|next| next.starts_with(HELP));
        let problem = Problem::Policy {
            line: line.to_owned(),
            help: help.and_then(|help| help.strip_prefix(HELP)).map(str::to_owned),
        };
        findings.add(place, problem);
    }
}

/// Whether the half that decides at a place is there.
fn halves(attachment: &Attachment<'_>, subject: &Subject<'_>, findings: &mut Findings) {
    let policy = &subject.loaded.policy;
    let role = match (policy.role, attachment.place) {
        (RoleSetting::Fixed(role), _) => role,
        (RoleSetting::Auto, Place::Cluster) => Role::Upstream,
        (RoleSetting::Auto, Place::Inbound) => Role::Inbound,
        (RoleSetting::Auto, Place::Outbound) => Role::Outbound,
        (RoleSetting::Auto, Place::Gateway) => Role::Gateway,
    };
    if role.looks_inbound() && policy.inbound.is_none() {
        findings.add(&attachment.path, Problem::NoInbound);
    }
    if !role.looks_inbound() && policy.outbound.is_none() {
        findings.add(&attachment.path, Problem::NoOutbound);
    }
}

fn clusters(place: &str, named: &Named, file: &Document, findings: &mut Findings) {
    let there: BTreeSet<&str> = filters::cluster_names(file);
    let may_come = filters::has_discovered_clusters(file);
    for cluster in &named.clusters {
        if !there.contains(cluster.name.as_str()) {
            let problem = match may_come {
                true => Problem::ClusterDiscovered(cluster.name.clone()),
                false => Problem::NoCluster(cluster.name.clone()),
            };
            findings.add(&format!("{place}{}", cluster.path), problem);
        }
    }
}

/// Each variable must be handed over by some filter that is meant.
fn variables(place: &str, subject: &Subject<'_>, meant: &[&Attachment<'_>], findings: &mut Findings) {
    let has = |member| subject.document.member(member).is_some();
    let may_miss = has("sealed_env") || has("on_missing_secret");
    for name in subject.named.needed_variables() {
        let is_there = |attachment: &&Attachment<'_>| attachment.hands_over(name);
        if meant.iter().any(is_there) {
            continue;
        }
        let place = match meant {
            _ if !place.is_empty() => place.trim_end_matches(": "),
            [attachment] => attachment.path.as_str(),
            _ => "configuration",
        };
        let problem = match may_miss {
            true => Problem::VariableMayMiss(name.to_owned()),
            false => Problem::NoVariable(name.to_owned()),
        };
        findings.add(place, problem);
    }
    for attachment in meant {
        for name in attachment.written_down() {
            if subject.named.variables.contains(name) {
                findings.add(&attachment.path, Problem::ValueWrittenDown(name.to_owned()));
            }
        }
    }
}

fn attachment_itself(attachment: &Attachment<'_>, findings: &mut Findings) {
    let path = &attachment.path;
    match attachment.failure_policy() {
        Some("FAIL_RELOAD") => {}
        Some("FAIL_OPEN") => findings.add(path, Problem::FailsOpen),
        Some(_) | None => findings.add(path, Problem::FailsForEver),
    }
    if attachment.vm_id().is_none_or(str::is_empty) {
        findings.add(path, Problem::NoVmId);
    }
    if let Some(timeout) = attachment.stream_idle_timeout() {
        match timeout {
            None => findings.add(path, Problem::NoIdleTimeout),
            Some("0s" | "0") => findings.add(path, Problem::IdleForEver),
            Some(_) => {}
        }
    }
}

fn whole(attachments: &[Attachment<'_>], file: &Document, findings: &mut Findings) {
    let names: BTreeSet<&str> = attachments
        .iter()
        .filter(|attachment| attachment.place != Place::Cluster)
        .filter_map(Attachment::vm_id)
        .collect();
    if names.len() > 1 {
        let names = names.into_iter().map(str::to_owned).collect();
        findings.add("configuration", Problem::SeveralVmIds(names));
    }
    let missing = filters::missing_tags(file);
    if !missing.is_empty() {
        findings.add("stats_config.stats_tags", Problem::NoTags(missing));
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, place: &str, problem: Problem) {
        let finding = Finding {
            place: place.to_owned(),
            problem,
        };
        // A filter that stands in a file twice, by an alias, has every fault twice.
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| !finding.problem.is_error());
        self.0
    }
}

/// What begins a line of help.
const HELP: &str = "  help: ";
