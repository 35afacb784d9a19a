//! Images on disk.
//!
//! ```text
//! 29 bytes   "focus flow native code 0001 \n"
//! 32 bytes   BLAKE3, keyed by the entry's key, of all that follows
//!  8 bytes   length of what follows
//!  4 bytes   number of entries of the book
//!  5 bytes   for each: offset in the code (all ones: no code), set of leaves that go out
//!            the code
//! ```
//!
//! What is read is called, so it has to be this user's: an ordinary file in an ordinary folder that belong to the user and
//! that nobody else can write. What is short, long, foreign or damaged is no entry, and is written anew. A cache that fails
//! costs time and nothing else; what went wrong is answered, for the caller to count and to tell.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::{Door, Image};

const MAGIC: &[u8; 29] = b"focus flow native code 0001 \n";
const HEADER: usize = MAGIC.len() + blake3::OUT_LEN + 8;
/// Most files kept.
const MAX_FILES: usize = 1024;
/// Most bytes kept (64 MiB).
const MAX_BYTES: u64 = 64 << 20;
/// An entry beyond this (16 MiB) is neither written nor read.
const MAX_ENTRY: u64 = 16 << 20;
const ENDING: &str = "image";
/// A door that is none.
const NONE: u32 = u32::MAX;

/// What went wrong with the cache on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The system says no.
    #[error("{}: {error}", path.display())]
    System {
        /// File or folder.
        path: PathBuf,
        /// What it says.
        #[source]
        error: io::Error,
    },
    /// A file or folder that others could have written.
    #[error("{}: it belongs to another user, or others may write it", path.display())]
    Foreign {
        /// File or folder.
        path: PathBuf,
    },
    /// The bytes are not those that were written.
    #[error("{}: it is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// A folder of entries, each named by its key.
#[derive(Clone, Debug)]
pub struct Disk {
    folder: PathBuf,
}

/// Adds the path to an error of the system.
fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, CacheError> {
    result.map_err(|error| CacheError::System {
        path: path.to_owned(),
        error,
    })
}

impl Disk {
    /// In this folder, which need not exist yet.
    pub fn new(folder: PathBuf) -> Disk {
        Disk { folder }
    }

    fn path(&self, key: &blake3::Hash) -> PathBuf {
        self.folder.join(format!("{}.{ENDING}", key.to_hex()))
    }

