//! Images are the same each time, hold what they list and no more, and what is in them runs.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{env, fs, path::Path, process::Command};

use pnyx_testbed::{
    TestbedError,
    oci::{self, Archive, Layer},
};
use serde_json::Value;

/// Where the image of this test has its program.
const PLACE: &str = "/usr/bin/program";

/// This test itself is a program that needs libraries and was built with what debuggers read.
fn image() -> Archive {
    oci::of_program("registry.test/program:1".parse().unwrap(), &env::current_exe().unwrap(), PLACE).unwrap()
}

/// What a command says; its end decides whether the test goes on.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}

/// The image as its archive says, read by the system's own tar: its configuration, and its layers unpacked one over the
/// other into `root`. Every blob is what its name says.
fn unpack(archive: &Path, folder: &Path, root: &Path) -> (Value, Value) {
    run(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("--directory").arg(folder));
    let json = |path: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(path)).unwrap()).unwrap() };
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        let path = format!("blobs/sha256/{digest}");
        let sum = run(Command::new("sha256sum").arg(folder.join(&path)));
        assert!(sum.starts_with(&digest), "{sum}");
        assert_eq!(fs::metadata(folder.join(&path)).unwrap().len(), descriptor["size"].as_u64().unwrap());
        path
    };
    assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let entry = &json("index.json")["manifests"][0];
    let manifest = json(&blob(entry));
    let configuration = json(&blob(&manifest["config"]));
    for (layer, id) in
        manifest["layers"].as_array().unwrap().iter().zip(configuration["rootfs"]["diff_ids"].as_array().unwrap())
    {
        assert_eq!(&layer["digest"], id);
        run(Command::new("tar").args(["-xpf"]).arg(folder.join(blob(layer))).arg("-C").arg(root));
    }
    let docker = &json("manifest.json")[0];
    assert_eq!(docker["Config"], blob(&manifest["config"]));
    assert_eq!(docker["Layers"].as_array().unwrap().len(), manifest["layers"].as_array().unwrap().len());
    (entry.clone(), configuration)
}

/// Everything below a folder, one path a line with its rights, in order.
fn listed(root: &Path) -> Vec<String> {
    let found = run(Command::new("find").arg(root).args(["-mindepth", "1", "-printf", "%m %U:%G %T@ %P\n"]));
    let mut lines: Vec<String> = found.lines().map(str::to_owned).collect();
    lines.sort_by(|a, b| a.split(' ').nth(3).cmp(&b.split(' ').nth(3)));
    lines
}

#[test]
fn an_image_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first.tar", "second.tar"].map(|name| folder.path().join(name));
    let digest = image().write(&first).unwrap();
    assert_eq!(image().write(&second).unwrap(), digest);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    // Neither whose machine it is, nor in what order files were put in.
    let name = || "registry.test/two:1".parse().unwrap();
    let (one, other) = (Layer::new().file("/a/b", 0o644, "b"), Layer::new().file("/c", 0o600, "c"));
    Archive::new(name()).layer(one.file("/c", 0o600, "c")).write(&first).unwrap();
    Archive::new(name()).layer(other.file("/a/b", 0o644, "b")).write(&second).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let names = run(Command::new("tar").args(["--list", "--verbose", "--numeric-owner", "--file"]).arg(&first));
    assert!(names.lines().all(|line| line.contains(" 0/0 ") && line.contains("1970-01-01")), "{names}");
}

