//! Copies between the host and the device through memory that the device can reach by itself.
//!
//! A few pieces of such memory are used in turn. Many small uploads share a piece, so that they do
//! not wait for each other; a piece is written again by the host only when an event tells that the
//! device has done all copies from it. Everything is on one stream: a copy to a piece comes after
//! earlier copies from it without anybody waiting.

use super::context::Context;
use super::raw::{Address, Handle};
use super::status::Refusal;
use crate::device::CudaError;

/// Bytes of a piece. Copies of this size reach the speed of the bus.
const PIECE: usize = 4 << 20;
const PIECES: usize = 4;
/// Uploads in a piece start at multiples of this.
const ALIGNMENT: usize = 64;

/// Where the next bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Turns {
    piece: usize,
    used: usize,
    /// Pieces that the device may still copy from.
    busy: [bool; PIECES],
}

/// A place for some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    piece: usize,
    offset: usize,
    bytes: usize,
    /// The piece's event has to have happened first.
    wait: bool,
}

impl Turns {
    fn new() -> Turns {
        Turns {
            piece: 0,
            used: 0,
            busy: [false; PIECES],
        }
    }

    /// A place for the next bytes of `left`, of which there is one at least: for all of them, or
    /// for a whole piece.
    fn place(&mut self, left: usize) -> Place {
        debug_assert!(left > 0);
        let bytes = left.min(PIECE);
        let mut wait = false;
        if PIECE - self.used < bytes {
            self.piece = (self.piece + 1) % PIECES;
            self.used = 0;
            wait = std::mem::take(&mut self.busy[self.piece]);
        }
        let offset = self.used;
        self.used = (self.used + bytes).next_multiple_of(ALIGNMENT).min(PIECE);
        Place {
            piece: self.piece,
            offset,
            bytes,
            wait,
        }
    }
}

struct Piece {
    memory: *mut u8,
    event: Handle,
}

/// The pieces, taken when first needed.
pub struct Staging {
    pieces: Vec<Piece>,
    turns: Turns,
}

// SAFETY: the memory is nobody else's, and the driver's functions may be called from any thread.
unsafe impl Send for Staging {}

impl Staging {
    pub fn new() -> Staging {
        Staging {
            pieces: Vec::new(),
            turns: Turns::new(),
        }
    }

    fn prepare(&mut self, context: &Context) -> Result<(), CudaError> {
        while self.pieces.len() < PIECES {
            let event = context.event_create(false).map_err(Refusal::working)?;
            match context.alloc_host(PIECE) {
                Ok(memory) => self.pieces.push(Piece { memory, event }),
                Err(refusal) => {
                    log(context.event_destroy(event));
                    return Err(refusal.allocating("memory of the host for copies", PIECE as u64));
                }
            }
        }
        Ok(())
    }

    /// Queues a copy to the device. The data has been copied away when this returns.
    pub fn upload(
        &mut self,
        context: &Context,
        stream: Handle,
        address: Address,
        data: &[u8],
    ) -> Result<(), CudaError> {
        let done = self.send(context, stream, address, data);
        self.settled(context, stream, done)
    }

    /// Waits for everything queued before and copies to the host.
    pub fn download(
        &mut self,
        context: &Context,
        stream: Handle,
        address: Address,
        data: &mut [u8],
    ) -> Result<(), CudaError> {
        let done = self.fetch(context, stream, address, data);
        self.settled(context, stream, done)
    }

    /// A result; after a failure nothing queued uses the pieces any more, whether or not an event
    /// tells of it.
    fn settled(
        &mut self,
        context: &Context,
        stream: Handle,
        done: Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        done.inspect_err(|_| match context.stream_synchronize(stream) {
            Ok(()) => self.turns = Turns::new(),
            // Then nothing runs on the device any more.
            Err(error) => tracing::warn!(%error, "CUDA: after a failed copy"),
        })
    }

    fn send(
        &mut self,
        context: &Context,
        stream: Handle,
        address: Address,
        data: &[u8],
    ) -> Result<(), CudaError> {
        self.prepare(context)?;
        let mut done = 0;
        while done < data.len() {
            let place = self.turns.place(data.len() - done);
            let piece = &self.pieces[place.piece];
            if place.wait {
                context
                    .event_synchronize(piece.event)
                    .map_err(Refusal::working)?;
            }
            let part = &data[done..done + place.bytes];
            debug_assert!(place.offset + part.len() <= PIECE);
            // SAFETY: the place lies within the piece, and no copy that is queued reads it: the
            // event of the last one of the piece's turn before has happened, and within a turn
            // places do not overlap.
            let from = unsafe {
                let from = piece.memory.add(place.offset);
                std::ptr::copy_nonoverlapping(part.as_ptr(), from, part.len());
                from
            };
            // Marked before, so that the piece is taken for busy whatever fails from here.
            self.turns.busy[place.piece] = true;
            // SAFETY: the place is not written again before the event recorded next has happened.
            unsafe { context.copy_in(address + done as u64, from, part.len(), stream) }
                .map_err(Refusal::working)?;
            context
                .event_record(piece.event, stream)
                .map_err(Refusal::working)?;
            done += place.bytes;
        }
        Ok(())
    }

