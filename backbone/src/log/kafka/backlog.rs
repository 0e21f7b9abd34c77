//! The bound on what waits for its acknowledgement: reserved before it is sent, released when it is known.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::metrics::KafkaMetrics;

/// Most records that wait at once: seconds of work for a cluster that is well.
pub(super) const QUEUE_RECORDS_MAX: usize = 65_536;

/// Most bytes that wait at once: bounds the memory while the cluster is away, and holds any batch a component sends.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What waits now.
#[derive(Debug)]
pub(super) struct Backlog {
    records: AtomicUsize,
    bytes: AtomicUsize,
    metrics: KafkaMetrics,
}

/// Room for records; dropping it gives the room back.
#[derive(Debug)]
pub(super) struct Reservation {
    backlog: Arc<Backlog>,
    records: usize,
    bytes: usize,
}

impl Backlog {
    pub(super) const fn new(metrics: KafkaMetrics) -> Self {
        Self { records: AtomicUsize::new(0), bytes: AtomicUsize::new(0), metrics }
    }

    /// Room for all of it; `None` if there is not enough.
    pub(super) fn reserve(self: &Arc<Self>, records: usize, bytes: usize) -> Option<Reservation> {
        let records_before = self.records.fetch_add(records, Ordering::AcqRel);
        let bytes_before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let reservation = Reservation { backlog: self.clone(), records, bytes };
        self.metrics.queued_records.inc_by(signed(records));
        self.metrics.queued_bytes.inc_by(signed(bytes));
        let fits = records_before.saturating_add(records) <= QUEUE_RECORDS_MAX
            && bytes_before.saturating_add(bytes) <= QUEUE_BYTES_MAX;
        fits.then_some(reservation)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.backlog.records.fetch_sub(self.records, Ordering::AcqRel);
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.backlog.metrics.queued_records.dec_by(signed(self.records));
        self.backlog.metrics.queued_bytes.dec_by(signed(self.bytes));
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_given_back_whole() {
        let backlog = Arc::new(Backlog::new(KafkaMetrics::new()));
        let batch = backlog.reserve(2, 20).expect("there is room");
        let one = backlog.reserve(1, 10).expect("there is room");
        assert!(backlog.reserve(QUEUE_RECORDS_MAX - 2, 0).is_none(), "one too many");
        assert!(backlog.reserve(QUEUE_RECORDS_MAX - 3, QUEUE_BYTES_MAX - 30).is_some());
        drop(batch);
        assert_eq!(backlog.records.load(Ordering::Relaxed), 1);
        drop(one);
        assert_eq!((backlog.records.load(Ordering::Relaxed), backlog.bytes.load(Ordering::Relaxed)), (0, 0));
        assert!(backlog.reserve(QUEUE_RECORDS_MAX, QUEUE_BYTES_MAX).is_some());
    }
}
