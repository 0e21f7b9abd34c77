//! What may decide a number of shards or partitions: every case there is.

/// Declares an enum with the list of all its variants and their names, so that none can be missing from either.
macro_rules! cases {
    ($(#[$about:meta])* $kind:ident { $($(#[$why:meta])* $case:ident => $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $($(#[$why])* $case,)+ }

        impl $kind {
            /// Every case.
            pub const ALL: &'static [Self] = &[$(Self::$case,)+];

            /// Name in JSON, in metrics and on terminals.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)+ }
            }
        }
    };
}

cases! {
    /// What decided the number of shards.
    Limit {
        /// Everything is verified, for ever: none.
        Drained => "drained",
        /// Before the lead: `minShards`.
        Idle => "idle",
        /// Less is needed than `warmShards`.
        Floor => "floor",
        /// What `expectedPeak` needs, at both ends of the window.
        Peak => "peak",
        /// What arrives.
        Arrivals => "arrivals",
        /// What arrives and what waits.
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

cases! {
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
