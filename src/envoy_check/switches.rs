//! Where the filter stands and does not run: switched off itself (`disabled`), or by a route (`FilterConfig`). What a
//! route that comes by discovery says is not seen.

use super::filters::{Attachment, CONNECTION_MANAGER, Step, at, is_type, path, text};
use super::finding::Problem;
use super::{EnvoyFile, Findings, asks};
use crate::config::Document;

/// Looks at the switches of all filters.
pub(super) fn look(attachments: &[Attachment<'_>], file: &EnvoyFile, findings: &mut Findings) {
    // Whatever `disabled: on` is in YAML 1.2, Envoy takes it for `true`.
    let read = &file.as_envoy_reads;
    let mut search = Search::default();
    search.look(read);
    for attachment in attachments {
        let Some(entry) = entry(attachment, read).filter(|entry| is_off(entry)) else {
            continue;
        };
        let name = entry.member("name").and_then(text);
        let turns_on =
            |switch: &Switch<'_>| !switch.is_off && Some(switch.filter) == name && switch.is_for(attachment);
        let open = asks(attachment, file);
        // Whatever route leads to a cluster: what comes by discovery may be among them.
        let may_come = attachment.is_of_cluster() || attachment.has_discovered_routes();
        let problem = match may_come || search.found.iter().any(turns_on) {
            true => Problem::SwitchedOffBut { open },
            false => Problem::SwitchedOff { open },
        };
        findings.add(&attachment.path, problem);
    }
    for switch in search.found.iter().filter(|switch| switch.is_off) {
        let is_meant = |attachment: &&Attachment<'_>| {
            let name = entry(attachment, read)
                .and_then(|entry| entry.member("name"))
                .and_then(text);
            name == Some(switch.filter) && switch.is_for(attachment)
        };
        let mut meant = attachments.iter().filter(is_meant).peekable();
        if meant.peek().is_some() {
            let open = meant.any(|attachment| asks(attachment, file));
            findings.add(&switch.path, Problem::RouteWithout { open });
        }
    }
}

/// The entry of the filter in its list: what stands around `typed_config`.
fn entry<'d>(attachment: &Attachment<'_>, read: &'d Document) -> Option<&'d Document> {
    let length = attachment.steps.len().checked_sub(2)?;
    at(read, attachment.steps.get(..length)?)
}

fn is_off(value: &Document) -> bool {
    matches!(value.member("disabled"), Some(Document::Flag(true)))
}

/// What a route, a virtual host or all routes say of one filter.
struct Switch<'f> {
    path: String,
    filter: &'f str,
    /// The connection manager that it stands in.
    manager: Option<Vec<Step<'f>>>,
    is_off: bool,
}

impl Switch<'_> {
    /// Filters of a cluster are switched by whatever route leads there.
    fn is_for(&self, attachment: &Attachment<'_>) -> bool {
        let is_around = |manager: &Vec<Step<'_>>| attachment.steps.starts_with(manager);
        attachment.is_of_cluster() || self.manager.as_ref().is_some_and(is_around)
    }
}

#[derive(Default)]
struct Search<'f> {
    found: Vec<Switch<'f>>,
    steps: Vec<Step<'f>>,
    manager: Option<Vec<Step<'f>>>,
}

impl<'f> Search<'f> {
    fn look(&mut self, value: &'f Document) {
        match value {
            Document::Object(members) => {
                let around = self.manager.clone();
                if is_type(value, CONNECTION_MANAGER) {
                    self.manager = Some(self.steps.clone());
                }
                for (name, value) in members {
                    self.steps.push(Step::Member(name));
                    match (name.as_str(), value) {
                        (PER_FILTER, Document::Object(filters)) => self.keep(filters),
                        _ => self.look(value),
                    }
                    self.steps.pop();
                }
                self.manager = around;
            }
            Document::List(entries) => {
                for (index, value) in entries.iter().enumerate() {
                    self.steps.push(Step::Index(index));
                    self.look(value);
                    self.steps.pop();
                }
            }
            Document::Null | Document::Flag(_) | Document::Number(_) | Document::Text(_) => {}
        }
    }

    fn keep(&mut self, filters: &'f [(String, Document)]) {
        for (filter, value) in filters {
            self.steps.push(Step::Member(filter));
            self.found.push(Switch {
                path: path(&self.steps),
                filter,
                manager: self.manager.clone(),
                is_off: is_type(value, FILTER_CONFIG) && is_off(value),
            });
            self.steps.pop();
        }
    }
}

const PER_FILTER: &str = "typed_per_filter_config";
const FILTER_CONFIG: &str = "/envoy.config.route.v3.FilterConfig";
