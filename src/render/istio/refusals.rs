//! What would come to something else under Istio than its author meant.

use super::{IstioOptions, Mode, Target, is_gateway};
use crate::render::error::RenderError;
use crate::render::hops;
use crate::render::named::Subject;
use crate::role::{Role, RoleSetting};

/// Whether keys go into the query on a second hop.
///
/// # Errors
/// The policy is not rendered like this.
pub(super) fn hops(subject: &Subject<'_>, options: &IstioOptions) -> Result<bool, RenderError> {
    let inline = subject.inline_secrets();
    if !options.allows_inline_secrets && !inline.is_empty() {
        return Err(RenderError::InlineSecrets(inline));
    }
    subject.refuse_unknown(&options.addresses)?;
    let policy = &subject.loaded.policy;
    let calls = policy.outbound.is_some();
    let is_hopping = calls && !options.simple_query && !hops::with_key(subject.document).is_empty();
    if is_hopping && is_gateway(subject, options) {
        return Err(RenderError::QueryAtGateway);
    }
    let is_asking = match policy.role {
        RoleSetting::Fixed(Role::Upstream) => return Err(RenderError::UpstreamInIstio),
        RoleSetting::Fixed(Role::Outbound) => false,
        RoleSetting::Fixed(Role::Inbound | Role::Gateway) | RoleSetting::Auto => policy.inbound.is_some(),
    };
    if options.mode == Some(Mode::Server) && is_gateway(subject, options) {
        return Err(RenderError::ServerAtGateway);
    }
    let is_mesh = |target: &Target| target.is_all() && target.namespace == options.root_namespace;
    if is_asking && !policy.is_fallback && is_mesh(&options.target) {
        return Err(RenderError::MeshWide(options.root_namespace.clone()));
    }
    if let Some((sidecars, _)) = &options.pair {
        if is_mesh(sidecars) {
            return Err(RenderError::MeshWideSidecars(options.root_namespace.clone()));
        }
        if options.target.is_all() && options.target.namespace == sidecars.namespace {
            return Err(RenderError::GatewayUnnamed);
        }
    }
    Ok(is_hopping)
}