    /// The entry, if it is there. One that is damaged or foreign is removed if that is possible, and an error.
    pub fn get(&self, key: &blake3::Hash) -> Result<Option<Image>, CacheError> {
        let path = self.path(key);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => at(&path, file)?,
        };
        own(&self.folder, &at(&self.folder, fs::metadata(&self.folder))?)?;
        let about = at(&path, file.metadata())?;
        let read = own(&path, &about).and_then(|()| {
            let mut bytes = Vec::new();
            if about.is_file() && about.len() <= MAX_ENTRY {
                at(&path, (&mut file).take(MAX_ENTRY).read_to_end(&mut bytes))?;
            }
            open(key, &bytes).ok_or_else(|| CacheError::Damaged { path: path.clone() })
        });
        match read {
            Ok(image) => {
                touch(&path);
                Ok(Some(image))
            }
            Err(error) => {
                // It would be found again and again; where it cannot be removed it is written over.
                let removed = fs::remove_file(&path);
                if let Err(error) = removed {
                    tracing::debug!(%error, path = %path.display(), "it cannot be removed");
                }
                Err(error)
            }
        }
    }

    /// Adds an entry, and removes the oldest where there are too many.
    pub fn put(&self, key: &blake3::Hash, image: &Image) -> Result<(), CacheError> {
        let bytes = seal(key, image);
        if bytes.len() as u64 > MAX_ENTRY {
            return Ok(());
        }
        at(&self.folder, create_folder(&self.folder))?;
        own(&self.folder, &at(&self.folder, fs::metadata(&self.folder))?)?;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{}.{count}.tmp", key.to_hex(), std::process::id());
        let unfinished = self.folder.join(name);
        let written = create(&unfinished)
            .and_then(|mut file| {
                file.write_all(&bytes)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, self.path(key)));
        if let Err(error) = written {
            // What is wrong has been found already; that nothing is left is a courtesy.
            let _ = fs::remove_file(&unfinished);
            return at(&unfinished, Err(error));
        }
        at(&self.folder, self.prune())
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
        entries.sort();
        let sizes: Vec<u64> = entries.iter().map(|(_, bytes, _)| *bytes).collect();
        for (_, _, path) in entries.into_iter().take(surplus(&sizes)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Entries that are used are kept longest. Where that cannot be noted, they are kept as long as others.
fn touch(path: &Path) {
    let touched = OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(%error, path = %path.display(), "the time of use is not noted");
    }
}

/// How many of the oldest have to go; sizes in the order of age.
fn surplus(sizes: &[u64]) -> usize {
    let mut bytes: u64 = sizes.iter().sum();
    let mut gone = 0;
    while sizes.len() - gone > MAX_FILES || bytes > MAX_BYTES {
        bytes -= sizes[gone];
        gone += 1;
    }
    gone
}

/// Whether nobody else can have written this.
#[cfg(unix)]
fn own(path: &Path, about: &fs::Metadata) -> Result<(), CacheError> {
    use std::os::unix::fs::MetadataExt;
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    let closed = about.mode() & 0o022 == 0;
    if ours && closed {
        return Ok(());
    }
    Err(CacheError::Foreign {
        path: path.to_owned(),
    })
}

/// Whether nobody else can have written this: the folder for a user's caches is the user's.
#[cfg(not(unix))]
fn own(_path: &Path, _about: &fs::Metadata) -> Result<(), CacheError> {
    Ok(())
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(not(unix))]
fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// A new file that only this user can read or write.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// An entry's bytes. The checksum covers the key, so that an entry under another's name is no entry.
fn seal(key: &blake3::Hash, image: &Image) -> Vec<u8> {
    let mut rest = Vec::with_capacity(image.code.len() + 5 * image.doors.len() + 4);
    rest.extend((image.doors.len() as u32).to_le_bytes());
    for door in &image.doors {
        let door = door.unwrap_or(Door { at: NONE, outs: 0 });
        rest.extend(door.at.to_le_bytes());
        rest.push(door.outs);
    }
    rest.extend(&image.code);
    let length = (rest.len() as u64).to_le_bytes();
    let sum = blake3::keyed_hash(key.as_bytes(), &rest);
    [MAGIC, &sum.as_bytes()[..], &length, &rest].concat()
}

fn open(key: &blake3::Hash, bytes: &[u8]) -> Option<Image> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let (sum, length) = header.strip_prefix(MAGIC)?.split_at(blake3::OUT_LEN);
    let whole = blake3::keyed_hash(key.as_bytes(), rest).as_bytes() == sum
        && length == (rest.len() as u64).to_le_bytes();
    if !whole {
        return None;
    }
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let doors = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let (doors, code) = rest.split_at_checked(doors.checked_mul(5)?)?;
    let doors = doors.chunks_exact(5).map(|door| {
        let (at, outs) = door.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*at), *outs.first()?))
    });
    let doors: Option<Vec<(u32, u8)>> = doors.collect();
    let within = |at: u32| (at as usize) < code.len();
    let doors = doors?.into_iter().map(|(at, outs)| match at {
        NONE => Some(None),
        at => within(at).then_some(Some(Door { at, outs })),
    });
    Some(Image {
        doors: doors.collect::<Option<Vec<_>>>()?,
        code: code.to_vec(),
    })
}

/// Where the system keeps a user's caches, if the environment tells: `ffcm/native` in there.
pub fn user_folder() -> Option<PathBuf> {
    folder_of(|name| std::env::var_os(name).map(PathBuf::from))
        .map(|folder| folder.join("ffcm").join("native"))
}

