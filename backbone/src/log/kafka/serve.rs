//! The thread of a group's member: makes its client, serves it, makes it anew when credentials change, and leaves the
//! group at the end.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use tracing::warn;

use super::{Shared, errors::KafkaOpenError};

/// How long a client's thread waits for events at once: also how soon it notices that its member has left.
const POLL: Duration = Duration::from_millis(50);

/// After a client could not be made or failed for good, the next one waits so long.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

/// A member as its thread sees it.
pub(super) trait Served: Send + Sync + 'static {
    type Context: ConsumerContext + 'static;

    /// Makes a client that is on its way into the group.
    fn connect(self: Arc<Self>, shared: &Shared) -> Result<Arc<BaseConsumer<Self::Context>>, KafkaOpenError>;

    /// Serves the client until it is to end, and leaves nothing behind that holds it.
    fn serve(
        &self,
        shared: &Shared,
        consumer: &Arc<BaseConsumer<Self::Context>>,
        poll: Duration,
        is_to_end: &dyn Fn() -> bool,
    );

    /// Whether nobody needs this member any more.
    fn has_left(&self) -> bool;

    /// Notes that no client can be made for now.
    fn failed(&self, error: &KafkaOpenError);
}

/// Starts the thread. The log waits for it when it is closed, so that the member has left its group by then.
pub(super) fn spawn<S: Served>(shared: &Arc<Shared>, member: Arc<S>, name: &str) -> io::Result<()> {
    let serving = shared.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(&serving, &member))?;
    shared.keep_thread(thread);
    Ok(())
}

fn run<S: Served>(shared: &Shared, member: &Arc<S>) {
    let is_over = || shared.is_closed() || member.has_left();
    while !is_over() {
        let generation = shared.generation();
        match member.clone().connect(shared) {
            Ok(consumer) => {
                member.serve(shared, &consumer, POLL, &|| is_over() || shared.generation() != generation);
                // Leaves the group; may wait for the brokers.
                drop(consumer);
            }
            Err(error) => {
                warn!(error = crate::telemetry::chain(&error), "no client for a consumer group can be made");
                member.failed(&error);
                pause(&is_over);
            }
        }
    }
}

fn pause(is_over: &dyn Fn() -> bool) {
    let until = Instant::now() + CONNECT_AGAIN;
    while Instant::now() < until && !is_over() {
        thread::sleep(POLL);
    }
}
