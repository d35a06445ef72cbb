//! Files of a home in which a byte is other than it was written: each is refused by its name, or says the same
//! as before; a key is never another one.

use std::path::Path;

use tandem_chain::keys::SecretKey;
use tandem_chain::types::Hash;

use super::*;
use crate::genesis_files;
use crate::storage::{self, Database};
use crate::testing;

/// What is done to each byte: its lowest bit, the one between capital and small letters, the highest.
const FLIPS: [u8; 3] = [0x01, 0x20, 0x80];

/// Changes every `apart`-th byte of a file in each way, and gives what comes of it to `check`; then the file is as it
/// was. Every error names the file.
fn flip<T>(
    path: &Path,
    apart: usize,
    load: impl Fn() -> Result<T, HomeError>,
    mut check: impl FnMut(Result<T, String>, &str),
) {
    let good = std::fs::read(path).unwrap();
    for place in (0..good.len()).step_by(apart) {
        for flip in FLIPS {
            let mut bad = good.clone();
            bad[place] ^= flip;
            std::fs::write(path, bad).unwrap();
            let found = load().map_err(|error| error.to_string());
            let name = format!("{} at {place} by {flip:#x}", path.display());
            if let Err(text) = &found {
                assert!(text.contains(path.to_str().unwrap()), "{name}: {text}");
            }
            check(found, &name);
        }
    }
    std::fs::write(path, good).unwrap();
}

/// A home with all its files, and its folder.
fn home() -> (Home, SecretKey, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("node"));
    let key = testing::validator(0);
    home.init(&Config::default(), &key, None).unwrap();
    std::fs::write(home.genesis_path(), testing::genesis().to_json()).unwrap();
    (home, key, dir)
}

#[test]
fn a_flipped_byte_of_a_nodes_key_is_an_error_or_harmless_and_never_another_key() {
    let (home, key, _dir) = home();
    let digits = hex::encode_upper(key.seed());
    let mut errors = 0;
    flip(
        &home.node_key_path(),
        1,
        || home.node_key(&Passphrases::none()),
        |found, name| match found {
            Ok(found) => assert_eq!(found.public(), key.public(), "{name}"),
            Err(text) => {
                errors += 1;
                assert!(!text.to_uppercase().contains(&digits[2..62]), "{name}: {text}");
            }
        },
    );
    assert!(errors > 400, "{errors}");
}

/// What a start makes of a guard of another key is in `run::durable`.
#[test]
fn a_flipped_byte_of_the_guard_record_never_makes_a_key_that_has_signed_a_new_one() {
    let (home, key, _dir) = home();
    let guard = GuardFile { public_key: key.public(), state: GuardState::Used };
    guard.store(&home.guard_path()).unwrap();
    flip(
        &home.guard_path(),
        1,
        || home.guard(),
        |found, name| {
            if let Ok(found) = found {
                let found = found.expect("the file is there");
                assert_eq!(found.state, GuardState::Used, "{name}");
            }
        },
    );
}

#[test]
fn a_flipped_byte_of_the_genesis_is_an_error_or_another_genesis_which_the_database_refuses() {
    let (home, _, _dir) = home();
    let genesis = testing::genesis();
    drop(Database::open(&home.data_path(), genesis.hash(), &StorageConfig::default()).unwrap());
    let (mut errors, mut others) = (0, None);
    flip(
        &home.genesis_path(),
        // It is long, and much of it is alike.
        7,
        || genesis_files::load(&home.genesis_path()),
        |found, name| match found {
            Ok((found, _)) if found.hash() == genesis.hash() => {
                assert_eq!(found, genesis, "{name}");
            }
            Ok((found, _)) => others = Some(found.hash()),
            Err(_) => errors += 1,
        },
    );
    assert!(errors > 150, "{errors}");
    // Such as a digit of a time.
    let other: Hash = others.expect("some bytes make another genesis");
    let refused = Database::open(&home.data_path(), other, &StorageConfig::default()).err();
    assert!(matches!(refused, Some(storage::Error::OtherGenesis { .. })), "{refused:?}");
}

#[test]
fn a_flipped_byte_of_the_databases_key_is_an_error_or_a_key_that_the_database_refuses() {
    let (home, _, dir) = home();
    let (path, key) = (dir.path().join("storage.key"), StorageKey::new([0x5a; 32]));
    key.create(&path).unwrap();
    let of = |key| StorageConfig { key: Some(key), ..StorageConfig::default() };
    let genesis = testing::genesis().hash();
    let db = Database::open(&home.data_path(), genesis, &of(key.clone())).unwrap();
    drop(db);
    let mut others = 0;
    flip(
        &path,
        1,
        || StorageKey::load(&path),
        |found, name| match found {
            Ok(found) if found == key => {}
            Ok(found) => {
                others += 1;
                let refused =
                    Database::open_read_only(&home.data_path(), genesis, &of(found)).err();
                assert!(
                    matches!(refused, Some(storage::Error::KeyWrong { .. })),
                    "{name}: {refused:?}"
                );
            }
            Err(text) => assert!(!text.contains("5a5a5a"), "{name}: {text}"),
        },
    );
    assert!(others > 20, "{others}");
}

#[test]
fn a_flipped_byte_of_the_configuration_is_an_error_that_names_the_place_or_a_configuration() {
    let (home, _, _dir) = home();
    let path = home.config_path();
    let good = std::fs::read(&path).unwrap();
    // Its comments are most of it.
    for place in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[place] ^= FLIPS[place % 2 * 2];
        std::fs::write(&path, bad).unwrap();
        if let Err(error) = Config::load(&path) {
            let error = error.to_string();
            let is_named =
                ["config.toml", "configuration key"].iter().any(|name| error.contains(name));
            assert!(is_named, "{place}: {error}");
        }
    }
}
