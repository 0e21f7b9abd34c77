//! A plan in words: what was chosen, from what, and what decided.

use std::fmt;

use super::{
    AFTER_CLOSE_MS, CLOSING_MS, CONFIRM_MS, Data, GROW_BEFORE_CLOSE_MS, Inputs, Limit, PartitionsChoice,
    PartitionsLimit, Plan, ROOM_PERCENT, Rate, RatePerShard, STABILIZATION_MS, ShardsChoice, rate::grouped,
};

/// `6 shards (4 before): arrivals 99,000/s and backlog 118 within 1m need 5.2 at 24,000/s a shard, of which …; 12 partitions: …`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.shards, self.shards_reason(), self.partitions)
    }
}

impl fmt::Display for ShardsChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", counted(self.to, "shard"))?;
        if self.to == self.from { Ok(()) } else { write!(f, " ({} before)", self.from) }
    }
}

impl fmt::Display for PartitionsChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", counted(self.to, "partition"))?;
        match self.limit {
            PartitionsLimit::Created => f.write_str("the topic is made"),
            PartitionsLimit::Enough => f.write_str("as many as shards can use"),
            PartitionsLimit::Grown => write!(f, "grown from {}, because shards outnumber them", self.from),
            PartitionsLimit::NearClose => write!(
                f,
                "more would be of use, but none are added in the last {} before the close",
                duration(GROW_BEFORE_CLOSE_MS)
            ),
            PartitionsLimit::Closed => f.write_str("more would be of no use to what is already there"),
        }
    }
}

impl fmt::Display for RatePerShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(rate) => write!(f, "{rate} a shard"),
            Self::Bounded(rate) => write!(f, "{rate} a shard (what was measured is not believed)"),
            Self::Learnt(rate) => write!(f, "{rate} a shard (as it was before)"),
            Self::Stated(rate) => write!(f, "{rate} a shard (as the spec says)"),
        }
    }
}

impl Plan {
    /// Why there are so many shards, as a fragment of a sentence.
    pub fn shards_reason(&self) -> String {
        let ShardsChoice { from, wanted, to, limit } = self.shards;
        let need = self.need();
        match limit {
            Limit::Drained => "everything is verified".to_owned(),
            Limit::Idle => format!("shards are started {} before the window opens", duration(self.inputs.lead_ms)),
            Limit::Floor => format!("warmShards; {need}"),
            Limit::Peak => format!("expectedPeak is prepared for at both ends of the window; {need}"),
            Limit::Arrivals | Limit::Backlog => need,
            Limit::FullestPartition => format!(
                "the fullest partition, with {} waiting, leaves its shard little time for others; {need}",
                grouped(self.inputs.fullest_backlog.unwrap_or_default())
            ),
            Limit::MaxShards => format!("maxShards; {need}"),
            Limit::Partitions => {
                format!("there are {} and one shard reads each; {need}", counted(self.partitions.to, "partition"))
            }
            Limit::Unconfirmed => {
                format!(
                    "{wanted} are wanted, but not yet for {}, and nothing falls behind; {need}",
                    duration(CONFIRM_MS)
                )
            }
            Limit::ExternalScaler => {
                format!("another scaler decides, {} would be chosen; {need}", wanted.max(self.candidates.recent))
            }
            Limit::Stated => {
                format!("the resource says so, {} would be chosen; {need}", wanted.max(self.candidates.recent))
            }
            Limit::UnknownDrain => {
                "held, because the window is over, and whether everything is verified is not known".to_owned()
            }
            Limit::Hold => format!("hold is set, {wanted} would do; {need}"),
            Limit::UnknownData => format!("held, because {need}"),
            Limit::JustStarted => format!(
                "held until the operator has watched for {}, {wanted} would do; {need}",
                duration(STABILIZATION_MS)
            ),
            Limit::JustFresh => format!(
                "held until samples have been fresh for {}, {wanted} would do; {need}",
                duration(STABILIZATION_MS)
            ),
            Limit::Warming => format!("held, because the window opens soon, {wanted} would do; {need}"),
            Limit::Closing => format!(
                "held from {} before the close, {wanted} would do; {need}",
                duration(CLOSING_MS.saturating_add(self.inputs.lead_ms))
            ),
            Limit::Draining => format!(
                "held until all is verified and the close is {} ago, {wanted} would do; {need}",
                duration(AFTER_CLOSE_MS)
            ),
            Limit::Rebalance => format!("held while shards are given other partitions, {wanted} would do; {need}"),
            Limit::Stabilizing if to == from => {
                format!("held, because shards have just been given back or were just needed, {wanted} would do; {need}")
            }
            Limit::Stabilizing => {
                format!("{to} were needed in the last {}, {wanted} would do now; {need}", duration(STABILIZATION_MS))
            }
            Limit::Room => format!(
                "held, because {} % of what arrives would need {}, {wanted} would do now; {need}",
                ROOM_PERCENT,
                self.candidates.roomy.unwrap_or_default()
            ),
            Limit::Little => {
                format!("held, because {} were just needed and fewer save too little; {need}", self.candidates.recent)
            }
        }
    }

