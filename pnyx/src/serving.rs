//! A process's listener: health from the first moment on, its API once that is ready, and an end within bounds.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    serve::IncomingStream,
};
use pnyx_backbone::{
    health::{Check, Health},
    log::Log,
    shutdown::Shutdown,
    telemetry,
};
use pnyx_tally::api::{STALL_MAX_DEFAULT, StallBound};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How long requests may go on after a shutdown was requested: a slow body (5 s) and its append (2 s) fit. Streams end by
/// themselves, but a reader that takes nothing would keep its connection open.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(8);

/// How often readiness looks at the log: a balancer asks about as often.
const LOG_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A bound address that answers from the first moment on.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    api: Api,
}

/// What is served beside health, once there is something to serve. One listener from the start to the end, so that no
/// connection is dropped when the process becomes ready.
#[derive(Debug, Clone, Default)]
struct Api(Arc<OnceLock<Router>>);

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, StallBound<TcpListener>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, StallBound<TcpListener>>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Listener {
    /// Binds the address, so that a port in use is known before anything else is begun, and answers for health, and
    /// everything else with 503, until [`Self::serve`]. After a shutdown requests in flight are finished.
    pub(crate) async fn bind(address: SocketAddr, health: &Health, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("listening on {address}: is another process there? --listen chooses another address")
        })?;
        let address = listener.local_addr().context("reading the address")?;
        let api = Api::default();
        let listening = health.check("listener");
        let router = Router::new().fallback(Api::answer).with_state(api.clone()).merge(health.router());
        let answering = answer(listener, router, shutdown.clone());
        shutdown.spawn("http", async move {
            listening.set_ready();
            let answered = answering.await;
            drop(listening);
            answered
        });
        Ok(Self { address, api })
    }

    /// What was bound, as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers all requests from now on. `starting` is what held back readiness until now.
    pub(crate) fn serve(self, router: Router, starting: Check) {
        // A listener is served once, because serving takes it.
        let _ = self.api.0.set(router);
        drop(starting);
    }
}

impl Api {
    async fn answer(State(api): State<Self>, ConnectInfo(peer): ConnectInfo<Peer>, mut request: Request) -> Response {
        let Some(router) = api.0.get() else { return still_starting() };
        request.extensions_mut().insert(ConnectInfo(peer.0));
        match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Answers until the shutdown, then for a bounded time those that are in flight.
async fn answer(listener: TcpListener, router: Router, shutdown: Shutdown) -> std::io::Result<()> {
    let graceful = CancellationToken::new();
    let given_up = async {
        shutdown.requested().await;
        graceful.cancel();
        tokio::time::sleep(REQUESTS_END_WITHIN).await;
    };
    let listener = StallBound::new(listener, STALL_MAX_DEFAULT);
    let service = router.into_make_service_with_connect_info::<Peer>();
    let served = axum::serve(listener, service).with_graceful_shutdown(graceful.clone().cancelled_owned());
    tokio::select! {
        served = served => served,
        () = given_up => Ok(()),
    }
}

fn still_starting() -> Response {
    let body = r#"{"error":"server_error","error_description":"starting","detail":"nothing was stored; try again"}"#;
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json"), (header::RETRY_AFTER, "1")], body)
        .into_response()
}

/// Readiness follows whether the log still takes writes, which after a failed one it does not until a restart, and
/// whether it dates them rightly. A process on Kafka that can never write again ends, so that another takes its place; on
/// the embedded log it stays, because it is the only one that can still be read from.
///
/// Whether the log can be reached at the moment does not matter: that is the same for all processes, and each answers
/// better for it than a balancer without any.
pub(crate) fn watch_log(log: &Log, health: &Health, shutdown: &Shutdown) {
    let (log, check, stop) = (log.clone(), health.check("log"), shutdown.clone());
    shutdown.spawn("log-health", async move {
        while !stop.is_requested() {
            if !log.is_writable() {
                match &log {
                    Log::Embedded(log) => {
                        let cause =
                            log.failure().map_or_else(|| "it is closed".to_owned(), |cause| telemetry::chain(&*cause));
                        check.set_not_ready(format!(
                            "the log takes no more writes: free space or mend the disk, then start again ({cause})"
                        ));
                    }
                    Log::Kafka(_) => return Err(UnwritableLog),
                }
            } else if let Some(ahead) = log.clock_ahead() {
                check.set_not_ready(format!(
                    "append times are {} s ahead of the clock, so ballots may count as late: set the clock if it is \
                     behind; if it was ahead, wait until it has caught up or restore the data from a copy made before",
                    ahead.as_secs()
                ));
            } else {
                check.set_ready();
            }
            tokio::select! {
                () = stop.requested() => {}
                () = tokio::time::sleep(LOG_CHECK_INTERVAL) => {}
            }
        }
        Ok(())
    });
}

/// The log takes nothing more from this process.
#[derive(Debug, thiserror::Error)]
#[error("the log takes no more writes from this process; the log lines before say why")]
struct UnwritableLog;
