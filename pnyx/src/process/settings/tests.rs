//! Which of flag, file and default counts, and what is said where nothing does.

use std::path::Path;

use clap::{Arg, Args, Command, CommandFactory as _};
use expect_test::{Expect, expect};

use super::{super::archive, *};
use crate::cli::{Cli, process::RecountArgs};

/// What the process gets from these flags and this file, if anything is in it.
fn parse<A: Args>(flags: &[&str]) -> A {
    let command = A::augment_args(Command::new("test"));
    let matches = command.try_get_matches_from(std::iter::once(&"test").chain(flags)).unwrap();
    A::from_arg_matches(&matches).unwrap()
}

fn file_of(text: &str) -> ConfigFile {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pnyx.yaml");
    std::fs::write(&path, text).unwrap();
    ConfigFile::load(&path).unwrap()
}

fn check_error<T: std::fmt::Debug>(result: anyhow::Result<T>, expected: Expect) {
    expected.assert_eq(&format!("{:#}", result.unwrap_err()));
}

#[test]
fn a_flag_counts_more_than_the_file_and_that_more_than_the_default() {
    let file =
        "{listen: '0.0.0.0:9000', drainLimit: 40s, kafka: {bootstrapServers: [a:1], topicPrefix: f, lingerMs: 2}}";
    let flags = ["--kafka", "b:2,c:3", "--kafka-linger-ms", "0.25"];
    for (flags, file, expected) in [
        (&[][..], "kafka: {bootstrapServers: [a:1]}", ("a:1", "pnyx", 500)),
        (&[][..], file, ("a:1", "f", 2_000)),
        (&flags, file, ("b:2,c:3", "f", 250)),
    ] {
        let config = kafka(&parse(flags), &file_of(file), "test").unwrap();
        let found = (config.bootstrap_servers.as_str(), config.topic_prefix.as_str(), config.linger.as_micros());
        assert_eq!(found, expected, "{flags:?} {file}");
    }
    let at = |flags: &[&str], file| serving(&parse(flags), &file_of(file), 8082);
    let seconds = Duration::from_secs;
    let expected = |listen: &str, limit| Serving { listen: listen.parse().unwrap(), drain_limit: seconds(limit) };
    assert_eq!(at(&[], ""), expected("127.0.0.1:8082", 25));
    assert_eq!(at(&[], file), expected("0.0.0.0:9000", 40));
    assert_eq!(at(&["--listen", "127.0.0.1:0", "--drain-limit", "15s"], file), expected("127.0.0.1:0", 15));
}

#[test]
fn one_kind_of_redis_is_named_and_flags_replace_the_file_s() {
    let address = |flags: &[&str], file: &str| redis(&parse(flags), &file_of(file)).map(|config| config.address);
    let single = |text: &str| RedisAddress::Single(text.parse().unwrap());
    let cluster = "redis: {cluster: {addresses: ['n:1']}}";
    assert_eq!(address(&["--redis", "a"], cluster).unwrap(), single("a:6379"));
    assert_eq!(address(&[], cluster).unwrap(), RedisAddress::Cluster { nodes: vec!["n:1".parse().unwrap()] });
    let sentinel = RedisAddress::Sentinel {
        master: "m".to_owned(),
        sentinels: vec!["s:1".parse().unwrap(), "t:2".parse().unwrap()],
        password_file: None,
    };
    assert_eq!(address(&["--redis-sentinel", "s:1,t:2", "--redis-master", "m"], cluster).unwrap(), sentinel);
    assert_eq!(address(&[], "redis: {sentinel: {master: m, addresses: ['s:1', 't:2']}}").unwrap(), sentinel);

    check_error(
        address(&[], ""),
        expect!["redis.address: is required (or redis.sentinel, redis.cluster, --redis, PNYX_REDIS)"],
    );
    check_error(
        address(&[], "redis: {address: a, cluster: {addresses: [b]}}"),
        expect!["redis: address, sentinel and cluster exclude each other"],
    );
    check_error(
        address(&["--redis", "a", "--redis-cluster", "b"], ""),
        expect!["redis: address, sentinel and cluster exclude each other"],
    );
    check_error(
        address(&["--redis-sentinel", "a"], ""),
        expect!["redis.sentinel.master: is required (or --redis-master)"],
    );
    check_error(address(&[], "redis: {sentinel: {master: m}}"), expect!["redis.sentinel.addresses: is required"]);
}

