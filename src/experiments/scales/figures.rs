//! The figures of the page.
use super::at::{At, Recipes};
use super::family::{FAMILIES, Family};
use super::fits::Found;
use super::truth::Truth;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};

/// Nats below the evidence by family, a panel for each net.
pub(super) fn by_family(all: &[At]) -> Chart {
    let panel = |at: &At| {
        let title = format!("V, b from {}", at.net.name);
        intervals(
            at,
            &title,
            FAMILIES.iter().filter_map(|family| Some((family, at.of(family.key)?))),
        )
    };
    Chart { columns: 1, size: (640., 220.), panels: all.iter().map(panel).collect() }
}

/// Nats below the evidence by recipe.
pub(super) fn by_recipe((at, studies): &Recipes<'_>) -> Chart {
    let found = studies.iter().filter_map(|study| Some((study.family, study.found()?)));
    Chart { size: (640., 260.), ..Chart::one(intervals(at, "", found)) }
}

/// The gaps of some fits on a logarithmic axis, each with its key.
fn intervals<'a>(
    at: &At,
    title: &str,
    found: impl Iterator<Item = (&'static Family, &'a Found)>,
) -> Panel {
    let points = found.enumerate().map(|(i, (family, found))| {
        let gap = at.gap(found);
        (family.key, (i as f64, gap.value.max(0.01), gap.error))
    });
    let points: Vec<_> = points.collect();
    let names = points.iter().map(|&(key, (x, y, _))| (x, y, key.into())).collect();
    let last = points.last().map_or(0., |(_, (x, ..))| *x);
    let points: Vec<_> = points.into_iter().map(|(_, point)| point).collect();
    Panel {
        title: title.into(),
        x: Axis::new("").range(-0.5, last + 0.5).integer(),
        y: Axis::new("ln p(D) − ELBO, nats").log(),
        layers: vec![
            Layer::new("", Ink::Series(0), Mark::Intervals(points)),
            Layer::new("", Ink::Gray, Mark::Text(names)),
        ],
    }
}

/// The indices of the two scales with the strongest correlation.
fn strongest(truth: &Truth) -> (usize, usize) {
    let c = &truth.covariance;
    let pairs = (0..c.nrows()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let square = |&(i, j): &(usize, usize)| c[[i, j]].powi(2) / (c[[i, i]] * c[[j, j]]);
    pairs.max_by(|a, b| square(a).total_cmp(&square(b))).expect("two scales")
}

/// Draws of NUTS and samples of three posteriors, for the [`strongest`] pair of scales.
pub(super) fn scatter(at: &At) -> Chart {
    let (i, j) = strongest(&at.truth);
    let axis = |d: usize| {
        let (mean, std) = (at.truth.mean[d], at.truth.covariance[[d, d]].sqrt());
        Axis::new(format!("g{}", d + 1)).range(mean - 4. * std, mean + 4. * std)
    };
    let panel = |title: &str, points: Vec<(f64, f64)>| Panel {
        title: title.into(),
        x: axis(i),
        y: axis(j),
        layers: vec![Layer::new("", Ink::Series(0), Mark::Dots(points, 2., 0.5))],
    };
    let draws = at.truth.chains.iter().flat_map(|chain| &chain.theta);
    let every = draws.clone().count().div_ceil(300);
    let nuts = draws.step_by(every).map(|g| (g[i], g[j])).collect();
    let of = |key: &str, title: &str| {
        let found = at.of(key)?;
        Some(panel(title, found.samples.iter().map(|g| (g[i], g[j])).collect()))
    };
    let others = [of("t0", "T = 0"), of("full", "full Gaussian"), of("t8", "T = 8")];
    let panels = [panel("NUTS", nuts)].into_iter().chain(others.into_iter().flatten()).collect();
    Chart { columns: 4, size: (260., 260.), panels }
}
