//! `db prune`, and what a home is like whose old blocks are gone.

use tandem_chain::types::Height;
use tandem_node::config::Config;
use tandem_node::home::Home;
use tandem_node::run::load_genesis;
use tandem_node::storage::Database;

use crate::support::Desk;

/// Takes away the lowest blocks of a home whose node stands. `db prune` takes none of a chain that is so
/// short.
fn take_away(desk: &Desk, home: &str, floor: u64) {
    let home = Home::new(desk.path(home));
    let config = Config::load(&home.config_path()).unwrap();
    let (genesis, _) = load_genesis(&home, None).unwrap();
    let storage = home.storage(&config).unwrap();
    let db = Database::open_existing(&home.data_path(), genesis.hash(), &storage).unwrap();
    while db.first_height() < Height(floor) {
        assert!(db.prune(Height(floor)).unwrap().blocks > 0);
    }
    db.sync().unwrap();
}

#[tokio::test]
async fn what_must_stay_stays_and_a_pruned_home_is_as_good_as_before() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    let sent = node.run("tx record create prices --key alpha-user.json --json").await.json();
    assert_eq!(sent["code"], 0, "{sent}");
    let tx = sent["hash"].as_str().unwrap().to_owned();
    let at: u64 = sent["height"].as_str().unwrap().parse().unwrap();
    let floor = at + 2;

    let few = ["keep_blocks is 5", "at least 10001", "evidence"];
    let none = ["--keep-blocks", "storage.keep_blocks"];
    let all = |answer: &serde_json::Value, kept_for: &str| {
        let kept = answer["kept_for"].as_str().unwrap();
        assert_eq!((&answer["blocks"], &answer["lowest"]), (&"0".into(), &"1".into()), "{answer}");
        assert!(kept.contains(kept_for), "{kept}");
    };
    node.fail("db prune --home alpha --keep-blocks 5", 2, &few).await;
    node.fail("db prune --home alpha", 2, &none).await;
    let (text, dry) = node.ask("db prune --home alpha --keep-blocks 10001 --dry-run").await;
    assert!(text.contains("would go"), "{text}");
    assert_eq!(dry["dry_run"], true);
    all(&dry, "keep_blocks");
    all(&node.run("db prune --home alpha --keep-days 1 --json").await.json(), "evidence");
    loop {
        let (_, stats) = node.ask("db stats --home alpha").await;
        assert_eq!(stats["lowest"], "1");
        if stats["height"].as_str().unwrap().parse::<u64>().unwrap() > floor + 2 {
            break;
        }
    }
    node.stop().await;

    // The same of a node that stands, by the configuration.
    desk.fail("db prune --home alpha --keep-blocks 5", 2, &few).await;
    desk.fail("db prune --home alpha", 2, &none).await;
    let path = "alpha/config/config.toml";
    let before = desk.read(path);
    desk.write(path, &before.replace("keep_blocks = 0", "keep_blocks = 9"));
    desk.fail("db prune --home alpha", 1, &["storage.keep_blocks is 9", "at least 10001"]).await;
    desk.write(path, &before.replace("keep_blocks = 0", "keep_blocks = 20000"));
    all(&desk.run("db prune --home alpha --json").await.json(), "keep_blocks");

    take_away(&desk, "alpha", floor);
    let (text, stats) = desk.ask("db stats --home alpha").await;
    assert!(text.contains("lowest block"), "{text}");
    assert_eq!(stats["lowest"], floor.to_string());
    let made = desk.run("db backup all --home alpha --dir out --with-key --json").await.json();
    desk.run("db restore out/all --home new --json").await.json();
    let (_, restored) = desk.ask("db stats --home new").await;
    assert_eq!((&restored["lowest"], &restored["height"]), (&stats["lowest"], &made["height"]));

    // With a policy, so that the thread that takes blocks away runs, too.
    let node = desk.start("alpha", "").await;
    let gone = format!("height {at} is not available, lowest height is {floor}");
    node.fail(&format!("query block {at}"), 1, &[&gone]).await;
    node.ask(&format!("query block {floor}")).await;
    let from = format!("in no block from {floor} on");
    node.fail(&format!("query tx {tx}"), 1, &[&from]).await;
    let (_, status) = node.ask("query rpc status").await;
    assert_eq!(status["sync_info"]["earliest_block_height"], floor.to_string());
    let sent = node.run("tx record put prices oil 81.20 --key alpha-user.json --json").await.json();
    assert_eq!(sent["code"], 0, "the chain goes on: {sent}");
    let taken = node.run("snapshot create --home alpha --json").await.json();
    assert!(taken["height"].as_str().unwrap().parse::<u64>().unwrap() > floor);
    node.stop().await;
}
