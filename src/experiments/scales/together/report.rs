//! Tables and claims.
use super::crossing::{self, Crossed, Q, TRAINED};
use super::full::{self, COUPLINGS, Found, SETTINGS, Setting};
use crate::experiments::digits::minus;
use crate::experiments::{Grid, Lab};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::stats::mean;

/// A difference of NLL below this, in nats per digit, counts as none. It was chosen before any
/// number was seen.
const MARGIN: f64 = 0.003;

type Crossing = Grid<(usize, Q), Crossed>;
type Full = Grid<(Setting, usize), Found>;

pub(super) fn report(lab: &Lab<'_>, crossed: &Crossing, full: &Full) -> Report {
    Report {
        title: "Joint training: what dependence is worth when directions are trained too".into(),
        paper: PAPER.into(),
        ours: ours(lab),
        verdicts: verdicts(crossed, full).into_iter().map(Verdict::own).collect(),
        tables: vec![by_setting(full), crossing_table(crossed)],
        figures: vec![Figure::new("nll", FIGURE, chart(full))],
        data: vec![all(full)],
        ..Report::default()
    }
}

const PAPER: &str = "The paper trains directions V and biases b together with the posterior over \
    the scales, and holds that dependence between scales makes the hypernet better. V and b are \
    point estimates without a prior: they may fit the data so well that little is left for the \
    posterior to say. This page asks what T = 8 gains over T = 0 then.";

const FIGURE: &str = "Test NLL by setting. Mean over seeds; error bars are one standard error over \
    seeds.";

fn ours(lab: &Lab<'_>) -> String {
    let (size, small) = (full::Size::new(lab), crossing::Size::new(lab));
    format!(
        "The network 784-{units}-{units}-10 on {examples} digits, {epochs} epochs, batch {batch}, \
         otherwise the defaults of `bhn train` except for the recipe: path gradient, elementwise \
         layer last, learning rate of the posterior ten times that of the network. Epoch of the \
         best validation accuracy; predictions average {samples} posterior samples.\n\
         Priors: ln p(V, b) = Σⱼ κ (cos(vⱼ, vⱼ⁰) − 1) − ½|b|², where vⱼ⁰ is the initial direction; \
         V and b are then the maximum of the bound plus ln p(V, b). Two halves: V and b are \
         trained with a posterior on the first half of the digits, then frozen, and a new \
         posterior is trained on the second half. κ is chosen by the validation NLL.\n\
         Differences of test NLLs are paired: the same seed and digit. Their error combines the \
         standard error over seeds with that over digits. The rule, whose margin was set before \
         any number was seen: T = 8 gains something if the 95 % interval of the difference lies \
         below −{MARGIN} nats, nothing if it lies within ±{MARGIN}, else it is undecided.\n\
         The crossing: 784-{few}-{few}-10 on {fewer} digits, trained for {longer} epochs with \
         T = 0 and T = 8 by the same recipe (batch 32). At V and b of each network: its own \
         posterior; the mode; posteriors fitted from the mode by full-batch Adam, T = 8 with \
         {steps} steps and {draws} samples, T = 0 with half of the samples, as in `bhn reproduce \
         scales`; and {chains} chains of NUTS with {kept} draws after as many of \
         warm-up.",
        units = size.units,
        examples = size.examples,
        epochs = size.epochs,
        batch = size.batch,
        samples = size.samples,
        few = small.units,
        fewer = small.examples,
        longer = small.epochs,
        steps = small.training.steps,
        draws = small.training.samples,
        chains = small.chains,
        kept = small.nuts.draws,
    )
}

/// Test NLL of `a` minus that of `b`, paired by seed and digit, with the errors over both.
fn difference<'a>(
    a: impl Iterator<Item = &'a Vec<f64>>,
    b: impl Iterator<Item = &'a Vec<f64>>,
) -> Mean {
    Mean::over_seeds_and_items(&a.zip(b).map(|(a, b)| minus(a, b)).collect::<Vec<_>>())
}

/// The NLLs of a setting, by seed.
fn nlls<'a>(
    full: &'a Full,
    setting: &Setting,
    couplings: usize,
) -> impl Iterator<Item = &'a Vec<f64>> {
    full[&*full::key(setting, couplings)].results.iter().map(|found| &found.nll)
}

/// What `T = 8` gains over `T = 0`.
fn gain(full: &Full, setting: &Setting) -> Mean {
    difference(nlls(full, setting, 8), nlls(full, setting, 0))
}

/// The setting with priors that has the lowest validation NLL over both numbers of couplings.
fn chosen(full: &Full) -> &'static Setting {
    let validation = |setting: &Setting| {
        COUPLINGS
            .map(|c| full[&*full::key(setting, c)].mean(|f| f.validation).value)
            .iter()
            .sum::<f64>()
    };
    let priors = SETTINGS.iter().filter(|setting| setting.kappa > 0.);
    let best = priors.min_by(|a, b| validation(a).total_cmp(&validation(b)));
    best.expect("settings")
}

