//! `pnyx vote`: signs a ballot as a Snapshot client would, casts it, keeps the receipt, and waits until it counts.

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use pnyx_backbone::clock::time_text;
use pnyx_core::{ballot, id::ProposalId, power::Power, time::TimestampMs, wire};
use serde_json::{Value, json};

use crate::{
    EXIT_FOUND_WRONG,
    cli::VoteArgs,
    client::{Platform, Refused, path_segment},
    screen, wallet,
};

/// Named in every ballot, as Snapshot's clients name theirs.
const APP: &str = "pnyx";
/// How often a ballot that the platform asks to send later is sent again.
const TRIES_MAX: u32 = 5;
/// Longest pause before another try, whatever the platform asks for.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long `--wait` waits for the ballot to be counted.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(60);
/// How often `--wait` asks.
const COUNTED_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What happened to the ballot, in the words of the output.
struct Cast {
    digest: String,
    answer: Value,
    acknowledged: Instant,
    receipt_file: PathBuf,
}

/// Runs the command.
pub(crate) async fn run(args: VoteArgs) -> anyhow::Result<ExitCode> {
    let key = wallet::open(&args.wallet)?;
    let platform = Platform::of(&args.platform, 1)?;
    let proposal = platform.get(&format!("v1/proposals/{}", path_segment(&args.proposal))).await?;
    let definition = proposal.get("definition").context("the platform's answer has no definition")?;
    let choice = choice_json(definition, &args.choice)?;
    let voter = key.address();
    let id = text(&proposal, "id")?;
    let voter_path = format!("v1/proposals/{id}/voters/{voter}");
    let before = platform.get(&voter_path).await?;
    let power = before.get("power").and_then(Value::as_str).map(str::to_owned);
    if power.as_deref().is_some_and(|power| Power::parse(power).is_ok_and(Power::is_zero)) && !args.force {
        screen::error_line(&format!(
            "{voter} has no power in {}: {}\nnothing was signed; --force sends it all the same",
            args.proposal,
            power_by_strategy(&before)
        ));
        return Ok(ExitCode::from(EXIT_FOUND_WRONG));
    }
    let proposal_id: ProposalId = id.parse().context("the platform's proposal id")?;
    let signed_at_s = pnyx_backbone::clock::now().0 / 1000;
    let space = text(definition, "space")?;
    let unsigned = ballot::compose(voter, &space, signed_at_s, proposal_id, &choice, &args.reason, APP)
        .with_context(|| format!("--choice {:?}", args.choice))?;
    let signature = key.sign_digest(*unsigned.digest().as_bytes());
    let answer = match cast(&platform, unsigned.body_with(&signature)).await? {
        Ok(answer) => answer,
        Err(refused) => {
            screen::error_line(&format!("refused: {refused}"));
            return Ok(ExitCode::from(EXIT_FOUND_WRONG));
        }
    };
    let digest = unsigned.digest().to_string();
    let receipt_file = save_receipt(&args, &digest, &answer)?;
    let cast = Cast { digest, answer, acknowledged: Instant::now(), receipt_file };
    if !args.json {
        show_cast(&cast, &choice_text(definition, &choice), power.as_deref(), &before)?;
    }
    if args.wait { wait(&args, &platform, &voter_path, &cast).await } else { finish(&args, &cast, None) }
}

/// Casts, and casts again where the platform asks for another try.
async fn cast(platform: &Platform, body: Vec<u8>) -> anyhow::Result<Result<Value, Refused>> {
    let mut tries = 1;
    loop {
        let answer = platform.cast(body.clone()).await?;
        match &answer {
            Err(Refused { retry_after_s: Some(seconds), .. })
                if tries < TRIES_MAX && Duration::from_secs(*seconds) <= RETRY_PAUSE_MAX =>
            {
                tries += 1;
                tokio::time::sleep(Duration::from_secs(*seconds)).await;
            }
            Ok(_) | Err(_) => return Ok(answer),
        }
    }
}

