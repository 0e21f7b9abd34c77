//! What the processes of a platform take: every flag has an environment variable and a field of the configuration file.

use std::{
    fmt,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use pnyx_backbone::{
    log::kafka::{GroupProtocol, SaslMechanism},
    store::{HostPort, KeyPrefix},
    traces::{Endpoint, SampleRatio},
};
use pnyx_core::id::ProposalId;
use pnyx_ingest::Network;

use super::LayoutArgs;
use crate::process::words;

/// What stands under the help of every process.
const PRECEDENCE: &str = "A flag counts more than its environment variable, that more than the file of --config, and \
that more than the default. Secrets are named by file only. examples/processes/pnyx.yaml explains every field.\n\n\
SIGTERM: not ready any more, a pause in which balancers notice, then what is in flight is finished. Exit code 0: ended \
as asked. 2: could not go on; the cause is on standard error.";

/// Arguments of `pnyx ingest`.
#[derive(Debug, Default, Args)]
#[command(after_help = PRECEDENCE)]
pub struct IngestArgs {
    /// The configuration file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where it listens.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// The key that signs receipts.
    #[command(flatten)]
    pub key: KeyArgs,
    /// The grace after a close.
    #[command(flatten)]
    pub grace: GraceArgs,
    /// Who may call from a browser.
    #[command(flatten)]
    pub cors: CorsArgs,
    /// The edge's own limits.
    #[command(flatten)]
    pub edge: EdgeArgs,
    /// The log.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The traces.
    #[command(flatten)]
    pub otlp: OtlpArgs,
}

/// Arguments of `pnyx verifier`.
#[derive(Debug, Default, Args)]
#[command(after_help = PRECEDENCE)]
pub struct VerifierArgs {
    /// The configuration file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where it listens.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Shards of each proposal in this process [default: one more than there are cores].
    #[arg(long, env = "PNYX_SHARDS", value_name = "NUMBER")]
    pub shards: Option<NonZeroU16>,
    /// The only proposal to verify, by its id [default: all of the log].
    #[arg(long, env = "PNYX_PROPOSAL", value_name = "ID")]
    pub proposal: Option<ProposalId>,
    /// The log.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The chains.
    #[command(flatten)]
    pub chains: ChainsArgs,
    /// The traces.
    #[command(flatten)]
    pub otlp: OtlpArgs,
}

/// Arguments of `pnyx tally`.
#[derive(Debug, Default, Args)]
#[command(after_help = PRECEDENCE)]
pub struct TallyArgs {
    /// The configuration file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where it listens.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Who may call from a browser.
    #[command(flatten)]
    pub cors: CorsArgs,
    /// The log.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The store.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// The chains.
    #[command(flatten)]
    pub chains: ChainsArgs,
    /// The traces.
    #[command(flatten)]
    pub otlp: OtlpArgs,
}

/// Arguments of `pnyx propose`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Doing it again changes nothing: a proposal that the log has is only listed, with the window it was given \
first. Only --partitions, where it is given, adds partitions to it.\n\nStrategies that read \
chains are tried before anything is written, at the block that the snapshot names or, where that is still to come, at the \
last final one. One that can never answer, such as the balance of a token where there is no contract, is refused. Where a \
chain cannot be asked, that is said, and the proposal is written all the same.\n\nExit code 0: written, or with --only-try \
nothing speaks against the strategies. 1: with --only-try, a strategy can never answer; its field is named on standard \
error. 2: anything else.\n\nA flag counts more than its environment variable, that more than the file of --config, and that more than the \
default.\n\nExamples:\n  pnyx propose examples/grants-round.yaml --open-for 10m --config examples/processes/pnyx.yaml\n  pnyx propose vote.yaml --only-try --domain my.platform --chain 1=https://node.example"
)]
pub struct ProposeArgs {
    /// GovernanceProposal files, or directories of them (*.yaml, *.yml).
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Try the strategies on their chains and write nothing: neither log nor store nor key is needed. Says of each proposal
    /// whether its strategies can answer.
    #[arg(long)]
    pub only_try: bool,
    /// How proposals are laid out.
    #[command(flatten)]
    pub layout: LayoutArgs,
    /// The platform's domain; part of every proposal's id. Required here or in the file.
    #[arg(long, env = "PNYX_DOMAIN")]
    pub domain: Option<String>,
    /// Base URL of the edge, to say where ballots go.
    #[arg(long, env = "PNYX_URL", default_value = super::URL_DEFAULT)]
    pub url: String,
    /// The configuration file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The log.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The chains: strategies that read them are tried.
    #[command(flatten)]
    pub chains: ChainsArgs,
}

