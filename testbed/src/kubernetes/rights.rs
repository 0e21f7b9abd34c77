//! What somebody may do, by their roles, and what they did, by the audit log: one verb on one kind of resource each.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::AuditEvent;

/// HTTP's word for "made": what was applied was not there before.
const CREATED: u16 = 201;

/// A verb on a kind of resource, such as `patch governanceproposals.pnyx.dev/status`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    group: String,
    /// With its subresource, as in rules.
    resource: String,
    verb: String,
}

impl Right {
    /// What a Role or ClusterRole grants.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn granted(role: &Value) -> BTreeSet<Self> {
        let words = |rule: &Value, field: &str| -> Vec<String> {
            let words = rule[field].as_array().expect("rules are lists of words").iter();
            words.map(|word| word.as_str().expect("rules are lists of words").to_owned()).collect()
        };
        let mut rights = BTreeSet::new();
        for rule in role["rules"].as_array().expect("a role has rules") {
            let (groups, resources, verbs) = (words(rule, "apiGroups"), words(rule, "resources"), words(rule, "verbs"));
            for group in &groups {
                for resource in &resources {
                    rights.extend(verbs.iter().map(|verb| Self::new(group, resource, verb)));
                }
            }
        }
        rights
    }

    /// What a request needed. To apply what is not there takes the right to create it, too, by which the API server asks
    /// beside.
    #[must_use]
    pub fn used(event: &AuditEvent) -> BTreeSet<Self> {
        if event.resource.is_empty() {
            return BTreeSet::new();
        }
        let resource = match event.subresource.as_str() {
            "" => event.resource.clone(),
            subresource => format!("{}/{subresource}", event.resource),
        };
        let has_made = event.verb == "patch" && event.status == Some(CREATED);
        let verbs = [event.verb.as_str()].into_iter().chain(has_made.then_some("create"));
        verbs.map(|verb| Self::new(&event.group, &resource, verb)).collect()
    }

    fn new(group: &str, resource: &str, verb: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, resource, verb } = self;
        let (resource, subresource) =
            resource.split_once('/').map_or((resource.as_str(), None), |(of, sub)| (of, Some(sub)));
        write!(formatter, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(formatter, ".{group}")?;
        }
        subresource.map_or(Ok(()), |subresource| write!(formatter, "/{subresource}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn to_apply_what_is_not_there_takes_two_rights() {
        let resources = ["deployments", "deployments/scale"];
        let rule = json!({"apiGroups": ["", "apps"], "resources": resources, "verbs": ["patch", "create"]});
        let words = |rights: &BTreeSet<Right>| rights.iter().map(Right::to_string).collect::<Vec<_>>();
        let granted = Right::granted(&json!({"rules": [rule]}));
        assert_eq!(granted.len(), 8);
        let text = |text: &str| text.to_owned();
        let event = AuditEvent {
            user: text("somebody"),
            verb: text("patch"),
            group: text("apps"),
            resource: text("deployments"),
            subresource: text(""),
            namespace: text("votes"),
            name: text("tally"),
            uri: text("/"),
            user_agent: text("test"),
            status: Some(CREATED),
            is_forbidden: false,
        };
        let used = Right::used(&event);
        assert_eq!(words(&used), ["create deployments.apps", "patch deployments.apps"]);
        assert!(used.is_subset(&granted));
        let scaled = AuditEvent { subresource: text("scale"), status: Some(200), ..event };
        assert_eq!(words(&Right::used(&scaled)), ["patch deployments.apps/scale"]);
    }
}
