//! A decision as people read it.

use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pnyx_core::scaling::{Candidate, DataQuality, Limit, PartitionsLimit, ScalingPhase, ScalingSpec};
use pnyx_crds::{ScalingCandidate, ScalingChoice, ScalingInputs, ScalingRemembered, ScalingStatus};

use super::{decision::Decision, remedy};
use crate::numbers::{ballots, duration, grouped};

/// What is said of a word that this version does not have.
const UNKNOWN_WORD: &str = "This version of pnyx does not know that word.";

/// Everything that `pnyx explain scaling` prints.
pub(super) fn page(decision: &Decision) -> String {
    let Decision { namespace, name, scaling, age_s, is_spec_newer, learnt_lead, spec, conditions } = decision;
    let ScalingStatus { decided_at, phase, message, inputs, candidates, shards, partitions, remembered } = scaling;
    let ago = age_s.map_or_else(String::new, |age_s| format!(", {} ago", duration(age_s)));
    let mut out = format!("gprop/{name} in namespace {namespace}, decided at {decided_at}{ago}\n");
    if *is_spec_newer {
        out.push_str("The spec was changed since; the operator has not looked at it yet.\n");
    }
    let _ = writeln!(out, "\n{message}\n");
    let meaning = ScalingPhase::named(phase).map_or(UNKNOWN_WORD, ScalingPhase::meaning);
    let _ = writeln!(out, "phase       {phase}\n            {meaning}");
    let limit = Limit::named(&shards.limit);
    show_choice(&mut out, "shards", shards, limit.map(|limit| (limit.meaning(), remedy::of_shards(limit))));
    let grown = PartitionsLimit::named(&partitions.limit);
    show_choice(&mut out, "partitions", partitions, grown.map(|limit| (limit.meaning(), remedy::of_partitions(limit))));
    out.push_str("\nmade from\n");
    show_inputs(&mut out, inputs);
    out.push_str("\nshards that each consideration alone asks for\n");
    show_candidates(&mut out, candidates, limit);
    out.push_str("\nspec.scaling, with its defaults\n");
    show_spec(&mut out, spec);
    out.push_str("\nlearnt\n");
    show_learnt(&mut out, remembered.as_ref(), learnt_lead.as_deref());
    out.push_str("\nconditions\n");
    for condition in conditions {
        show_condition(&mut out, condition);
    }
    out
}

fn row(out: &mut String, label: &str, value: &str, note: &str) {
    let line = format!("  {label:<18}{value:<18}{note}");
    let _ = writeln!(out, "{}", line.trim_end());
}

fn show_choice(out: &mut String, what: &str, choice: &ScalingChoice, words: Option<(&str, &str)>) {
    let ScalingChoice { from, to, wanted, limit } = choice;
    let number = if from == to { format!("{to}, as before") } else { format!("{from} → {to}") };
    let wanted = wanted.filter(|wanted| wanted != to).map_or_else(String::new, |wanted| format!(" ({wanted} wanted)"));
    let (meaning, change) = words.unwrap_or((UNKNOWN_WORD, ""));
    let _ = writeln!(out, "{what:<12}{number}{wanted}, by the limit {limit}");
    for line in [meaning, change].into_iter().filter(|line| !line.is_empty()) {
        let _ = writeln!(out, "            {line}");
    }
}

fn show_inputs(out: &mut String, inputs: &ScalingInputs) {
    let ScalingInputs {
        data,
        sample_age_seconds,
        arrivals_per_second,
        backlog,
        fullest_partition,
        rate_per_shard,
        is_rate_measured,
        utilization_percent,
        catch_up_seconds,
        lead_seconds,
        shards_ready,
    } = inputs;
    let age = sample_age_seconds.map_or_else(String::new, |age| format!(", {} old", time(age)));
    let meaning = DataQuality::named(data).map_or(UNKNOWN_WORD, DataQuality::meaning);
    row(out, "sample of the log", &format!("{data}{age}"), meaning);
    let measured = |number: &Option<i64>| if number.is_some() { "measured" } else { "" };
    let arrivals = arrivals_per_second.map(|rate| format!("{}/s", whole(rate)));
    row(out, "arrivals", &known(arrivals), measured(arrivals_per_second));
    row(out, "backlog", &known(backlog.map(|backlog| format!("{} ballots", whole(backlog)))), measured(backlog));
    let fullest = fullest_partition.map(|fullest| format!("{} ballots", whole(fullest)));
    row(out, "fullest partition", &known(fullest), measured(fullest_partition));
    let source = if *is_rate_measured { "measured" } else { "stated by spec.scaling.ratePerShard" };
    let part =
        utilization_percent.map_or_else(String::new, |percent| format!(", of which arrivals may take {percent} %"));
    row(
        out,
        "rate per shard",
        &known(rate_per_shard.map(|rate| format!("{}/s", whole(rate)))),
        &format!("{source}{part}"),
    );
    row(out, "catch-up", &known(catch_up_seconds.map(time)), "in which the backlog is to be worked off");
    row(out, "lead", &known(lead_seconds.map(time)), "before the opening shards are started");
    row(out, "ready", &known(shards_ready.map(|ready| format!("{} shards", whole(ready)))), "");
}

