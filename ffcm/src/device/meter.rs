//! What a device tells besides doing jobs: what goes over the wire and how long that takes, how fast it copies, and how
//! fast its atomics are.

use std::time::Duration;

use crate::coprocessor::JobError;

/// Words that atomics are added to: a table of 8 MiB, at random places of which few additions meet.
pub const TABLE_WORDS: u32 = 1 << 21;

/// Atomic additions of each thread.
pub const ADDITIONS: u32 = 64;

/// What has gone between host and device since the device was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Bytes to the device.
    pub uploaded: u64,
    /// Bytes back.
    pub read_back: u64,
    /// Time of the copies to the device that were [timed](Meter::time_transfers).
    pub upload_time: Duration,
    /// Time of those back.
    pub read_time: Duration,
}

impl Transfers {
    /// What came in between two looks.
    #[must_use]
    pub fn since(self, before: Transfers) -> Transfers {
        Transfers {
            uploaded: self.uploaded.saturating_sub(before.uploaded),
            read_back: self.read_back.saturating_sub(before.read_back),
            upload_time: self.upload_time.saturating_sub(before.upload_time),
            read_time: self.read_time.saturating_sub(before.read_time),
        }
    }
}

/// A device under measurement. Times are the shortest of some rounds, and never zero.
pub trait Meter: Send + Sync {
    /// What went over the wire so far.
    fn transfers(&self) -> Transfers;

    /// From now on each copy between host and device is timed, or no longer. A timed copy has the wire for itself: the host
    /// waits for what was submitted before, and for the copy, so that jobs take longer than otherwise. False where
    /// copies cannot be told apart; then nothing changes.
    fn time_transfers(&self, on: bool) -> bool;

    /// Most words of a buffer that is copied.
    fn most_words(&self) -> u64;

    /// Time of `copies` copies of `words` words from buffer to buffer; the last word of each round is checked.
    ///
    /// # Errors
    ///
    /// What the device says, or that it copied something else.
    fn time_copies(&self, words: u64, copies: u32, rounds: u32) -> Result<Duration, JobError>;

    /// Time to copy `words` words to the device, and that to copy them back. The words are checked.
    ///
    /// # Errors
    ///
    /// What the device says, or that it copied something else; where copies cannot be told apart.
    fn time_wire(&self, words: u64, rounds: u32) -> Result<(Duration, Duration), JobError>;

    /// Time in which `threads` threads make [`ADDITIONS`] atomic additions each, to pseudo-random words of a table of
    /// [`TABLE_WORDS`]. The additions are counted afterwards. `threads` is rounded up to whole workgroups.
    ///
    /// # Errors
    ///
    /// What the device says, or that an addition was lost.
    fn time_atomics(&self, threads: u32, rounds: u32) -> Result<Duration, JobError>;
}

/// 1, 2, 3, …: what is copied, so that the last word tells whether all of them came.
pub fn pattern(words: u64) -> Vec<u32> {
    (0..words).map(|word| word as u32 + 1).collect()
}

/// Whether `found` is the last word of a [`pattern`].
///
/// # Errors
///
/// [`JobError::Device`] if not.
pub fn check_last(found: Option<&u32>, words: u64) -> Result<(), JobError> {
    match found == pattern_last(words).as_ref() {
        true => Ok(()),
        false => Err(wrong("a copy gave something else")),
    }
}

fn pattern_last(words: u64) -> Option<u32> {
    words.checked_sub(1).map(|last| last as u32 + 1)
}

/// Whether a table of counters holds so many additions in sum.
///
/// # Errors
///
/// [`JobError::Device`] if not.
pub fn check_additions(table: &[u32], additions: u64) -> Result<(), JobError> {
    match table.iter().copied().map(u64::from).sum::<u64>() == additions {
        true => Ok(()),
        false => Err(wrong("an atomic addition was lost")),
    }
}

fn wrong(what: &str) -> JobError {
    JobError::Device(what.into())
}

/// The shortest time that `run` tells, of `rounds` after one to warm up.
///
/// # Errors
///
/// The first one of `run`.
pub fn shortest(
    rounds: u32,
    mut run: impl FnMut() -> Result<Duration, JobError>,
) -> Result<Duration, JobError> {
    run()?;
    let mut best = Duration::MAX;
    for _ in 0..rounds.max(1) {
        best = best.min(run()?);
    }
    // A clock may show nothing.
    Ok(best.max(Duration::from_nanos(1)))
}

/// Runs `copy` with copies timed: what went over the wire, and its time. Then copies are no longer timed.
///
/// # Errors
///
/// Those of `copy`; [`JobError::NotSupported`] where copies cannot be told apart.
pub fn timed<T>(
    meter: &(impl Meter + ?Sized),
    copy: impl FnOnce() -> Result<T, JobError>,
) -> Result<(T, Transfers), JobError> {
    if !meter.time_transfers(true) {
        return Err(JobError::NotSupported {
            backend: "this device".into(),
            job: "timing of copies",
        });
    }
    let before = meter.transfers();
    let copied = copy();
    let transfers = meter.transfers().since(before);
    meter.time_transfers(false);
    Ok((copied?, transfers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_sums_are_checked() {
        assert_eq!(pattern(3), [1, 2, 3]);
        assert!(check_last(Some(&3), 3).is_ok() && check_last(None, 0).is_ok());
        assert!(check_last(Some(&2), 3).is_err() && check_last(None, 3).is_err());
        assert!(check_additions(&[2, 0, 3], 5).is_ok());
        assert!(check_additions(&[2, 0, 3], 6).is_err());
    }

    #[test]
    fn the_shortest_of_all_but_the_first_counts() {
        let mut times = [1, 9, 5, 7].map(Duration::from_secs).into_iter();
        let best = shortest(3, || Ok(times.next().expect("four")));
        assert_eq!(best.ok(), Some(Duration::from_secs(5)));
        let zero = shortest(1, || Ok(Duration::ZERO));
        assert_eq!(zero.ok(), Some(Duration::from_nanos(1)));
        assert!(shortest(1, || Err(wrong("it"))).is_err());
    }

    #[test]
    fn what_came_in_between_never_wraps() {
        let at = |n: u64| Transfers {
            uploaded: n,
            read_back: 2 * n,
            upload_time: Duration::from_secs(n),
            read_time: Duration::from_secs(3 * n),
        };
        assert_eq!(at(5).since(at(2)), at(3));
        assert_eq!(at(2).since(at(5)), at(0));
    }
}
