//! One broker: its files, its ports and its process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use super::{
    KafkaOptions, Listener, READY_LIMIT, Route, STOP_LIMIT,
    links::Links,
    metadata,
    prepare::Prepared,
    properties::{self, NodeView},
};
use crate::{
    Port, Process, TestbedError,
    cache::{self, file_error},
    directory,
};

/// Memory and compiler of a broker for tests: quick to start, small.
const FLAGS: [&str; 2] = ["-Xmx256m", "-XX:TieredStopAtLevel=1"];

/// Memory of a broker under measured load.
const LOAD_FLAGS: [&str; 1] = ["-Xmx1g"];

/// A broker that is also a controller. Its files and ports stay when its process ends.
#[derive(Debug)]
pub(super) struct Node {
    id: i32,
    ports: BTreeMap<Listener, Port>,
    controller: Port,
    folder: PathBuf,
    log: PathBuf,
    prepared: Prepared,
    flags: &'static [&'static str],
    process: Mutex<Option<Process>>,
}

/// Reserves ports and writes the files of all nodes below `folder`; starts the routes and links but no broker.
pub(super) fn lay_out(
    prepared: &Prepared,
    options: &KafkaOptions,
    folder: &Path,
) -> Result<(Vec<Node>, Vec<Route>, Links), TestbedError> {
    let nodes: Vec<Node> =
        (1..=options.node_count).map(|id| Node::new(id, prepared, options, folder)).collect::<Result<_, _>>()?;
    let route = |index| Route::start(options.address, nodes.iter().map(|node| node.address_of(Listener::Route(index))));
    let routes: Vec<Route> = (0..options.route_count).map(route).collect::<Result<_, _>>()?;
    let links = if options.has_links { Links::start(&nodes)? } else { Links::default() };
    nodes.iter().try_for_each(|node| node.write_files(options, &nodes, &routes, &links))?;
    let [first, rest @ ..] = nodes.as_slice() else { panic!("a cluster has a broker") };
    if options.users.is_empty() {
        directory::copy(&prepared.formatted, &first.data())?;
    } else {
        prepared.format(&first.properties(), &options.users)?;
    }
    rest.iter().try_for_each(|node| node.copy_data_of(first))?;
    Ok((nodes, routes, links))
}

impl Node {
    fn new(id: i32, prepared: &Prepared, options: &KafkaOptions, folder: &Path) -> Result<Self, TestbedError> {
        let ports = options.listeners().into_iter().map(|listener| Ok((listener, Port::reserve_at(options.address)?)));
        let folder = folder.join(format!("node-{id}"));
        cache::make_folder(&folder)?;
        Ok(Self {
            id,
            ports: ports.collect::<Result<_, TestbedError>>()?,
            controller: Port::reserve()?,
            log: folder.join("server.log"),
            folder,
            prepared: prepared.clone(),
            flags: if options.is_for_load { &LOAD_FLAGS } else { &FLAGS },
            process: Mutex::new(None),
        })
    }

