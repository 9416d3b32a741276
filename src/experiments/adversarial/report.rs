//! Tables, figures and verdicts.
use super::attack::{Attacked, Found};
use super::networks::{NETS, Network};
use crate::experiments::digits::{
    ABOUT_SCORES, Net, mean_of, minus, percent, percent_of, positive,
};
use crate::experiments::{Grid, Tier};
use crate::predict::score::Score;
use crate::report::chart::{Axis, Chart, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};

/// Names of the attacks, by the origin of the gradient, in the order of [`Found::attacks`].
const ATTACKS: [&str; 2] = ["white box", "transfer from MLE"];

/// Results by network, net and seed, and what they were computed with.
pub(super) struct Results {
    pub tier: Tier,
    pub grid: Grid<(Network, Net), Found>,
    /// Step sizes `ε`.
    pub epsilons: Vec<f64>,
    /// Number of test images.
    pub images: usize,
}

/// Selects one number at one step size.
type Of<'a> = &'a dyn Fn(&Attacked) -> f64;

impl Results {
    pub fn report(&self) -> Report {
        Report {
            title: "Adversarial examples: the fast gradient sign".into(),
            paper: PAPER.into(),
            ours: self.ours(),
            verdicts: self.verdicts(),
            tables: vec![self.defence(), self.accuracy()],
            figures: self.figures(),
            data: vec![self.by_step()],
            ..Report::default()
        }
    }

    /// The accuracy on clean images, over seeds and images.
    fn clean(&self, network: Network, net: &Net) -> Mean {
        let found = &self.grid[&*network.key(net.key)].results;
        let right: Vec<_> = found.iter().map(|found| found.clean.right()).collect();
        Mean::over_seeds_and_items(&right)
    }

    /// One value per seed, at the `ε` with index `step`.
    fn at(&self, network: Network, net: &Net, attack: usize, step: usize, of: Of<'_>) -> Vec<f64> {
        self.grid[&*network.key(net.key)].values(|found| of(&found.attacks[attack][step]))
    }

    /// One value per seed, averaged over all `ε`.
    fn mean(&self, network: Network, net: &Net, attack: usize, of: Of<'_>) -> Vec<f64> {
        let steps = 0..self.epsilons.len();
        mean_of(&steps.map(|step| self.at(network, net, attack, step, of)).collect::<Vec<_>>())
    }

    /// The claims of the paper, on the network that it attacks.
    fn verdicts(&self) -> Vec<Verdict> {
        let accuracy = "difference of accuracy, mean over ε";
        let network = Network::Table1;
        let mut verdicts = vec![];
        for (attack, name) in ATTACKS.iter().enumerate() {
            for other in [Net::MC_DROPOUT, Net::DROPOUT] {
                let claim = format!("BHN (T = 8) defends better than {} ({name})", other.name);
                let of_images = |net: &Net| {
                    let found = &self.grid[&*network.key(net.key)].results;
                    let right = found.iter().map(|found| &found.right[attack]);
                    right.map(|right| right.shares(self.epsilons.len())).collect::<Vec<_>>()
                };
                let (ours, theirs) = (of_images(&Net::BHN_8), of_images(&other));
                let pairs = ours.iter().zip(&theirs).map(|(a, b)| minus(a, b));
                let mean = Mean::over_seeds_and_items(&pairs.collect::<Vec<_>>());
                verdicts.push(positive(claim, accuracy, mean));
            }
        }
        let claim = format!("BHN (T = 8) detects attacks better than MC dropout ({})", ATTACKS[0]);
        let words = "difference of AUROC, clean against attacked by max confidence, mean over ε";
        let of = |net: &Net| self.mean(network, net, 0, &|a| a.attacked[0]);
        let difference = minus(&of(&Net::BHN_8), &of(&Net::MC_DROPOUT));
        verdicts.push(positive(claim, words, Mean::of(&difference)));
        verdicts
    }

