//! `bhn data fetch`: downloads a data set, or copies it from local files, which may be compressed
//! by xz.
#[cfg(feature = "fetch")]
mod download;

use super::url::{is_url, without_password};
use crate::data::sources::{File, Place, Set};
use crate::error::{Error, Result};
use crate::run::atomic;
use crate::run::lock::Lock;
#[cfg(feature = "fetch")]
use download::download;
use indicatif::ProgressBar;
use lzma_rust2::XzReader;
use serde::Serialize;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// A data set in the data folder.
#[derive(Serialize)]
pub struct Fetched {
    pub name: &'static str,
    pub folder: Option<String>,
    /// A phrase for the user: the files are as published, stand-ins or there already, or there is
    /// nothing to fetch.
    pub files: &'static str,
}

const PUBLISHED: &str = "as published";
const STAND_IN: &str = "stand-ins: the published examples in another order";

/// Put the files of a set into the data folder `dir`, each verified and written completely or not
/// at all.
///
/// Files come from their published addresses, from the address `from`, or from the local folder or
/// file `from`. If intact files are in the data folder already, nothing is fetched. The result is
/// `None` if the local folder or file has none of the set's files.
pub fn fetch(
    set: &Set,
    dir: &Path,
    from: Option<&OsStr>,
    bar: &ProgressBar,
) -> Result<Option<Fetched>> {
    let Some(address) = &set.address else {
        let files = "inside the program: nothing to fetch";
        return Ok(Some(Fetched { name: set.name, folder: None, files }));
    };
    let folder = dir.join(set.name);
    let is_intact = |place: Place| place.files.iter().all(|file| place.read(file).is_ok());
    let url = from.and_then(OsStr::to_str).filter(|from| is_url(from));
    let files = match (from, url) {
        _ if set.place(Some(dir)).is_ok_and(is_intact) => Some("there already"),
        (Some(path), None) => copy(set, Path::new(path), &folder)?,
        (_, url) => {
            let given = url.map(|url| format!("{}/", url.trim_end_matches('/')));
            download(set, given.as_deref().unwrap_or(address), &folder, bar)?;
            Some(PUBLISHED)
        }
    };
    Ok(files.map(|files| Fetched {
        name: set.name,
        folder: Some(folder.display().to_string()),
        files,
    }))
}

/// Without the feature `fetch` nothing is downloaded.
#[cfg(not(feature = "fetch"))]
fn download(set: &Set, address: &str, _: &Path, _: &ProgressBar) -> Result<()> {
    let advice = "Download its files by other means and give their folder, --from PATH; or build \
                  the program with default features.";
    let found = "a program that was built without the feature fetch";
    let url = without_password(&format!("{address}{}", set.files[0].name));
    Err(Error::invalid(url, found, "one that can download", advice))
}

/// Copy the files of a set from a local file, or from a local folder as it was downloaded or
/// unpacked. Returns whether they are the published files or stand-ins; `None` if there are none of
/// them.
fn copy(set: &Set, from: &Path, to: &Path) -> Result<Option<&'static str>> {
    let own = set.name.rsplit('/').next().unwrap_or(set.name);
    let folders = ["", own, set.name].map(|name| from.join(name));
    let folders = folders.iter().flat_map(|folder| [folder.clone(), folder.join("data")]);
    let folders: Vec<PathBuf> = folders.collect();
    let find = |file: &File| {
        let names = [file.name.to_owned(), format!("{}.xz", file.name)];
        let all = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        let itself = names.iter().any(|name| from.ends_with(name)).then(|| from.to_owned());
        itself.into_iter().chain(all).find(|path| path.is_file())
    };
    if !from.exists() {
        let (what, expected) = (without_password(&from.to_string_lossy()), "a folder or a file");
        return Err(Error::invalid(what, "nothing there", expected, "Correct it."));
    }
    let kinds = [(&set.files, PUBLISHED), (&set.stand_ins, STAND_IN)];
    let Some((files, kind)) =
        kinds.into_iter().find(|(files, _)| files.iter().any(|f| find(f).is_some()))
    else {
        return Ok(None);
    };
    let path = |file: &File| {
        find(file).ok_or_else(|| {
            let found = format!("no file {} for {}", file.name, set.name);
            Error::invalid(from.display(), found, "all of its files", "Add it.")
        })
    };
    let paths = files.iter().map(path).collect::<Result<Vec<_>>>()?;
    fill(to, || {
        for (file, path) in files.iter().zip(paths) {
            let reader = fs::File::open(&path).map(BufReader::new).map_err(Error::io(&path))?;
            let reader: Box<dyn Read> = match path.extension().is_some_and(|end| end == "xz") {
                true => Box::new(XzReader::new(reader, true)),
                false => Box::new(reader),
            };
            let mut bytes = vec![];
            reader.take(most(file)).read_to_end(&mut bytes).map_err(Error::io(&path))?;
            set.whole(file, &path.display().to_string(), &*bytes)?;
            atomic::write(&to.join(file.name), &bytes)?;
        }
        Ok(())
    })?;
    Ok(Some(kind))
}

