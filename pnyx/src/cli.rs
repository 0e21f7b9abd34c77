//! The command line: what each command takes, with help that teaches.

pub mod explain;
pub mod operator;
pub mod process;

use std::{net::SocketAddr, num::NonZeroU16, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use pnyx_backbone::telemetry::LogFormat;

use explain::ExplainCommand;
use operator::OperatorArgs;
use process::{ChainsArgs, IngestArgs, OtlpArgs, ProposeArgs, RecountArgs, TallyArgs, VerifierArgs};

/// Where `pnyx dev` listens, and where the clients look for it.
pub const URL_DEFAULT: &str = "http://127.0.0.1:8080";

/// Governance voting that does not gridlock: durable ballots, exact tallies, results that strangers can recompute.
#[derive(Debug, Parser)]
#[command(name = "pnyx", version, max_term_width = 110)]
pub struct Cli {
    /// How log lines on standard error are written.
    #[arg(
        long,
        global = true,
        env = "PNYX_LOG_FORMAT",
        default_value = "text",
        value_name = "text|json",
        value_parser = parse_log_format,
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,
    /// What is logged: a level, or directives such as `info,pnyx_tally=debug`.
    #[arg(
        long,
        global = true,
        env = "PNYX_LOG",
        default_value = "warn",
        value_name = "LEVEL",
        help_heading = "Logging"
    )]
    pub log_filter: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole platform in this process, from the same YAML that a cluster takes.
    Dev(DevArgs),
    /// Run the edge: takes ballots and acknowledges those that the log has.
    Ingest(Box<IngestArgs>),
    /// Run verifier shards: read ballots, write verdicts.
    Verifier(Box<VerifierArgs>),
    /// Run a tally: verdicts into the store, and the read API.
    Tally(Box<TallyArgs>),
    /// Close proposals and publish their results; or count one again.
    Recount(Box<RecountArgs>),
    /// Write proposals into the log, where no operator does.
    Propose(Box<ProposeArgs>),
    /// Look after GovernancePlatforms and GovernanceProposals in a Kubernetes cluster.
    Operator(Box<OperatorArgs>),
    /// Sign a ballot and cast it.
    Vote(VoteArgs),
    /// Cast many deterministic ballots over all voting systems and compare what is served with what is expected.
    Load(LoadArgs),
    /// Recompute a result from its archive (a file or a URL), trusting nobody.
    Audit(AuditArgs),
    /// Look at receipts.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Say why something is as it is.
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Try a proposal's scaling on a curve of arrivals: how many shards the operator would run, when, and why.
    Simulate(SimulateArgs),
    /// Print the custom resource definitions as YAML.
    Crds(CrdsArgs),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Write man pages into a directory.
    Man(ManArgs),
}

/// Arguments of `pnyx dev`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  pnyx dev examples/ --open-for 10m\n\nThen, in another terminal:\n  pnyx vote grants-round --choice 1 --demo-wallet 3 --wait"
)]
pub struct DevArgs {
    /// GovernanceProposal files, or directories of them (*.yaml, *.yml).
    pub paths: Vec<PathBuf>,
    /// Where the log and the platform's key are kept. Created if missing; one process at a time.
    #[arg(long, env = "PNYX_DATA", default_value = "pnyx-data")]
    pub data: PathBuf,
    /// Address to listen on; port 0 takes a free one and prints it.
    #[arg(long, env = "PNYX_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// How proposals are laid out.
    #[command(flatten)]
    pub layout: LayoutArgs,
    /// The platform's domain; part of every proposal's id.
    #[arg(long, env = "PNYX_DOMAIN", default_value = "dev")]
    pub domain: String,
    /// Verifier shards of each proposal [default: 2].
    #[arg(long)]
    pub shards: Option<NonZeroU16>,
    /// How long after a close acknowledgements may still be in flight before the cut is read; at least 1s. A ballot whose
    /// append takes longer than half of it is answered 503 instead.
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = parse_grace)]
    pub grace: Duration,
    /// Browser origins that may call the API; repeat for several; `*` for any.
    #[arg(long, default_value = "*", value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,
    /// The chains.
    #[command(flatten)]
    pub chains: ChainsArgs,
    /// The traces.
    #[command(flatten)]
    pub otlp: OtlpArgs,
}

/// Arguments of `pnyx crds`.
#[derive(Debug, Clone, Args)]
pub struct CrdsArgs {
    /// One of them only: governanceproposals or governanceplatforms.
    pub name: Option<String>,
}

/// How proposals that are made now are laid out.
#[derive(Debug, Clone, Default, Args)]
pub struct LayoutArgs {
    /// Open the proposals now and close them after this time (`10m`, `90s`, `2h`), whatever their files say. Remembered in
    /// the log: the same proposals keep the window they were given first.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub open_for: Option<Duration>,
    /// Partitions of each ballots topic, at most 1024 [default: 4]. Given again for a proposal that is there already, its
    /// topic gets as many if it has fewer; partitions are never taken away, nor added in the last two minutes.
    #[arg(long, value_name = "NUMBER")]
    pub partitions: Option<u32>,
    /// Verdict lanes of each proposal made now; fixed for its life.
    #[arg(long, default_value_t = 4)]
    pub lanes: u16,
}

