//! From a configuration to a [`Policy`], or to everything that is wrong with it.
//!
//! The only way to a policy: what comes out is compiled and valid, and nothing looks at it again. Every error is
//! reported, each with its path and in the order of the document, and what a later release brings is refused, never
//! ignored. A member that is null is absent.
//!
//! It reads no file, no clock and no environment: all of these are arguments. It fetches nothing.

mod assertion;
/// Takes all of these out of their options, or gives nothing. At once: each way out of a function drops all that it holds by
/// then, and a reader that holds much would have many.
macro_rules! all_of {
    ($($value:ident),+ $(,)?) => {
        let ($(Some($value),)+) = ($($value,)+) else {
            return None;
        };
    };
}

mod agent_card;
mod declared;
mod document;
mod endpoint;
mod forward;
mod header;
mod inbound;
mod introspection;
mod key_source;
mod keys;
mod locations;
mod misplaced;
pub(crate) mod nearest;
mod oauth;
mod outbound;
pub(crate) mod path;
mod peers;
pub mod problem;
mod providers;
mod published;
mod reader;
mod requirements;
mod resources;
mod rules;
mod sealed;
mod secret;
mod sorted;
mod surroundings;
mod text;
mod totp;
mod warning;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use crate::policy::outbound::{Outbound, Rule};
use crate::policy::{Enforcement, Inbound, KeyPlan, Needs, Policy};
use crate::redact::Redactor;
use crate::role::{Role, RoleSetting};
use crate::state::SealingKey;

pub use self::document::{Document, MAX_DEPTH};
pub use self::problem::{Error, Errors, Problem};
pub use self::warning::{Caution, Warning};

use self::forward::{default_owned_headers, default_style};
use self::oauth::{Around, Clients};
use self::problem::{DocumentProblem, KeySourceProblem, Kind, RuleProblem};
use self::reader::{Context, Node, Object};
use self::sealed::sealed_variables;
use self::secret::{Found, secret};

/// What is around the filter: where it runs and what it was given.
#[derive(Clone, Default)]
pub struct Environment {
    /// The variables of the virtual machine's environment (of the process, for the program). Some are secrets.
    pub variables: BTreeMap<String, String>,
    /// The name of the workload, from the node's metadata.
    pub workload: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
}

impl fmt::Debug for Environment {
    /// The names of the variables, never their values.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("workload", &self.workload)
            .field("namespace", &self.namespace)
            .finish()
    }
}

/// A policy, and what its author should know.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// What should be known, in the order of the document.
    pub warnings: Vec<Warning>,
    /// Keeps the secrets that were read out of what is printed of it.
    pub redactor: Redactor,
}

/// Reads the configuration of the plugin as Envoy hands it over: JSON, or a serialized `google.protobuf.Struct`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn from_plugin_configuration(bytes: &[u8], environment: &Environment) -> Result<Loaded, Errors> {
    let mut loaded = load(&Document::from_plugin_configuration(bytes)?, environment)?;
    loaded.policy.identity = identity(bytes);
    Ok(loaded)
}

