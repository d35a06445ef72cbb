use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use tandem_chain::store::{Column, Store};
use tandem_chain::types::{Height, Timestamp};

use super::*;
use crate::config::Config;
use crate::home::{GuardFile, GuardState, Home, StorageKey};
use crate::storage::{Database, StorageConfig};
use crate::testing::{self, Chain};

const NAME: &str = "monday";

/// A chain of a few blocks, and a folder for its backups.
struct Setting {
    chain: Chain,
    dir: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        let mut chain = Chain::new();
        chain.commit(vec![chain.create(1)]);
        for height in 2..6 {
            let txs = (0..5).map(|n| chain.put(height * 10 + n, &format!("k{n}"), b"value"));
            let txs = txs.collect();
            chain.commit(txs);
        }
        chain.db.persist(&[("journal", b"what was signed".to_vec())]).unwrap();
        Self { chain, dir: tempfile::tempdir().unwrap() }
    }

    fn backups(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    fn folder(&self) -> PathBuf {
        self.backups().join(NAME)
    }

    fn create(&self, name: &str, with_key: bool) -> Result<Manifest, BackupError> {
        self.create_until(name, with_key, &AtomicBool::new(false))
    }

    fn create_until(
        &self,
        name: &str,
        with_key: bool,
        stop: &AtomicBool,
    ) -> Result<Manifest, BackupError> {
        let order = Order {
            home: &self.chain.home,
            db: &self.chain.db,
            storage: &StorageConfig::default(),
            genesis: &self.chain.genesis,
            node: testing::validator(0).public(),
            time: Timestamp::from_millis(1_800_000_000_000),
            dir: &self.backups(),
            name,
            with_key,
        };
        create(&order, stop)
    }

    /// A home for the same node on another machine.
    fn other_home(&self) -> Home {
        let home = Home::new(self.dir.path().join("other"));
        home.init(&Config::default(), &testing::validator(0), None).unwrap();
        home
    }

    /// All that the chain's database answers is what that of `home` does.
    fn is_in(&self, home: &Home) {
        let genesis = self.chain.genesis.hash();
        let db = Database::open(&home.data_path(), genesis, &StorageConfig::default()).unwrap();
        let own = &self.chain.db;
        assert_eq!(db.height(), own.height());
        for height in (1..=own.height().0 + 1).map(Height) {
            assert_eq!(db.block(height), own.block(height));
            assert_eq!(db.results(height), own.results(height));
        }
        for column in [Column::State, Column::Tree] {
            let all = |db: &Database| db.scan(column, b"", None, usize::MAX).unwrap();
            assert_eq!(all(&db), all(own));
        }
        // What has been signed since would be missing.
        assert_eq!(db.load("journal"), Ok(None));
        assert_eq!(own.load("journal"), Ok(Some(b"what was signed".to_vec())));
    }
}

/// Every file below a folder with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files.extend(tree(&entry.path()));
        } else {
            files.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn guard_state(home: &Home) -> Option<GuardState> {
    home.guard().unwrap().map(|guard| guard.state)
}

#[test]
fn what_is_backed_up_is_restored_and_the_key_is_marked() {
    let setting = Setting::new();
    let manifest = setting.create(NAME, false).unwrap();
    assert_eq!(manifest, Manifest::load(&setting.folder()).unwrap());
    assert_eq!(manifest.height, Height(5));
    assert_eq!((manifest.encrypted, manifest.with_key), (false, false));
    assert_eq!(manifest.time, "2027-01-15T08:00:00Z");
    assert!(!setting.folder().join("config/node_key.json").exists());
    assert!(!setting.folder().join("config/guard.json").exists());
    let left = |folder: &Path| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(left(&setting.backups()), [NAME], "nothing else stays");
    let data = left(&setting.chain.home.data_path());
    assert!(!data.iter().any(|name| name.starts_with("checkpoint")), "{data:?}");

    let home = setting.other_home();
    let restored = restore(&home, &setting.folder(), false).unwrap();
    assert_eq!(restored, Restored { manifest, node: testing::validator(0).public() });
    assert_eq!(guard_state(&home), Some(GuardState::Restored));
    setting.is_in(&home);
    let mut left = left(home.root());
    left.sort();
    assert_eq!(left, ["config", "data"]);
}

#[test]
fn a_backup_with_the_key_makes_a_whole_home() {
    let setting = Setting::new();
    setting.create(NAME, true).unwrap();
    let home = Home::new(setting.dir.path().join("new"));
    restore(&home, &setting.folder(), false).unwrap();
    assert_eq!(home.node_public_key().unwrap(), testing::validator(0).public());
    assert_eq!(guard_state(&home), Some(GuardState::Restored));
    assert_eq!(Config::load(&home.config_path()).unwrap(), Config::default());
    setting.is_in(&home);

    let without = Setting::new();
    without.create(NAME, false).unwrap();
    let home = Home::new(without.dir.path().join("new"));
    let error = restore(&home, &without.folder(), false).unwrap_err();
    assert!(matches!(error, BackupError::NoKey { .. }), "{error}");
}

#[test]
fn a_database_is_replaced_only_when_that_is_asked_for() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    let home = setting.other_home();
    restore(&home, &setting.folder(), false).unwrap();
    let guard = GuardFile { public_key: testing::validator(0).public(), state: GuardState::Used };
    guard.store(&home.guard_path()).unwrap();
    let before = tree(home.root());
    let error = restore(&home, &setting.folder(), false).unwrap_err();
    assert!(error.to_string().contains("--replace"), "{error}");
    assert_eq!(tree(home.root()), before);
    restore(&home, &setting.folder(), true).unwrap();
    assert_eq!(guard_state(&home), Some(GuardState::Restored));
    setting.is_in(&home);
}

