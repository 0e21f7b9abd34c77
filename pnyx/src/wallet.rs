//! Wallets of the command line: a key file, a keystore, or one of the public demo wallets.

use std::{env, fs, path::Path};

use anyhow::{Context as _, bail};
use pnyx_core::signing::SigningKey;
use sha2::{Digest as _, Sha256};

use crate::{cli::WalletArgs, screen};

/// The variable that names a key file where no wallet option is given.
const KEY_FILE_VARIABLE: &str = "PNYX_KEY_FILE";
/// The variable that holds a keystore's password, so that it never stands on a command line.
const PASSWORD_VARIABLE: &str = "PNYX_KEYSTORE_PASSWORD";

/// Opens the wallet that the arguments name.
pub(crate) fn open(args: &WalletArgs) -> anyhow::Result<SigningKey> {
    let WalletArgs { key_file, keystore, demo_wallet } = args;
    if let Some(path) = key_file {
        from_key_file(path)
    } else if let Some(path) = keystore {
        from_keystore(path)
    } else if let Some(number) = demo_wallet {
        Ok(demo(*number))
    } else if let Some(path) = env::var_os(KEY_FILE_VARIABLE) {
        from_key_file(Path::new(&path))
    } else {
        bail!("name a wallet: --key-file, --keystore or --demo-wallet")
    }
}

/// Demo wallet `number`, whose key is SHA-256 of "pnyx demo wallet <number>" (examples/README.md).
pub(crate) fn demo(number: u8) -> SigningKey {
    let bytes: [u8; 32] = Sha256::digest(format!("pnyx demo wallet {number}")).into();
    SigningKey::from_bytes(bytes).expect("a hash is a valid key but for odds of 2^-128")
}

fn from_key_file(path: &Path) -> anyhow::Result<SigningKey> {
    let text = fs::read_to_string(path).with_context(|| format!("reading the key file {}", path.display()))?;
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut bytes = [0; 32];
    // The error never repeats the text: it may be a secret with a typing mistake.
    if alloy_primitives::hex::decode_to_slice(digits, &mut bytes).is_err() {
        bail!("{}: expected one private key as 64 hexadecimal digits", path.display());
    }
    key_from(&bytes, path)
}

fn from_keystore(path: &Path) -> anyhow::Result<SigningKey> {
    let password = match env::var(PASSWORD_VARIABLE) {
        Ok(password) => password,
        Err(_) => ask_password(path)?,
    };
    let secret = eth_keystore::decrypt_key(path, password)
        .with_context(|| format!("opening the keystore {} (is the password right?)", path.display()))?;
    let Ok(bytes) = <[u8; 32]>::try_from(secret.as_slice()) else {
        bail!("{}: the keystore holds {} bytes, a private key has 32", path.display(), secret.len());
    };
    key_from(&bytes, path)
}

fn key_from(bytes: &[u8; 32], path: &Path) -> anyhow::Result<SigningKey> {
    match SigningKey::from_bytes(*bytes) {
        Ok(key) => Ok(key),
        Err(_) => bail!("{}: the number is not a private key of secp256k1", path.display()),
    }
}

fn ask_password(path: &Path) -> anyhow::Result<String> {
    screen::error_line(&format!("password of {} (or set {PASSWORD_VARIABLE}):", path.display()));
    console::Term::stderr().read_secure_line().context("reading the password")
}