/// The platform a client talks to.
#[derive(Debug, Clone, Args)]
pub struct PlatformArgs {
    /// Base URL of the platform: of the edge, where ballots are posted.
    #[arg(long, env = "PNYX_URL", default_value = URL_DEFAULT)]
    pub url: String,
    /// Base URL of the read API, where it is another one [default: as --url].
    #[arg(long, env = "PNYX_READ_URL", value_name = "URL")]
    pub read_url: Option<String>,
}

/// Arguments of `pnyx vote`.
#[derive(Debug, Args)]
#[command(
    after_help = "Choices are numbers or texts. One choice: 1 or For. Several (approval, rankings): 1,3 or a JSON list. \
Weights: For=2,Against=1 or a JSON object.\n\nExit code 0: acknowledged (with --wait: counted). 1: refused, rejected, or no \
power.\n\nExamples:\n  pnyx vote grants-round --choice 1 --demo-wallet 3 --wait\n  \
pnyx vote council-seats --choice 3,1,2 --key-file alice.key"
)]
pub struct VoteArgs {
    /// The proposal: its name, namespace/name, or id.
    pub proposal: String,
    /// What to vote for.
    #[arg(long)]
    pub choice: String,
    /// The wallet that signs.
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// A reason that everybody can read.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Wait until the ballot is counted, or rejected.
    #[arg(long)]
    pub wait: bool,
    /// Where to save the receipt; by default `receipt-<digest>.json` in the current directory.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Sign and send even if the wallet has no power.
    #[arg(long)]
    pub force: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The platform.
    #[command(flatten)]
    pub platform: PlatformArgs,
}

/// The wallet that signs.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct WalletArgs {
    /// A file with a private key as 64 hexadecimal digits; without any wallet option the file that `PNYX_KEY_FILE` names.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// An encrypted keystore (Web3 Secret Storage); the password comes from `PNYX_KEYSTORE_PASSWORD` or a prompt.
    #[arg(long, value_name = "FILE")]
    pub keystore: Option<PathBuf>,
    /// One of the sixteen public demo wallets of examples/README.md (0 to 15): no secret, never of value.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=15))]
    pub demo_wallet: Option<u8>,
}

/// Arguments of `pnyx load`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: everything served equals the expectation, to the unit. 1: a difference.\n\nExample:\n  \
pnyx load --ballots 100000 --seed 7 --rate 5000"
)]
pub struct LoadArgs {
    /// How many ballots to send, faults and repetitions included.
    #[arg(long, default_value_t = 10_000)]
    pub ballots: u64,
    /// Everything about the ballots follows from this number and the proposals.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Ballots a second, sent on time whether or not answers came back; without it, as fast as answers come.
    #[arg(long)]
    pub rate: Option<u32>,
    /// Connections at once.
    #[arg(long, default_value_t = 64)]
    pub connections: u16,
    /// Only these proposals (name or id; repeatable); by default all that are open.
    #[arg(long = "proposal", value_name = "PROPOSAL")]
    pub proposals: Vec<String>,
    /// Give a ballot up that is still not acknowledged after this time. By default it is sent again, the same bytes, until
    /// it is acknowledged or the window is over.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub resend_for: Option<Duration>,
    /// Append each receipt to this file, a JSON line each.
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
    /// How long the platform may take, after the last answer, to count everything it acknowledged.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = parse_duration)]
    pub counted_within: Duration,
    /// Wait until the results are published, and compare those as well.
    #[arg(long)]
    pub until_final: bool,
    /// Print JSON instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Base URL of the edge.
    #[arg(long, env = "PNYX_URL", default_value = URL_DEFAULT)]
    pub url: String,
    /// Base URL of the read API, where it is another [default: that of --url]. Repeat it to compare several replicas.
    #[arg(long, env = "PNYX_READ_URL", value_name = "URL", value_delimiter = ',')]
    pub read_url: Vec<String>,
}

/// Arguments of `pnyx audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "A proposal that reads chains has in its archive what these said of each voter, and of each signature that no key made, at the pinned blocks. Without --chain that \
is believed as the platform signed it. With an endpoint of each of its chains it is looked up again: first that the pinned block is the one \
that the proposal's rule names, then every voter's power and what contracts make of signatures. This needs nodes that keep the state of \
that block.\n\nExit code 0: valid. \
1: the archive or a receipt contradicts itself, or the chains contradict it; the first wrong thing is named. 2: it could not be \
audited, because something could not be read or an endpoint did not answer.\n\nExamples:\n  \
pnyx audit archive.jsonl --receipt receipt-*.json\n  pnyx audit archive.jsonl --chain 1=https://node.example --chain 10=file:optimism.url"
)]
pub struct AuditArgs {
    /// An archive: a file, `-` for standard input, or a URL such as <URL>/v1/proposals/<id>/archive.
    pub archive: String,
    /// Receipts that must be in it: files of one receipt, or of one JSON receipt a line.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub receipt: Vec<PathBuf>,
    /// The platform's key (address) that must have signed the result and the receipts; else the archive's is believed.
    #[arg(long, value_name = "ADDRESS")]
    pub key: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The chains.
    #[command(flatten)]
    pub chains: ChainsArgs,
}