#[test]
fn a_program_runs_with_what_its_image_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, blobs, root) =
        (folder.path().join("image.tar"), folder.path().join("blobs"), folder.path().join("root"));
    fs::create_dir(&blobs).unwrap();
    fs::create_dir(&root).unwrap();
    image().label("org.opencontainers.image.title", "program").write(&archive).unwrap();
    let (entry, configuration) = unpack(&archive, &blobs, &root);
    let annotations = &entry["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "registry.test/program:1");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "registry.test/program:1");
    let config = &configuration["config"];
    assert_eq!((&config["User"], &config["WorkingDir"]), (&"65532:65532".into(), &"/".into()));
    assert_eq!(config["Entrypoint"], serde_json::json!([PLACE]));
    assert_eq!(config["Env"], serde_json::json!(["PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]));
    assert_eq!(config["Labels"]["org.opencontainers.image.title"], "program");

    // Exactly the libraries that the program names, at their places on this machine.
    let exe = env::current_exe().unwrap();
    let ldd = run(Command::new("ldd").arg(&exe).env_remove("LD_LIBRARY_PATH"));
    let mut paths: Vec<String> =
        ldd.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    assert!(paths.len() >= 3, "the loader, libc and libgcc: {ldd}");
    paths.extend(
        ["/etc/group", "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt"].map(str::to_owned),
    );
    paths.push(PLACE.to_owned());
    let mut expected = std::collections::BTreeMap::from([("tmp".to_owned(), "1777")]);
    for path in &paths {
        let path = path.trim_start_matches('/');
        let folders = path.match_indices('/').map(|(end, _)| (path[..end].to_owned(), "755"));
        expected.extend(folders);
        expected.insert(path.to_owned(), if path.starts_with("etc/") { "644" } else { "755" });
    }
    let expected: Vec<String> = expected.iter().map(|(path, mode)| format!("{mode} 0:0 0.0000000000 {path}")).collect();
    assert_eq!(listed(&root), expected);
    assert!(fs::metadata(root.join("usr/bin/program")).unwrap().len() < fs::metadata(&exe).unwrap().len());

    // Without anything of this machine, as the user of the image.
    let mut inside = Command::new("chroot");
    inside.args(["--userspec=65532:65532"]).arg(&root).args([PLACE, "--list"]).env_clear();
    let tests = run(inside.env("PATH", env::var_os("PATH").unwrap()));
    assert!(tests.contains("a_program_runs_with_what_its_image_holds: test"), "{tests}");
}

#[test]
fn public_authorities_are_in_pem() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, root) = (folder.path().join("image.tar"), folder.path().join("root"));
    fs::create_dir(&root).unwrap();
    image().write(&archive).unwrap();
    unpack(&archive, folder.path(), &root);
    let file = root.join("etc/ssl/certs/ca-certificates.crt");
    let text = fs::read_to_string(&file).unwrap();
    let count = text.matches("-----BEGIN CERTIFICATE-----").count();
    assert!(count > 100, "{count} authorities");
    // Read by the library that pods check certificates with.
    let certificates: Result<Vec<_>, _> = rustls::pki_types::pem::PemObject::pem_file_iter(&file).unwrap().collect();
    let certificates: Vec<rustls::pki_types::CertificateDer<'_>> = certificates.unwrap();
    let mut store = rustls::RootCertStore::empty();
    assert_eq!(store.add_parsable_certificates(certificates), (count, 0));
}

#[test]
fn what_makes_no_image_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let name = || "registry.test/program:1".parse().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let no_program = oci::of_program(name(), &script, PLACE).unwrap_err();
    let absent = oci::of_program(name(), &folder.path().join("absent"), PLACE).unwrap_err();
    let long = Archive::new(name()).layer(Layer::new().file(&format!("/{}", "x".repeat(100)), 0o644, ""));
    let long = long.write(&folder.path().join("image.tar")).unwrap_err();
    let nowhere = image().write(&folder.path().join("none/image.tar")).unwrap_err();
    for (error, words) in [
        (no_program, ["script", "not a dynamic executable"]),
        (absent, ["absent", "No such file"]),
        (long, ["xxxxxxxxxx", "99 bytes"]),
        (nowhere, ["none/image.tar", "No such file"]),
    ] {
        let text = format!("{error:?}");
        assert!(text.lines().count() == 1 && words.iter().all(|word| text.contains(word)), "{text}");
    }
    let unnamed: Result<oci::ImageName, _> = "Pnyx".parse();
    assert!(matches!(TestbedError::from(unnamed.unwrap_err()), TestbedError::ImageName(_)));
}
