//! The same requests, sent by a client that does nothing else: the node's own limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use pnyx_chains::CONCURRENCY_DEFAULT;

use crate::{Cores, Result, ballots::Question, node::Node, pin};

/// Requests, ready to be sent.
#[derive(Clone)]
pub(crate) struct Calls {
    bodies: Arc<Vec<Vec<u8>>>,
}

impl Calls {
    pub(crate) fn from_bodies(bodies: Vec<Vec<u8>>) -> Self {
        Self { bodies: Arc::new(bodies) }
    }

    /// A call for each check, made directly.
    pub(crate) fn single(node: &Node, questions: &[Question]) -> Self {
        let block = node.block();
        let bodies = questions.iter().map(|question| {
            let (safe, data) = (question.safe, question.calldata());
            let call = format!(r#"{{"to":"{safe}","data":"{data}"}},{block}"#);
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{call}]}}"#).into_bytes()
        });
        Self::from_bodies(bodies.collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Sends all of them, as many at once as an endpoint gets by default; how long that took.
    pub(crate) async fn send(&self, url: &str) -> Result<Duration> {
        let client = reqwest::Client::builder().tcp_nodelay(true).build()?;
        let started = Instant::now();
        let sent = stream::iter(self.bodies.iter().cloned()).map(|body| {
            let request = client.post(url).header("content-type", "application/json").body(body);
            async move {
                let answer = request.send().await?.error_for_status()?.bytes().await?;
                let is_result = answer.windows(8).any(|bytes| bytes == b"\"result\"");
                if is_result { Ok(()) } else { Err(String::from_utf8_lossy(&answer).into_owned().into()) }
            }
        });
        let outcomes: Vec<Result<()>> = sent.buffer_unordered(CONCURRENCY_DEFAULT.get()).collect().await;
        outcomes.into_iter().collect::<Result<()>>()?;
        Ok(started.elapsed())
    }
}

/// Keeps the node as busy as it can be, from the node's core.
pub(crate) struct Busy {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<std::result::Result<(), String>>,
}

impl Busy {
    pub(crate) fn start(calls: &Calls, node: &Node, cores: Cores) -> Result<Self> {
        let (calls, url, is_over) = (calls.clone(), node.url(), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let send = || -> Result<()> {
                pin(cores.node)?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                while !ends.load(Ordering::Relaxed) {
                    runtime.block_on(calls.send(&url))?;
                }
                Ok(())
            };
            send().map_err(|error| error.to_string())
        });
        Ok(Self { is_over, thread })
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        Ok(self.thread.join().expect("the thread does not panic")?)
    }
}
