//! Where the filter stands in an Envoy file, and what stands around it.

use std::collections::BTreeSet;

use crate::config::Document;

/// A filter of peergate.
#[derive(Debug)]
pub(super) struct Attachment<'f> {
    /// Where, as in `static_resources.listeners[0]`.
    pub(super) path: String,
    /// The same as steps.
    pub(super) steps: Vec<Step<'f>>,
    /// What kind of place it is.
    pub(super) place: Place,
    config: &'f Document,
    manager: Option<&'f Document>,
}

/// What kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Inbound,
    Outbound,
    Gateway,
    Cluster,
}

/// A step into a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'f> {
    Member(&'f str),
    Index(usize),
}

/// All of them, in the order of the file.
pub(super) fn attachments(file: &Document) -> Vec<Attachment<'_>> {
    let mut search = Search {
        found: Vec::new(),
        steps: Vec::new(),
        place: Place::Gateway,
        manager: None,
    };
    search.look(file);
    search.found
}

struct Search<'f> {
    found: Vec<Attachment<'f>>,
    steps: Vec<Step<'f>>,
    place: Place,
    manager: Option<&'f Document>,
}

impl<'f> Search<'f> {
    fn look(&mut self, value: &'f Document) {
        match value {
            Document::Object(members) => {
                if is_type(value, WASM) {
                    self.keep(value);
                    return;
                }
                let around = (self.place, self.manager);
                match value.member("traffic_direction").and_then(text) {
                    Some("INBOUND") => self.place = Place::Inbound,
                    Some("OUTBOUND") => self.place = Place::Outbound,
                    Some(_) | None => {}
                }
                if is_type(value, HTTP_PROTOCOL_OPTIONS) {
                    (self.place, self.manager) = (Place::Cluster, None);
                }
                if is_type(value, CONNECTION_MANAGER) {
                    self.manager = Some(value);
                }
                for (name, value) in members {
                    self.steps.push(Step::Member(name));
                    self.look(value);
                    self.steps.pop();
                }
                (self.place, self.manager) = around;
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

    fn keep(&mut self, filter: &'f Document) {
        let Some(config) = filter.member("config") else {
            return;
        };
        self.steps.push(Step::Member("config"));
        let attachment = Attachment {
            path: path(&self.steps),
            steps: self.steps.clone(),
            place: self.place,
            config,
            manager: self.manager,
        };
        self.steps.pop();
        if attachment.is_peergate() {
            self.found.push(attachment);
        }
    }
}

impl<'f> Attachment<'f> {
    /// Its policy is one, or somebody has called it so.
    fn is_peergate(&self) -> bool {
        let names = [
            self.config.member("name"),
            self.config.member("vm_config").and_then(|vm| vm.member("vm_id")),
            self.module(),
        ];
        let is_called = |name: &Document| text(name).is_some_and(|name| name.contains("peergate"));
        let is_policy = |policy: Document| {
            let has = |name| policy.member(name).is_some();
            has("version") && (has("inbound") || has("outbound"))
        };
        names.into_iter().flatten().any(is_called) || self.policy().is_some_and(is_policy)
    }

    /// Whether routes of its connection manager come by discovery.
    pub(super) fn has_discovered_routes(&self) -> bool {
        let comes = |manager: &Document| DISCOVERED.iter().any(|member| manager.member(member).is_some());
        self.manager.is_some_and(comes)
    }

    /// Whether it stands in a cluster.
    pub(super) const fn is_of_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster)
    }

    /// The cluster that the module comes from.
    pub(super) fn module_cluster(&self) -> Option<&'f str> {
        let code = self.config.member("vm_config")?.member("code")?;
        let uri = code.member("remote")?.member("http_uri")?;
        uri.member("cluster").and_then(text)
    }

