//! How long reads take, measured from a thread of its own.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use super::http;

/// Pause between two reads.
const PAUSE: Duration = Duration::from_millis(5);

/// Times of reads that succeeded, in order of size.
pub(crate) struct Reads {
    times: Vec<Duration>,
}

impl Reads {
    /// Reads for a while, one after the other over one connection; every read must succeed.
    pub(crate) fn measure(url: String, period: Duration) -> thread::JoinHandle<Self> {
        thread::spawn(move || {
            // Of its own, so that it does not wait for what else the test does.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = http::client();
                let (began, mut times) = (Instant::now(), Vec::new());
                while began.elapsed() < period {
                    let start = Instant::now();
                    let answer = http::send(client.get(&url)).await.expect("reads go on");
                    assert!(answer.is_success(), "{answer:?}");
                    times.push(start.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
                times.sort();
                Self { times }
            })
        })
    }

    /// Of 100 reads 99 took no longer.
    pub(crate) fn p99(&self) -> Duration {
        self.at(99)
    }

    fn at(&self, percent: usize) -> Duration {
        let last = self.times.len().checked_sub(1).expect("something was read");
        self.times[last * percent / 100]
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99, most) = (self.at(50), self.p99(), self.at(100));
        write!(f, "{} reads, p50 {p50:.1?}, p99 {p99:.1?}, max {most:.1?}", self.times.len())
    }
}
