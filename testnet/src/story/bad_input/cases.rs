//! The bad messages that a registered node can send, each with the words by which it is refused.

use tandem_chain::block::{Block, Certificate, CertifiedBlock};
use tandem_chain::codec;
use tandem_chain::comet;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::SecretKey;
use tandem_chain::limits::MAX_TX_VALIDITY;
use tandem_chain::liveness::{Bits, Observation};
use tandem_chain::tx::Tx;
use tandem_chain::types::{Height, Power, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::Proposal;
use tandem_node::network::Channel;

use super::liar::{Liar, flipped, no_block, proposal_bytes, repeated, vote_bytes, weak};

/// Words that must all be in one line of a log.
type Words = &'static [&'static str];

/// Whose key sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The one that holds a seat.
    Holder,
    /// The one that holds none.
    Other,
}

/// A bad message.
pub struct Case {
    /// What it is, for people.
    pub what: &'static str,
    /// Who sends it.
    pub by: By,
    /// Where.
    pub channel: Channel,
    /// Whether it is sent in round 0 of a height in which it is the holder's turn.
    pub in_turn: bool,
    /// What the node's log must say of it.
    pub words: Words,
    /// Its bytes.
    pub make: fn(&Liar) -> Vec<u8>,
}

/// A bad answer to a question for blocks.
pub struct Answer {
    /// What it is, for people.
    pub what: &'static str,
    /// What the node's log must say of it.
    pub words: Words,
    /// The answer to a question for blocks from this height on.
    pub make: fn(&Liar, Height) -> Vec<u8>,
}

fn by_holder(what: &'static str, words: Words, make: fn(&Liar) -> Vec<u8>) -> Case {
    Case { what, by: By::Holder, channel: Channel::Consensus, in_turn: false, words, make }
}

fn by_other(what: &'static str, words: Words, make: fn(&Liar) -> Vec<u8>) -> Case {
    Case { what, by: By::Other, channel: Channel::Consensus, in_turn: false, words, make }
}

fn stranger() -> SecretKey {
    SecretKey::from_seed(&[99; 32])
}

/// Frames that are no message, votes, follow messages.
pub fn messages() -> Vec<Case> {
    vec![
        by_other("a message that is none", &["message cannot be decoded"], |_| vec![0xff; 100]),
        by_other(
            "bytes behind a message",
            &["message cannot be decoded", "1 bytes behind"],
            |liar| [vote_bytes(liar.vote(&liar.other, |_| ())), vec![0]].concat(),
        ),
        Case {
            channel: Channel::Transactions,
            ..by_other("no frame of transactions", &["frame of transactions cannot be"], |_| {
                vec![0xff; 100]
            })
        },
        by_other("a vote by a node that holds no seat", &["holds no seat at index"], |liar| {
            vote_bytes(liar.vote(&liar.other, |_| ()))
        }),
        by_holder("an index out of range", &["holds no seat at index 999"], |liar| {
            vote_bytes(liar.vote(&liar.holder, |vote| vote.validator_index = 999))
        }),
        by_other("a vote by a stranger", &["vote by", "no registered node"], |liar| {
            vote_bytes(liar.vote(&stranger(), |_| ()))
        }),
        by_other(
            "a vote that another has signed",
            &["vote: the signature is not that of key"],
            |liar| {
                let holder = liar.holder.public().address();
                vote_bytes(liar.vote(&liar.other, |vote| vote.validator_address = holder))
            },
        ),
        by_holder(
            "an observation with a vote for nil",
            &["an observation belongs to each non-nil precommit and to nothing else"],
            |liar| {
                vote_bytes(liar.vote(&liar.holder, |vote| vote.observation = Some(few_bits(liar))))
            },
        ),
        by_holder(
            "an observation of too few nodes",
            &["observation has not one bit per node"],
            |liar| {
                vote_bytes(liar.vote(&liar.holder, |vote| {
                    (vote.kind, vote.block) = (VoteKind::Precommit, Some(no_block()));
                    vote.observation = Some(few_bits(liar));
                }))
            },
        ),
        by_other(
            "a follow message that another has signed",
            &["follow message: the signature is not that of key"],
            |liar| liar.follow(&liar.other),
        ),
    ]
}

