//! Compiled units on disk. A cache that fails costs time and nothing else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Before the checksum. The number changes with the format.
const MAGIC: &[u8] = b"focus flow compiled kernel 1\n";
const MAX_FILES: usize = 256;
const MAX_BYTES: u64 = 64 << 20;
/// An entry beyond this is not read: none that was written is as large.
const MAX_ENTRY: u64 = 16 << 20;
const ENDING: &str = "image";

/// A folder of entries, each named by the digest of what it was made from.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The user's, if the environment tells where: `ffcm/cuda` in the folder for caches of the
    /// system.
    pub fn of_user() -> Option<Cache> {
        let folder = user_folder(|name| std::env::var_os(name).map(PathBuf::from))?;
        Some(Cache {
            folder: folder.join("ffcm").join("cuda"),
        })
    }

    fn path(&self, key: &blake3::Hash) -> PathBuf {
        self.folder.join(format!("{}.{ENDING}", key.to_hex()))
    }

    /// The entry, if it is there and whole. One that is damaged is removed.
    pub fn get(&self, key: &blake3::Hash) -> Option<Vec<u8>> {
        let path = self.path(key);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a compiled kernel cannot be read");
                return None;
            }
        };
        let Some(image) = open(key, &bytes) else {
            tracing::warn!(path = %path.display(), "a compiled kernel is damaged; it is compiled anew");
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "it cannot be removed");
            }
            return None;
        };
        // Entries that are used are kept longest. Where that cannot be noted, they are kept as long
        // as others.
        let touched = File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(%error, path = %path.display(), "the time of use is not noted");
        }
        Some(image)
    }

    /// Adds an entry, and removes the oldest where there are too many.
    pub fn put(&self, key: &blake3::Hash, image: &[u8]) {
        if image.len() as u64 > MAX_ENTRY - 1024 {
            return;
        }
        if let Err(error) = self.write(key, image).and_then(|()| self.prune()) {
            tracing::warn!(%error, folder = %self.folder.display(), "a compiled kernel is not kept");
        }
    }

    fn write(&self, key: &blake3::Hash, image: &[u8]) -> io::Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(&self.folder)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{}.{count}.tmp", key.to_hex(), std::process::id());
        let unfinished = self.folder.join(name);
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(&seal(key, image))?;
            file.sync_all()
        });
        let done = written.and_then(|()| fs::rename(&unfinished, self.path(key)));
        if done.is_err() {
            // What is wrong has been found already; that nothing is left is a courtesy.
            let _ = fs::remove_file(&unfinished);
        }
        done
    }

    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let ours = path.extension().is_some_and(|e| e == ENDING || e == "tmp");
            // Another process may remove entries meanwhile.
            if let (true, Ok(about)) = (ours, entry.metadata()) {
                entries.push((about.modified()?, about.len(), path));
            }
        }
        let sizes = entries.iter().map(|(time, bytes, _)| (*time, *bytes));
        let surplus = surplus(sizes.collect());
        entries.sort();
        for (_, _, path) in entries.into_iter().take(surplus) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// How many of the oldest have to go.
fn surplus(mut entries: Vec<(SystemTime, u64)>) -> usize {
    entries.sort();
    let mut files = entries.len();
    let mut bytes: u64 = entries.iter().map(|(_, bytes)| bytes).sum();
    let mut gone = 0;
    for (_, size) in entries {
        if files <= MAX_FILES && bytes <= MAX_BYTES {
            break;
        }
        files -= 1;
        bytes -= size;
        gone += 1;
    }
    gone
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_ENTRY {
        return Ok(Vec::new());
    }
    fs::read(path)
}

/// An entry's bytes: the checksum covers the key, so that an entry under another's name is no
/// entry.
fn seal(key: &blake3::Hash, image: &[u8]) -> Vec<u8> {
    [MAGIC, checksum(key, image).as_bytes(), image].concat()
}

fn open(key: &blake3::Hash, bytes: &[u8]) -> Option<Vec<u8>> {
    let (expected, image) = bytes
        .strip_prefix(MAGIC)?
        .split_at_checked(blake3::OUT_LEN)?;
    (checksum(key, image).as_bytes() == expected).then(|| image.to_vec())
}

