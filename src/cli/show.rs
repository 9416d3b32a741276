//! Results as text.
use crate::predict::evaluate::Evaluation;
use crate::report;
use crate::run::config::{Config, Method};
use comfy_table::{Table, presets};

/// A table of names and values.
pub fn table(rows: impl IntoIterator<Item = (impl ToString, impl ToString)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_rows(rows.into_iter().map(|(name, value)| [name.to_string(), value.to_string()]));
    table.trim_fmt()
}

/// The rows of a table of test scores and of the ELBO's terms.
pub fn results(found: &Evaluation, config: &Config) -> Vec<(String, String)> {
    let Evaluation { test, elbo, .. } = found;
    let mut rows = vec![];
    let mut row = |name: &str, value: String| rows.push((name.to_string(), value));
    if let (Some(accuracy), Some(error)) = (test.accuracy, test.accuracy_error) {
        row("test accuracy", format!("{:.2} ± {:.2} %", 100. * accuracy, 100. * error));
    }
    if let Some(rmse) = test.rmse {
        row("test RMSE", report::number(rmse));
    }
    row("test NLL", format!("{:.4} ± {:.4} nats per example", test.nll, test.nll_error));
    if let Some(brier) = test.brier {
        row("test Brier score", format!("{brier:.4}"));
    }
    if let Some(ece) = test.ece {
        row("test ECE (15 bins)", format!("{ece:.4}"));
    }
    let terms = elbo.terms;
    let method = Method::from(config);
    if !method.has_density() {
        row("log-likelihood of the training set", format!("{:.1} nats", terms.log_likelihood));
    } else {
        let error = elbo.error.map_or(String::new(), |error| format!(" ± {error:.1}"));
        row("ELBO of the training set", format!("{:.1}{error} nats", terms.total));
        row("  E_q[ln p(D|θ)]", format!("{:.1} nats", terms.log_likelihood));
        row("  KL(q‖p)", format!("{:.1} nats", terms.kl));
        row("    E_q[ln q(θ)]", format!("{:.1} nats", terms.log_q));
        row("    E_q[ln p(θ)]", format!("{:.1} nats", terms.log_prior));
    }
    let samples = match method.networks() {
        Some(1) => "one network".into(),
        _ => count(test.samples, "sample"),
    };
    row(
        "predicted with",
        format!("{samples}, {} examples in {:.1} s", test.examples, test.seconds),
    );
    rows
}

/// `1 sample`, `2 samples`.
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A duration: `1 min 40 s`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// The command line, with the program by its name.
pub fn command() -> String {
    std::iter::once("bhn".to_string()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ")
}