/// An observation of one node, signed by the holder for round 0.
fn few_bits(liar: &Liar) -> Observation {
    let seen: Bits = [true].into_iter().collect();
    let extension = seen.to_extension();
    let chain_id = &liar.tip().chain_id;
    let (height, round) = (liar.height(), Round::ZERO);
    let bytes = comet::extension_sign_bytes(chain_id, height, round, &extension);
    Observation { seen, signature: liar.holder.sign(&bytes) }
}

/// Proposals that are wrong apart from their blocks.
pub fn proposals() -> Vec<Case> {
    vec![
        by_other(
            "a proposal by a node that holds no seat",
            &["proposal for height", "which holds no seat"],
            |liar| proposal_bytes(liar.signed(liar.block(Vec::new()), &liar.other, |_| ())),
        ),
        by_holder(
            "a proposal out of turn",
            &["proposal for height", "it is the turn of"],
            |liar| {
                let round = liar.round(false);
                let block = liar.block(Vec::new());
                proposal_bytes(liar.signed(block, &liar.holder, |proposal| proposal.round = round))
            },
        ),
        by_other(
            "a proposal that another has signed",
            &["proposal: the signature is not that of key"],
            |liar| {
                let proposer = liar.holder.public();
                let block = liar.block(Vec::new());
                let by_another = |proposal: &mut Proposal| proposal.proposer = proposer;
                proposal_bytes(liar.signed(block, &liar.other, by_another))
            },
        ),
        by_holder(
            "a proposal that names another block",
            &["proposal names another block than it has"],
            |liar| {
                let another = |proposal: &mut Proposal| proposal.block_id = no_block();
                proposal_bytes(liar.signed(liar.block(Vec::new()), &liar.holder, another))
            },
        ),
        by_holder("prevotes in a fresh proposal", &["a fresh proposal carries prevotes"], |liar| {
            let vote = liar.vote(&liar.holder, |_| ());
            let with_vote = |proposal: &mut Proposal| proposal.prevotes = vec![vote];
            proposal_bytes(liar.signed(liar.block(Vec::new()), &liar.holder, with_vote))
        }),
        by_holder(
            "a valid round that is to come",
            &["valid round is not before the round"],
            |liar| {
                let to_come = |proposal: &mut Proposal| proposal.valid_round = Some(proposal.round);
                proposal_bytes(liar.signed(liar.block(Vec::new()), &liar.holder, to_come))
            },
        ),
        by_holder(
            "a block proposed again without its prevotes",
            &["the prevotes in a proposal are not of more than 2/3 of the power"],
            |liar| {
                let again = |proposal: &mut Proposal| proposal.valid_round = Some(Round::ZERO);
                proposal_bytes(liar.signed(liar.block(Vec::new()), &liar.holder, again))
            },
        ),
    ]
}

/// A proposal in its proposer's turn, of its block after a change.
fn of_changed(liar: &Liar, change: impl FnOnce(&mut Block)) -> Vec<u8> {
    proposal_bytes(liar.proposal(liar.changed(change)))
}

