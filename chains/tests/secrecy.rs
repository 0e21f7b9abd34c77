//! Keys in endpoints' URLs: in no log at any level, no error, no debug output, no metric, whatever fails. In a process
//! of its own, because it reads all that the process logs.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

use std::{
    error::Error as _,
    fmt::Write as _,
    io::{self, Read as _, Write},
    net::TcpListener,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use pnyx_chains::{
    ChainConfig, Chains, ChainsConfig, ChainsMetrics, EndpointConfig, EndpointLimits, Failure, SecretUrl,
};
use pnyx_core::{
    chain::{BlockNumber, ChainId, SnapshotRule},
    id::Voter,
    proposal::ChainRead,
};
use pnyx_testbed::evm::{Evm, EvmOptions, Fault, FaultyEndpoint, Pruned};

/// What the process logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server whose errors repeat the keys of its URL, in every form that it could know them in.
struct Repeating {
    url: String,
    canaries: Vec<String>,
}

impl Repeating {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let [user, password, path] = ["canary/user", "canary:password", "canary+path"];
        let basic = format!("{user}:{password}");
        let mut canaries = vec![user.to_owned(), password.to_owned(), path.to_owned(), basic.clone()];
        canaries.extend([STANDARD.encode(&basic), STANDARD.encode(path), URL_SAFE.encode(&basic)]);
        let url = format!("http://canary%2Fuser:canary%3Apassword@{}/v2/canary%2Bpath", listener.local_addr().unwrap());
        let message = canaries.join(" or ");
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32000,"message":"no plan for {message}"}}}}"#);
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                // One read has the whole request, which is short.
                let _read = client.read(&mut [0; 4_096]);
                client.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { url, canaries }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_urls_are_shown_nowhere() {
    let logged = Logged::default();
    let writer = logged.clone();
    tracing_subscriber::fmt().with_env_filter("trace").with_writer(move || writer.clone()).with_ansi(false).init();
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let evm = Evm::start(EvmOptions::new()).unwrap();
    evm.mine(10).unwrap();
    let block = evm.finalized().unwrap();
    let endpoint = FaultyEndpoint::start(&evm).unwrap();
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = ChainsMetrics::register(&mut registry);
    let id = ChainId::new(evm.chain_id()).unwrap();
    let configured = |url: &str| EndpointConfig {
        name: "node".parse().unwrap(),
        url: SecretUrl::parse(url).unwrap(),
        limits: EndpointLimits { request_timeout: Duration::from_secs(1), ..EndpointLimits::default() },
    };
    let mut shown = String::new();
    for fault in [
        None,
        Some(Fault::Dead),
        Some(Fault::Silent),
        Some(Fault::Slow(Duration::from_secs(3))),
        Some(Fault::TooManyRequests { retry_after_s: 1 }),
        Some(Fault::Unavailable),
        Some(Fault::TruncatedJson),
        Some(Fault::CutBody),
        Some(Fault::WrongChainId(5)),
        Some(Fault::OtherHash),
        Some(Fault::PrunedHistory(Pruned::MissingTrieNode)),
    ] {
        endpoint.set(fault.as_slice()).unwrap();
        let config = ChainConfig::new(vec![configured(&endpoint.url())], NonZeroUsize::MIN).unwrap();
        let config = ChainsConfig::new([(id, config)]).unwrap();
        let chains = Chains::new(&config, metrics.clone()).unwrap();
        let chain = chains.get(id).unwrap();
        let pinned = chain.pin(SnapshotRule::Block(BlockNumber(block.number))).await;
        write!(shown, "{config:?} {chains:?} {chain:?} {pinned:?} ").unwrap();
        if let Err(error) = pinned {
            write!(shown, "{error} {:?} ", error.source()).unwrap();
        }
        let pin = pnyx_core::chain::Pin {
            chain: id,
            number: BlockNumber(block.number),
            hash: pnyx_core::chain::BlockHash::new(block.hash.0),
            timestamp_s: block.timestamp_s,
        };
        let read = chain.read_alone(&pin, &ChainRead::EthBalance, Voter::new([1; 20])).await;
        write!(shown, "{read:?} {:?} ", chain.status()).unwrap();
        assert_eq!(fault.is_none(), read.is_ok(), "{fault:?}: {read:?}");
    }
    let repeating = Repeating::start();
    let config = ChainConfig::new(vec![configured(&repeating.url)], NonZeroUsize::MIN).unwrap();
    let chains = Chains::new(&ChainsConfig::new([(id, config)]).unwrap(), metrics.clone()).unwrap();
    let error = chains.get(id).unwrap().pin(SnapshotRule::Block(BlockNumber(1))).await.unwrap_err();
    write!(shown, "{error} {error:?} {:?}", chains.get(id).unwrap().status()).unwrap();
    assert!(shown.contains("no plan for [hidden]"), "{shown}");
    prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
    let logged = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("TRACE") && logged.contains("node"), "everything is logged");
    assert!(shown.contains(Failure::Unreachable("no connection").outcome()));
    assert_eq!(endpoint.canaries().len(), 5);
    for canary in endpoint.canaries().into_iter().chain(repeating.canaries) {
        assert!(!shown.contains(&canary), "{shown}");
        let line = logged.lines().find(|line| line.contains(&canary));
        assert_eq!(line, None);
    }
}
