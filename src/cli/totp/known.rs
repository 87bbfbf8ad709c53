//! Where seeds come from, and how codes are made of them.

use std::path::Path;

use peergate_filter::enrolment::{self, Enrolled};
use peergate_filter::secret::Secret;
use peergate_filter::totp::{CodeParameters, Seed, SeedError};

use super::arguments::{Coding, Of};
use super::refused::Refused;
use crate::cli::loaded::{self, NotLoaded};
use crate::cli::secrets;

/// Seeds, and how codes are made of them.
pub(super) struct Known {
    pub(super) seeds: Vec<Seed>,
    pub(super) parameters: CodeParameters,
}

impl Known {
    /// By its number, from 1.
    pub(super) fn seed(&self, number: usize) -> Result<&Seed, Refused> {
        let index = number.checked_sub(1);
        let seed = index.and_then(|index| self.seeds.get(index));
        seed.ok_or(Refused::SeedNumber(self.seeds.len()))
    }
}

pub(super) fn known(of: &Of, coding: &Coding) -> Result<Known, Refused> {
    of.misplaced.refuse()?;
    if let Some((file, peer)) = of.policy() {
        return of_policy(of, file, peer);
    }
    let text = match &of.from_env {
        Some(name) => variable(of, name)?,
        None => secrets::from(of.from.as_deref())?,
    };
    let text = secrets::without_line_end(&text).ok_or(SeedError::Empty)?;
    let seed = match of.insecure_allow_short {
        true => Seed::parse_insecure_short(text.expose()),
        false => Seed::parse(text.expose()),
    };
    Ok(Known {
        seeds: vec![seed?],
        parameters: coding.parameters(CodeParameters::DEFAULT.window_steps())?,
    })
}

fn of_policy(of: &Of, file: &Path, peer: &str) -> Result<Known, Refused> {
    let loaded = loaded::load(file, &of.surroundings)?;
    let Enrolled { peer, parameters } =
        enrolment::enrolled(loaded.policy.inbound.as_ref(), peer).map_err(Refused::Peer)?;
    Ok(Known {
        seeds: peer.totp_seeds.clone(),
        parameters,
    })
}

fn variable(of: &Of, name: &str) -> Result<Secret<String>, Refused> {
    let environment = of.surroundings.environment().ok_or(NotLoaded::Variable)?;
    let value = environment.variables.get(name);
    value
        .map(|value| Secret::new(value.clone()))
        .ok_or_else(|| Refused::Unset(name.to_owned()))
}

impl Coding {
    pub(super) fn parameters(&self, window_steps: u8) -> Result<CodeParameters, Refused> {
        CodeParameters::new(
            self.algorithm.into(),
            self.digits.into(),
            self.period,
            window_steps,
        )
        .map_err(Refused::Parameters)
    }
}
