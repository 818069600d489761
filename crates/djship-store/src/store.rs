//! The store: buckets of things that are kept, each under a digest, each complete or absent.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::bucket::Bucket;
use crate::digest::{Digest, DigestWriter};
use crate::durable::Boot;
use crate::lock::Lock;
use crate::marks::Marks;
use crate::temp::{self, TempDir, TempFile};
use crate::users::Lease;

/// Something that the store cannot do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A system call on a file of the store failed.
    #[error("cannot {verb} `{}`: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Bytes from outside are not the expected ones.
    #[error("cannot keep {expected}: the content has the digest {found}")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Bytes from outside are more than was allowed.
    #[error("cannot keep {expected}: the content is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        expected: Digest,
        /// The limit in bytes.
        limit: u64,
    },
    /// A lock's name is not a plain file name.
    #[error(
        "cannot lock `{name}`: a lock is named with 1 to 200 of `a-z A-Z 0-9 . _ -`, the first not a dot"
    )]
    LockName {
        /// The name as it was given.
        name: String,
    },
}

impl StoreError {
    /// For `map_err`: an [`StoreError::Io`] about `path`.
    pub(crate) fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { verb, path: path.to_owned(), source }
    }
}

/// Who may read the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Only the user who made it.
    Owner,
    /// Everybody: containers started by root run as another user and read from here.
    Everybody,
}

/// A store on disk. Cheap to open; any number of processes and threads may use one at the same time.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    boot: Boot,
    lease: Lease,
    marks: Marks,
}

