//! The figures of the page.
use super::at::At;
use super::family::{FAMILIES, Family};
use super::fits::Found;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};

/// Nats below the evidence by family, a panel for each net.
pub(super) fn by_family(all: &[At]) -> Chart {
    let panel = |at: &At| {
        let title = format!("V, b from {}", at.source.name);
        intervals(
            at,
            &title,
            FAMILIES.iter().filter_map(|family| Some((family, at.of(family.key)?))),
        )
    };
    Chart { columns: 1, size: (640., 220.), panels: all.iter().map(panel).collect() }
}

/// Nats below the evidence by recipe.
pub(super) fn by_recipe(at: &At) -> Chart {
    Chart { size: (640., 260.), ..Chart::one(intervals(at, "", at.found())) }
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
    let [low, high] = [f64::min, f64::max].map(|f| points.iter().map(|point| point.1).reduce(f));
    // The names are above their points.
    let range = low.zip(high).map_or((0.1, 10.), |(low, high)| (0.5 * low, 3. * high));
    Panel {
        title: title.into(),
        x: Axis::new("").range(-0.5, last + 0.5).integer(),
        y: Axis::new("ln p(D) − ELBO, nats").range(range.0, range.1).log(),
        layers: vec![
            Layer::new("", Ink::Series(0), Mark::Intervals(points)),
            Layer::new("", Ink::Gray, Mark::Text(names)),
        ],
    }
}

/// Draws of NUTS and samples of three posteriors, for the two scales with the strongest
/// correlation.
pub(super) fn scatter(at: &At) -> Chart {
    let pair = &at.truth.pair;
    let axis = |d: usize| {
        let (mean, std) = (pair.mean[d], pair.std[d]);
        let name = format!("g{}", pair.index[d] + 1);
        Axis::new(name).range(mean - 4. * std, mean + 4. * std)
    };
    let panel = |title: &str, points: &[[f64; 2]]| {
        let points = points.iter().map(|&[x, y]| (x, y)).collect();
        Panel {
            title: title.into(),
            x: axis(0),
            y: axis(1),
            layers: vec![Layer::new("", Ink::Series(0), Mark::Dots(points, 2., 0.5))],
        }
    };
    let of = |key: &str, title: &str| Some(panel(title, &at.of(key)?.pair));
    let others = [of("t0", "T = 0"), of("full", "full Gaussian"), of("t8", "T = 8")];
    let nuts = panel("NUTS", &pair.draws);
    let panels = [nuts].into_iter().chain(others.into_iter().flatten()).collect();
    Chart { columns: 4, size: (260., 260.), panels }
}
