//! Resources are checked, kept and guarded.

use pnyx_testbed::{
    TestbedError,
    kubernetes::{ControlPlane, ControlPlaneOptions, Part},
};

/// A resource with a rule that only a real API server evaluates.
const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: windows.testbed.pnyx
spec:
  group: testbed.pnyx
  scope: Namespaced
  names: {kind: Window, plural: windows, singular: window}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [opens, closes]
            properties:
              opens: {type: integer}
              closes: {type: integer}
            x-kubernetes-validations:
            - rule: self.opens < self.closes
              message: a window opens before it closes
"#;

fn window(opens: u32, closes: u32) -> String {
    format!(
        "apiVersion: testbed.pnyx/v1\nkind: Window\nmetadata: {{name: first, namespace: default}}\n\
         spec: {{opens: {opens}, closes: {closes}}}\n"
    )
}

fn output_of(refused: TestbedError) -> String {
    let TestbedError::Command { output, .. } = refused else { panic!("{refused}") };
    output
}

#[test]
fn resources_are_checked_and_survive_what_is_killed() {
    let control_plane = ControlPlane::start(ControlPlaneOptions::new()).unwrap();
    let version = control_plane.kubectl(&["version", "-o", "json"]).unwrap();
    assert_eq!(version.matches("\"v1.36.3\"").count(), 2, "client and server say their version: {version}");
    control_plane.apply(DEFINITION).unwrap();
    let established = ["wait", "--for=condition=Established", "crd/windows.testbed.pnyx", "--timeout=30s"];
    control_plane.kubectl(&established).unwrap();
    control_plane.apply(&window(1, 2)).unwrap();
    let refused = output_of(control_plane.apply(&window(2, 1)).unwrap_err());
    assert!(refused.contains("a window opens before it closes"), "{refused}");

    let closes = || control_plane.kubectl(&["get", "window", "first", "-o", "jsonpath={.spec.closes}"]);
    control_plane.restart_api_server().unwrap();
    assert_eq!(closes().unwrap(), "2");
    control_plane.kill(Part::Etcd).unwrap();
    control_plane.kill(Part::ApiServer).unwrap();
    assert!(control_plane.process_id(Part::ApiServer).is_none() && closes().is_err());
    control_plane.restart(Part::Etcd).unwrap();
    control_plane.restart_api_server().unwrap();
    assert_eq!(closes().unwrap(), "2");

    control_plane.pause(Part::ApiServer).unwrap();
    let silent = control_plane.kubectl(&["get", "--raw=/livez", "--request-timeout=1s"]);
    assert!(silent.is_err(), "a paused server does not answer");
    control_plane.resume(Part::ApiServer).unwrap();
    assert_eq!(closes().unwrap(), "2");
    control_plane.stop(Part::ApiServer).unwrap();
}

#[test]
fn who_may_not_is_refused_and_written_down() {
    let options = ControlPlaneOptions::new().user("eve", &["readers"]);
    let control_plane = ControlPlane::start(options).unwrap();
    let eve = control_plane.kubeconfig_of("eve");
    let refused = output_of(control_plane.kubectl_as(&eve, &["get", "secrets"]).unwrap_err());
    assert!(refused.contains("User \"eve\" cannot list resource \"secrets\""), "{refused}");
    let role = ["create", "role", "reader", "--verb=list", "--resource=configmaps"];
    control_plane.kubectl(&role).unwrap();
    control_plane.kubectl(&["create", "rolebinding", "readers", "--role=reader", "--group=readers"]).unwrap();
    control_plane.kubectl_as(&eve, &["get", "configmaps"]).unwrap();

    control_plane.kubectl(&["create", "serviceaccount", "robot"]).unwrap();
    let robot = control_plane.kubeconfig_of_account("default", "robot").unwrap();
    let refused = output_of(control_plane.kubectl_as(&robot, &["delete", "pod", "none"]).unwrap_err());
    assert!(refused.contains("system:serviceaccount:default:robot"), "{refused}");

    let log = control_plane.audit_log().unwrap();
    let did = |user: &str| {
        let theirs = log.iter().filter(|event| event.user == user && !event.resource.is_empty());
        theirs
            .map(|event| (event.verb.as_str(), event.resource.as_str(), event.status, event.is_forbidden))
            .collect::<Vec<_>>()
    };
    assert_eq!(did("eve"), [("list", "secrets", Some(403), true), ("list", "configmaps", Some(200), false)]);
    assert_eq!(did("system:serviceaccount:default:robot"), [("delete", "pods", Some(403), true)]);
    let made = log.iter().find(|event| event.user == "admin" && event.resource == "roles").unwrap();
    assert_eq!((made.verb.as_str(), made.group.as_str()), ("create", "rbac.authorization.k8s.io"));
    assert_eq!((made.namespace.as_str(), made.status, made.is_forbidden), ("default", Some(201), false));
    assert!(made.user_agent.starts_with("kubectl/"), "{made:?}");
}
