//! The platform behind TLS, passwords and rights: a vote goes through to the published result with the fewest rights that
//! are enough, and its archive into a bucket; what is wrong ends a process within ten seconds with its cause; no secret is in
//! anything they say.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use pnyx_testbed::{
    Authority, Issued, KafkaCluster, KafkaOperation as May, KafkaOptions, KafkaResource, Listener, Port, Process,
    RedisOptions, RedisServer,
    s3::{S3Options, S3Server},
};
use tempfile::TempDir;

use crate::common::{
    ballots::{Target, now_s},
    get_json, http,
    pipeline::{GRACE_MAX, READY_WAIT_MAX, Role},
    pnyx,
    proposals::{Window, write_plain},
    settings,
};

/// Within this a process that cannot start is to have said why: a person waits for no longer. Printed, not asserted.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);
/// The same on a machine that compiles beside.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(40);
/// How long the proposal is open: time to learn of it and to vote on a busy machine.
const OPEN_S: i64 = 30;
/// How long the result may take after the last ballot: the rest of the window, grace, drain, recount.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(150);
/// Ballots that are cast.
const BALLOTS: u64 = 3;

/// Passwords, right and wrong. None of them is part of any other word.
const KAFKA_PASSWORD: &str = "down-the-rabbit-hole";
const REDIS_PASSWORD: &str = "open-sesame-42";
const WRONG_PASSWORD: &str = "guess-who-knocks";

/// What a user of Kafka may do so that a platform works: everything with its topics but to delete them or to change their
/// settings, its groups, and a look at the brokers' settings.
const PLATFORM_MAY: [May; 6] = [May::Create, May::Describe, May::DescribeConfigs, May::Read, May::Write, May::Alter];

/// What a user of Redis may do so that a platform works, as the documentation of the store lists it.
const REDIS_RIGHTS: &str = "resetkeys ~pnyx:1:* resetchannels &pnyx:1:changes -@all +info +ping +fcall +function|load \
    +multi +exec +get +mget +set +getrange +setrange +bitfield +hset +hget +hmget +hgetall +hscan +hlen +hincrby +hdel \
    +zadd +zcard +zrangebylex +rename +unlink +expire +persist +time +publish +subscribe +unsubscribe";

/// The one right that a user of Redis lacks, and words that name it.
const REDIS_RIGHT_MISSING: (&str, &str) = ("+fcall ", "fcall");

/// Commands that run as processes.
const ROLES: [Role; 4] = [Role::Ingest, Role::Verifier, Role::Tally, Role::Recount];

/// How a process gets to Kafka and Redis.
#[derive(Clone)]
struct Access {
    kafka_ca: PathBuf,
    kafka_user: &'static str,
    kafka_password: &'static str,
    redis_ca: PathBuf,
    redis_user: &'static str,
    redis_password: &'static str,
}

/// The servers and what is known of them.
struct Servers {
    kafka: KafkaCluster,
    redis: RedisServer,
    archives: S3Server,
    /// Whose certificate the bucket's server shows.
    archives_ca: PathBuf,
    /// What processes show as their own certificate.
    own: Issued,
    folder: TempDir,
    /// Nothing of this may be in what processes say.
    secrets: Vec<String>,
}

/// A process that runs, or ran.
struct Running {
    role: Role,
    url: String,
    process: Process,
    started: Instant,
    _port: Port,
}

/// Something that is wrong, and in which words it is told.
struct Wrong {
    what: &'static str,
    access: Access,
    words: [&'static str; 2],
    /// Whether only those notice that talk to Redis.
    is_of_redis: bool,
}

/// A good platform, and beside it processes with something wrong.
pub(crate) fn run() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let servers = Servers::start(&authority);
    let good = Access {
        kafka_ca: authority.certificate().to_owned(),
        kafka_user: "pnyx",
        kafka_password: KAFKA_PASSWORD,
        redis_ca: authority.certificate().to_owned(),
        redis_user: "pnyx",
        redis_password: REDIS_PASSWORD,
    };
    let config = servers.write_config("good", &good);
    let mut running: Vec<Running> = ROLES.iter().map(|role| servers.spawn(*role, &config, "good")).collect();
    running.iter_mut().for_each(|member| servers.wait_until_ready(member, &config));
    let reads = running.iter().find(|running| running.role == Role::Tally).unwrap().url.clone();
    let target = propose(&servers, &config, &reads);
    vote(&running[0].url, &reads, &target);

    for wrong in wrongs(&good, stranger.certificate()) {
        is_refused(&servers, &wrong);
    }

