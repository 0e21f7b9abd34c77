//! What may decide a number of shards or partitions: every case there is.

use super::{Candidate, words::words};

words! {
    /// What decided the number of shards.
    Limit {
        /// Everything is verified, for ever, so none are needed.
        Drained => "drained",
        /// The lead has not begun, so there are `minShards`.
        Idle => "idle",
        /// Less is needed than `warmShards`.
        Floor => "floor",
        /// `expectedPeak` needs so many, at both ends of the window.
        Peak => "peak",
        /// What arrives needs so many.
        Arrivals => "arrivals",
        /// What arrives and what waits need so many.
        Backlog => "backlog",
        /// The fullest partition leaves its shard no time for others.
        FullestPartition => "fullestPartition",
        /// More is wanted than `maxShards`.
        MaxShards => "maxShards",
        /// More is wanted than there are partitions.
        Partitions => "partitions",
        /// A little more is wanted, but not by every look of the last while, and there is room.
        Unconfirmed => "unconfirmed",
        /// Another scaler decides; this is only what would be chosen.
        ExternalScaler => "externalScaler",
        /// The resource says how many (`spec.scaling.shards`), instead of the plan.
        Stated => "shards",
        /// The window is over, and whether everything is verified is not known: nothing changes.
        UnknownDrain => "unknownDrain",
        /// Less would do, but `hold` is set.
        Hold => "hold",
        /// Less would do as far as is known, but the last sample is too old, or there is none.
        UnknownData => "unknownData",
        /// Less would do, but this operator has only just begun to watch.
        JustStarted => "justStarted",
        /// Less would do, but samples have only just become fresh again.
        JustFresh => "justFresh",
        /// Less would do, but the window opens soon.
        Warming => "warming",
        /// Less would do, but the window closes soon.
        Closing => "closing",
        /// Less would do, but what arrived before the close is not all verified, or has only just closed.
        Draining => "draining",
        /// Less would do, but shards are being given other partitions.
        Rebalance => "rebalance",
        /// Less would do now, but more was needed a moment ago, or some were given back a moment ago.
        Stabilizing => "stabilizing",
        /// Less would do, but not if a little more arrived.
        Room => "room",
        /// Less would do, but so little that it is not worth a rebalance.
        Little => "little",
    }
}

words! {
    /// What decided the number of partitions. They are never taken away.
    PartitionsLimit {
        /// The topic is made.
        Created => "created",
        /// There are as many as shards can use.
        Enough => "enough",
        /// They are grown, in one jump to twice what is needed.
        Grown => "grown",
        /// More would be of use, but the window closes too soon.
        NearClose => "nearClose",
        /// More would be of use, but nothing arrives any more.
        Closed => "closed",
    }
}

impl Limit {
    /// The candidate that it stands for; `None` where something else than a need decided.
    pub const fn candidate(self) -> Option<Candidate> {
        match self {
            Self::Drained | Self::Idle | Self::Floor => Some(Candidate::Floor),
            Self::Peak => Some(Candidate::Peak),
            Self::Arrivals => Some(Candidate::Arrivals),
            Self::Backlog => Some(Candidate::Backlog),
            Self::FullestPartition => Some(Candidate::FullestPartition),
            Self::MaxShards
            | Self::Partitions
            | Self::Unconfirmed
            | Self::ExternalScaler
            | Self::Stated
            | Self::UnknownDrain
            | Self::Hold
            | Self::UnknownData
            | Self::JustStarted
            | Self::JustFresh
            | Self::Warming
            | Self::Closing
            | Self::Draining
            | Self::Rebalance
            | Self::Stabilizing
            | Self::Room
            | Self::Little => None,
        }
    }
}
