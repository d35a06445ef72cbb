//! What the node reads from peers.

use std::sync::LazyLock;

use futures::io::BufReader;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::consortium::InvitedAs;
use tandem_chain::snapshot::{Chunk, Manifest};
use tandem_chain::tx::Tx;
use tandem_chain::types::{Hash, Height};
use tandem_chain::{codec, tip::Tip};
use tandem_consensus::light::{LightBlock, Trusted, ValidatorSet};
use tandem_consensus::validate::{self, Fixed};
use tandem_consensus::verify::{Keys, certified_block};

use crate::admission::frame;
use crate::decoded::decoded;
use crate::driver::wire;
use crate::join::token::{Token, TokenMember};
use crate::join::wire::{Answer, Executed, Greeting, GuestHello, Question};
use crate::network::frames::{read_body, read_frame, read_head};
use crate::network::hello::{Hello, PROTOCOL_VERSION};
use crate::network::limits::{MAX_TRANSACTIONS_FRAME, SILENCE_MAX};
use crate::snapshots::pack::{pack, unpack};
use crate::snapshots::wire as snapshot_wire;
use crate::world::{AnySignature, World};
use crate::{samples, seeds};

/// The frames that are read from a stream until it ends or breaks the rules, by both readers, which
/// must agree.
fn read_frames(stream: &[u8]) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without threads");
    let (mut plain, mut buffered) = (stream, BufReader::with_capacity(16, stream));
    let mut frames = Vec::new();
    loop {
        let frame = runtime.block_on(read_frame(&mut plain, MAX_TRANSACTIONS_FRAME, SILENCE_MAX));
        let same = runtime.block_on(async {
            let length = read_head(&mut buffered, MAX_TRANSACTIONS_FRAME).await?;
            read_body(&mut buffered, length, || ()).await
        });
        match (frame, same) {
            (Ok(frame), Ok(same)) => {
                assert_eq!(frame, same);
                frames.push(frame);
            }
            (Err(_), Err(_)) => return frames,
            (one, other) => panic!("the readers differ: {one:?}, {other:?}"),
        }
    }
}

/// A stream of these frames.
fn written(frames: &[Vec<u8>]) -> Vec<u8> {
    let parts = frames.iter().flat_map(|frame| {
        let length = u32::try_from(frame.len()).expect("short frames");
        [length.to_be_bytes().to_vec(), frame.clone()]
    });
    parts.collect::<Vec<_>>().concat()
}

/// A stream of frames; each as one of transactions.
pub fn frames(bytes: &[u8]) {
    let frames = read_frames(bytes);
    assert!(bytes.starts_with(&written(&frames)));
    for frame in frames {
        let Ok(txs) = frame::decode(&frame) else { continue };
        assert!(txs.len() <= frame::MAX_FRAME_TXS);
        let txs: Vec<Tx> = txs.into_iter().filter_map(|tx| Tx::decode(tx).ok()).collect();
        let frames = frame::encode(&txs);
        let unpacked = frames.iter().filter_map(|frame| frame::decode(frame).ok()).flatten();
        assert!(unpacked.eq(txs.iter().map(|tx| tx.bytes().to_vec())));
    }
}

pub fn frames_seeds() -> Vec<Vec<u8>> {
    let txs: Vec<Tx> = samples::calls().into_iter().map(|(_, call)| samples::tx(call)).collect();
    let frames: Vec<Vec<u8>> = [&txs[..1], &txs[..3], &txs[8..]]
        .iter()
        .flat_map(|txs| frame::encode(txs))
        .map(|f| f.to_vec())
        .collect();
    let mut seeds: Vec<Vec<u8>> =
        frames.iter().map(|frame| written(std::slice::from_ref(frame))).collect();
    seeds.push(written(&[Vec::new(), frames[0].clone(), Vec::new(), frames[2].clone()]));
    seeds
}

fn own_hello() -> Hello {
    Hello { protocol: PROTOCOL_VERSION, chain_id: samples::chain_id(), genesis: Hash([3; 32]) }
}

/// The first frame of a connection.
pub fn hello(bytes: &[u8]) {
    let ours = own_hello();
    assert_eq!(ours.check(bytes).is_ok(), bytes == codec::encode(&ours));
}

pub fn hello_seeds() -> Vec<Vec<u8>> {
    vec![codec::encode(&own_hello())]
}

/// What a guest and a member say to each other, or a join token's text; the first byte chooses.
pub fn visit(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => {
            if let Some(hello) = decoded::<GuestHello>(bytes) {
                let _ = hello.is_proved(&samples::public(1), &samples::public(2));
            }
        }
        1 => drop(decoded::<Greeting>(bytes)),
        2 => drop(decoded::<Question>(bytes)),
        3 => drop(decoded::<Answer>(bytes)),
        _ => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Ok(token) = Token::parse(text) {
                assert_eq!(token.to_text(), text.trim_ascii());
            }
        }
    }
}

