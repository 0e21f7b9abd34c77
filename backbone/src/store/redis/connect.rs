//! One connection to Redis: address, TLS, password, and the checks without which the state would not be safe there.

use std::{io, path::PathBuf, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, TlsCertificates,
    Value,
    aio::{MultiplexedConnection, PubSub},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};
use thiserror::Error;
use tokio::time;

use super::{
    config::{HostPort, KeyPrefix, RedisAddress, RedisConfig, RedisTls},
    library,
};

/// Longest wait for one server to take a connection and answer its first commands. A server that is there takes
/// milliseconds; a person who waits for the reason of a failed start waits less than 10 s even with several sentinels.
const SERVER_LIMIT: Duration = Duration::from_secs(2);

/// Longest wait for all of it: sentinels that do not answer, then the master.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(8);

/// Longest wait for an answer on an open connection. A batch takes milliseconds; a server that is silent for longer is
/// as good as gone, and whoever waits shall know within two seconds.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_millis(1_500);

/// The oldest major version with Functions.
const MAJOR_VERSION_MIN: u32 = 7;

/// The only policy that never throws away what was written.
const POLICY: &str = "noeviction";

/// Why there is no connection that could be used.
#[derive(Debug, Error)]
pub enum RedisConnectError {
    /// The password's file cannot be read.
    #[error("Redis password file {} cannot be read", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// One of the TLS files cannot be read.
    #[error("Redis TLS file {} cannot be read", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// A client certificate without its key, or the other way round.
    #[error("TLS to Redis needs a certificate file and a key file, or neither")]
    TlsPair,
    /// An empty list of sentinels or nodes.
    #[error("the Redis configuration names no server")]
    NoServer,
    /// The TLS files are not what they should be, or the address is not one.
    #[error("the Redis configuration cannot be used")]
    Configuration {
        /// What does not fit.
        #[source]
        source: RedisError,
    },
    /// Nobody there, or TLS failed.
    #[error("cannot connect to Redis at {address}")]
    Unreachable {
        /// The server.
        address: String,
        /// What happened.
        #[source]
        source: RedisError,
    },
    /// No answer.
    #[error("Redis at {address} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The server.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// Wrong user or password.
    #[error("Redis at {address} refuses the user or the password")]
    Authentication {
        /// The server.
        address: String,
        /// Its answer.
        #[source]
        source: RedisError,
    },
    /// The user lacks a right.
    #[error("the Redis user has not all rights it needs at {address}")]
    MissingRight {
        /// The server.
        address: String,
        /// Its answer, which names the right.
        #[source]
        source: RedisError,
    },
    /// It answers, but not what it should.
    #[error("Redis at {address} cannot be used")]
    Refused {
        /// The server.
        address: String,
        /// Its answer.
        #[source]
        source: RedisError,
    },
    /// Too old.
    #[error("Redis at {address} has version {version}, at least {MAJOR_VERSION_MIN}.0 is needed")]
    Version {
        /// The server.
        address: String,
        /// What it says.
        version: String,
    },
    /// It would throw data away when its memory is full.
    #[error(
        "Redis at {address} has maxmemory-policy {policy}: set it to {POLICY}, or totals could silently lose a part"
    )]
    Evicts {
        /// The server.
        address: String,
        /// Its policy.
        policy: String,
    },
    /// A replica.
    #[error("Redis at {address} is a {role}, not a master")]
    NotMaster {
        /// The server.
        address: String,
        /// What it says it is.
        role: String,
    },
    /// No sentinel told a master.
    #[error("no sentinel tells where the master {master} is; the last that was asked, {address}, failed")]
    NoMaster {
        /// The master's name.
        master: String,
        /// The sentinel that was asked last.
        address: String,
        /// What it answered.
        #[source]
        source: Box<Self>,
    },
    /// The sentinel knows no master of that name.
    #[error("the sentinel at {address} knows no master of that name")]
    UnknownMaster {
        /// The sentinel.
        address: String,
    },
}

/// An open connection. Clones share it.
#[derive(Clone)]
pub(super) enum Link {
    /// To one server.
    Node(MultiplexedConnection),
    /// To a cluster.
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self.clone() {
            Self::Node(mut connection) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }

    pub(super) async fn query_all<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        match self.clone() {
            Self::Node(mut connection) => commands.query_async(&mut connection).await,
            Self::Cluster(mut connection) => commands.query_async(&mut connection).await,
        }
    }
}

/// What is read from files for a connection.
struct Secrets {
    username: Option<String>,
    password: Option<String>,
    certificates: Option<TlsCertificates>,
}

