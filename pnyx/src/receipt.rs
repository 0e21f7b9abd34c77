//! `pnyx receipt`: receipts checked offline.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;
use pnyx_backbone::clock::time_text;
use pnyx_core::{id::Voter, receipt::SignedReceipt, wire};
use serde_json::json;

use crate::{
    EXIT_FOUND_WRONG,
    cli::{ReceiptCommand, ReceiptVerifyArgs},
    screen,
};

/// Runs the command.
pub(crate) fn run(command: ReceiptCommand) -> anyhow::Result<ExitCode> {
    match command {
        ReceiptCommand::Verify(args) => verify(&args),
    }
}

/// Reads every receipt of a file: one JSON object, pretty or not, or one a line.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<Vec<SignedReceipt>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let stream = serde_json::Deserializer::from_str(&text).into_iter::<Box<serde_json::value::RawValue>>();
    let mut receipts = Vec::new();
    for (number, raw) in (1..).zip(stream) {
        let raw = raw.with_context(|| format!("{}: receipt {number} is not JSON", path.display()))?;
        let receipt =
            wire::receipt::decode(raw.get()).with_context(|| format!("{}: receipt {number}", path.display()))?;
        receipts.push(receipt);
    }
    anyhow::ensure!(!receipts.is_empty(), "{}: no receipt in it", path.display());
    Ok(receipts)
}

fn verify(args: &ReceiptVerifyArgs) -> anyhow::Result<ExitCode> {
    let key = Voter::from_any_case(&args.key).with_context(|| format!("--key {:?}", args.key))?;
    let mut all_valid = true;
    for path in &args.files {
        for receipt in read_file(path)? {
            let problem = check(&receipt, key).err();
            all_valid &= problem.is_none();
            show(args.json, &receipt, problem.as_deref());
        }
    }
    Ok(if all_valid { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND_WRONG) })
}

fn check(receipt: &SignedReceipt, key: Voter) -> Result<(), String> {
    if receipt.key != key {
        return Err(format!("signed with key {}, not with {key}", receipt.key));
    }
    receipt.verify().map_err(|error| error.to_string())
}

fn show(as_json: bool, signed: &SignedReceipt, problem: Option<&str>) {
    let receipt = &signed.receipt;
    if as_json {
        let line = json!({
            "digest": receipt.digest.to_string(), "proposal": receipt.proposal.to_string(),
            "valid": problem.is_none(), "problem": problem,
        });
        screen::line(&line.to_string());
        return;
    }
    screen::line(&format!("receipt   {} for proposal {}", receipt.digest, receipt.proposal));
    screen::line(&format!("place     ballots/{}   {}", receipt.place, time_text(receipt.appended_at)));
    match problem {
        None => screen::line(&format!("VALID     the platform's key {} acknowledged it", signed.key)),
        Some(problem) => screen::line(&format!("INVALID   {problem}")),
    }
}