impl Store {
    /// Opens the store at `root` for its owner alone, making it if need be, and sweeps what killed processes left.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_for(root, Readers::Owner)
    }

    /// The same, with the choice who may read it.
    pub fn open_for(root: &Path, readers: Readers) -> Result<Self, StoreError> {
        Self::open_in(root, readers, Boot::current())
    }

    pub(crate) fn open_in(root: &Path, readers: Readers, boot: Boot) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).map_err(StoreError::io("open the store at", root))?;
        let is_new = !root.is_dir();
        fs_err::create_dir_all(&root).map_err(StoreError::io("open the store at", &root))?;
        match readers {
            Readers::Everybody => set_mode(&root, 0o755)?,
            Readers::Owner if is_new => set_mode(&root, 0o700)?,
            // Somebody opened it wider; containers may be reading at this moment.
            Readers::Owner => {}
        }
        for name in ["tmp", "locks", "unsettled", "users"] {
            make_folder(&root.join(name))?;
        }
        let users = root.join("users");
        let _ = temp::sweep(&users, "");
        let lease = Lease::take(&users).map_err(StoreError::io("write in", &users))?;
        let store = Self { root, boot, lease, marks: Marks::default() };
        let tmp = store.tmp_dir();
        temp::sweep(&tmp, "").map_err(StoreError::io("sweep", &tmp))?;
        store.drop_damaged()?;
        Ok(store)
    }

    /// The folder that holds everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one bucket, made if need be. For the crate that owns the bucket's form; everybody else asks
    /// [`Store::find`].
    pub fn bucket_dir(&self, bucket: Bucket) -> Result<PathBuf, StoreError> {
        let path = self.root.join(bucket.dir_name());
        make_folder(&path)?;
        Ok(path)
    }

    /// Where the entry is, if it is there. What is there is complete, and stays at least as long as this store is open.
    pub fn find(&self, bucket: Bucket, key: &Digest) -> Option<PathBuf> {
        let path = self.entry_path(bucket, key);
        self.use_entry(bucket, key, &path).then_some(path)
    }

    /// Where the folder of `key` is, built by `build` in a temporary folder if it is not there yet. One process at a
    /// time builds one key, so `build` must not ask for the same key. What is kept is a folder of mode 0755.
    pub fn insert_dir<E: From<StoreError>>(
        &self,
        bucket: Bucket,
        key: &Digest,
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.find(bucket, key) {
            return Ok(path);
        }
        let _lock = self.lock_key(bucket, key)?;
        if let Some(path) = self.find(bucket, key) {
            return Ok(path);
        }
        let work = self.temp_dir(bucket.dir_name())?;
        build(work.path())?;
        set_mode(work.path(), 0o755)?;
        let path = self.prepare_place(bucket, key, work.path())?;
        work.rename_to(&path).map_err(StoreError::io("keep", &path))?;
        Ok(path)
    }

    /// Where the file of `key` is, written by `write` if it is not there yet. The key says what the file was made from,
    /// not what it holds; for that see [`Store::put_blob`] and [`Store::insert_blob`].
    pub fn insert_file<E: From<StoreError>>(
        &self,
        bucket: Bucket,
        key: &Digest,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.find(bucket, key) {
            return Ok(path);
        }
        let _lock = self.lock_key(bucket, key)?;
        if let Some(path) = self.find(bucket, key) {
            return Ok(path);
        }
        let file = self.temp_file()?;
        let mut writer = io::BufWriter::with_capacity(BUFFER, file.file());
        write(&mut writer)?;
        writer.flush().map_err(StoreError::io("write", file.path()))?;
        drop(writer);
        let path = self.prepare_place(bucket, key, file.path())?;
        file.rename_to(&path).map_err(StoreError::io("keep", &path))?;
        Ok(path)
    }

    /// Keeps `bytes` under their own digest.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<(Digest, PathBuf), StoreError> {
        let key = Digest::of(bytes);
        if let Some(path) = self.find(Bucket::Blobs, &key) {
            return Ok((key, path));
        }
        // No lock: two processes that write the same bytes rename one over the other.
        let file = self.temp_file()?;
        file.file().write_all(bytes).map_err(StoreError::io("write", file.path()))?;
        let path = self.prepare_place(Bucket::Blobs, &key, file.path())?;
        file.rename_to(&path).map_err(StoreError::io("keep", &path))?;
        Ok((key, path))
    }

    /// Where the blob `expected` is, written by `write` if it is not there yet, and kept only if it has that digest and
    /// at most `size_limit` bytes.
    pub fn insert_blob<E: From<StoreError>>(
        &self,
        expected: &Digest,
        size_limit: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.find(Bucket::Blobs, expected) {
            return Ok(path);
        }
        let _lock = self.lock_key(Bucket::Blobs, expected)?;
        if let Some(path) = self.find(Bucket::Blobs, expected) {
            return Ok(path);
        }
        let file = self.temp_file()?;
        write_checked(&file, expected, size_limit, write)?;
        let path = self.prepare_place(Bucket::Blobs, expected, file.path())?;
        file.rename_to(&path).map_err(StoreError::io("keep", &path))?;
        Ok(path)
    }

    /// Removes an entry; returns whether it was there. Whoever reads it at this moment may fail.
    pub fn remove(&self, bucket: Bucket, key: &Digest) -> Result<bool, StoreError> {
        let _lock = self.lock_key(bucket, key)?;
        let path = self.entry_path(bucket, key);
        if path.symlink_metadata().is_err() {
            return Ok(false);
        }
        if path.is_dir() {
            // Out of the way first, so that a half removed entry never has the good name.
            let work = self.temp_dir("removed")?;
            let away = work.path().join("entry");
            fs_err::rename(&path, &away).map_err(StoreError::io("remove", &path))?;
        } else {
            fs_err::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(true)
    }

    /// A folder of this process on the store's file system, mode 0755, removed when it is dropped and swept if the
    /// process is killed.
    pub fn temp_dir(&self, prefix: &str) -> Result<TempDir, StoreError> {
        let tmp = self.tmp_dir();
        TempDir::new(&tmp, prefix).map_err(StoreError::io("make a temporary folder in", &tmp))
    }

    /// Waits for a lock of any name that callers agree on.
    pub fn lock(&self, name: &str) -> Result<Lock, StoreError> {
        let path = self.lock_path(name)?;
        Lock::wait(&path).map_err(|errno| StoreError::io("lock", &path)(errno.into()))
    }

    /// The same lock if nobody holds it, else `None`.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        let path = self.lock_path(name)?;
        Lock::take(&path).map_err(|errno| StoreError::io("lock", &path)(errno.into()))
    }

    pub(crate) fn lock_key(&self, bucket: Bucket, key: &Digest) -> Result<Lock, StoreError> {
        self.lock(&format!("{}.{}", bucket.dir_name(), key.hex()))
    }

    pub(crate) fn try_lock_key(&self, bucket: Bucket, key: &Digest) -> Result<Option<Lock>, StoreError> {
        self.try_lock(&format!("{}.{}", bucket.dir_name(), key.hex()))
    }

    pub(crate) fn entry_path(&self, bucket: Bucket, key: &Digest) -> PathBuf {
        let hex = key.hex();
        let mut path = self.root.join(bucket.dir_name());
        if bucket.is_sharded() {
            path.push(&hex[..2]);
        }
        path.push(hex);
        path
    }

    pub(crate) fn unsettled_dir(&self) -> PathBuf {
        self.root.join("unsettled")
    }

    pub(crate) fn boot(&self) -> &Boot {
        &self.boot
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    pub(crate) fn users_dir(&self) -> PathBuf {
        self.root.join("users")
    }

    pub(crate) fn gate_path(&self) -> PathBuf {
        self.root.join("sweep.lock")
    }

    fn tmp_dir(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn temp_file(&self) -> Result<TempFile, StoreError> {
        let tmp = self.tmp_dir();
        TempFile::new(&tmp, "file").map_err(StoreError::io("make a temporary file in", &tmp))
    }

    /// Makes the folder that will hold an entry, and notes that the entry is coming. Everything must have been written
    /// by now: whoever settles the store removes the note.
    fn prepare_place(&self, bucket: Bucket, key: &Digest, new: &Path) -> Result<PathBuf, StoreError> {
        let path = self.entry_path(bucket, key);
        let folder = self.bucket_dir(bucket)?;
        if let Some(parent) = path.parent().filter(|parent| *parent != folder) {
            make_folder(parent)?;
        }
        self.note_unsettled(bucket, key)?;
        self.mark_new(bucket, key, new);
        Ok(path)
    }

    fn lock_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(StoreError::LockName { name: name.to_owned() });
        }
        Ok(self.root.join("locks").join(name))
    }
}

