//! Our own contracts in `testbed/contracts`, compiled once for each content of their sources.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::hex;
use serde_json::Value;

use super::abi::{self, Argument};
use crate::{
    TestbedError,
    cache::{self, file_error},
    npm,
};

/// The script that calls the compiler.
const SCRIPT: &str = "compile.mjs";

/// What the script writes.
const OUTPUT: &str = "contracts.json";

/// All our contracts.
#[derive(Debug, Clone)]
pub struct Contracts {
    by_name: BTreeMap<String, Compiled>,
}

/// One contract.
#[derive(Debug, Clone)]
pub struct Compiled {
    name: String,
    creation: Vec<u8>,
    runtime: Vec<u8>,
    selectors: BTreeMap<String, [u8; 4]>,
}

/// How `OddToken` answers for one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// With the balance.
    Not,
    /// With a revert and a reason.
    Reverts,
    /// With a revert that carries a megabyte.
    RevertsWithMegabyte,
    /// With no bytes.
    ReturnsNothing,
    /// With one byte too few.
    Returns31Bytes,
    /// With the balance twice.
    Returns64Bytes,
    /// With a megabyte that begins with the balance.
    ReturnsMegabyte,
    /// By looping until all gas is gone.
    BurnsAllGas,
    /// With the invalid instruction, which takes all gas at once.
    HitsInvalid,
    /// With the number of the block.
    CountsBlocks,
    /// With the balance, after it has used the gas that `takeGas(address,uint256)` says.
    TakesGas,
}

impl Contracts {
    /// Compiles what is not compiled yet: 6 s of computing the first time, later nothing.
    ///
    /// # Errors
    /// Node.js with npm is missing, a package cannot be had, or a source has a mistake.
    pub fn compiled() -> Result<Self, TestbedError> {
        let source = source();
        let packages = packages()?;
        let key = npm::key(&inputs(&source)?)?;
        let folder = cache::prepared(&format!("contracts-{key}"), "compiled contracts", |folder| {
            let mut command = Command::new("node");
            command.arg(source.join(SCRIPT)).arg(&source).arg(&packages).arg(folder.join(OUTPUT));
            cache::run(&mut command).map(|_| ())
        })?;
        let file = folder.join(OUTPUT);
        let text = fs::read(&file).map_err(|source| file_error("read", &file, source))?;
        let by_name: BTreeMap<String, Value> = serde_json::from_slice(&text).expect("the script writes JSON");
        Ok(Self {
            by_name: by_name.into_iter().map(|(name, value)| (name.clone(), Compiled::new(name, &value))).collect(),
        })
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> &Compiled {
        self.by_name.get(name).unwrap_or_else(|| panic!("testbed/contracts has no contract {name}"))
    }
}

impl Compiled {
    fn new(name: String, value: &Value) -> Self {
        let bytes = |value: &Value| hex::decode(value.as_str().expect("the script writes hex")).expect("it is hex");
        let selectors = value["selectors"].as_object().expect("the script writes an object");
        let selector = |value: &Value| bytes(value).try_into().expect("a selector has four bytes");
        Self {
            name,
            creation: bytes(&value["creation"]),
            runtime: bytes(&value["runtime"]),
            selectors: selectors.iter().map(|(signature, value)| (signature.clone(), selector(value))).collect(),
        }
    }

    /// Its name in the source.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The code that deploys it, before its constructor's arguments.
    #[must_use]
    pub fn creation(&self) -> &[u8] {
        &self.creation
    }

    /// The code that stands at its address; immutable values in it are zero.
    #[must_use]
    pub fn runtime(&self) -> &[u8] {
        &self.runtime
    }

    /// Selectors by signature, as `transfer(address,uint256)`.
    #[must_use]
    pub fn selectors(&self) -> &BTreeMap<String, [u8; 4]> {
        &self.selectors
    }

    /// A call of one function.
    ///
    /// # Panics
    /// If the contract has no function of that signature.
    #[must_use]
    pub fn calldata(&self, signature: &str, arguments: &[Argument]) -> Vec<u8> {
        let selector = self.selectors.get(signature);
        let selector = selector.unwrap_or_else(|| panic!("{} has no function {signature}", self.name));
        [selector.as_slice(), &abi::encode(arguments)].concat()
    }
}

impl From<Odd> for Argument {
    fn from(odd: Odd) -> Self {
        let number: u64 = match odd {
            Odd::Not => 0,
            Odd::Reverts => 1,
            Odd::RevertsWithMegabyte => 2,
            Odd::ReturnsNothing => 3,
            Odd::Returns31Bytes => 4,
            Odd::Returns64Bytes => 5,
            Odd::ReturnsMegabyte => 6,
            Odd::BurnsAllGas => 7,
            Odd::HitsInvalid => 8,
            Odd::CountsBlocks => 9,
            Odd::TakesGas => 10,
        };
        number.into()
    }
}

/// The folder of the node's, the compiler's and OpenZeppelin's packages.
pub(super) fn packages() -> Result<PathBuf, TestbedError> {
    npm::installed(&source())
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts")
}

/// Everything that decides what comes out, in order.
fn inputs(source: &Path) -> Result<Vec<PathBuf>, TestbedError> {
    let entries = fs::read_dir(source).map_err(|error| file_error("list", source, error))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}
