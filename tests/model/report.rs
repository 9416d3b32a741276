//! Defends: the page of a run has no external resources, shows all its contents, and is
//! deterministic.
#![cfg(feature = "cli")]
use bhn::predict::evaluate::Scores;
use bhn::predict::{Removal, Removed, Total, Widths};
use bhn::report::{Classification, Regression, Run, Test, render};
use bhn::run::record::Epoch;
use bhn::stats::Estimate;
use ndarray::{Array2, ArrayView2, array};

fn run<'a>(history: &'a [Epoch], test: Test<'a>) -> Run<'a> {
    Run {
        title: "<b>Digits</b> & co".into(),
        about: "A network learned.".into(),
        settings: vec![("primary.layers".into(), "dense 10 \"<i>\"".into())],
        results: vec![("accuracy".into(), "98.31 ± 0.13 %".into())],
        history,
        epochs: history.len(),
        seconds: history.iter().map(|epoch| epoch.seconds).sum(),
        test,
        filters: None,
        widths: None,
        command: "bhn train mnist --seed 7 && true".into(),
    }
}

fn history(epochs: usize) -> Vec<Epoch> {
    let scores = Scores { accuracy: Some(0.9), nll: 0.4, ece: Some(0.01), rmse: None };
    let epoch = |epoch| Epoch {
        epoch,
        steps: 469 * epoch as u64,
        learning_rate: 1e-3,
        beta: 1.0,
        loss: 0.5,
        elbo: -18_000.0,
        log_likelihood: -12_000.0,
        kl: 6_000.0,
        train_accuracy: Some(0.95),
        validation: Some(scores.clone()),
        seconds: 40.0,
    };
    (1..=epochs).map(epoch).collect()
}

/// Three predictions, of which two are right; the images are 1 × 2, black and white.
fn classified<'a>(
    p: &'a Array2<f32>,
    classes: &'a [String],
    x: &'a Array2<f32>,
    shape: [usize; 3],
) -> Test<'a> {
    Test::Classification(Classification {
        p: p.view(),
        labels: &[1, 0, 0],
        classes,
        entropy: &[0.25, 0.6875, 0.5],
        bald: &[0.125, 0.0625, 0.25],
        images: Some((x.view(), shape)),
    })
}

fn page(epochs: usize) -> String {
    let p = array![[0.0, 1.0], [0.375, 0.625], [0.75, 0.25]];
    let x = array![[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]];
    let classes = ["cat <tabby>", "$dog$"].map(String::from);
    render(&run(&history(epochs), classified(&p, &classes, &x, [1, 1, 2]))).unwrap()
}

#[test]
fn has_no_external_resources() {
    let page = page(3).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http:", "https:", "<script", "<link", "@import", "@font-face"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for (before, after) in [("src=", "\"data:image/png;base64,"), ("url(", "#clip-"), ("href", "")]
    {
        for (_, rest) in page.match_indices(before).map(|(i, b)| page.split_at(i + b.len())) {
            assert!(!after.is_empty() && rest.starts_with(after), "{before}{}", &rest[..40]);
        }
    }
}

#[test]
fn clip_path_ids_are_unique() {
    let page = page(3);
    let ids: Vec<_> = page.split("<clipPath id=\"").skip(1).map(|s| s.split('"').next()).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (6, 6));
}

#[test]
fn shows_its_contents() {
    let page = page(3);
    let expected = [
        "3 epochs (1,407 steps) in 2 min 0 s",
        "was −18,000 nats",
        "a log-likelihood of −12,000 minus a KL of 6,000",
        "Of the 3 test examples 66.67 ± 27.22 %",
        "98.31 ± 0.13 %",
        "entropy 0.688 nats",
        "BALD 0.062 nats",
        ">$dog$</text>",
        "cat &lt;tabby&gt; taken for $dog$ (1)",
        "bhn train mnist --seed 7 &amp;&amp; true",
    ];
    for text in expected {
        assert!(page.contains(text), "{text}");
    }
    // The least certain example comes first.
    assert!(page.find("no. 1,") < page.find("no. 2,") && page.find("no. 2,") < page.find("no. 0,"));
}

#[test]
fn escapes_text() {
    let page = page(1);
    assert!(page.contains("<h1>&lt;b&gt;Digits&lt;/b&gt; &amp; co</h1>"));
    for tag in ["<b>Digits", "<i>", "<tabby>"] {
        assert!(!page.contains(tag), "{tag}");
    }
}

#[test]
fn is_deterministic() {
    assert_eq!(page(2), page(2));
}

/// A test without uncertainty: `zeros [N]` are the entropy and BALD.
fn certain<'a>(
    p: &'a Array2<f32>,
    labels: &'a [usize],
    classes: &'a [String],
    zeros: &'a [f32],
) -> Test<'a> {
    let (entropy, bald) = (zeros, zeros);
    Test::Classification(Classification {
        p: p.view(),
        labels,
        classes,
        entropy,
        bald,
        images: None,
    })
}

#[test]
fn renders_zero_epochs_and_many_classes() {
    let none = page(0);
    assert!(none.contains("It was not trained") && !none.contains("Learning"));
    for k in [3, 10, 100] {
        let p = Array2::from_shape_fn([k, k], |(n, c)| if n == c { 1.0 } else { 0.0 });
        let classes: Vec<String> = (0..k).map(|c| format!("class {c}")).collect();
        let (labels, zeros): (Vec<_>, _) = ((0..k).collect(), vec![0.0; k]);
        let test = certain(&p, &labels, &classes, &zeros);
        let page = render(&run(&history(1), test)).unwrap();
        assert!(
            page.contains("1 epoch (") && !page.contains("NaN") && !page.contains("inf"),
            "{k}"
        );
    }
}

