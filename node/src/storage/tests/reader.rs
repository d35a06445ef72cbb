//! A reader beside the owner of a database.

use crate::testing::Chain;

use super::*;

/// What is on the medium is seen, at one height, though the owner writes tables from its log, puts tables
/// together, and deletes logs and tables all the while.
#[test]
fn a_reader_misses_nothing_whatever_its_owner_moves_and_deletes() {
    let mut chain = Chain::new();
    let create = chain.create(0);
    chain.commit(vec![create]);
    let db = chain.db.clone();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            for nonce in 1u64..60 {
                let put = chain.put(nonce, "oil", &nonce.to_be_bytes());
                let block = chain.commit(vec![put]).block;
                chain.db.sync().unwrap();
                let (path, genesis) = (chain.home.data_path(), chain.genesis.hash());
                let reader = Reader::open(&path, genesis, &StorageConfig::default()).unwrap();
                let height = block.block.header.height;
                assert_eq!(reader.height(), height);
                assert_eq!(reader.block(height).unwrap().as_ref(), Some(&*block));
                let oil = records::get(&reader, &"set".parse().unwrap(), b"oil").unwrap();
                assert_eq!(oil.unwrap().value, Some(nonce.to_be_bytes().to_vec()));
            }
            // Its folder is there until nobody writes to it any more.
            chain
        });
        while !reading.is_finished() {
            db.compact().unwrap();
        }
        reading.join().unwrap();
    });
}