pub fn visit_seeds() -> Vec<Vec<u8>> {
    let (seed, height) = ([7; 32], Height(9));
    let mut invitation = samples::invitation(InvitedAs::Standby);
    invitation.body.claim = SecretKey::from_seed(&seed).public();
    let addresses = vec!["/ip4/192.0.2.1/tcp/26656".to_owned()];
    let members = vec![TokenMember { key: samples::public(1), addresses }];
    let token = Token { invitation, seed, genesis: Hash([3; 32]), trust: None, members };
    let [guest, member] = [1, 2].map(samples::public);
    let hello = GuestHello::new(&token, &samples::secret(14), &guest, &member);
    let receipt = Some(Executed { height, code: 4, log: "late".to_owned() });
    let text = || "late".to_owned();
    vec![
        [vec![0], codec::encode(&hello)].concat(),
        [vec![1], codec::encode(&Greeting::Received { height, registered: true })].concat(),
        [vec![1], codec::encode(&Greeting::Refused { code: 4, reason: text() })].concat(),
        [vec![2], codec::encode(&Question::Genesis { offset: 9 })].concat(),
        [vec![2], codec::encode(&Question::Register { tx: seeds::txs()[0].clone() })].concat(),
        [vec![2], codec::encode(&Question::Standing { tx: Hash([8; 32]) })].concat(),
        [vec![3], codec::encode(&Answer::Genesis { total: 4, bytes: vec![1; 4] })].concat(),
        [vec![3], codec::encode(&Answer::Register { code: 4, reason: text() })].concat(),
        [vec![3], codec::encode(&Answer::Standing { height, registered: false, receipt })].concat(),
        [vec![4], token.to_text().into_bytes()].concat(),
    ]
}

/// A question for blocks, or an answer, with the checks of its blocks as if all signatures were good;
/// the first byte chooses.
pub fn fetch(bytes: &[u8]) {
    static TIP: LazyLock<Tip> =
        LazyLock::new(|| World::new(&[1; 4]).ledger().tip().as_ref().clone());
    let Some((kind, bytes)) = bytes.split_first() else { return };
    if kind % 2 == 0 {
        if let Ok(question) = wire::Question::decode(bytes) {
            assert_eq!(codec::encode(&question), bytes);
        }
        return;
    }
    let Ok(answer) = wire::Answer::decode(bytes) else { return };
    assert_eq!(codec::encode(&answer), bytes);
    let wire::Answer { blocks, .. } = answer;
    assert!(blocks.len() <= wire::MAX_BLOCKS);
    let (keys, fixed) = (Keys::of(&TIP), Fixed::of(&TIP));
    for block in &blocks {
        let _ = validate::check_certificate(&TIP, &block.certificate);
        let _ = certified_block(&AnySignature, &keys, &TIP.next_table, block);
        let _ = validate::check(&TIP, &fixed, &block.block);
    }
}

pub fn fetch_seeds() -> Vec<Vec<u8>> {
    let answer = |blocks: Vec<CertifiedBlock>| {
        let lowest = Height(1);
        [vec![1], codec::encode(&wire::Answer { blocks, lowest })].concat()
    };
    let of_chain = World::new(&[1; 4]).chain(2, &[0, 1, 2]);
    let mut question = vec![0];
    question.extend(seeds::of_chain(&["height"]).concat());
    question.extend([9, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0]);
    vec![question, answer(Vec::new()), answer(vec![samples::certified_block()]), answer(of_chain)]
}

/// What nodes say about snapshots; the first byte chooses the kind. A header is judged as if all its
/// signatures were good.
pub fn snapshot(bytes: &[u8]) {
    static SAMPLE: LazyLock<(Manifest, Chunk)> = LazyLock::new(samples::snapshot);
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 6 {
        0 => {
            let Ok(manifest) = Manifest::decode(bytes) else { return };
            assert_eq!(manifest.encode(), bytes);
            let _ = SAMPLE.1.check(&manifest.tiles()[0]);
            drop(manifest.pages());
        }
        1 => {
            let Ok(chunk) = Chunk::decode(bytes) else { return };
            assert_eq!(chunk.encode(), bytes);
            let is_it = chunk == SAMPLE.1;
            assert_eq!(chunk.check(&SAMPLE.0.tiles()[0]).is_ok(), is_it);
        }
        2 => {
            let Ok(question) = snapshot_wire::Question::decode(bytes) else { return };
            assert_eq!(codec::encode(&question), bytes);
        }
        3 => {
            let Ok(offers) = snapshot_wire::Offers::decode(bytes) else { return };
            assert!(offers.0.len() <= snapshot_wire::MAX_OFFERS);
        }
        4 => {
            let Ok(chunk) = unpack(bytes) else { return };
            assert_eq!(unpack(&pack(&chunk)), Ok(chunk));
        }
        _ => {
            let Ok(block) = snapshot_wire::decode_light(bytes) else { return };
            assert_eq!(codec::encode(&block), bytes);
            let trusted = Trusted::genesis(&World::new(&[1; 4]).genesis);
            let (now, period) = (block.header.time, std::time::Duration::MAX);
            if let Ok(next) = trusted.advance(&AnySignature, now, period, &block) {
                assert_eq!(next.header(), Some(&block.header));
            }
        }
    }
}

pub fn snapshot_seeds() -> Vec<Vec<u8>> {
    let (manifest, chunk) = samples::snapshot();
    let world = World::new(&[1; 4]);
    let block = world.chain(1, &[0, 1, 2]).remove(0);
    let light = LightBlock {
        header: block.block.header.clone(),
        commit: block.certificate.commit,
        validators: ValidatorSet::from(&world.genesis.role_table()),
    };
    let hash = manifest.hash();
    let offer = snapshot_wire::Offer { height: manifest.height(), manifest: hash, chunks: 1 };
    let question = snapshot_wire::Question::Chunk(hash, 0);
    vec![
        [vec![0], manifest.encode()].concat(),
        [vec![1], chunk.encode()].concat(),
        [vec![2], codec::encode(&question)].concat(),
        [vec![3], codec::encode(&snapshot_wire::Offers(vec![offer]))].concat(),
        [vec![4], pack(&chunk)].concat(),
        [vec![5], codec::encode(&light)].concat(),
    ]
}
