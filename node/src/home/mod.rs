//! The home folder of a node: what lies where, and how it comes to be.
//!
//! ```text
//! <home>/config/config.toml      configuration, written with all defaults by `tandem init`
//! <home>/config/genesis.json     the chain's first state, the same file at every member
//! <home>/config/node_key.json    the node's private key, 0600
//! <home>/config/guard.json       whether the key may have signed already: see [`GuardFile`]
//! <home>/config/roles.json       which changes of the node's role its hooks were told of
//! <home>/config/join.json        the token of a `tandem join` that is under way, 0600
//! <home>/data/                   the database
//! <home>/snapshots/              snapshots of the state, a folder for each
//! ```

#[cfg(test)]
mod damage;
pub mod files;
mod guard_file;
mod key_file;
mod passphrase;
mod sealed_key;
mod storage_key;

use std::path::{Path, PathBuf};

use tandem_chain::keys::{PublicKey, SecretKey};

use crate::config::Config;
use crate::sink::Server;
use crate::storage::StorageConfig;

pub use guard_file::{GuardFile, GuardState, KeyArrival, KeyMove, MoveId};
pub use key_file::KeyFile;
pub use passphrase::{Passphrase, Passphrases, Prompt};
pub use storage_key::StorageKey;

/// Bytes that the file with the password of a server may have.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// What can be wrong with a home folder or a file in it.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), hint(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file that is needed is not there.
    #[error("{} does not exist: {hint}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// A file that would be written is there.
    #[error("{} exists already: {hint}", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// Others than the owner may read a secret.
    #[error("{} may be read by others (mode {mode:03o}): run chmod 600 on it", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A passphrase is needed, and there is none, or another one.
    #[error("{} {state}, and {reason}", path.display())]
    Locked {
        /// The key file.
        path: PathBuf,
        /// Why one is needed.
        state: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The key of the home is on its way to another one, or from there, or has left.
    #[error("{}: {reason}", path.display())]
    Moved {
        /// The guard file that says so.
        path: PathBuf,
        /// What is known of it, and what to do.
        reason: String,
    },
    /// The content is not what belongs there.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}

/// What to do about a fault of the system, where that is plain.
fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull
        | std::io::ErrorKind::QuotaExceeded
        | std::io::ErrorKind::FileTooLarge => "; make room and begin again",
        _ => "",
    }
}

