//! After the close: everything acknowledged is in the archives, every record was counted once, and both replicas, the
//! published results and the load's own expectation say the same.

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
    let receipts = Receipts::verify(pipeline.edge(), receipts);
    let acknowledged = load.number("accepted");
    assert_eq!(u64::try_from(receipts.len()).unwrap(), acknowledged, "a receipt for each acknowledgement");
    let reads = pipeline.reads();
    let mut found = 0;
    let (mut standing, mut records, mut counted, mut ballots) = (0, 0, 0, 0);
    for target in targets {
        let published = get_json(&format!("{}/v1/proposals/{}/result", reads[0], target.id));
        for url in &reads {
            check_replica(url, target, &published);
        }
        found += receipts.audit(&reads[0], &target.id);
        let progress = get_json(&format!("{}/v1/proposals/{}/progress", reads[0], target.id));
        records += published["provenance"]["records"].as_u64().unwrap();
        counted += progress["counted"].as_u64().unwrap();
        ballots += published["core"]["ballots"].as_u64().unwrap();
    }
    standing += load.number("standing");
    let lost = acknowledged - u64::try_from(found).unwrap();
    let counted_twice = counted.abs_diff(records) + ballots.abs_diff(standing);
    let probes = check_probes(&reads, probe);
    for (name, figure) in [
        ("acknowledged", acknowledged + probes),
        ("lost", lost),
        ("records", records),
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

/// Every probe that was acknowledged stands, and no other ballot.
fn check_probes(reads: &[String], probe: &Probe) -> u64 {
    let count = u64::try_from(probe.acknowledged.len()).unwrap();
    for url in reads {
        let proposal = get_json(&format!("{url}/v1/proposals/{}", probe.target.id));
        assert_eq!(proposal["tally"]["ballots"], count, "probes at {url}");
        for (voter, digest) in &probe.acknowledged {
            let served = get_json(&format!("{url}/v1/proposals/{}/voters/{voter}", probe.target.id));
            assert_eq!(served["ballot"]["digest"], digest.as_str(), "the probe of {voter} at {url}");
        }
    }
    count
}
