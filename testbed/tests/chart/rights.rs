//! What the operator may do: nothing by wildcard, each rule with its reason, and in namespaces alone where that is asked.

use serde_json::{Value, json};

use crate::{NAMESPACE, cases::CASES, objects, of_kind, text};

/// Kinds that grant something.
const ROLES: [&str; 2] = ["Role", "ClusterRole"];

fn rules(role: &Value) -> Vec<&Value> {
    role["rules"].as_array().expect("a role has rules").iter().collect()
}

#[test]
fn nothing_is_granted_by_wildcard() {
    for case in CASES {
        let objects = objects(case.values);
        let roles = ROLES.iter().flat_map(|kind| of_kind(&objects, kind));
        for rule in roles.flat_map(rules) {
            let words = ["apiGroups", "resources", "verbs"].map(|field| rule[field].as_array().expect("it is a list"));
            for word in words.into_iter().flatten() {
                let word = word.as_str().expect("it is a text");
                assert!(!word.contains('*'), "{}: {rule}", case.values);
            }
        }
    }
}

#[test]
fn each_rule_says_why() {
    for template in ["_rules.tpl", "rbac.yaml", "rbac-users.yaml"] {
        let text = text(&format!("charts/pnyx/templates/{template}"));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let rules = lines.iter().enumerate().filter(|(_, line)| line.starts_with("- apiGroups:"));
        let mut count = 0;
        for (index, rule) in rules {
            count += 1;
            let before = index.checked_sub(1).and_then(|index| lines.get(index));
            assert!(before.is_some_and(|line| line.starts_with("# ")), "{template}: {rule} has no reason");
        }
        assert!(count > 1, "{template} has rules");
    }
}

#[test]
fn namespaces_take_roles_alone() {
    let objects = objects("namespaces: [dao-one, dao-two]");
    assert!(of_kind(&objects, "ClusterRole").is_empty() && of_kind(&objects, "ClusterRoleBinding").is_empty());
    let namespaces = |kind| {
        let all = of_kind(&objects, kind).into_iter();
        all.map(|role| role["metadata"]["namespace"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut roles = namespaces("Role");
    roles.sort();
    assert_eq!(roles, ["dao-one", "dao-two", NAMESPACE]);
    assert_eq!(namespaces("RoleBinding").len(), 3);
}

#[test]
fn a_role_in_a_namespace_says_what_the_cluster_role_says() {
    let (whole, one) = (objects("{}"), objects("namespaces: [dao-one]"));
    let of_cluster =
        of_kind(&whole, "ClusterRole").into_iter().find(|role| role["metadata"]["name"] == "pnyx-operator");
    let of_one = of_kind(&one, "Role").into_iter().find(|role| role["metadata"]["namespace"] == "dao-one");
    assert_eq!(of_cluster.unwrap()["rules"], of_one.unwrap()["rules"]);
}

#[test]
fn secrets_are_asked_for_one_by_one() {
    for (values, names) in [("{}", Value::Null), ("rbac: {secretNames: [kafka]}", json!(["kafka"]))] {
        let objects = objects(values);
        let all: Vec<&Value> = ROLES.iter().flat_map(|kind| of_kind(&objects, kind)).flat_map(rules).collect();
        let about: Vec<_> = all.into_iter().filter(|rule| rule["resources"] == json!(["secrets"])).collect();
        assert_eq!(about.len(), 1);
        assert_eq!((&about[0]["verbs"], &about[0]["resourceNames"]), (&json!(["get"]), &names));
    }
}

#[test]
fn the_lease_is_had_where_the_operator_runs_and_nowhere_else() {
    for values in ["{}", "namespaces: [dao-one]"] {
        let objects = objects(values);
        let holds = |role: &&Value| rules(role).iter().any(|rule| rule["resources"] == json!(["leases"]));
        let roles: Vec<_> = ROLES.iter().flat_map(|kind| of_kind(&objects, kind)).filter(holds).collect();
        assert_eq!(roles.len(), 1);
        assert_eq!((&roles[0]["kind"], &roles[0]["metadata"]["namespace"]), (&json!("Role"), &json!(NAMESPACE)));
    }
}
