//! Flags that were typed and have no effect with the method or the flow: said on standard error.
use super::{Context, show};
use crate::bayes::FlowKind;
use crate::run::config::{Config, Method};

/// A flag that was typed, and why it has no effect.
pub struct Idle {
    flag: &'static str,
    why: String,
}

/// Say so of each, unless `--quiet`.
pub fn say(context: &Context, flags: impl IntoIterator<Item = Idle>) {
    for Idle { flag, why } in flags {
        show::say(context, format!("note: {flag} has no effect: {why}"));
    }
}

/// `--flow` and `--couplings`, if they were typed.
pub fn flow(kind: bool, couplings: bool, config: &Config) -> Vec<Idle> {
    let typed = [("--flow", kind), ("--couplings", couplings)];
    let typed = typed.into_iter().filter(|(_, typed)| *typed);
    let why = |flag| {
        let is_linear = flag == "--couplings" && config.flow.kind == FlowKind::Linear;
        match config.method.has_flow() {
            false => Some(format!("{} has no flow", config.method)),
            true => is_linear
                .then(|| "a linear flow has no couplings; flow.layers is its depth".to_string()),
        }
    };
    typed.filter_map(|(flag, _)| Some(Idle { flag, why: why(flag)? })).collect()
}

/// `--samples`, if there are fewer than were asked for.
pub fn samples(asked: Option<usize>, config: &Config) -> Option<Idle> {
    let (method, asked) = (config.method, asked?);
    let taken = config.samples(asked);
    let why = match method.is_point() {
        true => format!("{method} predicts with one network"),
        false => format!("{method} has {taken} networks, and each is taken once"),
    };
    (taken < asked).then_some(Idle { flag: "--samples", why })
}

/// `--samples` of diagnostics, if it was typed.
pub fn draws(typed: bool, suites_alone: bool, method: Method) -> Option<Idle> {
    let why = match (method.has_density(), suites_alone) {
        (false, _) => format!("{method} has no density, so no diagnostics"),
        (true, true) => "with --only there are no diagnostics".into(),
        (true, false) => return None,
    };
    typed.then_some(Idle { flag: "--samples", why })
}

/// `--seed` of posterior samples, if it was typed.
pub fn seed(typed: bool, method: Method) -> Option<Idle> {
    let is_fixed = method.is_point() || method == Method::Ensemble;
    let why = format!("samples of {method} are its trained networks");
    (typed && is_fixed).then_some(Idle { flag: "--seed", why })
}