    http::poll("the result", RESULT_WAIT_MAX, || {
        http::try_json(&format!("{reads}/v1/proposals/{}", target.id)).filter(|proposal| proposal["phase"] == "final")
    });
    let result = get_json(&format!("{reads}/v1/proposals/{}/result", target.id));
    assert_eq!(result["core"]["ballots"], BALLOTS, "{result}");
    let recount = running.iter().find(|running| running.role == Role::Recount).unwrap();
    is_in_the_bucket(&servers, recount, &reads, &target);
    for member in &mut running {
        for path in ["readyz", "metrics"] {
            let answer = http::try_get(&format!("{}/{path}", member.url)).unwrap();
            assert!(answer.is_success(), "{answer:?}");
            servers.assert_no_secret(&format!("/{path} of {}", member.role.name()), &answer.body);
        }
        member.process.sigterm().unwrap();
    }
    for member in &mut running {
        let status = member.process.wait(GRACE_MAX).unwrap();
        let log = fs::read_to_string(member.process.log()).unwrap();
        assert!(status.success(), "{} ended with {status}\n{log}", member.role.name());
        servers.assert_no_secret(member.role.name(), &log);
    }
    println!("secure: {BALLOTS} ballots over TLS, SCRAM and ACLs to the published result");
}

/// The archive is stored soon after the result, and from then on the bucket's bytes are what is served.
fn is_in_the_bucket(servers: &Servers, recount: &Running, reads: &str, target: &Target) {
    let file = servers.archives.folder().join(format!("votes/{}.jsonl", target.id));
    http::poll("the stored archive", READY_WAIT_MAX, || {
        let log = fs::read_to_string(recount.process.log()).unwrap();
        log.contains("the archive is stored and valid").then_some(())
    });
    let url = format!("{reads}/v1/proposals/{}/archive", target.id);
    let served = |kept: &[u8]| http::try_get(&url).is_some_and(|answer| answer.body.as_bytes() == kept);
    let kept = fs::read(&file).unwrap();
    assert!(served(&kept), "what is made from the log is what was stored");
    // As many bytes as were stored, and one of them another.
    let mut damaged = kept.clone();
    damaged[kept.len() / 2] ^= 1;
    fs::write(&file, damaged).unwrap();
    http::poll("what is in the bucket", READY_WAIT_MAX, || {
        let output = pnyx().args(["audit", &url]).output().unwrap();
        let said = crate::common::everything(&output);
        (!output.status.success() && !served(&kept)).then_some(said)
    });
    fs::write(&file, kept).unwrap();
}

/// Everything that may be wrong with an access.
fn wrongs(good: &Access, stranger: &Path) -> Vec<Wrong> {
    let good = || good.clone();
    let kafka = |what, access, words| Wrong { what, access, words, is_of_redis: false };
    let redis = |what, access, words| Wrong { what, access, words, is_of_redis: true };
    let not_accepted = "does not accept the credentials";
    let refused = "refuses the user or the password";
    let rights = "the Redis user has not all rights it needs";
    vec![
        kafka(
            "another's authority for Kafka",
            Access { kafka_ca: stranger.to_owned(), ..good() },
            ["TLS with a broker", "certificate verify failed"],
        ),
        kafka(
            "a wrong password for Kafka",
            Access { kafka_password: WRONG_PASSWORD, ..good() },
            [not_accepted, "uthentication"],
        ),
        kafka("no rights in Kafka", Access { kafka_user: "nobody", ..good() }, ["pnyx.proposals", "uthorization"]),
        kafka("no right to write in Kafka", Access { kafka_user: "reader", ..good() }, ["uthorization", "failed"]),
        redis(
            "another's authority for Redis",
            Access { redis_ca: stranger.to_owned(), ..good() },
            ["cannot connect to Redis", "certificate"],
        ),
        redis(
            "a wrong password for Redis",
            Access { redis_password: WRONG_PASSWORD, ..good() },
            [refused, "Password authentication failed"],
        ),
        redis("a missing right in Redis", Access { redis_user: "weak", ..good() }, [rights, REDIS_RIGHT_MISSING.1]),
    ]
}