fn save_receipt(args: &VoteArgs, digest: &str, answer: &Value) -> anyhow::Result<PathBuf> {
    let receipt = answer.get("receipt").context("the platform gave no receipt; do not trust that it has the ballot")?;
    let signed = wire::receipt::decode(&receipt.to_string()).context("the platform's receipt")?;
    signed.verify().context("the platform's receipt proves nothing")?;
    anyhow::ensure!(signed.receipt.digest.to_string() == digest, "the platform's receipt is for another ballot");
    let file =
        args.receipt.clone().unwrap_or_else(|| format!("receipt-{}.json", digest.trim_start_matches("0x")).into());
    fs::write(&file, format!("{receipt}\n")).with_context(|| format!("saving the receipt as {}", file.display()))?;
    Ok(file)
}

fn show_cast(cast: &Cast, choice: &str, power: Option<&str>, voter: &Value) -> anyhow::Result<()> {
    let receipt = cast.answer.get("receipt").context("the receipt was there before")?;
    let number = |field: &str| receipt.get(field).and_then(Value::as_u64).unwrap_or_default();
    let power = match power {
        Some(power) => format!("with power {} ({})", screen::grouped(power), power_by_strategy(voter)),
        None => format!(
            "with a power that is not known yet: {}",
            voter.get("powerMissing").and_then(Value::as_str).unwrap_or("the platform does not say why")
        ),
    };
    screen::line(&format!("ballot   {}        {choice}, {power}", screen::short(&cast.digest)));
    screen::line(&format!(
        "receipt  ballots/{} @ {}   {}   saved as {}",
        number("partition"),
        number("offset"),
        time_text(TimestampMs(number("appendedAtMs"))),
        cast.receipt_file.display()
    ));
    Ok(())
}

/// Waits until this ballot stands, is superseded by a later one of its voter, or is rejected.
async fn wait(args: &VoteArgs, platform: &Platform, voter_path: &str, cast: &Cast) -> anyhow::Result<ExitCode> {
    loop {
        let voter = platform.get(voter_path).await?;
        let standing = voter.get("ballot").and_then(|ballot| ballot.get("digest")?.as_str());
        let rejections = voter.get("rejections").and_then(Value::as_array);
        let rejected = rejections
            .into_iter()
            .flatten()
            .find(|entry| entry.get("digest").and_then(Value::as_str) == Some(&cast.digest));
        if standing == Some(&cast.digest) {
            let proposal = platform.get(&format!("v1/proposals/{}", path_segment(&args.proposal))).await?;
            return finish(args, cast, Some((&proposal, cast.acknowledged.elapsed())));
        }
        if let Some(rejected) = rejected {
            screen::error_line(&format!("rejected: {}", text(rejected, "explanation")?));
            return Ok(ExitCode::from(EXIT_FOUND_WRONG));
        }
        if cast.acknowledged.elapsed() > COUNTED_WAIT_MAX {
            bail!(
                "acknowledged, but not counted after {} s; the receipt is {}; `pnyx explain ballot` says more later",
                COUNTED_WAIT_MAX.as_secs(),
                cast.receipt_file.display()
            );
        }
        tokio::time::sleep(COUNTED_POLL_INTERVAL).await;
    }
}

fn finish(args: &VoteArgs, cast: &Cast, counted: Option<(&Value, Duration)>) -> anyhow::Result<ExitCode> {
    if args.json {
        let counted_after_ms = counted.map(|(_, after)| after.as_secs_f64() * 1000.0);
        let line = json!({ "digest": cast.digest, "receiptFile": cast.receipt_file, "answer": cast.answer,
            "countedAfterMs": counted_after_ms, "tally": counted.and_then(|(proposal, _)| proposal.get("tally")) });
        screen::line(&line.to_string());
    } else if let Some((proposal, after)) = counted {
        screen::line(&format!("counted  after {} ms      {}", after.as_millis(), tally_line(proposal)?));
    }
    Ok(ExitCode::SUCCESS)
}