/// Connects, and checks what was found.
pub(super) async fn connect(config: &RedisConfig) -> Result<Link, RedisConnectError> {
    let secrets = Secrets::read(config).await?;
    let (address, link, infos) = match &config.address {
        RedisAddress::Single(address) => node(address, &secrets).await?,
        RedisAddress::Sentinel { master, sentinels, password_file } => {
            let address = resolve(master, sentinels, password_file.as_ref(), &secrets).await?;
            node(&address, &secrets).await?
        }
        RedisAddress::Cluster { nodes } => cluster(nodes, &secrets).await?,
    };
    for info in infos {
        check(&address.to_string(), &info)?;
    }
    probe(&address, &link, &config.key_prefix).await?;
    Ok(link)
}

/// Opens a connection on which a channel can be listened to: of a cluster to one of its nodes, another at each attempt,
/// since each hears everything.
pub(super) async fn connect_listener(config: &RedisConfig, attempt: usize) -> Result<PubSub, RedisConnectError> {
    let secrets = Secrets::read(config).await?;
    let address = match &config.address {
        RedisAddress::Single(address) => address.clone(),
        RedisAddress::Sentinel { master, sentinels, password_file } => {
            resolve(master, sentinels, password_file.as_ref(), &secrets).await?
        }
        RedisAddress::Cluster { nodes } => {
            let index = attempt.checked_rem(nodes.len()).ok_or(RedisConnectError::NoServer)?;
            nodes[index].clone()
        }
    };
    let client = secrets.client(&address)?;
    within(&address, client.get_async_pubsub()).await
}

async fn node(address: &HostPort, secrets: &Secrets) -> Result<(HostPort, Link, Vec<String>), RedisConnectError> {
    let client = secrets.client(address)?;
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(SERVER_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    let link = Link::Node(within(address, client.get_multiplexed_async_connection_with_config(&limits)).await?);
    let info = within(address, link.query(&redis::cmd("INFO"))).await?;
    Ok((address.clone(), link, vec![info]))
}

async fn cluster(nodes: &[HostPort], secrets: &Secrets) -> Result<(HostPort, Link, Vec<String>), RedisConnectError> {
    let named = nodes.first().ok_or(RedisConnectError::NoServer)?;
    let infos: Result<Vec<_>, _> = nodes.iter().map(|node| secrets.info(node)).collect();
    let mut builder = ClusterClientBuilder::new(infos?)
        .connection_timeout(SERVER_LIMIT)
        .response_timeout(ANSWER_LIMIT)
        .overall_response_timeout(Some(ANSWER_LIMIT));
    if let Some(certificates) = &secrets.certificates {
        builder = builder.certs(certificates.clone());
    }
    let client = builder.build().map_err(|source| RedisConnectError::Configuration { source })?;
    let mut connection = within(named, client.get_async_connection()).await?;
    let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let answers = within(named, connection.route_command(redis::cmd("INFO"), masters)).await?;
    let infos = match answers {
        Value::Map(answers) => answers.into_iter().map(|(_, info)| info).collect(),
        other => vec![other],
    };
    let infos = infos.into_iter().map(|info| String::from_redis_value(info).map_err(RedisError::from));
    let infos = infos.collect::<RedisResult<_>>().map_err(|source| refused(named, source))?;
    Ok((named.clone(), Link::Cluster(connection), infos))
}

/// Asks the sentinels, one after the other.
async fn resolve(
    master: &str,
    sentinels: &[HostPort],
    password_file: Option<&PathBuf>,
    secrets: &Secrets,
) -> Result<HostPort, RedisConnectError> {
    let password = read_password(password_file).await?;
    let secrets = Secrets { username: None, password, certificates: secrets.certificates.clone() };
    let mut failure = None;
    for sentinel in sentinels {
        match ask(sentinel, &secrets, master).await {
            Ok(address) => return Ok(address),
            Err(error) => failure = Some((sentinel, error)),
        }
    }
    let (sentinel, source) = failure.ok_or(RedisConnectError::NoServer)?;
    let (master, address) = (master.to_owned(), sentinel.to_string());
    Err(RedisConnectError::NoMaster { master, address, source: Box::new(source) })
}

async fn ask(sentinel: &HostPort, secrets: &Secrets, master: &str) -> Result<HostPort, RedisConnectError> {
    let client = secrets.client(sentinel)?;
    let mut connection = within(sentinel, client.get_multiplexed_async_connection()).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let answer: Option<(String, u16)> = within(sentinel, command.query_async(&mut connection)).await?;
    let (host, port) = answer.ok_or_else(|| RedisConnectError::UnknownMaster { address: sentinel.to_string() })?;
    Ok(HostPort::new(host, port))
}

/// What a server says of itself.
fn check(address: &str, info: &str) -> Result<(), RedisConnectError> {
    let address = || address.to_owned();
    let field = |name| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| *key == name).map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let version = field("redis_version");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < MAJOR_VERSION_MIN {
        return Err(RedisConnectError::Version { address: address(), version });
    }
    let role = field("role");
    if role != "master" {
        return Err(RedisConnectError::NotMaster { address: address(), role });
    }
    let policy = field("maxmemory_policy");
    if policy != POLICY {
        return Err(RedisConnectError::Evicts { address: address(), policy });
    }
    Ok(())
}