#[test]
fn tls_is_on_where_anything_is_said_about_it() {
    let config = |flags: &[&str], file: &str| kafka(&parse(flags), &file_of(file), "test").map(|config| config.tls);
    let servers = "bootstrapServers: [a:1]";
    let flags = |more: &[&'static str]| [&["--kafka", "a:1"], more].concat();
    assert_eq!(config(&flags(&[]), "").unwrap(), None);
    let system = Some(KafkaTls { ca_file: None, client: None });
    assert_eq!(config(&flags(&["--kafka-tls"]), "").unwrap(), system);
    assert_eq!(config(&[], &format!("kafka: {{{servers}, tls: {{}}}}")).unwrap(), system);
    let own = config(&flags(&["--kafka-tls-ca-file", "ca.pem"]), "kafka: {tls: {caFile: /other.pem}}").unwrap();
    assert_eq!(own, Some(KafkaTls { ca_file: Some("ca.pem".into()), client: None }));
    assert_eq!(config(&flags(&["--kafka-tls=false"]), "kafka: {tls: {caFile: ca.pem}}").unwrap(), None);
    check_error(
        config(&flags(&["--kafka-tls-key-file", "k"]), ""),
        expect!["kafka.tls: certificateFile and keyFile go together"],
    );
}

#[test]
fn a_user_has_a_password_in_a_file() {
    let sasl = |flags: &[&str]| kafka(&parse(flags), &ConfigFile::default(), "test").map(|config| config.sasl);
    let named = ["--kafka", "a:1", "--kafka-sasl-username", "u", "--kafka-sasl-password-file", "p"];
    let found = sasl(&named).unwrap().unwrap();
    assert_eq!((found.mechanism, found.password_file.as_path()), (SaslMechanism::ScramSha512, Path::new("p")));
    check_error(sasl(&named[..4]), expect!["kafka.sasl: username and passwordFile go together"]);
    check_error(
        sasl(&["--kafka", "a:1", "--kafka-sasl-mechanism", "PLAIN"]),
        expect!["kafka.sasl: username and passwordFile go together"],
    );
}

#[test]
fn the_edge_gives_up_well_before_the_cut() {
    let config = |flags: &[&str], grace_s| edge(&parse(flags), &ConfigFile::default(), Duration::from_secs(grace_s));
    assert_eq!(config(&[], 5).unwrap(), IngestConfig::default());
    assert_eq!(config(&[], 2).unwrap().append_wait_max, Duration::from_secs(1));
    let limited = config(&["--requests-per-second-per-address", "20", "--trusted-proxy", "10.0.0.0/8"], 5).unwrap();
    let limit = limited.rate_limit.unwrap();
    assert_eq!((limit.requests_per_second.get(), limit.trusted_proxies.len()), (20, 1));
    check_error(
        config(&["--trusted-proxy", "10.0.0.0/8"], 5),
        expect!["ingest.trustedProxies: says nothing without ingest.requestsPerSecondPerAddress"],
    );
}

#[test]
fn what_is_required_says_how_to_give_it() {
    let nothing = ConfigFile::default();
    check_error(
        kafka(&parse(&[]), &nothing, "test"),
        expect!["kafka.bootstrapServers: is required (or --kafka, PNYX_KAFKA)"],
    );
    check_error(
        domain(None, &nothing),
        expect!["domain: is required (or --domain, PNYX_DOMAIN): it is part of every proposal's id"],
    );
    check_error(
        signing_key_file(&parse(&[]), &nothing),
        expect![
            "signingKeyFile: is required (or --signing-key-file, PNYX_SIGNING_KEY_FILE): a file with 0x and 64 hexadecimal digits that nobody but its owner and its group may read; make one with (umask 077; echo 0x$(openssl rand -hex 32) > platform.key)"
        ],
    );
    assert_eq!(domain(Some("flag"), &file_of("domain: file")).unwrap(), "flag");
    assert_eq!(domain(None, &file_of("domain: file")).unwrap(), "file");
}

/// clap lets flags count more than the environment; here it is enough that each has a variable of its own.
#[test]
fn every_flag_has_its_variable() {
    let cli = Cli::command();
    let mut seen = BTreeMap::<String, String>::new();
    for name in ["ingest", "verifier", "tally", "recount", "operator", "propose"] {
        let command = cli.find_subcommand(name).unwrap();
        // What is asked of one run, or of proposals, is not a setting of the process.
        let asked = ["wait", "pin", "only_try", "json", "open_for", "partitions", "lanes", "help"];
        let settings = command.get_arguments().filter(|argument| !argument.is_positional());
        for argument in settings.filter(|argument| !asked.contains(&argument.get_id().as_str())) {
            let variable =
                argument.get_env().unwrap_or_else(|| panic!("{name} --{} has no variable", argument.get_id()));
            let variable = variable.to_str().unwrap().to_owned();
            assert!(variable.starts_with("PNYX_"), "{variable}");
            let flag = Arg::get_long(argument).unwrap().to_owned();
            assert_eq!(
                *seen.entry(variable.clone()).or_insert_with(|| flag.clone()),
                flag,
                "{variable} means two things"
            );
        }
    }
    assert!(seen.contains_key("PNYX_KAFKA") && seen.contains_key("PNYX_REDIS"), "{seen:?}");
}

#[test]
fn no_flag_takes_a_secret() {
    let recount = RecountArgs::augment_args(Command::new("recount"));
    let secrets = recount.get_arguments().map(|argument| argument.get_id().as_str());
    let bare = secrets.filter(|id| (id.contains("password") || id.contains("key")) && !id.ends_with("_file"));
    assert_eq!(bare.collect::<Vec<_>>(), ["redis_key_prefix"]);
}

#[test]
fn the_example_file_is_understood_and_its_comments_too() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/processes/pnyx.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let file = ConfigFile::load(Path::new(path)).unwrap();
    kafka(&parse(&[]), &file, "test").unwrap();
    redis(&parse(&[]), &file).unwrap();
    edge(&parse(&[]), &file, grace(&parse(&[]), &file)).unwrap();
    assert_eq!(domain(None, &file).unwrap(), "example");

    // With every field that only stands in a comment, less the Redis address of which there is one kind.
    let is_field = |line: &str| line.split_once(':').is_some_and(|(name, _)| !name.contains(' ') && !name.is_empty());
    let shown = text.lines().map(|line| match line.split_once("# ") {
        Some((indent, rest)) if indent.trim().is_empty() && is_field(rest.trim_start().trim_start_matches("- ")) => {
            format!("{indent}{rest}\n")
        }
        Some(_) | None => format!("{line}\n"),
    });
    let shown: String = shown.filter(|line| !line.starts_with("  address:")).collect();
    let file = file_of(&shown);
    assert!(file.listen.is_some() && file.shards.is_some() && file.ingest.trusted_proxies.is_some(), "{shown}");
    assert!(kafka(&parse(&[]), &file, "test").unwrap().sasl.is_some());
    let endpoints = file.chains.iter().flatten().flat_map(|chain| &chain.endpoints);
    assert_eq!(endpoints.map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>(), ["own", "provider", "spare"]);
    check_error(archive::place(&file.archive), expect!["archive: folder and s3 exclude each other"]);
    check_error(redis(&parse(&[]), &file), expect!["redis: address, sentinel and cluster exclude each other"]);
}

