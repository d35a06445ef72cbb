//! Answers to peers' questions about snapshots.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tandem_chain::genesis::Genesis;
use tandem_chain::types::{Hash, Height};
use tandem_chain::{Error as ChainError, codec};
use tracing::warn;

use super::take::light_block;
use super::wire::{MAX_OFFERS, Offer, Offers, Question};
use super::{Folder, Shelf};
use crate::storage::Database;

/// Answers from the snapshots of this node. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Server {
    genesis: Arc<Genesis>,
    shelf: Shelf,
    /// The folders that are open, by height; none for one that cannot be opened.
    open: Arc<Mutex<BTreeMap<Height, Option<Arc<Folder>>>>>,
}

impl Server {
    /// Of the snapshots in `shelf`.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>, shelf: Shelf) -> Self {
        Self { genesis, shelf, open: Arc::default() }
    }

    /// The answer to a question: empty when this node does not have what is asked for.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`] when the database fails.
    pub fn answer(&self, db: &Database, question: Question) -> Result<Vec<u8>, ChainError> {
        match question {
            Question::List => Ok(codec::encode(&Offers(self.list()))),
            Question::Light(height) => {
                let light = light_block(db, &self.genesis, height)?;
                Ok(light.map(|light| codec::encode(&light)).unwrap_or_default())
            }
            Question::Manifest(hash) => {
                Ok(self.folder(&hash).map(|folder| folder.manifest().encode()).unwrap_or_default())
            }
            Question::Chunk(hash, index) => {
                let Some(folder) = self.folder(&hash) else { return Ok(Vec::new()) };
                Ok(folder.packed(index).unwrap_or_else(|error| {
                    warn!(%error, "a chunk that a peer asks for is not to be had");
                    Vec::new()
                }))
            }
        }
    }

    fn list(&self) -> Vec<Offer> {
        let offer = |folder: &Arc<Folder>| Offer {
            height: folder.manifest().height(),
            manifest: folder.hash(),
            chunks: folder.chunks(),
        };
        self.folders().iter().map(offer).collect()
    }

    /// The snapshots that there are now, the newest first: at most [`MAX_OFFERS`].
    #[must_use]
    pub fn folders(&self) -> Vec<Arc<Folder>> {
        let heights = self.shelf.heights().unwrap_or_else(|error| {
            warn!(%error, "the folder of snapshots cannot be read");
            Vec::new()
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|height, _| heights.contains(height));
        for height in heights.into_iter().take(MAX_OFFERS) {
            open.entry(height).or_insert_with(|| match self.shelf.open(height) {
                Ok(folder) => Some(Arc::new(folder)),
                Err(error) => {
                    warn!(%error, "a snapshot is not offered");
                    None
                }
            });
        }
        open.values().rev().flatten().take(MAX_OFFERS).cloned().collect()
    }

    fn folder(&self, hash: &Hash) -> Option<Arc<Folder>> {
        let is_it = |folder: &&Arc<Folder>| folder.hash() == *hash;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open.values().flatten().find(is_it).cloned();
        drop(open);
        found.or_else(|| self.folders().iter().find(is_it).cloned())
    }
}
