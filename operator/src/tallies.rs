//! Asks the tally of each platform how its votes stand, for people who look at status. Nothing is decided by it: where a
//! tally does not answer, what it said last stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use kube::core::DynamicObject;
use pnyx_backbone::telemetry;
use pnyx_core::{id::ProposalId, lifecycle::Phase};
use pnyx_crds::conditions::platform::TALLY_READY;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::{
    build,
    kinds::{ObjectKey, Primary},
    observe::{Caches, Standing},
    status,
};

/// Between two questions: one write a minute and proposal is what the API server is asked to bear.
const ASK_INTERVAL: Duration = Duration::from_secs(60);

/// Longest that one answer may take: a tally answers from memory.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Tallies that are asked at the same time.
const TALLIES_AT_ONCE: usize = 4;

/// In which phases a vote is asked about: before them there is nothing to say, and after them its result says it.
const PHASES: [Phase; 4] = [Phase::Open, Phase::Closed, Phase::Draining, Phase::Recounting];

/// Votes in one answer.
const PAGE_ENTRIES: usize = 100;

/// Most answers for one phase: 10,000 votes that are open at once. What is beyond is not asked about.
const PAGES_MAX: usize = 100;

/// Longest answer, in bytes: each entry's texts at their longest are 40 kB.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Asks tallies.
#[derive(Debug)]
pub(crate) struct Tallies {
    caches: Caches,
    http: Client,
    /// Whose last question had no answer: said once.
    silent: Mutex<BTreeSet<ObjectKey>>,
}

/// Why a tally did not say how votes stand.
#[derive(Debug, Error)]
enum AskError {
    #[error("{0} is no address")]
    Address(String),
    #[error("it does not answer")]
    Request(#[from] reqwest::Error),
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("its answer is not what this version of the operator reads")]
    Json(#[from] serde_json::Error),
}

/// A page of `GET /v1/proposals`, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    proposals: Vec<Listed>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    ballots: u64,
    total_power: String,
    scores: Vec<String>,
    rebuilding: bool,
}

impl Tallies {
    /// Asks those of the platforms in the caches, and puts what they say there.
    ///
    /// # Errors
    /// The client cannot be made.
    pub(crate) fn new(caches: Caches) -> Result<Self, reqwest::Error> {
        // They are named by Services of this cluster: nobody stands between.
        let http = Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().redirect(redirect::Policy::none()).build()?;
        Ok(Self { caches, http, silent: Mutex::default() })
    }

    /// Again and again, until it is dropped.
    pub(crate) async fn ask_on(&self) {
        let mut ticks = interval(ASK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let platforms: Vec<_> = self.caches.all(Primary::Platform).iter().filter_map(|it| platform(it)).collect();
            let there: Vec<ObjectKey> = platforms.iter().map(|(key, _)| key.clone()).collect();
            self.caches.standings.retain(&there);
            let ready = platforms.into_iter().filter(|(_, is_ready)| *is_ready);
            stream::iter(ready).for_each_concurrent(TALLIES_AT_ONCE, |(key, _)| self.ask(key)).await;
        }
    }

    async fn ask(&self, platform: ObjectKey) {
        let answer = self.standings(&build::tally_address(&platform)).await;
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(standings) => {
                if silent.remove(&platform) {
                    info!(%platform, "the tally says again how votes stand");
                }
                self.caches.standings.set(platform, standings);
            }
            Err(error) => {
                if silent.insert(platform.clone()) {
                    let error = telemetry::chain(&error);
                    warn!(%platform, error, "the tally does not say how votes stand: status shows what it said last");
                }
            }
        }
    }

    async fn standings(&self, address: &str) -> Result<BTreeMap<ProposalId, Standing>, AskError> {
        let mut standings = BTreeMap::new();
        for phase in PHASES {
            let mut cursor = String::new();
            for _ in 0..PAGES_MAX {
                let page = self.page(address, phase, &cursor).await?;
                standings.extend(page.proposals.into_iter().filter_map(standing));
                match page.next_cursor {
                    Some(next) => cursor = next,
                    None => break,
                }
            }
        }
        Ok(standings)
    }

    async fn page(&self, address: &str, phase: Phase, cursor: &str) -> Result<Page, AskError> {
        let proposals = format!("{address}/v1/proposals");
        let mut url = Url::parse(&proposals).ok().ok_or(AskError::Address(proposals))?;
        url.query_pairs_mut().append_pair("phase", phase.name()).append_pair("limit", &PAGE_ENTRIES.to_string());
        if !cursor.is_empty() {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let mut answer = self.http.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(AskError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Which platform it is, and whether its tally can be asked.
fn platform(object: &DynamicObject) -> Option<(ObjectKey, bool)> {
    let metadata = &object.metadata;
    let key = ObjectKey::new(metadata.namespace.clone()?, metadata.name.clone()?);
    let conditions = status::conditions_of(object);
    Some((key, conditions.iter().any(|it| it.type_ == TALLY_READY && it.status == "True")))
}

/// Of one whose figures lack something nothing is said.
fn standing(listed: Listed) -> Option<(ProposalId, Standing)> {
    let Listed { id, ballots, total_power, scores, rebuilding } = listed;
    let standing = Standing::new(ballots, total_power, &scores).ok().filter(|_| !rebuilding)?;
    Some((id.parse().ok()?, standing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tally_answers_can_be_read() {
        let answered = include_str!("../../tally/tests/golden/proposals.json");
        let page: Page = serde_json::from_str(answered).expect("an answer of the tally's own tests");
        assert_eq!(page.next_cursor, None);
        let standings: Vec<Standing> = page.proposals.into_iter().filter_map(standing).map(|(_, it)| it).collect();
        assert_eq!((standings.len(), standings[0].leaders()), (1, &[0][..]));
    }
}
