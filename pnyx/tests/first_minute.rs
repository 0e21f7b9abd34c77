//! A newcomer's first minute: `dev` with the examples open, a ballot that counts, the tally moving on the event stream,
//! a receipt that verifies, a voter without power told so before signing.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use common::{Dev, everything, get_json, pnyx, repository, succeed};

fn examples() -> String {
    repository().join("examples").display().to_string()
}

#[test]
fn a_ballot_is_cast_counted_and_seen_on_the_event_stream() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(&directory.path().join("data"), None, &[&examples(), "--open-for", "10m"]);
    let mut events = event_stream(&dev, "grants-round");
    let before = next_event(&mut events);
    let receipt = directory.path().join("receipt.json");
    let mut vote = pnyx();
    vote.args(["vote", "grants-round", "--choice", "1", "--demo-wallet", "3", "--wait", "--url", &dev.url]);
    let output = succeed(vote.arg("--receipt").arg(&receipt));
    assert!(output.contains("counted  after"), "{output}");
    let after = next_event(&mut events);
    assert_ne!(before, after);
    assert!(after.contains("\"ballots\":1"), "{after}");

    let keys = get_json(&format!("{}/v1/keys", dev.url));
    let key = keys["keys"][0]["address"].as_str().unwrap().to_owned();
    let verified = succeed(pnyx().args(["receipt", "verify", "--key", &key]).arg(&receipt));
    assert!(verified.contains("VALID"), "{verified}");
    let other = "0x0000000000000000000000000000000000000001";
    let refused = pnyx().args(["receipt", "verify", "--key", other]).arg(&receipt).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", everything(&refused));
    assert!(dev.interrupt(), "Ctrl-C must end with exit code 0");
}

#[test]
fn a_wallet_without_power_is_told_before_it_signs() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(&directory.path().join("data"), None, &[&examples(), "--open-for", "10m"]);
    let key_file = directory.path().join("stranger.key");
    std::fs::write(&key_file, format!("0x{}\n", "17".repeat(32))).unwrap();
    let powerless = get_json(&format!("{}/v1/proposals", dev.url))["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|proposal| proposal["name"].as_str().unwrap().to_owned())
        .find(|name| {
            let proposal = get_json(&format!("{}/v1/proposals/{name}", dev.url));
            let strategies = proposal["definition"]["strategies"].as_array().unwrap().clone();
            strategies.iter().all(|strategy| strategy["name"] != "ticket")
        })
        .expect("one example gives power to listed wallets only");
    let mut vote = pnyx();
    vote.args(["vote", &powerless, "--choice", "1", "--url", &dev.url, "--key-file"]).arg(&key_file);
    let output = vote.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(everything(&output).contains("has no power in"), "{}", everything(&output));
    let progress = get_json(&format!("{}/v1/proposals/{powerless}/progress", dev.url));
    assert_eq!(progress["accepted"], 0, "nothing may have been sent");
}

#[test]
fn a_second_process_on_the_same_data_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let _dev = Dev::start(&data, None, &[&examples(), "--open-for", "10m"]);
    let second = pnyx().args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(&data).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(everything(&second).contains("is in use by process"), "{}", everything(&second));
}

/// Opens the event stream with a plain socket, as `curl -N` does.
fn event_stream(dev: &Dev, proposal: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(dev.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!("GET /v1/proposals/{proposal}/events HTTP/1.1\r\nHost: {}\r\n\r\n", dev.address());
    socket.write_all(request.as_bytes()).unwrap();
    BufReader::new(socket)
}

/// The data of the next event.
fn next_event(events: &mut BufReader<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(events.read_line(&mut line).unwrap(), 0, "the event stream ended");
        if let Some(data) = line.strip_prefix("data:") {
            return data.trim().to_owned();
        }
    }
}
