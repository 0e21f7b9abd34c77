//! Every file of `examples/` becomes a proposal, one for each voting system, with the demo wallets as delegates.

use std::{collections::BTreeSet, path::Path};

use pnyx_core::{
    proposal::{Strategy, VotingSystem},
    time::{TimestampMs, Window},
};
use pnyx_crds::{PLATFORM_NAME_DEFAULT, Resource, read_platforms, read_resources};

/// How many demo wallets `examples/README.md` names.
const DEMO_WALLETS: usize = 16;

fn examples() -> Vec<Resource> {
    read_resources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")))
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn each_voting_system_has_an_example() {
    let examples = examples();
    let proposals: Vec<_> = examples.iter().map(|example| example.resolve("dev", None).unwrap()).collect();
    let systems: BTreeSet<VotingSystem> = proposals.iter().map(|proposal| proposal.system()).collect();
    assert_eq!(systems, VotingSystem::ALL.into());
    for (example, proposal) in examples.iter().zip(&proposals) {
        assert_eq!(example.file().file_stem().unwrap().to_str().unwrap(), proposal.parts().name);
        let strategies = &proposal.parts().strategies;
        let has_demo_wallets = |strategy: &Strategy| match strategy {
            Strategy::WhitelistWeighted(powers) => {
                powers.len() == DEMO_WALLETS && powers.values().collect::<BTreeSet<_>>().len() == DEMO_WALLETS
            }
            Strategy::Whitelist(_) | Strategy::Ticket(_) | Strategy::OnChain(_) | Strategy::Multichain(_) => false,
        };
        assert!(strategies.iter().any(has_demo_wallets), "{}", proposal.parts().name);
    }
}

#[test]
fn one_example_reads_a_chain() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/chains"));
    let resources = read_resources(folder).unwrap_or_else(|error| panic!("{error}"));
    let proposals: Vec<_> = resources.iter().map(|example| example.resolve("dev", None).unwrap()).collect();
    assert_eq!(proposals.iter().map(|proposal| proposal.parts().name.as_str()).collect::<Vec<_>>(), ["token-holders"]);
    assert_eq!(proposals[0].chains().collect::<Vec<_>>(), Vec::from_iter(proposals[0].signers()));
    assert_eq!(proposals[0].chains().len(), 1);
}

#[test]
fn one_example_is_the_platform_that_the_others_mean() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/platform"));
    let platforms = read_platforms(folder).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = platforms.iter().map(|platform| platform.metadata.name.as_deref()).collect();
    assert_eq!(names, [Some(PLATFORM_NAME_DEFAULT)]);
    let named = |example: Resource| example.proposal().spec.platform_ref.name.clone();
    assert_eq!(examples().into_iter().map(named).collect::<BTreeSet<_>>(), [PLATFORM_NAME_DEFAULT.to_owned()].into());
    // It is no proposal, and a file with platforms alone proposes nothing.
    let error = read_resources(folder).unwrap_err();
    assert!(error.to_string().ends_with("holds a GovernancePlatform, but no GovernanceProposal"), "{error}");
    assert_eq!(read_platforms(&folder.join("../chains")), Ok(Vec::new()));
}

#[test]
fn one_example_gives_strangers_no_power() {
    let has_no_ticket =
        |example: &&Resource| example.proposal().spec.power.strategies.iter().all(|strategy| strategy.ticket.is_none());
    assert_eq!(examples().iter().filter(has_no_ticket).count(), 1);
}

#[test]
fn a_window_of_the_caller_replaces_the_files_own_and_changes_the_id() {
    let window = Window::new(TimestampMs(1_000), TimestampMs(2_000)).unwrap();
    for example in examples() {
        let own = example.resolve("dev", None).unwrap();
        let opened = example.resolve("dev", Some(window)).unwrap();
        assert_eq!(opened.window(), window);
        assert_ne!(opened.id(), own.id());
    }
}