/// Buffer for copies, in bytes: large enough that system calls do not count.
pub(crate) const BUFFER: usize = 128 * 1024;

/// Makes a folder of mode 0755, whatever the umask, if it is not there.
fn make_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    match fs_err::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result.map_err(StoreError::io("make", path))?,
    }
    set_mode(path, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    let now = fs_err::metadata(path).map_err(StoreError::io("read", path))?.permissions().mode();
    if now & 0o7777 == mode {
        return Ok(());
    }
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(StoreError::io("set the mode of", path))
}

/// Has `write` fill `file`, and checks length and digest on the way.
fn write_checked<E: From<StoreError>>(
    file: &TempFile,
    expected: &Digest,
    limit: u64,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let buffered = io::BufWriter::with_capacity(BUFFER, file.file());
    let mut writer = LimitedWriter { inner: DigestWriter::new(buffered), limit, over: false };
    let written = write(&mut writer);
    if writer.over {
        return Err(StoreError::TooLarge { expected: *expected, limit }.into());
    }
    written?;
    let (found, _, mut buffered) = writer.inner.finish();
    if found != *expected {
        return Err(StoreError::WrongDigest { expected: *expected, found }.into());
    }
    Ok(buffered.flush().map_err(StoreError::io("write", file.path()))?)
}

/// Stops, and remembers it, when more than `limit` bytes come.
struct LimitedWriter<W> {
    inner: DigestWriter<W>,
    limit: u64,
    over: bool,
}

impl<W: Write> Write for LimitedWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.inner.size() + buffer.len() as u64 > self.limit {
            self.over = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.inner.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
