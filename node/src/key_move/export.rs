//! Steps 1 to 3: the key leaves its home.

use std::path::{Path, PathBuf};

use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;
use tandem_consensus::journal::{Durable, KeyState, Place};

use super::file::{self, Content, ExportFile};
use super::{At, MoveError, Point};
use crate::backup;
use crate::config::Config;
use crate::driver;
use crate::home::{
    GuardFile, GuardState, Home, HomeError, KeyFile, KeyMove, MoveId, Passphrases, files,
};
use crate::run::{durable, load_genesis};
use crate::storage::Database;

/// A key that has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// It.
    pub node: PublicKey,
    /// The file that it is in now.
    pub file: PathBuf,
    /// The highest place that it has signed; none when it has signed nothing, or its record is lost.
    pub last: Option<Place>,
    /// Whether its record is lost: then the new home asks the others, as the old one would have.
    pub is_lost: bool,
    /// Whether it is encrypted in the file.
    pub is_encrypted: bool,
}

/// Moves the key of a home, whose node does not run, into a file that does not exist: from then on the home
/// refuses to start. An export that was interrupted is finished by the same call. With `encrypt`, a key that
/// is plain in the home is encrypted in the file.
///
/// # Errors
/// [`MoveError`]; nothing has changed unless the home's guard file says that the key is leaving.
pub fn export(
    home: &Home,
    file: &Path,
    passphrases: &Passphrases,
    encrypt: bool,
    now: Timestamp,
) -> Result<Exported, MoveError> {
    export_until(home, file, (passphrases, encrypt), now, &mut |_| Ok(()))
}

pub(super) fn export_until(
    home: &Home,
    file: &Path,
    (passphrases, encrypt): (&Passphrases, bool),
    now: Timestamp,
    at: At,
) -> Result<Exported, MoveError> {
    let path = std::path::absolute(file).map_err(files::io_error("find", file))?;
    let config = Config::load(&home.config_path())?;
    let (genesis, _) = load_genesis(home, None)?;
    let storage = home.storage(&config)?;
    let key_path = home.node_key_path();
    let own = KeyFile::read(&key_path)?;
    let key = own.open(&key_path, passphrases)?;
    let me = key.public();
    let in_file = if encrypt && !own.is_encrypted() {
        KeyFile::made(&path, &key, Some(&passphrases.for_new(&path)?))?
    } else {
        own
    };
    let is_encrypted = in_file.is_encrypted();
    backup::finish(home)?;
    // Nobody starts the node meanwhile.
    let db = Database::open_to_restore(&home.data_path(), genesis.hash(), &storage)?;
    let (durable, mark) = if let Some(GuardState::Leaving(begun)) = home.guard()?.map(|g| g.state) {
        if begun.file != path {
            return Err(MoveError::OtherFile { begun: begun.file });
        }
        // What its record was is in the database; without that it is lost.
        let durable = driver::load_durable(&db)?;
        (durable.unwrap_or_else(|| Durable::new(KeyState::Lost)), begun)
    } else {
        home.check_key_is_here()?;
        if path.exists() {
            let hint = "choose another name, or move it away";
            return Err(HomeError::Exists { path, hint }.into());
        }
        files::probe(&path)?;
        // As at a start; a key that has moved, or is on its way, is refused.
        let durable = durable(home, &db, me)?;
        at(Point::Begun)?;
        let mark = KeyMove { id: MoveId::random(), file: path.clone(), time: now.to_rfc3339() };
        let state = GuardState::Leaving(mark.clone());
        GuardFile { public_key: me, state }.store(&home.guard_path())?;
        (durable, mark)
    };
    at(Point::Leaving)?;
    let exported = Exported {
        node: me,
        file: path.clone(),
        last: durable.journal.guard.last(),
        is_lost: durable.journal.guard.is_lost(),
        is_encrypted,
    };
    if path.exists() {
        // By the attempt that was interrupted; it is whole, or not there.
        match file::load(&path)? {
            Content::Key(found) if found.id == mark.id => {
                found.check().map_err(|reason| HomeError::Content { path, reason })?;
            }
            _ => {
                let hint = "it is not the export that was begun: move it away";
                return Err(HomeError::Exists { path, hint }.into());
            }
        }
    } else {
        let content = ExportFile::new(mark.id, now, (&key, in_file), &genesis, &durable);
        files::create_atomic(&path, content.to_json().as_bytes(), 0o600)?;
    }
    at(Point::Written)?;
    GuardFile { public_key: me, state: GuardState::Moved(mark) }.store(&home.guard_path())?;
    Ok(exported)
}
