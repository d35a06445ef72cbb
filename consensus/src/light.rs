//! Trust in a header far from what is known: the rule of CometBFT's light client.
//!
//! | from | to | what must hold |
//! |---|---|---|
//! | height h | h+1 | its validators are those that header h names as the next |
//! | height h, within the trust period | any later one | those of h that signed it have more than 1/3 of the power at h |
//! | height h | h-1 | header h names it as its parent |
//!
//! To every later height its own certificate belongs, by more than 2/3 of its own validators' power.
//! While a third of the power that was trusted has changed hands, the steps get smaller: [`Walk`]
//! halves the distance until one holds.
//!
//! What is trusted first is the genesis, or a height with its hash from somebody who is trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_chain::block::{CertifiedBlock, Commit, Header};
use tandem_chain::codec;
use tandem_chain::comet;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, Verifier};
use tandem_chain::limits::MAX_ORGS;
use tandem_chain::roles::RoleTable;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, ChainId, Hash, Height, Power, Timestamp};

use crate::validate::check_lengths;

/// How far a header's time may be ahead of this machine's clock: what light clients allow.
pub const MAX_CLOCK_DRIFT: Duration = Duration::from_secs(10);

/// Why a header is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// Something in it is wrong in itself.
    #[error("height {height}: {source}")]
    Wrong {
        /// Its height.
        height: Height,
        /// What.
        source: tandem_chain::Error,
    },
    /// It does not fit what is trusted, or what it came with.
    #[error("height {height}: {what}")]
    Unfit {
        /// Its height.
        height: Height,
        /// What.
        what: &'static str,
    },
    /// Too little of the power that is trusted has signed it: one nearer may do.
    #[error(
        "height {height} is signed by too little of the power at height {trusted}: a nearer one is \
         needed"
    )]
    TooFar {
        /// Its height.
        height: Height,
        /// The height that is trusted.
        trusted: Height,
    },
    /// What is trusted is so old that its validators may have given their keys away since.
    #[error(
        "what is trusted, height {trusted}, is older than the trust period: name a newer height and \
         its hash (--trust HEIGHT:HASH), as another member's node shows them"
    )]
    Expired {
        /// The height that is trusted.
        trusted: Height,
    },
}

/// A validator as a header's hash covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightValidator {
    /// Its key.
    pub key: PublicKey,
    /// Its voting power.
    pub power: Power,
}

/// The validators of a height, in CometBFT's order: all of a role table that headers cover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorSet {
    /// By validator index.
    #[serde(deserialize_with = "codec::list::<MAX_ORGS, _, _>")]
    pub validators: Vec<LightValidator>,
}

impl From<&RoleTable> for ValidatorSet {
    fn from(table: &RoleTable) -> Self {
        let light = table.validators().iter();
        let validators = light.map(|v| LightValidator { key: v.key, power: v.power });
        Self { validators: validators.collect() }
    }
}

impl ValidatorSet {
    /// CometBFT's hash of it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        comet::keys_hash(self.validators.iter().map(|v| (&v.key, v.power)))
    }

    fn total(&self) -> u128 {
        self.validators.iter().map(|v| u128::from(v.power.0)).sum()
    }

    /// The keys that have signed a certificate by this set: one entry each, with the validator's
    /// address at its index, and signed by it; of more than 2/3 of the power.
    fn signers(
        &self,
        verifier: &dyn Verifier,
        chain_id: &ChainId,
        commit: &Commit,
    ) -> Result<Vec<PublicKey>, tandem_chain::Error> {
        let refuse = |what| Err(tandem_chain::Error::Certificate { what });
        if commit.signatures.len() != self.validators.len() {
            return refuse("not one entry per validator");
        }
        let keys: BTreeSet<&PublicKey> = self.validators.iter().map(|v| &v.key).collect();
        if keys.len() != self.validators.len() {
            return refuse("a key stands twice among the validators");
        }
        let (mut power, mut signers) = (0, Vec::new());
        for (sig, validator) in commit.signatures.iter().zip(&self.validators) {
            let Some(sig) = sig else { continue };
            if sig.address != validator.key.address() {
                return refuse("address of another validator");
            }
            power += u128::from(validator.power.0);
            signers.push(validator.key);
        }
        if power * 3 <= self.total() * 2 {
            return refuse("not more than 2/3 of the power");
        }
        for (sig, validator) in commit.signatures.iter().zip(&self.validators) {
            let Some(sig) = sig else { continue };
            let bytes = commit.sign_bytes(chain_id, sig);
            if !verifier.verifies(&validator.key, &bytes, &sig.signature) {
                let (what, key) = ("certificate", validator.key);
                return Err(tandem_chain::Error::BadSignature { what, key });
            }
        }
        Ok(signers)
    }

    /// Whether these keys have more than 1/3 of the power.
    fn is_third(&self, keys: &[PublicKey]) -> bool {
        let powers: BTreeMap<&PublicKey, Power> =
            self.validators.iter().map(|v| (&v.key, v.power)).collect();
        let power: u128 =
            keys.iter().filter_map(|key| powers.get(key)).map(|p| u128::from(p.0)).sum();
        power * 3 > self.total()
    }
}