    pub(super) fn id(&self) -> i32 {
        self.id
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Where the broker itself listens.
    pub(super) fn address_of(&self, listener: Listener) -> SocketAddr {
        self.ports.get(&listener).expect("the options asked for this listener").address()
    }

    /// Where the controller itself listens.
    pub(super) fn controller_address(&self) -> SocketAddr {
        self.controller.address()
    }

    pub(super) fn spawn(&self) -> Result<(), TestbedError> {
        self.spawn_with(&[])
    }

    pub(super) fn spawn_with(&self, flags: &[&str]) -> Result<(), TestbedError> {
        let mut command: Command = self.prepared.java(&[self.flags, flags].concat(), "kafka.Kafka");
        command.arg(self.properties()).current_dir(&self.folder);
        let process = Process::spawn(format!("kafka broker {}", self.id), &command, &self.log)?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Waits until this broker answers and knows these brokers.
    pub(super) fn wait_until_it_knows(&self, ids: &BTreeSet<i32>) -> Result<(), TestbedError> {
        let address = self.address_of(Listener::Plain);
        let knows = || metadata::known_brokers(address).is_ok_and(|known| known.is_superset(ids));
        self.running("wait for", |process| process.wait_until(READY_LIMIT, knows))
    }

    pub(super) fn kill(&self) -> Result<(), TestbedError> {
        match self.process().take() {
            Some(mut process) => process.kill9(),
            None => Ok(()),
        }
    }

    pub(super) fn stop(&self) -> Result<(), TestbedError> {
        self.stop_within(STOP_LIMIT)
    }

    pub(super) fn stop_within(&self, limit: Duration) -> Result<(), TestbedError> {
        self.running("stop", |process| {
            process.sigterm()?;
            process.wait(limit).map(|_| ())
        })?;
        *self.process() = None;
        Ok(())
    }

    pub(super) fn pause(&self) -> Result<(), TestbedError> {
        self.running("pause", Process::sigstop)
    }

    pub(super) fn resume(&self) -> Result<(), TestbedError> {
        self.running("resume", Process::sigcont)
    }

    pub(super) fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|process| matches!(process.status(), Ok(None)))
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    fn running<T>(
        &self,
        action: &'static str,
        act: impl FnOnce(&mut Process) -> Result<T, TestbedError>,
    ) -> Result<T, TestbedError> {
        match self.process().as_mut() {
            Some(process) => act(process),
            None => Err(TestbedError::NotRunning { action, what: format!("kafka broker {}", self.id) }),
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().expect("no holder panics")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn write_files(
        &self,
        options: &KafkaOptions,
        nodes: &[Self],
        routes: &[Route],
        links: &Links,
    ) -> Result<(), TestbedError> {
        let node = usize::try_from(self.id).expect("ids are positive");
        let controller = |of: &Self| links.to_controller(self.id, of.id).unwrap_or_else(|| of.controller.address());
        let voters: Vec<(i32, SocketAddr)> = nodes.iter().map(|node| (node.id, controller(node))).collect();
        let listeners = self.ports.iter().map(|(listener, port)| {
            let told = match listener {
                Listener::Route(index) => routes[*index].proxy(node).address(),
                Listener::Node(from) => links.to_broker(*from, self.id).unwrap_or_else(|| port.address()),
                Listener::Plain | Listener::Tls | Listener::Scram | Listener::ScramTls => port.address(),
            };
            (*listener, port.address(), told)
        });
        let listeners = listeners.collect::<Vec<_>>();
        // Copied, so that a broker can be restarted after its authority is gone.
        let (keystore, truststore) = (self.folder.join("server.pem"), self.folder.join("authority.pem"));
        if let Some(tls) = &options.tls {
            cache::write(&keystore, tls.issued.key_and_certificate_pem())?;
            cache::write(&truststore, tls.issued.authority_pem())?;
        }
        let pem = options.tls.as_ref().map(|_| (keystore.as_path(), truststore.as_path()));
        let data = self.data();
        let view = NodeView { id: self.id, voters: &voters, listeners: &listeners, data: &data, pem };
        cache::write(&self.properties(), &properties::render(&view, options))
    }

    /// The data folder of the first node, made that of this one: another node id and another folder id.
    fn copy_data_of(&self, first: &Self) -> Result<(), TestbedError> {
        directory::copy(&first.data(), &self.data())?;
        let path = self.data().join("meta.properties");
        let text = fs::read_to_string(&path).map_err(|source| file_error("read", &path, source))?;
        let lines = text.lines().map(|line| match line.split_once('=') {
            Some(("node.id", _)) => format!("node.id={}\n", self.id),
            // 16 bytes in base64: another first digit is another id.
            Some(("directory.id", id)) => format!("directory.id={}{}\n", self.id, &id[1..]),
            _ => format!("{line}\n"),
        });
        cache::write(&path, &lines.collect::<String>())
    }
}
