//! One address in front of edges and read API, as an ingress gives them: ballots and keys to the one, the rest to the
//! other, in turn to those that say that they are ready. For clients that know one URL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};

use super::http;

/// Largest request that is passed on: above the largest ballot, so that the edge refuses what is too large.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Headers that belong to the answer as the processes gave it.
const KEPT: [&str; 4] = ["content-type", "retry-after", "cache-control", "etag"];

/// How often readiness is asked for: below the pause that a process which ends leaves for it.
const READINESS_INTERVAL: Duration = Duration::from_millis(200);

/// Processes of one kind.
struct Behind {
    urls: Vec<String>,
    is_ready: Vec<AtomicBool>,
    next: AtomicUsize,
}

struct Front {
    edges: Behind,
    reads: Behind,
    client: reqwest::Client,
}

/// Serves until the test's process ends; gives the base URL.
pub(crate) fn start(edges: Vec<String>, reads: Vec<String>) -> String {
    let front = Arc::new(Front { edges: Behind::new(edges), reads: Behind::new(reads), client: http::client() });
    let router = Router::new().fallback(forward).with_state(Arc::clone(&front));
    let listener = http::block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    http::spawn(async move { axum::serve(listener, router).await.unwrap() });
    http::spawn(async move {
        loop {
            front.edges.look(&front.client).await;
            front.reads.look(&front.client).await;
            tokio::time::sleep(READINESS_INTERVAL).await;
        }
    });
    url
}

impl Behind {
    fn new(urls: Vec<String>) -> Self {
        let is_ready = urls.iter().map(|_| AtomicBool::new(true)).collect();
        Self { urls, is_ready, next: AtomicUsize::new(0) }
    }

    async fn look(&self, client: &reqwest::Client) {
        for (url, is_ready) in self.urls.iter().zip(&self.is_ready) {
            let answer = http::send(client.get(format!("{url}/readyz"))).await;
            is_ready.store(answer.is_some_and(|answer| answer.is_success()), Ordering::Relaxed);
        }
    }

    /// The next that is ready; if none is, the next.
    fn choose(&self) -> &str {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let order = (0..self.urls.len()).map(|step| first.wrapping_add(step) % self.urls.len());
        let ready = order.clone().find(|index| self.is_ready[*index].load(Ordering::Relaxed));
        &self.urls[ready.unwrap_or(first % self.urls.len())]
    }
}

async fn forward(State(front): State<Arc<Front>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let is_for_edge = request.method() == Method::POST || path == "/" || path.starts_with("/v1/keys");
    let base = if is_for_edge { front.edges.choose() } else { front.reads.choose() };
    let method = request.method().clone();
    let headers: HeaderMap =
        request.headers().iter().filter(|(name, _)| *name != "host").map(|(n, v)| (n.clone(), v.clone())).collect();
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let request = front.client.request(method, format!("{base}{path}")).headers(headers).body(body);
    let Ok(answer) = request.send().await else { return status(StatusCode::BAD_GATEWAY) };
    let mut response = Response::builder().status(answer.status());
    for name in KEPT {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
