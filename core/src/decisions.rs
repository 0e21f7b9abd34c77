//! Decisions are made once: of the records of one (proposal, kind) the first stands, a later, different one is an
//! incident.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    chain::Pins,
    id::{LogIdentity, ProposalId, Voter},
    proposal::Definition,
    result::{Cut, Dispute, PublishedResult},
    stored_archive::StoredArchive,
};

/// A record of the `pnyx.proposals` topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Which log this is, where the log itself has no place for it.
    Log(LogIdentity),
    /// A key that signs receipts and results from here on.
    PlatformKey(Voter),
    /// A proposal exists.
    Definition(Box<Definition>),
    /// At which blocks power and contract signatures are read.
    Pins(Pins),
    /// Where counting ends.
    Cut(Cut),
    /// The recount differs from the live tally: a person has to look. A result that is published later ends it.
    Dispute(Dispute),
    /// What came out.
    Result(Box<PublishedResult>),
    /// Where its archive is kept, if that is not only in the log.
    Archive(StoredArchive),
}

/// What a decision record did to the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The first of its kind: it stands.
    Stands,
    /// The same as the one that stands, whoever wrote it and when.
    Repeated,
    /// Different from the one that stands, or not a decision that its proposal admits: ignored, and an incident unless two
    /// recounts cut at the same time.
    Conflicts,
    /// About a proposal without a definition: an incident, ignored.
    Unknown,
}

/// What is decided of one proposal. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalDecisions {
    /// Offset of the definition in `pnyx.proposals`: proposals are listed by it.
    pub offset: u64,
    /// The definition.
    pub definition: Arc<Definition>,
    /// The blocks at which chains are read, once all are final; only if the proposal reads any.
    pub pins: Option<Arc<Pins>>,
    /// The cut, once made.
    pub cut: Option<Arc<Cut>>,
    /// How the first recount differed, if one did.
    pub dispute: Option<Arc<Dispute>>,
    /// The result, once published.
    pub result: Option<Arc<PublishedResult>>,
    /// Where the archive is kept, once it was stored and read back.
    pub archive: Option<Arc<StoredArchive>>,
}

impl ProposalDecisions {
    /// Whether the proposal reads chains and the blocks at which it does are not decided yet: nobody can weigh its ballots.
    pub fn waits_for_pins(&self) -> bool {
        self.pins.is_none() && self.definition.proposal().chains().len() > 0
    }
}

/// The fold of `pnyx.proposals`.
#[derive(Debug, Clone, Default)]
pub struct DecisionBook {
    proposals: BTreeMap<ProposalId, ProposalDecisions>,
    keys: Vec<Voter>,
    log: Option<LogIdentity>,
}

impl DecisionBook {
    /// Takes the record at `offset`.
    pub fn record(&mut self, offset: u64, decision: Decision) -> Recorded {
        match decision {
            // Processes that find the topic empty at the same time all write one; which of them stands is all that matters.
            Decision::Log(_) if self.log.is_some() => Recorded::Repeated,
            Decision::Log(identity) => {
                self.log = Some(identity);
                Recorded::Stands
            }
            Decision::PlatformKey(key) if self.keys.contains(&key) => Recorded::Repeated,
            Decision::PlatformKey(key) => {
                self.keys.push(key);
                Recorded::Stands
            }
            Decision::Definition(definition) => self.record_definition(offset, *definition),
            Decision::Pins(pins) => match self.proposals.get_mut(&pins.proposal()) {
                Some(decisions) if !pins.fit(decisions.definition.proposal()) => Recorded::Conflicts,
                Some(decisions) => record_once(&mut decisions.pins, pins, PartialEq::eq),
                None => Recorded::Unknown,
            },
            Decision::Cut(cut) => match self.proposals.get_mut(&cut.proposal) {
                // When somebody read the ends is no part of where they are.
                Some(decisions) => {
                    record_once(&mut decisions.cut, cut, |standing, cut| standing.partitions == cut.partitions)
                }
                None => Recorded::Unknown,
            },
            Decision::Dispute(dispute) => match self.proposals.get_mut(&dispute.proposal) {
                // Each recount may find something else; the first finding is kept.
                Some(ProposalDecisions { dispute: Some(_), .. }) => Recorded::Repeated,
                Some(decisions) => record_once(&mut decisions.dispute, dispute, PartialEq::eq),
                None => Recorded::Unknown,
            },
            Decision::Result(result) => match self.proposals.get_mut(&result.core.proposal) {
                // Nor is who signed it a part of what came out.
                Some(decisions) => record_once(&mut decisions.result, *result, |standing, result| {
                    standing.core == result.core && standing.provenance == result.provenance
                }),
                None => Recorded::Unknown,
            },
            Decision::Archive(archive) => match self.proposals.get_mut(&archive.proposal) {
                // Without a result there is nothing to archive.
                Some(ProposalDecisions { result: None, .. }) => Recorded::Conflicts,
                // Where it lies and who looked when is no part of what it says.
                Some(decisions) => {
                    record_once(&mut decisions.archive, archive, |standing, archive| standing.sha256 == archive.sha256)
                }
                None => Recorded::Unknown,
            },
        }
    }