fn verdicts(crossed: &Crossing, full: &Full) -> Vec<Verdict> {
    let every = f64::INFINITY;
    let (plain, prior) = (&SETTINGS[0], chosen(full));
    let mut verdicts = vec![];
    let mut rule = |quantity: String, difference: Mean| {
        let claim = "Dependence between scales lowers the NLL by more than 0.003 nats";
        verdicts.push(Verdict::new(claim, &*quantity, difference, -every..=-MARGIN));
        let claim = "Dependence between scales changes the NLL by less than 0.003 nats";
        verdicts.push(Verdict::new(claim, &*quantity, difference, -MARGIN..=MARGIN));
    };
    for (setting, name) in [(plain, "no priors"), (prior, "the best κ > 0 on validation")] {
        let quantity = format!("trained jointly, T = 8 minus T = 0, nats; {name}");
        rule(quantity, gain(full, setting));
    }
    for couplings in TRAINED {
        let of = |q| {
            let row = &crossed[&*crossing::key(couplings, q)];
            row.results.iter().map(|found| &found.nll)
        };
        let quantity = format!("refitted at V, b from T = {couplings}, T = 8 minus T = 0, nats");
        rule(quantity, difference(of(Q::T8), of(Q::T0)));
    }
    verdicts.push(Verdict::new(
        "A prior of directions and biases lowers the NLL",
        format!("{} minus no priors, T = 8, nats", prior.name),
        difference(nlls(full, prior, 8), nlls(full, plain, 8)),
        -every..=0.,
    ));
    verdicts
}

fn by_setting(full: &Full) -> Table {
    let header = [
        "setting",
        "T",
        "accuracy, %",
        "test NLL",
        "validation NLL",
        "ELBO",
        "KL",
        "AUROC entropy, %",
        "AUROC BALD, %",
        "NLL of T = 8 minus T = 0",
    ];
    let caption = "Trained jointly. Means over seeds ± one standard error. ELBO and KL in nats, \
        with the weight 1 of the KL whatever it is in training. AUROC for notMNIST against the \
        test digits. The difference is paired by seed and digit.";
    let mut table = Table::new("settings", caption, header);
    for setting in &SETTINGS {
        for couplings in COUPLINGS {
            let row = &full[&*full::key(setting, couplings)];
            let auroc = |score: usize| {
                let each: Vec<_> =
                    row.results.iter().filter_map(|f| Some(100. * f.auroc?[score])).collect();
                Mean::if_any(&each).map_or(String::new(), |mean| format!("{mean:.1}"))
            };
            let last = match couplings {
                0 => String::new(),
                _ => format!("{:.4}", gain(full, setting)),
            };
            table.wide_row(
                &[&setting.name, &couplings],
                [
                    format!("{:.2}", row.mean(|f| 100. * f.accuracy)),
                    format!("{:.4}", row.mean(|f| mean(&f.nll))),
                    format!("{:.4}", row.mean(|f| f.validation)),
                    format!("{:.0}", row.mean(|f| f.bound[0])),
                    format!("{:.0}", row.mean(|f| f.bound[1])),
                    auroc(0),
                    auroc(1),
                    last,
                ],
            );
        }
    }
    table
}

fn crossing_table(crossed: &Crossing) -> Table {
    let header =
        ["V, b from", "posterior", "ELBO", "accuracy, %", "test NLL", "share of NUTS", "R̂"];
    let caption = "The crossing: V and b trained with one posterior, and another fitted at them. \
        Means over seeds ± one standard error. The share is \
        (NLL of the mode − NLL) / (NLL of the mode − NLL of NUTS): how much of what NUTS gains \
        over the mode a posterior recovers. R̂ is the largest over seeds, scales and the log joint \
        density.";
    let mut table = Table::new("crossing", caption, header);
    for couplings in TRAINED {
        let nll = |q| {
            let row = &crossed[&*crossing::key(couplings, q)];
            row.mean(|found| mean(&found.nll)).value
        };
        for q in Q::ALL {
            let row = &crossed[&*crossing::key(couplings, q)];
            let elbo: Vec<_> = row.results.iter().filter_map(|f| Some(f.elbo?.value)).collect();
            let rhat = row.results.iter().filter_map(|f| f.rhat).reduce(f64::max);
            table.wide_row(
                &[&format!("T = {couplings}"), &q.name()],
                [
                    Mean::if_any(&elbo).map_or(String::new(), |mean| format!("{mean:.1}")),
                    format!("{:.2}", row.mean(|found| 100. * found.accuracy)),
                    format!("{:.4}", row.mean(|found| mean(&found.nll))),
                    format!("{:.2}", (nll(Q::Mode) - nll(q)) / (nll(Q::Mode) - nll(Q::Nuts))),
                    rhat.map_or(String::new(), |rhat| format!("{rhat:.3}")),
                ],
            );
        }
    }
    table
}

/// All results but those of single digits.
fn all(full: &Full) -> Table {
    Table::of("results", "All results.", full.results()).columns(&[
        ("setting", &|(row, ..)| row.input.0.name.into()),
        ("T", &|(row, ..)| row.input.1.to_string()),
        ("seed", &|(_, seed, _)| seed.to_string()),
        ("accuracy", &|(.., found)| found.accuracy.to_string()),
        ("test NLL", &|(.., found)| mean(&found.nll).to_string()),
        ("validation NLL", &|(.., found)| found.validation.to_string()),
        ("ELBO", &|(.., found)| found.bound[0].to_string()),
        ("KL", &|(.., found)| found.bound[1].to_string()),
    ])
}

fn chart(full: &Full) -> Chart {
    let names: Vec<_> = SETTINGS.iter().map(|setting| setting.key.to_string()).collect();
    let layer = |(i, couplings): (usize, usize)| {
        let bar = |(setting, name): (&Setting, &String)| {
            let mean = full[&*full::key(setting, couplings)].mean(|found| mean(&found.nll));
            (name.clone(), mean.value, mean.error)
        };
        let bars = SETTINGS.iter().zip(&names).map(bar).collect();
        Layer::new(format!("T = {couplings}"), Ink::Series(i), Mark::Bars(bars))
    };
    let layers = COUPLINGS.into_iter().enumerate().map(layer).collect();
    let (x, y) = (Axis::new("setting"), Axis::new("test NLL, nats"));
    Chart { size: (640., 300.), ..Chart::one(Panel { title: String::new(), x, y, layers }) }
}