#[test]
fn names_that_lead_elsewhere_and_names_that_are_taken_are_refused() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    assert!(matches!(setting.create(NAME, false), Err(BackupError::Exists { .. })));
    for name in ["", ".", "..", ".x", "a/b", "/a", "a\\b", "a b", "\u{1b}[31m", &"a".repeat(65)] {
        assert!(matches!(setting.create(name, false), Err(BackupError::Name { .. })), "{name}");
    }
    check_name("2026-11-26_a.b").unwrap();
}

#[test]
fn a_backup_that_is_given_up_leaves_nothing_and_is_made_anew() {
    let setting = Setting::new();
    let error = setting.create_until(NAME, false, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, BackupError::Stopped));
    assert_eq!(fs::read_dir(setting.backups()).unwrap().count(), 0);
    // What a process that was killed leaves is in nobody's way.
    let partial = format!(".{}.partial", testing::validator(0).public());
    let left = [
        setting.backups().join(partial),
        setting.chain.home.data_path().join("checkpoint"),
        setting.chain.home.data_path().join("checkpoint.tmp"),
    ];
    for folder in &left {
        fs::create_dir_all(folder.join("data")).unwrap();
        fs::write(folder.join("data/000009.sst"), b"half").unwrap();
    }
    setting.create(NAME, false).unwrap();
    assert!(left.iter().all(|folder| !folder.exists()));
    restore(&setting.other_home(), &setting.folder(), false).unwrap();
}

/// Places at which each file of a backup is damaged.
const PLACES: usize = 4;

/// Whatever is missing from a backup, or is another byte in it: it is refused, and the home is what
/// it was.
#[test]
fn a_backup_that_is_not_whole_or_damaged_changes_nothing() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    let home = setting.other_home();
    let before = tree(&home.root().join("config"));
    let folder = setting.folder();
    let files: Vec<PathBuf> = tree(&folder).into_keys().collect();
    assert!(files.len() > 6, "{files:?}");
    for file in files {
        let good = fs::read(&file).unwrap();
        // A log may have nothing in it: then one that has is as bad.
        let some = if good.is_empty() { vec![0] } else { good.clone() };
        let flipped = (0..PLACES).map(|i| {
            let mut flipped = some.clone();
            flipped[i * (some.len() - 1) / (PLACES - 1)] ^= 1 << (i % 8);
            Some(flipped)
        });
        let cut = good.split_last().map(|(_, cut)| cut.to_vec());
        for bad in [None].into_iter().chain(flipped).chain(cut.map(Some)) {
            match &bad {
                None => fs::remove_file(&file).unwrap(),
                Some(bad) => fs::write(&file, bad).unwrap(),
            }
            let restored = restore(&home, &folder, false);
            // One bit of backup.json's own text may change nothing that counts, such as the time.
            let harmless = file.ends_with(BACKUP_FILE) && bad.is_some();
            if !harmless {
                let error = restored.unwrap_err().to_string();
                let name = file.file_name().unwrap().to_str().unwrap();
                assert!(error.contains(folder.to_str().unwrap()), "{name}: {error}");
                assert!(error.contains(name), "{name}: {error}");
                assert_eq!(tree(&home.root().join("config")), before, "{}", file.display());
                assert!(!home.data_path().join("CURRENT").exists());
            } else if restored.is_ok() {
                fs::remove_dir_all(home.root()).unwrap();
                setting.other_home();
            }
            fs::write(&file, &good).unwrap();
        }
    }
    // The file that is written last is missing where a backup was interrupted.
    let error = restore(&home, &setting.backups(), false).unwrap_err().to_string();
    assert!(error.contains("was not completed") && error.contains(BACKUP_FILE), "{error}");
}