/// What tells the policy of one configuration from those of others.
pub fn identity(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest
        .iter()
        .take(IDENTITY_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Reads a configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(document: &Document, environment: &Environment) -> Result<Loaded, Errors> {
    read(Context::new(document, environment))
}

/// The same on a machine that must not have the keys of the proxy: sealed secrets are looked at from outside, and count as
/// missing, which is no error.
///
/// # Errors
/// Everything that is wrong with it, as far as this can be seen without what is sealed.
pub fn load_unopened(document: &Document, environment: &Environment) -> Result<Loaded, Errors> {
    let context = Context::new(document, environment);
    context.sealed().withhold_keys();
    read(context)
}

fn read(context: Context<'_>) -> Result<Loaded, Errors> {
    let policy = policy(&context);
    let (warnings, redactor) = context.finish()?;
    match policy {
        Some(policy) => Ok(Loaded {
            policy,
            warnings,
            redactor,
        }),
        // Whoever gives no policy has reported why. Should one forget to: no policy still.
        None => Err(Error::at_root(DocumentProblem::Unread).into()),
    }
}

fn policy(context: &Context<'_>) -> Option<Policy> {
    let node = &context.root();
    if node.kind() == Kind::Null {
        return node.refuse(DocumentProblem::Empty);
    }
    let document = node.object(MEMBERS)?;
    let version = document.required("version").and_then(|node| version(&node));
    let role = role(&document);
    let is_fallback = document.flag("fallback");
    let enforcement = policy_enforcement(&document);
    let on_missing_secret = document.or("on_missing_secret", (), |node| {
        let may_miss = node.choice(&[("refuse_config", Some(false)), ("deny_rule", Some(true))])?;
        if may_miss {
            context.let_secrets_miss();
        }
        Some(())
    });
    // Before any secret, for each may stand there.
    let sealed_env = document.or("sealed_env", (), |node| sealed_variables(&node));
    let sealing = document.or("shared_state_key", None, |node| sealing_key(&node).map(Some));
    let has = |half| document.has(half) || document.is_mistyped(half);
    if !has("inbound") && !has("outbound") {
        return node.refuse(DocumentProblem::NoHalf);
    }
    let clients = Clients::read(&document);
    let inbound = document.or("inbound", None, |node| {
        inbound::inbound(&node, &clients).map(Some)
    });
    let is_placed = role
        .as_ref()
        .is_none_or(|role| *role == RoleSetting::Fixed(Role::Upstream));
    let sees_callers = role.is_none_or(|role| match role {
        RoleSetting::Auto | RoleSetting::Fixed(Role::Gateway) => true,
        RoleSetting::Fixed(Role::Inbound | Role::Outbound | Role::Upstream) => false,
    });
    let around = Around::new(node.document(), clients, sees_callers);
    let outbound = document.or("outbound", None, |node| {
        outbound::outbound(&node, is_placed, &around).map(Some)
    });

    version.and(on_missing_secret).and(sealed_env)?;
    all_of!(role, is_fallback, enforcement, sealing, inbound, outbound);
    let (inbound, mut keys, owned_headers, mut errors) = match inbound {
        Some(half) => (Some(half.inbound), half.keys, half.owned_headers, half.errors),
        // Without an inbound half a workload's calls still must not carry an identity of its own making.
        None => (
            None,
            KeyPlan::default(),
            default_owned_headers(),
            default_style(node.environment()),
        ),
    };
    keys.sealing = sealing.and_then(Found::there).map(Rc::new);
    errors.redactor = redactor(inbound.as_ref(), outbound.as_ref());
    let mut inbound = inbound;
    if let Some(half) = &mut inbound
        && let Err(path) = half.published.settle(&errors.redactor)
    {
        return document.refuse_member("inbound", RuleProblem::SecretPublished(path));
    }
    Some(Policy {
        identity: String::new(),
        role,
        is_fallback,
        enforcement,
        needs: Needs::of(inbound.as_ref(), outbound.as_ref()),
        inbound,
        outbound,
        owned_headers,
        errors,
        keys,
    })
}

/// What keeps secrets out of everything that the filter prints: it knows the names under which they travel in URLs, and
/// those that are put on calls, or shown to authorization servers.
fn redactor(inbound: Option<&Inbound>, outbound: Option<&Outbound>) -> Redactor {
    let rules = || outbound.iter().flat_map(|outbound| outbound.rules.iter());
    let parameters = rules().flat_map(|rule| &rule.query_parameters);
    let moved = rules().flat_map(|rule| &rule.query_to_header);
    let names = parameters
        .map(|(name, _)| name.as_str())
        .chain(moved.map(|moved| moved.from.as_str()))
        .chain(inbound.into_iter().flat_map(Inbound::parameters));
    let mut redactor = Redactor::new(names);
    for secret in rules().flat_map(Rule::secrets) {
        redactor.add_secret(secret.expose());
    }
    for client in outbound.iter().flat_map(|outbound| &outbound.clients) {
        redactor.add_secret(client.authentication().secret());
    }
    redactor
}

fn version(node: &Node<'_>) -> Option<()> {
    match node.integer::<i64>(i64::MIN..=i64::MAX)? {
        VERSION => Some(()),
        other => node.refuse(DocumentProblem::Version(other.to_string())),
    }
}

/// Reads `shared_state_key`.
fn sealing_key(node: &Node<'_>) -> Option<Found<SealingKey>> {
    secret(node)?.and_then(|secret| match SealingKey::new(secret.expose()) {
        Ok(key) => Some(key),
        Err(error) => node.refuse(KeySourceProblem::SealingKeyTooShort(error.bytes)),
    })
}

fn role(document: &Object<'_>) -> Option<RoleSetting> {
    let role = document.or("role", RoleSetting::Auto, |node| {
        node.choice(&[
            ("auto", Some(RoleSetting::Auto)),
            ("inbound", Some(RoleSetting::Fixed(Role::Inbound))),
            ("outbound", Some(RoleSetting::Fixed(Role::Outbound))),
            ("gateway", Some(RoleSetting::Fixed(Role::Gateway))),
            ("upstream", Some(RoleSetting::Fixed(Role::Upstream))),
        ])
    })?;
    // A gateway without an inbound half would refuse every request, and so would an inbound filter.
    let needed = match role {
        RoleSetting::Auto => return Some(role),
        RoleSetting::Fixed(Role::Inbound | Role::Gateway) => "inbound",
        RoleSetting::Fixed(Role::Outbound | Role::Upstream) => "outbound",
    };
    match document.has(needed) || document.is_mistyped(needed) {
        true => Some(role),
        false => document.refuse_member("role", DocumentProblem::RoleWithoutHalf(needed)),
    }
}

/// Of the whole policy: in shadow only in so many words, for nothing is refused then.
fn policy_enforcement(document: &Object<'_>) -> Option<Enforcement> {
    let may_be_shadow = document.insecure_flag("insecure_shadow_all", Caution::ShadowAll)?;
    match enforcement(document)? {
        Enforcement::Shadow if !may_be_shadow => {
            document.refuse_member("enforcement", DocumentProblem::ShadowAll)
        }
        Enforcement::Enforce if may_be_shadow => {
            document.refuse_member("insecure_shadow_all", DocumentProblem::ShadowNothing)
        }
        enforcement => Some(enforcement),
    }
}

/// Of a policy or of a rule.
fn enforcement(object: &Object<'_>) -> Option<Enforcement> {
    object.or("enforcement", Enforcement::Enforce, |node| {
        node.choice(&[
            ("enforce", Some(Enforcement::Enforce)),
            ("shadow", Some(Enforcement::Shadow)),
        ])
    })
}

const VERSION: i64 = 1;

/// Ours: no two policies of one proxy are alike by chance.
const IDENTITY_BYTES: usize = 8;

const MEMBERS: &[&str] = &[
    "version",
    "role",
    "fallback",
    "enforcement",
    "insecure_shadow_all",
    "on_missing_secret",
    "sealed_env",
    "shared_state_key",
    "inbound",
    "outbound",
];
