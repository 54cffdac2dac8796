//! The data folder: whose it is, who uses it, and how the store in it is laid out.
//!
//! ```text
//! lock             held while a daemon uses the folder
//! message-ids      see id_lease
//! daily-counts     see quota_file
//! store.toml       format, identity and layout of the store; replaced as a whole
//! layout-N/        the store, as N in store.toml names it; any other is a leftover
//!   shard-K/segment-XXXXXXXX
//! ```

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::quota_file;
use crate::runtime::segment_folder::sync_folder;

const LOCK: &str = "lock";
const MANIFEST: &str = "store.toml";
const LAYOUT_PREFIX: &str = "layout-";
/// Of everything in the folder. A change that this version could not read has another number.
const FORMAT: u32 = 3;
/// What may be in a folder that holds no store yet.
const HARMLESS: [&str; 6] =
    [LOCK, "message-ids", "message-ids.new", quota_file::FILE, quota_file::NEW_FILE, "lost+found"];

/// What `store.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Version of the format.
    format: u32,
    /// Random; hexadecimal, for TOML has no unsigned 64-bit numbers.
    store_id: String,
    /// Which `layout-N` holds the store.
    pub(super) layout: u32,
    /// Its shards.
    pub(super) shards: u16,
    /// Most pending messages that any shard was ever opened with.
    pub(super) messages_max: u32,
    /// system_id of each account by its number on disk.
    pub(super) accounts: Vec<String>,
}

impl Manifest {
    /// Of a new store.
    pub(super) fn new(shards: u16) -> Self {
        // Seeded by the system for each process: random enough to tell two stores apart.
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        let store_id = format!("{:016x}", hasher.finish());
        Self { format: FORMAT, store_id, layout: 1, shards, messages_max: 0, accounts: Vec::new() }
    }

    /// The id of a shard's segments.
    pub(super) fn segment_id(&self, shard: u16) -> u64 {
        let id = u64::from_str_radix(&self.store_id, 16).unwrap_or(0);
        id ^ (u64::from(self.layout) << 32) ^ (u64::from(shard) << 16)
    }

    /// The number on disk of each of these accounts, by their order here; new ones get the next number.
    pub(super) fn number_accounts<'a>(&mut self, system_ids: impl Iterator<Item = &'a str>) -> Vec<u16> {
        let number = |system_id: &str| {
            let known = self.accounts.iter().position(|known| known == system_id);
            let number = known.unwrap_or_else(|| {
                self.accounts.push(system_id.to_owned());
                self.accounts.len() - 1
            });
            u16::try_from(number).unwrap_or(u16::MAX)
        };
        system_ids.map(number).collect()
    }
}