#[test]
fn backup_json_names_nothing_outside_its_folder() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    let home = setting.other_home();
    let path = setting.folder().join(BACKUP_FILE);
    let good = fs::read_to_string(&path).unwrap();
    for (old, new, word) in [
        ("data/CURRENT", "data/../CURRENT", "no file of a backup"),
        ("data/CURRENT", "/etc/passwd", "no file of a backup"),
        ("data/CURRENT", "data/a/b", "no file of a backup"),
        ("data/CURRENT", "data/.x", "no file of a backup"),
        ("data/CURRENT", "data/LOCK", "no file of a backup"),
        ("data/CURRENT", "data/LOG.old.1", "no file of a backup"),
        ("data/CURRENT", "data/synced", "no file of a backup"),
        ("data/CURRENT", "data/restoring", "no file of a backup"),
        ("data/CURRENT", "data/checkpoint", "no file of a backup"),
        ("data/CURRENT", "config/guard.json", "no file of a backup"),
        ("data/CURRENT", "data/OTHER", "data/CURRENT is not in it"),
        ("config/config.toml", "config/genesis.json", "twice"),
        ("\"format\": 1", "\"format\": 2", "format 2"),
        ("\"with_key\": false", "\"with_key\": true", "node_key.json"),
        ("\"format\"", "\"fromat\"", "cannot be read"),
        ("2027-01-15T08", "\\u001b[31m", "no time"),
    ] {
        let bad = good.replace(old, new);
        assert_ne!(bad, good);
        fs::write(&path, bad).unwrap();
        let error = restore(&home, &setting.folder(), false).unwrap_err();
        assert!(matches!(error, BackupError::Incomplete { .. }), "{error}");
        assert!(error.to_string().contains(word), "{new}: {error}");
    }
}

/// However much a file of a backup has to give, no more is taken than `backup.json` says.
#[test]
fn what_is_no_file_or_without_end_is_refused() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    let home = setting.other_home();
    let file = setting.folder().join("config/genesis.json");
    let good = fs::read(&file).unwrap();
    for (bad, word) in [("/dev/zero", "it is no file"), ("longer", "more than")] {
        fs::remove_file(&file).unwrap();
        if bad == "longer" {
            fs::write(&file, [good.clone(), vec![b' '; 3 << 20]].concat()).unwrap();
        } else {
            std::os::unix::fs::symlink(bad, &file).unwrap();
        }
        let error = restore(&home, &setting.folder(), false).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert!(!home.data_path().join("CURRENT").exists());
        assert!(!home.data_path().join("restoring").exists());
    }
}

/// A database that does not open is not thrown away unasked.
#[test]
fn what_is_left_of_a_database_is_one() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    let home = setting.other_home();
    fs::write(home.data_path().join("000012.sst"), b"the last copy").unwrap();
    let error = restore(&home, &setting.folder(), false).unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    restore(&home, &setting.folder(), true).unwrap();
    setting.is_in(&home);
}

#[test]
fn a_backup_of_another_chain_is_refused() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    let home = setting.other_home();
    let mut genesis = testing::genesis();
    genesis.chain_id = "another".parse().unwrap();
    fs::write(home.genesis_path(), genesis.to_json()).unwrap();
    let error = restore(&home, &setting.folder(), false).unwrap_err();
    assert!(matches!(error, BackupError::OtherGenesis { .. }), "{error}");
    assert!(!home.data_path().join("CURRENT").exists());
}

