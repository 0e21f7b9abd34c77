//! A cluster with our resources, a platform and its real log.

use std::collections::BTreeMap;

use kube::Client;
use pnyx_backbone::{
    log::{KafkaConfig, KafkaLog, Log, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
};
use pnyx_core::{
    counting::{CountingRules, Totals},
    decisions::{Decision, Recorded},
    id::{ProposalId, Root},
    outcome::outcome,
    result::{Cut, CutPartition, Provenance, PublishedResult, ResultCore},
    signing::SigningKey,
    time::TimestampMs,
};
use pnyx_operator::{OperatorConfig, Primary, observe::Books};
use pnyx_testbed::{
    KafkaCluster, KafkaOptions,
    kubernetes::{ControlPlane, ControlPlaneOptions},
};
use serde_json::{Value, json};

use crate::{
    running::{Operator, api, condition, create, create_secret},
    support::{client, control_plane_with, install},
};

/// A platform whose log is this one.
pub(crate) fn platform_spec(kafka: &KafkaCluster) -> Value {
    json!({
        "domain": "test",
        "kafka": {
            "bootstrapServers": [kafka.bootstrap()], "replication": 1, "minInSync": 1, "allowUnsafeDurability": true,
        },
        "redis": {"single": {"address": "redis:6379"}},
        "signingKeySecretRef": {"name": "signing", "key": "key"},
    })
}

/// As another process sees the log.
pub(crate) struct Reader {
    pub(crate) log: Log,
    pub(crate) proposals: Proposals,
}

impl Reader {
    pub(crate) async fn open(kafka: &KafkaCluster) -> Self {
        let config = KafkaConfig {
            replication_factor: 1,
            min_insync_replicas: 1,
            allow_unsafe_durability: true,
            ..KafkaConfig::new(kafka.bootstrap())
        };
        let log = Log::Kafka(KafkaLog::open(config).await.expect("the broker answers"));
        let proposals = Proposals::start(log.clone(), &Shutdown::new()).await.expect("it can be read");
        Self { log, proposals }
    }

    async fn decide(&self, decision: Decision) {
        assert_eq!(self.proposals.decide(decision).await.expect("it is written"), Recorded::Stands);
    }

    /// Ends the counting of a vote in which nobody took part, as its Job would.
    pub(crate) async fn cut(&self, id: ProposalId) -> Cut {
        let ballots = self.log.partitions(&Topic::ballots(id)).await.expect("it is there");
        let partition = CutPartition { end_offset: 0, records_root: Root::new([0; 32]) };
        let partitions = (0..ballots).map(|_| partition).collect();
        let cut = Cut { proposal: id, decided_at: TimestampMs(1_764_000_000_000), partitions };
        self.decide(Decision::Cut(cut.clone())).await;
        cut
    }

    /// And publishes its result.
    pub(crate) async fn publish(&self, cut: Cut) {
        let id = cut.proposal;
        let definition = self.proposals.book().get(id).expect("it is recorded").definition.clone();
        let rules = CountingRules::of(definition.proposal());
        let outcome = outcome(&definition.proposal().parts().voting, rules, &Totals::empty(rules));
        let core = ResultCore { proposal: id, ballots: 0, outcome, ballots_root: Root::new([7; 32]) };
        let provenance = Provenance { cut, records: 0, rejected: BTreeMap::new(), chains: None };
        let key = SigningKey::from_bytes([1; 32]).expect("a key");
        self.decide(Decision::Result(Box::new(PublishedResult::sign(core, provenance, &key)))).await;
    }
}

pub(crate) struct Bed {
    pub(crate) control_plane: ControlPlane,
    pub(crate) kafka: KafkaCluster,
    pub(crate) client: Client,
}

impl Bed {
    /// A cluster with our resources and a platform with its log.
    pub(crate) async fn start(options: ControlPlaneOptions) -> Self {
        let control_plane = control_plane_with(options);
        let kafka = KafkaCluster::start(KafkaOptions::one()).expect("Kafka starts");
        let client = client(&control_plane.kubeconfig_path()).await;
        install(&client).await;
        create_secret(&client, "key").await;
        create(&client, Primary::Platform, "default", platform_spec(&kafka)).await;
        Self { control_plane, kafka, client }
    }

    pub(crate) async fn operator(&self) -> Operator {
        self.operator_with(|_| {}).await
    }

    /// One with other settings.
    pub(crate) async fn operator_with(&self, change: impl FnOnce(&mut OperatorConfig)) -> Operator {
        let kubeconfig = self.control_plane.kubeconfig_path();
        Operator::start_with(&kubeconfig, "operator-1", Books::default(), change).await
    }

    pub(crate) async fn says(&self, name: &str, kind: &str, said: &str) -> String {
        condition(&self.client, Primary::Proposal, name, kind, |now| now.starts_with(said)).await
    }

    pub(crate) async fn status(&self, name: &str) -> Value {
        api(&self.client, Primary::Proposal).get(name).await.expect("it is there").data["status"].clone()
    }

    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let listed = self.control_plane.kubectl(&["get", kind, "--output=name"]).expect("kubectl lists");
        listed.lines().map(str::to_owned).collect()
    }
}