/// The data folder, in use by this process.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// Unlocked when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Takes the folder, made if need be.
    ///
    /// # Errors
    /// When it can't be made or written, or another process has it.
    pub(super) fn take(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("creating the data folder {}", path.display()))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("opening {}: is the data folder writable?", lock_path.display()))?;
        Self::lock(path, lock)
    }

    /// Takes the folder to look at it.
    ///
    /// # Errors
    /// When there is none, or a daemon has it.
    pub(super) fn take_to_read(path: &Path) -> anyhow::Result<Self> {
        let lock_path = path.join(LOCK);
        let lock = File::open(&lock_path).with_context(|| {
            format!("{}: no data folder of smscd ({LOCK} can't be opened)", path.display())
        })?;
        Self::lock(path, lock)
    }

    fn lock(path: &Path, lock: File) -> anyhow::Result<Self> {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                bail!("the data folder {} is in use by another smscd", path.display())
            }
            Err(errno) => Err(io::Error::from(errno)).with_context(|| format!("locking {}", path.display())),
        }
    }

    /// What the manifest says; `None`: there is no store yet.
    ///
    /// # Errors
    /// When the folder holds something else, or a store of another version.
    pub(super) fn manifest(&self) -> anyhow::Result<Option<Manifest>> {
        let path = self.path.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_harmless()?;
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let not_ours = || format!("{}: not written by smscd, or damaged", path.display());
        let Version { format } = toml::from_str(&text).with_context(not_ours)?;
        ensure!(
            format == FORMAT,
            "{}: the store has format {format}, this version of smscd reads format {FORMAT} only",
            path.display()
        );
        let manifest: Manifest = toml::from_str(&text).with_context(not_ours)?;
        ensure!(manifest.shards > 0 && u64::from_str_radix(&manifest.store_id, 16).is_ok(), not_ours());
        Ok(Some(manifest))
    }

    fn check_harmless(&self) -> anyhow::Result<()> {
        let entries = fs::read_dir(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            // A first start that was cut off has made a layout and not yet the manifest.
            ensure!(
                HARMLESS.contains(&&*name) || name.starts_with(LAYOUT_PREFIX) || name.starts_with(MANIFEST),
                "{} is no data folder of smscd: it holds {name} and no {MANIFEST}",
                self.path.display()
            );
        }
        Ok(())
    }

    /// Writes the manifest, so that a crash leaves either the one before or this one.
    ///
    /// # Errors
    /// The folder's.
    pub(super) fn write_manifest(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let path = self.path.join(MANIFEST);
        let write = || -> io::Result<()> {
            let text = toml::to_string(manifest).map_err(io::Error::other)?;
            let new = self.path.join(format!("{MANIFEST}.new"));
            let mut file = File::create(&new)?;
            write!(file, "# The store of smscd in this folder. Do not edit.\n{text}")?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_folder(&self.path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    /// The folder of a shard's segments in `layout`.
    pub(super) fn shard(&self, layout: u32, shard: u16) -> PathBuf {
        self.layout(layout).join(format!("shard-{shard}"))
    }

    fn layout(&self, layout: u32) -> PathBuf {
        self.path.join(format!("{LAYOUT_PREFIX}{layout}"))
    }

    /// Removes what is left of every layout but `layout`.
    ///
    /// # Errors
    /// The folder's.
    pub(super) fn remove_other_layouts(&self, layout: u32) -> anyhow::Result<()> {
        let kept = format!("{LAYOUT_PREFIX}{layout}");
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(LAYOUT_PREFIX) && name != kept {
                fs::remove_dir_all(entry.path())
                    .with_context(|| format!("removing {}", entry.path().display()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::take(dir.path()).unwrap();
        let error = DataDir::take(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("in use by another smscd") && error.contains(dir.path().to_str().unwrap()),
            "{error}"
        );
        drop(first);
        DataDir::take(dir.path()).unwrap();
    }

    #[test]
    fn foreign_folders_and_other_versions_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::take(dir.path()).unwrap();
        assert_eq!(data.manifest().unwrap(), None);
        let mut manifest = Manifest::new(2);
        assert_eq!(manifest.number_accounts(["b", "a"].into_iter()), [0, 1]);
        assert_eq!(manifest.number_accounts(["a", "c", "b"].into_iter()), [1, 2, 0]);
        data.write_manifest(&manifest).unwrap();
        assert_eq!(data.manifest().unwrap(), Some(manifest.clone()));
        assert_ne!(manifest.segment_id(0), manifest.segment_id(1));

        let path = dir.path().join(MANIFEST);
        let text = fs::read_to_string(&path).unwrap().replace("format = 3", "format = 4");
        fs::write(&path, text).unwrap();
        let error = data.manifest().unwrap_err().to_string();
        assert!(error.contains("format 3") && error.contains(path.to_str().unwrap()), "{error}");
        fs::write(&path, "hello").unwrap();
        assert!(data.manifest().is_err());
        fs::remove_file(&path).unwrap();
        fs::write(dir.path().join("thesis.doc"), "precious").unwrap();
        let error = data.manifest().unwrap_err().to_string();
        assert!(error.contains("thesis.doc") && error.contains("no data folder of smscd"), "{error}");
    }
}
