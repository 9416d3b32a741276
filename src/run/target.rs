//! The file that an output is written to: what it is, and whether it can be written, which is
//! decided before the work whose result it takes.
use crate::data::temporary;
use crate::error::{Error, Result, quoted};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// How errors name standard output.
pub const STDOUT: &str = "standard output";

/// The maximum number of links from a path to a file.
const LINKS: usize = 40;

/// Where an output is written. Nothing is opened before writing starts.
#[derive(Clone, Debug)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A regular file, or a new one: it is replaced when the output is complete.
    File {
        /// The path as it was given.
        given: PathBuf,
        /// The path without links.
        path: PathBuf,
    },
    /// A pipe, a device, or a path in `/dev` or `/proc`: it is opened by this path when writing
    /// starts, and gets the output piece by piece.
    Stream(PathBuf),
}

impl Target {
    /// The target of a flag: standard output if `path` is `-` or absent. The temporary files that
    /// killed processes have left in its folder are removed.
    ///
    /// # Errors
    /// As [`Target::of`].
    pub fn of_flag(path: Option<&Path>) -> Result<Self> {
        let target = match path {
            Some(path) if path != "-" => Self::of(path)?,
            _ => Self::Stdout,
        };
        if let Self::File { path, .. } = &target {
            temporary::sweep(parent(path)).ok();
        }
        Ok(target)
    }

    /// The target at `path`.
    ///
    /// # Errors
    /// If there is a folder or a socket at `path`, its folder does not exist, or it may not be
    /// written to or replaced.
    pub fn of(path: &Path) -> Result<Self> {
        let bad = |found: String, expected: &str, advice: String| {
            Err(Error::invalid(path.display(), found, expected, advice))
        };
        let there = match fs::metadata(path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(path)(error)),
        };
        let is_folder = there.as_ref().is_some_and(Metadata::is_dir);
        if is_folder || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let advice = format!("Add a file name: {}.", path.join("FILE").display());
            return bad("a folder".into(), "a file", advice);
        }
        if there.as_ref().is_some_and(is_socket) {
            return bad("a socket".into(), "a file, a pipe or a device", "Choose another.".into());
        }
        let missing = |folder: &Path, error: io::Error| match error.kind() {
            ErrorKind::NotFound => {
                let (found, name) =
                    (format!("no folder {}", folder.display()), quoted(folder.display()));
                let advice = format!("Create it (`mkdir -p {name}`), or choose another folder.");
                Error::invalid(path.display(), found, "a file in a folder that exists", advice)
            }
            _ => Error::io(folder)(error),
        };
        let mut at = path.to_path_buf();
        for _ in 0..LINKS {
            let folder = parent(&at);
            let folder = folder.canonicalize().map_err(|error| missing(folder, error))?;
            at = folder.join(at.file_name().unwrap_or_default());
            let is_stream = there.as_ref().is_some_and(|there| !there.is_file());
            if is_stream || is_special(&at) {
                let writable = if there.is_some() { path } else { &folder };
                access::check(writable).map_err(Error::io(path))?;
                return Ok(Self::Stream(path.to_path_buf()));
            }
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_symlink() => {
                    at = folder.join(fs::read_link(&at).map_err(Error::io(path))?);
                }
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io(path)(error));
                }
                found => {
                    access::check_folder(&folder, found.ok().as_ref())
                        .map_err(Error::io(&folder))?;
                    if there.is_some() {
                        access::check(&at).map_err(Error::io(path))?;
                    }
                    return Ok(Self::File { given: path.to_path_buf(), path: at });
                }
            }
        }
        bad(format!("more than {LINKS} links"), "a file", "Correct the links.".into())
    }

    /// The file at `path`, which the program names in a folder of its own: a regular file, or a new
    /// one. A link there, which somebody may have sent, would lead to a file of the user.
    ///
    /// # Errors
    /// If there is anything else at `path`, or as [`Target::of`].
    pub fn own(path: &Path) -> Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            let (found, expected) = ("a link, a folder or a device", "a regular file, or none");
            let advice = "Remove it, or choose another folder.";
            return Err(Error::invalid(path.display(), found, expected, advice));
        }
        Self::of(path)
    }

    /// Whether this is standard output.
    pub fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// How errors name the target.
    pub fn name(&self) -> &Path {
        match self {
            Self::Stdout => Path::new(STDOUT),
            Self::File { given, .. } => given,
            Self::Stream(path) => path,
        }
    }
}

/// The folder of a file.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a path belongs to the kernel. `/dev/shm` is an ordinary folder.
fn is_special(path: &Path) -> bool {
    path.starts_with("/dev") && !path.starts_with("/dev/shm") || path.starts_with("/proc")
}

#[cfg(unix)]
fn is_socket(there: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&there.file_type())
}

#[cfg(not(unix))]
fn is_socket(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
mod access {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    use rustix::io::Errno;
    use rustix::process::geteuid;
    use std::fs::{self, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// Whether this process may write to `path`.
    pub fn check(path: &Path) -> io::Result<()> {
        Ok(accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS)?)
    }

    /// Whether this process may create a file in `folder` and, if there is one, replace `old`.
    pub fn check_folder(folder: &Path, old: Option<&Metadata>) -> io::Result<()> {
        accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
        let (own, folder) = (geteuid(), fs::metadata(folder)?);
        // In a folder like /tmp, files can be replaced by their owners only.
        let is_sticky = folder.mode() & 0o1000 != 0 && !own.is_root();
        let is_owner = |file: &Metadata| file.uid() == own.as_raw();
        match old {
            Some(old) if is_sticky && !is_owner(old) && !is_owner(&folder) => {
                Err(Errno::ACCESS.into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(not(unix))]
mod access {
    use std::fs::{self, Metadata};
    use std::io::{self, ErrorKind};
    use std::path::Path;

    pub fn check(path: &Path) -> io::Result<()> {
        match fs::metadata(path)?.permissions().readonly() {
            true => Err(ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    }

    pub fn check_folder(_: &Path, _: Option<&Metadata>) -> io::Result<()> {
        Ok(())
    }
}