/// The size of a page does not grow with the square of the number of classes, nor with the length
/// of their names; what is left out is counted.
#[test]
fn many_classes_fit_on_a_small_page() {
    let (n, k) = (5000, 5000);
    // Every example is taken for the next class but one.
    let p = Array2::from_shape_fn([n, k], |(i, c)| match (c + k - i % k) % k {
        2 => 0.5,
        0 => 0.25,
        _ => 0.25 / (k - 2) as f32,
    });
    let classes: Vec<String> = (0..k).map(|c| format!("class {c} {}", "x".repeat(2000))).collect();
    let labels: Vec<usize> = (0..n).map(|i| i % k).collect();
    let zeros = vec![0.0; n];
    let test = certain(&p, &labels, &classes, &zeros);
    let start = std::time::Instant::now();
    let page = render(&run(&history(1), test)).unwrap();
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    for text in [
        "The 50 most frequent pairs",
        "4,950 pairs with 4,950 test examples are left out",
        "<td>class 0 xxx",
        "Of the many classes, the 20 most probable ones",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn elbo_is_omitted_without_kl() {
    let history: Vec<_> = history(2).into_iter().map(|e| Epoch { kl: 0.0, ..e }).collect();
    let test = Test::Regression(Regression { mean: &[0.0], std: &[1.0], y: &[1.0] });
    let page = render(&run(&history, test)).unwrap();
    assert!(page.contains("averaged over the minibatches of the last epoch, was −12,000 nats"));
    assert!(!page.contains("ELBO"));
}

#[test]
fn regression_shows_interval_coverage() {
    // |y − m| / σ = 0, 0.5, 1, 3: two are inside the 50 % interval, three inside 80 %, three inside
    // 95 %.
    let (mean, std, y) = ([0.0, 1.0, 2.0, 3.0], [1.0; 4], [0.0, 1.5, 3.0, 6.0]);
    let test = Test::Regression(Regression { mean: &mean, std: &std, y: &y });
    let page = render(&run(&history(2), test)).unwrap();
    for text in
        ["50.0\u{a0}±\u{a0}25.0 %", "75.0\u{a0}±\u{a0}21.7 %", "75.0 % of the targets", "1.6008"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("NaN"));
}

/// Two parts of two entries; two of the four are active, and one is the same in all samples.
#[test]
fn widths_show_parts_and_removed_units() {
    let estimate = |value| Estimate { value, error: 0.125 };
    let widths = Widths {
        samples: 1000,
        precision: 4.0,
        parts: vec![("0.scales".into(), 0..2), ("2.scales".into(), 2..4)],
        mean: vec![0.0, 1.0, 0.0, 3.0],
        std: vec![0.5, 0.125, 0.25, 0.0],
        kl: vec![-0.001, 2.5, 0.04, f64::INFINITY],
        total: Some(Total { kl: estimate(7.5), entropy_error: 0.0625 }),
    };
    let removal = Removal {
        hidden: 2,
        inactive: 1,
        outgoing_inactive: Some(0.25),
        outgoing_active: Some(0.75),
        removed: Some(Removed {
            samples: 20,
            examples: 1000,
            accuracy: estimate(0.5),
            accuracy_without: estimate(0.25),
            changed: 3,
        }),
    };
    let test = Test::Regression(Regression { mean: &[0.0], std: &[1.0], y: &[1.0] });
    let page = render(&Run { widths: Some((widths, Some(removal))), ..run(&[], test) }).unwrap();
    let rows = [
        "0.scales 2 1 2.5 0.5000 0.2500 0.6250 1.0000 0.5000",
        "2.scales 2 1 inf 1.5000 0 0.2500 0.5000 0",
        "all 4 2 inf 1.0000 0 0.3750 1.0000 0",
    ];
    for row in rows {
        let cells: String = row.split(' ').map(|cell| format!("<td>{cell}</td>")).collect();
        assert!(page.contains(&cells), "{row}");
    }
    let facts = [
        "7.5 ± 0.1 nats, mean of ln q − ln p over 1000 samples",
        "2 of 4: KLⱼ above 0.05 nats",
        "<td>1 of 2</td>",
        "0.2500, of active units 0.7500",
        "25.00 ± 12.50 % against 50.00 ± 12.50 %; 3 of 1,000 predictions change (20 samples)",
    ];
    for fact in facts {
        assert!(page.contains(fact), "{fact}");
    }
    assert!(!page.contains("NaN"));
}

#[test]
fn images_need_one_or_three_channels() {
    let p = array![[0.0, 1.0], [0.375, 0.625], [0.75, 0.25]];
    let x = Array2::zeros([3, 2]);
    let classes = ["cat", "dog"].map(String::from);
    let error = render(&run(&[], classified(&p, &classes, &x, [2, 1, 1]))).unwrap_err();
    assert!(error.to_string().contains("found 2, expected 1 or 3"), "{error}");
}

#[test]
#[should_panic(expected = "report: p [1, 2], entropy, bald, classes [2, 1, 2], images None")]
fn mismatched_lengths_panic() {
    let classes = ["cat", "dog"].map(String::from);
    let p = ArrayView2::from_shape([1, 2], &[0.5, 0.5]).unwrap();
    let (labels, entropy, bald) = (&[0][..], &[0.0, 0.0][..], &[0.0][..]);
    let test = Classification { p, labels, classes: &classes, entropy, bald, images: None };
    let _ = render(&run(&[], Test::Classification(test)));
}
