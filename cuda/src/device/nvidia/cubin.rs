//! What a binary of the compiler says of its kernels, beyond the compiler's log.

/// The most threads of a block of a kernel, as its `__launch_bounds__` say; none if there are none,
/// or the image is no such binary.
///
/// The binary is an ELF file of 64 bits. Attributes of a kernel lie in the section `.nv.info.NAME`,
/// each with a format, a name and a length or a short value. Format 4 has 16 bits of length and as
/// many bytes; the attribute 5 of that format has the most threads in x, y and z.
pub fn max_threads(image: &[u8], kernel: &str) -> Option<u32> {
    const SIZED: u8 = 4;
    const MAX_THREADS: u8 = 5;
    let mut rest = section(image, &format!(".nv.info.{kernel}"))?;
    loop {
        let (format, name, value) = (*rest.first()?, *rest.get(1)?, number(rest, 2, 2)?);
        let length = match format {
            SIZED => usize::try_from(value).ok()?,
            _ => 0,
        };
        let content = rest.get(4..)?.get(..length)?;
        if (format, name) == (SIZED, MAX_THREADS) {
            let axis = |at| u32::try_from(number(content, at, 4)?).ok();
            return axis(0)?.checked_mul(axis(4)?)?.checked_mul(axis(8)?);
        }
        rest = rest.get(4 + length..)?;
    }
}

/// A little-endian number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    Some(bytes.iter().rev().fold(0, digit))
}

/// Like [`number`], for a place in memory.
fn place(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    usize::try_from(number(bytes, at, length)?).ok()
}

/// The bytes of a section.
fn section<'a>(image: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if !image.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let start = place(image, 0x28, 8)?;
    let size = place(image, 0x3a, 2)?;
    let count = place(image, 0x3c, 2)?;
    let header = |index: usize| {
        let at = start.checked_add(index.checked_mul(size)?)?;
        image.get(at..at.checked_add(size)?)
    };
    let content = |header: &[u8]| {
        let (at, length) = (place(header, 0x18, 8)?, place(header, 0x20, 8)?);
        image.get(at..at.checked_add(length)?)
    };
    let names = content(header(place(image, 0x3e, 2)?)?)?;
    (0..count).find_map(|index| {
        let header = header(index)?;
        let own = names.get(place(header, 0, 4)?..)?;
        let own = own.split(|&byte| byte == 0).next()?;
        if own != name.as_bytes() {
            return None;
        }
        content(header)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one section beside that of the names.
    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 64];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let names = [b"\0", name.as_bytes(), b"\0"].concat();
        let sections = [(0_u32, &names[..]), (1, content)];
        let mut headers = Vec::new();
        for (at_name, content) in sections {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&at_name.to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(image.len() as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(content.len() as u64).to_le_bytes());
            headers.extend(header);
            image.extend(content);
        }
        let start = image.len() as u64;
        image[0x28..0x30].copy_from_slice(&start.to_le_bytes());
        image[0x3a] = 64;
        image[0x3c] = 2;
        image.extend(headers);
        image
    }

    #[test]
    fn the_attribute_is_found_behind_others() {
        let mut content = vec![3, 0x1b, 255, 0, 4, 0x0a, 3, 0, 9, 9, 9, 4, 5, 12, 0];
        for axis in [64_u32, 2, 1] {
            content.extend(axis.to_le_bytes());
        }
        let image = file(".nv.info.kernel", &content);
        assert_eq!(max_threads(&image, "kernel"), Some(128));
        assert_eq!(max_threads(&image, "other"), None);
        assert_eq!(
            max_threads(&file(".nv.info.kernel", &content[..11]), "kernel"),
            None
        );
    }

    #[test]
    fn damaged_files_say_nothing() {
        let content = [4, 5, 12, 0, 64, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        let image = file(".nv.info.k", &content);
        assert_eq!(max_threads(&image, "k"), Some(64));
        for end in 0..image.len() - 64 {
            assert_eq!(max_threads(&image[..end], "k"), None, "{end}");
        }
        // No byte may lead beyond the file.
        for at in 0..image.len() {
            let mut damaged = image.clone();
            damaged[at] = 0xff;
            max_threads(&damaged, "k");
        }
        assert_eq!(max_threads(b"// PTX\0", "k"), None);
    }
}
