//! Recent blocks, and news of new ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::broadcast;

use crate::BlockSummary;

/// Blocks kept for the page.
const KEPT: usize = 64;
/// Events a subscriber may lag behind before it is cut off.
const BACKLOG: usize = 64;

/// The last blocks and a channel of new ones. Publishing never waits for a subscriber: one that lags too far is cut
/// off, reconnects and reads what it missed from `/dashboard`.
#[derive(Debug)]
pub struct Feed {
    recent: Mutex<VecDeque<Arc<BlockSummary>>>,
    events: broadcast::Sender<Arc<BlockSummary>>,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed {
            recent: Mutex::new(VecDeque::with_capacity(KEPT)),
            events: broadcast::Sender::new(BACKLOG),
        }
    }
}

impl Feed {
    /// An empty feed.
    pub fn new() -> Feed {
        Feed::default()
    }

    /// Adds a block and tells all subscribers.
    pub fn publish(&self, block: BlockSummary) {
        let block = Arc::new(block);
        let mut recent = self.lock();
        if recent.len() == KEPT {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&block));
        // No receiver is not a failure: nobody is watching.
        let _ = self.events.send(block);
    }

    /// The kept blocks, newest first.
    pub fn recent(&self) -> Vec<Arc<BlockSummary>> {
        self.lock().iter().rev().cloned().collect()
    }

    /// Blocks published from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<BlockSummary>> {
        self.events.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<BlockSummary>>> {
        self.recent
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