/// Paths of a home folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The home folder at `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `config/config.toml`.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.root.join("config/config.toml")
    }

    /// `config/genesis.json`.
    #[must_use]
    pub fn genesis_path(&self) -> PathBuf {
        self.root.join("config/genesis.json")
    }

    /// `config/node_key.json`.
    #[must_use]
    pub fn node_key_path(&self) -> PathBuf {
        self.root.join("config/node_key.json")
    }

    /// `config/guard.json`.
    #[must_use]
    pub fn guard_path(&self) -> PathBuf {
        self.root.join("config/guard.json")
    }

    /// `config/roles.json`.
    #[must_use]
    pub fn roles_path(&self) -> PathBuf {
        self.root.join("config/roles.json")
    }

    /// `config/join.json`.
    #[must_use]
    pub fn join_path(&self) -> PathBuf {
        self.root.join("config/join.json")
    }

    /// `data`, the database's folder.
    #[must_use]
    pub fn data_path(&self) -> PathBuf {
        self.root.join("data")
    }

    /// How the database is kept, with the key that the configuration names. A key file inside the
    /// database's folder is refused: who copies the one would have the other.
    ///
    /// # Errors
    /// Those of [`StorageKey::load`]; [`HomeError::Content`] for a file in the database's folder.
    pub fn storage(&self, config: &Config) -> Result<StorageConfig, HomeError> {
        let mut storage = StorageConfig::from(&config.storage);
        let file = &config.storage.key_file;
        if file.as_os_str().is_empty() {
            return Ok(storage);
        }
        let path = self.root.join(file);
        let key = StorageKey::load(&path)?;
        let real = |path: &Path| path.canonicalize().ok();
        if let Some((path, data)) = real(&path).zip(real(&self.data_path()))
            && path.starts_with(&data)
        {
            let reason = "storage.key_file lies in the database's folder: keep it elsewhere";
            return Err(HomeError::Content { path, reason: reason.to_owned() });
        }
        storage.key = Some(key);
        Ok(storage)
    }

    /// How the PostgreSQL is reached to which transactions and events are written; none when it is not
    /// configured.
    ///
    /// # Errors
    /// [`HomeError::Missing`], [`HomeError::Permissions`]: the file with its password.
    ///
    /// # Panics
    /// When the configuration was not checked.
    pub fn sink(&self, config: &Config) -> Result<Option<Server>, HomeError> {
        let Some(mut server) = config.index.server().expect("the configuration is checked") else {
            return Ok(None);
        };
        let file = &config.index.psql_password_file;
        if !file.as_os_str().is_empty() {
            let hint = "index.psql_password_file names it: put the password there, in one line";
            let text = files::read_private(&self.root.join(file), MAX_PASSWORD_BYTES, hint)?;
            server.password(text.trim_end_matches(['\r', '\n']));
        }
        Ok(Some(server))
    }

    /// The folder in which a running node makes backups; none when it is not configured.
    #[must_use]
    pub fn backup_dir(&self, config: &Config) -> Option<PathBuf> {
        let folder = &config.storage.backup_dir;
        (!folder.as_os_str().is_empty()).then(|| self.root.join(folder))
    }

    /// `snapshots`, a folder for each snapshot of the state.
    #[must_use]
    pub fn snapshots_path(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Makes the folder with `config`, `key` and the key's guard record; the key is encrypted where a passphrase
    /// is given.
    ///
    /// The guard record is written before the key: a crash in between leaves a record without a
    /// key, which the next `init` replaces, and never a new key that counts as lost.
    ///
    /// # Errors
    /// [`HomeError::Exists`] when there is a node key already: a key is never overwritten.
    pub fn init(
        &self,
        config: &Config,
        key: &SecretKey,
        passphrase: Option<&Passphrase>,
    ) -> Result<PublicKey, HomeError> {
        let key_path = self.node_key_path();
        if key_path.exists() {
            return Err(HomeError::Exists {
                path: key_path,
                hint: "the folder is initialised, and a key is never overwritten; choose another \
                       --home",
            });
        }
        let file = KeyFile::made(&key_path, key, passphrase)?;
        files::create_dir(&self.root.join("config"))?;
        files::create_dir(&self.data_path())?;
        if !self.config_path().exists() {
            files::write_atomic(&self.config_path(), config.to_toml().as_bytes(), 0o644)?;
        }
        GuardFile::new(key.public()).store(&self.guard_path())?;
        file.create(&key_path)?;
        Ok(key.public())
    }

    /// The node's key, to use it here.
    ///
    /// # Errors
    /// [`HomeError::Moved`] when it has left this home; those of [`KeyFile::load`].
    pub fn node_key(&self, passphrases: &Passphrases) -> Result<SecretKey, HomeError> {
        self.check_key_is_here()?;
        KeyFile::load(&self.node_key_path(), passphrases)
    }

    /// The node's public key, for which no passphrase is needed.
    ///
    /// # Errors
    /// Those of [`KeyFile::read`].
    pub fn node_public_key(&self) -> Result<PublicKey, HomeError> {
        KeyFile::load_public(&self.node_key_path())
    }

    /// Refuses a home whose key has left, or is on its way.
    ///
    /// # Errors
    /// [`HomeError::Moved`], and those of [`Home::guard`].
    pub fn check_key_is_here(&self) -> Result<(), HomeError> {
        let away = self.guard()?.and_then(|guard| guard.state.away(&self.guard_path()));
        away.map_or(Ok(()), Err)
    }

    /// The guard record beside the key; none when the file is not there, which makes the key a
    /// lost one.
    ///
    /// # Errors
    /// Those of [`GuardFile::load`].
    pub fn guard(&self) -> Result<Option<GuardFile>, HomeError> {
        GuardFile::load(&self.guard_path())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn init_makes_a_private_key_a_fresh_guard_and_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("node"));
        let key = SecretKey::from_seed(&[7; 32]);
        let public = home.init(&Config::default(), &key, None).unwrap();

        let mode = std::fs::metadata(home.node_key_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(home.node_public_key().unwrap(), public);
        let guard = home.guard().unwrap().unwrap();
        assert_eq!(guard, GuardFile { public_key: public, state: GuardState::New });
        assert_eq!(Config::load(&home.config_path()).unwrap(), Config::default());
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        home.init(&Config::default(), &SecretKey::from_seed(&[1; 32]), None).unwrap();
        let again = home.init(&Config::default(), &SecretKey::from_seed(&[2; 32]), None);
        assert!(matches!(again, Err(HomeError::Exists { .. })));
        assert_eq!(home.node_public_key().unwrap(), SecretKey::from_seed(&[1; 32]).public());
    }

    #[test]
    fn the_key_of_the_database_is_read_from_where_the_configuration_says() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        std::fs::create_dir(home.data_path()).unwrap();
        let mut config = Config::default();
        assert_eq!(home.storage(&config).unwrap().key, None);
        assert_eq!(home.backup_dir(&config), None);

        let key = StorageKey::new([5; 32]);
        config.storage.key_file = "storage.key".into();
        config.storage.backup_dir = "/backups".into();
        assert!(matches!(home.storage(&config), Err(HomeError::Missing { .. })));
        key.create(&dir.path().join("storage.key")).unwrap();
        assert_eq!(home.storage(&config).unwrap().key.as_ref(), Some(&key));
        assert_eq!(home.backup_dir(&config), Some("/backups".into()));

        config.storage.key_file = home.data_path().join("../data/storage.key");
        key.create(&config.storage.key_file).unwrap();
        let error = home.storage(&config).unwrap_err().to_string();
        assert!(error.contains("keep it elsewhere"), "{error}");
    }

    #[test]
    fn a_missing_guard_record_is_none_and_not_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Home::new(dir.path()).guard().unwrap(), None);
    }
}
