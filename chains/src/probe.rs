//! Asking an endpoint what look-ups need of it, to know how it does before anybody waits for it.
//!
//! A probe goes the way of every request: within the endpoint's limits, and not at all while it is left alone or left
//! out. What it fails at is in the chain's status afterwards, as with any other. It asks one endpoint and compares nothing,
//! so that it never says anything about a chain.

use pnyx_core::{chain::Pin, id::Voter, proposal::ChainRead};
use serde_json::value::RawValue;

use crate::{
    aggregate::{self, Call, LookUp},
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
    /// Whether it executes a call at the pin, with the gas that the rules fix for look-ups.
    State(Pin),
    /// The same with the gas that the rules fix for signatures, which is more.
    Signatures(Pin),
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
                let read =
                    |value: &RawValue| unless_clamped(aggregate::read_alone(&rpc::bytes(value)?, &pin).map(drop));
                self.endpoint().call(&request, read).await?
            }
            Probe::Signatures(pin) => {
                let nothing = Call { to: ANYBODY, input: Vec::new() };
                let request = aggregate::check_prepared(&nothing, &nothing, &pin);
                let read = |value: &RawValue| {
                    unless_clamped(aggregate::read_check_prepared(&rpc::bytes(value)?, &pin).map(drop))
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

/// Too little gas is no failure of the endpoint: only who needs all of it waits for it. Whoever probes is told.
fn unless_clamped(answer: Result<(), Failure>) -> Result<Result<(), Failure>, Failure> {
    match answer {
        Err(clamped @ Failure::GasClamped { .. }) => Ok(Err(clamped)),
        answer => answer.map(Ok),
    }
}