/// Blocks that do not follow from the chain.
pub fn blocks() -> Vec<Case> {
    vec![
        by_holder("another parent", &["header field last_block_id is"], |liar| {
            of_changed(liar, |block| block.header.last_block_id = Some(no_block()))
        }),
        by_holder("another role table", &["header field validators_hash is"], |liar| {
            of_changed(liar, |block| block.header.validators_hash = no_block())
        }),
        by_holder("another next role table", &["header field next_validators_hash is"], |liar| {
            of_changed(liar, |block| block.header.next_validators_hash = no_block())
        }),
        by_holder("another state", &["header field app_hash is"], |liar| {
            of_changed(liar, |block| block.header.app_hash = no_block())
        }),
        by_holder("other results", &["header field last_results_hash is"], |liar| {
            of_changed(liar, |block| block.header.last_results_hash = no_block())
        }),
        by_holder("other limits", &["header field consensus_hash is"], |liar| {
            of_changed(liar, |block| block.header.consensus_hash = no_block())
        }),
        by_holder("another chain", &["header field chain_id is other"], |liar| {
            of_changed(liar, |block| block.header.chain_id = "other".parse().expect("an id"))
        }),
        by_holder("content that is not the header's", &["header field data_hash is"], |liar| {
            let mut block = liar.block(Vec::new());
            block.header.data_hash = no_block();
            proposal_bytes(liar.proposal(block))
        }),
        by_holder("its parent's time", &["header time is not later than the parent's"], |liar| {
            of_changed(liar, |block| block.header.time = liar.tip().time)
        }),
        by_holder("a time to come", &["header time is", "ahead of this node's clock"], |liar| {
            let minute = 60_000_000_000;
            of_changed(liar, |block| block.header.time = Timestamp(block.header.time.0 + minute))
        }),
        by_holder(
            "a record that calls the dead alive",
            &["liveness record differs: it does not follow from its observations"],
            |liar| {
                of_changed(liar, |block| {
                    let record = &mut block.record.record;
                    record.alive = record.alive.iter().map(|_| true).collect();
                })
            },
        ),
        by_holder(
            "a record that another has signed",
            &["liveness record: the signature is not that of key"],
            |liar| {
                let mut block = liar.block(Vec::new());
                block.record = block.record.record.sign(&liar.tip().chain_id, &liar.other);
                block.header.data_hash = comet::data_hash(&block.record, &block.txs);
                proposal_bytes(liar.proposal(block))
            },
        ),
        by_holder(
            "evidence that the accused has not signed",
            &["evidence: the signature is not that of key"],
            |liar| {
                let accused = liar.tip().next_table.validators()[0].key;
                let vote = |block| {
                    let vote = liar.vote(&stranger(), |vote| vote.block = block);
                    Vote { validator_address: accused.address(), ..vote }
                };
                let (one, two) = (vote(None), vote(Some(no_block())));
                let time = liar.tip().time;
                let evidence = Evidence::new(&one, &two, accused, Power(4), Power(1), time);
                of_changed(liar, |block| block.evidence = vec![evidence])
            },
        ),
    ]
}

/// Certificates for the block before in proposals.
pub fn certificates() -> Vec<Case> {
    vec![
        by_holder("a repeated signer", &["certificate: address of another validator"], |liar| {
            of_certified(liar, repeated(liar.certificate.clone()))
        }),
        by_holder("too little power", &["certificate: not more than 2/3 of the power"], |liar| {
            of_certified(liar, weak(liar.certificate.clone()))
        }),
        by_holder(
            "a flipped signature",
            &["certificate: the signature is not that of key"],
            |liar| of_certified(liar, flipped(liar.certificate.clone())),
        ),
        by_holder(
            "that of another block",
            &["certificate: it is not for the block before"],
            |liar| of_certified(liar, liar.certificate_before.clone()),
        ),
        by_holder("one without observations", &["not one observation per signature"], |liar| {
            of_changed(liar, |block| block.record.record.observations.clear())
        }),
    ]
}

fn of_certified(liar: &Liar, certificate: Certificate) -> Vec<u8> {
    of_changed(liar, |block| {
        block.last_commit = certificate.commit;
        block.record.record.observations = certificate.observations;
    })
}

fn of_txs(liar: &Liar, txs: Vec<Tx>) -> Vec<u8> {
    proposal_bytes(liar.proposal(liar.block(txs)))
}

