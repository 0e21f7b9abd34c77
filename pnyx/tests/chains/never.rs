//! Strategies that can never give anybody power, at a block that is final already: refused before anybody votes.

use std::{fs, path::Path};

use alloy_primitives::Address;
use serde_json::json;

use crate::{
    common::{Dev, get_json, pnyx, repository},
    rig::{Chain, demo_wallet, example_path, refused},
};

#[test]
fn a_strategy_that_can_never_answer_is_refused() {
    let chain = Chain::start();
    let collection = chain.evm.deploy(chain.contracts.get("Badges"), &[]).unwrap();
    chain.evm.mine(3).unwrap();
    let block = chain.evm.finalized().unwrap().number;
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        ("no-contract", "erc20BalanceOf", demo_wallet(0), "there is no contract at its address"),
        ("no-function", "erc20Votes", collection, "its function fails for an account without holdings"),
    ];
    for (name, strategy, address, problem) in cases {
        let file = directory.path().join(format!("{name}.yaml"));
        write(&file, &chain, strategy, address, block);
        let (path, flag) = (file.display().to_string(), chain.flag(&chain.evm.url()));
        let said = refused(directory.path(), name, &[&path, "--open-for", "10m", "--chain", &flag]);
        let place = format!("strategies[0], block {block} of chain 31337");
        for part in [path.as_str(), place.as_str(), problem] {
            assert!(said.contains(part), "{name}: {part:?} is not in {said}");
        }
        // The trial alone says the same without any log, and tells it from what it could not do.
        let tried = only_try(&["--chain", &flag], &file);
        assert_eq!(tried.0, Some(1), "{tried:?}");
        assert!(tried.1.contains("never"), "{tried:?}");
        for part in [path.as_str(), "spec.power.strategies[0]", problem] {
            assert!(tried.2.contains(part), "{name}: {part:?} is not in {tried:?}");
        }
        // What the log has it has for ever, so nothing may be in it.
        let dev = Dev::start(&directory.path().join(name), None, &[]);
        assert_eq!(get_json(&format!("{}/v1/proposals", dev.url))["proposals"], json!([]));
    }
}

#[test]
fn a_trial_alone_passes_what_answers_and_what_cannot_be_asked() {
    let chain = Chain::start();
    let flag = chain.flag(&chain.evm.url());
    let (code, said, _) = only_try(&["--open-for", "10m", "--chain", &flag], &example_path());
    assert!(code == Some(0) && said.contains("answers"), "{code:?}: {said}");
    let (code, said, _) = only_try(&["--open-for", "10m"], &example_path());
    assert!(
        code == Some(0) && said.contains("unproven") && said.contains("no endpoint of chain 31337"),
        "{code:?}: {said}"
    );
    let gone = chain.flag("http://127.0.0.1:9");
    let (code, said, _) = only_try(&["--open-for", "10m", "--chain", &gone], &example_path());
    assert!(code == Some(0) && said.contains("unproven"), "{code:?}: {said}");
    let (code, said, _) = only_try(&[], &repository().join("examples/grants-round.yaml"));
    assert!(code == Some(0) && said.contains("nothing"), "{code:?}: {said}");
    let (code, _, problem) = only_try(&[], Path::new("not-there.yaml"));
    assert!(code == Some(2) && problem.contains("not-there.yaml"), "{code:?}: {problem}");
}

/// Exit code, standard output and standard error of `pnyx propose --only-try`.
fn only_try(more: &[&str], file: &Path) -> (Option<i32>, String, String) {
    let mut command = pnyx();
    command.args(["propose", "--only-try", "--domain", "test"]).args(more).arg(file);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The example with another first strategy, read at a block of that number.
fn write(file: &Path, chain: &Chain, strategy: &str, address: Address, block: u64) {
    let example = fs::read_to_string(example_path()).unwrap();
    let text = example.replace("erc20BalanceOf:", &format!("{strategy}:"));
    let text = text.replace(&chain.token.to_string(), &address.to_string());
    fs::write(file, format!("{text}    snapshot:\n      - network: \"31337\"\n        block: {block}\n")).unwrap();
}