    /// Partitions that get more than one shard verifies while most do not. Where most do, more partitions are what helps.
    fn hot_partitions(&self) -> u32 {
        let overfull = self.inputs.overfull.unwrap_or_default();
        if overfull.saturating_mul(2) > self.partitions.from { 0 } else { overfull }
    }

    /// What is needed, or why that is not known.
    fn need(&self) -> String {
        let inputs = &self.inputs;
        match (inputs.data, inputs.arrival, inputs.backlog, self.candidates.need_milli) {
            (Data::Fresh { .. }, Some(arrival), Some(backlog), Some(milli)) => {
                needed(inputs, arrival, backlog, milli, self.hot_partitions())
            }
            (Data::Stale { age_ms: 0 }, ..) => "the last sample of the log is from a time that is not yet".to_owned(),
            (Data::Stale { age_ms }, ..) => format!("nothing is known of the log since {}", duration(age_ms)),
            (Data::Partial { .. }, ..) => "the last sample of the log lacks partitions".to_owned(),
            (Data::Missing, ..) => "nothing is known of the log yet".to_owned(),
            (Data::Fresh { .. }, ..) => "nothing is needed now".to_owned(),
        }
    }
}

fn needed(inputs: &Inputs, arrival: Rate, backlog: u64, milli: u64, hot: u32) -> String {
    let within = match backlog {
        0 => String::new(),
        _ if inputs.is_settling => " (which does not count while shards start or move)".to_owned(),
        _ => format!(" within {}", duration(inputs.catch_up_ms)),
    };
    let tenths = milli.div_ceil(100);
    let need = format!(
        "arrivals {arrival} and backlog {}{within} need {}.{} at {}, of which arrivals take {} %",
        grouped(backlog),
        tenths.div_euclid(10),
        tenths.rem_euclid(10),
        inputs.rate_per_shard,
        inputs.utilization_percent
    );
    match hot {
        0 => need,
        1 => format!(
            "{need}; one partition gets more than the one shard that reads it verifies, and more shards do not help it"
        ),
        number => format!(
            "{need}; {number} partitions get more than the one shard that reads each verifies, and more shards do not help them"
        ),
    }
}

fn counted(number: u32, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A time in the units that people say: `1h 30m`, `2m`, `12s`; below a second `400ms`.
fn duration(time_ms: u64) -> String {
    if time_ms < 1_000 {
        return format!("{time_ms}ms");
    }
    let seconds = time_ms.div_euclid(1_000);
    let parts =
        [(seconds.div_euclid(3_600), "h"), (seconds.div_euclid(60).rem_euclid(60), "m"), (seconds.rem_euclid(60), "s")];
    let told: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    told.join(" ")
}