/// Where traces go.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Traces (OpenTelemetry)")]
pub struct OtlpArgs {
    /// Collector that gets the trace of each ballot, by OTLP over HTTP, such as http://127.0.0.1:4318 [default: none].
    #[arg(long, env = "PNYX_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Endpoint>,
    /// The part of all ballots that is traced, such as 0.01; the digest decides, so all processes with the same ratio trace
    /// the same ballots [default: 1].
    #[arg(long, env = "PNYX_OTLP_SAMPLE", value_name = "RATIO")]
    pub otlp_sample: Option<SampleRatio>,
    /// File with what the collector must be shown, a header in each line, such as `authorization: Bearer …`.
    #[arg(long, env = "PNYX_OTLP_HEADERS_FILE", value_name = "FILE")]
    pub otlp_headers_file: Option<PathBuf>,
}

/// How chains are read.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Chains (EVM)")]
pub struct ChainsArgs {
    /// An endpoint that answers JSON-RPC for a chain, such as 1=https://node.example; repeat for more chains, and for several
    /// endpoints of one. A URL with a key in it comes from a file, 1=file:PATH, or from a variable, 1=env:NAME. Names and
    /// limits of endpoints can be given in the file of --config only.
    #[arg(long = "chain", env = "PNYX_CHAINS", hide_env_values = true, value_name = "ID=URL", value_delimiter = ',')]
    pub chains: Option<Vec<ChainText>>,
    /// How many endpoints of each of these chains must give the same answer [default: 1].
    #[arg(long, env = "PNYX_CHAIN_AGREEMENT", value_name = "NUMBER")]
    pub chain_agreement: Option<NonZeroUsize>,
}

/// What stands behind `--chain`: it may hold a key, so it is never shown, not even where it is wrong.
#[derive(Clone, PartialEq, Eq)]
pub struct ChainText(String);

impl ChainText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ChainText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for ChainText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainText")
    }
}

/// Where the configuration file is.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    /// One YAML file for all processes of a platform; each takes what it needs of it.
    #[arg(long, env = "PNYX_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where a process listens and how long it may take to end.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Address to listen on, for its API if it has one and for /livez, /readyz and /metrics; port 0 takes a free one and
    /// prints it [default: 127.0.0.1, port 8080 for ingest, 8081 for tally, 8082 for verifier, 8083 for recount].
    #[arg(long, env = "PNYX_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// How long ending may take from SIGTERM on, the pause for balancers included; at least 15s [default: 25s].
    #[arg(long, env = "PNYX_DRAIN_LIMIT", value_name = "DURATION", value_parser = words::parse_drain_limit)]
    pub drain_limit: Option<Duration>,
}

/// The platform's key.
#[derive(Debug, Default, Args)]
pub struct KeyArgs {
    /// File with the platform's signing key, `0x` and 64 hexadecimal digits, readable by its owner and at most its
    /// group; the same for ingest and recount.
    #[arg(long, env = "PNYX_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,
}

/// How long acknowledgements may be in flight after a close.
#[derive(Debug, Default, Args)]
pub struct GraceArgs {
    /// How long after a close the cut is made; at least 5s, and the same for ingest and recount [default: 5s].
    #[arg(long, env = "PNYX_GRACE", value_name = "DURATION", value_parser = words::parse_grace)]
    pub grace: Option<Duration>,
}

/// Browser origins.
#[derive(Debug, Default, Args)]
pub struct CorsArgs {
    /// Browser origins that may call the API; repeat for several; `*` for any [default: *].
    #[arg(long = "cors-origin", env = "PNYX_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origins: Option<Vec<String>>,
}

/// Limits of the edge.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct EdgeArgs {
    /// Ballots a second that one source address may send, an IPv6 /64 counting as one; more is answered 429 [default: no
    /// limit]. Name your proxies with --trusted-proxy, or all who come through one share its limit.
    #[arg(long, env = "PNYX_REQUESTS_PER_SECOND_PER_ADDRESS", value_name = "NUMBER")]
    pub requests_per_second_per_address: Option<NonZeroU32>,
    /// Proxies whose X-Forwarded-For is believed, as addresses or networks such as 10.0.0.0/8; repeat for several.
    #[arg(long = "trusted-proxy", env = "PNYX_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<Network>>,
    /// Ballots in flight at once; beyond it 503 [default: 1024].
    #[arg(long, env = "PNYX_IN_FLIGHT_MAX", value_name = "NUMBER")]
    pub in_flight_max: Option<NonZeroUsize>,
}