/// A header with its certificate and its validators: what trust in it is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightBlock {
    /// The header.
    pub header: Header,
    /// A certificate for it.
    pub commit: Commit,
    /// The validators of its height.
    pub validators: ValidatorSet,
}

impl LightBlock {
    fn unfit(&self, what: &'static str) -> LightError {
        LightError::Unfit { height: self.header.height, what }
    }

    /// The keys that signed it, when it is whole in itself.
    fn signers(
        &self,
        verifier: &dyn Verifier,
        chain_id: &ChainId,
    ) -> Result<Vec<PublicKey>, LightError> {
        let Self { header, commit, validators } = self;
        if header.chain_id != *chain_id {
            return Err(self.unfit("it is of another chain"));
        }
        if commit.height != header.height || commit.block != Some(header.id()) {
            return Err(self.unfit("its certificate is of another block"));
        }
        if validators.hash() != header.validators_hash {
            return Err(self.unfit("its validators are not those that its header names"));
        }
        let signers = validators.signers(verifier, chain_id, commit);
        signers.map_err(|source| LightError::Wrong { height: header.height, source })
    }
}

/// A header that is trusted, or the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    chain_id: ChainId,
    height: Height,
    time: Timestamp,
    /// None for the genesis.
    header: Option<Header>,
    validators: ValidatorSet,
    next_validators_hash: Hash,
}

impl Trusted {
    /// The genesis.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Self {
        let validators = ValidatorSet::from(&genesis.role_table());
        Self {
            chain_id: genesis.chain_id.clone(),
            height: Height::ZERO,
            time: genesis.genesis_time,
            header: None,
            next_validators_hash: validators.hash(),
            validators,
        }
    }

    /// A block whose hash somebody who is trusted has named.
    ///
    /// # Errors
    /// [`LightError`] when it has another hash, or is not whole in itself.
    pub fn named(
        verifier: &dyn Verifier,
        chain_id: &ChainId,
        hash: BlockId,
        block: &LightBlock,
    ) -> Result<Self, LightError> {
        if block.header.id() != hash {
            return Err(
                block.unfit("it is another block than the one with the hash that is trusted")
            );
        }
        block.signers(verifier, chain_id)?;
        Ok(Self::of(block))
    }

    fn of(block: &LightBlock) -> Self {
        let LightBlock { header, validators, .. } = block;
        Self {
            chain_id: header.chain_id.clone(),
            height: header.height,
            time: header.time,
            next_validators_hash: header.next_validators_hash,
            header: Some(header.clone()),
            validators: validators.clone(),
        }
    }

    /// Its height; 0 of the genesis.
    #[must_use]
    pub fn height(&self) -> Height {
        self.height
    }

    /// Its header; none of the genesis.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Trust in a later block.
    ///
    /// # Errors
    /// [`LightError`].
    pub fn advance(
        &self,
        verifier: &dyn Verifier,
        now: Timestamp,
        period: Duration,
        block: &LightBlock,
    ) -> Result<Self, LightError> {
        let header = &block.header;
        if self.time.plus(period) <= now {
            return Err(LightError::Expired { trusted: self.height });
        }
        if header.height <= self.height {
            return Err(block.unfit("it is not later than what is trusted"));
        }
        if header.time <= self.time {
            return Err(block.unfit("its time is not later than that of what is trusted"));
        }
        if header.time > now.plus(MAX_CLOCK_DRIFT) {
            return Err(block.unfit("its time is ahead of this machine's clock"));
        }
        let is_next = header.height == self.height.next();
        if is_next {
            let parent = self.header.as_ref().map(Header::id);
            if header.last_block_id != parent {
                return Err(block.unfit("its parent is not the block that is trusted"));
            }
            if header.validators_hash != self.next_validators_hash {
                return Err(block.unfit("its validators are not those that its parent names"));
            }
        }
        let signers = block.signers(verifier, &self.chain_id)?;
        if !is_next && !self.validators.is_third(&signers) {
            return Err(LightError::TooFar { height: header.height, trusted: self.height });
        }
        Ok(Self::of(block))
    }

    /// Trust in the block before, by the hash that the trusted header has of it.
    ///
    /// # Errors
    /// [`LightError::Unfit`].
    pub fn back(&self, block: &LightBlock) -> Result<Self, LightError> {
        let parent = self.header.as_ref().and_then(|header| header.last_block_id);
        if parent != Some(block.header.id()) {
            return Err(block.unfit("it is not the parent of the block that is trusted"));
        }
        if block.validators.hash() != block.header.validators_hash {
            return Err(block.unfit("its validators are not those that its header names"));
        }
        Ok(Self::of(block))
    }
}

