//! Archives audited with every receipt that was given out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{get_json, pnyx, succeed};

/// Every receipt of a run, checked offline.
pub(crate) struct Receipts {
    key: String,
    file: PathBuf,
    lines: Vec<String>,
}

impl Receipts {
    /// Reads the file that `pnyx load --receipts` wrote and verifies each receipt with the key that `edge` names.
    pub(crate) fn verify(edge: &str, file: &Path) -> Self {
        let keys = get_json(&format!("{edge}/v1/keys"));
        let key = keys["keys"][0]["address"].as_str().unwrap().to_owned();
        let verified = succeed(pnyx().args(["receipt", "verify", "--json", "--key", &key]).arg(file));
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(verified.lines().count(), lines.len(), "every receipt verifies offline");
        Self { key, file: file.to_owned(), lines }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Audits a proposal's archive and finds in it every receipt of the proposal; gives how many that are.
    pub(crate) fn audit(&self, reads: &str, id: &str) -> usize {
        let mine: String = self.lines.iter().filter(|line| line.contains(id)).map(|line| format!("{line}\n")).collect();
        assert!(!mine.is_empty(), "no ballot of {id} was acknowledged");
        let file = self.file.with_extension(format!("{id}.jsonl"));
        fs::write(&file, &mine).unwrap();
        let archive = format!("{reads}/v1/proposals/{id}/archive");
        let output = succeed(pnyx().args(["audit", "--json", &archive, "--key", &self.key, "--receipt"]).arg(&file));
        let report: Value = serde_json::from_str(&output).unwrap();
        let found = report["receipts"].as_array().unwrap().len();
        assert_eq!(found, mine.lines().count(), "every receipt is in the archive");
        found
    }
}