/// How to reach the log.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Log (Kafka)")]
pub struct KafkaArgs {
    /// Brokers to begin with, as host:port; repeat or separate by commas.
    #[arg(long = "kafka", env = "PNYX_KAFKA", value_name = "HOST:PORT", value_delimiter = ',')]
    pub kafka: Option<Vec<String>>,
    /// What topics' and groups' names begin with; two platforms on one cluster need two [default: pnyx].
    #[arg(long, env = "PNYX_KAFKA_TOPIC_PREFIX", value_name = "TEXT")]
    pub kafka_topic_prefix: Option<String>,
    /// Copies of each partition of topics that are made [default: 3].
    #[arg(long, env = "PNYX_KAFKA_REPLICATION_FACTOR", value_name = "NUMBER")]
    pub kafka_replication_factor: Option<u16>,
    /// Copies that must have a record before it is acknowledged [default: 2].
    #[arg(long, env = "PNYX_KAFKA_MIN_INSYNC_REPLICAS", value_name = "NUMBER")]
    pub kafka_min_insync_replicas: Option<u16>,
    /// How consumer groups agree: `consumer` (KIP-848, Kafka 4.0 or later) or `classic` [default: consumer].
    #[arg(
        long,
        env = "PNYX_KAFKA_GROUP_PROTOCOL",
        value_name = "consumer|classic",
        value_parser = words::parse_group_protocol
    )]
    pub kafka_group_protocol: Option<GroupProtocol>,
    /// How long a record waits for others to share its request with, in milliseconds [default: 0.5, of a
    /// verifier 3].
    #[arg(long, env = "PNYX_KAFKA_LINGER_MS", value_name = "NUMBER", value_parser = words::parse_linger)]
    pub kafka_linger_ms: Option<Duration>,
    /// TLS to the brokers; the other TLS flags mean it too.
    #[arg(long, env = "PNYX_KAFKA_TLS", value_name = "BOOLEAN", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub kafka_tls: Option<bool>,
    /// Authorities that may sign a broker's certificate, PEM [default: the system's].
    #[arg(long, env = "PNYX_KAFKA_TLS_CA_FILE", value_name = "FILE")]
    pub kafka_tls_ca_file: Option<PathBuf>,
    /// This process's own certificate, PEM, where brokers ask for one.
    #[arg(long, env = "PNYX_KAFKA_TLS_CERTIFICATE_FILE", value_name = "FILE")]
    pub kafka_tls_certificate_file: Option<PathBuf>,
    /// The key of that certificate, PEM.
    #[arg(long, env = "PNYX_KAFKA_TLS_KEY_FILE", value_name = "FILE")]
    pub kafka_tls_key_file: Option<PathBuf>,
    /// How the password is proved [default: SCRAM-SHA-512 where a user is named].
    #[arg(
        long,
        env = "PNYX_KAFKA_SASL_MECHANISM",
        value_name = "SCRAM-SHA-512|SCRAM-SHA-256|PLAIN",
        value_parser = words::parse_sasl_mechanism
    )]
    pub kafka_sasl_mechanism: Option<SaslMechanism>,
    /// The user.
    #[arg(long, env = "PNYX_KAFKA_SASL_USERNAME", value_name = "NAME")]
    pub kafka_sasl_username: Option<String>,
    /// File with the user's password.
    #[arg(long, env = "PNYX_KAFKA_SASL_PASSWORD_FILE", value_name = "FILE")]
    pub kafka_sasl_password_file: Option<PathBuf>,
    /// Further settings of the client library (librdkafka); repeat or separate by commas.
    #[arg(
        long = "kafka-client-setting",
        env = "PNYX_KAFKA_CLIENT_SETTINGS",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = words::parse_client_setting
    )]
    pub kafka_client_settings: Option<Vec<(String, String)>>,
    /// Goes on although the cluster may lose acknowledged ballots: for tests and trials.
    #[arg(
        long,
        env = "PNYX_ALLOW_UNSAFE_DURABILITY",
        value_name = "BOOLEAN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub allow_unsafe_durability: Option<bool>,
}

