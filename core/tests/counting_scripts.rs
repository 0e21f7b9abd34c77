//! Governance rules as scripts: `rules/*.txt` says what happens, `rules/*.out` beside it what comes of it.
//!
//! A script sets the rules (`system NAME`, `choices TEXT…`, `quorum participation|rejection POWER`,
//! `threshold DECIMAL`, `abstentions quorum|quorum-and-threshold|neither`), lets people vote (`vote NAME at SECONDS power DECIMAL|max choice
//! CHOICE`, or with `digest NUMBER` before `power`, which is otherwise counted up from 1) and looks (`show`).

mod counting_text;

use std::{fs, path::Path};

use expect_test::expect_file;
use pnyx_core::{
    choice::ChoiceNumber,
    counting::{CountingRules, RunoffRound, TotalsDelta, runoff_rounds},
    id::{Digest, Place, Voter},
    outcome::{Outcome, OutcomeDecision, outcome},
    power::{Power, format_units},
    proposal::{Abstentions, Fraction, Quorum, Voting, VotingSystem},
    signature_check::SignatureCheck,
    tally::LaneTally,
    verdict::CountingBallot,
};

#[test]
fn scripts_come_out_as_written_beside() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut scripts: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    scripts.sort();
    assert!(!scripts.is_empty());
    for script in scripts {
        let output = run(&fs::read_to_string(&script).unwrap());
        expect_file![script.with_extension("out")].assert_eq(&output);
    }
}

fn run(script: &str) -> String {
    let mut stage = Stage::default();
    let mut output = Vec::new();
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            output.push(line.to_owned());
        } else {
            output.push(format!("> {line}"));
            output.extend(stage.perform(line));
        }
    }
    output.push(String::new());
    output.join("\n")
}

struct Stage {
    voting: Voting,
    choices: Vec<String>,
    lane: Option<LaneTally>,
    votes: u64,
}

impl Default for Stage {
    fn default() -> Self {
        let voting = Voting {
            system: VotingSystem::Basic,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        };
        Self { voting, choices: Vec::new(), lane: None, votes: 0 }
    }
}

impl Stage {
    /// Does what a line says and returns the lines to print.
    fn perform(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["system", name] => self.voting.system = VotingSystem::from_name(name).expect("a system"),
            ["choices", texts @ ..] => self.choices = texts.iter().map(ToString::to_string).collect(),
            ["quorum", "participation", least] => self.voting.quorum = Some(Quorum::Participation(power(least))),
            ["quorum", "rejection", most] => self.voting.quorum = Some(Quorum::Rejection(power(most))),
            ["threshold", fraction] => self.voting.approval_threshold = Some(threshold(fraction)),
            ["abstentions", "quorum"] => self.voting.abstentions = Abstentions::Quorum,
            ["abstentions", "quorum-and-threshold"] => self.voting.abstentions = Abstentions::QuorumAndThreshold,
            ["abstentions", "neither"] => self.voting.abstentions = Abstentions::Neither,
            ["vote", name, "at", time, "power", units, "choice", choice] => {
                return vec![self.vote(name, time, self.votes + 1, units, choice)];
            }
            ["vote", name, "at", time, "digest", digest, "power", units, "choice", choice] => {
                return vec![self.vote(name, time, digest.parse().expect("a number"), units, choice)];
            }
            ["show"] => return self.show(),
            _ => panic!("what does {line:?} mean?"),
        }
        Vec::new()
    }

    fn rules(&self) -> CountingRules {
        let choice_count = u8::try_from(self.choices.len()).expect("few choices");
        CountingRules { system: self.voting.system, choice_count }
    }

    fn vote(&mut self, name: &str, time: &str, digest: u64, units: &str, choice: &str) -> String {
        let rules = self.rules();
        let mut voter = [0; 20];
        voter[..name.len()].copy_from_slice(name.as_bytes());
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&digest.to_be_bytes());
        let ballot = CountingBallot {
            voter: Voter::new(voter),
            digest: Digest::new(bytes),
            signed_at_s: time.parse().expect("seconds"),
            choice: counting_text::choice(rules.system, choice),
            power: power(units),
            check: SignatureCheck::Key,
        };
        let place = Place { partition: 0, offset: self.votes };
        self.votes += 1;
        let lane = self.lane.get_or_insert_with(|| LaneTally::new(rules));
        format!("{:?}", lane.apply(place, ballot, &mut TotalsDelta::empty(rules)))
    }

    fn show(&self) -> Vec<String> {
        let rules = self.rules();
        let empty = LaneTally::new(rules);
        let totals = self.lane.as_ref().unwrap_or(&empty).totals();
        let Outcome { scores, total_power, quorum_reached, threshold_reached, decision } =
            outcome(&self.voting, rules, totals);
        let reached = |name: &str, reached: bool| format!("{name} {}", if reached { "reached" } else { "not reached" });
        let mut lines = vec![format!("ballots {} · power {}", totals.ballots, format_units(total_power))];
        lines
            .extend(self.choices.iter().zip(scores.0).map(|(text, score)| format!("  {text} {}", format_units(score))));
        lines.extend((1..).zip(runoff_rounds(rules, totals)).map(|(number, round)| self.round(number, &round)));
        lines.extend(quorum_reached.map(|is_reached| reached("quorum", is_reached)));
        lines.extend(threshold_reached.map(|is_reached| reached("threshold", is_reached)));
        lines.push(match decision {
            OutcomeDecision::NoBallots => "no ballots".to_owned(),
            OutcomeDecision::Passed => "passed".to_owned(),
            OutcomeDecision::Failed => "failed".to_owned(),
            OutcomeDecision::Won(number) => format!("{} won", self.text(number)),
            OutcomeDecision::Tied(numbers) => {
                let texts: Vec<&str> = numbers.into_iter().map(|number| self.text(number)).collect();
                format!("tied: {}", texts.join(" "))
            }
            OutcomeDecision::ConditionsNotMet => "conditions not met".to_owned(),
        });
        lines
    }

    fn round(&self, number: usize, round: &RunoffRound) -> String {
        let powers: Vec<String> = round.scores.iter().map(|power| format_units(*power)).collect();
        let end = match round.eliminated {
            Some(number) => format!("{} leaves", self.text(number)),
            None => "decided".to_owned(),
        };
        format!("  round {number}: {} · {end}", powers.join(" "))
    }

    fn text(&self, number: ChoiceNumber) -> &str {
        &self.choices[usize::from(number) - 1]
    }
}

fn power(text: &str) -> Power {
    if text == "max" { Power::max() } else { Power::parse(text).expect("a power") }
}

fn threshold(text: &str) -> Fraction {
    let units = Power::parse(text).expect("a decimal").units().to::<u128>();
    let millionths = u32::try_from(units / 1_000_000_000_000).expect("at most 1");
    Fraction::from_millionths(millionths).expect("above 0 and at most 1")
}
