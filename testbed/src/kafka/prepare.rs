//! Kafka's jars, a formatted data folder to copy, and an archive of loaded classes.

use std::{
    env,
    ffi::OsString,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use super::{KafkaOptions, STOP_LIMIT, node, options::User, properties};
use crate::{
    TestbedError,
    cache::{self, file_error},
    directory::Directory,
};

/// The version whose dependencies all resolve on Maven Central.
const KAFKA_VERSION: &str = "4.3.1";

/// Without it brokers write no log.
const LOGGER_VERSION: &str = "1.7.36";

/// Any cluster may have this id, as no two of them meet.
const CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

/// The oldest Java that this Kafka runs on.
const JAVA_MIN: u32 = 17;

/// How long writing the archive of classes may take when a broker ends; 2 s on an idle machine.
const ARCHIVE_LIMIT: Duration = STOP_LIMIT.saturating_mul(2);

/// What every broker of this machine is started with.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    java: PathBuf,
    class_path: OsString,
    /// A formatted data folder of node 1.
    pub(super) formatted: PathBuf,
    archive: Option<PathBuf>,
}

impl Prepared {
    /// The command that runs a class of Kafka.
    pub(super) fn java(&self, flags: &[&str], class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.args(["-XX:+UseSerialGC", "-XX:-UsePerfData"]).args(flags);
        if let Some(archive) = &self.archive {
            command.arg(flag("-XX:SharedArchiveFile=", archive));
        }
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg(class);
        // Not as an argument: it is long, and command lines are shown.
        command.env("CLASSPATH", &self.class_path);
        command
    }

    /// Formats the data folder of the properties file, with these users in it.
    pub(super) fn format(&self, properties: &Path, users: &[User]) -> Result<(), TestbedError> {
        let mut command = self.java(&["-Xmx64m", "-XX:TieredStopAtLevel=1"], "kafka.tools.StorageTool");
        command.arg("format").arg("-c").arg(properties).args(["-t", CLUSTER_ID]);
        for user in users {
            let credentials = format!("SCRAM-SHA-512=[name={},password={}]", user.name, user.password);
            command.args(["--add-scram", &credentials]);
        }
        cache::run(&mut command).map(|_| ())
    }
}

/// Makes what is missing. The first time this takes up to a minute, later nothing.
pub(super) fn prepared() -> Result<Prepared, TestbedError> {
    let (java, jars) = java_and_jars()?;
    let mut prepared = Prepared { class_path: class_path(&jars)?, formatted: PathBuf::new(), archive: None, java };
    prepared.formatted = cache::prepared(&format!("kafka-{KAFKA_VERSION}-formatted"), "a data folder", |aside| {
        let properties = aside.join("server.properties");
        cache::write(&properties, &properties::for_formatting(&aside.join("data")))?;
        prepared.format(&properties, &[])
    })?
    .join("data");
    let key = format!("kafka-{KAFKA_VERSION}-classes-{}", java_key(&prepared.java)?);
    let about = "an archive of loaded classes, which halves later starts";
    let folder = cache::prepared(&key, about, |aside| {
        // Without it brokers start too, only slower.
        if let Err(error) = train(&prepared, &aside.join("kafka.jsa")) {
            cache::say(&format!("no archive of classes: {error}"));
        }
        Ok(())
    })?;
    prepared.archive = Some(folder.join("kafka.jsa")).filter(|archive| archive.exists());
    Ok(prepared)
}

/// This machine's Java, and the folder of Kafka's jars.
pub(crate) fn java_and_jars() -> Result<(PathBuf, PathBuf), TestbedError> {
    let java = find_java()?;
    let folder = cache::prepared(&format!("kafka-{KAFKA_VERSION}"), "the jars of Apache Kafka", |folder| {
        check_java(&java)?;
        fetch(folder)
    })?;
    Ok((java, folder.join("lib")))
}

fn fetch(folder: &Path) -> Result<(), TestbedError> {
    if !cache::has_program("mvn", "--version") {
        return Err(TestbedError::Missing {
            what: "Maven (mvn)",
            advice: "install it (Debian: apt-get install maven) or let PNYX_TEST_KAFKA=host:port name a Kafka",
        });
    }
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let pom = [
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>".to_owned(),
        "<groupId>pnyx</groupId><artifactId>testbed-kafka</artifactId><version>1</version><dependencies>".to_owned(),
        dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        dependency("org.slf4j", "slf4j-simple", LOGGER_VERSION),
        "</dependencies></project>\n".to_owned(),
    ];
    cache::write(&folder.join("pom.xml"), &pom.join("\n"))?;
    let goals = ["-B", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib"];
    cache::run(Command::new("mvn").args(goals).current_dir(folder)).map(|_| ())
}

/// All jars by name in order, since an archive of classes holds for one class path only.
fn class_path(folder: &Path) -> Result<OsString, TestbedError> {
    let entries = fs::read_dir(folder).map_err(|source| file_error("list", folder, source))?;
    let mut jars: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    jars.sort();
    Ok(env::join_paths(jars).expect("neither the cache nor jars have a colon in their names"))
}

fn find_java() -> Result<PathBuf, TestbedError> {
    let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let found = home.into_iter().chain(env::split_paths(&path)).map(|folder| folder.join("java")).find(|j| j.is_file());
    found.ok_or_else(no_java)
}

fn no_java() -> TestbedError {
    TestbedError::Missing {
        what: "Java 17 or newer",
        advice: "install it (Debian: apt-get install openjdk-17-jre-headless) or let PNYX_TEST_KAFKA=host:port name a Kafka",
    }
}

/// `java -version` begins with `openjdk version "17.0.15" …`.
fn check_java(java: &Path) -> Result<(), TestbedError> {
    let text = cache::run(Command::new(java).arg("-version"))?;
    let version = text.split('"').nth(1).and_then(|version| version.split(['.', '-', '+']).next()?.parse().ok());
    if version.is_some_and(|version: u32| version >= JAVA_MIN) { Ok(()) } else { Err(no_java()) }
}

/// Tells one Java from another without starting it.
fn java_key(java: &Path) -> Result<String, TestbedError> {
    let real = fs::canonicalize(java).map_err(|source| file_error("follow", java, source))?;
    let about = fs::metadata(&real).map_err(|source| file_error("read", &real, source))?;
    let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut hasher = DefaultHasher::new();
    (real, about.len(), modified).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// Runs one broker that writes down which classes it loaded.
fn train(prepared: &Prepared, archive: &Path) -> Result<(), TestbedError> {
    let directory = Directory::new()?;
    let (nodes, ..) = node::lay_out(prepared, &KafkaOptions::one(), directory.path())?;
    let [node] = nodes.as_slice() else { panic!("one broker was asked for") };
    node.spawn_with(&[&flag("-XX:ArchiveClassesAtExit=", archive).to_string_lossy()])?;
    node.wait_until_it_knows(&[node.id()].into())?;
    node.stop_within(ARCHIVE_LIMIT)
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}