    fn defence(&self) -> Table {
        let attacked = |(network, net): &(Network, Net), column: usize| {
            self.mean(*network, net, 0, &|a| a.attacked[column])
        };
        let accuracy = |(network, net): &(Network, Net), attack| {
            percent(&self.mean(*network, net, attack, &|a| a.accuracy))
        };
        let best = |row: &(Network, Net)| {
            let value = |column: usize| Mean::of(&attacked(row, column)).value;
            let above = |a: usize, b: usize| if value(b) > value(a) { b } else { a };
            let scores = row.1.scores();
            let best = (0..scores.len()).reduce(above).expect("a score");
            format!("{} {}", scores[best].name(), percent(&attacked(row, best)))
        };
        let rows = Network::ALL.into_iter().flat_map(|network| NETS.map(|net| (network, net)));
        Table::of("defence", DEFENCE, rows).columns(&[
            ("network", &|(network, _)| network.name(self.tier).into()),
            ("net", &|(_, net)| net.name.into()),
            ("clean accuracy", &|(network, net)| percent_of(self.clean(*network, net))),
            ("accuracy, white box", &|row| accuracy(row, 0)),
            ("accuracy, transfer", &|row| accuracy(row, 1)),
            ("AUROC, white box", &|row| percent(&attacked(row, 0))),
            ("AUROC, transfer", &|(network, net)| {
                percent(&self.mean(*network, net, 1, &|a| a.attacked[0]))
            }),
            ("best score, white box", &best),
        ])
    }

    fn accuracy(&self) -> Table {
        let header = ["network", "attack", "ε"].into_iter().chain(NETS.map(|net| net.name));
        let mut table = Table::new("accuracy", "Accuracy in %.", header);
        for network in Network::ALL {
            for (attack, name) in ATTACKS.iter().enumerate() {
                for (step, epsilon) in self.epsilons.iter().enumerate() {
                    let entry =
                        |net| percent(&self.at(network, net, attack, step, &|a| a.accuracy));
                    let names: [&dyn std::fmt::Display; 3] =
                        [&network.name(self.tier), name, epsilon];
                    table.wide_row(&names, NETS.iter().map(entry));
                }
            }
        }
        table
    }

    fn by_step(&self) -> Table {
        let steps = self.grid.results().flat_map(|(row, seed, found)| {
            let attacks = ATTACKS.iter().zip(&found.attacks);
            let steps = attacks.flat_map(|(attack, steps)| {
                self.epsilons.iter().zip(steps).map(move |(epsilon, step)| (attack, epsilon, step))
            });
            let scores = row.input.1.scores().iter().enumerate();
            steps.flat_map(move |step| {
                scores.clone().map(move |score| (row.input, seed, step, score))
            })
        });
        Table::of("steps", "All results.", steps).columns(&[
            ("network", &|((network, _), ..)| network.name(self.tier).into()),
            ("net", &|((_, net), ..)| net.name.into()),
            ("seed", &|(_, seed, ..)| seed.to_string()),
            ("attack", &|(_, _, (attack, ..), _)| attack.to_string()),
            ("ε", &|(_, _, (_, epsilon, _), _)| epsilon.to_string()),
            ("accuracy", &|(_, _, (.., step), _)| step.accuracy.to_string()),
            ("score", &|(.., (_, score))| score.name().into()),
            ("AUROC (positive: attacked; negative: clean)", &|(_, _, (.., step), (column, _))| {
                step.attacked[*column].to_string()
            }),
            ("AUROC (positive: wrong; negative: right)", &|(_, _, (.., step), (column, _))| {
                step.wrong[*column].map_or(String::new(), |wrong| wrong.to_string())
            }),
        ])
    }

    /// A panel over `ε` with a curve for each net; `of` returns the value of each seed at a step. A
    /// step at which a seed has no value has no point. Points of different nets are side by side.
    fn panel(
        &self,
        network: Network,
        title: &str,
        y: Axis,
        of: impl Fn(&Net, usize) -> Option<Vec<f64>>,
    ) -> Panel {
        let layer = |(i, net): (usize, &Net)| {
            let aside = 1.03_f64.powi(i as i32 - NETS.len() as i32 / 2);
            let point = |(step, &epsilon): (usize, &f64)| {
                let mean = Mean::of(&of(net, step)?);
                Some((epsilon * aside, mean.value, mean.error))
            };
            let points: Option<Vec<_>> = self.epsilons.iter().enumerate().map(point).collect();
            let points = points.filter(|all| all.iter().any(|point| point.1.is_finite()));
            Some(Layer::new(net.name, net.ink, Mark::Curve(points?)))
        };
        Panel {
            title: format!("{}, {title}", network.name(self.tier)),
            x: Axis::new("ε").range(0.0009, 0.6).log(),
            y,
            layers: NETS.iter().enumerate().filter_map(layer).collect(),
        }
    }