    fn module(&self) -> Option<&'f Document> {
        let code = self.config.member("vm_config")?.member("code")?;
        code.member("local")?.member("filename")
    }

    /// The policy, where it is a Struct, or JSON in a StringValue.
    pub(super) fn policy(&self) -> Option<Document> {
        match self.value()? {
            value @ Document::Object(_) => Some(value.clone()),
            Document::Text(json) => Document::from_json(json.expose().as_bytes()).ok(),
            _ => None,
        }
    }

    /// What `configuration` holds.
    pub(super) fn value(&self) -> Option<&'f Document> {
        self.config.member("configuration")?.member("value")
    }

    fn environment(&self) -> Option<&'f Document> {
        self.config.member("vm_config")?.member("environment_variables")
    }

    /// All variables that it gets.
    pub(super) fn variables(&self) -> Vec<String> {
        let keys = entries(
            self.environment()
                .and_then(|environment| environment.member("host_env_keys")),
        );
        let keys = keys.filter_map(text);
        keys.chain(self.written_down()).map(str::to_owned).collect()
    }

    /// Variables whose values stand in the file.
    pub(super) fn written_down(&self) -> impl Iterator<Item = &'f str> {
        let values = self
            .environment()
            .and_then(|environment| environment.member("key_values"));
        let members = match values {
            Some(Document::Object(members)) => members.as_slice(),
            _ => &[],
        };
        members.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn hands_over(&self, name: &str) -> bool {
        self.variables().iter().any(|variable| variable == name)
    }

    pub(super) fn failure_policy(&self) -> Option<&'f str> {
        match self.config.member("fail_open") {
            // As it was called before there were three.
            Some(Document::Flag(true)) => Some("FAIL_OPEN"),
            _ => self.config.member("failure_policy").and_then(text),
        }
    }

    pub(super) fn vm_id(&self) -> Option<&'f str> {
        self.config.member("vm_config")?.member("vm_id").and_then(text)
    }

    /// Of its connection manager: nothing where it has none, and nothing within where that says nothing.
    pub(super) fn stream_idle_timeout(&self) -> Option<Option<&'f str>> {
        Some(self.manager?.member("stream_idle_timeout").and_then(text))
    }
}

/// The clusters of the file.
pub(super) fn cluster_names(file: &Document) -> BTreeSet<&str> {
    let clusters = file
        .member("static_resources")
        .and_then(|resources| resources.member("clusters"));
    entries(clusters)
        .filter_map(|cluster| cluster.member("name").and_then(text))
        .collect()
}

/// Whether further clusters may come.
pub(super) fn has_discovered_clusters(file: &Document) -> bool {
    file.member("dynamic_resources")
        .is_some_and(|resources| resources.member("cds_config").is_some())
}

/// Labels of the filter's main counter that no tag makes.
pub(super) fn missing_tags(file: &Document) -> Vec<&'static str> {
    let tags = file
        .member("stats_config")
        .and_then(|config| config.member("stats_tags"));
    let is_made = |name: &str| {
        entries(tags).any(|tag| {
            let is_ours = |regex: &str| regex.contains("peergate_");
            tag.member("tag_name").and_then(text) == Some(name)
                && tag.member("regex").and_then(text).is_some_and(is_ours)
        })
    };
    TAGS.into_iter().filter(|name| !is_made(name)).collect()
}

/// The value at these steps.
pub(super) fn at<'d>(document: &'d Document, steps: &[Step<'_>]) -> Option<&'d Document> {
    steps.iter().try_fold(document, |value, step| match step {
        Step::Member(name) => value.member(name),
        Step::Index(index) => match value {
            Document::List(entries) => entries.get(*index),
            _ => None,
        },
    })
}

/// These steps in one text.
pub(super) fn path(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Member(name) if path.is_empty() => path.push_str(name),
            Step::Member(name) if name.contains('.') => path.push_str(&format!("[\"{name}\"]")),
            Step::Member(name) => path.push_str(&format!(".{name}")),
        }
    }
    path
}

/// Whether a message is of this type.
pub(super) fn is_type(value: &Document, name: &str) -> bool {
    value
        .member("@type")
        .and_then(text)
        .is_some_and(|url| url.ends_with(name))
}

fn entries(list: Option<&Document>) -> impl Iterator<Item = &Document> {
    let entries = match list {
        Some(Document::List(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter()
}

/// A text.
pub(super) fn text(value: &Document) -> Option<&str> {
    match value {
        Document::Text(text) => Some(text.expose()),
        _ => None,
    }
}

const WASM: &str = "/envoy.extensions.filters.http.wasm.v3.Wasm";
pub(super) const CONNECTION_MANAGER: &str =
    "/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const HTTP_PROTOCOL_OPTIONS: &str = "/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// Members of a connection manager whose routes come by discovery.
const DISCOVERED: [&str; 2] = ["rds", "scoped_routes"];
/// The labels of `peergate_requests_total`.
const TAGS: [&str; 4] = ["direction", "outcome", "reason", "rule"];