/// Lock a folder and call `with` to fill it. If that fails and the folder is empty, it is removed.
fn fill(folder: &Path, with: impl FnOnce() -> Result<()>) -> Result<()> {
    let _lock = Lock::take(folder)?;
    with().inspect_err(|_| Lock::abandon(folder))
}

/// An upper bound on the size of a file in bytes, compressed or not.
fn most(file: &File) -> u64 {
    file.bytes + file.bytes / 8 + 4096
}

#[cfg(all(test, feature = "fetch"))]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::io::{BufRead, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};
    use tempfile::TempDir;

    /// A request: a path, and the first byte of its range.
    type Request = (String, Option<usize>);

    /// A server on the loopback interface that sends raw responses, and its log of requests.
    fn serve(
        answer: impl Fn(&str, Option<usize>) -> Vec<u8> + Send + 'static,
    ) -> (String, Arc<Mutex<Vec<Request>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/some/where", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(vec![]));
        let log = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map(|line| line.unwrap()).take_while(|line| !line.is_empty()).collect();
                let path = head[0].split(' ').nth(1).unwrap().to_owned();
                let range = head.iter().find_map(|line| {
                    let line = line.to_lowercase();
                    line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()
                });
                log.lock().unwrap().push((path.clone(), range));
                stream.write_all(&answer(&path, range)).unwrap();
            }
        });
        (address, requests)
    }

    fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
        [head.as_bytes(), b"\r\n", body].concat()
    }

    /// The response of a server that supports ranges.
    fn part(bytes: &[u8], range: Option<usize>) -> Vec<u8> {
        match range {
            None => answer("200 OK", bytes.len(), bytes),
            Some(from) if from >= bytes.len() => answer("416 Range Not Satisfiable", 0, b""),
            Some(from) => {
                let body = &bytes[from..];
                let all = bytes.len();
                let status =
                    format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}", all - 1);
                answer(&status, body.len(), body)
            }
        }
    }

    /// 300 kB of pseudo-random bytes.
    fn bytes() -> Vec<u8> {
        let hash = |i: u32| Sha256::digest(i.to_le_bytes()).to_vec();
        (0..10_000).flat_map(hash).take(300_000).collect()
    }

    fn file(name: &'static str, bytes: &[u8]) -> File {
        let sha256: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        File { name, compressed: None, bytes: bytes.len() as u64, sha256: sha256.leak() }
    }

    fn set() -> Set {
        Set {
            name: "small/set",
            what: "",
            source: "",
            licence: "",
            address: Some("http://127.0.0.1:9/".into()),
            files: vec![file("a.bin", &bytes()), file("b.bin", b"hello")],
            stand_ins: vec![file("c.bin", b"hallo")],
        }
    }

    fn try_fetch(folder: &TempDir, from: &str) -> Result<Option<Fetched>> {
        fetch(&set(), folder.path(), Some(OsStr::new(from)), &ProgressBar::hidden())
    }

    #[track_caller]
    fn kind(fetched: Result<Option<Fetched>>) -> &'static str {
        fetched.unwrap().expect("files of the set").files
    }

    #[track_caller]
    fn fails(fetched: Result<Option<Fetched>>, parts: &[&str]) {
        let error = fetched.err().expect("an error").to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let Ok(entries) = fs::read_dir(folder.path().join("small/set")) else { return vec![] };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".lock");
        names.sort();
        names
    }

    fn content(path: &str, range: Option<usize>) -> Vec<u8> {
        match path {
            "/some/where/a.bin" => part(&bytes(), range),
            "/some/where/b.bin" => part(b"hello", range),
            _ => answer("404 Not Found", 0, b""),
        }
    }

    #[test]
    fn intact_files_are_downloaded_once() {
        let folder = TempDir::new().unwrap();
        let (address, requests) = serve(content);
        assert_eq!(kind(try_fetch(&folder, &address)), PUBLISHED);
        assert_eq!(names(&folder), ["a.bin", "b.bin"]);
        assert_eq!(fs::read(folder.path().join("small/set/a.bin")).unwrap(), bytes());
        assert_eq!(kind(try_fetch(&folder, &address)), "there already");
        assert_eq!(requests.lock().unwrap().len(), 2);
        // Only the damaged file is downloaded again.
        fs::write(folder.path().join("small/set/b.bin"), "hullo").unwrap();
        assert_eq!(kind(try_fetch(&folder, &address)), PUBLISHED);
        assert_eq!(requests.lock().unwrap()[2..], [("/some/where/b.bin".to_owned(), None)]);
    }

    #[test]
    fn an_interrupted_download_is_resumed() {
        let folder = TempDir::new().unwrap();
        let (address, requests) = serve(|path, range| match range {
            None if path.ends_with("a.bin") => answer("200 OK", 300_000, &bytes()[..100_000]),
            _ => content(path, range),
        });
        fails(try_fetch(&folder, &address), &["a.bin", "Run the command again", "--from PATH"]);
        assert_eq!(names(&folder), ["a.bin.part"]);
        assert_eq!(kind(try_fetch(&folder, &address)), PUBLISHED);
        assert_eq!(names(&folder), ["a.bin", "b.bin"]);
        let expected = [("a.bin", None), ("a.bin", Some(100_000)), ("b.bin", None)];
        let expected = expected.map(|(name, range)| (format!("/some/where/{name}"), range));
        assert_eq!(*requests.lock().unwrap(), expected);
    }

    #[test]
    fn without_ranges_a_download_restarts() {
        let folder = TempDir::new().unwrap();
        let (address, _) = serve(|path, _| content(path, None));
        fs::create_dir_all(folder.path().join("small/set")).unwrap();
        fs::write(folder.path().join("small/set/a.bin.part"), &bytes()[..1000]).unwrap();
        assert_eq!(kind(try_fetch(&folder, &address)), PUBLISHED);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_not_followed() {
        let folder = TempDir::new().unwrap();
        let (address, requests) = serve(content);
        let of_user = folder.path().join("of-user");
        fs::write(&of_user, "precious").unwrap();
        fs::create_dir_all(folder.path().join("small/set")).unwrap();
        let part = folder.path().join("small/set/a.bin.part");
        std::os::unix::fs::symlink(&of_user, &part).unwrap();
        fails(try_fetch(&folder, &address), &["a.bin.part", "a link", "Remove it"]);
        assert_eq!(fs::read(&of_user).unwrap(), b"precious");
        assert!(requests.lock().unwrap().is_empty());
    }

    #[test]
    fn passwords_are_not_shown() {
        let folder = TempDir::new().unwrap();
        let (address, _) = serve(|path, range| match path {
            "/some/where/b.bin" => part(b"hallo", range),
            _ => content(path, range),
        });
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let with_password = address.replacen("http://", "http://me:secret@", 1);
        for from in [
            with_password,
            format!("http://me:secret@{closed}"),
            "http://me:secret@a b".into(),
            "ftp://me:secret@host/x".into(),
        ] {
            let error = try_fetch(&folder, &from).err().expect("an error").to_string();
            assert!(!error.contains("secret") && error.contains("://"), "{error}");
        }
    }

    #[test]
    fn a_complete_part_is_accepted() {
        let folder = TempDir::new().unwrap();
        let (address, _) = serve(content);
        fs::create_dir_all(folder.path().join("small/set")).unwrap();
        fs::write(folder.path().join("small/set/a.bin.part"), bytes()).unwrap();
        assert_eq!(kind(try_fetch(&folder, &address)), PUBLISHED);
    }

    #[test]
    fn a_wrong_checksum_leaves_no_file() {
        let folder = TempDir::new().unwrap();
        let (address, _) = serve(|path, range| match path {
            "/some/where/b.bin" => part(b"hallo", range),
            _ => content(path, range),
        });
        let own = set().files[1].sha256;
        fails(try_fetch(&folder, &address), &[&address, "b.bin", "SHA-256", own, "small/set"]);
        assert_eq!(names(&folder), ["a.bin"]);
        // Nor is a part of another file kept.
        let (good, _) = serve(content);
        fs::write(folder.path().join("small/set/b.bin.part"), "ha").unwrap();
        fails(try_fetch(&folder, &good), &["SHA-256"]);
        assert_eq!(kind(try_fetch(&folder, &good)), PUBLISHED);
    }

    #[test]
    fn an_endless_response_is_refused() {
        let folder = TempDir::new().unwrap();
        let (address, _) = serve(|_, _| {
            let endless = [bytes(), bytes(), bytes()].concat();
            [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], &endless].concat()
        });
        fails(try_fetch(&folder, &address), &["a.bin", "more than 300000 bytes"]);
        assert!(names(&folder).is_empty());
    }

    #[test]
    fn failed_requests_name_their_address() {
        let folder = TempDir::new().unwrap();
        let (address, _) = serve(|_, _| answer("404 Not Found", 0, b""));
        fails(try_fetch(&folder, &address), &[&address, "a.bin", "404", "--from PATH"]);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let closed = format!("http://{closed}");
        fails(try_fetch(&folder, &closed), &[&closed, "refused", "--from PATH"]);
        // An empty folder would look like a part of the set.
        assert!(!folder.path().join("small/set").exists());
    }

    #[test]
    fn a_locked_folder_is_refused() {
        let folder = TempDir::new().unwrap();
        let (address, requests) = serve(content);
        let lock = Lock::take(&folder.path().join("small/set")).unwrap();
        fails(try_fetch(&folder, &address), &["small/set", "another bhn is writing"]);
        assert!(requests.lock().unwrap().is_empty());
        drop(lock);
        assert_eq!(kind(try_fetch(&folder, &address)), PUBLISHED);
    }

    #[test]
    fn local_files_are_recognised_by_their_checksums() {
        let given = TempDir::new().unwrap();
        let from = given.path().to_str().unwrap().to_owned();
        let folder = TempDir::new().unwrap();
        assert!(try_fetch(&folder, &from).unwrap().is_none());
        assert!(!folder.path().join("small").exists());
        fails(try_fetch(&folder, &format!("{from}/none")), &["none", "nothing there"]);

        fs::write(given.path().join("c.bin"), "hullo").unwrap();
        fails(try_fetch(&folder, &from), &["c.bin", "SHA-256", set().stand_ins[0].sha256]);
        assert!(names(&folder).is_empty());
        fs::write(given.path().join("c.bin"), "hallo").unwrap();
        assert_eq!(kind(try_fetch(&folder, &from)), STAND_IN);
        assert_eq!(names(&folder), ["c.bin"]);

        // A single file, and the layouts of archives and of the data folder itself.
        let folder = TempDir::new().unwrap();
        assert_eq!(kind(try_fetch(&folder, &format!("{from}/c.bin"))), STAND_IN);
        for layout in ["set", "data", "set/data", "small/set"] {
            let given = TempDir::new().unwrap();
            let folder = TempDir::new().unwrap();
            let from = given.path().to_str().unwrap();
            fs::create_dir_all(given.path().join(layout)).unwrap();
            fs::write(given.path().join(layout).join("a.bin"), bytes()).unwrap();
            fails(try_fetch(&folder, from), &["no file b.bin", "all of its files"]);
            fs::write(given.path().join(layout).join("b.bin"), "hello").unwrap();
            assert_eq!(kind(try_fetch(&folder, from)), PUBLISHED);
            assert_eq!(names(&folder), ["a.bin", "b.bin"]);
        }
    }

    /// `printf hallo | xz`.
    const XZ: &[u8] = b"\
        \xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\
        \x74\x2f\xe5\xa3\x01\x00\x04\x68\x61\x6c\x6c\x6f\x00\x00\x00\x00\xc1\xb0\x0b\x53\
        \x9d\xf3\xa4\xec\x00\x01\x1d\x05\xb8\x2d\x80\xaf\x1f\xb6\xf3\x7d\x01\x00\x00\x00\
        \x00\x04\x59\x5a";

    #[test]
    fn local_files_may_be_compressed_by_xz() {
        let given = TempDir::new().unwrap();
        let folder = TempDir::new().unwrap();
        let from = given.path().to_str().unwrap();
        fs::write(given.path().join("c.bin.xz"), XZ).unwrap();
        assert_eq!(kind(try_fetch(&folder, from)), STAND_IN);
        assert_eq!(fs::read(folder.path().join("small/set/c.bin")).unwrap(), b"hallo");
        let folder = TempDir::new().unwrap();
        fs::write(given.path().join("c.bin.xz"), &XZ[..XZ.len() - 20]).unwrap();
        fails(try_fetch(&folder, from), &["c.bin.xz"]);
        fs::write(given.path().join("c.bin.xz"), "hallo").unwrap();
        fails(try_fetch(&folder, from), &["c.bin.xz"]);
        assert!(names(&folder).is_empty());
    }
}
