//! A configuration of the filter: read once, then handed to each of its streams.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::config::{self, Environment};
use crate::decision::{self, Cards, KnownTokens, state};
use crate::filter::attachment::Attachment;
use crate::filter::errands::Errands;
use crate::filter::host;
use crate::filter::http::Stream;
use crate::filter::metrics::{self, Metrics};
use crate::filter::signatures::Signatures;
use crate::filter::state::Store;
use crate::redact::Redactor;

/// What the streams of one configuration share. Nothing in it depends on the place of a stream: Envoy may attach one
/// root to listeners of both directions.
pub(super) struct Root {
    id: u32,
    attachment: Rc<Attachment>,
}

impl Root {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            attachment: Rc::default(),
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _trailers: usize) {
        if let Some(errands) = &self.attachment.errands {
            errands.answered(self.id, token, headers, body_bytes);
        }
    }
}

impl RootContext for Root {
    /// False keeps the configuration in force: a bad one never serves.
    fn on_configure(&mut self, _size: usize) -> bool {
        let loaded = match host::plugin_configuration() {
            Ok(configuration) => config::from_plugin_configuration(&configuration, &environment()),
            Err(error) => {
                let line = format!("peergate: configuration cannot be read: {error}");
                host::log(LogLevel::Critical, &Redactor::default().clean(line));
                return false;
            }
        };
        match loaded {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    let line = format!("peergate: configuration: {warning}");
                    host::log(LogLevel::Warn, &loaded.redactor.clean(line));
                }
                if let Some(outbound) = &loaded.policy.outbound
                    && outbound.puts_on()
                    && let Err(error) = host::keep_over_redirects(state::INJECTED)
                {
                    let line =
                        format!("peergate: redirects that the proxy follows itself are not noticed: {error}");
                    host::log(LogLevel::Warn, &Redactor::default().clean(line));
                }
                decision::prepare(&loaded.policy, &Store::Shared);
                let node_id = host::property(&["xds", "node", "id"]).unwrap_or_default();
                // Without a key that nobody knows, nothing is kept.
                let key = host::random().ok();
                let known = key.map(|key| KnownTokens::new(&loaded.policy, key));
                self.attachment = Rc::new(Attachment {
                    errands: Some(Errands::new(&loaded.policy)),
                    policy: Some(loaded.policy),
                    known,
                    cards: Cards::default(),
                    machine_key: key,
                    node_id,
                    metrics: Metrics::default(),
                    signatures: Some(Signatures::of_this_machine()),
                });
                true
            }
            Err(errors) => {
                host::log(
                    LogLevel::Critical,
                    &errors.report("peergate: configuration refused:\n"),
                );
                false
            }
        }
    }

    fn on_tick(&mut self) {
        metrics::note_left_out();
        if let Some(errands) = &self.attachment.errands {
            errands.tick(self.id);
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    /// Never `None`, on which the SDK panics: a stream without a policy refuses.
    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(id, Rc::clone(&self.attachment))))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the boundary: the virtual machine's environment is read here"
)]
fn environment() -> Environment {
    let text = |path: &[&str]| host::property(path).and_then(|bytes| String::from_utf8(bytes).ok());
    Environment {
        variables: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        workload: text(&["xds", "node", "metadata", "WORKLOAD_NAME"]).filter(|name| !name.is_empty()),
        namespace: text(&["xds", "node", "metadata", "NAMESPACE"]).filter(|name| !name.is_empty()),
    }
}
