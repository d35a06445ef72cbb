//! Steps 4 to 7: the key comes to its new home.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::{Timestamp, escaped};
use tandem_consensus::journal::{Durable, Place};

use super::file::{self, Content, ExportFile, Taken, TakenFile};
use super::{At, MoveError, Point};
use crate::backup;
use crate::config::Config;
use crate::driver;
use crate::genesis_files;
use crate::home::{GuardFile, GuardState, Home, HomeError, KeyArrival, MoveId, Passphrases, files};
use crate::storage::Database;

/// A key that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// It.
    pub node: PublicKey,
    /// The highest place that it has signed elsewhere, at and below which it signs nothing; none when it has
    /// signed nothing, or its record is lost.
    pub last: Option<Place>,
    /// Whether its record is lost: then the node asks the others before it signs.
    pub is_lost: bool,
}

/// Moves the key in a file that [`super::export`] wrote into a home, and marks the file as used. What the home
/// lacks is made: its configuration, which is `config`, and the genesis. An import that was interrupted is
/// finished by the same call.
///
/// # Errors
/// [`MoveError`]; the home's node does not start unless all is done.
pub fn import(
    home: &Home,
    path: &Path,
    passphrases: &Passphrases,
    config: &Config,
    now: Timestamp,
) -> Result<Imported, MoveError> {
    import_until(home, path, passphrases, config, now, &mut |_| Ok(()))
}

pub(super) fn import_until(
    home: &Home,
    path: &Path,
    passphrases: &Passphrases,
    config: &Config,
    now: Timestamp,
    at: At,
) -> Result<Imported, MoveError> {
    let _alone = alone(path)?;
    let file = match file::load(path)? {
        Content::Key(file) => file,
        Content::Taken(taken) => return finish(home, path, taken),
    };
    let wrong = |reason: String| HomeError::Content { path: path.to_owned(), reason };
    let (genesis, durable) = file.check().map_err(wrong)?;
    let me = file.key.open(path, passphrases)?.public();
    let claim = claim(home, me, &file)?;
    if home.genesis_path().exists() {
        let expected = genesis_files::load(&home.genesis_path())?.0.hash();
        if expected != file.genesis_hash {
            return Err(MoveError::OtherGenesis { expected, got: file.genesis_hash });
        }
    }
    // That the file can be marked is known before anything is written.
    files::probe(path)?;
    for folder in [home.root().join("config"), home.data_path()] {
        files::create_dir(&folder)?;
    }
    if !home.config_path().exists() {
        files::write_atomic(&home.config_path(), config.to_toml().as_bytes(), 0o644)?;
    }
    let storage = home.storage(&Config::load(&home.config_path())?)?;
    backup::finish(home)?;
    let db = Database::open_to_restore(&home.data_path(), file.genesis_hash, &storage)?;
    if home.node_key_path().exists()
        && let Some(own) = driver::load_durable(&db)?
        && own.journal.guard.last() > durable.journal.guard.last()
    {
        return Err(MoveError::Older { path: path.to_owned() });
    }
    let arrival = KeyArrival { id: file.id, claim };
    GuardFile { public_key: me, state: GuardState::Coming(arrival) }.store(&home.guard_path())?;
    at(Point::Coming)?;
    if !home.genesis_path().exists() {
        files::write_atomic(&home.genesis_path(), genesis.to_json().as_bytes(), 0o644)?;
    }
    if !home.node_key_path().exists() {
        file.key.create(&home.node_key_path())?;
    }
    at(Point::Key)?;
    db.forget_signing()?;
    driver::store_durable(&db, &durable)?;
    at(Point::Record)?;
    let root = std::path::absolute(home.root()).map_err(files::io_error("find", home.root()))?;
    let taken = Taken { claim, home: root.display().to_string(), time: now.to_rfc3339() };
    files::write_atomic(path, file.taken(taken).to_json().as_bytes(), 0o600)?;
    at(Point::Taken)?;
    GuardFile { public_key: me, state: GuardState::Used }.store(&home.guard_path())?;
    Ok(imported(me, &durable))
}

fn imported(node: PublicKey, durable: &Durable) -> Imported {
    let guard = &durable.journal.guard;
    Imported { node, last: guard.last(), is_lost: guard.is_lost() }
}

/// Keeps other imports away from a file, until it is dropped.
fn alone(path: &Path) -> Result<File, MoveError> {
    let hint = "it is the file that `tandem keys export` wrote";
    let lock = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => HomeError::Missing { path: path.to_owned(), hint },
        _ => files::io_error("open", path)(error),
    })?;
    let busy = || MoveError::Busy { path: path.to_owned() };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| busy())?;
    // Whoever was there before may have put another file in its place.
    let inode =
        |meta: std::io::Result<std::fs::Metadata>| meta.map(|meta| (meta.dev(), meta.ino()));
    match (inode(lock.metadata()), inode(std::fs::metadata(path))) {
        (Ok(locked), Ok(there)) if locked == there => Ok(lock),
        _ => Err(busy()),
    }
}

/// Whether the home may take the key; the name of the import, which an interrupted one has had before.
fn claim(home: &Home, me: PublicKey, file: &ExportFile) -> Result<MoveId, MoveError> {
    let key_path = home.node_key_path();
    let has_key = key_path.exists();
    if has_key && home.node_public_key()? != me {
        return Err(MoveError::OtherKey { path: key_path });
    }
    let guard = home.guard()?.filter(|guard| guard.public_key == me);
    match guard.map(|guard| guard.state) {
        Some(GuardState::Coming(arrival)) if arrival.id == file.id => Ok(arrival.claim),
        // It comes back.
        Some(GuardState::Moved(_)) => Ok(MoveId::random()),
        None if !has_key => Ok(MoveId::random()),
        Some(state @ (GuardState::Leaving(_) | GuardState::Coming(_))) => {
            Err(state.away(&home.guard_path()).expect("the key is on its way").into())
        }
        _ => Err(MoveError::HasKey { path: key_path }),
    }
}

/// Finishes an import of this home's that was interrupted behind step 6; any other has taken the file.
fn finish(home: &Home, path: &Path, file: TakenFile) -> Result<Imported, MoveError> {
    let TakenFile { id, public_key, taken, .. } = file;
    let arrival = KeyArrival { id, claim: taken.claim };
    let expected = GuardFile { public_key, state: GuardState::Coming(arrival) };
    if home.guard()? != Some(expected) {
        let (path, into, time) = (path.to_owned(), escaped(&taken.home), escaped(&taken.time));
        return Err(MoveError::Taken { path, into, time });
    }
    let config = Config::load(&home.config_path())?;
    let genesis = genesis_files::load(&home.genesis_path())?.0.hash();
    let db = Database::open_to_restore(&home.data_path(), genesis, &home.storage(&config)?)?;
    let durable = driver::load_durable(&db)?.ok_or_else(|| tandem_chain::Error::Damaged {
        what: "journal",
        reason: "it is missing".to_owned(),
    })?;
    let state = GuardState::Used;
    GuardFile { public_key, state }.store(&home.guard_path())?;
    Ok(imported(public_key, &durable))
}
