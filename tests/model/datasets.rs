//! Defends: published data sets are read correctly, and a file that differs from the published one
//! is refused. Expected numbers were computed with NumPy and Pillow from the same files. Tests of
//! real files need the environment variable `BHN_TEST_DATA`, the path of a data folder with these
//! files, such as `.ci/run` makes. If it is not set, they print `skipped`.

use crate::test_data::test_data;
use bhn::data::{GREY, Options, Targets, Task, TaskKind, grey28, load, uci, uci_splits};
use bhn::error::Error;
use ndarray::{Array2, ArrayView1, Axis, s};
use rstest::rstest;
use std::fs;
use std::path::Path;

fn classes(y: &Targets) -> &[usize] {
    match y {
        Targets::Classes(y) => y,
        Targets::Values(_) => panic!("values"),
    }
}

fn counts(y: &Targets) -> [usize; 10] {
    let mut counts = [0; 10];
    classes(y).iter().for_each(|&class| counts[class] += 1);
    counts
}

fn mean(x: &Array2<f32>) -> f64 {
    x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64
}

/// `|found − expected| ≤ tolerance`.
#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found}, not {expected}");
}

#[test]
fn fashion_mnist_matches_published_statistics() {
    let Some(dir) = test_data("fashion-mnist") else { return };
    let data = load("fashion-mnist", &Options::default(), Some(&dir)).unwrap();
    let sizes = [data.train.len(), data.validation.len(), data.test.len()];
    assert_eq!((sizes, data.image), ([50_000, 10_000, 10_000], Some([1, 28, 28])));
    assert_eq!(counts(&data.test.y), [1000; 10]);
    assert_eq!(classes(&data.train.y)[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
    assert_eq!(classes(&data.test.y)[..5], [9, 2, 1, 1, 6]);
    // The mean over all 60,000 images, which is commonly used for normalisation, is 0.2860.
    near((5. * mean(&data.train.x) + mean(&data.validation.x)) / 6., 0.2860, 5e-5);
    let Task::Classification { classes } = data.task else { panic!("regression") };
    assert_eq!((&*classes[0], &*classes[9]), ("T-shirt/top", "ankle boot"));
    assert_eq!(grey28("fashion-mnist", Some(&dir)).unwrap(), data.test.x);
}

#[test]
fn cifar_10_matches_published_statistics() {
    let Some(dir) = test_data("cifar-10") else { return };
    let options = Options { train_subset: Some(100), ..Options::default() };
    let data = load("cifar-10", &options, Some(&dir)).unwrap();
    let sizes = [data.train.len(), data.validation.len(), data.test.len()];
    assert_eq!((sizes, data.image), ([100, 5_000, 10_000], Some([3, 32, 32])));
    assert_eq!(counts(&data.test.y), [1000; 10]);
    // Red, green and blue of the test images; the same of the standardised training images.
    let raw = data.preprocess.inverse_transform(data.test.x.view());
    for (channel, expected) in [0.494214280, 0.485131389, 0.450409093].into_iter().enumerate() {
        let plane = s![.., channel * 1024..(channel + 1) * 1024];
        near(mean(&raw.slice(plane).to_owned()), expected, 1e-6);
        let plane = data.train.x.slice(plane).mapv(f64::from);
        near(plane.mean().unwrap(), 0., 1e-6);
        near(plane.std(0.), 1., 1e-6);
    }
}

/// Exactly the images of the first five classes, in order.
#[test]
fn cifar_5_is_first_five_classes_of_cifar_10() {
    let Some(dir) = test_data("cifar-10") else { return };
    let options = Options { train_subset: Some(50), ..Options::default() };
    let [all, part] = ["cifar-10", "cifar-5"].map(|set| load(set, &options, Some(&dir)).unwrap());
    assert_eq!((part.train.len(), part.test.len(), part.name.as_str()), (50, 5_000, "cifar-5"));
    assert_eq!(part.task.outputs(), 5);
    assert_eq!(counts(&part.test.y)[..5], [1000; 5]);
    let first = all.test.y.classes().iter().position(|class| *class < 5).unwrap();
    let [all_x, part_x] =
        [&all, &part].map(|data| data.preprocess.inverse_transform(data.test.x.view()));
    // Standardisation and its inverse round in f32.
    let differences = &all_x.row(first) - &part_x.row(0);
    assert!(differences.iter().all(|d| d.abs() < 1e-6));
}

/// Rows, mean, and the mean and two pixels of row 7: `[10, 9]` and `[14, 14]`.
#[rstest]
#[case("kmnist", 10_000, 0.184557025310, [0.152280912365, 0., 0.])]
#[case("notmnist", 10_000, 0.426623956583, [0.687009803922, 1., 1.])]
#[case("omniglot", 4_840, 0.080556170007, [0.103568416168, 0., 0.897642731667])]
#[case("cifar-10", 10_000, 0.484499037630, [0.496383006342, 0.465554058552, 0.386357724667])]
fn grey_images_match_reference_statistics(
    #[case] name: &str,
    #[case] rows: usize,
    #[case] all: f64,
    #[case] seventh: [f64; 3],
) {
    let Some(dir) = test_data(name) else { return };
    let images = grey28(name, Some(&dir)).unwrap();
    assert_eq!(images.dim(), (rows, 784));
    assert!(images.iter().all(|pixel| (0. ..=1.).contains(pixel)));
    near(mean(&images), all, 1e-5);
    let row = images.row(7);
    let found = [f64::from(row.mean().unwrap()), row[10 * 28 + 9].into(), row[14 * 28 + 14].into()];
    found.into_iter().zip(seventh).for_each(|(found, expected)| near(found, expected, 1e-4));
    if ["kmnist", "omniglot"].contains(&name) {
        // Light ink in the middle; the letters of notMNIST reach the edge.
        let images = images.into_shape_with_order((rows, 28, 28)).unwrap();
        let middle = images.slice(s![.., 7..21, 7..21]).mean().unwrap();
        assert!(images.slice(s![.., 0, ..]).mean().unwrap() < middle / 2.);
    }
}

/// Means and variances are within 4 standard errors of `1/2`, `1/12` and `0`, `1`; neighbours are
/// uncorrelated; the images are deterministic.
#[test]
fn noise_images_have_expected_moments() {
    for (name, mean, variance, fourth) in
        [("uniform", 0.5, 1. / 12., 1. / 80.), ("gaussian", 0., 1., 3.)]
    {
        let images = grey28(name, None).unwrap();
        assert_eq!(images.dim(), (10_000, 784));
        let n = images.len() as f64;
        let centred = images.mapv(|x| f64::from(x) - mean);
        near(centred.mean().unwrap(), 0., 4. * (variance / n).sqrt());
        let found = centred.mapv(|x| x * x).mean().unwrap();
        near(found, variance, 4. * ((fourth - variance * variance) / n).sqrt());
        let neighbours = &centred.slice(s![.., 1..]) * &centred.slice(s![.., ..-1]);
        near(neighbours.mean().unwrap(), 0., 4. * variance / (neighbours.len() as f64).sqrt());
        assert_eq!(images, grey28(name, None).unwrap());
    }
    let uniform = grey28("uniform", None).unwrap();
    assert!(uniform.iter().all(|pixel| (0. ..1.).contains(pixel)));
}

/// For each set: the numbers of rows and features, and the target's mean and standard deviation
/// over the training rows of split 1.
#[rstest]
#[case("bostonHousing", 506, 13, 22.926648351648353, 9.599975891537524)]
#[case("concrete", 1_030, 8, 35.61219973009447, 16.867495828932498)]
#[case("energy", 768, 8, 22.45715579710145, 10.127469589195274)]
#[case("kin8nm", 8_192, 8, 0.7135858712404206, 0.26295515758851223)]
#[case("naval-propulsion-plant", 11_934, 16, 0.9750516759776536, 0.014661509228957342)]
#[case("power-plant", 9_568, 4, 454.3798388501742, 17.0853688455653)]
#[case("protein-tertiary-structure", 45_730, 9, 7.7466806378132125, 6.111120090641705)]
#[case("wine-quality-red", 1_599, 11, 5.622067767158992, 0.8129060390036601)]
#[case("yacht", 308, 6, 11.141085972850679, 15.768684204320763)]
fn uci_sets_match_reference_statistics(
    #[case] name: &str,
    #[case] rows: usize,
    #[case] features: usize,
    #[case] centre: f64,
    #[case] std: f64,
) {
    let Some(dir) = test_data(&format!("uci/{name}")) else { return };
    let splits = uci_splits(name).unwrap();
    assert_eq!(splits, if name.starts_with("protein") { 5 } else { 20 });
    let data = uci(name, 1, Some(&dir)).unwrap();
    assert_eq!((data.task.clone(), data.image), (Task::Regression, None));
    let test = (rows as f64 * 0.1).round() as usize;
    let train = (rows - data.test.len()) * 4 / 5;
    assert!(data.test.len().abs_diff(test) <= 1, "{} of {rows}", data.test.len());
    assert_eq!(data.train.len(), train);
    assert_eq!(data.validation.len(), rows - data.test.len() - train);
    assert_eq!(data.train.x.ncols(), features);
    let (found_mean, found_std) = data.preprocess.y.unwrap();
    near(found_mean, centre, 1e-9 * centre.abs());
    near(found_std, std, 1e-9 * std);
    // Standardised by the training part; a constant feature is 0.
    let moments = |x: ArrayView1<f32>| {
        let x = x.mapv(f64::from);
        (x.mean().unwrap(), x.std(0.))
    };
    for column in data.train.x.axis_iter(Axis(1)) {
        let (mean, std) = moments(column);
        near(mean, 0., 1e-5);
        assert!((std - 1.).abs() < 1e-5 || column.iter().all(|&x| x == 0.), "{std}");
    }
    let Targets::Values(y) = &data.train.y else { panic!("classes") };
    let (mean, std) = moments(ArrayView1::from(y));
    near(mean, 0., 1e-5);
    near(std, 1., 1e-5);
    // The name in `load` selects the first split.
    let named = load(&format!("uci/{name}/1"), &Options::default(), Some(&dir)).unwrap();
    assert_eq!((named.name, &named.test), (format!("uci-{name}-1"), &data.test));
    let first = load(&format!("uci/{name}"), &Options::default(), Some(&dir)).unwrap();
    assert_eq!(first.test, uci(name, 0, Some(&dir)).unwrap().test);
    assert_ne!(first.test, data.test);
}

#[track_caller]
fn fails<T>(result: Result<T, Error>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn missing_set_error_differs_from_unknown_name() {
    let folder = tempfile::tempdir().unwrap();
    let fetched = &GREY[2..];
    for name in fetched {
        for dir in [None, Some(folder.path()), Some(Path::new("/no/such"))] {
            let error = grey28(name, dir).unwrap_err();
            assert!(matches!(&error, Error::Missing { set, .. } if set == name), "{error}");
            assert_eq!(error.skipped(), Some(format!("skipped: bhn data fetch {name}")));
            fails::<()>(Err(error), &[&format!("`bhn data fetch {name}")]);
        }
    }
    let error = uci("yacht", 0, Some(folder.path())).unwrap_err();
    assert_eq!(error.skipped().unwrap(), "skipped: bhn data fetch uci/yacht");
    let wrong = grey28("imagenet", None).unwrap_err();
    assert_eq!(wrong.skipped(), None);
    fails::<()>(Err(wrong), &["imagenet", "omniglot, cifar-10"]);
    fails(uci("iris", 0, None), &["uci/iris", "uci/bostonHousing", "uci/yacht"]);
    fails(uci_splits("iris"), &["uci/iris"]);
    fails(uci("protein-tertiary-structure", 5, None), &["\"5\"", "0 to 4"]);
    fails(load("uci/yacht/x", &Options::default(), None), &["\"x\"", "0 to 19"]);
    fails(load("uci/table.csv", &Options::default(), None), &["uci/table.csv", "no such file"]);
    fails(load("uci/", &Options::default(), None), &["uci/yacht"]);
    let task = |task| Options { task: Some(task), ..Options::default() };
    fails(load("uci/yacht", &task(TaskKind::Classification), None), &["regression"]);
    fails(load("cifar-10", &task(TaskKind::Regression), None), &["classification"]);
    fails(load("fashion-mnist", &task(TaskKind::Regression), None), &["classification"]);
    let target = Options { target: Some("y".into()), ..Options::default() };
    fails(load("cifar-10", &target, None), &["target", "CSV"]);
}

/// Files that have the right name but are truncated, too long, changed, or other files.
#[rstest]
#[case("kmnist", "kmnist-test-imgs.npz", "3079479")]
#[case("notmnist", "t10k-images-idx3-ubyte.gz", "")]
#[case("omniglot", "images_background_small1.zip", "1319022")]
#[case("cifar-10", "cifar-10-binary.tar.gz", "170052171")]
fn a_file_with_a_wrong_checksum_is_refused(
    #[case] set: &str,
    #[case] file: &str,
    #[case] size: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(set)).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(set).join(name), bytes);
    if set == "omniglot" {
        write("images_background_small2.zip", b"x").unwrap();
    }
    let refused = |bytes: &[u8], parts: &[&str]| {
        write(file, bytes).unwrap();
        let error = grey28(set, Some(folder.path())).unwrap_err();
        assert_eq!(error.skipped(), None);
        fails::<()>(Err(error), &[&[set, file], parts].concat());
    };
    refused(b"", &[size]);
    refused(b"another file", &[size]);
    let source = test_data(set).map(|dir| dir.join(set).join(file));
    let Some(good) = source.and_then(|path| fs::read(path).ok()) else { return };
    refused(&good[..good.len() - 1], &[size]);
    refused(&[&good[..], b"x"].concat(), &[]);
    let mut flipped = good;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    refused(&flipped, &[]);
}