    fn record_definition(&mut self, offset: u64, definition: Definition) -> Recorded {
        let id = definition.proposal().id();
        if let Some(standing) = self.proposals.get(&id) {
            return if *standing.definition == definition { Recorded::Repeated } else { Recorded::Conflicts };
        }
        let definition = Arc::new(definition);
        let decisions =
            ProposalDecisions { offset, definition, pins: None, cut: None, dispute: None, result: None, archive: None };
        self.proposals.insert(id, decisions);
        Recorded::Stands
    }

    /// What is decided of a proposal.
    pub fn get(&self, id: ProposalId) -> Option<&ProposalDecisions> {
        self.proposals.get(&id)
    }

    /// All proposals, by id.
    pub const fn proposals(&self) -> &BTreeMap<ProposalId, ProposalDecisions> {
        &self.proposals
    }

    /// Which log these were read from, if it says so.
    pub const fn log(&self) -> Option<LogIdentity> {
        self.log
    }

    /// Whether the recount of this proposal differs from its live tally and nothing was published since.
    pub fn is_disputed(&self, id: ProposalId) -> bool {
        self.get(id).is_some_and(|decisions| decisions.dispute.is_some() && decisions.result.is_none())
    }

    /// The platform's keys, the oldest first.
    pub fn keys(&self) -> &[Voter] {
        &self.keys
    }
}