/// Commands of `pnyx receipt`.
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check a receipt's Merkle path and signature, offline.
    Verify(ReceiptVerifyArgs),
}

/// Arguments of `pnyx receipt verify`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 0: all are valid. 1: one is not.")]
pub struct ReceiptVerifyArgs {
    /// Files of one receipt, or of one JSON receipt a line.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// The platform's key (address), as its /v1/keys shows it.
    #[arg(long, value_name = "ADDRESS")]
    pub key: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `pnyx simulate`.
#[derive(Debug, Args)]
#[command(after_help = "The curve is a CSV, `second,ballots_per_second[,broker]`, or JSON lines, \
{\"second\": 0, \"ballotsPerSecond\": 250}. Seconds count from window.opensAt; a rate holds until the next line says \
otherwise, up to the close. The broker is `up` or `away`; while it is away nothing is written, verified or known, and voters send \
again once it is back. Lines that begin with # say nothing.\n\nThe planner is the operator's own. Topic, shards and their \
starts are reckoned second by second with the numbers below, without chance: the same files give the same output.\n\nExit code 0: \
all ballots were verified as they came by the close, and drained after it. 1: they were not. 2: a file could not be read.\n\n\
Examples:\n  pnyx simulate --arrivals examples/simulate/spike.csv --spec examples/simulate/proposal.yaml --svg spike.svg\n  \
pnyx simulate --arrivals curve.csv --spec vote.yaml --rate-per-shard 8000 --start-up 90s --hot-partition-percent 30")]
pub struct SimulateArgs {
    /// What arrives when.
    #[arg(long, value_name = "FILE")]
    pub arrivals: PathBuf,
    /// A GovernanceProposal; its `spec.window` and `spec.scaling` are tried.
    #[arg(long, value_name = "FILE")]
    pub spec: PathBuf,
    /// Print JSON: every decision with its inputs, candidates and limit, and every change of the cluster.
    #[arg(long)]
    pub json: bool,
    /// Draw arrivals, backlog and shards over time into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// What one shard really verifies, in ballots per second [default: as spec.scaling.ratePerShard].
    #[arg(long, value_name = "NUMBER")]
    pub rate_per_shard: Option<u64>,
    /// From asking for a shard until it works.
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = parse_duration)]
    pub start_up: Duration,
    /// How long all shards stand still when one comes or goes, or partitions are added.
    #[arg(long, default_value = "3s", value_name = "DURATION", value_parser = parse_duration)]
    pub rebalance_pause: Duration,
    /// How long after a ballot is verified that is committed.
    #[arg(long, default_value = "1s", value_name = "DURATION", value_parser = parse_duration)]
    pub commit_lag: Duration,
    /// How often the operator looks while ballots may come: 1s to 15s.
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = parse_sample_every)]
    pub sample_every: Duration,
    /// Which part of all ballots goes to the first partition, before the rest is spread evenly.
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub hot_partition_percent: u8,
    /// By how much the operator's measurements err at most, to either side.
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=50))]
    pub noise_percent: u8,
    /// What these errors are drawn from: the same number gives the same ones.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub noise_seed: u64,
}

/// Arguments of `pnyx completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `pnyx man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory; created if missing.
    pub directory: PathBuf,
}

fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("{other:?} is not text or json")),
    }
}

/// Shortest grace: half of it bounds an append, and a busy disk needs some hundred milliseconds now and then.
const GRACE_MIN: Duration = Duration::from_secs(1);

fn parse_grace(text: &str) -> Result<Duration, String> {
    let grace = parse_duration(text)?;
    if grace < GRACE_MIN {
        Err("must be at least 1s: half of it is how long an append may take".to_owned())
    } else {
        Ok(grace)
    }
}

fn parse_sample_every(text: &str) -> Result<Duration, String> {
    let every = parse_duration(text)?;
    let fresh = Duration::from_millis(pnyx_core::scaling::FRESH_MS);
    if every.subsec_nanos() != 0 || every > fresh {
        return Err(format!("must be whole seconds, at most {} s, after which a sample is too old", fresh.as_secs()));
    }
    Ok(every)
}

/// Reads `90s`, `10m`, `2h`, `1h30m` or `250ms`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|error| format!("expected a duration such as 90s, 10m or 2h: {error}"))?;
    let duration = Duration::try_from(span).map_err(|_| "must not be negative".to_owned())?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}