/// Whether the functions can be called. Loads them if they are not there, so that the first batch need not.
async fn probe(address: &HostPort, link: &Link, prefix: &KeyPrefix) -> Result<(), RedisConnectError> {
    for _ in 0..2 {
        match time::timeout(SERVER_LIMIT, link.query::<Value>(&library::probe(prefix))).await {
            Ok(Err(error)) if library::is_missing(&error) => {}
            Ok(answer) => return answer.map(|_| ()).map_err(|source| refused(address, source)),
            Err(_) => break,
        }
        match time::timeout(SERVER_LIMIT, link.query::<Value>(&library::load())).await {
            Ok(Err(error)) if !library::is_loaded(&error) => return Err(refused(address, error)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Err(RedisConnectError::TimedOut { address: address.to_string(), limit: SERVER_LIMIT })
}

impl Secrets {
    async fn read(config: &RedisConfig) -> Result<Self, RedisConnectError> {
        let password = read_password(config.password_file.as_ref()).await?;
        let certificates = match &config.tls {
            Some(tls) => Some(read_tls(tls).await?),
            None => None,
        };
        Ok(Self { username: config.username.clone(), password, certificates })
    }

    fn client(&self, address: &HostPort) -> Result<Client, RedisConnectError> {
        let info = self.info(address)?;
        let client = match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        };
        client.map_err(|source| RedisConnectError::Configuration { source })
    }

    fn info(&self, address: &HostPort) -> Result<ConnectionInfo, RedisConnectError> {
        let (host, port) = (address.host().to_owned(), address.port());
        let address = match &self.certificates {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        };
        // Naming the library would need a right that is of no other use.
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let info = address.into_connection_info().map_err(|source| RedisConnectError::Configuration { source })?;
        Ok(info.set_redis_settings(settings))
    }
}

async fn read_password(path: Option<&PathBuf>) -> Result<Option<String>, RedisConnectError> {
    let Some(path) = path else { return Ok(None) };
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|source| RedisConnectError::PasswordFile { path: path.clone(), source })?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn read_tls(tls: &RedisTls) -> Result<TlsCertificates, RedisConnectError> {
    let RedisTls { ca_file, certificate_file, key_file } = tls;
    let client_tls = match (certificate_file, key_file) {
        (Some(certificate), Some(key)) => {
            Some(ClientTlsConfig { client_cert: read_pem(certificate).await?, client_key: read_pem(key).await? })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(RedisConnectError::TlsPair),
    };
    let root_cert = match ca_file {
        Some(path) => Some(read_pem(path).await?),
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

async fn read_pem(path: &PathBuf) -> Result<Vec<u8>, RedisConnectError> {
    tokio::fs::read(path).await.map_err(|source| RedisConnectError::TlsFile { path: path.clone(), source })
}

/// Waits for a server within its limit, and names what failed.
async fn within<T>(address: &HostPort, answer: impl Future<Output = RedisResult<T>>) -> Result<T, RedisConnectError> {
    match time::timeout(SERVER_LIMIT, answer).await {
        Ok(answer) => answer.map_err(|source| refused(address, source)),
        Err(_) => Err(RedisConnectError::TimedOut { address: address.to_string(), limit: SERVER_LIMIT }),
    }
}

fn refused(address: &HostPort, source: RedisError) -> RedisConnectError {
    let address = address.to_string();
    if source.is_timeout() {
        return RedisConnectError::TimedOut { address, limit: SERVER_LIMIT };
    }
    // A missing password is found out by the first command, a wrong one by the greeting.
    if source.kind() == ErrorKind::AuthenticationFailed || matches!(source.code(), Some("NOAUTH" | "WRONGPASS")) {
        return RedisConnectError::Authentication { address, source };
    }
    if source.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) {
        return RedisConnectError::MissingRight { address, source };
    }
    if source.code().is_none() {
        return RedisConnectError::Unreachable { address, source };
    }
    RedisConnectError::Refused { address, source }
}
