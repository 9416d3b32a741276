//! Results as text.
use crate::error::quoted;
use crate::predict::evaluate::{Distribution, ErrorDetection, Evaluation};
use crate::report;
use crate::run::{Config, Method, MethodKind};
use crate::verify::importance::Diagnostics;
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
    if let Some(ece) = test.ece_equal_mass {
        row("test ECE (15 bins of equal mass)", format!("{ece:.4}"));
    }
    if let Some(ErrorDetection { auroc, aupr, aurc }) = test.errors {
        let text = format!("AUROC {auroc:.3}, AUPR {aupr:.3}, AURC {aurc:.4}");
        row("wrong predictions by 1 − max p", text);
    }
    if let Some(Distribution { crps, coverage, below }) = &test.distribution {
        row("test CRPS", report::number(*crps));
        let percent = |share: &f64| format!("{:.1}", 100. * share);
        let list = |shares: &[f64]| shares.iter().map(percent).collect::<Vec<_>>().join(", ");
        row("in the 50, 90, 95 % intervals", format!("{} %", list(coverage)));
        row("below the 10, 20, …, 90 % quantiles", format!("{} %", list(below)));
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

/// A table with a row for each diagnostic, and their interpretation; or the reason why there are
/// none.
pub fn diagnostics(found: Option<&Diagnostics>, method: MethodKind) -> String {
    let Some(found) = found else {
        return format!(
            "Diagnostics (ELBO, L_K, k-hat, effective sample size, inversion error) do not apply: \
             {method} has no density q(θ), so no weights p(D, θ)/q(θ), and no flow."
        );
    };
    let &Diagnostics { draws, examples, dim, .. } = found;
    let mut rows = vec![];
    let mut row = |name: &str, value: String| rows.push((name.to_string(), value));
    let terms = found.elbo;
    row("ELBO = L_1", format!("{:.1} ± {:.1} nats", terms.total, found.elbo_error));
    row("  E_q[ln p(D|θ)]", format!("{:.1} nats", terms.log_likelihood));
    row("  KL(q‖p)", format!("{:.1} nats", terms.kl));
    for bound in found.bounds.iter().skip(1) {
        let error = bound.error.map_or("(one group, no error)".into(), |e| format!("± {e:.1}"));
        let slope = bound.slope.map_or(String::new(), |s| format!(", {s:.1} for each e-fold of K"));
        row(&format!("L_{}", bound.k), format!("{:.1} {error} nats{slope}", bound.value));
    }
    row("k-hat", format!("{:.2}, reliable up to {:.2}", found.k_hat, found.k_limit));
    let effective = found.effective_sample_size;
    row("effective sample size", format!("{effective:.1} of {draws} draws"));
    row(
        "inversion error",
        match found.inversion_error {
            Some([single, double]) => format!("{single:.1e} in f32, {double:.1e} in f64"),
            None => format!("does not apply: {method} has no flow h with θ = h(ε)"),
        },
    );
    format!(
        "Diagnostics, never failures: {draws} draws θ ~ q, D = {dim}, each weighted by p(D, \
         θ)/q(θ) over all {examples} training examples\n\n{}\n\n{}",
        table(rows),
        interpretation(found)
    )
}

/// The interpretation of the diagnostics, for someone who wants to use the posterior.
fn interpretation(found: &Diagnostics) -> String {
    let last = found.bounds.last().map_or(0., |bound| bound.value - found.elbo.total);
    let gap = format!(
        "The best L_K is {last:.1} nats above the ELBO: KL(q‖p(θ|D)) is at least about that. L_K \
         converges to ln p(D) as K grows, and has not reached it while it still increases."
    );
    let Diagnostics { k_hat, k_limit, dim, draws, .. } = found;
    let weights = if k_hat <= k_limit {
        "k-hat is within its limit: q covers the posterior, and importance-weighted means are \
         reliable."
            .to_string()
    } else {
        format!(
            "k-hat is above its limit: a few of the {draws} draws outweigh the rest, so q misses \
             some of the posterior's bulk or tails, the highest L_K and the effective sample size \
             are too optimistic, and draws should not be reweighted. With D = {dim} entries that \
             is usual (small errors add up over entries) and does not imply poor predictions, \
             whose quality `bhn eval` measures."
        )
    };
    format!("{gap}\n{weights}")
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

/// The command line of this process, quoted for a shell, with `bhn` in place of the path of the
/// program.
pub fn command() -> String {
    let words = std::env::args_os().skip(1).map(|arg| quoted(arg.to_string_lossy().into_owned()));
    std::iter::once("bhn".to_string()).chain(words).collect::<Vec<_>>().join(" ")
}
