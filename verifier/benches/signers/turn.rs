//! Records that lie in a log of their own, through the verifier's shards.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pnyx_backbone::{
    log::{DEFERRED_GROUP, EmbeddedLog, Log, LogError, Topic, VERIFIER_GROUP},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_bench_support::cpu_time;
use pnyx_core::{decisions::Decision, id::ProposalId, proposal::Definition};
use pnyx_verifier::VerifierConfig;

use crate::{
    Result,
    ballots::Records,
    node::{Node, PARTITIONS},
};

/// Records that are appended at once while the log is filled.
const APPENDED: usize = 512;

/// How often to look how far the shards are: seldom enough to cost nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long a turn may take before the run is given up.
const TURN_LIMIT: Duration = Duration::from_secs(300);

/// What became of the records.
pub(crate) struct Turn {
    records: usize,
    /// Those that were deferred.
    deferred: u64,
    /// From the start of the shards until all that keys signed had their verdicts, and all others were deferred.
    plain: Duration,
    /// From the first that was deferred until all of them had their verdicts.
    safes: Duration,
    cpu: Duration,
}

impl Turn {
    /// Plain ballots a second.
    pub(crate) fn plain_rate(&self) -> f64 {
        (self.records as f64 - self.deferred as f64) / self.plain.as_secs_f64()
    }

    /// Checks a second.
    pub(crate) fn checks_rate(&self) -> f64 {
        self.deferred as f64 / self.safes.as_secs_f64()
    }

    /// Microseconds of our own processor time for each ballot of any kind.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.records as f64
    }
}

/// Has the records verified; each of them counts.
pub(crate) async fn verify(node: &Node, url: &str, records: &Records) -> Result<Turn> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let log = Log::Embedded(EmbeddedLog::open(folder.path())?);
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(log.clone(), &shutdown).await?;
    let id = node.definition.proposal().id();
    fill(&log, id, records).await?;
    proposals.decide(Decision::Definition(Box::new(Definition::clone(&node.definition)))).await?;
    proposals.decide(Decision::Pins(node.pins())).await?;

    let (config, metrics, chains) = (VerifierConfig::default(), Arc::new(Metrics::new()), node.chains(url)?);
    let (cpu, started) = (cpu_time(), Instant::now());
    let verifier = {
        let (log, proposals, shutdown, metrics) = (log.clone(), proposals.clone(), shutdown.clone(), metrics.clone());
        tokio::spawn(async move { pnyx_verifier::run(config, log, chains, proposals, shutdown, &metrics).await })
    };
    let (mut first_deferred, mut plain) = (None, None);
    let safes = loop {
        let deferred = sum(log.ends(&Topic::deferred(id)).await)?;
        if deferred > 0 {
            first_deferred.get_or_insert_with(|| started.elapsed());
        }
        if sum(log.committed(&Topic::ballots(id), VERIFIER_GROUP).await)? == records.len() as u64 {
            plain.get_or_insert_with(|| started.elapsed());
            // Now it is known how many there are.
            let deferred = sum(log.ends(&Topic::deferred(id)).await)?;
            if sum(log.committed(&Topic::deferred(id), DEFERRED_GROUP).await)? == deferred {
                break started.elapsed() - first_deferred.unwrap_or_default();
            }
        }
        if started.elapsed() > TURN_LIMIT {
            return Err("not verified in time".into());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    let cpu = cpu_time() - cpu;
    let deferred = sum(log.ends(&Topic::deferred(id)).await)?;
    shutdown.trigger();
    verifier.await??;
    let counts = format!("pnyx_verifier_records_total{{ruling=\"counts\"}} {}\n", records.len());
    let all = metrics.encode();
    if !all.contains(&counts) {
        return Err(format!("not all records count:\n{all}").into());
    }
    shutdown.drained(TURN_LIMIT).await?;
    log.close().await;
    Ok(Turn { records: records.len(), deferred, plain: plain.expect("it was seen"), safes, cpu })
}

async fn fill(log: &Log, id: ProposalId, records: &Records) -> Result<()> {
    let ballots = Topic::ballots(id);
    log.ensure_topic(&ballots, PARTITIONS).await?;
    for batch in records.chunks(APPENDED) {
        let batch = batch.iter().zip((0..PARTITIONS).cycle()).map(|(record, to)| (to, record.clone()));
        log.append_batch(&ballots, batch.collect()).await?;
    }
    Ok(())
}

/// Of all partitions; none while shards have yet to make the topic.
fn sum(offsets: std::result::Result<Vec<u64>, LogError>) -> Result<u64> {
    match offsets {
        Ok(offsets) => Ok(offsets.iter().sum()),
        Err(LogError::UnknownTopic { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