/// Every process that it concerns ends in time, with exit code 2, the cause, and no secret.
fn is_refused(servers: &Servers, wrong: &Wrong) {
    let name = wrong.what.replace(' ', "-");
    let config = servers.write_config(&name, &wrong.access);
    let roles = ROLES.iter().filter(|role| role.uses_redis() || !wrong.is_of_redis);
    let mut started: Vec<Running> = roles.map(|role| servers.spawn(*role, &config, &name)).collect();
    let mut slowest = Duration::ZERO;
    let mut causes = Vec::new();
    for running in &mut started {
        let left = REFUSED_WAIT_MAX.saturating_sub(running.started.elapsed());
        let status = running.process.wait(left).unwrap();
        slowest = slowest.max(running.started.elapsed());
        let log = fs::read_to_string(running.process.log()).unwrap();
        assert_eq!(status.code(), Some(2), "{} with {}:\n{log}", running.role.name(), wrong.what);
        causes.push(log);
    }
    if !wrong.is_of_redis {
        let file = write_plain("never", Window::around_now(1, 600), servers.folder.path());
        let began = Instant::now();
        let output = propose_command(&config, &file).output().unwrap();
        slowest = slowest.max(began.elapsed());
        assert_eq!(output.status.code(), Some(2), "propose with {}", wrong.what);
        causes.push(crate::common::everything(&output));
    }
    assert!(slowest < REFUSED_WAIT_MAX, "{} was told only after {slowest:?}", wrong.what);
    let verdict = if slowest < REFUSED_WITHIN { "in time" } else { "too late" };
    for cause in &causes {
        let last = cause.trim_end().lines().next_back().unwrap_or_default();
        assert!(wrong.words.iter().all(|words| last.contains(words)), "{} is told as:\n{cause}", wrong.what);
        servers.assert_no_secret(wrong.what, cause);
    }
    let told = causes[0].trim_end().lines().next_back().unwrap_or_default().to_owned();
    println!(
        "secure: {}: {} processes ended, the last after {slowest:.1?}, {verdict}: {told}",
        wrong.what,
        causes.len()
    );
}