fn record_once<T>(slot: &mut Option<Arc<T>>, value: T, is_same: impl FnOnce(&T, &T) -> bool) -> Recorded {
    match slot {
        Some(standing) if is_same(standing, &value) => Recorded::Repeated,
        Some(_) => Recorded::Conflicts,
        None => {
            *slot = Some(Arc::new(value));
            Recorded::Stands
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;
    use crate::{
        chain::{BlockHash, BlockNumber, ChainId, Pin, SnapshotRule},
        counting::Scores,
        id::Root,
        outcome::{Outcome, OutcomeDecision},
        power::Power,
        proposal::{Abstentions, ChainRead, ChainStrategy, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
        result::{CutPartition, Provenance, ResultCore},
        time::{TimestampMs, Window},
    };

    #[test]
    fn the_first_of_each_kind_stands() {
        let mut book = DecisionBook::default();
        let (id, first) = definition("grants", 4);
        let cut = cut(id, 100);
        assert_eq!(book.record(0, first.clone()), Recorded::Stands);
        assert_eq!(book.record(1, Decision::Cut(cut.clone())), Recorded::Stands);
        assert_eq!(book.record(2, result(cut.clone(), 1)), Recorded::Stands);
        let before = book.get(id).cloned();

        assert_eq!(book.record(3, Decision::Cut(self::cut(id, 101))), Recorded::Repeated, "read later, the same ends");
        let Decision::Result(by_another) = result(cut.clone(), 1) else { unreachable!("it is a result") };
        let by_another = PublishedResult { key: Voter::new([1; 20]), signature: [1; 65], ..*by_another };
        assert_eq!(book.record(3, Decision::Result(Box::new(by_another))), Recorded::Repeated);
        for repeated in [first, Decision::Cut(cut.clone()), result(cut.clone(), 1)] {
            assert_eq!(book.record(3, repeated), Recorded::Repeated);
        }
        let other_ends = vec![CutPartition { end_offset: 1, records_root: Root::new([0; 32]) }];
        let other_cut = Cut { partitions: other_ends, ..cut.clone() };
        for other in [definition("grants", 5).1, Decision::Cut(other_cut), result(cut.clone(), 2)] {
            assert_eq!(book.record(4, other), Recorded::Conflicts);
        }
        assert_eq!(book.get(id).cloned(), before);
        let standing = book.get(id).unwrap();
        assert_eq!((standing.offset, standing.definition.lanes()), (0, 4));
        assert_eq!(standing.cut.as_deref(), Some(&cut));
        assert_eq!(standing.result.as_ref().unwrap().core.ballots, 1);
    }

    #[test]
    fn nothing_is_decided_about_a_proposal_without_a_definition() {
        let mut book = DecisionBook::default();
        let (id, _) = definition("grants", 4);
        assert_eq!(book.record(0, Decision::Cut(cut(id, 100))), Recorded::Unknown);
        assert_eq!(book.record(1, result(cut(id, 100), 1)), Recorded::Unknown);
        assert!(book.get(id).is_none() && book.proposals().is_empty());
    }

    #[test]
    fn an_archive_stands_once_there_is_a_result() {
        let mut book = DecisionBook::default();
        let (id, first) = definition("grants", 4);
        let archive = |location: &str, digit| {
            let stored = StoredArchive::new(id, location.to_owned(), 1, [digit; 32], TimestampMs(7));
            Decision::Archive(stored.expect("short"))
        };
        assert_eq!(book.record(0, archive("a", 1)), Recorded::Unknown);
        book.record(0, first);
        book.record(1, Decision::Cut(cut(id, 100)));
        assert_eq!(book.record(2, archive("a", 1)), Recorded::Conflicts, "nothing came out yet");
        book.record(3, result(cut(id, 100), 1));
        assert_eq!(book.record(4, archive("a", 1)), Recorded::Stands);
        assert_eq!(book.record(5, archive("b", 1)), Recorded::Repeated, "the same bytes, elsewhere");
        assert_eq!(book.record(6, archive("a", 2)), Recorded::Conflicts, "other bytes");
        assert_eq!(book.get(id).unwrap().archive.as_ref().unwrap().location(), "a");
    }

    #[test]
    fn proposals_are_decided_apart() {
        let mut book = DecisionBook::default();
        let (one, first) = definition("grants", 4);
        let (other, second) = definition("treasury", 4);
        assert_eq!(book.record(0, first), Recorded::Stands);
        assert_eq!(book.record(7, second), Recorded::Stands);
        assert_eq!(book.record(8, Decision::Cut(cut(other, 100))), Recorded::Stands);
        assert!(book.get(one).unwrap().cut.is_none());
        assert_eq!(book.get(other).unwrap().offset, 7);
    }

    #[test]
    fn pins_stand_only_where_they_fit() {
        let mut book = DecisionBook::default();
        let (unread, definition) = definition("grants", 4);
        book.record(0, definition);
        assert_eq!(book.record(1, pins(unread, [(1, 900)])), Recorded::Conflicts, "it reads no chain");
        let (id, definition) = defined(reading_chains(), 4);
        assert_eq!(book.record(2, pins(id, [(1, 1), (10, 900)])), Recorded::Unknown);
        book.record(3, definition);

        assert_eq!(book.record(4, pins(id, [(1, 1)])), Recorded::Conflicts, "a chain is missing");
        assert_eq!(book.record(5, pins(id, [(1, 1), (5, 5), (10, 900)])), Recorded::Conflicts, "a chain too many");
        assert_eq!(book.record(6, pins(id, [(1, 1), (10, 901)])), Recorded::Conflicts, "another block");
        assert_eq!(book.record(7, pins(id, [(1, 2), (10, 900)])), Recorded::Conflicts, "a block after the time");
        assert_eq!(book.get(id).unwrap().pins, None);
        assert_eq!(book.record(8, pins(id, [(1, 1), (10, 900)])), Recorded::Stands);
        assert_eq!(book.record(9, pins(id, [(1, 1), (10, 900)])), Recorded::Repeated);
        assert_eq!(book.record(10, pins(id, [(1, 0), (10, 900)])), Recorded::Conflicts, "another one stands");
        assert_eq!(book.get(id).unwrap().pins.as_ref().unwrap().get(chain(1)).unwrap().timestamp_s, 1);
    }

    #[test]
    fn keys_are_kept_in_order_and_once() {
        let mut book = DecisionBook::default();
        let (old, new) = (Voter::new([9; 20]), Voter::new([1; 20]));
        let recorded = [old, new, old].map(|key| book.record(0, Decision::PlatformKey(key)));
        assert_eq!(recorded, [Recorded::Stands, Recorded::Stands, Recorded::Repeated]);
        assert_eq!(book.keys(), [old, new]);
    }

    fn chain(number: u64) -> ChainId {
        ChainId::new(number).unwrap()
    }

    /// Chain 1 at or before its first second, chain 10 at block 900.
    fn reading_chains() -> ProposalParts {
        let native = |number| Strategy::OnChain(ChainStrategy { network: chain(number), read: ChainRead::EthBalance });
        let at_or_before = SnapshotRule::AtOrBefore(TimestampMs(1_000));
        ProposalParts {
            strategies: vec![native(1), native(10)],
            snapshots: [(chain(1), at_or_before), (chain(10), SnapshotRule::Block(BlockNumber(900)))].into(),
            ..parts("on-chain")
        }
    }

    /// Pins of blocks whose number is their timestamp in seconds.
    fn pins<const N: usize>(proposal: ProposalId, blocks: [(u64, u64); N]) -> Decision {
        let pin = |(number, block)| Pin {
            chain: chain(number),
            number: BlockNumber(block),
            hash: BlockHash::new([1; 32]),
            timestamp_s: block,
        };
        Decision::Pins(Pins::new(proposal, blocks.map(pin)).unwrap())
    }

    fn definition(name: &str, lanes: u16) -> (ProposalId, Decision) {
        defined(parts(name), lanes)
    }

    fn parts(name: &str) -> ProposalParts {
        ProposalParts {
            platform: "dev".to_owned(),
            namespace: "default".to_owned(),
            name: name.to_owned(),
            space: "example.eth".to_owned(),
            title: "Title".to_owned(),
            body: String::new(),
            discussion: String::new(),
            author: String::new(),
            choices: vec!["For".to_owned(), "Against".to_owned()],
            voting: Voting {
                system: VotingSystem::Basic,
                quorum: None,
                approval_threshold: None,
                abstentions: Abstentions::Quorum,
            },
            window: Window::new(TimestampMs(1_000), TimestampMs(2_000)).unwrap(),
            strategies: vec![Strategy::Ticket(Power::ONE)],
            snapshots: BTreeMap::new(),
            signers: None,
            clock_skew_s: 300,
        }
    }

    fn defined(parts: ProposalParts, lanes: u16) -> (ProposalId, Decision) {
        let proposal = Proposal::new(parts).unwrap();
        (proposal.id(), Decision::Definition(Box::new(Definition::new(proposal, lanes, 1).unwrap())))
    }

    fn cut(proposal: ProposalId, decided_at_ms: u64) -> Cut {
        Cut { proposal, decided_at: TimestampMs(decided_at_ms), partitions: Vec::new() }
    }

    fn result(cut: Cut, ballots: u64) -> Decision {
        let outcome = Outcome {
            scores: Scores(vec![U256::ZERO; 2]),
            total_power: U256::ZERO,
            quorum_reached: None,
            threshold_reached: None,
            decision: OutcomeDecision::Failed,
        };
        let core = ResultCore { proposal: cut.proposal, ballots, outcome, ballots_root: Root::new([0; 32]) };
        let provenance = Provenance { cut, records: ballots, rejected: BTreeMap::new(), chains: None };
        Decision::Result(Box::new(PublishedResult { core, provenance, key: Voter::new([0; 20]), signature: [0; 65] }))
    }
}
