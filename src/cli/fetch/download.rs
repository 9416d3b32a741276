//! Downloads: resumed where they were interrupted, verified, then renamed to their final names.
use super::{fill, most};
use crate::cli::url::without_password;
use crate::data::sources::Set;
use crate::error::{Error, Result};
use crate::run::{Target, atomic};
use indicatif::ProgressBar;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;
use ureq::Agent;

/// Download the files of a set from below `address`. An interrupted download is resumed by the next
/// call.
pub fn download(set: &Set, address: &str, folder: &Path, bar: &ProgressBar) -> Result<()> {
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_recv_body(Some(Duration::from_secs(3600)))
        .build()
        .into();
    fill(folder, || {
        for file in &set.files {
            let path = folder.join(file.name);
            if let Ok(bytes) = fs::read(&path)
                && set.whole(file, file.name, &*bytes).is_ok()
            {
                bar.inc(bytes.len() as u64);
                continue;
            }
            Target::of(&path)?;
            let url = format!("{address}{}", file.name);
            let part = folder.join(format!("{}.part", file.name));
            get(&agent, &url, &part, most(file), bar)?;
            let bytes = fs::read(&part).map_err(Error::io(&part))?;
            if let Err(error) = set.whole(file, &without_password(&url), &*bytes) {
                fs::remove_file(&part).map_err(Error::io(&part))?;
                return Err(error);
            }
            atomic::write(&path, &bytes)?;
            fs::remove_file(&part).map_err(Error::io(&part))?;
        }
        Ok(())
    })
}

/// Download `url` into the file `part`, up to a total length of `most` bytes. If `part` already has
/// the first bytes, only those after them are requested. If the server sends the whole file
/// nevertheless, `part` is overwritten.
fn get(agent: &Agent, url: &str, part: &Path, most: u64, bar: &ProgressBar) -> Result<()> {
    // A link could lead the download into any file of the user.
    if fs::symlink_metadata(part).is_ok_and(|part| !part.is_file()) {
        let (found, expected) = ("a link or a folder", "the file of an interrupted download");
        return Err(Error::invalid(part.display(), found, expected, "Remove it."));
    }
    let mut have = fs::metadata(part).map_or(0, |part| part.len());
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = match request.call() {
        // The server has nothing after these bytes; the checksum decides whether they are right.
        Err(ureq::Error::StatusCode(416)) => return Ok(()),
        answer => answer.map_err(|error| failed(url, &error.to_string()))?,
    };
    let mut options = fs::File::options();
    let mut file = options.create(true).append(true).open(part).map_err(Error::io(part))?;
    if response.status() != 206 {
        file.set_len(0).map_err(Error::io(part))?;
        have = 0;
    }
    bar.inc(have);
    let end = response.body().content_length().map(|length| have + length);
    let mut body = response.into_body().into_reader().take(most.saturating_sub(have));
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = body.read(&mut buffer).map_err(|error| failed(url, &error.to_string()))?;
        if read == 0 {
            break;
        }
        file.write_all(&buffer[..read]).map_err(Error::io(part))?;
        bar.inc(read as u64);
        have += read as u64;
    }
    match end {
        Some(end) if have < end.min(most) => {
            Err(failed(url, &format!("the end after {have} of {end} bytes")))
        }
        _ => Ok(()),
    }
}

fn failed(url: &str, found: &str) -> Error {
    let advice = "Run the command again to resume the download; or get the files elsewhere and \
                  give their folder or address: --from PATH.";
    let [url, found] = [url, found].map(without_password);
    Error::invalid(url, found, "the published file", advice)
}