impl Servers {
    fn start(authority: &Authority) -> Self {
        let issued = authority.issue("localhost").unwrap();
        let own = authority.issue("pnyx").unwrap();
        let options = KafkaOptions::one()
            .tls(&issued)
            .scram_user_without_rights("pnyx", KAFKA_PASSWORD)
            .scram_user_without_rights("reader", KAFKA_PASSWORD)
            .scram_user_without_rights("nobody", KAFKA_PASSWORD);
        let kafka = KafkaCluster::start(options).unwrap();
        let read_only = [May::Describe, May::DescribeConfigs, May::Read];
        for (user, operations) in [("pnyx", &PLATFORM_MAY[..]), ("reader", &read_only)] {
            kafka.allow(user, KafkaResource::Topics("pnyx."), operations).unwrap();
            kafka.allow(user, KafkaResource::Groups("pnyx."), &[May::Read]).unwrap();
            kafka.allow(user, KafkaResource::Cluster, &[May::DescribeConfigs]).unwrap();
        }
        let weak = REDIS_RIGHTS.replace(REDIS_RIGHT_MISSING.0, "");
        let options = RedisOptions::new().mutual_tls(&issued).user("pnyx", REDIS_PASSWORD, REDIS_RIGHTS).user(
            "weak",
            REDIS_PASSWORD,
            &weak,
        );
        let redis = RedisServer::start(options).unwrap();
        let archives = S3Server::start(S3Options::new().tls(&issued)).unwrap();
        let archives_ca = authority.certificate().to_owned();
        let folder = tempfile::tempdir().unwrap();
        settings::write_secrets(folder.path());
        fs::write(folder.path().join("s3.id"), archives.access_key_id()).unwrap();
        fs::write(folder.path().join("s3.key"), format!("{}\n", archives.secret_access_key())).unwrap();
        let key = fs::read_to_string(own.key()).unwrap();
        let key_lines = key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned);
        let mut secrets: Vec<String> = key_lines.collect();
        secrets.extend([KAFKA_PASSWORD, REDIS_PASSWORD, WRONG_PASSWORD].map(str::to_owned));
        let signing_key = fs::read_to_string(folder.path().join("platform.key")).unwrap();
        secrets.push(archives.secret_access_key().to_owned());
        secrets.push(signing_key.trim().trim_start_matches("0x").to_owned());
        Self { kafka, redis, archives, archives_ca, own, folder, secrets }
    }

    /// The configuration file, with the files of its passwords beside it.
    fn write_config(&self, name: &str, access: &Access) -> PathBuf {
        let folder = self.folder.path();
        for (system, password) in [("kafka", access.kafka_password), ("redis", access.redis_password)] {
            let file = folder.join(format!("{name}.{system}.password"));
            fs::write(&file, format!("{password}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let own =
            format!("certificateFile: {}, keyFile: {}", self.own.certificate().display(), self.own.key().display());
        let text = format!(
            "domain: {domain}
signingKeyFile: platform.key
kafka:
  bootstrapServers: [\"{kafka}\"]
  replicationFactor: 1
  minInsyncReplicas: 1
  allowUnsafeDurability: true
  tls: {{caFile: {kafka_ca}, {own}}}
  sasl: {{username: {kafka_user}, passwordFile: {name}.kafka.password}}
redis:
  address: \"{redis}\"
  username: {redis_user}
  passwordFile: {name}.redis.password
  tls: {{caFile: {redis_ca}, {own}}}
archive:
  s3:
    endpoint: {archives}
    bucket: {bucket}
    prefix: votes
    accessKeyIdFile: s3.id
    secretAccessKeyFile: s3.key
    caFile: {archives_ca}
",
            domain = settings::DOMAIN,
            kafka = self.kafka.bootstrap_of(Listener::ScramTls),
            kafka_ca = access.kafka_ca.display(),
            kafka_user = access.kafka_user,
            redis = self.redis.tls_address(),
            redis_user = access.redis_user,
            redis_ca = access.redis_ca.display(),
            archives = self.archives.endpoint(),
            bucket = self.archives.bucket(),
            archives_ca = self.archives_ca.display(),
        );
        let file = folder.join(format!("{name}.yaml"));
        fs::write(&file, text).unwrap();
        file
    }

    /// Starts a process.
    fn spawn(&self, role: Role, config: &Path, name: &str) -> Running {
        let port = Port::reserve().unwrap();
        let url = format!("http://{}", port.address());
        let log = self.folder.path().join(format!("{name}-{}.log", role.name()));
        let started = Instant::now();
        let process = Process::spawn(role.name(), &command(role, config, &url), &log).unwrap();
        Running { role, url, process, started, _port: port }
    }

    /// Starts it again if it ends, as whatever supervises it would: a machine that stands still for some seconds has it
    /// say that the servers do not answer.
    fn wait_until_ready(&self, running: &mut Running, config: &Path) {
        let start = Instant::now();
        while !http::try_get(&format!("{}/readyz", running.url)).is_some_and(|answer| answer.is_success()) {
            let (name, log) = (running.role.name(), running.process.log_tail());
            assert!(start.elapsed() < READY_WAIT_MAX, "{name} is not ready\n{log}");
            if running.process.status().unwrap().is_some() {
                let log = running.process.log().to_owned();
                running.process = Process::spawn(name, &command(running.role, config, &running.url), &log).unwrap();
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn assert_no_secret(&self, whose: &str, text: &str) {
        assert!(!text.trim().is_empty(), "{whose} said nothing, which shows nothing");
        for secret in &self.secrets {
            // The secret itself is not repeated in what a test prints.
            assert!(!text.contains(secret.as_str()), "a secret of {} characters is in {whose}", secret.len());
        }
    }
}

/// The command of a process that says all it can.
fn command(role: Role, config: &Path, url: &str) -> Command {
    let mut command = pnyx();
    command.arg(role.name()).arg("--config").arg(config).args(["--listen", url.trim_start_matches("http://")]);
    command.env("PNYX_LOG", "debug");
    command
}

fn propose_command(config: &Path, file: &Path) -> Command {
    let mut command = pnyx();
    command.arg("propose").arg(file).arg("--config").arg(config).env("PNYX_LOG", "debug");
    command
}

fn propose(servers: &Servers, config: &Path, reads: &str) -> Target {
    let file = write_plain("secure", Window::around_now(1, OPEN_S), servers.folder.path());
    let output = propose_command(config, &file).output().unwrap();
    let said = crate::common::everything(&output);
    assert!(output.status.success(), "{said}");
    servers.assert_no_secret("propose", &said);
    let url = format!("{reads}/v1/proposals/secure");
    Target::from_json(&http::poll("the proposal", READY_WAIT_MAX, || http::try_json(&url)))
}

fn vote(edge: &str, reads: &str, target: &Target) {
    for number in 0..BALLOTS {
        let ballot = target.ballot(&format!("secure {number}"), now_s(), 1);
        http::poll("acceptance of a ballot", READY_WAIT_MAX, || {
            http::post(edge, ballot.body.clone()).filter(http::Answer::is_success)
        });
    }
    http::poll("counting of the ballots", READY_WAIT_MAX, || {
        let proposal = http::try_json(&format!("{reads}/v1/proposals/{}", target.id))?;
        (proposal["tally"]["ballots"] == BALLOTS).then_some(())
    });
}
