//! Reports of runs and of experiments: HTML pages without external files, scripts or fonts.
//!
//! [`render`] makes that of a run, a function of its argument alone: the same run gives the same
//! bytes. [`experiment`] makes that of an experiment.
pub mod chart;
mod classification;
mod examples;
pub mod experiment;
pub mod figures;
mod regression;
pub mod sheet;
pub mod verdict;

pub use classification::Classification;
pub use regression::Regression;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::error::Result;
use crate::run::record::Epoch;
use sheet::Sheet;

/// What the page tells of. Nothing in it is HTML: text is escaped.
pub struct Run<'a> {
    /// The heading: data and method.
    pub title: String,
    /// What was trained, in a sentence or two for someone who does not know the method.
    pub about: String,
    /// Every setting, defaults included: name and value.
    pub settings: Vec<(String, String)>,
    /// Name, and value with its unit and standard error.
    pub results: Vec<(String, String)>,
    /// The records of epochs in order; those that are lost are gaps.
    pub history: &'a [Epoch],
    /// Epochs of training; none for a model that was not trained.
    pub epochs: usize,
    /// Seconds of training.
    pub seconds: f64,
    /// The predictions for the test set.
    pub test: Test<'a>,
    /// What the first layer looks for, if that can be drawn.
    pub filters: Option<Sheet>,
    /// The command line that made the run.
    pub command: String,
}

