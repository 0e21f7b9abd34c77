//! Containers run, services answer by their names, and the machine is afterwards as it was.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use pnyx_testbed::{
    RedisOptions, RedisServer,
    evm::{Evm, EvmOptions},
    kubernetes::{ControlPlaneOptions, Image, Node, NodePart},
};

/// How long the network may take to forget the node.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(60);

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.test/web:1
        imagePullPolicy: Never
        command: [sh, -c, "echo hello > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        securityContext: {runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

/// A pod that runs a script once.
fn asking(name: &str, script: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  restartPolicy: Never\n  \
         containers:\n  - name: ask\n    image: registry.test/web:1\n    imagePullPolicy: Never\n    \
         command: [sh, -c, '{script}']\n"
    )
}

/// What a script says in a pod of its own.
fn ask(node: &Node, name: &str, script: &str) -> String {
    let cluster = node.control_plane();
    cluster.apply(&asking(name, script)).expect("a pod is accepted");
    let (pod, ended) = (format!("pod/{name}"), "--for=jsonpath={.status.phase}=Succeeded");
    if let Err(error) = cluster.kubectl(&["wait", ended, &pod, "--timeout=60s"]) {
        panic!("{error}\n{:?}", cluster.kubectl(&["describe", &pod]));
    }
    cluster.kubectl(&["logs", &pod]).expect("a pod that ran has a log")
}

/// Answers one request over HTTP from this machine's side.
fn serve_once(listener: &TcpListener) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    let _ = stream.read(&mut [0; 1024])?;
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\noutside")
}

/// Redis and an EVM node of this machine answer pods, and this machine at the same addresses.
fn servers_outside_have_names(node: &Node) {
    let redis = RedisServer::start(RedisOptions::new().listen_on(node.outside())).expect("it starts");
    let evm = Evm::start(EvmOptions::new().listen_on(node.outside())).expect("it starts");
    let redis_port = redis.address().parse::<SocketAddr>().expect("it is ours").port();
    let by_name = node.expose("redis", "default", redis_port).expect("a name leads there").replace(':', " ");
    assert_eq!(ask(node, "redis", &format!("echo PING | nc -w 20 {by_name}")).trim_end(), "+PONG");
    let by_name = node.expose("chain", "default", evm.address().port()).expect("a name leads there").replace(':', " ");
    let call = r#"{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]}"#;
    // By hand: BusyBox's wget does not survive a name with a port. The node answers nobody who has hung up.
    let head = format!("POST / HTTP/1.0\\r\\nContent-Type: application/json\\r\\nContent-Length: {}", call.len());
    let request = format!("{head}\\r\\n\\r\\n{}", call.replace('"', r#"\""#));
    let answer = ask(node, "chain", &format!("(printf \"{request}\"; sleep 10) | nc -w 20 {by_name}"));
    assert!(answer.contains(r#""result":"0x7a69""#), "{answer}");
}

#[test]
fn pods_run_services_have_names_and_nothing_is_left() {
    let node = Node::start(ControlPlaneOptions::new()).unwrap();
    let cluster = node.control_plane();
    node.import_image(Image::with_shell("registry.test/web:1").unwrap()).unwrap();
    cluster.apply(WEB).unwrap();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).unwrap();
    assert_eq!(cluster.kubectl(&["exec", "deployment/web", "--", "cat", "/tmp/index.html"]).unwrap(), "hello\n");
    // The rules of a service that is new take a moment.
    let by_name = "until wget -q -O - http://web.default.svc.cluster.local 2>/dev/null; do sleep 0.2; done";
    assert_eq!(ask(&node, "by-name", by_name), "hello\n");
    let elsewhere = ask(&node, "elsewhere", "nslookup example.org 2>&1; nc -w 5 192.0.2.1 80 2>&1; true");
    assert!(elsewhere.contains("NXDOMAIN") && elsewhere.contains("No route to host"), "{elsewhere}");

    let listener = TcpListener::bind((node.outside(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || (0..2).try_for_each(|_| serve_once(&listener)));
    let (ip, port) = (address.ip(), address.port());
    let said = ask(&node, "outside", &format!("echo GET / | nc -w 20 {ip} {port}"));
    assert!(said.starts_with("HTTP/1.0 200") && said.trim_end().ends_with("outside"), "{said}");
    let named = node.expose("archive", "default", port).unwrap();
    assert_eq!(named, format!("archive.default.svc.cluster.local:{port}"));
    let said = ask(&node, "outside-by-name", &format!("echo GET / | nc -w 20 {}", named.replace(':', " ")));
    assert!(said.starts_with("HTTP/1.0 200") && said.trim_end().ends_with("outside"), "{said}");
    server.join().unwrap().unwrap();
    servers_outside_have_names(&node);

    node.kill(NodePart::Kubelet).unwrap();
    node.restart(NodePart::Kubelet).unwrap();
    assert_eq!(ask(&node, "after", by_name), "hello\n");
    drop(node);
    let left = ["/var/lib/pnyx-testbed-node", "/run/netns/pnyx-node", "/sys/fs/cgroup/pids/kubepods"];
    assert_eq!(left.map(|path| Path::new(path).exists()), [false; 3]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("pnyx-testbed-node") && !mounts.contains("/run/netns/cni-"), "{mounts}");
    let ended = Instant::now();
    while fs::read_to_string("/proc/net/dev").unwrap().contains("pnyx-node") {
        assert!(ended.elapsed() < FORGOTTEN_WITHIN, "its network interface is still there");
        thread::sleep(Duration::from_millis(100));
    }
}
