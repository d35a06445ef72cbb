//! Motions, the policy, and changes on paper.

use serde_json::json;
use tandem_chain::limits::MAX_MOTION_LIFE;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Change, MotionStatus, Threshold};
use tandem_chain::types::{Height, Power};

use super::node;
use crate::testing;

fn propose(change: Change) -> Call {
    let (force, expires) = (false, testing::genesis().genesis_time.plus(MAX_MOTION_LIFE));
    Call::Consortium(consortium::Call::Propose { change, force, expires })
}

fn vote(motion: u64) -> Call {
    Call::Consortium(consortium::Call::Vote { motion })
}

#[tokio::test]
async fn motions_from_paper_to_the_register() {
    let node = node().await;
    let delta = || "delta".parse().expect("a name");
    let add = Change::AddOrg {
        name: "epsilon".parse().unwrap(),
        admin_key: testing::key(240).public(),
        power: Power(1),
    };
    node.commit(vec![]);
    node.commit(vec![]);
    let policy = node.client.policy().await.unwrap();
    assert_eq!((policy.policy.add, policy.members), (Threshold::MoreThanHalf, 4));
    assert_eq!(policy.needed["remove"], 3);

    let tried = node.client.try_change(&add).await.unwrap();
    let summary = "seats 4 -> 5, quorum 3 -> 4, online after this 4";
    assert_eq!(tried.summary.as_deref(), Some(summary));
    let (before, after) = (tried.before.unwrap(), tried.after.unwrap());
    assert_eq!((before.quorum, after.quorum, after.online), (Power(3), Power(4), Power(4)));
    // As explorers ask it, in JSON and in a query; and what cannot be done, with the reason.
    let answer =
        node.call("try_change", json!({ "change": { "suspend_org": { "name": "delta" } } })).await;
    assert_eq!(answer["summary"], "seats 4 -> 3, quorum 3 -> 3, online after this 3");
    assert_eq!((&answer["before"]["power"], &answer["after"]["power"]), (&json!("4"), &json!("3")));
    assert!(answer["warnings"][0].as_str().unwrap().contains("f = 0"));
    let tried = node.client.try_change(&Change::RestoreOrg { name: delta() }).await.unwrap();
    assert!(tried.impossible_because.unwrap().contains("delta is not suspended"));
    for bad in [json!({}), json!({ "change": { "sell_org": {} } }), json!({ "change": 7 })] {
        assert_eq!(node.error("try_change", bad).await.0, -32602);
    }

    assert!(node.client.motions(false, 10).await.unwrap().motions.is_empty());
    let sign = |admin: u8, call| node.chain().sign(&testing::admin(admin), 1, call);
    node.commit(vec![
        sign(0, propose(Change::SuspendOrg { name: delta() })),
        sign(1, propose(add)),
        sign(1, vote(1)),
    ]);
    let info = node.client.motion(1).await.unwrap();
    assert_eq!((info.motion.counted, info.motion.needed, info.motion.members), (2, 3, 4));
    assert_eq!(info.motion.votes, ["alpha", "beta"].map(|name| name.parse().unwrap()));
    assert!(info.tried.unwrap().summary.unwrap().starts_with("seats 4 -> 3"));
    let open = node.client.motions(true, 10).await.unwrap().motions;
    assert_eq!(open.iter().map(|entry| entry.motion).collect::<Vec<_>>(), [2, 1]);
    let (code, text) = node.error("motion", json!({ "motion": 9 })).await;
    assert!(code == -32603 && text.contains("not found"), "{code} {text}");

    node.commit(vec![sign(2, vote(1))]);
    let info = node.client.motion(1).await.unwrap();
    assert_eq!((info.motion.status, info.tried), (MotionStatus::Carried, None));
    assert_eq!(info.motion.effective, Some(Height(6)));
    let orgs = node.client.organizations().await.unwrap().organizations;
    let suspended: Vec<&str> =
        orgs.iter().filter(|org| org.is_suspended).map(|org| org.name.as_str()).collect();
    assert_eq!(suspended, ["delta"]);
    assert_eq!(node.client.motions(true, 10).await.unwrap().motions.len(), 1);
    assert_eq!(node.client.policy().await.unwrap().members, 3);
    // Its keys are refused by name before they come into a block.
    let tx = sign(3, vote(2));
    let answer = node.client.broadcast_tx_sync(tx.bytes()).await.unwrap();
    assert_eq!(answer.code, 9);
    assert!(answer.log.contains("organisation delta is suspended"), "{}", answer.log);
    node.commit(vec![]);
    let nodes = node.client.nodes().await.unwrap().nodes;
    assert!(nodes.iter().all(|entry| entry.organization != delta()), "they left the register");
}