fn checksum(key: &blake3::Hash, image: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
    hasher.update(image);
    hasher.finalize()
}

/// Where the system keeps caches. A path that is not absolute says nothing.
fn user_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    if let Some(folder) = absolute("XDG_CACHE_HOME") {
        return Some(folder);
    }
    if cfg!(windows) {
        return absolute("LOCALAPPDATA");
    }
    let home = absolute("HOME")?;
    Some(match cfg!(target_os = "macos") {
        true => home.join("Library").join("Caches"),
        false => home.join(".cache"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            folder: folder.path().join("a").join("b"),
        };
        (folder, cache)
    }

    fn names(cache: &Cache) -> usize {
        fs::read_dir(&cache.folder).unwrap().count()
    }

    #[test]
    fn what_is_put_is_got_and_nothing_else() {
        let (_folder, cache) = cache();
        let (one, two) = (blake3::hash(b"1"), blake3::hash(b"2"));
        assert_eq!(cache.get(&one), None);
        cache.put(&one, b"image");
        cache.put(&one, b"image");
        assert_eq!(cache.get(&one).unwrap(), b"image");
        assert_eq!(cache.get(&two), None);
        assert_eq!(names(&cache), 1, "nothing unfinished is left");
        // Under another's name it is worth nothing.
        fs::rename(cache.path(&one), cache.path(&two)).unwrap();
        assert_eq!(cache.get(&two), None);
    }

    #[test]
    fn every_damage_is_noticed_and_the_entry_removed() {
        let (_folder, cache) = cache();
        let key = blake3::hash(b"1");
        let whole = seal(&key, b"image");
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
        damaged.extend((0..whole.len()).map(|at| {
            let mut one = whole.clone();
            one[at] ^= 1;
            one
        }));
        damaged.push([&whole[..], b"x"].concat());
        cache.put(&key, b"image");
        for bytes in damaged {
            fs::write(cache.path(&key), &bytes).unwrap();
            assert_eq!(cache.get(&key), None);
            assert!(!cache.path(&key).exists());
        }
        cache.put(&key, b"image");
        assert_eq!(cache.get(&key).unwrap(), b"image");
    }

    #[test]
    fn a_folder_that_cannot_be_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = Cache {
            folder: file.join("below"),
        };
        let key = blake3::hash(b"1");
        cache.put(&key, b"image");
        assert_eq!(cache.get(&key), None);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let small = |count| (0..count).map(|i| (at(i), 1)).collect();
        assert_eq!(surplus(small(MAX_FILES as u64)), 0);
        assert_eq!(surplus(small(MAX_FILES as u64 + 3)), 3);
        // The oldest alone is too large; the order of the list does not matter.
        assert_eq!(surplus(vec![(at(9), 5), (at(1), MAX_BYTES)]), 1);
        assert_eq!(surplus(vec![(at(1), 5), (at(9), MAX_BYTES)]), 1);
        assert_eq!(surplus(vec![]), 0);
        let (_folder, cache) = cache();
        for i in 0..MAX_FILES as u64 + 2 {
            let key = blake3::hash(&i.to_le_bytes());
            cache.put(&key, b"image");
            let file = File::options().append(true).open(cache.path(&key)).unwrap();
            file.set_modified(at(i)).unwrap();
        }
        cache.put(&blake3::hash(b"last"), b"image");
        assert_eq!(names(&cache), MAX_FILES);
        assert_eq!(cache.get(&blake3::hash(&0_u64.to_le_bytes())), None);
        assert!(cache.get(&blake3::hash(b"last")).is_some());
    }

    #[test]
    fn the_folder_is_the_systems() {
        let with = |pairs: &[(&str, &str)]| {
            user_folder(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("HOME", "not/absolute")]), None);
        if cfg!(target_os = "linux") {
            let both = [("XDG_CACHE_HOME", "/c"), ("HOME", "/h")];
            assert_eq!(with(&both).unwrap(), Path::new("/c"));
            assert_eq!(with(&both[1..]).unwrap(), Path::new("/h/.cache"));
            let relative = [("XDG_CACHE_HOME", "c"), ("HOME", "/h")];
            assert_eq!(with(&relative).unwrap(), Path::new("/h/.cache"));
        }
    }
}