/// Transactions in proposals.
pub fn transactions() -> Vec<Case> {
    vec![
        by_holder("bytes that are none", &["message cannot be decoded", "transaction"], |liar| {
            let tx = liar.tx(|_| ());
            let mut message = of_txs(liar, vec![tx.clone()]);
            let length = tx.bytes().len();
            let place = message.windows(length).position(|bytes| bytes == tx.bytes());
            let place = place.expect("a block holds its transactions' bytes");
            message[place..place + length].fill(0xff);
            message
        }),
        by_holder(
            "one that its sender has not signed",
            &["transaction: the signature is not that of key"],
            |liar| {
                let mut bytes = liar.tx(|_| ()).bytes().to_vec();
                *bytes.last_mut().expect("it has bytes") ^= 1;
                let forged = Tx::decode(bytes).expect("a signature is any 64 bytes");
                of_txs(liar, vec![forged])
            },
        ),
        by_holder("another chain's", &["transaction is for chain other"], |liar| {
            let tx = liar.tx(|body| body.chain_id = "other".parse().expect("an id"));
            of_txs(liar, vec![tx])
        }),
    ]
}

/// A proposal in round 0.
fn in_turn(what: &'static str, words: Words, make: fn(&Liar) -> Vec<u8>) -> Case {
    Case { in_turn: true, ..by_holder(what, words, make) }
}

fn of_txs_in_turn(liar: &Liar, txs: Vec<Tx>) -> Vec<u8> {
    let block = liar.block(txs);
    proposal_bytes(liar.signed(block, &liar.holder, |proposal| proposal.round = Round::ZERO))
}

/// Transactions in proposals that only the ledger can judge, which it does when their round is there.
pub fn transactions_in_turn() -> Vec<Case> {
    const REPEATED: Words = &["is in the chain already, or twice in one block"];
    vec![
        in_turn("an expired one", &["transaction expired at height 1,"], |liar| {
            of_txs_in_turn(liar, vec![liar.tx(|body| body.valid_until = Height(1))])
        }),
        in_turn("one that is valid for too long", &["transaction is valid until"], |liar| {
            let too_far = liar.height().plus(2 * MAX_TX_VALIDITY);
            of_txs_in_turn(liar, vec![liar.tx(|body| body.valid_until = too_far)])
        }),
        in_turn("one twice", REPEATED, |liar| {
            let tx = liar.tx(|_| ());
            of_txs_in_turn(liar, vec![tx.clone(), tx])
        }),
        in_turn("one that is in the chain", REPEATED, |liar| {
            of_txs_in_turn(liar, vec![liar.committed.clone()])
        }),
    ]
}

/// Answers to questions for blocks.
pub fn answers() -> Vec<Answer> {
    vec![
        Answer {
            what: "a certificate with a repeated signer",
            words: &["certificate: address of another validator"],
            make: |liar, first| of_fetched(liar, first, repeated),
        },
        Answer {
            what: "a certificate with too little power",
            words: &["certificate: not more than 2/3 of the power"],
            make: |liar, first| of_fetched(liar, first, weak),
        },
        Answer {
            what: "a certificate whose signatures are for another block",
            words: &["certificate: the signature is not that of key"],
            make: |liar, first| of_fetched(liar, first, |certificate| certificate),
        },
        Answer {
            what: "other blocks than were asked for",
            words: &["fetch from height", "the answer is not what was asked for"],
            make: |liar, first| of_fetched(liar, first.next(), |certificate| certificate),
        },
        Answer {
            what: "bytes that are no blocks",
            words: &["fetch from height", "the answer is not what was asked for"],
            make: |_, _| vec![0xff; 100],
        },
    ]
}

/// An answer of one block, whose certificate is changed.
fn of_fetched(liar: &Liar, first: Height, change: fn(Certificate) -> Certificate) -> Vec<u8> {
    let CertifiedBlock { block, certificate } = liar.fetched(first);
    let block = CertifiedBlock { block, certificate: change(certificate) };
    codec::encode(&(vec![block], Height(1)))
}
