//! What must hold before parts are a proposal. Every problem is told at once, by its path in the resource.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Abstentions, BODY_BYTES_MAX, CHAIN_READS_MAX, CHOICES_MAX, CLOCK_SKEW_S_MAX, ChainStrategy, DISCUSSION_BYTES_MAX,
    LISTED_VOTERS_MAX, MULTICHAIN_STRATEGIES_MAX, NAME_BYTES_MAX, ProposalError, ProposalParts, Quorum,
    RANKED_CHOICES_MAX, STRATEGIES_MAX, Strategy, TITLE_BYTES_MAX, Voting, VotingSystem,
};
use crate::{
    chain::{ChainId, SnapshotRule},
    power::Power,
    time::Window,
};

/// All problems of the parts, in the order of the resource's fields; none for a sound proposal.
pub(super) fn check(parts: &ProposalParts) -> Vec<ProposalError> {
    let mut problems = Problems::default();
    let ProposalParts {
        platform,
        namespace,
        name,
        space,
        title,
        body,
        discussion,
        author,
        choices,
        voting,
        window,
        strategies,
        snapshots,
        clock_skew_s,
    } = parts;
    problems.check_line("platform", platform, NAME_BYTES_MAX, Presence::Required);
    problems.check_line("metadata.namespace", namespace, NAME_BYTES_MAX, Presence::Required);
    problems.check_line("metadata.name", name, NAME_BYTES_MAX, Presence::Required);
    problems.check_line("spec.space", space, NAME_BYTES_MAX, Presence::Required);
    problems.check_line("spec.title", title, TITLE_BYTES_MAX, Presence::Required);
    problems.check_body(body);
    problems.check_line("spec.discussion", discussion, DISCUSSION_BYTES_MAX, Presence::Optional);
    problems.check_line("spec.author", author, NAME_BYTES_MAX, Presence::Optional);
    problems.check_choices(choices, voting.system);
    problems.check_voting(voting, choices.len());
    if *clock_skew_s > CLOCK_SKEW_S_MAX {
        problems.add(
            "spec.window.clockSkewSeconds",
            format!(
                "must be 0 to {CLOCK_SKEW_S_MAX}; it is {clock_skew_s}, and {} is usual",
                super::CLOCK_SKEW_S_DEFAULT
            ),
        );
    }
    problems.check_strategies(strategies);
    problems.check_snapshots(snapshots, strategies, *window);
    problems.found
}

/// Whether a text may be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

#[derive(Default)]
struct Problems {
    found: Vec<ProposalError>,
}

