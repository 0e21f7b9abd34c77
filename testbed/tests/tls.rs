//! Servers speak TLS with certificates of the test's own authority, and only those are trusted.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use pnyx_testbed::{Authority, Issued, KafkaCluster, KafkaOptions, Listener, RedisOptions, RedisServer};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// How long an answer may take on a machine that compiles beside.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// ApiVersions, version 0: length, API key 18, version, correlation id 7, no client id.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

/// Sends a request over TLS and returns the first bytes of the answer.
fn ask<const LEN: usize>(
    address: &str,
    trusted: &Authority,
    own: Option<&Issued>,
    request: &[u8],
) -> io::Result<[u8; LEN]> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted.certificate()).expect("PEM")).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("ring has them").with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_file(own.certificate()).expect("PEM")];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(own.key()).expect("PEM"))
                .expect("they belong together")
        }
    };
    let connection = ClientConnection::new(Arc::new(config), "127.0.0.1".try_into().expect("an address"))
        .expect("a good configuration");
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(request)?;
    let mut answer = [0; LEN];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn kafka_speaks_tls() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let options = KafkaOptions::one().mutual_tls(&authority.issue("broker").unwrap()).scram_user("alice", "wonderland");
    let kafka = KafkaCluster::start(options).unwrap();
    let (client, wrong) = (authority.issue("client").unwrap(), stranger.issue("client").unwrap());
    let tls = kafka.bootstrap_of(Listener::Tls);
    let answered = |address: &str, trusted, own| {
        ask::<8>(address, trusted, own, &API_VERSIONS).is_ok_and(|answer| answer[4..] == [0, 0, 0, 7])
    };
    assert!(answered(&tls, &authority, Some(&client)));
    assert!(!answered(&tls, &authority, None), "a client without a certificate is refused");
    assert!(!answered(&tls, &authority, Some(&wrong)), "a stranger is refused");
    assert!(!answered(&tls, &stranger, Some(&client)), "the broker is no friend of the stranger");
    assert!(answered(&kafka.bootstrap_of(Listener::ScramTls), &authority, None), "a password is asked for instead");
}

#[test]
fn redis_speaks_tls() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let redis = RedisServer::start(RedisOptions::new().tls(&authority.issue("redis").unwrap())).unwrap();
    let address = redis.tls_address().to_string();
    assert_eq!(&ask::<5>(&address, &authority, None, b"PING\r\n").unwrap(), b"+PONG");
    assert!(ask::<5>(&address, &stranger, None, b"PING\r\n").is_err());

    let options = RedisOptions::new().mutual_tls(&authority.issue("mutual").unwrap());
    let redis = RedisServer::start(options).unwrap();
    let (address, client) = (redis.tls_address().to_string(), authority.issue("client").unwrap());
    assert_eq!(&ask::<5>(&address, &authority, Some(&client), b"PING\r\n").unwrap(), b"+PONG");
    assert!(ask::<5>(&address, &authority, None, b"PING\r\n").is_err());
    redis.restart().unwrap();
    assert_eq!(&ask::<5>(&address, &authority, Some(&client), b"PING\r\n").unwrap(), b"+PONG");
}
