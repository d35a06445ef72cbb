//! Moves between two homes: what the key may sign afterwards, which home starts, and what is left when a
//! process ends between any two steps.

use std::cell::Cell;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tandem_chain::genesis::Genesis;
use tandem_chain::types::{Height, Round};
use tandem_consensus::journal::{Durable, Journal, KeyState, Place, Signing};

use super::export::export_until;
use super::import::import_until;
use super::*;
use crate::config::Config;
use crate::driver;
use crate::home::{GuardFile, GuardState, Home, Passphrase, Passphrases, files};
use crate::run::durable;
use crate::storage::{Database, StorageConfig};
use crate::testing;
use tandem_chain::types::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

fn place(height: u64, round: u32, step: Signing) -> Place {
    Place { height: Height(height), round: Round(round), step }
}

/// Two homes and the way between them.
struct Two {
    old: Home,
    new: Home,
    file: PathBuf,
    genesis: Genesis,
    _dir: tempfile::TempDir,
}

impl Two {
    /// The old home has signed a prevote at height 5, round 1.
    fn new() -> Self {
        let two = Self::unused();
        let mut journal = Journal::new(KeyState::Good);
        assert!(journal.guard.admit(place(5, 1, Signing::Prevote)));
        (journal.height, journal.round) = (Height(5), Round(1));
        let db = two.db(&two.old);
        driver::store_journal(&db, &journal).unwrap();
        Two::set(&two.old, GuardState::Used);
        two
    }

    /// The old home has just been made.
    fn unused() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let genesis = testing::genesis();
        let home = |name| Home::new(dir.path().join(name));
        let (old, new) = (home("old"), home("new"));
        old.init(&Config::default(), &testing::validator(0), None).unwrap();
        std::fs::write(old.genesis_path(), genesis.to_json()).unwrap();
        Self { old, new, file: dir.path().join("key"), genesis, _dir: dir }
    }

    fn set(home: &Home, state: GuardState) {
        let public_key = testing::validator(0).public();
        GuardFile { public_key, state }.store(&home.guard_path()).unwrap();
    }

    fn db(&self, home: &Home) -> Database {
        let config = StorageConfig::default();
        Database::open(&home.data_path(), self.genesis.hash(), &config).unwrap()
    }

    fn export(&self) -> Result<Exported, MoveError> {
        export(&self.old, &self.file, &Passphrases::none(), false, NOW)
    }

    fn import(&self) -> Result<Imported, MoveError> {
        self.import_into(&self.new)
    }

    fn import_into(&self, home: &Home) -> Result<Imported, MoveError> {
        import(home, &self.file, &Passphrases::none(), &Config::default(), NOW)
    }

    /// What a home's node would start from.
    fn starts(&self, home: &Home) -> Result<Durable, NodeError> {
        home.node_key(&Passphrases::none())?;
        durable(home, &self.db(home), testing::validator(0).public())
    }

    /// Exports until a point, as a process that ends there.
    fn export_cut(&self, end: Point) {
        let sources = (&Passphrases::none(), false);
        cut(end, |at| export_until(&self.old, &self.file, sources, NOW, at).map(drop));
    }

    /// Imports until a point.
    fn import_cut(&self, end: Point) {
        let (sources, config) = (Passphrases::none(), Config::default());
        cut(end, |at| import_until(&self.new, &self.file, &sources, &config, NOW, at).map(drop));
    }
}

/// Runs a move that ends where `end` is reached.
fn cut(end: Point, run: impl FnOnce(At) -> Result<(), MoveError>) {
    let reached = Cell::new(false);
    let ended = run(&mut |point| {
        if point != end {
            return Ok(());
        }
        reached.set(true);
        Err(MoveError::Busy { path: PathBuf::new() })
    });
    assert!(ended.is_err() && reached.get(), "{end:?}");
}

fn is_away(started: Result<Durable, NodeError>) -> bool {
    matches!(started, Err(NodeError::Home(HomeError::Moved { .. })))
}

