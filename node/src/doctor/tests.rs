//! Each check where nothing is amiss, and where something is.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::home::GuardFile;
use crate::run::wall_clock;
use crate::testing;

const MIB: u64 = 1024 * 1024;

fn found<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    findings.iter().find(|f| f.check == check).unwrap_or_else(|| panic!("{check}: {findings:?}"))
}

#[test]
fn room_speed_and_files_have_their_bounds() {
    let folder = Path::new("/data");
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    for (free, verdict) in [
        (511 * MIB, Verdict::Fail),
        (512 * MIB, Verdict::Warn),
        (10 * 1024 * MIB - 1, Verdict::Warn),
        (10 * 1024 * MIB, Verdict::Ok),
    ] {
        let finding = machine::room(Ok(free), folder);
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert_eq!(finding.advice.is_none(), verdict == Verdict::Ok);
    }
    assert_eq!(machine::room(Err(denied()), folder).verdict, Verdict::Fail);
    for (ms, verdict) in
        [(1, Verdict::Ok), (20, Verdict::Warn), (249, Verdict::Warn), (250, Verdict::Fail)]
    {
        let finding = machine::speed(Ok(Duration::from_millis(ms)), folder);
        assert_eq!(finding.verdict, verdict, "{finding:?}");
    }
    let finding = machine::speed(Err(denied()), folder);
    assert!(finding.verdict == Verdict::Fail && finding.found.contains("/data"), "{finding:?}");
    let config = Config::default();
    let connections = config.rpc.max_connections + config.rpc.max_websockets;
    let needed = (config.storage.open_files + connections) as u64 + 256;
    for (limit, verdict) in [
        (Some(needed - 1), Verdict::Fail),
        (Some(needed), Verdict::Warn),
        (Some(4_096), Verdict::Ok),
        (None, Verdict::Ok),
    ] {
        let finding = machine::files(limit, &config);
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        if limit == Some(needed - 1) {
            assert!(finding.advice.unwrap().contains("ulimit -n 4096"));
        }
    }
}

#[test]
fn a_clock_is_judged_by_a_block_that_has_just_come() {
    let at = Timestamp::from_millis;
    let ahead = Duration::from_millis(500);
    for (block, seen, verdict, word) in [
        (10_000, 10_000, Verdict::Ok, "within 0 ms"),
        (10_000, 13_000, Verdict::Ok, "within 3000 ms"),
        (10_000, 13_001, Verdict::Warn, "up to 3001 ms ahead"),
        (10_500, 10_000, Verdict::Ok, "within 0 ms"),
        (10_501, 10_000, Verdict::Fail, "at least 501 ms behind"),
        (99_000, 0, Verdict::Fail, "behind"),
    ] {
        let finding = others::offset(at(block), at(seen), ahead, "http://a");
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert!(finding.found.contains(word) && finding.found.contains("http://a"), "{finding:?}");
    }
}

/// A home of the first organisation's validator, on ports that are free.
fn home() -> (Home, Config, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("node"));
    let mut config = Config::default();
    config.p2p.listen = "/ip4/127.0.0.1/tcp/0".to_owned();
    config.rpc.listen = "127.0.0.1:0".parse().unwrap();
    home.init(&config, &testing::validator(0), None).unwrap();
    (home, config, dir)
}

#[tokio::test]
async fn a_home_is_looked_at_file_by_file() {
    let nowhere = tempfile::tempdir().unwrap();
    let findings = examine(&Home::new(nowhere.path().join("none")), &[], wall_clock).await;
    assert_eq!(found(&findings, "configuration").verdict, Verdict::Fail);
    assert!(found(&findings, "configuration").found.contains("tandem init"));

    let (home, _, _dir) = home();
    let findings = examine(&home, &[], wall_clock).await;
    assert_eq!(found(&findings, "configuration").verdict, Verdict::Ok);
    assert!(found(&findings, "genesis").found.contains("does not exist"));
    assert!(found(&findings, "node key").found.contains("not encrypted"));
    assert_eq!(found(&findings, "signing record").found, "the key has never signed");
    for port in ["peer port", "RPC port"] {
        assert_eq!(found(&findings, port).verdict, Verdict::Ok, "{findings:?}");
    }

    let genesis = testing::genesis();
    std::fs::write(home.genesis_path(), genesis.to_json()).unwrap();
    let public_key = testing::validator(0).public();
    GuardFile { public_key, state: GuardState::Restored }.store(&home.guard_path()).unwrap();
    let findings = examine(&home, &[], wall_clock).await;
    assert_eq!(found(&findings, "genesis").verdict, Verdict::Ok);
    assert_eq!(found(&findings, "database").verdict, Verdict::Ok);
    assert_eq!(found(&findings, "signing record").verdict, Verdict::Warn);
    // Seven others listen on loopback ports that nobody has.
    let peers = found(&findings, "peers");
    assert_eq!(peers.verdict, Verdict::Fail, "{peers:?}");
    assert!(
        peers.found.contains("reached 0 of 7") && peers.found.contains("and 2 more"),
        "{peers:?}"
    );

    std::fs::write(home.guard_path(), "{}").unwrap();
    let findings = examine(&home, &[], wall_clock).await;
    assert_eq!(found(&findings, "signing record").verdict, Verdict::Fail);
    let other = testing::key(77).public();
    GuardFile { public_key: other, state: GuardState::Used }.store(&home.guard_path()).unwrap();
    let findings = examine(&home, &[], wall_clock).await;
    assert!(found(&findings, "signing record").found.contains(&other.to_string()));
}

#[tokio::test]
async fn a_port_that_is_taken_and_peers_that_are_reached() {
    let (home, mut config, _dir) = home();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    config.p2p.listen = format!("/ip4/127.0.0.1/tcp/{port}");
    config.instrumentation.prometheus = true;
    config.instrumentation.prometheus_listen_addr = taken.local_addr().unwrap();
    config.p2p.dial.insert(testing::key(50).public(), vec![format!("/dns4/localhost/tcp/{port}")]);
    std::fs::write(home.config_path(), config.to_toml()).unwrap();
    let findings = examine(&home, &[], wall_clock).await;
    for check in ["peer port", "metrics port"] {
        let finding = found(&findings, check);
        assert!(finding.verdict == Verdict::Fail && finding.found.contains(&port.to_string()));
    }
    assert_eq!(found(&findings, "peers").found, "reached 1 of 1 other nodes");

    config.p2p.dial.insert(testing::key(51).public(), vec!["/ip4/127.0.0.1/tcp/1".to_owned()]);
    config.p2p.dial.insert(testing::key(52).public(), vec!["/ip4/127.0.0.1/udp/1".to_owned()]);
    let known = Known { config, genesis: None, node: None };
    let finding = others::peers(&known, None).await;
    assert_eq!(finding.verdict, Verdict::Warn, "{finding:?}");
    assert!(finding.found.starts_with("reached 1 of 3 other nodes; not "), "{finding:?}");
}
