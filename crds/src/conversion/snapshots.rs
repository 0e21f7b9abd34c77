//! At which block each chain is read: the resource's own rules, and the default for chains without one.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_core::{
    chain::{BlockNumber, ChainId, SnapshotRule},
    proposal::Strategy,
    time::TimestampMs,
};

use super::{Problems, chains::network, time};
use crate::SnapshotSpec;

/// The rules that the resource states, with the index of each.
pub(super) struct StatedSnapshots(BTreeMap<ChainId, (usize, SnapshotRule)>);

/// All rules, or nothing after noting what is wrong with them.
pub(super) fn read(specs: &[SnapshotSpec], problems: &mut Problems) -> Option<StatedSnapshots> {
    let mut stated = BTreeMap::new();
    let mut complete = true;
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("spec.power.snapshot[{index}]");
        let rule = rule(&path, spec, problems);
        let network = problems.keep(format!("{path}.network"), network(&spec.network));
        let (Some(rule), Some(network)) = (rule, network) else {
            complete = false;
            continue;
        };
        if let Some((first, _)) = stated.insert(network, (index, rule)) {
            problems.add(
                format!("{path}.network"),
                format!("chain {network} appears twice (first at snapshot[{first}]); keep one"),
            );
            complete = false;
        }
    }
    complete.then_some(StatedSnapshots(stated))
}

impl StatedSnapshots {
    /// A rule for each chain that is read: the stated one, otherwise the last block at or before `opens_at`. Nothing after
    /// noting rules of chains that nobody reads.
    pub(super) fn of_chains(
        self,
        strategies: &[Strategy],
        opens_at: TimestampMs,
        problems: &mut Problems,
    ) -> Option<BTreeMap<ChainId, SnapshotRule>> {
        let Self(mut stated) = self;
        let chains: BTreeSet<_> =
            strategies.iter().flat_map(Strategy::chain_strategies).map(|strategy| strategy.network).collect();
        let rule = |chain| (chain, stated.remove(&chain).map_or(SnapshotRule::AtOrBefore(opens_at), |(_, rule)| rule));
        let rules = chains.into_iter().map(rule).collect();
        for (chain, (index, _)) in &stated {
            problems.add(
                format!("spec.power.snapshot[{index}].network"),
                format!("no strategy reads chain {chain}; remove it or name the chain in a strategy"),
            );
        }
        stated.is_empty().then_some(rules)
    }
}

fn rule(path: &str, spec: &SnapshotSpec, problems: &mut Problems) -> Option<SnapshotRule> {
    match (spec.block, &spec.at_or_before) {
        (Some(number), None) => {
            let number = u64::try_from(number).map_err(|_| "must not be negative".to_owned());
            problems.keep(format!("{path}.block"), number).map(|number| SnapshotRule::Block(BlockNumber(number)))
        }
        (None, Some(text)) => {
            problems.keep(format!("{path}.atOrBefore"), time::read(text)).map(SnapshotRule::AtOrBefore)
        }
        (None, None) | (Some(_), Some(_)) => {
            problems.add(path, "exactly one of block and atOrBefore must be set");
            None
        }
    }
}
