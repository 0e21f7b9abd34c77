//! The object store takes what is signed by its one user, keeps it as files, dies, comes back, and speaks TLS.

mod client;

use std::{fs, net::TcpStream};

use client::Client;
use pnyx_testbed::{
    Authority, TestbedError,
    s3::{S3Options, S3Server},
};

/// What is kept.
const CONTENT: &[u8] = b"ballots of a vote";

#[test]
fn an_object_is_kept_as_a_file() {
    let server = S3Server::start(S3Options::new().bucket("archive")).unwrap();
    let client = Client::of(&server);
    assert_eq!(client.put("votes/1", CONTENT, &[]).status, 200);
    assert_eq!(client.get("votes/1").body, CONTENT);
    assert_eq!(client.get("votes/2").status, 404);

    let file = server.folder().join("votes/1");
    assert_eq!(fs::read(&file).unwrap(), CONTENT);
    fs::write(&file, b"damaged").unwrap();
    assert_eq!(client.get("votes/1").body, b"damaged");
    fs::remove_file(&file).unwrap();
    assert_eq!(client.get("votes/1").status, 404);
}

#[test]
fn what_is_there_stays_if_a_client_asks_for_it() {
    let server = S3Server::start(S3Options::new()).unwrap();
    let client = Client::of(&server);
    let if_new = [("if-none-match", "*")];
    assert_eq!(client.put("one", CONTENT, &if_new).status, 200);
    assert_eq!(client.put("one", b"other", &if_new).status, 412);
    assert_eq!(client.get("one").body, CONTENT);
}

#[test]
fn nobody_else_comes_in() {
    let (server, other) = (S3Server::start(S3Options::new()).unwrap(), S3Server::start(S3Options::new()).unwrap());
    assert_ne!(server.secret_access_key(), other.secret_access_key());
    let client = Client::of(&server);
    assert_eq!(client.put("one", CONTENT, &[]).status, 200);
    for (stranger, code) in [
        (client.with(server.access_key_id(), other.secret_access_key()), "SignatureDoesNotMatch"),
        (client.with(other.access_key_id(), other.secret_access_key()), "InvalidAccessKeyId"),
    ] {
        for answer in [stranger.get("one"), stranger.put("one", b"other", &[])] {
            assert_eq!(answer.status, 403, "{}", answer.text());
            assert!(answer.text().contains(code), "{}", answer.text());
        }
    }
    assert_eq!(client.get("one").body, CONTENT);
    let log = fs::read_to_string(server.log()).unwrap();
    assert!(log.contains("one") && !log.contains(server.secret_access_key()));
}

#[test]
fn a_server_dies_and_comes_back_with_what_it_held() {
    let server = S3Server::start(S3Options::new()).unwrap();
    let client = Client::of(&server);
    assert_eq!(client.put("one", CONTENT, &[]).status, 200);
    server.kill().unwrap();
    assert!(TcpStream::connect(server.address()).is_err());
    assert!(matches!(server.pause(), Err(TestbedError::NotRunning { .. })));
    server.restart().unwrap();
    assert_eq!(client.get("one").body, CONTENT);

    let (address, folder) = (server.address(), server.folder());
    drop(server);
    assert!(TcpStream::connect(address).is_err() && !folder.exists(), "it ends with its value");
}

#[test]
fn it_speaks_tls() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = S3Server::start(S3Options::new().tls(&authority.issue("s3").unwrap())).unwrap();
    assert!(server.endpoint().starts_with("https://127.0.0.1:"));
    let client = Client::of(&server);
    assert_eq!(client.trusting(&authority).put("one", CONTENT, &[]).status, 200);
    assert_eq!(client.trusting(&authority).get("one").body, CONTENT);
    assert!(client.trusting(&stranger).try_get("one").is_err(), "the server is no friend of the stranger");
    drop(authority);
    server.restart().unwrap();
}
