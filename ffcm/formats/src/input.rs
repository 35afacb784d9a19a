//! Bytes in, decompressed, counted and cut into lines.

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use crate::{FormatError, Limits, LineError};

/// Read buffer; also how much of a file [`Input::peek`] sees at most.
const BUFFER_BYTES: usize = 1 << 16;

/// A file being read.
pub(crate) struct Input<'a> {
    reader: BufReader<Counted<Box<dyn Read + 'a>>>,
    gzip: bool,
    limits: Limits,
    /// Lines read so far.
    line: u64,
    buffer: Vec<u8>,
}

impl<'a> Input<'a> {
    /// Opens a plain or gzipped stream.
    pub(crate) fn new(reader: impl Read + 'a, limits: &Limits) -> Result<Input<'a>, FormatError> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        let head = reader.fill_buf().map_err(FormatError::Io)?;
        let gzip = head.starts_with(&[0x1f, 0x8b]);
        match head {
            [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(FormatError::Compression("xz")),
            [0x04, 0x22, 0x4d, 0x18, ..] => return Err(FormatError::Compression("lz4")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(FormatError::Compression("zstd")),
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => {
                return Err(FormatError::Compression("bzip2"));
            }
            _ => {}
        }
        let inner: Box<dyn Read + 'a> = if gzip {
            Box::new(MultiGzDecoder::new(reader))
        } else {
            Box::new(reader)
        };
        let counted = Counted {
            inner,
            left: limits.bytes,
            limit: limits.bytes,
        };
        Ok(Input {
            reader: BufReader::with_capacity(BUFFER_BYTES, counted),
            gzip,
            limits: *limits,
            line: 0,
            buffer: Vec::new(),
        })
    }

    /// The next bytes, not consumed.
    pub(crate) fn peek(&mut self) -> Result<&[u8], FormatError> {
        // Filled in two steps: what is buffered borrows the reader for as long as it is returned.
        if let Err(error) = self.reader.fill_buf() {
            return Err(self.explain(error));
        }
        Ok(self.reader.buffer())
    }

    /// Number of the line last read, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The next line without its end (LF or CRLF), or `None` at the end of the file.
    pub(crate) fn next_line(&mut self) -> Result<Option<&str>, FormatError> {
        self.buffer.clear();
        let most = self.limits.line_bytes;
        // One byte for LF, and one by which the line is seen to be too long.
        let mut limited = (&mut self.reader).take(most as u64 + 2);
        if let Err(error) = limited.read_until(b'\n', &mut self.buffer) {
            return Err(self.explain(error));
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let mut line = self.buffer.as_slice();
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.line == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let at = FormatError::at(self.line);
        if line.len() > most {
            return Err(at(LineError::TooLong(most)));
        }
        std::str::from_utf8(line)
            .map(Some)
            .map_err(|_| at(LineError::NotUtf8))
    }

    /// Fills `bytes` as far as the file goes; how far that was.
    pub(crate) fn read_up_to(&mut self, bytes: &mut [u8]) -> Result<usize, FormatError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.explain(error)),
            }
        }
        Ok(filled)
    }

    /// The rest of the file, of at most `most` bytes.
    pub(crate) fn read_text(&mut self, most: u64) -> Result<String, FormatError> {
        let mut bytes = Vec::new();
        if let Err(error) = (&mut self.reader).take(most + 1).read_to_end(&mut bytes) {
            return Err(self.explain(error));
        }
        if bytes.len() as u64 > most {
            return Err(FormatError::Limit {
                what: "bytes",
                limit: most,
            });
        }
        String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count() as u64;
            FormatError::Line {
                line,
                error: LineError::NotUtf8,
            }
        })
    }

    fn explain(&self, error: io::Error) -> FormatError {
        if let Some(reached) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<ByteLimit>())
        {
            return FormatError::Limit {
                what: "bytes",
                limit: reached.0,
            };
        }
        match error.kind() {
            ErrorKind::UnexpectedEof if self.gzip => FormatError::GzipTruncated,
            ErrorKind::InvalidData | ErrorKind::InvalidInput if self.gzip => {
                FormatError::GzipDamaged(error)
            }
            _ => FormatError::Io(error),
        }
    }
}

/// Fails once more than `limit` bytes came through.
struct Counted<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(ByteLimit(self.limit))),
        }
        Ok(count)
    }
}

/// Marks the error of [`Counted`].
#[derive(Debug)]
struct ByteLimit(u64);

impl fmt::Display for ByteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} bytes", self.0)
    }
}

impl Error for ByteLimit {}
