//! Keys in the URLs of endpoints, while every endpoint fails and everything is logged: shown nowhere.

use std::{fs, time::Duration};

use pnyx_testbed::{
    Port, Process,
    evm::{Fault, FaultyEndpoint},
};

use crate::{
    common::{
        everything, http,
        pipeline::{GRACE_MAX, READY_WAIT_MAX},
        pnyx,
    },
    rig::{Chain, PROPOSAL, demo_wallet, example, has_failed, refused},
};

/// What stands in the first endpoint's URL; the last is what user and password become in a header.
const CANARIES: [&str; 5] = ["CANARYUSER", "CANARYPASS", "CANARYKEY", "CANARYTOKEN", "Q0FOQVJZVVNFUjpDQU5BUllQQVNT"];

/// How long a failure may take to be counted: an endpoint that failed before is left alone for up to 8 s.
const FAILURE_WAIT_MAX: Duration = Duration::from_secs(90);

#[test]
fn keys_in_urls_are_shown_nowhere() {
    let chain = Chain::start();
    let endpoint = FaultyEndpoint::start(&chain.evm).unwrap();
    let canaries: Vec<String> = CANARIES.map(str::to_owned).into_iter().chain(endpoint.canaries()).collect();
    // Nobody listens there.
    let (dead, port) = (Port::reserve().unwrap(), Port::reserve().unwrap());
    let flags = [&dead_url(&dead), &endpoint.url()].map(|url| chain.flag(url));
    endpoint.set(&[Fault::Unavailable]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("dev.log");
    let mut command = pnyx();
    command.args(["dev", &example(), "--open-for", "30m", "--listen", &port.address().to_string()]);
    command.args(["--chain", &flags[0], "--chain", &flags[1], "--data"]).arg(directory.path().join("data"));
    let mut process = Process::spawn("pnyx dev", command.env("PNYX_LOG", "trace"), &log).unwrap();
    let base = format!("http://{}", port.address());
    http::poll("readiness", READY_WAIT_MAX, || {
        http::try_get(&format!("{base}/readyz")).filter(http::Answer::is_success)
    });
    let faults =
        [(Fault::Unavailable, "status"), (Fault::TruncatedJson, "malformed"), (Fault::WrongChainId(5), "wrong-chain")];
    for (fault, outcome) in faults {
        endpoint.set(&[fault]).unwrap();
        http::poll(outcome, FAILURE_WAIT_MAX, || {
            let metrics = http::try_get(&format!("{base}/metrics"))?.body;
            let expected = [("endpoint-1", "unreachable"), ("endpoint-2", outcome)];
            expected.iter().all(|(endpoint, outcome)| has_failed(&metrics, endpoint, outcome)).then_some(())
        });
        answers_hide(&base, &canaries);
    }
    process.sigterm().unwrap();
    assert!(process.wait(GRACE_MAX).unwrap().success());
    let logged = fs::read_to_string(&log).unwrap();
    for expected in ["TRACE", "endpoint-1", "endpoint-2"] {
        assert!(logged.contains(expected), "everything is logged: {expected}");
    }
    hides("the log", &logged, &canaries);
    assert_eq!(endpoint.unauthorized(), 0, "the keys are needed, and were used");
}

#[test]
fn a_mistake_in_a_url_does_not_show_it() {
    let directory = tempfile::tempdir().unwrap();
    let url = "http://CANARYUSER:CANARYPASS@127.0.0.1:1/CANARYKEY?token=CANARYTOKEN";
    let canaries = CANARIES.map(str::to_owned);
    let (sound, misnamed) = (format!("1={url}"), format!("one={url}"));
    let scheme = sound.replace("http:", "ftp:");
    let mistakes: [(&str, &[&str]); 4] = [
        ("scheme", &["--chain", &scheme]),
        ("no-id", &["--chain", url]),
        ("misnamed", &["--chain", &misnamed]),
        ("agreement", &["--chain", &sound, "--chain-agreement", "2"]),
    ];
    for (name, arguments) in mistakes {
        let said = refused(directory.path(), name, &[arguments, &["--log-filter", "trace"]].concat());
        assert!(said.contains("--chain"), "{name}: {said}");
        hides(name, &said, &canaries);
    }
}

fn dead_url(port: &Port) -> String {
    format!("http://CANARYUSER:CANARYPASS@{}/CANARYKEY?token=CANARYTOKEN", port.address())
}

/// Everything that anybody can ask of the process, and what the command line makes of it.
fn answers_hide(base: &str, canaries: &[String]) {
    let (proposal, voter) = (format!("v1/proposals/{PROPOSAL}"), demo_wallet(1).to_string());
    let of_proposal = ["", "/progress", "/ballots", "/rejections", "/result"].map(|part| format!("{proposal}{part}"));
    let of_voter = format!("{proposal}/voters/{voter}");
    let others = ["metrics", "livez", "readyz", "v1/keys", "v1/proposals"].map(str::to_owned);
    for path in of_proposal.into_iter().chain([of_voter]).chain(others) {
        let answer = http::try_get(&format!("{base}/{path}")).unwrap();
        hides(&path, &answer.body, canaries);
    }
    let mut explain = pnyx();
    explain.args(["explain", "power", "--proposal", PROPOSAL, "--voter", &voter, "--url", base]);
    hides("explain power", &everything(&explain.output().unwrap()), canaries);
}

/// Whoever reads this test's output is not shown them either.
fn hides(what: &str, text: &str, canaries: &[String]) {
    for (index, canary) in canaries.iter().enumerate() {
        assert!(!text.contains(canary), "{what} shows secret {index}");
    }
}