/// The predictions for the test set.
pub enum Test<'a> {
    /// Probabilities of classes.
    Classification(Classification<'a>),
    /// A mean and a standard deviation for each target.
    Regression(Regression<'a>),
}

/// The page.
///
/// # Errors
/// If images are to be drawn that have neither one channel nor three.
///
/// # Panics
/// If the test set is empty or its parts differ in length.
pub fn render(run: &Run<'_>) -> Result<String> {
    let (outcome, sections) = match &run.test {
        Test::Classification(test) => (test.outcome(), test.sections()?),
        Test::Regression(test) => (test.outcome(), test.sections()),
    };
    let filters = run.filters.as_ref().map(Sheet::html).transpose()?;
    let body = html! {
        h1 { (run.title) }
        p.summary { (run.about) " " (training(run)) " " (outcome) }
        h2 { "Results" }
        (table(&run.results))
        (learning(run.history))
        (sections)
        @if let Some(filters) = filters { h2 { "What the first layer looks for" } (filters) }
        h2 { "Settings" }
        div.settings { (table(&run.settings)) }
        h2 { "The command that made this page" }
        pre { code { (run.command) } }
    };
    Ok(document(&run.title, body))
}

/// A whole page.
fn document(title: &str, body: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// What became of training, in a sentence.
fn training(run: &Run<'_>) -> String {
    let Run { history, epochs, .. } = run;
    let words = if *epochs == 1 { "epoch" } else { "epochs" };
    let Some(last) = history.last() else {
        return match epochs {
            0 => "It was not trained: no epoch was run.".into(),
            _ => format!("Training took {epochs} {words}, of which no record is left."),
        };
    };
    let log_likelihood = grouped(last.log_likelihood);
    let outcome = if has_bound(history) {
        let (elbo, kl) = (grouped(last.elbo), grouped(last.kl));
        format!(
            "the bound stood at {elbo} nats for the training set: a log-likelihood of \
             {log_likelihood} less a KL of {kl}"
        )
    } else {
        format!("the log-likelihood of the training set stood at {log_likelihood} nats")
    };
    let (steps, time) = (grouped(last.steps as f64), duration(run.seconds));
    let lost = epochs - history.len();
    if lost == 0 {
        return format!("Training took {epochs} {words} ({steps} steps) in {time}, and {outcome}.");
    }
    format!(
        "Training took {epochs} {words} in about {time}. No record is left of {lost} of them: they \
         are missing in the curves, and the time is judged by the others. After epoch {} {outcome}.",
        last.epoch
    )
}

/// Methods that learn one network, as maximum likelihood does, have no KL.
fn has_bound(history: &[Epoch]) -> bool {
    history.iter().any(|e| e.kl != 0.0)
}

/// The curves; nothing if there was no epoch.
fn learning(history: &[Epoch]) -> Markup {
    type Value<'a> = &'a dyn Fn(&Epoch) -> Option<f64>;
    let line = |value: Value| -> Vec<(f64, f64)> {
        history.iter().filter_map(|e| Some((e.epoch as f64, value(e)?))).collect()
    };
    let validated = |value: Value, id, y_label, caption| {
        let points = line(value);
        let svg = |points| figures::curves(id, y_label, &[("validation", points)]);
        html! { @if !points.is_empty() { (figure(svg(points), caption)) } }
    };
    let mut terms = vec![("log-likelihood", line(&|e| Some(e.log_likelihood)))];
    if has_bound(history) {
        terms.insert(0, ("ELBO", line(&|e| Some(e.elbo))));
        terms.push(("− KL", line(&|e| Some(-e.kl))));
    }
    let about_terms = if has_bound(history) { BOUND } else { LOG_LIKELIHOOD };
    let train = line(&|e| e.train_accuracy.map(percent));
    let validation = line(&|e| e.validation.as_ref()?.accuracy.map(percent));
    let accuracy = [("training", train), ("validation", validation)];
    html! {
        @if !history.is_empty() {
            h2 { "Learning" }
            div.pair {
                (figure(figures::curves("bound", "nats, whole training set", &terms), about_terms))
                @if accuracy.iter().any(|(_, points)| !points.is_empty()) {
                    (figure(figures::curves("accuracy", "accuracy, %", &accuracy), ACCURACY))
                }
                (validated(&|e| Some(e.validation.as_ref()?.nll), "nll", "nats an example", NLL))
                (validated(&|e| e.validation.as_ref()?.rmse, "rmse", "unit of the target", RMSE))
            }
        }
    }
}

const BOUND: &str = "The bound and its two terms. ELBO = E_q[log p(D|θ)] − KL(q‖p): how well \
    samples of the weights explain the data, less how far their distribution has moved from the \
    prior. Training raises the ELBO; a falling − KL is the price paid for a better fit.";
const LOG_LIKELIHOOD: &str = "Log-likelihood. The sum of log p(y|x, θ) over the training set: how \
    well the network explains the data it learned from.";
const ACCURACY: &str = "Accuracy. The share of examples whose most probable class is the true \
    one. If the training curve goes on rising while validation stays, the model overfits.";
const NLL: &str = "Validation NLL. Negative log-likelihood: the mean of −log p̄(y|x), where p̄ \
    is the prediction averaged over samples of the weights. It rises when the model is sure and \
    wrong, even while accuracy stays.";
const RMSE: &str = "Validation RMSE. √(mean (ŷ − y)²), where ŷ is the mean prediction: the size \
    of a typical error.";

/// A figure and its caption, the caption's first sentence being its name.
fn figure(svg: String, caption: &str) -> Markup {
    let (name, rest) = caption.split_once(". ").unwrap_or((caption, ""));
    html! {
        figure role="group" aria-label=(name) {
            (PreEscaped(svg))
            figcaption { b { (name) "." } " " (formulas(rest)) }
        }
    }
}

/// Text in which `_` lowers the character after it: `p_s` with a small s.
fn formulas(text: &str) -> Markup {
    let mut parts = text.split('_');
    let first = parts.next().unwrap_or_default();
    html! {
        (first)
        @for part in parts {
            @let (low, rest) = part.split_at(part.chars().next().map_or(0, char::len_utf8));
            sub { (low) } (rest)
        }
    }
}

fn table(rows: &[(String, String)]) -> Markup {
    html! {
        table {
            tbody {
                @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } }
            }
        }
    }
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

/// With four decimals, or where these would show less than four significant digits, with those:
/// `0.7213`, `0.001234`, `1.235e-7`.
pub fn number(x: f64) -> String {
    match x.abs() {
        0. => "0".into(),
        a if (0.1..1e7).contains(&a) => format!("{x:.4}"),
        a if (1e-4..0.1).contains(&a) => {
            let decimals = 3 - a.log10().floor() as i32;
            format!("{x:.*}", decimals as usize)
        }
        _ => format!("{x:.3e}"),
    }
}

/// Rounded to a whole number, in groups of three digits: `−12,345`.
fn grouped(v: f64) -> String {
    let digits = format!("{:.0}", v.abs());
    let mut out = String::from(if v < 0.0 && digits != "0" { "−" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12.3 s`, `4 min 5 s`, `2 h 3 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let read = [0.4, -0.4, 999.0, 1000.0, -1_234_567.0].map(grouped);
        assert_eq!(read, ["0", "0", "999", "1,000", "−1,234,567"]);
        let read = [0., -0.72134, 1234.56789, 0.00123449, 1.23456e-7, 3.4e-47, 1.7e9].map(number);
        let expected =
            ["0", "-0.7213", "1234.5679", "0.001234", "1.235e-7", "3.400e-47", "1.700e9"];
        assert_eq!(read, expected);
        assert_eq!(
            [59.4, 59.9, 3599.0, 3660.0].map(duration),
            ["59.4 s", "1 min 0 s", "59 min 59 s", "1 h 1 min"]
        );
    }
}
