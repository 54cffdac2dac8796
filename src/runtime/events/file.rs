//! The file of event records: appended to, put aside when it is large or old, and those put aside bounded in number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::format;
use crate::base::WallTime;
use crate::config::EdrConfig;

/// Octets gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file that is put aside from time to time.
#[derive(Debug)]
pub(super) struct RotatingFile {
    config: EdrConfig,
    file: BufWriter<File>,
    bytes: u64,
    opened: WallTime,
}

impl RotatingFile {
    /// Opens the file that the configuration names, and goes on behind what is in it.
    ///
    /// # Errors
    /// The file's, naming it.
    pub(super) fn open(config: &EdrConfig, now: WallTime) -> io::Result<Self> {
        let (file, bytes) = open(config)?;
        Ok(Self { config: config.clone(), file, bytes, opened: now })
    }

    /// Opens it anew after a failure; what was not written by then is lost.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn reopen(&mut self, now: WallTime) -> io::Result<()> {
        let (file, bytes) = open(&self.config)?;
        // Not dropped as it is: that would write what is left in it a second time.
        let _ = std::mem::replace(&mut self.file, file).into_parts();
        (self.bytes, self.opened) = (bytes, now);
        Ok(())
    }

    /// Appends whole lines, in another file first if this one is large or old.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn write(&mut self, lines: &[u8], now: WallTime) -> io::Result<()> {
        let EdrConfig { rotate_bytes, rotate_s, .. } = self.config;
        let age_s = now.unix_seconds().saturating_sub(self.opened.unix_seconds());
        let is_large = rotate_bytes > 0 && self.bytes + lines.len() as u64 > rotate_bytes;
        let is_old = rotate_s > 0 && age_s >= rotate_s;
        let is_begun = self.bytes > format::header(self.config.format, self.config.bodies).len() as u64;
        if (is_large || is_old) && is_begun {
            self.rotate(now)?;
        }
        self.file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Hands what has been gathered to the kernel.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    fn rotate(&mut self, now: WallTime) -> io::Result<()> {
        self.close()?;
        let aside = self.name_aside(now);
        fs::rename(&self.config.path, aside)?;
        self.reopen(now)?;
        self.remove_oldest()
    }

    /// A name that is not taken: the file's with the time in it.
    fn name_aside(&self, now: WallTime) -> PathBuf {
        let time = format::timestamp(now);
        let digits = |range| time.get(range).map(String::from_utf8_lossy).unwrap_or_default();
        let (year, month, day) = (digits(0..4), digits(5..7), digits(8..10));
        let (hour, minute, second, millis) = (digits(11..13), digits(14..16), digits(17..19), digits(20..23));
        let (stem, extension) = self.names();
        let name =
            |n: u32| format!("{stem}{year}{month}{day}T{hour}{minute}{second}{millis}Z-{n:06}{extension}");
        let folder = self.folder();
        let mut names = (0..u32::MAX).map(|n| folder.join(name(n)));
        names.find(|path| !path.exists()).unwrap_or_else(|| folder.join(name(u32::MAX)))
    }

    /// What the name of a file put aside begins and ends with.
    fn names(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = self.config.path.extension().map(|it| format!(".{}", it.to_string_lossy()));
        (text(self.config.path.file_stem()) + "-", extension.unwrap_or_default())
    }

    fn folder(&self) -> &Path {
        match self.config.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Removes files put aside until no more are there than may be.
    fn remove_oldest(&self) -> io::Result<()> {
        if self.config.files_max == 0 {
            return Ok(());
        }
        let (stem, extension) = self.names();
        let is_ours = |name: &str| {
            let time = name.strip_prefix(&stem).and_then(|rest| rest.strip_suffix(&extension));
            time.is_some_and(|time| {
                time.len() >= 19
                    && time.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'T' | b'Z' | b'-'))
            })
        };
        let mut aside: Vec<PathBuf> = fs::read_dir(self.folder())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| is_ours(&name.to_string_lossy())))
            .collect();
        // Their names are in the order of time.
        aside.sort();
        let surplus = aside.len().saturating_sub(self.config.files_max as usize);
        aside.iter().take(surplus).try_for_each(fs::remove_file)
    }
}