#[test]
fn the_key_goes_on_above_what_it_has_signed_and_the_old_home_does_not_start() {
    let two = Two::new();
    let before = driver::load_durable(&two.db(&two.old)).unwrap().unwrap().journal;
    let exported = two.export().unwrap();
    assert_eq!(exported.last, Some(place(5, 1, Signing::Prevote)));
    assert!(!exported.is_lost && !exported.is_encrypted);
    assert!(is_away(two.starts(&two.old)));

    let imported = two.import().unwrap();
    assert_eq!((imported.node, imported.last), (exported.node, exported.last));
    let mut journal = two.starts(&two.new).unwrap().journal;
    assert_eq!(journal, before, "votes and lock have come as well");
    for (at_or_below, signs) in [
        (place(4, 9, Signing::Precommit), false),
        (place(5, 0, Signing::Precommit), false),
        (place(5, 1, Signing::Proposal), false),
        (place(5, 1, Signing::Prevote), false),
        (place(5, 1, Signing::Precommit), true),
        (place(6, 0, Signing::Proposal), true),
    ] {
        assert_eq!(journal.guard.admit(at_or_below), signs, "{at_or_below:?}");
    }
    assert!(is_away(two.starts(&two.old)), "and so it stays");
}

#[test]
fn a_home_can_be_made_by_an_import_and_keeps_what_it_has() {
    let two = Two::new();
    two.export().unwrap();
    let mut config = Config::default();
    config.rpc.listen = "127.0.0.1:1".parse().unwrap();
    files::create_dir(&two.new.root().join("config")).unwrap();
    files::write_atomic(&two.new.config_path(), config.to_toml().as_bytes(), 0o644).unwrap();
    two.import().unwrap();
    assert_eq!(Config::load(&two.new.config_path()).unwrap(), config);
    let (genesis, _) = crate::genesis_files::load(&two.new.genesis_path()).unwrap();
    assert_eq!(genesis, two.genesis);
    assert_eq!(two.new.node_public_key().unwrap(), testing::validator(0).public());
}

#[test]
fn a_key_that_has_signed_nothing_or_whose_record_is_lost_is_so_in_its_new_home() {
    let two = Two::unused();
    let exported = two.export().unwrap();
    assert_eq!((exported.last, exported.is_lost), (None, false));
    two.import().unwrap();
    assert_eq!(two.starts(&two.new).unwrap().journal, Journal::new(KeyState::Good));

    for state in [Some(GuardState::Restored), None] {
        let two = Two::new();
        match state {
            Some(state) => Two::set(&two.old, state),
            None => std::fs::remove_file(two.old.guard_path()).unwrap(),
        }
        assert!(two.export().unwrap().is_lost);
        assert!(two.import().unwrap().is_lost);
        assert!(two.starts(&two.new).unwrap().journal.guard.is_lost());
    }
}

/// Wherever the export ends, the old home starts or the file is worth nothing; and the same command finishes it.
#[test]
fn an_export_that_is_cut_off_leaves_one_home_at_most_and_is_finished() {
    for point in [Point::Begun, Point::Leaving, Point::Written] {
        let two = Two::new();
        two.export_cut(point);
        let old = two.starts(&two.old);
        match point {
            Point::Begun => {
                assert!(old.is_ok() && !two.file.exists());
            }
            Point::Leaving => {
                let text = old.unwrap_err().to_string();
                assert!(text.contains("begun") && text.contains("tandem keys export"), "{text}");
                assert!(!two.file.exists());
                // Under another name there could be two files.
                let other = two.file.with_file_name("other");
                let error = export(&two.old, &other, &Passphrases::none(), false, NOW).unwrap_err();
                assert!(matches!(error, MoveError::OtherFile { .. }), "{error}");
                assert!(!other.exists());
            }
            _ => {
                assert!(is_away(old) && two.file.exists());
            }
        }
        let before = std::fs::read(&two.file).ok();
        let exported = two.export().unwrap();
        assert_eq!(exported.last, Some(place(5, 1, Signing::Prevote)));
        if let Some(before) = before {
            assert_eq!(std::fs::read(&two.file).unwrap(), before, "the same file");
        }
        assert!(is_away(two.starts(&two.old)));
        two.import().unwrap();
        assert_eq!(two.starts(&two.new).unwrap().journal.guard.last(), exported.last);
    }
}

/// Wherever the import ends, the new home starts only when no other can take the file.
#[test]
fn an_import_that_is_cut_off_does_not_start_and_is_finished() {
    for point in [Point::Coming, Point::Key, Point::Record, Point::Taken] {
        let two = Two::new();
        let exported = two.export().unwrap();
        two.import_cut(point);
        assert!(is_away(two.starts(&two.new)), "{point:?}");
        assert!(is_away(two.starts(&two.old)), "{point:?}");
        let third = Home::new(two.file.with_file_name("third"));
        if point == Point::Taken {
            let error = two.import_into(&third).unwrap_err();
            assert!(matches!(error, MoveError::Taken { .. }), "{error}");
            assert!(!third.root().exists());
        }
        let imported = two.import().unwrap();
        assert_eq!(imported.last, exported.last, "{point:?}");
        assert_eq!(two.starts(&two.new).unwrap().journal.guard.last(), exported.last);
        assert!(matches!(two.import_into(&third), Err(MoveError::Taken { .. })));
    }
}