/// Where the system keeps caches. A path that is not absolute says nothing.
fn folder_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
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

    fn disk() -> (tempfile::TempDir, Disk) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().join("a").join("b"));
        (folder, disk)
    }

    fn image() -> Image {
        let door = Some(Door { at: 1, outs: 6 });
        Image {
            code: vec![1, 2, 3],
            doors: vec![None, door],
        }
    }

    fn files(disk: &Disk) -> usize {
        fs::read_dir(&disk.folder).unwrap().count()
    }

    #[test]
    fn what_is_put_is_got_and_nothing_else() {
        let (_folder, disk) = disk();
        let (one, two) = (blake3::hash(b"1"), blake3::hash(b"2"));
        assert!(disk.get(&one).unwrap().is_none());
        disk.put(&one, &image()).unwrap();
        disk.put(&one, &image()).unwrap();
        assert_eq!(disk.get(&one).unwrap(), Some(image()));
        assert!(disk.get(&two).unwrap().is_none());
        assert_eq!(files(&disk), 1, "nothing unfinished is left");
        // Under another's name it is worth nothing.
        fs::rename(disk.path(&one), disk.path(&two)).unwrap();
        assert!(matches!(disk.get(&two), Err(CacheError::Damaged { .. })));
    }

    #[test]
    fn every_damage_is_noticed_and_the_entry_removed() {
        let (_folder, disk) = disk();
        let key = blake3::hash(b"1");
        let whole = seal(&key, &image());
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
        damaged.extend((0..whole.len()).map(|at| {
            let mut one = whole.clone();
            one[at] ^= 1;
            one
        }));
        damaged.push([&whole[..], b"x"].concat());
        // Well sealed, but a function would begin outside.
        let mut outside = image();
        outside.doors[1] = Some(Door { at: 3, outs: 6 });
        damaged.push(seal(&key, &outside));
        for bytes in damaged {
            disk.put(&key, &image()).unwrap();
            fs::write(disk.path(&key), &bytes).unwrap();
            assert!(matches!(disk.get(&key), Err(CacheError::Damaged { .. })));
            assert!(!disk.path(&key).exists());
        }
        disk.put(&key, &image()).unwrap();
        assert_eq!(disk.get(&key).unwrap(), Some(image()));
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_write_is_not_loaded() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, disk) = disk();
        let key = blake3::hash(b"1");
        disk.put(&key, &image()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&disk.path(&key)), 0o600);
        assert_eq!(mode(&disk.folder), 0o700);
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(&disk.path(&key), 0o620);
        assert!(matches!(disk.get(&key), Err(CacheError::Foreign { .. })));
        disk.put(&key, &image()).unwrap();
        allow(&disk.folder, 0o702);
        assert!(matches!(disk.get(&key), Err(CacheError::Foreign { .. })));
        assert!(matches!(
            disk.put(&key, &image()),
            Err(CacheError::Foreign { .. })
        ));
        allow(&disk.folder, 0o700);
        assert_eq!(disk.get(&key).unwrap(), Some(image()));
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let disk = Disk::new(file.join("below"));
        let key = blake3::hash(b"1");
        assert!(matches!(
            disk.put(&key, &image()),
            Err(CacheError::System { .. })
        ));
        assert!(matches!(disk.get(&key), Err(CacheError::System { .. })));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        assert_eq!(surplus(&[1; MAX_FILES]), 0);
        assert_eq!(surplus(&[1; MAX_FILES + 3]), 3);
        assert_eq!(surplus(&[5, MAX_BYTES]), 1);
        assert_eq!(surplus(&[MAX_BYTES, 5]), 1);
        assert_eq!(surplus(&[]), 0);
        let (_folder, disk) = disk();
        for i in 0..3 {
            let key = blake3::hash(&[i]);
            disk.put(&key, &image()).unwrap();
            let file = File::options().append(true).open(disk.path(&key)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(i));
            file.set_modified(time).unwrap();
            file.set_len(MAX_BYTES / 3).unwrap();
        }
        disk.put(&blake3::hash(b"last"), &image()).unwrap();
        assert_eq!(files(&disk), 3);
        assert!(!disk.path(&blake3::hash(&[0])).exists());
        assert!(disk.get(&blake3::hash(b"last")).unwrap().is_some());
    }

    #[test]
    fn the_folder_is_the_systems() {
        let with = |pairs: &[(&str, &str)]| {
            folder_of(|name| {
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
