//! Asking an endpoint what look-ups need of it, to know how it does before anybody waits for it.
//!
//! A probe goes the way of every request: within the endpoint's limits, and not at all while it is left alone or left
//! out. What it fails at is in the chain's status afterwards, as with any other. It asks one endpoint and compares nothing,
//! so that it never says anything about a chain.

use pnyx_core::{chain::Pin, id::Voter, proposal::ChainRead};
use serde_json::value::RawValue;

use crate::{
    aggregate::{self, LookUp},
    chain::Chain,
    config::EndpointName,
    endpoint::Endpoint,
    failure::Failure,
    rpc::{self, Request},
};

/// Whose balance is read: that of the zero address, which every state has or has not.
const ANYBODY: Voter = Voter::new([0; 20]);

/// What an endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Whether it executes a call at the pin, with the gas that the rules fix.
    State(Pin),
    /// Whether it knows a finalized block, which is what pins are made of.
    Finalized,
}

/// An endpoint of a chain, for whoever watches it.
#[derive(Debug, Clone)]
pub struct Probed {
    chain: Chain,
    index: usize,
}

impl Chain {
    /// Its endpoints, as configured.
    pub fn probed(&self) -> Vec<Probed> {
        (0..self.inner.endpoints().len()).map(|index| Probed { chain: self.clone(), index }).collect()
    }
}

impl Probed {
    /// The endpoint's name.
    pub fn name(&self) -> &EndpointName {
        self.endpoint().name()
    }

    /// Asks it. May take as long as a request may, and waiting for a place among requests in flight as long again.
    pub async fn ask(&self, probe: Probe) -> Result<(), Failure> {
        match probe {
            Probe::State(pin) => {
                let request = aggregate::alone(LookUp::Read(&ChainRead::EthBalance), ANYBODY, &pin);
                let read = |value: &RawValue| match aggregate::read_alone(&rpc::bytes(value)?, &pin) {
                    // Only voters who need all of that gas wait for it, so too little of it is no failure here.
                    Err(clamped @ Failure::GasClamped { .. }) => Ok(Err(clamped)),
                    answer => answer.map(|_| Ok(())),
                };
                self.endpoint().call(&request, read).await?
            }
            Probe::Finalized => {
                let read = |value: &RawValue| rpc::block(value)?.ok_or(Failure::Malformed("no finalized block"));
                self.endpoint().call(&Request::finalized_block(), read).await.map(|_| ())
            }
        }
    }

    fn endpoint(&self) -> &Endpoint {
        &self.chain.inner.endpoints()[self.index]
    }
}