/// The way from what is trusted to a height: which blocks to ask for, one after another.
#[derive(Clone, Debug)]
pub struct Walk {
    trusted: Trusted,
    target: Height,
    period: Duration,
    /// Blocks that were too far, the farthest first, with who sent them.
    ahead: Vec<(PublicKey, LightBlock)>,
    wanted: Height,
}

impl Walk {
    /// To `target`; each step to a later height within `period` of the time of what it starts from.
    #[must_use]
    pub fn new(trusted: Trusted, target: Height, period: Duration) -> Self {
        let wanted = if target < trusted.height { trusted.height.back(1) } else { target };
        Self { trusted, target, period, ahead: Vec::new(), wanted }
    }

    /// The height to ask for; none at the end.
    #[must_use]
    pub fn wanted(&self) -> Option<Height> {
        (self.trusted.height != self.target).then_some(self.wanted)
    }

    /// What is trusted by now.
    #[must_use]
    pub fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// Takes the block that was asked for.
    ///
    /// # Errors
    /// Who sent a block that is not to be trusted, and why; the walk goes on from where it is, without
    /// what was sent. After [`LightError::Expired`] it cannot.
    pub fn take(
        &mut self,
        verifier: &dyn Verifier,
        now: Timestamp,
        from: PublicKey,
        block: LightBlock,
    ) -> Result<(), (PublicKey, LightError)> {
        if block.header.height != self.wanted {
            return Err((from, block.unfit("another height was asked for")));
        }
        if self.target < self.trusted.height {
            self.trusted = self.trusted.back(&block).map_err(|error| (from, error))?;
            self.wanted = self.trusted.height.back(1).max(self.target);
            return Ok(());
        }
        self.ahead.push((from, block));
        while let Some((from, block)) = self.ahead.last() {
            match self.trusted.advance(verifier, now, self.period, block) {
                Ok(trusted) => self.trusted = trusted,
                Err(LightError::TooFar { .. }) => break,
                Err(error) => {
                    let from = *from;
                    self.ahead.pop();
                    self.set_wanted();
                    return Err((from, error));
                }
            }
            self.ahead.pop();
        }
        self.set_wanted();
        Ok(())
    }

    fn set_wanted(&mut self) {
        let (low, high) =
            (self.trusted.height.0, self.ahead.last().map(|(_, b)| b.header.height.0));
        self.wanted = high.map_or(self.target, |high| Height(low + (high - low) / 2));
    }
}

/// Checks the block at the tip of a state that was restored: its content by `above`, the header of the
/// next block, which is trusted; and its certificate, whose observations the next block is made with.
/// `before` is the role table of the height before; none at height 1.
///
/// # Errors
/// [`LightError`].
pub fn check_restored(
    verifier: &dyn Verifier,
    tip: &Tip,
    before: Option<&RoleTable>,
    above: &Header,
    certified: &CertifiedBlock,
) -> Result<(), LightError> {
    let CertifiedBlock { block, certificate } = certified;
    let height = tip.height;
    let unfit = |what| Err(LightError::Unfit { height, what });
    let id = block.id();
    if above.last_block_id != Some(id) || block.header.height != height {
        return unfit("it is not the parent of the block that is trusted");
    }
    if certificate.commit.block != Some(id) || certificate.commit.height != height {
        return unfit("its certificate is of another block");
    }
    let last = &block.last_commit;
    let is_of_parent = match before {
        None => *last == Commit::default(),
        Some(_) => last.block == block.header.last_block_id && last.height == height.back(1),
    };
    if !is_of_parent {
        return unfit("the certificate in it is not that of the block before");
    }
    let check = || {
        block.check_hashes()?;
        certificate.check_power(&tip.table)?;
        certificate.check_signatures(verifier, &tip.chain_id, &tip.table)?;
        check_lengths(&certificate.observations, tip.previous_register.nodes.len())?;
        if let Some(before) = before {
            last.check_power(before)?;
            last.check_signatures(verifier, &tip.chain_id, before)?;
        }
        block.evidence.iter().try_for_each(|e| e.verify(verifier, &tip.chain_id))
    };
    check().map_err(|source| LightError::Wrong { height, source })
}
