//! Machine code in memory.

use std::io;

use ffcm::cpu::native::{Code, Function};
use memmap2::{Mmap, MmapMut};

use super::Image;

/// An image that can be called. The memory is written first and made executable then, never both at once.
pub struct Placed {
    functions: Vec<Option<Function>>,
    map: Option<Mmap>,
}

impl Placed {
    /// Places an image. Every door of it lies within its code.
    pub fn new(image: &Image) -> io::Result<Placed> {
        if image.code.is_empty() {
            return Ok(Placed {
                functions: vec![None; image.doors.len()],
                map: None,
            });
        }
        let map = executable(&image.code)?;
        let base = map.as_ptr();
        let place = |door: super::Door| {
            let at = door.at as usize;
            assert!(at < map.len(), "a door lies within the code");
            // SAFETY: it was written as a function of this type, and stands at the same distance from all that it calls.
            let code = unsafe { std::mem::transmute::<*const u8, Code>(base.add(at)) };
            Function {
                code,
                outs: door.outs,
            }
        };
        Ok(Placed {
            functions: image.doors.iter().map(|door| door.map(place)).collect(),
            map: Some(map),
        })
    }

    /// The function for an entry. It can be called as long as this value lives.
    #[inline(always)]
    pub fn function(&self, entry: u32) -> Option<Function> {
        self.functions.get(entry as usize).copied().flatten()
    }

    /// How many functions there are.
    pub fn functions(&self) -> usize {
        self.functions.iter().flatten().count()
    }

    /// Bytes of code.
    pub fn bytes(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }
}

/// Places code, which is not empty.
pub(super) fn executable(code: &[u8]) -> io::Result<Mmap> {
    let mut writable = MmapMut::map_anon(code.len())?;
    writable.copy_from_slice(code);
    let map = writable.make_exec()?;
    // SAFETY: the range is that of the map.
    unsafe {
        wasmtime_internal_jit_icache_coherence::clear_cache(map.as_ptr().cast(), map.len())
            .map_err(io::Error::other)?;
    }
    wasmtime_internal_jit_icache_coherence::pipeline_flush_mt().map_err(io::Error::other)?;
    Ok(map)
}
