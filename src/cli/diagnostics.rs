//! The diagnostics of a run as text.
use super::show;
use crate::run::config::MethodKind;
use crate::verify::importance::Diagnostics;

/// A row for each diagnostic and their interpretation, or why there are none.
pub fn text(found: Option<&Diagnostics>, method: MethodKind) -> String {
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
            None => format!("does not apply: {} has no flow", MethodKind::Bbb),
        },
    );
    format!(
        "Diagnostics, never failures: {draws} draws θ ~ q, D = {dim}, each weighted by p(D, \
         θ)/q(θ) over all {examples} training examples\n\n{}\n\n{}",
        show::table(rows),
        interpretation(found)
    )
}

/// The interpretation for someone who wants to use the posterior.
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
