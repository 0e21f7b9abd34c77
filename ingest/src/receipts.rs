//! Signs receipts: all ballots that were acknowledged while the last signature was made share the next one.
//!
//! There is no task that only signs. Whoever comes while nobody does signs, for itself and for those who came meanwhile: a
//! lone ballot then waits for no other thread to wake up, which costs more than a signature. Only where ballots keep coming
//! does a task of its own go on, so that no request works longer than for its own batch.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pnyx_core::receipt::{Receipt, SignedReceipt, sign_receipts};
use tokio::{runtime::Handle, sync::oneshot, task};

use crate::{config::RECEIPTS_TOGETHER_MAX, key::PlatformKey, metrics::IngestMetrics};

/// A receipt to sign and who waits for it.
type Request = (Receipt, oneshot::Sender<SignedReceipt>);

/// Signs receipts together. Clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct ReceiptSigner {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    key: PlatformKey,
    metrics: IngestMetrics,
    queue: Mutex<Queue>,
}

/// No longer than there are requests in flight.
#[derive(Debug, Default)]
struct Queue {
    requests: VecDeque<Request>,
    /// Somebody signs, or is about to, and looks at the queue again before it stops.
    is_served: bool,
}

impl ReceiptSigner {
    pub(crate) fn new(key: PlatformKey, metrics: &IngestMetrics) -> Self {
        let inner = Inner { key, metrics: metrics.clone(), queue: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The signed receipt; `None` if the process ends.
    pub(crate) async fn sign(&self, receipt: Receipt) -> Option<SignedReceipt> {
        let (sender, signed) = oneshot::channel();
        if let Some(mut turn) = self.join((receipt, sender)) {
            turn.sign_next().await;
        }
        signed.await.ok()
    }

    /// Waits in the queue; gives the turn to sign if nobody has it.
    fn join(&self, request: Request) -> Option<Turn> {
        let mut queue = self.lock();
        queue.requests.push_back(request);
        let is_served = std::mem::replace(&mut queue.is_served, true);
        drop(queue);
        (!is_served).then(|| Turn { signer: self.clone(), state: TurnState::Begun })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who signs now. It ends with the queue being empty or with somebody else's turn, also where a client goes away in the
/// middle of its own.
struct Turn {
    signer: ReceiptSigner,
    state: TurnState,
}

/// How far a turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnState {
    /// A task was started for it, which has not run yet.
    Spawned,
    /// Somebody works on it.
    Begun,
}

impl Turn {
    async fn sign_next(&mut self) {
        self.state = TurnState::Begun;
        // The log acknowledges many records at once and wakes their requests one after the other: those that are awake
        // get here first, or nearly each would have a signature of its own, which costs more than all else done for it.
        task::yield_now().await;
        let together: Vec<Request> = {
            let mut queue = self.signer.lock();
            let count = queue.requests.len().min(RECEIPTS_TOGETHER_MAX);
            queue.requests.drain(..count).collect()
        };
        if together.is_empty() {
            return;
        }
        let Inner { key, metrics, .. } = &*self.signer.inner;
        let (receipts, waiting): (Vec<_>, Vec<_>) = together.into_iter().unzip();
        metrics.receipts_per_signature.observe(f64::from(u32::try_from(receipts.len()).unwrap_or(u32::MAX)));
        for (signed, waiting) in sign_receipts(&receipts, key.signing_key()).into_iter().zip(waiting) {
            // A client that has gone needs no receipt.
            let _ = waiting.send(signed);
        }
    }

    /// Whether somebody still waits. If not, the next who comes has the turn.
    fn goes_on(&self) -> bool {
        let mut queue = self.signer.lock();
        queue.is_served = !queue.requests.is_empty();
        queue.is_served
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.goes_on() {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) if self.state == TurnState::Begun => {
                let mut next = Self { signer: self.signer.clone(), state: TurnState::Spawned };
                drop(runtime.spawn(async move { next.sign_next().await }));
            }
            // A runtime that ends takes tasks and drops them at once; with it end all who wait.
            Ok(_) | Err(_) => {
                let mut queue = self.signer.lock();
                queue.requests.clear();
                queue.is_served = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future as _,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use pnyx_core::{
        id::{Digest, Place, ProposalId, RecordHash},
        time::TimestampMs,
    };
    use prometheus_client::registry::Registry;

    use super::*;

    fn signer() -> ReceiptSigner {
        let folder = tempfile::tempdir().unwrap();
        let key = PlatformKey::load_or_create(folder.path()).unwrap();
        ReceiptSigner::new(key, &IngestMetrics::register(&mut Registry::default()))
    }

    fn receipt(offset: u64) -> Receipt {
        Receipt {
            proposal: ProposalId::new([1; 32]),
            digest: Digest::new([2; 32]),
            record: RecordHash::of(&offset.to_be_bytes()),
            place: Place { partition: 0, offset },
            appended_at: TimestampMs(1_796_000_000_000),
        }
    }

    #[tokio::test]
    async fn a_lone_receipt_is_signed_and_the_next_one_too() {
        let signer = signer();
        for offset in 0..3 {
            let signed = signer.sign(receipt(offset)).await.unwrap();
            assert_eq!((signed.receipt, signed.path.size), (receipt(offset), 1));
            signed.verify().unwrap();
        }
    }

    #[tokio::test]
    async fn those_who_come_together_share_a_signature_up_to_a_bound() {
        let signer = signer();
        let count = RECEIPTS_TOGETHER_MAX as u64 + 3;
        let all = (0..count).map(|offset| {
            let signer = signer.clone();
            async move { signer.sign(receipt(offset)).await.unwrap() }
        });
        let signed = futures_util::future::join_all(all).await;
        let sizes: std::collections::BTreeSet<_> = signed.iter().map(|signed| signed.path.size).collect();
        assert_eq!(sizes, [3, RECEIPTS_TOGETHER_MAX as u64].into());
        for (offset, signed) in (0..).zip(&signed) {
            assert_eq!(signed.receipt, receipt(offset));
            signed.verify().unwrap();
        }
        assert!(!signer.lock().is_served);
    }

    #[test]
    fn a_runtime_that_ends_takes_those_who_wait_along() {
        let signer = signer();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for offset in 0..3 {
                let signer = signer.clone();
                drop(tokio::spawn(async move { signer.sign(receipt(offset)).await }));
            }
            // One has its turn and waits for others, two are in the queue.
            task::yield_now().await;
        });
        assert!(signer.lock().is_served);
        drop(runtime);
        let queue = signer.lock();
        assert!(queue.requests.is_empty() && !queue.is_served);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_in_its_turn_leaves_nobody_waiting() {
        let signer = signer();
        {
            let mut gone = pin!(signer.sign(receipt(0)));
            assert!(matches!(gone.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        }
        assert_eq!(signer.sign(receipt(1)).await.unwrap().receipt, receipt(1));
    }
}