impl Problems {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.found.push(ProposalError { path: path.into(), problem: problem.into() });
    }

    /// A text of one line: what people read as equal should be equal.
    fn check_line(&mut self, path: &str, text: &str, bytes_max: usize, presence: Presence) {
        if text.is_empty() {
            if presence == Presence::Required {
                self.add(path, "must not be empty");
            }
            return;
        }
        self.check_length(path, text, bytes_max);
        if text.chars().any(char::is_control) {
            self.add(path, "must be one line without control characters; remove line breaks and tabs");
        }
        if text.trim() != text {
            self.add(path, "must not begin or end with white space; remove it");
        }
    }

    fn check_body(&mut self, body: &str) {
        self.check_length("spec.body", body, BODY_BYTES_MAX);
        if body.chars().any(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) {
            self.add("spec.body", "must not have control characters other than line breaks and tabs; remove them");
        }
    }

    fn check_length(&mut self, path: &str, text: &str, bytes_max: usize) {
        if text.len() > bytes_max {
            self.add(path, format!("must be at most {bytes_max} bytes of UTF-8; it has {}", text.len()));
        }
    }

    fn check_choices(&mut self, choices: &[String], system: VotingSystem) {
        let (least, most, which) = match system {
            VotingSystem::Basic => (2, 3, " (For, Against and optionally Abstain, in this order)"),
            VotingSystem::SingleChoice | VotingSystem::Approval | VotingSystem::Weighted | VotingSystem::Quadratic => {
                (1, CHOICES_MAX, "")
            }
            VotingSystem::RankedChoice | VotingSystem::Copeland => (2, RANKED_CHOICES_MAX, ""),
        };
        if !(least..=most).contains(&choices.len()) {
            let (system, count) = (system.name(), choices.len());
            self.add(
                "spec.choices",
                format!("the {system} system takes {least} to {most} choices{which}; there are {count}"),
            );
        }
        let mut first_at = BTreeMap::new();
        for (index, choice) in choices.iter().enumerate() {
            let path = format!("spec.choices[{index}]");
            self.check_line(&path, choice, TITLE_BYTES_MAX, Presence::Required);
            let first = *first_at.entry(choice).or_insert(index);
            if first != index && !choice.is_empty() {
                self.add(path, format!("\"{choice}\" appears twice (first at choices[{first}])"));
            }
        }
    }

    fn check_voting(&mut self, voting: &Voting, choice_count: usize) {
        let Voting { system, quorum, approval_threshold: _, abstentions } = voting;
        match quorum {
            Some(Quorum::Rejection(_)) if *system != VotingSystem::Basic => {
                self.add(
                    "spec.voting.quorum",
                    format!(
                        "a rejection quorum needs the basic system, here it is {}; use participation",
                        system.name()
                    ),
                );
            }
            Some(Quorum::Participation(power) | Quorum::Rejection(power)) if power.is_zero() => {
                self.add("spec.voting.quorum", "must be above 0; leave the quorum out to ask for none");
            }
            Some(Quorum::Participation(_) | Quorum::Rejection(_)) | None => {}
        }
        let can_abstain = *system == VotingSystem::Basic && choice_count == 3;
        if *abstentions != Abstentions::default() && !can_abstain {
            self.add(
                "spec.voting.abstentions",
                "only the basic system with a third choice, Abstain, has abstentions; leave it out or add the choice",
            );
        }
    }

    fn check_strategies(&mut self, strategies: &[Strategy]) {
        let path = "spec.power.strategies";
        if strategies.is_empty() {
            self.add(path, "must have at least one strategy, or nobody has power");
        }
        if strategies.len() > STRATEGIES_MAX {
            self.add(path, format!("must be at most {STRATEGIES_MAX} strategies; there are {}", strategies.len()));
        }
        let listed_count = strategies.iter().map(Strategy::listed_count).fold(0, usize::saturating_add);
        if listed_count > LISTED_VOTERS_MAX {
            self.add(
                path,
                format!(
                    "must list at most {LISTED_VOTERS_MAX} addresses in all lists together; there are {listed_count}"
                ),
            );
        }
        let reads_count =
            strategies.iter().map(|strategy| strategy.chain_strategies().len()).fold(0, usize::saturating_add);
        if reads_count > CHAIN_READS_MAX {
            self.add(
                path,
                format!("must read chains at most {CHAIN_READS_MAX} times for a voter; there are {reads_count} reads"),
            );
        }
        let mut highest_sum = Some(Power::ZERO);
        for (index, strategy) in strategies.iter().enumerate() {
            let highest = self.check_strategy(&format!("{path}[{index}]"), strategy);
            highest_sum = highest_sum.and_then(|sum| sum.checked_add(highest));
        }
        if highest_sum.is_none() {
            self.add(path, "the strategies' highest powers must add up to less than 2^192 units of 10^-18; lower them");
        }
    }

    /// The highest power that one voter can have by this strategy; none for a chain's answer, which is known too late.
    fn check_strategy(&mut self, path: &str, strategy: &Strategy) -> Power {
        match strategy {
            Strategy::Whitelist(voters) => {
                self.check_not_empty(&format!("{path}.whitelist.addresses"), voters.len());
                Power::ONE
            }
            Strategy::WhitelistWeighted(powers) => {
                let path = format!("{path}.whitelistWeighted.addresses");
                self.check_not_empty(&path, powers.len());
                for (voter, _) in powers.iter().filter(|(_, power)| power.is_zero()) {
                    self.add(format!("{path}.{voter}"), "must be above 0; leave the address out to give it no power");
                }
                powers.values().copied().max().unwrap_or_default()
            }
            Strategy::Ticket(power) => {
                if power.is_zero() {
                    self.add(format!("{path}.ticket.value"), "must be above 0, or nobody has power by it");
                }
                *power
            }
            Strategy::OnChain(_) => Power::ZERO,
            Strategy::Multichain(members) => {
                self.check_members(&format!("{path}.multichain.strategies"), members);
                Power::ZERO
            }
        }
    }

    fn check_members(&mut self, path: &str, members: &[ChainStrategy]) {
        if members.is_empty() {
            self.add(path, "must have at least one strategy; leave multichain out if it gives nobody power");
        }
        if members.len() > MULTICHAIN_STRATEGIES_MAX {
            self.add(
                path,
                format!("must be at most {MULTICHAIN_STRATEGIES_MAX} strategies; there are {}", members.len()),
            );
        }
    }

    /// Exactly one rule for each chain that is read, and none that asks for what no voter can know before the close.
    fn check_snapshots(
        &mut self,
        snapshots: &BTreeMap<ChainId, SnapshotRule>,
        strategies: &[Strategy],
        window: Window,
    ) {
        let path = "spec.power.snapshot";
        let read: BTreeSet<ChainId> =
            strategies.iter().flat_map(Strategy::chain_strategies).map(|strategy| strategy.network).collect();
        for chain in read.iter().filter(|chain| !snapshots.contains_key(chain)) {
            self.add(path, format!("must say at which block chain {chain} is read"));
        }
        for (chain, rule) in snapshots {
            if !read.contains(chain) {
                self.add(path, format!("no strategy reads chain {chain}; remove its snapshot"));
            }
            match rule {
                SnapshotRule::AtOrBefore(time) if *time > window.closes_at() => {
                    self.add(path, format!("atOrBefore of chain {chain} must not be after closesAt"));
                }
                SnapshotRule::AtOrBefore(_) | SnapshotRule::Block(_) => {}
            }
        }
    }

    fn check_not_empty(&mut self, path: &str, count: usize) {
        if count == 0 {
            self.add(path, "must name at least one address; leave the strategy out if it gives nobody power");
        }
    }
}
