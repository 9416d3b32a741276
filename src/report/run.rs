//! The page of a run.
use maud::{Markup, html};

use super::classification::Classification;
use super::figures;
use super::page::{document, facts, figure};
use super::regression::Regression;
use super::sheet::Sheet;
use super::text::{duration, grouped, percent};
use super::widths::section;
use crate::error::Result;
use crate::predict::{Removal, Widths};
use crate::run::record::Epoch;

/// The contents of a run's page. All text is escaped.
pub struct Run<'a> {
    /// Heading: data and method.
    pub title: String,
    /// What was trained, in one or two sentences for readers who do not know the method.
    pub about: String,
    /// All settings, defaults included: names and values.
    pub settings: Vec<(String, String)>,
    /// Scores: names, and values with unit and standard error.
    pub results: Vec<(String, String)>,
    /// The records of the epochs, in order; lost records are missing.
    pub history: &'a [Epoch],
    /// Number of epochs trained; 0 for an untrained model.
    pub epochs: usize,
    /// Duration of training in seconds.
    pub seconds: f64,
    /// The predictions for the test set.
    pub test: Test<'a>,
    /// The filters of the first layer, if they can be drawn.
    pub filters: Option<Sheet>,
    /// The widths of the posterior, if `θ` has a continuous distribution and a Gaussian prior, and
    /// what its hidden units with inactive scales do, if `θ` has such scales.
    pub widths: Option<(Widths, Option<Removal>)>,
    /// The command line that made the run.
    pub command: String,
}

/// The predictions for the test set.
pub enum Test<'a> {
    /// Class probabilities.
    Classification(Classification<'a>),
    /// A mean and a standard deviation for each target.
    Regression(Regression<'a>),
}

/// The page of a run in HTML.
///
/// # Errors
/// If the inputs are images with neither one nor three channels.
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
        (facts(&run.results))
        (learning(run.history))
        @if let Some((widths, removal)) = &run.widths { (section(widths, removal.as_ref())) }
        (sections)
        @if let Some(filters) = filters { h2 { "Filters of the first layer" } (filters) }
        h2 { "Settings" }
        div.settings { (facts(&run.settings)) }
        h2 { "The command that made this page" }
        pre { code { (run.command) } }
    };
    Ok(document(&run.title, body))
}

/// A summary of training in a sentence.
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
            "the bound of the training set, averaged over the minibatches of the last epoch, was \
             {elbo} nats: a log-likelihood of {log_likelihood} minus a KL of {kl}"
        )
    } else {
        format!(
            "the log-likelihood of the training set, averaged over the minibatches of the last \
             epoch, was {log_likelihood} nats"
        )
    };
    let (steps, time) = (grouped(last.steps as f64), duration(run.seconds));
    let lost = epochs - history.len();
    if lost == 0 {
        return format!("Training took {epochs} {words} ({steps} steps) in {time}, and {outcome}.");
    }
    format!(
        "Training took {epochs} {words} in about {time}. No record is left of {lost} of them: they \
         are missing in the curves, and the time is extrapolated from the others. After epoch {} \
         {outcome}.",
        last.epoch
    )
}

/// Whether the method has a KL term. Maximum likelihood, dropout with fixed rates and ensembles
/// have none, and their KL is 0 in every epoch.
fn has_bound(history: &[Epoch]) -> bool {
    history.iter().any(|e| e.kl != 0.0)
}

/// The learning curves; empty if there are no records.
fn learning(history: &[Epoch]) -> Markup {
    type Value<'a> = &'a dyn Fn(&Epoch) -> Option<f64>;
    let line = |value: Value| -> Vec<(f64, f64)> {
        history.iter().filter_map(|e| Some((e.epoch as f64, value(e)?))).collect()
    };
    let curves = |id, y_label, caption, lines: &[(&str, Vec<(f64, f64)>)]| {
        let any = lines.iter().any(|(_, points)| !points.is_empty());
        html! { @if any { (figure(id, &figures::curves(y_label, lines), caption)) } }
    };
    let mut terms = vec![("log-likelihood", line(&|e| Some(e.log_likelihood)))];
    let mut about_terms = LOG_LIKELIHOOD;
    if has_bound(history) {
        about_terms = BOUND;
        terms.insert(0, ("ELBO", line(&|e| Some(e.elbo))));
        terms.push(("− KL", line(&|e| Some(-e.kl))));
    }
    let train = line(&|e| e.train_accuracy.map(percent));
    let validation = line(&|e| e.validation.as_ref()?.accuracy.map(percent));
    let accuracy = [("training", train), ("validation", validation)];
    let nll = [("validation", line(&|e| Some(e.validation.as_ref()?.nll)))];
    let rmse = [("validation", line(&|e| e.validation.as_ref()?.rmse))];
    html! {
        @if !history.is_empty() {
            h2 { "Learning" }
            div.pair {
                (curves("bound", "nats, whole training set", about_terms, &terms))
                (curves("accuracy", "accuracy, %", ACCURACY, &accuracy))
                (curves("nll", "nats an example", NLL, &nll))
                (curves("rmse", "unit of the target", RMSE, &rmse))
            }
        }
    }
}

const BOUND: &str = "The bound and its two terms. ELBO = E_q[log p(D|θ)] − KL(q‖p): the expected \
    log-likelihood under the posterior approximation, less its divergence from the prior. Training \
    maximises the ELBO; a falling − KL is the price of a better fit.";
const LOG_LIKELIHOOD: &str = "Log-likelihood. The sum of log p(y|x, θ) over the training set.";
const ACCURACY: &str = "Accuracy. The share of examples whose most probable class is the true \
    one. If training accuracy rises while validation accuracy does not, the model overfits.";
const NLL: &str = "Validation NLL. Negative log-likelihood: the mean of −log p̄(y|x), where p̄ \
    is the predictive distribution averaged over posterior samples. Confident mistakes increase it \
    even while accuracy stays constant.";
const RMSE: &str = "Validation RMSE. √(mean (ŷ − y)²), where ŷ is the predictive mean.";
