//! What is said of platforms.

use jiff::Timestamp;
use pnyx_crds::{GovernancePlatform, conditions::platform as types};
use pnyx_operator::{
    Primary,
    log::LogState,
    observe::{LiveChildren, MissingSecrets, PlatformObserved},
    plan,
    validate::{self, OwnImage},
};
use serde_json::{Value, json};

use super::{Case, patched, pods, seen};

/// The least that can be run.
pub(super) fn spec() -> Value {
    json!({
        "domain": "test", "kafka": {"bootstrapServers": ["kafka:9092"]}, "redis": {"single": {"address": "redis"}},
        "signingKeySecretRef": {"name": "s", "key": "k"},
    })
}

struct Situation {
    spec: Value,
    missing: MissingSecrets,
    children: LiveChildren,
    log: Option<LogState>,
    is_deleted: bool,
}

impl Situation {
    /// Everything is as it should be.
    fn new() -> Self {
        let children = [pods("ingest", 2, 2), pods("tally", 2, 2)].concat();
        let (missing, log) = (MissingSecrets::default(), Some(LogState::Followed));
        Self { spec: json!({}), missing, children, log, is_deleted: false }
    }

    fn case(self, about: &'static str, kinds: &'static [&'static str]) -> Case {
        let resource: GovernancePlatform = serde_json::from_value(json!({
            "metadata": {"name": "default", "namespace": "n"}, "spec": patched(&spec(), &self.spec),
        }))
        .unwrap();
        let validated = validate::platform(resource.clone(), &OwnImage::default(), Some(&self.missing));
        let mut seen = seen(Primary::Platform, "default", resource, Vec::new());
        seen.is_deleted = self.is_deleted;
        let Self { children, log, missing, .. } = self;
        let observed = PlatformObserved { seen, children, proposals: Vec::new(), secrets: Some(missing), log };
        let plan = plan::platform(&observed, validated.as_ref(), Vec::new(), None, Timestamp::UNIX_EPOCH);
        Case { about, kinds, said: plan.conditions }
    }
}

pub(super) fn cases() -> Vec<Case> {
    let all = &[
        types::ACCEPTED,
        types::KAFKA_READY,
        types::REDIS_READY,
        types::INGEST_READY,
        types::TALLY_READY,
        types::PAUSED,
        types::READY,
    ];
    let base = Situation::new;
    vec![
        base().case("everything is there", all),
        Situation { children: Vec::new(), log: None, ..base() }.case("it was made a moment ago", all),
        Situation { spec: json!({"kafka": {"bootstrapServers": ["kafka"]}}), ..base() }
            .case("a field slipped past the schema", &[types::ACCEPTED, types::READY]),
        Situation { missing: vec!["Secret s does not exist".to_owned()], ..base() }
            .case("a Secret is missing", &[types::ACCEPTED]),
        Situation { spec: json!({"paused": true}), ..base() }.case("it is paused", &[types::PAUSED]),
        Situation { children: [pods("ingest", 2, 1), pods("tally", 2, 0)].concat(), ..base() }
            .case("pods are starting", &[types::INGEST_READY, types::TALLY_READY, types::REDIS_READY, types::READY]),
        Situation { is_deleted: true, ..base() }.case("it is being deleted", &[types::READY]),
    ]
}
