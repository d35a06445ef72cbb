//! What a member tells a guest.

use super::*;

fn registration(token: &Token, sender: &SecretKey) -> Tx {
    let call = consortium::Call::RegisterInvited {
        invitation: token.invitation.clone(),
        claim: token.invitation.claim(&token.one_time(), &sender.public()),
        addresses: Vec::new(),
    };
    Chain::new().sign(sender, 1, Call::Consortium(call))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_told_what_it_needs_and_nothing_of_the_ledger() {
    let member = Member::start().await;
    let create = member.chain.lock().unwrap().create(1);
    member.commit(vec![create.clone()]);
    let (token, node) = (member.token(1, 100), testing::key(60));
    let (mut visit, greeting) = call(&member, &token, &node).await;
    assert_eq!(greeting, Greeting::Received { height: Height(1), registered: false });

    let genesis = codec::encode(&testing::genesis());
    let total = genesis.len() as u64;
    for (offset, part) in [(0, &genesis[..]), (7, &genesis[7..]), (total, &[]), (u64::MAX, &[])] {
        let answer = ask(&mut visit, &Question::Genesis { offset }).await.unwrap();
        assert_eq!(answer, Answer::Genesis { total, bytes: part.to_vec() });
    }
    // Of others' transactions it hears nothing.
    let stands = ask(&mut visit, &Question::Standing { tx: create.hash() }).await.unwrap();
    let nothing = Answer::Standing { height: Height(1), registered: false, receipt: None };
    assert_eq!(stands, nothing);

    // It may send its registration alone.
    let own = registration(&token, &node);
    let sent = ask(&mut visit, &Question::Register { tx: own.bytes().to_vec() }).await.unwrap();
    assert_eq!(sent, Answer::Register { code: 0, reason: String::new() });
    assert!(member.admission.is_waiting(&own.hash()));
    member.commit(member.admission.take(usize::MAX, usize::MAX));
    // It looks as often as it likes, and is answered at a pace, since an answer may take a block.
    let (start, looks) = (Instant::now(), 4);
    for _ in 0..looks {
        let stands = ask(&mut visit, &Question::Standing { tx: own.hash() }).await.unwrap();
        let Answer::Standing { height: Height(2), registered: true, receipt: Some(receipt) } =
            stands
        else {
            panic!("{stands:?}")
        };
        assert_eq!((receipt.height, receipt.code), (Height(2), 0));
    }
    assert!(start.elapsed() >= Duration::from_millis(100) * (looks - 1));
    // Each is a guest of its own.
    let (second, other) = (member.token(2, 100), testing::key(61));
    for bytes in [
        create.bytes().to_vec(),
        registration(&member.token(3, 100), &other).bytes().to_vec(),
        registration(&second, &testing::key(62)).bytes().to_vec(),
        b"no transaction".to_vec(),
    ] {
        let (mut visit, greeting) = call(&member, &second, &other).await;
        assert!(matches!(greeting, Greeting::Received { registered: false, .. }));
        let gone = Err(NetworkError::NotConnected { peer: member.key });
        assert_eq!(ask(&mut visit, &Question::Register { tx: bytes }).await, gone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_left_is_not_received_by_the_invitation_that_it_used() {
    let member = Member::start().await;
    let machine = Machine::new();
    let token = member.token(1, 100);
    let node = member.committing(machine.join(&token)).await.0.unwrap().node;
    member.commit(vec![member.sign(0, consortium::Call::RemoveNode { node })]);
    assert!(!member.is_registered(&node));
    let secret = machine.home().node_key(&Passphrases::none()).unwrap();
    let (_, greeting) = call(&member, &token, &secret).await;
    assert!(matches!(greeting, Greeting::Refused { code: 17, .. }), "{greeting:?}");
    // A registration that fails in the ledger has its reason.
    let bare = registration(&token, &testing::key(62));
    let refused = member.admission.submit(bare.bytes().to_vec()).await.unwrap_err();
    assert_eq!(refused.code(), 17);
}