fn show_candidates(out: &mut String, candidates: &[ScalingCandidate], limit: Option<Limit>) {
    let is_there = |decided: &Candidate| candidates.iter().any(|it| Candidate::named(&it.name) == Some(*decided));
    let decided = limit.and_then(Limit::candidate).filter(is_there);
    for ScalingCandidate { name, shards } in candidates {
        let candidate = Candidate::named(name);
        let mark = if candidate.is_some() && candidate == decided { "decided: " } else { "" };
        let meaning = candidate.map_or(UNKNOWN_WORD, Candidate::meaning);
        row(out, name, &whole(*shards), &format!("{mark}{meaning}"));
    }
    if let Some(limit) = limit.filter(|_| decided.is_none()) {
        let _ = writeln!(out, "  None of them decided, but the limit {}.", limit.name());
    }
}

fn show_spec(out: &mut String, spec: &Result<ScalingSpec, String>) {
    let spec = match spec {
        Ok(spec) => spec,
        Err(problem) => return row(out, "cannot be read", "", problem),
    };
    let seconds = |time_ms: u64| duration(time_ms.div_ceil(1_000));
    let numbers = [
        ("minShards", spec.min_shards().to_string()),
        ("warmShards", spec.warm_shards().to_string()),
        ("maxShards", spec.max_shards().to_string()),
        ("shards", spec.shards().map_or_else(|| "not set".to_owned(), |shards| shards.to_string())),
        ("lead", seconds(spec.lead_ms())),
        ("catchUpTarget", seconds(spec.catch_up_target_ms())),
        ("utilization", format!("{} %", spec.utilization_percent())),
        ("expectedPeak", spec.expected_peak().map_or_else(|| "not set".to_owned(), |peak| peak.to_string())),
        ("ratePerShard", spec.rate_per_shard().to_string()),
        ("partitions", format!("{}, at most {}", spec.partitions_initial(), spec.partitions_max())),
        ("hold", spec.hold().to_string()),
    ];
    for (field, value) in numbers {
        row(out, field, &value, "");
    }
}

fn show_learnt(out: &mut String, remembered: Option<&ScalingRemembered>, learnt_lead: Option<&str>) {
    let ScalingRemembered { starts, rate_per_shard_milli, reached: _ } = remembered.cloned().unwrap_or_default();
    match starts.last() {
        Some(last) => {
            let took = duration(u64::try_from(last.took_ms).unwrap_or_default().div_ceil(1_000));
            let value = format!("{} seen", whole(i64::try_from(starts.len()).unwrap_or(i64::MAX)));
            row(out, "starts of shards", &value, &format!("the last took {took}, at {}", last.at));
        }
        None => row(out, "starts of shards", "none seen", ""),
    }
    let rate = rate_per_shard_milli.and_then(|milli| u64::try_from(milli).ok());
    let rate = rate.map(|milli| format!("{}/s", ballots(pnyx_core::scaling::Rate::from_milli(milli))));
    row(out, "rate per shard", &rate.unwrap_or_else(|| "not measured yet".to_owned()), "");
    if let Some(lead) = learnt_lead {
        row(out, "lead", lead, "longer than spec.scaling.lead, because starts took so long");
    }
}

fn show_condition(out: &mut String, condition: &Condition) {
    let said = match condition.message.as_str() {
        "" => condition.reason.clone(),
        message => format!("{}: {message}", condition.reason),
    };
    row(out, &condition.type_, &condition.status, &said);
}

fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "unknown".to_owned())
}

/// What no operator writes, a number below nothing, is shown as nothing.
fn whole(number: i64) -> String {
    grouped(u64::try_from(number).unwrap_or_default())
}

fn time(seconds: i64) -> String {
    duration(u64::try_from(seconds).unwrap_or_default())
}
