//! `tandem keys`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::{Value, json};
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::consortium::registration_proof;
use tandem_consensus::journal::{Place, Signing};
use tandem_node::home::{Home, KeyFile};
use tandem_node::key_move;
use tandem_node::run::wall_clock;

use super::init::config_at;
use crate::args::keys::Keys;
use crate::args::{Global, Places};
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
        Keys::Export { file, encrypt } => export(global, &file, encrypt),
        Keys::Import { file, places } => import(global, &file, places),
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

fn export(global: &Global, file: &Path, encrypt: bool) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let passphrases = input::passphrases(global)?;
    let exported = key_move::export(&home, file, &passphrases, encrypt, wall_clock())?;
    let answer = json!({
        "file": exported.file,
        "public_key": exported.node,
        "encrypted": exported.is_encrypted,
        "signed": exported.last.map(place_json),
        "key_lost": exported.is_lost,
    });
    output::show(global, &answer, |_| {
        output::facts(&[
            ("file", exported.file.display().to_string()),
            ("public key", exported.node.to_string()),
            ("encrypted", output::yes_no(Some(exported.is_encrypted))),
            ("signed", signed_text(exported.last, exported.is_lost)),
            (
                "from now on",
                format!(
                    "{} does not start: the key signs where the file is imported",
                    home.root().display()
                ),
            ),
        ])
    })
}

fn import(global: &Global, file: &Path, places: Places) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let config = config_at(places);
    config.validate()?;
    let passphrases = input::passphrases(global)?;
    let imported = key_move::import(&home, file, &passphrases, &config, wall_clock())?;
    let answer = json!({
        "home": home.root(),
        "public_key": imported.node,
        "signed": imported.last.map(place_json),
        "key_lost": imported.is_lost,
    });
    output::show(global, &answer, |_| {
        output::facts(&[
            ("home", home.root().display().to_string()),
            ("public key", imported.node.to_string()),
            ("signed", signed_text(imported.last, imported.is_lost)),
            ("from now on", "the key signs here, and above that alone".to_owned()),
        ])
    })
}

fn place_json(place: Place) -> Value {
    json!({
        "height": place.height.to_string(),
        "round": place.round.0,
        "step": step_name(place.step),
    })
}

fn step_name(step: Signing) -> &'static str {
    match step {
        Signing::Proposal => "proposal",
        Signing::Prevote => "prevote",
        Signing::Precommit => "precommit",
    }
}

/// What a key has signed last.
fn signed_text(last: Option<Place>, is_lost: bool) -> String {
    match last {
        Some(Place { height, round, step }) => {
            format!("up to height {height}, round {round}, {}", step_name(step))
        }
        None if is_lost => {
            "its record is lost: the node asks the others before it signs".to_owned()
        }
        None => "nothing yet".to_owned(),
    }
}

fn show(global: &Global, key: &PublicKey) -> anyhow::Result<()> {
    let answer = json!({ "public_key": key, "address": key.address() });
    output::show(global, &answer, |_| key.to_string())
}
