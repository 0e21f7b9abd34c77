//! The thread that looks after the clients: serves those for questions, exchanges a producer that has failed, and all
//! of them when the files with credentials change.

use std::{
    fs, io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use tracing::{info, warn};

use super::{Shared, open};

/// How long clients are served at once: also how soon a producer that has failed is noticed.
const SERVE: Duration = Duration::from_millis(100);

/// How often files with credentials are looked at.
const FILES_INTERVAL: Duration = Duration::from_secs(2);

/// Between two producers that take the place of one that failed.
const REPLACE_PAUSE: Duration = Duration::from_secs(1);

/// First pause between two looks whether a new client does better than one that only fails: a look takes seconds of this
/// thread while no broker answers, and an exchange costs all clients their connections.
const STUCK_PAUSE_MIN: Duration = Duration::from_secs(15);

/// Longest: where new clients soon fail as well, such as at a partition without a leader, exchanging them helps nobody.
const STUCK_PAUSE_MAX: Duration = Duration::from_secs(600);

/// Starts the thread; it ends with the log.
pub(super) fn spawn(shared: &Arc<Shared>) -> io::Result<()> {
    let watched = shared.clone();
    let thread = thread::Builder::new().name("kafka-watch".to_owned()).spawn(move || run(&watched))?;
    shared.keep_thread(thread);
    Ok(())
}

fn run(shared: &Shared) {
    let paths = shared.settings.files();
    let mut seen = state_of(&paths);
    let mut files_at = Instant::now() + FILES_INTERVAL;
    let mut replace_at = Instant::now();
    let (mut stuck_at, mut stuck_pause) = (Instant::now(), STUCK_PAUSE_MIN);
    while !shared.is_closed() {
        shared.serve_questions(SERVE);
        let now = Instant::now();
        if now >= replace_at && shared.producer.has_failed() && shared.producer.state().is_writable() {
            // If it stays, it is tried again after the pause.
            let _ = shared.producer.replace("the old one failed for good");
            replace_at = Instant::now() + REPLACE_PAUSE;
        }
        if now >= stuck_at && (shared.unanswered.is_stuck() || shared.producer.state().unacknowledged.is_stuck()) {
            exchange_stuck(shared);
            stuck_at = Instant::now() + stuck_pause;
            stuck_pause = stuck_pause.saturating_mul(2).min(STUCK_PAUSE_MAX);
        } else if now >= stuck_at + STUCK_PAUSE_MAX {
            stuck_pause = STUCK_PAUSE_MIN;
        }
        if now >= files_at && !paths.is_empty() {
            let current = state_of(&paths);
            if current != seen && exchange(shared) {
                seen = current;
            }
            files_at = Instant::now() + FILES_INTERVAL;
        }
    }
}

/// Exchanges clients that only fail, if a new one reaches the brokers: else all that is amiss is the brokers.
fn exchange_stuck(shared: &Shared) {
    let Ok(cluster) = open::connect(&shared.settings, &shared.question_events) else { return };
    if shared.unanswered.is_stuck() {
        warn!(
            "questions to the log only failed for a while, and a new client reaches the brokers; new clients take over"
        );
        shared.replace_consumers(cluster);
        shared.metrics.clients_replaced.inc();
    }
    if shared.producer.state().unacknowledged.is_stuck() {
        shared.producer.state().unacknowledged.forget();
        // If it stays, it is tried again once records have failed for as long again.
        let _ = shared.producer.replace("nothing was acknowledged while the brokers answer");
    }
}

/// `false` if the new credentials do not work, or not yet: then what works stays.
fn exchange(shared: &Shared) -> bool {
    match open::connect(&shared.settings, &shared.question_events) {
        Ok(cluster) => {
            info!("files with credentials have changed; new clients take over");
            shared.replace_consumers(cluster);
            shared.producer.replace("credentials have changed")
        }
        Err(error) => {
            warn!(error = crate::telemetry::chain(&error), "changed credentials do not work; tried again");
            false
        }
    }
}

/// Changes when a file does. Whoever exchanges files by a link is seen too.
fn state_of(paths: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    paths
        .iter()
        .map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
        .collect()
}
