//! The home folder of a node that joins: what an earlier attempt has left in it, and what is made.

use serde::{Deserialize, Serialize};
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::modules::consortium::{self, KeyRole};
use tandem_chain::types::{Hash, Height};

use super::newcomer::JoinError;
use super::token::{MAX_TOKEN_LEN, Token, TokenMember};
use crate::config::Config;
use crate::genesis_files;
use crate::home::{Home, HomeError, Passphrases, files};
use crate::storage::Database;

/// Content of `config/join.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinFile {
    token: String,
}

/// The node of a home whose join is over, and a height of its own at which it is registered; none for
/// a home without a node, or in which a join is under way.
pub(super) fn has_joined(
    home: &Home,
    token: &Token,
) -> Result<Option<(PublicKey, Height)>, JoinError> {
    if home.join_path().exists() || !home.node_key_path().exists() {
        return Ok(None);
    }
    let node = home.node_public_key()?;
    let (root, org) = (home.root().display(), &token.invitation.body.org);
    let other = |what: &str| {
        Err(JoinError::OtherHome(format!(
            "{root} holds node {node}, {what}: start it with `tandem start`, or choose another --home"
        )))
    };
    // Without data it has not started, and the database would be made.
    if !home.data_path().join("CURRENT").exists() {
        return other("which was not made by `tandem join`");
    }
    if !has_genesis(home, token.genesis)? {
        return other("whose genesis file is gone");
    }
    let config = Config::load(&home.config_path())?;
    let db = Database::open(&home.data_path(), token.genesis, &home.storage(&config)?)?;
    match consortium::key(&db, &node)? {
        Some(entry) if entry.role == KeyRole::Node && entry.org == *org => {
            Ok(Some((node, db.height())))
        }
        _ => other(&format!("which is no node of {org} as far as it has followed the chain")),
    }
}

/// The configuration of the home, or else the plan's with the token's members, which is not written
/// yet.
pub(super) fn configured(home: &Home, token: &Token, plan: Config) -> Result<Config, JoinError> {
    let path = home.config_path();
    if path.exists() {
        let kept = Config::load(&path)?;
        let (asked, has) = (&plan.p2p.addresses, &kept.p2p.addresses);
        if !asked.is_empty() && asked != has {
            return Err(JoinError::OtherHome(format!(
                "{} is there and is kept: its p2p.addresses are [{}], the command has [{}]; change one \
                 of them",
                path.display(),
                has.join(", "),
                asked.join(", "),
            )));
        }
        return Ok(kept);
    }
    let mut config = plan;
    if let Some(trust) = token.trust {
        config.snapshots.trust = trust.to_string();
    }
    for TokenMember { key, addresses } in &token.members {
        config.p2p.bootstrap.insert(*key, addresses.clone());
    }
    Ok(config)
}

/// Makes the home, or finds what an earlier attempt has made of it; the node's key, and whether it is
/// new; a new one is encrypted where that is asked for. The token's file is written before the key, so that a
/// key without it is another node's, or one that has joined.
pub(super) fn prepare(
    home: &Home,
    token: &Token,
    config: &Config,
    (passphrases, encrypt): (&Passphrases, bool),
) -> Result<(SecretKey, bool), JoinError> {
    let path = home.join_path();
    if let Some(text) = files::read(&path, 2 * MAX_TOKEN_LEN as u64)? {
        let wrong =
            |reason: String| JoinError::Home(HomeError::Content { path: path.clone(), reason });
        let file: JoinFile = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("no file of a join: {error}")))?;
        let before = Token::parse(&file.token).map_err(|error| wrong(error.to_string()))?;
        let (old, new) = (&before.invitation.body, &token.invitation.body);
        if (&old.chain_id, &old.org, before.genesis) != (&new.chain_id, &new.org, token.genesis) {
            return Err(JoinError::OtherHome(format!(
                "{} holds a join of {} to {} that is under way, the token is of {} to {}: choose \
                 another --home",
                home.root().display(),
                old.org,
                old.chain_id,
                new.org,
                new.chain_id,
            )));
        }
    }
    let is_new = !home.node_key_path().exists();
    // A passphrase that is missing is told before anything is written.
    let passphrase = (is_new && encrypt).then(|| passphrases.for_new(&home.node_key_path()));
    let passphrase = passphrase.transpose()?;
    files::create_dir(&home.root().join("config"))?;
    let file = JoinFile { token: token.to_text() };
    let text = serde_json::to_string_pretty(&file).expect("a plain struct");
    files::write_atomic(&path, format!("{text}\n").as_bytes(), 0o600)?;
    if !is_new {
        if !home.config_path().exists() {
            files::write_atomic(&home.config_path(), config.to_toml().as_bytes(), 0o644)?;
        }
        return Ok((home.node_key(passphrases)?, false));
    }
    let secret = SecretKey::from_seed(&rand::random());
    home.init(config, &secret, passphrase.as_ref())?;
    Ok((secret, true))
}

/// Whether the genesis is there already.
pub(super) fn has_genesis(home: &Home, expected: Hash) -> Result<bool, JoinError> {
    let path = home.genesis_path();
    if !path.exists() {
        return Ok(false);
    }
    let got = genesis_files::load(&path)?.0.hash();
    if got == expected {
        return Ok(true);
    }
    let reason = format!("its hash is {got}, the token's is {expected}: choose another --home");
    Err(HomeError::Content { path, reason }.into())
}