    fn figures(&self) -> Vec<Figure> {
        let attacks = |panel: &dyn Fn(Network, usize) -> Panel| {
            let networks = Network::ALL.into_iter();
            let panels = networks.flat_map(|network| [0, 1].map(|attack| panel(network, attack)));
            Chart { columns: 2, size: (480., 320.), panels: panels.collect() }
        };
        let accuracies =
            |network, net: &Net, attack, step| self.at(network, net, attack, step, &|a| a.accuracy);
        let accuracy = attacks(&|network, attack| {
            let y = Axis::new("accuracy").range(0., 1.);
            self.panel(network, ATTACKS[attack], y, |net, step| {
                Some(accuracies(network, net, attack, step))
            })
        });
        let difference = attacks(&|network, attack| {
            let y = Axis::new("accuracy minus that of MLE");
            self.panel(network, ATTACKS[attack], y, |net, step| {
                let of = |net| accuracies(network, net, attack, step);
                (*net != Net::MLE).then(|| minus(&of(net), &of(&Net::MLE)))
            })
        });
        let by_score = |attack: usize, of: fn(&Attacked, usize) -> Option<f64>| {
            let panels = Score::ALL.iter().flat_map(|score| {
                Network::ALL.into_iter().map(move |network| {
                    let y = Axis::new("AUROC").range(0., 1.);
                    self.panel(network, score.name(), y, |net, step| {
                        let column = net.scores().iter().position(|other| other == score)?;
                        let of = |a: &Attacked| of(a, column).unwrap_or(f64::NAN);
                        Some(self.at(network, net, attack, step, &of))
                    })
                })
            });
            Chart { columns: 2, size: (480., 280.), panels: panels.collect() }
        };
        let attacked: fn(&Attacked, usize) -> Option<f64> = |a, column| Some(a.attacked[column]);
        let wrong: fn(&Attacked, usize) -> Option<f64> = |a, column| a.wrong[column];
        vec![
            Figure::new("accuracy", ACCURACY, accuracy),
            Figure::new("difference", DIFFERENCE, difference),
            Figure::new("attacked-white-box", ATTACKED, by_score(0, attacked)),
            Figure::new("attacked-transfer", ATTACKED_TRANSFER, by_score(1, attacked)),
            Figure::new("wrong-white-box", WRONG, by_score(0, wrong)),
            Figure::new("wrong-transfer", WRONG_TRANSFER, by_score(1, wrong)),
        ]
    }

    fn ours(&self) -> String {
        let [table_1, anomaly] = Network::ALL.map(|network| network.protocol(self.tier));
        let (images, strengths) = (self.images, self.epsilons.len());
        let samples = Network::Table1.settings(self.tier).samples;
        format!(
            "The network that the authors attack, on which the claims are tested: {table_1}\n\
             A second network, that of the anomaly experiment: {anomaly}\n\
             {images} test digits, the same for all seeds; {strengths} of the authors' 20 values \
             of ε; images are not clipped to [0, 1]. One gradient per image, of −ln (1/S) Σ \
             p_s(y|x) with S = {samples} samples of the attacker; the network answers with \
             {samples} others. Dropout is attacked as it predicts, without masks.\n\
             Gradients are computed in double precision: in single precision 1 − p of a confident \
             answer is rounded to 0, and a vanished gradient would look like a defence.\n\
             Transfer: the gradient of an MLE net of the same architecture with another seed, the \
             same for all nets of one seed.\n\
             {ABOUT_SCORES} Errors of differences of accuracy in the verdicts, and of the clean \
             accuracy, are over seeds and images, paired by both; those of AUROCs are over seeds."
        )
    }
}

const DEFENCE: &str = "Means over all ε, in %. AUROC of attacked (positive) against clean images \
    by max confidence; in the last column by the score that detects white-box attacks best.";
const ACCURACY: &str = "Accuracy under attack. Above the authors' network, below a smaller one; \
    left with the network's own gradient, right with that of another net; 0.1 is chance. Points of \
    different nets are drawn side by side.";
const DIFFERENCE: &str = "Accuracy under attack, minus that of MLE at the same strength and seed. \
    Shows curves that lie upon one another above.";
const ATTACKED: &str = "Detection of attacks. AUROC of attacked against clean images by score, \
    white box; 0.5 is chance; below it attacked images look more certain than clean ones.";
const ATTACKED_TRANSFER: &str =
    "Detection of transferred attacks. AUROC of attacked against clean images by score.";
const WRONG: &str = "Detection of errors. AUROC of wrong against right answers to attacked images \
    by score, white box; no point where all answers are right or all are wrong.";
const WRONG_TRANSFER: &str = "Detection of errors under transferred attacks. AUROC of wrong \
    against right answers by score.";
const PAPER: &str = "The paper's second version attacks networks by the fast gradient sign, x + ε \
    sign(∇ₓ CE) with the cross-entropy of the averaged prediction, and asks how accuracy falls \
    with ε, whether uncertainty scores separate attacked from clean images, and whether they \
    separate errors from right answers. It claims that a Bayesian hypernet defends better than \
    dropout.";
