//! Notes about flags that have no effect with the method of a run.
use super::{Context, show};
use crate::bayes::FlowKind;
use crate::run::config::{Config, Method};

fn note(context: &Context, flag: &str, why: &str) {
    show::say(context, format!("note: {flag} has no effect: {why}"));
}

/// Notes about `--flow` and `--couplings`, if they were given.
pub fn flow(context: &Context, kind: bool, couplings: bool, config: &Config) {
    match Method::from(config) {
        Method::Hypernet { flow, .. } => {
            if couplings && flow.kind == FlowKind::Linear {
                let why = "a linear flow has no couplings; flow.layers is its depth";
                note(context, "--couplings", why);
            }
        }
        _ => {
            let why = format!("{} has no flow", config.method);
            let given = [("--flow", kind), ("--couplings", couplings)];
            given
                .iter()
                .filter(|(_, given)| *given)
                .for_each(|(flag, _)| note(context, flag, &why));
        }
    }
}

/// A note about `--samples`, if there are fewer networks than `requested`.
pub fn samples(context: &Context, requested: Option<usize>, config: &Config) {
    let Some(networks) = Method::from(config).networks() else { return };
    if requested.is_some_and(|requested| requested > networks) {
        let method = config.method;
        let why = match networks {
            1 => format!("{method} predicts with one network"),
            _ => format!("{method} has {networks} networks, and each is used once"),
        };
        note(context, "--samples", &why);
    }
}

/// A note about `--samples` of `bhn verify RUN`, if it was given; `only` says whether `--only` was.
pub fn draws(context: &Context, given: bool, only: bool, config: &Config) {
    if given && !Method::from(config).has_density() {
        note(context, "--samples", &format!("{} has no density, so no diagnostics", config.method));
    } else if given && only {
        note(context, "--samples", "with --only there are no diagnostics");
    }
}

/// A note about `--seed` of `bhn sample`, if it was given.
pub fn seed(context: &Context, given: bool, config: &Config) {
    if given && Method::from(config).networks().is_some() {
        let why = format!("samples of {} are its trained networks", config.method);
        note(context, "--seed", &why);
    }
}
