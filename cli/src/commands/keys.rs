//! `tandem keys`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::json;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::consortium::registration_proof;
use tandem_node::home::{Home, KeyFile};

use crate::args::{Global, Keys};
use crate::{input, output};

pub fn keys(global: &Global, command: Keys) -> anyhow::Result<()> {
    let or_node_key = |file: Option<PathBuf>| match file {
        Some(file) => file,
        None => Home::new(&global.home).node_key_path(),
    };
    match command {
        Keys::New { file, encrypt } => {
            let passphrase = input::new_passphrase(global, encrypt, &file)?;
            let key = input::new_key();
            KeyFile::made(&file, &key, passphrase.as_ref())?.create(&file)?;
            show(global, &key.public())
        }
        Keys::Encrypt { file } => encrypt(global, &or_node_key(file)),
        Keys::Decrypt { file } => decrypt(global, &or_node_key(file)),
        Keys::Passphrase { file, new_passphrase_file } => {
            change_passphrase(global, &or_node_key(file), new_passphrase_file.as_deref())
        }
        Keys::Show { file } => show(global, &input::public_key_in(&or_node_key(file))?),
        Keys::Proof { file, org, chain_id } => {
            let key = input::secret_key(global, &or_node_key(file))?;
            let proof = registration_proof(&chain_id, &org, &key);
            let answer = json!({ "public_key": key.public(), "proof": proof });
            output::show(global, &answer, |_| {
                let facts =
                    [("public key", key.public().to_string()), ("proof", proof.to_string())];
                output::facts(&facts)
            })
        }
    }
}

fn encrypt(global: &Global, path: &Path) -> anyhow::Result<()> {
    let file = KeyFile::read(path)?;
    if file.is_encrypted() {
        bail!(
            "{} is encrypted already: `tandem keys passphrase` changes its passphrase",
            path.display()
        );
    }
    let passphrases = input::passphrases(global)?;
    let key = file.open(path, &passphrases)?;
    let passphrase = passphrases.for_new(path)?;
    KeyFile::made(path, &key, Some(&passphrase))?.replace(path)?;
    changed(global, path, &key.public(), true)
}

fn decrypt(global: &Global, path: &Path) -> anyhow::Result<()> {
    let file = KeyFile::read(path)?;
    if !file.is_encrypted() {
        bail!("{} is not encrypted", path.display());
    }
    let key = file.open(path, &input::passphrases(global)?)?;
    KeyFile::new(&key).replace(path)?;
    changed(global, path, &key.public(), false)
}

fn change_passphrase(global: &Global, path: &Path, new: Option<&Path>) -> anyhow::Result<()> {
    let file = KeyFile::read(path)?;
    if !file.is_encrypted() {
        bail!("{} is not encrypted: `tandem keys encrypt` does it", path.display());
    }
    let key = file.open(path, &input::passphrases(global)?)?;
    let passphrase = input::new_passphrases(new)?.for_new(path)?;
    KeyFile::made(path, &key, Some(&passphrase))?.replace(path)?;
    changed(global, path, &key.public(), true)
}

fn changed(global: &Global, path: &Path, key: &PublicKey, encrypted: bool) -> anyhow::Result<()> {
    let answer = json!({ "file": path, "public_key": key, "encrypted": encrypted });
    output::show(global, &answer, |_| {
        output::facts(&[
            ("file", path.display().to_string()),
            ("public key", key.to_string()),
            ("encrypted", output::yes_no(Some(encrypted))),
        ])
    })
}

fn show(global: &Global, key: &PublicKey) -> anyhow::Result<()> {
    let answer = json!({ "public_key": key, "address": key.address() });
    output::show(global, &answer, |_| key.to_string())
}