#[test]
fn what_the_operator_writes_is_understood() {
    // The user's name comes from a variable.
    let user = ["--kafka-sasl-username", "pnyx"];
    for (case, flags, chain_names) in
        [("minimal", &[][..], &[][..]), ("claim", &[], &[]), ("full", &user[..], &["own", "provider", "own"][..])]
    {
        let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/../operator/tests/children");
        let file = ConfigFile::load(Path::new(&format!("{cases}/{case}/golden/pnyx.yaml"))).unwrap();
        let log = kafka(&parse(flags), &file, "test").unwrap();
        let store = redis(&parse(&[]), &file).unwrap();
        edge(&parse(&[]), &file, grace(&parse(&[]), &file)).unwrap();
        assert_eq!(serving(&parse(&[]), &file, 8080).drain_limit, Duration::from_secs(25), "{case}");
        assert_eq!(signing_key_file(&parse(&[]), &file).unwrap(), Path::new("/etc/pnyx/secrets/signing-key"));
        assert!(domain(None, &file).is_ok());
        let endpoints = file.chains.iter().flatten().flat_map(|chain| &chain.endpoints);
        assert_eq!(endpoints.map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>(), chain_names, "{case}");
        let is_full = case == "full";
        assert_eq!((log.tls.is_some(), log.sasl.is_some()), (is_full, is_full), "{case}");
        assert_eq!(matches!(store.address, RedisAddress::Sentinel { .. }), is_full, "{case}");
        assert_eq!((file.archive.folder.is_some(), file.archive.s3.is_some()), (case == "claim", is_full), "{case}");
        let traces = (file.otlp.endpoint.is_some(), file.otlp.sample.is_some(), file.otlp.headers_file.is_some());
        assert_eq!(traces, (is_full, is_full, is_full), "{case}");
    }
}
