//! Tests the model of a run after training, and writes the files with the results.
use super::progress::about;
use crate::bayes::{Model, Targets};
use crate::cli::show;
use crate::data::{Dataset, Task};
use crate::predict::evaluate::{Evaluation, evaluate};
use crate::predict::{Predictive, Removal, draw};
use crate::random::{Purpose, stream};
use crate::report::sheet::{Sheet, contrast};
use crate::report::{self, Classification, Regression};
use crate::run::{Config, Run, Summary, Trained, atomic};
use anyhow::Result;

/// Test the model of the best epoch, and write `summary.json` and `report.html`.
pub fn conclude(run: &Run, trained: &Trained, samples: usize) -> Result<(Summary, String)> {
    let found = evaluate(&trained.model, &run.data, samples, run.config.seed)?;
    let summary = Summary::new(run, found.test.clone(), found.elbo, show::command());
    let json = serde_json::to_string_pretty(&summary)? + "\n";
    atomic::write(&run.dir.join("summary.json"), json.as_bytes())?;
    let mut rows = show::results(&found, &run.config);
    let is_last = summary.best_epoch == run.config.train.epochs && summary.epochs > 1;
    let last = if is_last { ", the last: more may be better" } else { "" };
    let best = format!("{} of {}{last}", summary.best_epoch, summary.epochs);
    rows.push(("best epoch (by validation)".into(), best));
    rows.push(("training time".into(), show::duration(summary.seconds)));
    let report = run.dir.join("report.html");
    atomic::write(&report, page(trained, run, &found, &rows, &summary)?.as_bytes())?;
    rows.push(("run folder".into(), run.dir.display().to_string()));
    rows.push(("report".into(), report.display().to_string()));
    Ok((summary, show::table(rows)))
}

/// The filters of the first layer, if it is a convolution of grey or colour images.
fn filters(model: &Model, run: &Run) -> Option<Sheet> {
    let (theta, _) = draw(model, 1, &mut stream(run.config.seed, Purpose::Evaluation, 0));
    let (weights, shape) = model.primary.filters(&model.params, theta.as_slice())?;
    let caption = "The weights of each channel of the first layer. Grey is zero; black and white \
                   are the largest magnitudes, negative and positive. With weight normalisation \
                   they are the same in all posterior samples up to a factor; without, they are \
                   those of one sample.";
    [1, 3].contains(&shape[0]).then(|| Sheet {
        name: "filters".into(),
        caption: caption.into(),
        columns: 16,
        shape,
        images: contrast(weights.view()),
    })
}

/// The contents of `report.html`.
fn page(
    trained: &Trained,
    run: &Run,
    found: &Evaluation,
    rows: &[(String, String)],
    summary: &Summary,
) -> Result<String> {
    let Dataset { test, task, image, .. } = &run.data;
    let targets: Vec<f64>;
    let pixels;
    let test = match (&found.predictive, &test.y, task) {
        (
            Predictive::Classes { p, entropy, bald, .. },
            Targets::Classes(labels),
            Task::Classification { classes },
        ) => {
            // Only images of one or three channels can be displayed.
            let images = image.filter(|shape| [1, 3].contains(&shape[0]));
            pixels = images.map(|_| run.data.preprocess.inverse_transform(test.x.view()));
            let images = pixels.as_ref().map(|x| x.view()).zip(images);
            report::Test::Classification(Classification {
                p: p.view(),
                labels,
                classes,
                entropy,
                bald,
                images,
            })
        }
        (Predictive::Values { mean, std, .. }, Targets::Values(y), _) => {
            let unit = |&y: &f32| run.data.preprocess.in_units(y.into());
            targets = y.iter().map(unit).collect();
            report::Test::Regression(Regression { mean, std, y: &targets })
        }
        _ => unreachable!("a model predicts the kind of target it was built for"),
    };
    let mut settings = settings(&run.config);
    let machine = [
        ("threads", summary.threads.to_string()),
        ("processor", summary.cpu.clone()),
        ("kernels and libm", summary.machine.to_string()),
        ("version", format!("{} ({})", summary.version, summary.commit)),
    ];
    settings.extend(machine.map(|(name, value)| (name.to_string(), value)));
    Ok(report::render(&report::Run {
        title: format!(
            "{} on {}",
            run.dir.file_name().unwrap_or_default().to_string_lossy(),
            run.data.name
        ),
        about: format!("A {}.", about(&run.config)),
        settings,
        results: rows.to_vec(),
        history: &run.history,
        epochs: summary.epochs,
        seconds: summary.seconds,
        test,
        filters: filters(&trained.model, run),
        widths: trained.widths().map(|widths| {
            let removal = Removal::of(&trained.model, &widths, &run.data.test, run.config.seed);
            (widths, removal)
        }),
        command: summary.command.clone(),
    })?)
}

/// The keys and values of `config.toml`.
fn settings(config: &Config) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut settings = vec![];
    for line in config.to_toml().lines() {
        if let Some((key, value)) = line.split_once(" = ") {
            settings.push((format!("{section}{key}"), value.to_string()));
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_string() + ".";
        }
    }
    settings
}
