//! A platform that can be run, and everything of it that its children are made from.

use pnyx_crds::{GovernancePlatform, SecretKeyRef, conditions::reasons};

use super::{
    Refusal,
    archive::{ArchiveStorage, archive},
    chains::{Chain, chains},
    duration,
    edge::{Edge, Traces, edge, traces},
    image::{Image, OwnImage, image},
    kafka::{Kafka, kafka},
    problems::Problems,
    redis::{Redis, redis},
    workload::{Replicas, Workload, replicas, workload},
};
use crate::observe::MissingSecrets;

/// Shortest and longest grace after a close, in seconds: shorter than a produce request may take loses ballots.
const GRACE_S: (u64, u64) = (5, 3_600);

/// A platform that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedPlatform {
    resource: GovernancePlatform,
    parts: PlatformParts,
}

/// What a platform is made of, all of it read.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformParts {
    /// Where it is.
    pub namespace: String,
    /// What it is called there.
    pub name: String,
    /// Its name in the world, part of every proposal's id.
    pub domain: String,
    /// The log.
    pub kafka: Kafka,
    /// The store.
    pub redis: Redis,
    /// Signs receipts and results.
    pub signing_key: SecretKeyRef,
    /// Chains that proposals may read.
    pub chains: Vec<Chain>,
    /// What runs.
    pub image: Image,
    /// The edge's pods.
    pub ingest: Workload,
    /// How many there are.
    pub ingest_replicas: Replicas,
    /// The tally's pods.
    pub tally: Workload,
    /// How many there are.
    pub tally_replicas: Replicas,
    /// Verifiers' pods.
    pub verifier: Workload,
    /// Recounts' pods.
    pub recount: Workload,
    /// What the edge takes from whom.
    pub edge: Edge,
    /// How long after a close the cut is made, in seconds.
    pub grace_s: u64,
    /// Where traces go; `None` is nowhere.
    pub traces: Option<Traces>,
    /// Where archives are kept.
    pub archive: ArchiveStorage,
}

impl ValidatedPlatform {
    /// As [`platform`], without asking for its Secrets: whoever runs on it waits for them anyway.
    pub(super) fn read(resource: GovernancePlatform, own: &OwnImage) -> Result<Self, Refusal> {
        let mut problems = Problems::default();
        let parts = parts(&resource, own, &mut problems);
        match (parts, problems.into_message()) {
            (Some(parts), None) => Ok(Self { resource, parts }),
            (_, Some(message)) => Err(Refusal::new(reasons::INVALID, message)),
            // What is missing was noted as a problem.
            (None, None) => Err(Refusal::new(reasons::INVALID, "the platform cannot be read")),
        }
    }

    /// As it stands in the API.
    pub fn resource(&self) -> &GovernancePlatform {
        &self.resource
    }

    /// What it is made of.
    pub fn parts(&self) -> &PlatformParts {
        &self.parts
    }
}

/// Checks a platform. Nothing is held against it while its Secrets cannot be read. `own` is the image that runs where it
/// names none.
///
/// # Errors
/// What is wrong with it, or what is missing.
pub fn platform(
    resource: GovernancePlatform,
    own: &OwnImage,
    secrets: Option<&MissingSecrets>,
) -> Result<ValidatedPlatform, Refusal> {
    let platform = ValidatedPlatform::read(resource, own)?;
    match secrets {
        Some(missing) if !missing.is_empty() => Err(Refusal::new(reasons::SECRET_NOT_FOUND, missing.join("; "))),
        Some(_) | None => Ok(platform),
    }
}

fn parts(resource: &GovernancePlatform, own: &OwnImage, problems: &mut Problems) -> Option<PlatformParts> {
    let (metadata, spec) = (&resource.metadata, &resource.spec);
    let namespace = problems.keep("metadata.namespace", metadata.namespace.clone().ok_or("is required"));
    let name = problems.keep("metadata.name", metadata.name.clone().ok_or("is required"));
    // All of them first, so that everything that is wrong is said at once.
    let (kafka, redis) = (kafka(&spec.kafka, problems), redis(&spec.redis, problems));
    let chains = chains(&spec.chains, problems);
    let archive = archive(spec.archive.as_ref(), problems);
    let (ingest, tally) = (workload("ingest", &spec.ingest, problems), workload("tally", &spec.tally, problems));
    let verifier = workload("verifier", &spec.verifier, problems);
    let recount = workload("recount", &spec.recount, problems);
    let ingest_replicas = replicas("ingest", &spec.ingest, problems);
    let tally_replicas = replicas("tally", &spec.tally, problems);
    let edge = edge(&spec.edge, problems);
    let grace_s = problems.keep("spec.grace", duration::seconds_within(&spec.grace, GRACE_S.0, GRACE_S.1));
    let traces = traces(spec.traces.as_ref(), problems);
    Some(PlatformParts {
        namespace: namespace?,
        name: name?,
        domain: spec.domain.clone(),
        kafka: kafka?,
        redis: redis?,
        signing_key: spec.signing_key_secret_ref.clone(),
        chains: chains?,
        image: image(&spec.images, own),
        ingest: ingest?,
        ingest_replicas: ingest_replicas?,
        tally: tally?,
        tally_replicas: tally_replicas?,
        verifier: verifier?,
        recount: recount?,
        edge: edge?,
        grace_s: grace_s?,
        traces: traces?,
        archive: archive?,
    })
}
