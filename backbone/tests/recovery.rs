//! What is left of the embedded log after its process was killed or its newest file was damaged.
//!
//! The process that is killed is this test binary again: it appends and writes down what was acknowledged.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use pnyx_backbone::{
    clock,
    log::{AppendTo, EmbeddedLog, Log, LogRecord, OpenError, Topic},
    telemetry::{self, Metrics},
};
use pnyx_core::{id::ProposalId, time::TimestampMs};

/// Tells the test binary that it is the process to be killed, and where its log is.
const CHILD_DIR: &str = "PNYX_TEST_APPENDER_DIR";

/// How long its records are at most, in bytes.
const CHILD_RECORD_BYTES: &str = "PNYX_TEST_RECORD_BYTES";

/// Partitions of the topic.
const PARTITIONS: u32 = 2;

/// Appends in flight at the same time.
const APPENDERS: u64 = 16;

fn topic() -> Topic {
    Topic::ballots(ProposalId::new([9; 32]))
}

fn open(dir: &Path) -> Log {
    Log::Embedded(EmbeddedLog::open(dir).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_to_be_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        // Run as a test it has nothing to do: the tests below start it as a process.
        return;
    };
    let bytes_max: usize = std::env::var(CHILD_RECORD_BYTES).unwrap().parse().unwrap();
    let log = open(Path::new(&dir));
    log.ensure_topic(&topic(), PARTITIONS).await.unwrap();
    let appenders = (0..APPENDERS).map(|appender| {
        let log = log.clone();
        tokio::spawn(async move {
            for number in 0_usize.. {
                let value = format!("{appender}:{number}:{}", "x".repeat(number % bytes_max));
                let appended = match log.append(&topic(), AppendTo::Any, value.clone().into_bytes()).await {
                    Ok(appended) => appended,
                    Err(error) => {
                        writeln!(std::io::stderr().lock(), "refused: {}", telemetry::chain(&error)).unwrap();
                        let again = log.append(&topic(), AppendTo::Any, value.into_bytes()).await.unwrap_err();
                        panic!("refused again: {}", telemetry::chain(&again));
                    }
                };
                let place = appended.place;
                let line = format!("ack {} {} {} {value}\n", place.partition, place.offset, appended.appended_at.0);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    for appender in appenders.collect::<Vec<_>>() {
        appender.await.unwrap();
    }
}

struct Acknowledged {
    partition: u32,
    offset: u64,
    appended_at: u64,
    value: String,
}

fn parse(line: &str) -> Option<Acknowledged> {
    let (_, rest) = line.split_once("ack ")?;
    let mut fields = rest.splitn(4, ' ');
    let mut number = || fields.next()?.parse::<u64>().ok();
    let (partition, offset, appended_at) = (u32::try_from(number()?).ok()?, number()?, number()?);
    Some(Acknowledged { partition, offset, appended_at, value: fields.next()?.to_owned() })
}

const CHILD_ARGUMENTS: [&str; 3] = ["--exact", "the_process_to_be_killed", "--nocapture"];

fn start_appender(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(CHILD_ARGUMENTS)
        .env(CHILD_DIR, dir)
        .env(CHILD_RECORD_BYTES, "900")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets the appender acknowledge `count` records and kills it in the middle of its work.
fn append_and_kill(dir: &Path, count: usize) -> Vec<Acknowledged> {
    let mut child = start_appender(dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    let mut line = String::new();
    while acknowledged.len() < count {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the appender ended by itself");
        acknowledged.extend(parse(line.trim_end()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it still got out before it died counts as well; its last line may be cut off.
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    acknowledged.extend(whole.lines().filter_map(parse));
    acknowledged
}

async fn read_all(log: &Log) -> Vec<Vec<LogRecord>> {
    let mut partitions = Vec::new();
    for partition in 0..PARTITIONS {
        let mut reader = log.reader(&topic(), partition, 0).unwrap();
        let mut records = Vec::new();
        while reader.position() < log.ends(&topic()).await.unwrap()[partition as usize] {
            records.extend(reader.read_available(usize::MAX).await.unwrap());
        }
        partitions.push(records);
    }
    partitions
}

fn assert_holds(partitions: &[Vec<LogRecord>], acknowledged: &[Acknowledged]) {
    for Acknowledged { partition, offset, appended_at, value } in acknowledged {
        let record = &partitions[*partition as usize][usize::try_from(*offset).unwrap()];
        assert_eq!(record.appended_at.0, *appended_at);
        assert_eq!(record.value, value.as_bytes());
    }
}

/// A limit on the size of files stands for a full disk: the engine's journal, which has this size from the start, cannot
/// grow, nor can a table that is written from it.
#[tokio::test]
async fn a_full_disk_stops_acknowledging_and_loses_nothing_acknowledged() {
    const LIMITED: &str = r#"trap '' XFSZ; ulimit -f 131072; exec "$0" "$@""#;
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", LIMITED])
        .arg(std::env::current_exe().unwrap())
        .args(CHILD_ARGUMENTS)
        .env(CHILD_DIR, dir.path())
        .env(CHILD_RECORD_BYTES, "60000")
        .output()
        .unwrap();
    let (acks, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success() && errors.contains("refused: "), "{errors}");
    // The engine's own word for every write after the first that failed, or after its background thread did, says nothing.
    assert!(!errors.contains("Poisoned"), "{errors}");
    assert!(errors.contains("File too large") || errors.contains("in the background failed"), "{errors}");
    let acknowledged: Vec<_> = acks.lines().filter_map(parse).collect();
    assert!(acknowledged.len() > 1_000, "{} acknowledged", acknowledged.len());
    let log = open(dir.path());
    assert_holds(&read_all(&log).await, &acknowledged);
    log.append(&topic(), AppendTo::Partition(0), b"space again".to_vec()).await.unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_missing_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for count in [1, 300, 2_000] {
        acknowledged.extend(append_and_kill(dir.path(), count));
        let log = open(dir.path());
        let partitions = read_all(&log).await;
        for records in &partitions {
            assert!(records.iter().map(|record| record.offset).eq(0..records.len() as u64), "offsets have no gap");
            assert!(records.is_sorted_by_key(|record| record.appended_at), "times never fall, across restarts too");
        }
        assert_holds(&partitions, &acknowledged);
        let next = log.append(&topic(), AppendTo::Partition(0), b"after".to_vec()).await.unwrap();
        assert_eq!(next.place.offset, partitions[0].len() as u64);
    }
    assert!(acknowledged.len() >= 2_301);
}

#[test]
fn a_directory_held_by_another_process_is_refused_and_free_once_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start_appender(dir.path());
    let mut line = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while !line.contains("ack") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the appender ended by itself");
    }
    let refused = EmbeddedLog::open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains(&format!("is in use by process {};", child.id())), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    EmbeddedLog::open(dir.path()).unwrap();
}

/// The journal that is written to, and where its data ends.
fn newest_journal(dir: &Path) -> (PathBuf, u64) {
    let journals = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let newest = journals.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max_by_key(number).unwrap();
    let bytes = fs::read(&newest).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (newest, end as u64)
}

async fn log_of(dir: &Path, count: u64) {
    let log = open(dir);
    log.ensure_topic(&topic(), PARTITIONS).await.unwrap();
    for number in 0..count {
        // No value ends in 0, so that the journal's data ends where its bytes do.
        log.append(&topic(), AppendTo::Partition(0), format!("record {number}").into_bytes()).await.unwrap();
    }
    log.close().await;
}

async fn assert_goes_on(dir: &Path, count: u64) {
    let log = open(dir);
    let records = read_all(&log).await.remove(0);
    let expected: Vec<_> = (0..count).map(|number| format!("record {number}").into_bytes()).collect();
    assert_eq!(records.into_iter().map(|record| record.value).collect::<Vec<_>>(), expected);
    let next = log.append(&topic(), AppendTo::Partition(0), b"next".to_vec()).await.unwrap();
    assert_eq!(next.place.offset, count);
    drop(log);
    let log = open(dir);
    assert_eq!(log.ends(&topic()).await.unwrap()[0], count + 1);
}

#[tokio::test]
async fn a_write_that_was_torn_leaves_all_before_it() {
    const COUNT: u64 = 50;
    let original = tempfile::tempdir().unwrap();
    log_of(original.path(), COUNT).await;
    let (journal, end) = newest_journal(original.path());
    let mut tail = vec![0; 40];
    let mut file = File::open(&journal).unwrap();
    file.seek(SeekFrom::Start(end - 40)).unwrap();
    file.read_exact(&mut tail).unwrap();
    // What a torn write can leave: garbage, a piece of a write, a journal cut off at its last byte.
    let garbage = [vec![0xa5; 64], tail.clone(), tail[..7].to_vec(), vec![1], vec![]];
    for torn in garbage {
        let dir = tempfile::tempdir().unwrap();
        copy(original.path(), dir.path());
        let (journal, end) = newest_journal(dir.path());
        let mut file = OpenOptions::new().write(true).open(journal).unwrap();
        file.set_len(end).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&torn).unwrap();
        assert_goes_on(dir.path(), COUNT).await;
    }
}

#[tokio::test]
async fn acknowledged_records_that_are_gone_are_noticed() {
    const COUNT: u64 = 50;
    let original = tempfile::tempdir().unwrap();
    log_of(original.path(), COUNT).await;
    let (_, end) = newest_journal(original.path());
    for position in [end / 2, end - 1, end - 30, end - 100] {
        for cut_off in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            copy(original.path(), dir.path());
            let (journal, _) = newest_journal(dir.path());
            if cut_off {
                OpenOptions::new().write(true).open(journal).unwrap().set_len(position).unwrap();
            } else {
                let mut bytes = fs::read(&journal).unwrap();
                bytes[usize::try_from(position).unwrap()] ^= 0x40;
                fs::write(journal, bytes).unwrap();
            }
            let error = EmbeddedLog::open(dir.path()).unwrap_err();
            assert!(matches!(error, OpenError::Missing { .. } | OpenError::Storage { .. }), "{position}: {error}");
        }
    }
}

#[tokio::test]
async fn a_lost_tail_can_be_accepted_by_deleting_the_mark() {
    const COUNT: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), COUNT).await;
    let (journal, end) = newest_journal(dir.path());
    OpenOptions::new().write(true).open(journal).unwrap().set_len(end - 1).unwrap();
    let error = EmbeddedLog::open(dir.path()).unwrap_err();
    let expected = format!(
        "log in {} holds 49 records but had acknowledged 50: restore it from a copy, or delete the file acknowledged \
         in it to go on with what is left",
        dir.path().display()
    );
    assert_eq!(error.to_string(), expected);
    fs::remove_file(dir.path().join("acknowledged")).unwrap();
    assert_goes_on(dir.path(), COUNT - 1).await;
}

/// The storage engine's view of a record's entry: its append time comes first, as 8 bytes.
#[tokio::test]
async fn a_log_that_is_ahead_of_the_clock_says_so() {
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), 1).await;
    assert_eq!(open(dir.path()).clock_ahead(), None);
    let ahead = TimestampMs(clock::now().0 + 3_600_000);
    {
        let db = fjall::Database::builder(dir.path().join("log")).open().unwrap();
        let records = db.keyspace("records", fjall::KeyspaceCreateOptions::default).unwrap();
        let (key, value) = records.iter().next().unwrap().into_inner().unwrap();
        let mut value = value.to_vec();
        value[..8].copy_from_slice(&ahead.0.to_be_bytes());
        records.insert(key, value).unwrap();
        db.persist(fjall::PersistMode::SyncAll).unwrap();
    }

    let log = open(dir.path());
    let metrics = Metrics::new();
    log.register_metrics(&metrics);
    let found = log.clock_ahead().unwrap().as_secs();
    assert!((3_500..=3_600).contains(&found), "{found} s");
    assert!(metrics.encode().contains("pnyx_log_clock_ahead_seconds 35"), "{}", metrics.encode());
    let appended = log.append(&topic(), AppendTo::Partition(0), b"dated ahead".to_vec()).await.unwrap();
    assert_eq!(appended.appended_at, ahead);
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
