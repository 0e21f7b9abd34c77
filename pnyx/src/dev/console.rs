//! What `pnyx dev` says: what is open and where, and a line for each phase that a proposal comes to.

use pnyx_backbone::{
    clock::{self, time_text},
    proposals::Proposals,
    shutdown::Shutdown,
};
use pnyx_core::{
    decisions::ProposalDecisions,
    lifecycle::Phase,
    outcome::OutcomeDecision,
    proposal::Proposal,
    time::{TimestampMs, WindowPosition},
};
use pnyx_recount::PhaseChange;
use tokio::sync::broadcast::error::RecvError;

use super::platform::Platform;
use crate::{cli::DevArgs, proposing::Proposed, screen};

/// Prints for one running platform.
#[derive(Clone)]
pub(super) struct Console {
    url: String,
}

impl Console {
    /// A console for the platform at `url`.
    pub(super) const fn new(url: String) -> Self {
        Self { url }
    }

    /// The first line.
    pub(super) fn banner(&self, args: &DevArgs) {
        screen::line(&format!(
            "pnyx dev · platform {:?} · data in {} · log: embedded (fdatasync) · store: memory",
            args.domain,
            args.data.display()
        ));
    }

    /// A line a proposal.
    pub(super) fn proposals(&self, args: &DevArgs, proposals: &Proposals, proposed: &[Proposed]) {
        let book = proposals.book();
        for Proposed { id, growth, strategies } in proposed {
            if let Some(decisions) = book.get(*id) {
                screen::line(&self.proposal_line(decisions, clock::now()));
            }
            for words in growth.words().iter().chain(strategies) {
                screen::line(&format!("           {words}"));
            }
        }
        let all = proposed.iter().filter_map(|proposed| book.get(proposed.id));
        let over = all.filter(|decisions| is_over(decisions)).count();
        if args.layout.open_for.is_some() && over > 0 {
            screen::line(&format!(
                "  {over} of them were opened before and are over: a window is given once; another --data directory starts afresh"
            ));
        }
        let others = book.proposals().len().saturating_sub(proposed.len());
        if others > 0 {
            screen::line(&format!("  and {others} from earlier in the same data directory"));
        }
        if book.proposals().is_empty() {
            screen::line("  no proposals: name a file or a directory, such as `pnyx dev examples/ --open-for 10m`");
        }
    }

    /// The last line of the start.
    pub(super) fn ready(&self) {
        screen::line(&format!(
            "ready · POST ballots to {}/ · Ctrl-C stops after finishing what was acknowledged",
            self.url
        ));
    }

    /// Prints a line for each phase change until shutdown.
    pub(super) fn follow(&self, platform: &Platform, shutdown: &Shutdown) {
        let mut phases = platform.phases.resubscribe();
        let proposals = platform.proposals.clone();
        let console = self.clone();
        let stop = shutdown.clone();
        shutdown.spawn("console", async move {
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    change = phases.recv() => match change {
                        Ok(change) => console.phase(&proposals, change),
                        Err(RecvError::Lagged(missed)) => screen::line(&format!("  ({missed} phase changes not shown)")),
                        Err(RecvError::Closed) => return,
                    }
                }
            }
        });
    }

    fn phase(&self, proposals: &Proposals, change: PhaseChange) {
        let book = proposals.book();
        let Some(decisions) = book.get(change.proposal) else { return };
        let name = &decisions.definition.proposal().parts().name;
        let more = match change.phase {
            Phase::Pending | Phase::Open | Phase::Closed | Phase::Draining | Phase::Recounting => String::new(),
            Phase::Final => final_words(decisions, &format!("{}/v1/proposals/{}", self.url, change.proposal)),
            Phase::Disputed => "the recount differs from the live tally: see the log; nothing is published".to_owned(),
        };
        let time = time_text(clock::now());
        screen::line(format!("{time}  {:<11} {name:<22} {more}", change.phase.name()).trim_end());
    }

    fn proposal_line(&self, decisions: &ProposalDecisions, now: TimestampMs) -> String {
        let proposal = decisions.definition.proposal();
        let window = proposal.window();
        let (phase, when) = match window.position(now) {
            _ if decisions.result.is_some() => ("final", String::new()),
            WindowPosition::Before => ("pending", format!("opens in {}", span(now, window.opens_at()))),
            WindowPosition::Inside => ("open", format!("closes in {}", span(now, window.closes_at()))),
            WindowPosition::After => ("closed", String::new()),
        };
        format!(
            "  {phase:<8} {:<22} {:<14} {when:<20} {}",
            proposal.parts().name,
            proposal.system().name(),
            self.proposal_url(proposal)
        )
    }

    fn proposal_url(&self, proposal: &Proposal) -> String {
        format!("{}/v1/proposals/{}", self.url, proposal.parts().name)
    }
}

fn is_over(decisions: &ProposalDecisions) -> bool {
    decisions.definition.proposal().window().closes_at() <= clock::now()
}

fn final_words(decisions: &ProposalDecisions, url: &str) -> String {
    let Some(result) = &decisions.result else { return String::new() };
    let choices = &decisions.definition.proposal().parts().choices;
    let text = |choice: &u8| choices.get(usize::from(choice.saturating_sub(1))).cloned().unwrap_or_default();
    let decision = match &result.core.outcome.decision {
        OutcomeDecision::NoBallots => "no ballots".to_owned(),
        OutcomeDecision::Passed => "passed".to_owned(),
        OutcomeDecision::Failed => "failed".to_owned(),
        OutcomeDecision::Won(choice) => format!("won by {}", text(choice)),
        OutcomeDecision::Tied(tied) => format!("tied: {}", tied.iter().map(text).collect::<Vec<_>>().join(", ")),
        OutcomeDecision::ConditionsNotMet => "quorum or threshold not reached".to_owned(),
    };
    format!("{decision} · {} ballots · audit: pnyx audit {url}/archive", result.core.ballots)
}

/// `9m 58s`: the two largest units.
fn span(from: TimestampMs, to: TimestampMs) -> String {
    let seconds = to.saturating_since_ms(from) / 1000;
    let units = [("d", seconds / 86_400), ("h", seconds / 3_600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let shown: Vec<String> = units
        .iter()
        .skip_while(|(_, count)| *count == 0)
        .take(2)
        .map(|(unit, count)| format!("{count}{unit}"))
        .collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}
