use std::collections::BTreeMap;

use tandem_chain::keys::PublicKey;
use tandem_chain::roles::{RoleTable, Seat};
use tandem_chain::snapshot::{Manifest, Tile};
use tandem_chain::tree::Node;
use tandem_chain::types::{Power, Term};

use super::*;

/// Marks of a restore, and what a restored database holds beside its state.
#[test]
fn golden_bytes_of_a_restore() {
    let home = Home::new();
    let database = home.open();
    let (certified, Execution { mut tip, .. }) = step(3);
    let nodes = vec![Node::Empty; 16];
    let whole = Tile { path: Vec::new(), first: 0, nodes };
    let empty = Hash([0; 32]);
    let manifest = Manifest::new(chain_id(), Height(3), empty, vec![whole]).unwrap();
    let above = certified.block.header.clone();
    let value = hex::encode(codec::encode(&(&manifest, &above)));
    database.begin_restore(&Restoring { manifest, above }).unwrap();
    database.restore_chunk(0, &Batch::default()).unwrap();
    let keys = |database: &Database, column: &'static str| -> Vec<String> {
        entries(database, column).into_iter().map(|(key, _)| key).collect()
    };
    let marks = [(hex::encode("restored/") + "00000000", String::new())];
    let marks = [marks, [(hex::encode("restoring"), value)]].concat();
    assert_eq!(entries(&database, "meta")[2..], marks);

    let seat = Seat { holder: PublicKey([5; 32]), power: Power(2), term: Term(0) };
    let table: RoleTable =
        [("alpha".parse().unwrap(), seat)].into_iter().collect::<BTreeMap<_, _>>().into();
    Arc::make_mut(&mut tip).next_next_table = Arc::new(table);
    database.finish_restore(&certified, &tip).unwrap();
    let (first, height) = (hex::encode("first"), hex::encode("height"));
    let of_database = [hex::encode("format"), hex::encode("genesis")];
    let expected = [vec![first], of_database.to_vec(), vec![height]].concat();
    assert_eq!(keys(&database, "meta"), expected);
    assert_eq!(entries(&database, "meta")[0].1, "0300000000000000");
    let validators = entries(&database, "validators");
    let one = format!("0100000000000000{}0200000000000000", "05".repeat(32));
    let none = "0000000000000000".to_owned();
    let expected = [(3, none.clone()), (4, none), (5, one)];
    assert_eq!(validators, expected.map(|(n, value)| (format!("{n:016x}"), value)));
    assert_eq!(database.validators(Height(4)).unwrap().unwrap().validators.len(), 0);
    assert_eq!(database.validators(Height(9)).unwrap().unwrap().validators.len(), 1);
    assert_eq!(database.validators(Height(2)).unwrap(), None);
}
