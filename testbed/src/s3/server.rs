//! One running object store.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use alloy_primitives::hex;

use super::S3Options;
use crate::{
    Port, Process, TestbedError,
    cache::{self, file_error},
    directory::Directory,
};

/// The region that requests are signed for.
pub const S3_REGION: &str = "us-east-1";

/// How long a server may take until it answers: 0.1 s on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How long one answer about its health may take; then it is asked again.
const HEALTH_LIMIT: Duration = Duration::from_secs(1);

/// The path that says, to anybody, that the server is there. No bucket can have the name.
const HEALTH_PATH: &str = "/_health";

/// Bytes of an access key id: as long as one of Amazon's, 20 characters.
const ACCESS_KEY_ID_LEN: usize = 10;

/// Bytes of a secret: as long as one of Amazon's, 40 characters.
const SECRET_LEN: usize = 20;

/// Where random bytes come from. A library for these few would be one more.
const RANDOM: &str = "/dev/urandom";

/// A running object store with one bucket. Dropping it ends the server and removes what it holds.
#[derive(Debug)]
pub struct S3Server {
    // Ends before its folder goes.
    process: Mutex<Option<Process>>,
    program: PathBuf,
    port: Port,
    is_tls: bool,
    access_key_id: String,
    secret_access_key: String,
    bucket: String,
    directory: Directory,
}

impl S3Server {
    /// Starts a server that nobody else knows the secret of, makes the bucket, and waits until the server answers.
    ///
    /// # Errors
    /// The server is missing and cannot be built, or ends or does not answer within 30 s.
    ///
    /// # Panics
    /// If the options name no possible bucket.
    pub fn start(options: S3Options) -> Result<Self, TestbedError> {
        let S3Options { address, bucket, tls } = options;
        assert!(
            is_bucket_name(&bucket),
            "a bucket's name has 3 to 63 lower-case letters, digits and hyphens: {bucket}"
        );
        let (program, directory, port) = (super::program()?, Directory::new()?, Port::reserve_at(address)?);
        if let Some(issued) = &tls {
            // Copied, so that the server can be restarted after its authority is gone.
            for (from, name) in [(issued.certificate(), "certificate.pem"), (issued.key(), "key.pem")] {
                fs::copy(from, directory.path().join(name)).map_err(|source| file_error("copy", from, source))?;
            }
        }
        let server = Self {
            process: Mutex::new(None),
            program,
            port,
            is_tls: tls.is_some(),
            access_key_id: random(ACCESS_KEY_ID_LEN)?,
            secret_access_key: random(SECRET_LEN)?,
            bucket,
            directory,
        };
        cache::make_folder(&server.metadata())?;
        cache::make_folder(&server.users())?;
        // A folder at the top is a bucket, that of the server's own user if nobody else is named.
        cache::make_folder(&server.folder())?;
        server.spawn()?;
        Ok(server)
    }

    /// Where clients connect: `http://host:port`, or `https://host:port` with TLS. The bucket follows as a part of the
    /// path.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.port.address())
    }

    /// Where clients connect, for a proxy before it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Who may do everything.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// What their requests are signed with.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// The name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Where the bucket's objects lie, each as a file whose path is its key, so that a test can look at one or damage it.
    /// The server reads a file anew for each request and does not compare it with the checksums that it keeps elsewhere.
    /// Beside objects there may be a folder `.sgwtmp`, with what is being written.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.objects().join(&self.bucket)
    }

    /// The log of the server, with a line for each request.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("s3.log")
    }

    /// Ends the server at once; what it holds stays.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(&self) -> Result<(), TestbedError> {
        match self.process().take() {
            Some(mut process) => process.kill9(),
            None => Ok(()),
        }
    }

    /// Starts the server again with what it held, at the same address and with the same secret.
    ///
    /// # Errors
    /// It does not answer within 30 s.
    pub fn restart(&self) -> Result<(), TestbedError> {
        self.kill()?;
        self.spawn()
    }

    /// Stops the server where it stands, with its connections open: it is silent.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<(), TestbedError> {
        self.running("pause", Process::sigstop)
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<(), TestbedError> {
        self.running("resume", Process::sigcont)
    }

    fn spawn(&self) -> Result<(), TestbedError> {
        let (address, folder) = (self.port.address(), self.directory.path());
        let mut command = Command::new(&self.program);
        // By variables, since everybody can read the arguments of a process.
        command.env("ROOT_ACCESS_KEY_ID", &self.access_key_id).env("ROOT_SECRET_ACCESS_KEY", &self.secret_access_key);
        command.args(["--port", &address.to_string(), "--region", S3_REGION, "--health", HEALTH_PATH, "--keep-alive"]);
        // Without a list of users, empty as it is, a stranger is told 404, which a client takes for an object that is missing.
        command.arg("--iam-dir").arg(self.users());
        if self.is_tls {
            command.arg("--cert").arg(folder.join("certificate.pem")).arg("--key").arg(folder.join("key.pem"));
        }
        // Not as extended attributes of the objects' files, which not every file system has and a test that puts another
        // file in the place of one would lose.
        command.arg("posix").arg("--sidecar").arg(self.metadata()).arg(self.objects());
        let mut process = Process::spawn("s3", command.current_dir(folder), &self.log())?;
        process.wait_until(READY_LIMIT, || answers(address, self.is_tls).is_ok())?;
        *self.process() = Some(process);
        Ok(())
    }

    fn running(
        &self,
        action: &'static str,
        act: impl FnOnce(&mut Process) -> Result<(), TestbedError>,
    ) -> Result<(), TestbedError> {
        match self.process().as_mut() {
            Some(process) => act(process),
            None => Err(TestbedError::NotRunning { action, what: "s3".to_owned() }),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("no holder panics")
    }

    fn objects(&self) -> PathBuf {
        self.directory.path().join("objects")
    }

    /// Who may come in beside the one user that there is: nobody.
    fn users(&self) -> PathBuf {
        self.directory.path().join("users")
    }

    /// What is known of objects beside their bytes. The path must not begin with that of the objects.
    fn metadata(&self) -> PathBuf {
        self.directory.path().join("metadata")
    }
}

/// Whether the server says that it is well. With TLS, which the test bed does not speak, being let in has to do: the
/// server listens when everything else is there.
fn answers(address: SocketAddr, is_tls: bool) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, HEALTH_LIMIT)?;
    if is_tls {
        return Ok(());
    }
    stream.set_read_timeout(Some(HEALTH_LIMIT))?;
    stream
        .write_all(format!("GET {HEALTH_PATH} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(io::Error::other(answer)) }
}

fn is_bucket_name(name: &str) -> bool {
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_letter = |letter: u8| is_plain(letter) || letter == b'-';
    let ends = [name.bytes().next(), name.bytes().last()];
    (3..=63).contains(&name.len()) && name.bytes().all(is_letter) && ends.into_iter().flatten().all(is_plain)
}

/// Random bytes as hexadecimal digits.
fn random(len: usize) -> Result<String, TestbedError> {
    let mut bytes = vec![0; len];
    let read = File::open(RANDOM).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| file_error("read", Path::new(RANDOM), source))?;
    Ok(hex::encode(bytes))
}
