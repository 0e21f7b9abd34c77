//! Children as they are: every object of every case stands in a file of its own, and a change of one is seen here first.

mod setup;

use std::{collections::BTreeSet, fs, path::PathBuf};

use expect_test::expect_file;
use pnyx_operator::{ChildKind, plan::Child};
use serde_json::Value;

/// The file that processes read, beside the ConfigMap that has it.
const CONFIGURATION: &str = "pnyx.yaml";

#[test]
fn children_are_as_they_were() {
    for case in setup::cases() {
        let folder = folder(case.name);
        let mut files = BTreeSet::from([CONFIGURATION.to_owned()]);
        for child in &case.children {
            let file = format!("{}-{}.yaml", child.kind().kind().to_lowercase(), child.key().name);
            let yaml = serde_saphyr::to_string(&child.first_object()).expect("plain data");
            expect_file![folder.join(&file)].assert_eq(&yaml);
            assert!(files.insert(file), "two objects of one kind and name");
        }
        expect_file![folder.join(CONFIGURATION)].assert_eq(&configuration(&case.children));
        let listed = fs::read_dir(&folder).expect("the folder is there");
        let listed: BTreeSet<_> = listed.map(|entry| entry.expect("it can be listed").file_name()).collect();
        assert_eq!(listed, files.into_iter().map(Into::into).collect(), "a file of {} has no object", case.name);
    }
}

#[test]
fn what_pods_need_stands_before_pods() {
    for case in setup::cases() {
        let is_pods = |child: &Child| matches!(child.kind(), ChildKind::Deployment | ChildKind::Job);
        let mut kinds: Vec<_> = case.children.iter().filter(|child| is_pods(child)).map(Child::kind).collect();
        kinds.dedup();
        for child in case.children.iter().filter(|child| is_pods(child)) {
            let pod = &child.object()["spec"]["template"]["spec"];
            let account = pod["serviceAccountName"].as_str().expect("pods run as somebody");
            let has = |kind, name: &str| case.children.iter().any(|it| it.kind() == kind && it.key().name == name);
            assert!(has(ChildKind::ServiceAccount, account) && has(ChildKind::NetworkPolicy, account), "{account}");
            let sources = pod["volumes"][0]["projected"]["sources"].as_array().expect("one volume with all files");
            let maps: Vec<_> = sources.iter().filter_map(|source| source["configMap"]["name"].as_str()).collect();
            assert!(maps.iter().all(|map| has(ChildKind::ConfigMap, map)), "{maps:?}");
            assert_eq!(sources[0]["configMap"]["name"], maps[0], "the configuration first");
        }
    }
}

#[test]
fn nothing_selects_pods_of_another() {
    for case in setup::cases() {
        let templates: Vec<_> =
            case.children.iter().filter_map(|it| it.object().pointer("/spec/template/metadata/labels")).collect();
        let selectors = |child: &Child| {
            let paths = ["/spec/selector/matchLabels", "/spec/podSelector/matchLabels"];
            let own = paths.iter().find_map(|path| child.object().pointer(path).cloned());
            let of_service = || child.object().pointer("/spec/selector").cloned();
            own.or_else(|| (child.kind() == ChildKind::Service).then(of_service).flatten())
        };
        for child in &case.children {
            let Some(selector) = selectors(child) else { continue };
            let is_selected = |labels: &&&Value| {
                let mut selector = selector.as_object().expect("labels").iter();
                selector.all(|(label, value)| labels.get(label) == Some(value))
            };
            assert_eq!(templates.iter().filter(is_selected).count(), 1, "{:?} {}", child.kind(), child.key());
        }
    }
}

#[test]
fn children_belong_to_who_wants_them_and_have_no_other_secrets() {
    for case in setup::cases() {
        for child in &case.children {
            let owner = &child.object()["metadata"]["ownerReferences"][0];
            let (kind, name) = (owner["kind"].as_str().expect("a kind"), owner["name"].as_str().expect("a name"));
            let says = |text: &str| text.contains(&format!("kind: {kind}")) && text.contains(&format!("name: {name}"));
            assert!(says(case.platform) != says(case.proposal), "{kind} {name}");
            let sources = child.object().pointer("/spec/template/spec/volumes/0/projected/sources");
            for source in sources.and_then(Value::as_array).into_iter().flatten() {
                let Some(secret) = source.pointer("/secret/name").and_then(Value::as_str) else { continue };
                assert!(case.platform.contains(&format!("SecretRef: {{name: {secret},")), "{secret}");
            }
        }
    }
}

/// The program reads the very proposal that the Job is for.
#[test]
fn what_is_tried_is_what_the_resource_says() {
    let [_, full, _] = setup::cases();
    let of_trial = |kind| {
        let is_it = |it: &&Child| it.kind() == kind && it.key().name.ends_with("-trial");
        full.children.iter().find(is_it).expect("a proposal that reads chains is tried").object()
    };
    let (id, text) =
        of_trial(ChildKind::ConfigMap)["data"].as_object().and_then(|data| data.iter().next()).expect("a file");
    let path = of_trial(ChildKind::Job)["spec"]["template"]["spec"]["containers"][0]["args"][2].as_str();
    assert_eq!(path, Some(&*format!("/etc/pnyx/proposals/{id}")));
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text.as_str().expect("a text")).expect("it can be written");
    let resources = pnyx_crds::read_resources(file.path()).expect("the program reads it");
    let [resource] = &resources[..] else { panic!("there is one") };
    assert_eq!(resource.resolve("dao.example", None).expect("a proposal of the core").id().to_string(), *id);
}

/// What a container mounts is what the configuration and the environment of its process name, and no more.
#[test]
fn every_file_of_the_configuration_is_mounted_somewhere() {
    for case in setup::cases() {
        let text = configuration(&case.children);
        let named: BTreeSet<&str> =
            text.split_whitespace().filter_map(|word| word.strip_prefix("/etc/pnyx/")).collect();
        let mut mounted = BTreeSet::new();
        for child in &case.children {
            let sources = child.object().pointer("/spec/template/spec/volumes/0/projected/sources");
            let items =
                sources.and_then(Value::as_array).into_iter().flatten().filter_map(|it| it.pointer("/secret/items"));
            mounted.extend(items.filter_map(Value::as_array).flatten().filter_map(|item| item["path"].as_str()));
        }
        assert_eq!(mounted, named, "{}", case.name);
    }
}

fn folder(case: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/children").join(case).join("golden")
}

fn configuration(children: &[Child]) -> String {
    let map = children.iter().find(|child| child.kind() == ChildKind::ConfigMap).expect("a platform has one");
    map.object()["data"][CONFIGURATION].as_str().expect("a text").to_owned()
}
