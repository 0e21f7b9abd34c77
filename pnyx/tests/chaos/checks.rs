//! After the close: everything acknowledged is in the archives, every record was counted once, and both replicas, the
//! published results and the load's own expectation say the same. Probes are acknowledged ballots and records as all others.

use std::path::Path;

use serde_json::Value;

use crate::{
    common::{audit::Receipts, ballots::Target, get_json, load::LoadReport, pipeline::Pipeline},
    probe::Probe,
    report::RoundReport,
};

/// Checks everything and notes the figures.
pub(crate) fn run(
    pipeline: &Pipeline,
    targets: &[Target],
    probe: &Probe,
    receipts: &Path,
    load: &LoadReport,
    report: &mut RoundReport,
) {
    let reads = pipeline.reads();
    check_probes(&reads, probe);
    let mut found = probe.acknowledged.len();
    let mut acknowledged = load.number("accepted");
    let receipts = Receipts::verify(pipeline.edge(), receipts);
    assert_eq!(u64::try_from(receipts.len()).unwrap(), acknowledged, "a receipt for each acknowledgement");
    found += targets.iter().map(|target| receipts.audit(&reads[0], &target.id)).sum::<usize>();
    let of_pace = Receipts::verify(pipeline.edge(), &probe.paced.receipts);
    found += of_pace.audit(&reads[0], &probe.target.id);
    let probes = u64::try_from(probe.acknowledged.len()).unwrap();
    acknowledged += probe.paced.acknowledged + probes;
    let lost = acknowledged - u64::try_from(found).unwrap();
    let (mut records, mut counted, mut ballots) = (0, 0, 0);
    for target in targets.iter().chain([&probe.target]) {
        let published = get_json(&format!("{}/v1/proposals/{}/result", reads[0], target.id));
        for url in &reads {
            check_replica(url, target, &published);
        }
        let progress = get_json(&format!("{}/v1/proposals/{}/progress", reads[0], target.id));
        records += published["provenance"]["records"].as_u64().unwrap();
        counted += progress["counted"].as_u64().unwrap();
        ballots += published["core"]["ballots"].as_u64().unwrap();
    }
    let standing = load.number("standing") + probe.paced.standing + probes;
    let counted_twice = counted.abs_diff(records) + ballots.abs_diff(standing);
    assert!(records >= acknowledged, "{acknowledged} acknowledged, but only {records} records lie below the cuts");
    for (name, figure) in [
        ("acknowledged", acknowledged),
        ("lost", lost),
        ("records", records),
        // What the log took although the edge had given it up, and nobody was told.
        ("unacknowledged", records - acknowledged),
        ("standing", standing),
        ("countedTwice", counted_twice),
    ] {
        report.checks.insert(name, figure);
    }
    assert_eq!(lost, 0, "acknowledged and lost");
    assert_eq!(counted_twice, 0, "counted {counted} of {records} records; {ballots} ballots of {standing} voters");
}

/// What a replica serves from the store is what was published.
fn check_replica(url: &str, target: &Target, published: &Value) {
    let result = get_json(&format!("{url}/v1/proposals/{}/result", target.id));
    assert_eq!(&result, published, "all replicas serve the same result");
    let tally = &get_json(&format!("{url}/v1/proposals/{}", target.id))["tally"];
    for field in ["ballots", "totalPower", "scores"] {
        assert_eq!(tally[field], published["core"][field], "{field} of {} at {url}", target.name);
    }
    let progress = get_json(&format!("{url}/v1/proposals/{}/progress", target.id));
    assert_eq!(progress["counted"], published["provenance"]["records"], "every record below the cut has one verdict");
}

/// Every probe that was acknowledged stands, and no other ballot but those before the first.
fn check_probes(reads: &[String], probe: &Probe) {
    let count = u64::try_from(probe.acknowledged.len()).unwrap() + probe.paced.standing;
    for url in reads {
        let proposal = get_json(&format!("{url}/v1/proposals/{}", probe.target.id));
        assert_eq!(proposal["tally"]["ballots"], count, "probes at {url}");
        for (voter, digest) in &probe.acknowledged {
            let served = get_json(&format!("{url}/v1/proposals/{}/voters/{voter}", probe.target.id));
            assert_eq!(served["ballot"]["digest"], digest.as_str(), "the probe of {voter} at {url}");
        }
    }
}