/// A home in which an import was cut off, while another one took the file.
#[test]
fn who_comes_second_never_starts() {
    let two = Two::new();
    two.export().unwrap();
    two.import_cut(Point::Record);
    let third = Home::new(two.file.with_file_name("third"));
    two.import_into(&third).unwrap();
    assert!(two.starts(&third).is_ok());
    let error = two.import().unwrap_err();
    assert!(matches!(error, MoveError::Taken { .. }), "{error}");
    assert!(is_away(two.starts(&two.new)));
}

#[test]
fn a_file_is_good_for_one_import_and_a_copy_is_refused_where_the_key_is() {
    let two = Two::new();
    two.export().unwrap();
    let copy = std::fs::read(&two.file).unwrap();
    two.import().unwrap();
    let left = std::fs::read_to_string(&two.file).unwrap();
    let seed = hex::encode_upper(testing::validator(0).seed());
    assert!(String::from_utf8(copy.clone()).unwrap().contains(&seed) && !left.contains(&seed));
    let error = two.import().unwrap_err().to_string();
    assert!(error.contains("was imported into") && error.contains("/new"), "{error}");
    files::write_atomic(&two.file, &copy, 0o600).unwrap();
    assert!(matches!(two.import(), Err(MoveError::HasKey { .. })));
    assert!(two.starts(&two.new).is_ok(), "nothing was changed");
}

