//! Signs receipts: all ballots that were acknowledged while the last signature was made share the next one.

use std::sync::Arc;

use pnyx_backbone::shutdown::Shutdown;
use pnyx_core::receipt::{Receipt, SignedReceipt, sign_receipts};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task,
};

use crate::{config::RECEIPTS_TOGETHER_MAX, key::PlatformKey, metrics::IngestMetrics};

/// A receipt to sign and who waits for it.
type Request = (Receipt, oneshot::Sender<SignedReceipt>);

/// Hands receipts to the task that signs.
#[derive(Debug)]
pub(crate) struct ReceiptSigner {
    requests: mpsc::Sender<Request>,
}

impl ReceiptSigner {
    /// Starts the task. It ends after the shutdown, once no request is in flight.
    pub(crate) fn start(
        key: PlatformKey,
        in_flight_max: usize,
        in_flight: &Arc<Semaphore>,
        metrics: &IngestMetrics,
        shutdown: &Shutdown,
    ) -> Self {
        let (requests, receiver) = mpsc::channel(in_flight_max);
        let in_flight = Arc::clone(in_flight);
        let (metrics, requested) = (metrics.clone(), shutdown.clone());
        shutdown.spawn("receipt signer", async move {
            let idle = async {
                requested.requested().await;
                let all = u32::try_from(in_flight_max).expect("far fewer requests than 2^32 are in flight");
                let _ = in_flight.acquire_many(all).await;
            };
            tokio::select! {
                () = sign_all(&key, receiver, &metrics) => {}
                () = idle => {}
            }
        });
        Self { requests }
    }

    /// The signed receipt; `None` if the task has ended.
    pub(crate) async fn sign(&self, receipt: Receipt) -> Option<SignedReceipt> {
        let (sender, signed) = oneshot::channel();
        self.requests.send((receipt, sender)).await.ok()?;
        signed.await.ok()
    }
}

async fn sign_all(key: &PlatformKey, mut requests: mpsc::Receiver<Request>, metrics: &IngestMetrics) {
    let mut together = Vec::with_capacity(RECEIPTS_TOGETHER_MAX);
    while let Some(first) = requests.recv().await {
        together.push(first);
        // The log acknowledges many records at once and wakes their requests one after the other: those that are awake
        // get here first, or nearly each would have a signature of its own, which costs more than all else done for it.
        task::yield_now().await;
        while together.len() < RECEIPTS_TOGETHER_MAX
            && let Ok(next) = requests.try_recv()
        {
            together.push(next);
        }
        let (receipts, waiting): (Vec<_>, Vec<_>) = together.drain(..).unzip();
        metrics.receipts_per_signature.observe(f64::from(u32::try_from(receipts.len()).unwrap_or(u32::MAX)));
        for (signed, waiting) in sign_receipts(&receipts, key.signing_key()).into_iter().zip(waiting) {
            // A client that has gone needs no receipt.
            let _ = waiting.send(signed);
        }
    }
}
