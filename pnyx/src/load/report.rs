//! What `pnyx load` prints at the end: a table for people, JSON for machines.

use std::time::Duration;

use serde_json::json;

use super::{
    compare::{Comparison, DIFFERENCES_SHOWN_MAX},
    proposal::Target,
    sender::Sent,
};
use crate::screen;

/// Everything there is to say.
pub(super) struct Report<'a> {
    /// The proposals voted on.
    pub(super) targets: &'a [Target],
    /// What came back.
    pub(super) sent: &'a Sent,
    /// From the last answer until everything was counted.
    pub(super) counted: Duration,
    /// Served against expected.
    pub(super) comparison: &'a Comparison,
}

impl Report<'_> {
    /// Prints it.
    pub(super) fn show(&self, as_json: bool) {
        if as_json { screen::line(&self.json().to_string()) } else { self.table() }
    }

    fn accepted(&self) -> usize {
        self.sent.acknowledged.iter().filter(|acknowledged| **acknowledged).count()
    }

    fn rate(&self) -> f64 {
        let answered = u32::try_from(self.sent.acknowledged.len()).unwrap_or(u32::MAX);
        f64::from(answered) / self.sent.elapsed.as_secs_f64()
    }

    fn latency_ms(&self, quantile: f64) -> f64 {
        Duration::from_micros(self.sent.latency_us.value_at_quantile(quantile)).as_secs_f64() * 1000.0
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "sent": self.sent.acknowledged.len(), "seconds": self.sent.elapsed.as_secs_f64(), "perSecond": self.rate(),
            "accepted": self.accepted(), "refusedAsIntended": self.sent.refused_as_intended,
            "unexpected": self.sent.unexpected, "unexpectedShown": self.sent.unexpected_shown, "resent": self.sent.resent,
            "givenUp": self.sent.given_up, "errors": self.sent.errors,
            "latencyMs": { "p50": self.latency_ms(0.5), "p99": self.latency_ms(0.99), "p999": self.latency_ms(0.999),
                "max": self.latency_ms(1.0) },
            "countedAfterSeconds": self.counted.as_secs_f64(), "proposals": self.targets.len(),
            "standing": self.comparison.voters, "rejected": self.comparison.rejected,
            "differences": self.comparison.differences,
        })
    }

    fn table(&self) {
        let sent = self.sent;
        let count = |number: u64| screen::grouped(&number.to_string());
        let size = |number: usize| screen::grouped(&number.to_string());
        screen::line(&format!(
            "sent      {} · {}/s · {:.1} s",
            size(sent.acknowledged.len()),
            screen::grouped(&format!("{:.0}", self.rate())),
            sent.elapsed.as_secs_f64()
        ));
        let resent = if sent.resent > 0 { format!(" · {} sent again", count(sent.resent)) } else { String::new() };
        let given_up = if sent.given_up > 0 { format!(" · {} given up", count(sent.given_up)) } else { String::new() };
        screen::line(&format!(
            "answers   {} accepted · {} refused at the edge as intended · {} unexpected{resent}{given_up}",
            size(self.accepted()),
            count(sent.refused_as_intended),
            count(sent.unexpected)
        ));
        screen::line(&format!(
            "latency   p50 {:.2} ms · p99 {:.1} ms · p99.9 {:.1} ms · max {:.0} ms   (from the intended send time)",
            self.latency_ms(0.5),
            self.latency_ms(0.99),
            self.latency_ms(0.999),
            self.latency_ms(1.0)
        ));
        screen::line(&format!(
            "counted   after {:.1} s · {} proposals · {} standing ballots · {} records rejected",
            self.counted.as_secs_f64(),
            self.targets.len(),
            count(self.comparison.voters),
            count(self.comparison.rejected)
        ));
        if !sent.errors.is_empty() {
            let errors: Vec<String> = sent.errors.iter().map(|(kind, times)| format!("{kind} ×{times}")).collect();
            screen::line(&format!("errors    {}", errors.join(" · ")));
        }
        for problem in &sent.unexpected_shown {
            screen::line(&format!("unexpected {problem}"));
        }
        if self.comparison.differences.is_empty() {
            screen::line(&format!("expected  = served, to the last unit, in all {} proposals", self.targets.len()));
            return;
        }
        screen::line(&format!("DIFFERENT in {} places", size(self.comparison.differences.len())));
        for difference in self.comparison.differences.iter().take(DIFFERENCES_SHOWN_MAX) {
            screen::line(&format!("  {difference}"));
        }
    }
}
