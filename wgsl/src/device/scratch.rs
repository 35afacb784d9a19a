//! A buffer that is kept between jobs.

use super::{Buffer, Gpu, GpuError};

/// Device memory that grows when a job needs more and is used again by the next one. What it holds is of no meaning
/// outside the words a job has written itself.
#[derive(Debug)]
pub struct Scratch {
    label: &'static str,
    buffer: Option<Buffer>,
}

impl Scratch {
    /// Nothing yet.
    pub const fn new(label: &'static str) -> Scratch {
        Scratch {
            label,
            buffer: None,
        }
    }

    /// A buffer of at least `words` words: the one there is, or a new one of the next power of two as far as the
    /// device allows.
    pub fn at_least(&mut self, gpu: &Gpu, words: u64) -> Result<&Buffer, GpuError> {
        const LEAST: u64 = 64;
        let buffer = match self.buffer.take() {
            Some(buffer) if buffer.words() >= words => buffer,
            smaller => {
                // Given back before more is asked for.
                drop(smaller);
                let most = gpu.profile().binding_bytes / 4;
                let round = words.max(LEAST).next_power_of_two().min(most);
                gpu.buffer(self.label, round.max(words))?
            }
        };
        Ok(self.buffer.insert(buffer))
    }

    /// Uploads `data` to the start of the buffer.
    pub fn filled(&mut self, gpu: &Gpu, data: &[u32]) -> Result<&Buffer, GpuError> {
        let buffer = self.at_least(gpu, data.len() as u64)?;
        gpu.upload(buffer, 0, data)?;
        Ok(buffer)
    }
}