/// The file, with its header if it is new, and its size.
fn open(config: &EdrConfig) -> io::Result<(BufWriter<File>, u64)> {
    let open = || -> io::Result<(BufWriter<File>, u64)> {
        let mut file = OpenOptions::new().create(true).append(true).open(&config.path)?;
        let mut bytes = file.metadata()?.len();
        if bytes == 0 {
            let header = format::header(config.format, config.bodies);
            file.write_all(header.as_bytes())?;
            bytes = header.len() as u64;
        } else if !ends_in_line(&config.path)? {
            // Of a run that was cut off, or a disk that was full: the next record begins a line of its own.
            file.write_all(b"\n")?;
            bytes += 1;
        }
        Ok((BufWriter::with_capacity(BUFFER_BYTES, file), bytes))
    };
    open().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", config.path.display())))
}

fn ends_in_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> EdrConfig {
        EdrConfig { path: folder.join("edr.csv"), rotate_bytes: 0, rotate_s: 0, ..EdrConfig::default() }
    }

    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn at(seconds: u64) -> WallTime {
        WallTime::from_unix_millis(1_795_429_800_000 + seconds * 1_000)
    }

    #[test]
    fn it_goes_on_behind_what_is_there_under_one_header() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..3 {
            let mut file = RotatingFile::open(&config(folder.path()), at(n)).unwrap();
            file.write(format!("line {n}\n").as_bytes(), at(n)).unwrap();
            file.close().unwrap();
        }
        let files = files(folder.path());
        assert_eq!(files.len(), 1);
        let lines: Vec<&str> = files[0].1.lines().collect();
        assert!(lines[0].starts_with("event,message_id,"));
        assert_eq!(lines[1..], ["line 0", "line 1", "line 2"]);
    }

    #[test]
    fn it_is_put_aside_by_size_and_by_age_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let header = format::header(crate::config::EdrFormat::Csv, false).len() as u64;
        let by_size = EdrConfig { rotate_bytes: header + 20, files_max: 3, ..config(folder.path()) };
        let mut file = RotatingFile::open(&by_size, at(0)).unwrap();
        for n in 0..10 {
            // All in the same millisecond: each still gets a name of its own.
            file.write(format!("fifteen octet{n}\n").as_bytes(), at(0)).unwrap();
        }
        file.close().unwrap();
        let found = files(folder.path());
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].0.starts_with("edr-20261123T103000000Z"), "{found:?}");
        let kept: Vec<&str> = found.iter().map(|(_, text)| text.lines().nth(1).unwrap()).collect();
        assert_eq!(kept.len(), 4);
        assert!(kept.contains(&"fifteen octet9") && !kept.contains(&"fifteen octet0"), "{kept:?}");

        let folder = tempfile::tempdir().unwrap();
        let by_age = EdrConfig { rotate_s: 60, ..config(folder.path()) };
        let mut file = RotatingFile::open(&by_age, at(0)).unwrap();
        for n in [0, 59, 60, 61, 500] {
            file.write(format!("at {n}\n").as_bytes(), at(n)).unwrap();
        }
        file.close().unwrap();
        let texts: Vec<String> =
            files(folder.path()).iter().map(|(_, text)| text.lines().skip(1).collect()).collect();
        assert_eq!(texts, ["at 0at 59", "at 60at 61", "at 500"]);
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        fs::write(&config.path, "message_id,\n0123,half a li").unwrap();
        let mut file = RotatingFile::open(&config, at(0)).unwrap();
        file.write(b"whole\n", at(0)).unwrap();
        file.close().unwrap();
        assert_eq!(files(folder.path())[0].1, "message_id,\n0123,half a li\nwhole\n");
    }

    #[test]
    fn a_file_that_can_not_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = EdrConfig { path: folder.path().join("no/such/edr.csv"), ..EdrConfig::default() };
        let error = RotatingFile::open(&nowhere, at(0)).unwrap_err().to_string();
        assert!(error.contains("no/such/edr.csv"), "{error}");
    }
}