    fn fetch(
        &mut self,
        context: &Context,
        stream: Handle,
        address: Address,
        data: &mut [u8],
    ) -> Result<(), CudaError> {
        self.prepare(context)?;
        let total = data.len();
        let parts = total.div_ceil(PIECE);
        let mut waiting = data.chunks_mut(PIECE).enumerate();
        // Part `i` is in piece `i % PIECES`; it is queued `PIECES` parts before it is waited for.
        for ahead in 0..parts + PIECES {
            if ahead >= PIECES
                && let Some((part, target)) = waiting.next()
            {
                debug_assert_eq!(part + PIECES, ahead);
                self.receive(context, part % PIECES, target)?;
            }
            if ahead < parts {
                let piece = &self.pieces[ahead % PIECES];
                let start = ahead * PIECE;
                let bytes = PIECE.min(total - start);
                self.turns.busy[ahead % PIECES] = true;
                // SAFETY: uploads from the piece come before on the stream. The host read the part
                // that was here before, and reads this one after the event recorded next.
                unsafe { context.copy_out(piece.memory, address + start as u64, bytes, stream) }
                    .map_err(Refusal::working)?;
                context
                    .event_record(piece.event, stream)
                    .map_err(Refusal::working)?;
            }
        }
        // The last event came after everything else that used the pieces.
        self.turns = Turns::new();
        Ok(())
    }

    fn receive(&self, context: &Context, piece: usize, target: &mut [u8]) -> Result<(), CudaError> {
        let piece = &self.pieces[piece];
        context
            .event_synchronize(piece.event)
            .map_err(Refusal::working)?;
        debug_assert!(target.len() <= PIECE);
        // SAFETY: the device has written as many bytes, and the event tells that it is done.
        unsafe {
            std::ptr::copy_nonoverlapping(piece.memory, target.as_mut_ptr(), target.len());
        }
        Ok(())
    }

    /// Gives the pieces back. Nothing that is queued uses them any more.
    pub fn release(&mut self, context: &Context) {
        for piece in self.pieces.drain(..) {
            log(context.event_destroy(piece.event));
            log(context.free_host(piece.memory));
        }
    }
}

fn log(done: Result<(), Refusal>) {
    if let Err(error) = done {
        tracing::warn!(%error, "CUDA: memory for copies is not given back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places for these sizes, one after the other, each whole.
    fn places(turns: &mut Turns, sizes: &[usize]) -> Vec<Place> {
        let mut all = Vec::new();
        for &size in sizes {
            let mut left = size;
            while left > 0 {
                let place = turns.place(left);
                turns.busy[place.piece] = true;
                left -= place.bytes;
                all.push(place);
            }
        }
        all
    }

    #[test]
    fn small_copies_share_a_piece_and_wait_for_nothing() {
        let mut turns = Turns::new();
        let found = places(&mut turns, &[10, 64, 1, 100]);
        let offsets: Vec<_> = found.iter().map(|place| place.offset).collect();
        assert_eq!(offsets, [0, 64, 128, 192]);
        assert!(found.iter().all(|place| place.piece == 0 && !place.wait));
    }

    #[test]
    fn large_copies_take_whole_pieces_in_turn_and_wait_from_the_second_round() {
        let mut turns = Turns::new();
        let found = places(&mut turns, &[PIECE * (PIECES + 1) + 5]);
        assert_eq!(found.len(), PIECES + 2);
        for (at, place) in found.iter().enumerate() {
            assert_eq!((place.piece, place.offset), (at % PIECES, 0));
            assert_eq!(place.wait, at >= PIECES, "{at}");
        }
        assert_eq!(found[PIECES + 1].bytes, 5);
    }

    #[test]
    fn no_place_reaches_beyond_its_piece_or_into_another_of_its_turn() {
        let mut turns = Turns::new();
        let sizes: Vec<usize> = (0..200)
            .map(|i| 1 + i * 7919 % (PIECE + PIECE / 3))
            .collect();
        let mut end = 0;
        let mut piece = 0;
        for place in places(&mut turns, &sizes) {
            assert!(place.offset + place.bytes <= PIECE);
            if place.piece == piece {
                assert!(place.offset >= end, "{place:?}");
            } else {
                assert_eq!((place.piece, place.offset), ((piece + 1) % PIECES, 0));
            }
            (piece, end) = (place.piece, place.offset + place.bytes);
        }
    }
}
