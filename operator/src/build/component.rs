//! The kinds of pods, and what each of them needs.

/// The kinds of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The edge.
    Ingest,
    /// Lanes and the read API.
    Tally,
    /// Shards of one proposal.
    Verifier,
    /// Closes one proposal.
    Recount,
    /// Decides the blocks at which one proposal is read.
    Pin,
    /// Tries the strategies of one proposal before what voters sign is recorded.
    Trial,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Ingest, Self::Tally, Self::Verifier, Self::Recount, Self::Pin, Self::Trial];

    /// As names and labels say it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Tally => "tally",
            Self::Verifier => "verifier",
            Self::Recount => "recount",
            Self::Pin => "pin",
            Self::Trial => "trial",
        }
    }

    /// Where it listens, if it does: what runs once and ends has nobody who asks it.
    pub const fn port(self) -> Option<i32> {
        match self {
            Self::Ingest => Some(8080),
            Self::Tally => Some(8081),
            Self::Verifier => Some(8082),
            Self::Recount | Self::Pin | Self::Trial => None,
        }
    }

    /// Who reads or writes the log: all but who comes before it.
    pub(super) const fn reads_log(self) -> bool {
        match self {
            Self::Ingest | Self::Tally | Self::Verifier | Self::Recount | Self::Pin => true,
            Self::Trial => false,
        }
    }

    /// Who has the store's totals before its eyes.
    pub(super) const fn reads_redis(self) -> bool {
        match self {
            Self::Tally | Self::Recount => true,
            Self::Ingest | Self::Verifier | Self::Pin | Self::Trial => false,
        }
    }

    /// Who asks chains.
    pub(super) const fn reads_chains(self) -> bool {
        match self {
            Self::Tally | Self::Verifier | Self::Recount | Self::Pin | Self::Trial => true,
            Self::Ingest => false,
        }
    }

    /// Who signs receipts or results.
    pub(super) const fn signs(self) -> bool {
        match self {
            Self::Ingest | Self::Recount => true,
            Self::Tally | Self::Verifier | Self::Pin | Self::Trial => false,
        }
    }

    /// Who writes archives that are kept outside the log, or serves them.
    pub(super) const fn reads_archives(self) -> bool {
        match self {
            Self::Tally | Self::Recount => true,
            Self::Ingest | Self::Verifier | Self::Pin | Self::Trial => false,
        }
    }

    /// Who writes archives that are kept outside the log.
    pub(super) const fn writes_archives(self) -> bool {
        match self {
            Self::Recount => true,
            Self::Ingest | Self::Tally | Self::Verifier | Self::Pin | Self::Trial => false,
        }
    }

    /// Who tells what became of a ballot.
    pub(super) const fn tells_traces(self) -> bool {
        match self {
            Self::Ingest | Self::Tally | Self::Verifier => true,
            Self::Recount | Self::Pin | Self::Trial => false,
        }
    }
}
