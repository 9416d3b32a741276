//! Tables and claims.
use super::crossing::{self, Crossed, Q, TRAINED};
use super::full::{self, COUPLINGS, Found, SETTINGS, Setting};
use crate::experiments::{Grid, Lab};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::stats::over_seeds;

/// A difference of NLL below this, in nats per digit, counts as none. It was chosen before any
/// number was seen.
const MARGIN: f64 = 0.003;

type Crossing = Grid<(usize, Q), Crossed>;
type Full = Grid<(Setting, usize), Found>;

pub(super) fn report(lab: &Lab<'_>, crossed: &Crossing, full: &Full) -> Report {
    Report {
        title: "Together: what dependence is worth when directions are trained along".into(),
        paper: PAPER.into(),
        ours: ours(lab),
        verdicts: verdicts(crossed, full),
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
         Differences are paired: the same seed and digit. Their error combines the standard error \
         over seeds with that over digits. The rule, set beforehand: T = 8 gains something if the \
         95 % interval of the difference lies below −{MARGIN} nats, nothing if it lies within \
         ±{MARGIN}, else it is undecided.\n\
         The crossing: 784-{few}-{few}-10 on {fewer} digits, trained for {longer} epochs with \
         T = 0 and T = 8 by the same recipe (batch 32). At V and b of each network: its own \
         posterior; the mode; posteriors fitted by {steps} steps of full-batch Adam with {draws} \
         samples from the mode; and {chains} chains of NUTS with {kept} draws after as many of \
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

/// Test NLL with `T = 8` minus that with `T = 0`: the mean over seeds and digits, with the errors
/// over both.
fn difference(full: &Full, setting: &Setting) -> Mean {
    let [t0, t8] = COUPLINGS.map(|couplings| &full[&*full::key(setting, couplings)].results);
    let by_seed: Vec<_> = t0.iter().zip(t8).map(|(t0, t8)| t8.nll() - t0.nll()).collect();
    let digits = t0.first().map_or(0, |found| found.nll.len());
    let of_digit = |digit: usize| {
        let each = t0.iter().zip(t8).map(|(t0, t8)| f64::from(t8.nll[digit] - t0.nll[digit]));
        each.sum::<f64>() / t0.len() as f64
    };
    let by_digit: Vec<_> = (0..digits).map(of_digit).collect();
    Mean::of(&by_seed).against(over_seeds(&by_digit).error)
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
    let best = chosen(full);
    let mut verdicts = vec![];
    for (setting, name) in [(&SETTINGS[0], "no priors"), (best, "κ chosen on validation")] {
        let quantity = format!("test NLL of T = 8 minus that of T = 0, nats; {name}");
        let difference = difference(full, setting);
        let claim = "Dependence between scales lowers the NLL by more than 0.003 nats";
        verdicts.push(Verdict::new(claim, &*quantity, difference, -every..=-MARGIN));
        let claim = "Dependence between scales changes the NLL by less than 0.003 nats";
        verdicts.push(Verdict::new(claim, &*quantity, difference, -MARGIN..=MARGIN));
    }
    let key = full::key;
    let gain =
        full.paired(&key(&SETTINGS[0], 8), &key(best, 8), |plain, prior| prior.nll() - plain.nll());
    verdicts.push(Verdict::new(
        "A prior of directions and biases lowers the NLL",
        format!("test NLL with {} minus that without, nats; T = 8", best.name),
        gain,
        -every..=0.,
    ));
    for couplings in TRAINED {
        let of = |q| crossing::key(couplings, q);
        let gain = crossed
            .paired(&of(Q::T8), &of(Q::T0), |t8, t0| t8.tested.nll.value - t0.tested.nll.value);
        verdicts.push(Verdict::new(
            "At given V and b, refitting T = 8 gains more than 0.003 nats over T = 0",
            format!("difference of test NLL, nats; V and b from T = {couplings}"),
            gain,
            -every..=-MARGIN,
        ));
    }
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
    let caption = "Trained together. Means over seeds ± one standard error. ELBO and KL in nats, of \
        the last epoch of training; with a weight of the KL the ELBO is still that of weight 1. \
        AUROC for notMNIST against the test digits. The difference is paired by seed and digit.";
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
                _ => format!("{:.4}", difference(full, setting)),
            };
            table.wide_row(
                &[&setting.name, &couplings],
                [
                    format!("{:.2}", row.mean(|f| 100. * f.accuracy)),
                    format!("{:.4}", row.mean(Found::nll)),
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
    let caption = "The crossing. Means over seeds ± one standard error. The share is \
        (NLL of the mode − NLL) / (NLL of the mode − NLL of NUTS): how much of what NUTS gains over \
        the mode a posterior recovers. R̂ is the largest over seeds, scales and the log joint \
        density.";
    let mut table = Table::new("crossing", caption, header);
    for couplings in TRAINED {
        let nll = |q| {
            let row = &crossed[&*crossing::key(couplings, q)];
            row.mean(|found| found.tested.nll.value).value
        };
        for q in Q::ALL {
            let row = &crossed[&*crossing::key(couplings, q)];
            let elbo: Vec<_> = row.results.iter().filter_map(|f| Some(f.elbo?.value)).collect();
            let rhat = row.results.iter().filter_map(|f| f.rhat).reduce(f64::max);
            table.wide_row(
                &[&format!("T = {couplings}"), &q.name()],
                [
                    Mean::if_any(&elbo).map_or(String::new(), |mean| format!("{mean:.1}")),
                    format!("{:.2}", row.mean(|found| 100. * found.tested.accuracy.value)),
                    format!("{:.4}", row.mean(|found| found.tested.nll.value)),
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
        ("test NLL", &|(.., found)| found.nll().to_string()),
        ("validation NLL", &|(.., found)| found.validation.to_string()),
        ("ELBO", &|(.., found)| found.bound[0].to_string()),
        ("KL", &|(.., found)| found.bound[1].to_string()),
    ])
}

fn chart(full: &Full) -> Chart {
    let names: Vec<_> = SETTINGS.iter().map(|setting| setting.key.to_string()).collect();
    let layer = |(i, couplings): (usize, usize)| {
        let bar = |(setting, name): (&Setting, &String)| {
            let mean = full[&*full::key(setting, couplings)].mean(Found::nll);
            (name.clone(), mean.value, mean.error)
        };
        let bars = SETTINGS.iter().zip(&names).map(bar).collect();
        Layer::new(format!("T = {couplings}"), Ink::Series(i), Mark::Bars(bars))
    };
    let layers = COUPLINGS.into_iter().enumerate().map(layer).collect();
    let (x, y) = (Axis::new("setting"), Axis::new("test NLL, nats"));
    Chart { size: (640., 300.), ..Chart::one(Panel { title: String::new(), x, y, layers }) }
}
