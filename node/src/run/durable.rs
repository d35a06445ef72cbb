//! What the replica starts from.

use tandem_chain::keys::PublicKey;
use tandem_consensus::journal::{Durable, Journal, KeyState, VoteGuard};
use tracing::warn;

use super::NodeError;
use crate::driver;
use crate::home::{GuardFile, GuardState, Home};
use crate::storage::Database;

/// What the replica starts from, and the key's state by the guard file beside it.
///
/// The file says `new` until the first journal is durable, and `used` from then on: an empty
/// database with a used key is a lost key, never a new one.
pub(crate) fn durable(home: &Home, db: &Database, me: PublicKey) -> Result<Durable, NodeError> {
    let path = home.guard_path();
    let guard = home.guard()?;
    if let Some(other) = guard.as_ref().filter(|guard| guard.public_key != me) {
        let (path, got) = (path.display().to_string(), other.public_key);
        return Err(NodeError::GuardKey { path, expected: me, got });
    }
    let state = guard.map(|guard| guard.state);
    // It may have left while the database was opened.
    if let Some(away) = state.as_ref().and_then(|state| state.away(&path)) {
        return Err(away.into());
    }
    let mut durable = match (driver::load_durable(db)?, &state) {
        (Some(durable), Some(GuardState::New | GuardState::Used)) => durable,
        (Some(durable), _) => {
            let journal = Journal { guard: VoteGuard::new(KeyState::Lost), ..durable.journal };
            Durable { journal, ..durable }
        }
        (None, Some(GuardState::New)) => Durable::new(KeyState::Good),
        (None, _) => Durable::new(KeyState::Lost),
    };
    if durable.journal.guard.is_lost() {
        // Votes and lock of a record that is not whole are no basis to go on from.
        durable = Durable::new(KeyState::Lost);
        warn!(
            "the key's signing record is lost: the node signs nothing until the others have told \
             how far the chain is"
        );
    }
    driver::store_journal(db, &durable.journal)?;
    if state != Some(GuardState::Used) {
        GuardFile { public_key: me, state: GuardState::Used }.store(&path)?;
    }
    Ok(durable)
}

#[cfg(test)]
mod tests {
    use tandem_chain::types::{Hash, Height, Round};
    use tandem_consensus::journal::{Place, Signing};

    use super::*;
    use crate::run::wall_clock;
    use crate::storage::StorageConfig;
    use crate::testing::key;

    /// The files that the key's state stands in.
    struct Files {
        home: Home,
        db: Database,
        _dir: tempfile::TempDir,
    }

    impl Files {
        fn new(guard: Option<GuardFile>, journal: Option<&Journal>) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = Home::new(dir.path());
            std::fs::create_dir(dir.path().join("config")).unwrap();
            let config = StorageConfig::default();
            let db = Database::open(&home.data_path(), Hash([7; 32]), &config).unwrap();
            if let Some(guard) = guard {
                guard.store(&home.guard_path()).unwrap();
            }
            if let Some(journal) = journal {
                driver::store_journal(&db, journal).unwrap();
            }
            Self { home, db, _dir: dir }
        }

        fn durable(&self) -> Result<Durable, NodeError> {
            durable(&self.home, &self.db, key(1).public())
        }

        fn stored(&self) -> Option<Journal> {
            driver::load_durable(&self.db).unwrap().map(|durable| durable.journal)
        }
    }

    /// The journal of a key that has signed at height 5, when its record was in this state.
    fn journal(state: KeyState) -> Journal {
        let mut guard = VoteGuard::new(KeyState::Good);
        assert!(guard.admit(Place { height: Height(5), round: Round(1), step: Signing::Prevote }));
        match state {
            KeyState::Good => Journal { guard, height: Height(5), ..Journal::new(state) },
            KeyState::Lost => Journal { height: Height(5), ..Journal::new(state) },
        }
    }

    #[test]
    fn the_keys_state_is_that_of_journal_and_guard_file_together() {
        let signed = journal(KeyState::Good);
        let lost = journal(KeyState::Lost);
        let (new, anew) = (Journal::new(KeyState::Good), Journal::new(KeyState::Lost));
        let cases = [
            ("just made", None, Some(GuardState::New), &new),
            ("its database is gone", None, Some(GuardState::Used), &anew),
            ("restored, with an empty database", None, Some(GuardState::Restored), &anew),
            ("neither is there", None, None, &anew),
            (
                "a crash before the guard file was marked",
                Some(&signed),
                Some(GuardState::New),
                &signed,
            ),
            ("in use", Some(&signed), Some(GuardState::Used), &signed),
            ("restored from a backup", Some(&signed), Some(GuardState::Restored), &anew),
            ("its guard file is gone", Some(&signed), None, &anew),
            ("lost, and a crash before the mark", Some(&lost), Some(GuardState::New), &anew),
            ("lost already", Some(&lost), Some(GuardState::Used), &anew),
            ("lost, then restored", Some(&lost), Some(GuardState::Restored), &anew),
            ("lost, and its guard file is gone", Some(&lost), None, &anew),
        ];
        let public_key = key(1).public();
        for (name, journal, state, expected) in cases {
            let guard = state.map(|state| GuardFile { public_key, state });
            let files = Files::new(guard, journal);
            // The second start finds what the first left, and changes nothing.
            for start in ["first", "second"] {
                let durable = files.durable().unwrap();
                assert_eq!(durable.journal, *expected, "{name}, {start} start");
                assert_eq!(files.stored().as_ref(), Some(expected), "{name}: it is durable");
                let used = GuardFile { public_key, state: GuardState::Used };
                assert_eq!(files.home.guard().unwrap(), Some(used), "{name}");
            }
        }
    }

    /// Somebody puts the files of a backup back by hand, beside a guard file that says nothing of it.
    #[test]
    fn the_key_is_lost_with_a_backup_however_that_came_back() {
        let mut chain = crate::testing::Chain::new();
        chain.commit(Vec::new());
        driver::store_journal(&chain.db, &journal(KeyState::Good)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let node = key(1).public();
        let order = crate::backup::Order {
            home: &chain.home,
            db: &chain.db,
            storage: &StorageConfig::default(),
            genesis: &chain.genesis,
            node,
            time: wall_clock(),
            dir: dir.path(),
            name: "monday",
            with_key: false,
        };
        crate::backup::create(&order, &false.into()).unwrap();
        let guard = GuardFile { public_key: node, state: GuardState::Used };
        let mut files = Files::new(Some(guard), None);
        let data = dir.path().join("monday/data");
        files.db = Database::open(&data, chain.genesis.hash(), &StorageConfig::default()).unwrap();
        assert_eq!(files.db.height(), Height(1));
        assert!(files.durable().unwrap().journal.guard.is_lost());
    }

    #[test]
    fn the_guard_file_of_another_key_is_refused_by_name_and_nothing_is_changed() {
        let signed = journal(KeyState::Good);
        for state in [GuardState::New, GuardState::Used, GuardState::Restored] {
            for journal in [None, Some(&signed)] {
                let other = GuardFile { public_key: key(2).public(), state: state.clone() };
                let files = Files::new(Some(other.clone()), journal);
                let text = files.durable().unwrap_err().to_string();
                let path = files.home.guard_path().display().to_string();
                for part in [path, key(1).public().to_string(), key(2).public().to_string()] {
                    assert!(text.contains(&part), "{text}");
                }
                assert_eq!(files.home.guard().unwrap(), Some(other));
                assert_eq!(files.stored().as_ref(), journal);
            }
        }
    }
}