/// `For 1,250.5 · Against 0 · quorum 1,000 reached`.
pub(crate) fn tally_line(proposal: &Value) -> anyhow::Result<String> {
    let definition = proposal.get("definition").context("the platform's answer has no definition")?;
    let tally = proposal.get("tally").context("the platform's answer has no tally")?;
    let choices = definition.get("choices").and_then(Value::as_array).context("the definition has no choices")?;
    let scores = tally.get("scores").and_then(Value::as_array).context("the tally has no scores")?;
    let mut parts: Vec<String> = choices
        .iter()
        .zip(scores)
        .map(|(choice, score)| {
            format!("{} {}", choice.as_str().unwrap_or_default(), screen::grouped(score.as_str().unwrap_or_default()))
        })
        .collect();
    let quorum = definition.get("voting").and_then(|voting| voting.get("quorum")?.get("power")?.as_str());
    if let Some(quorum) = quorum {
        let reached = tally.get("quorumReached").and_then(Value::as_bool).unwrap_or_default();
        parts.push(format!("quorum {} {}", screen::grouped(quorum), if reached { "reached" } else { "not reached" }));
    }
    Ok(parts.join(" · "))
}

fn power_by_strategy(voter: &Value) -> String {
    let strategies = voter.get("powerByStrategy").and_then(Value::as_array);
    let parts: Vec<String> = strategies
        .into_iter()
        .flatten()
        .map(|strategy| {
            let field = |name: &str| strategy.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{} {}", field("strategy"), screen::grouped(field("power")))
        })
        .collect();
    parts.join(" + ")
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    let found = value.get(field).and_then(Value::as_str);
    Ok(found.with_context(|| format!("the platform's answer has no text {field:?}"))?.to_owned())
}

/// What the ballot signs: numbers for texts, in the JSON of the voting system.
fn choice_json(definition: &Value, given: &str) -> anyhow::Result<String> {
    let system = definition.get("voting").and_then(|voting| voting.get("system")?.as_str()).unwrap_or_default();
    let given = given.trim();
    if given.starts_with(['[', '{']) {
        return Ok(given.to_owned());
    }
    let names = choice_names(definition)?;
    match system {
        "weighted" | "quadratic" => {
            let mut entries = Vec::new();
            for entry in given.split(',') {
                let (choice, weight) = entry.rsplit_once('=').unwrap_or((entry, "1"));
                entries.push(format!("\"{}\":{}", choice_number(&names, choice)?, weight.trim()));
            }
            Ok(format!("{{{}}}", entries.join(",")))
        }
        "approval" | "ranked-choice" | "copeland" => {
            let numbers: anyhow::Result<Vec<String>> = if given.is_empty() {
                Ok(Vec::new())
            } else {
                given.split(',').map(|choice| Ok(choice_number(&names, choice)?.to_string())).collect()
            };
            Ok(format!("[{}]", numbers?.join(",")))
        }
        _ => Ok(choice_number(&names, given)?.to_string()),
    }
}

fn choice_names(definition: &Value) -> anyhow::Result<Vec<String>> {
    let choices = definition.get("choices").and_then(Value::as_array).context("the definition has no choices")?;
    Ok(choices.iter().map(|choice| choice.as_str().unwrap_or_default().to_owned()).collect())
}

fn choice_number(names: &[String], given: &str) -> anyhow::Result<usize> {
    let given = given.trim();
    if let Some(index) = names.iter().position(|name| name.eq_ignore_ascii_case(given)) {
        return Ok(index + 1);
    }
    match given.parse() {
        Ok(number) if (1..=names.len()).contains(&number) => Ok(number),
        Ok(_) | Err(_) => {
            let list: Vec<String> = (1..).zip(names).map(|(number, name)| format!("{number} {name}")).collect();
            bail!("--choice {given:?} is none of the choices: {}", list.join(" · "))
        }
    }
}

/// The choice for people: the text of a single choice, else the JSON.
fn choice_text(definition: &Value, choice: &str) -> String {
    let names = choice_names(definition).unwrap_or_default();
    let single = choice.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?).cloned());
    single.unwrap_or_else(|| choice.to_owned())
}