#[test]
fn a_key_comes_back_by_a_newer_export_alone() {
    let two = Two::new();
    two.export().unwrap();
    let first = std::fs::read(&two.file).unwrap();
    two.import().unwrap();
    // It signs in its new home, and moves back.
    let db = two.db(&two.new);
    let mut journal = driver::load_durable(&db).unwrap().unwrap().journal;
    assert!(journal.guard.admit(place(9, 0, Signing::Prevote)));
    driver::store_journal(&db, &journal).unwrap();
    drop(db);
    let back = two.file.with_file_name("back");
    export(&two.new, &back, &Passphrases::none(), false, NOW).unwrap();
    let (sources, config) = (Passphrases::none(), Config::default());
    let imported = import(&two.old, &back, &sources, &config, NOW).unwrap();
    assert_eq!(imported.last, Some(place(9, 0, Signing::Prevote)));
    assert!(two.starts(&two.old).is_ok() && is_away(two.starts(&two.new)));
    // A copy of the first file is of a time before that.
    files::write_atomic(&two.file, &first, 0o600).unwrap();
    let error = two.import().unwrap_err();
    assert!(matches!(error, MoveError::Older { .. }), "{error}");
    assert!(is_away(two.starts(&two.new)));
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let two = Two::new();
    two.export().unwrap();
    let good = std::fs::read_to_string(&two.file).unwrap();
    let value: serde_json::Value = serde_json::from_str(&good).unwrap();
    let journal = value["record"]["journal"].as_str().unwrap();
    let of = |height| {
        let mut journal = Journal::new(KeyState::Good);
        assert!(journal.guard.admit(place(height, 0, Signing::Prevote)));
        STANDARD.encode(tandem_chain::codec::encode(&journal))
    };
    for (old, new, word) in [
        (journal, of(4).as_str(), "its signature is not the key's"),
        (journal, "????", "its journal is no base64"),
        ("\"tandem_key_export\": 1", "\"tandem_key_export\": 2", "of format 2"),
        ("\"chain_id\": \"testing\"", "\"chain_id\": \"other\"", "its genesis"),
        ("\"failover_blocks\":", "\"failover_bloks\":", "its genesis"),
        ("\"signature\": \"", "\"signature\": \"0", "no export of a key"),
        ("\"2027-01-15T08:00:00Z\"", "\"2027-01-15T08:00:01Z\"", "its signature is not the key's"),
        ("\"2027-01-15T08:00:00Z\"", "\"yesterday\"", "yesterday"),
    ] {
        let bad = good.replacen(old, new, if old.contains("chain_id") { 2 } else { 1 });
        assert_ne!(bad, good, "{old}");
        files::write_atomic(&two.file, bad.as_bytes(), 0o600).unwrap();
        let error = two.import().unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("/key"), "{word}: {error}");
        assert!(!two.new.root().exists(), "{word}");
    }
    for text in ["", "{}", "[1]", "{\"tandem_key_export\": 1}"] {
        files::write_atomic(&two.file, text.as_bytes(), 0o600).unwrap();
        let error = two.import().unwrap_err().to_string();
        assert!(error.contains("no export of a key"), "{text}: {error}");
    }
    std::fs::remove_file(&two.file).unwrap();
    assert!(two.import().unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn another_nodes_home_chain_or_key_is_left_alone() {
    let two = Two::new();
    two.export().unwrap();
    two.new.init(&Config::default(), &testing::key(77), None).unwrap();
    assert!(matches!(two.import(), Err(MoveError::OtherKey { .. })));
    assert_eq!(two.new.node_public_key().unwrap(), testing::key(77).public());

    let third = Home::new(two.file.with_file_name("third"));
    files::create_dir(&third.root().join("config")).unwrap();
    let mut genesis = two.genesis.clone();
    genesis.chain_id = "another".parse().unwrap();
    std::fs::write(third.genesis_path(), genesis.to_json()).unwrap();
    assert!(matches!(two.import_into(&third), Err(MoveError::OtherGenesis { .. })));
    assert!(!third.node_key_path().exists() && !third.guard_path().exists());
    assert!(two.import_into(&Home::new(two.file.with_file_name("fourth"))).is_ok());
}

#[test]
fn a_running_node_and_a_place_that_cannot_be_written_are_told_before_anything_is_marked() {
    let two = Two::new();
    let running = two.db(&two.old);
    assert!(matches!(two.export(), Err(MoveError::Storage(storage::Error::InUse { .. }))));
    drop(running);
    let nowhere = two.file.with_file_name("none").join("key");
    let error = export(&two.old, &nowhere, &Passphrases::none(), false, NOW).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    std::fs::write(&two.file, "something else").unwrap();
    assert!(matches!(two.export(), Err(MoveError::Home(HomeError::Exists { .. }))));
    assert!(two.starts(&two.old).is_ok());
    assert_eq!(std::fs::read_to_string(&two.file).unwrap(), "something else");
}

#[test]
fn an_encrypted_key_moves_by_its_passphrase_and_a_plain_one_can_be_encrypted_for_the_way() {
    let given = |text: &str| Passphrases::given(Passphrase::new(text).unwrap());
    let two = Two::new();
    let exported = export(&two.old, &two.file, &given("correct horse"), true, NOW).unwrap();
    assert!(exported.is_encrypted);
    let text = std::fs::read_to_string(&two.file).unwrap();
    assert!(!text.contains(&hex::encode_upper(testing::validator(0).seed())));
    let config = Config::default();
    for wrong in [Passphrases::none(), given("another one")] {
        let error = import(&two.new, &two.file, &wrong, &config, NOW).unwrap_err();
        assert!(matches!(error, MoveError::Home(HomeError::Locked { .. })), "{error}");
        assert!(!two.new.root().exists());
    }
    import(&two.new, &two.file, &given("correct horse"), &config, NOW).unwrap();
    assert!(two.new.node_key(&Passphrases::none()).is_err());
    assert!(two.new.node_key(&given("correct horse")).is_ok());
}

/// What else could bring the key of a home to life that it has left.
#[test]
fn a_restore_does_not_take_the_mark_away() {
    let two = Two::new();
    let db = two.db(&two.old);
    db.initialise(&tandem_chain::ledger::Ledger::<Database>::genesis(&two.genesis)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let storage = StorageConfig::default();
    let backup = |db: &Database, with_key, name| {
        let order = crate::backup::Order {
            home: &two.old,
            db,
            storage: &storage,
            genesis: &two.genesis,
            node: testing::validator(0).public(),
            time: NOW,
            dir: dir.path(),
            name,
            with_key,
        };
        crate::backup::create(&order, &false.into())
    };
    backup(&db, false, "before").unwrap();
    drop(db);
    two.export().unwrap();
    let restored = crate::backup::restore(&two.old, &dir.path().join("before"), true);
    let away = |error| matches!(error, BackupError::Home(HomeError::Moved { .. }));
    assert!(away(restored.unwrap_err()));
    assert!(away(backup(&two.db(&two.old), true, "after").unwrap_err()));
    assert!(is_away(two.starts(&two.old)));
}
