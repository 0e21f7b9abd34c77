//! The repository's examples, opened now, as files for `pnyx dev` and as what ballots must sign.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use jiff::Timestamp;
use pnyx_core::proposal::Proposal;
use pnyx_crds::read_resources;

/// The platform's domain unless `pnyx dev` is told otherwise.
const DOMAIN: &str = "dev";

/// How long ago the proposals opened: above the difference between any two clocks of one machine.
const OPENED_AGO_S: i64 = 60;

/// The example that only delegates may vote on; here everybody may, as on the others.
const DELEGATES_ONLY: &str = "fee-switch.yaml";

/// Proposals in a folder of their own.
pub(crate) struct Proposals {
    /// The folder.
    pub(crate) directory: PathBuf,
    /// In the order of their files.
    pub(crate) proposals: Vec<Proposal>,
}

impl Proposals {
    /// Writes the examples whose names are wanted into the folder, open for so many seconds from now on.
    pub(crate) fn write(directory: &Path, open_for_s: i64, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let now = Timestamp::now().as_second();
        let opens_at = Timestamp::from_second(now - OPENED_AGO_S)?;
        let closes_at = Timestamp::from_second(now + open_for_s)?;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        for entry in fs::read_dir(&examples).with_context(|| examples.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".yaml") && wanted(name) {
                let text = fs::read_to_string(&path)?;
                fs::write(directory.join(name), opened(name, &text, opens_at, closes_at))?;
            }
        }
        let resources = read_resources(directory)?;
        let proposals = resources.iter().map(|resource| Ok(resource.resolve(DOMAIN, None)?));
        let proposals = proposals.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { directory: directory.to_owned(), proposals })
    }
}

/// The file with another window.
fn opened(name: &str, text: &str, opens_at: Timestamp, closes_at: Timestamp) -> String {
    let lines = text.lines().map(|line| {
        if line.starts_with("    opensAt: ") {
            format!("    opensAt: \"{opens_at}\"\n")
        } else if line.starts_with("    closesAt: ") {
            format!("    closesAt: \"{closes_at}\"\n")
        } else {
            format!("{line}\n")
        }
    });
    let ticket = if name == DELEGATES_ONLY { "      - ticket:\n          value: \"1\"\n" } else { "" };
    lines.chain([ticket.to_owned()]).collect()
}
