//! What a web page of another origin may do, asked of the real binary as a browser asks.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use common::{Dev, repository};

const ALLOWED: &str = "https://vote.example.org";
const FOREIGN: &str = "https://elsewhere.example";

/// Status and headers of an answer, names in lower case.
struct Head {
    status: u16,
    headers: BTreeMap<String, String>,
}

impl Head {
    fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn lists(&self, name: &str, value: &str) -> bool {
        self.get(name).is_some_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(value)))
    }
}

/// Sends a request and reads the answer's head, so that a stream may go on.
fn ask(dev: &Dev, method: &str, path: &str, headers: &str) -> Head {
    let mut socket = TcpStream::connect(dev.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", dev.address()).unwrap();
    let mut lines = BufReader::new(socket).lines().map(Result::unwrap);
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    });
    Head { status, headers: headers.collect() }
}

fn get(dev: &Dev, path: &str, origin: &str) -> Head {
    ask(dev, "GET", path, &format!("Origin: {origin}\r\n"))
}

fn preflight(dev: &Dev, path: &str, origin: &str, method: &str, header: &str) -> Head {
    let asked = format!("Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: {header}\r\n");
    ask(dev, "OPTIONS", path, &format!("Origin: {origin}\r\n{asked}"))
}

fn start(arguments: &[&str]) -> (tempfile::TempDir, Dev) {
    let directory = tempfile::tempdir().unwrap();
    let examples = repository().join("examples").display().to_string();
    let dev =
        Dev::start(&directory.path().join("data"), None, &[&[&*examples, "--open-for", "10m"], arguments].concat());
    (directory, dev)
}

#[test]
fn pages_of_the_chosen_origin_may_vote_and_read_everything() {
    let (_directory, dev) = start(&["--cors-origin", ALLOWED]);
    let paths = [
        ("/", 405),
        ("/v1/keys", 200),
        ("/v1/proposals", 200),
        ("/v1/proposals/grants-round/events", 200),
        ("/v1/proposals/grants-round/archive", 404),
        ("/nowhere", 404),
    ];
    for (path, status) in paths {
        let answer = get(&dev, path, ALLOWED);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.get("access-control-allow-origin"), Some(ALLOWED), "{path}");
        for exposed in ["etag", "retry-after"] {
            assert!(answer.lists("access-control-expose-headers", exposed), "{path}: {exposed}");
        }
        assert_eq!(get(&dev, path, FOREIGN).get("access-control-allow-origin"), None, "{path}");
    }
    let asked = [
        ("/", "POST", "content-type"),
        ("/v1/proposals", "GET", "if-none-match"),
        ("/v1/keys", "GET", "last-event-id"),
    ];
    for (path, method, header) in asked {
        let answer = preflight(&dev, path, ALLOWED, method, header);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.get("access-control-allow-origin"), Some(ALLOWED), "{path}");
        assert!(answer.lists("access-control-allow-methods", method), "{path}");
        assert!(answer.lists("access-control-allow-headers", header), "{path}");
        let refused = preflight(&dev, path, FOREIGN, method, header);
        assert_eq!(refused.get("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn any_page_may_where_no_origin_is_chosen() {
    let (_directory, dev) = start(&[]);
    for path in ["/", "/v1/proposals"] {
        assert_eq!(get(&dev, path, FOREIGN).get("access-control-allow-origin"), Some("*"), "{path}");
    }
}