/// A restore that is cut off between any two of its steps is begun again or ended by the next
/// start, and never is there a key that seems not to have signed.
#[test]
fn an_interrupted_restore_is_finished_or_begun_again() {
    let setting = Setting::new();
    setting.create(NAME, false).unwrap();
    let files: Vec<_> = tree(&setting.folder().join("data")).into_iter().collect();
    let (some, others) = files.split_at(files.len() / 2);
    let put = |files: &[(PathBuf, Vec<u8>)], folder: &Path| {
        fs::create_dir_all(folder).unwrap();
        for (path, bytes) in files {
            fs::write(folder.join(path.file_name().unwrap()), bytes).unwrap();
        }
    };
    let write = |path: PathBuf| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"of another height").unwrap();
    };
    let steps: [(&str, &dyn Fn(&Path)); 7] = [
        ("half copied", &|data| {
            write(data.join("synced"));
            put(some, &data.join("restoring/data"));
        }),
        ("whole, the old one in its place", &|data| {
            write(data.join("synced"));
            write(data.join("old"));
            put(&files, &data.join("restoring/data"));
            write(data.join("restoring/complete"));
        }),
        ("whole, the old one half deleted", &|data| {
            write(data.join("old"));
            put(&files, &data.join("restoring/data"));
            write(data.join("restoring/complete"));
        }),
        ("whole, the old one gone", &|data| {
            put(&files, &data.join("restoring/data"));
            write(data.join("restoring/cleared"));
        }),
        ("half in its place", &|data| {
            put(some, data);
            put(others, &data.join("restoring/data"));
            write(data.join("restoring/cleared"));
        }),
        ("in its place", &|data| {
            put(&files, data);
            put(&[], &data.join("restoring/data"));
            write(data.join("restoring/cleared"));
        }),
        ("in its place, the mark is gone", &|data| {
            put(&files, data);
            put(&[], &data.join("restoring/config"));
        }),
    ];
    for (name, step) in steps {
        for again in [false, true] {
            let home = setting.other_home();
            fs::write(home.genesis_path(), testing::genesis().to_json()).unwrap();
            step(&home.data_path());
            if again || name == "half copied" {
                restore(&home, &setting.folder(), true).unwrap();
                assert_eq!(guard_state(&home), Some(GuardState::Restored));
            } else {
                finish(&home).unwrap();
            }
            clean_up(&home).unwrap();
            setting.is_in(&home);
            for left in ["restoring", "old"] {
                assert!(!home.data_path().join(left).exists(), "{name}: {left}");
            }
            fs::remove_dir_all(home.root()).unwrap();
        }
    }
}

#[test]
fn an_encrypted_database_is_restored_with_its_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = testing::genesis();
    let (home, key_file) = (Home::new(dir.path().join("home")), dir.path().join("storage.key"));
    StorageKey::new([9; 32]).create(&key_file).unwrap();
    let mut config = Config::default();
    config.storage.key_file = key_file.clone();
    home.init(&config, &testing::validator(0), None).unwrap();
    fs::write(home.genesis_path(), genesis.to_json()).unwrap();
    let storage = home.storage(&config).unwrap();
    let db = Database::open(&home.data_path(), genesis.hash(), &storage).unwrap();
    db.initialise(&tandem_chain::ledger::Ledger::<Database>::genesis(&genesis)).unwrap();
    let order = Order {
        home: &home,
        db: &db,
        storage: &storage,
        genesis: &genesis,
        node: testing::validator(0).public(),
        time: Timestamp::default(),
        dir: dir.path(),
        name: NAME,
        with_key: true,
    };
    assert!(create(&order, &AtomicBool::new(false)).unwrap().encrypted);
    let all = db.scan(Column::State, b"", None, 1_000).unwrap();
    assert!(!all.is_empty());

    let new = Home::new(dir.path().join("new"));
    fs::rename(&key_file, dir.path().join("away")).unwrap();
    let error = restore(&new, &dir.path().join(NAME), false).unwrap_err().to_string();
    assert!(error.contains("storage.key does not exist"), "{error}");
    StorageKey::new([8; 32]).create(&key_file).unwrap();
    let error = restore(&new, &dir.path().join(NAME), false).unwrap_err();
    assert!(matches!(&error, BackupError::Storage(storage::Error::KeyWrong { .. })), "{error}");
    assert!(!new.data_path().join("CURRENT").exists() && !new.guard_path().exists());

    fs::rename(dir.path().join("away"), &key_file).unwrap();
    restore(&new, &dir.path().join(NAME), false).unwrap();
    let copy = Database::open(&new.data_path(), genesis.hash(), &storage).unwrap();
    assert_eq!(copy.scan(Column::State, b"", None, 1_000).unwrap(), all);
}
