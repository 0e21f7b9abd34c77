//! Counting as additive contributions: every standing ballot adds one, changing a vote subtracts the old and adds the
//! new, and nothing depends on order.

mod copeland;
mod quadratic;
mod runoff;
mod scores;
mod shares;
mod totals;

pub use runoff::{RunoffRound, runoff_rounds};
pub use scores::{Scores, scores};
pub use totals::{Contribution, CountingRules, RankingTotal, Totals, TotalsDelta};