/// How to reach the store.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Store (Redis)")]
pub struct RedisArgs {
    /// One server.
    #[arg(long = "redis", env = "PNYX_REDIS", value_name = "HOST:PORT")]
    pub redis: Option<HostPort>,
    /// Or sentinels, repeat or separate by commas; with --redis-master.
    #[arg(long = "redis-sentinel", env = "PNYX_REDIS_SENTINELS", value_name = "HOST:PORT", value_delimiter = ',')]
    pub redis_sentinels: Option<Vec<HostPort>>,
    /// What the sentinels call the master.
    #[arg(long, env = "PNYX_REDIS_MASTER", value_name = "NAME")]
    pub redis_master: Option<String>,
    /// File with the sentinels' own password.
    #[arg(long, env = "PNYX_REDIS_SENTINEL_PASSWORD_FILE", value_name = "FILE")]
    pub redis_sentinel_password_file: Option<PathBuf>,
    /// Or some nodes of a cluster, repeat or separate by commas.
    #[arg(long = "redis-cluster", env = "PNYX_REDIS_CLUSTER", value_name = "HOST:PORT", value_delimiter = ',')]
    pub redis_cluster: Option<Vec<HostPort>>,
    /// TLS to the servers; the other TLS flags mean it too.
    #[arg(long, env = "PNYX_REDIS_TLS", value_name = "BOOLEAN", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub redis_tls: Option<bool>,
    /// Authorities that may sign a server's certificate, PEM [default: the system's].
    #[arg(long, env = "PNYX_REDIS_TLS_CA_FILE", value_name = "FILE")]
    pub redis_tls_ca_file: Option<PathBuf>,
    /// This process's own certificate, PEM, where servers ask for one.
    #[arg(long, env = "PNYX_REDIS_TLS_CERTIFICATE_FILE", value_name = "FILE")]
    pub redis_tls_certificate_file: Option<PathBuf>,
    /// The key of that certificate, PEM.
    #[arg(long, env = "PNYX_REDIS_TLS_KEY_FILE", value_name = "FILE")]
    pub redis_tls_key_file: Option<PathBuf>,
    /// The ACL user [default: Redis's default user].
    #[arg(long, env = "PNYX_REDIS_USERNAME", value_name = "NAME")]
    pub redis_username: Option<String>,
    /// File with the user's password.
    #[arg(long, env = "PNYX_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// What every key begins with; two platforms on one Redis need two [default: pnyx].
    #[arg(long, env = "PNYX_REDIS_KEY_PREFIX", value_name = "TEXT")]
    pub redis_key_prefix: Option<KeyPrefix>,
}

/// Arguments of `pnyx recount`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Three ways to run it:
  pnyx recount --config pnyx.yaml
      closes every proposal of the log, for as long as it runs: cut, drain,
      recount, result, and the archive where a place for that is named
  pnyx recount PROPOSAL --wait --config pnyx.yaml
      closes this one, if need be from before the end of its window on, stores
      its archive where a place for that is named, and ends
  pnyx recount PROPOSAL --data DIR
      counts again what a data directory of `pnyx dev` holds, and decides
      nothing; with --config or --kafka the same of that log

Exit code 0: agrees with the live tally or the published result, or nothing is published yet; a service: ended as asked. \
1: differs. 2: could not be done. 3: the result stands, and its archive cannot be stored until a person has looked.

A flag counts more than its environment variable, that more than the file of --config, and that more than the default. \
Secrets are named by file only. examples/processes/pnyx.yaml explains every field.")]
pub struct RecountArgs {
    /// One proposal: its name or its id. Without it all are closed, for as long as the process runs.
    pub proposal: Option<String>,
    /// Close the proposal: wait for its end, cut, drain, recount and publish.
    #[arg(long, requires = "proposal")]
    pub wait: bool,
    /// Decide the blocks at which the proposal reads its chains, once these are final, and end. Needs neither the store nor
    /// the signing key.
    #[arg(long, requires = "proposal", conflicts_with = "wait")]
    pub pin: bool,
    /// The data directory of a log that no process is using [default: pnyx-data].
    #[arg(long, env = "PNYX_DATA")]
    pub data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, requires = "proposal")]
    pub json: bool,
    /// The configuration file.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where it listens.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// The key that signs results.
    #[command(flatten)]
    pub key: KeyArgs,
    /// The grace after a close.
    #[command(flatten)]
    pub grace: GraceArgs,
    /// The log.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The store.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// The chains.
    #[command(flatten)]
    pub chains: ChainsArgs,
}
