//! A policy in its surroundings: does an Envoy file have the clusters and the variables that the policy names, and does it
//! hold the filter well?
//!
//! It is for `peergate check --envoy`, and looks at one file: what comes by discovery is not known here. It validates no
//! Envoy file: `envoy --mode validate` does.

mod filters;
mod finding;
mod misread;
mod switches;

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
        module(attachment, &file.as_written, &mut findings);
    }
    switches::look(&attachments, file, &mut findings);
    match policy {
        Some(subject) => {
            let text = written(subject.document);
            let same: Vec<&Attachment<'_>> = attachments
                .iter()
                .filter(|attachment| attachment.policy().is_some_and(|policy| written(&policy) == text))
                .collect();
            halves(&same, file, &mut findings);
            let meant = if same.is_empty() {
                attachments.iter().collect()
            } else {
                same
            };
            clusters("", &subject.named, &file.as_written, &mut findings);
            variables("", subject, &meant, &mut findings);
        }
        None => {
            policies(&attachments, &file.as_written, &mut findings);
            let all: Vec<&Attachment<'_>> = attachments.iter().collect();
            halves(&all, file, &mut findings);
        }
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
fn halves(attachments: &[&Attachment<'_>], file: &EnvoyFile, findings: &mut Findings) {
    let asking: BTreeSet<String> = attachments
        .iter()
        .filter(|attachment| asks(attachment, file))
        .filter_map(|attachment| Some(written(&attachment.policy()?)))
        .collect();
    for attachment in attachments {
        let Some(document) = attachment.policy() else {
            continue;
        };
        // Its faults were said.
        let Ok(subject) = Subject::new(&document, &Environment::default()) else {
            continue;
        };
        let policy = &subject.loaded.policy;
        let has_rules = policy.inbound.as_ref().is_some_and(|half| !half.rules.is_empty());
        let is_asked_elsewhere = asking.contains(&written(&document));
        let problem = match (asks(attachment, file), &policy.inbound, &policy.outbound) {
            (true, None, _) => Problem::NoInbound,
            (false, _, None) if has_rules && !is_asked_elsewhere => Problem::NobodyAsked,
            (false, _, None) => Problem::NoOutbound,
            (true, Some(_), _) | (false, _, Some(_)) => continue,
        };
        findings.add(&attachment.path, problem);
    }
}

/// Whether callers are asked at a place who they are: what the policy says of it, else what stands around the filter.
fn asks(attachment: &Attachment<'_>, file: &EnvoyFile) -> bool {
    let node = file.as_written.member("node").and_then(|node| node.member("id"));
    let place = crate::role::Place {
        node_id: node
            .and_then(filters::text)
            .unwrap_or_default()
            .as_bytes()
            .to_vec(),
        listener_direction: match attachment.place {
            Place::Inbound => Some(DIRECTION_INBOUND),
            Place::Outbound => Some(DIRECTION_OUTBOUND),
            Place::Gateway | Place::Cluster => None,
        },
        is_within_cluster: attachment.is_of_cluster(),
    };
    let document = attachment.policy();
    let role = document.as_ref().and_then(|policy| policy.member("role"));
    let setting = match role.and_then(filters::text) {
        Some("inbound") => RoleSetting::Fixed(Role::Inbound),
        Some("outbound") => RoleSetting::Fixed(Role::Outbound),
        Some("gateway") => RoleSetting::Fixed(Role::Gateway),
        Some("upstream") => RoleSetting::Fixed(Role::Upstream),
        Some(_) | None => RoleSetting::Auto,
    };
    setting.role(&place).looks_inbound()
}

fn clusters(place: &str, named: &Named, file: &Document, findings: &mut Findings) {
    for cluster in &named.clusters {
        self::cluster(&format!("{place}{}", cluster.path), &cluster.name, file, findings);
    }
}

/// The cluster that the module itself comes from.
fn module(attachment: &Attachment<'_>, file: &Document, findings: &mut Findings) {
    if let Some(name) = attachment.module_cluster() {
        let place = format!("{}.{MODULE_CLUSTER}", attachment.path);
        cluster(&place, name, file, findings);
    }
}

fn cluster(place: &str, name: &str, file: &Document, findings: &mut Findings) {
    if filters::cluster_names(file).contains(name) {
        return;
    }
    let problem = match filters::has_discovered_clusters(file) {
        true => Problem::ClusterDiscovered(name.to_owned()),
        false => Problem::NoCluster(name.to_owned()),
    };
    findings.add(place, problem);
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

/// Envoy's core.v3.TrafficDirection.
const DIRECTION_INBOUND: u64 = 1;
const DIRECTION_OUTBOUND: u64 = 2;
const MODULE_CLUSTER: &str = "vm_config.code.remote.http_uri.cluster";
/// What begins a line of help.
const HELP: &str = "  help: ";
