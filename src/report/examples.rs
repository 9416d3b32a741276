//! Test examples as cards: the image, what it is, what it was taken for, and how sure that was.
use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use maud::{Markup, html};
use ndarray::ArrayView1;

use super::{Classification, formulas};
use crate::error::{Error, Result};
use crate::metrics;

const MOST_UNCERTAIN: usize = 30;
const LEAST_UNCERTAIN: usize = 10;

/// The examples of highest entropy and, for contrast, of lowest.
pub fn sections(test: &Classification<'_>) -> Result<Markup> {
    let n = test.labels.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| test.entropy[b].total_cmp(&test.entropy[a]).then(a.cmp(&b)));
    let most = n.min(MOST_UNCERTAIN);
    let least = (n - most).min(LEAST_UNCERTAIN);
    Ok(html! {
        h2 { "The most uncertain test examples" }
        p { (formulas(UNCERTAIN)) }
        (cards(test, order[..most].iter().copied())?)
        @if least > 0 {
            h2 { "The least uncertain" }
            p { "For contrast: the lower the entropy, the more probability lies on one class." }
            div.least { (cards(test, order[n - least..].iter().rev().copied())?) }
        }
    })
}

const UNCERTAIN: &str = "Those of the highest entropy H[p̄] = −Σ_c p̄_c log p̄_c, which is 0 \
    when all the probability is on one class and log K when it is spread evenly over the K \
    classes. BALD = H[p̄] − mean_s H[p_s] is the part of it that comes from samples of the \
    weights disagreeing: high BALD means that more data like this would help, while high entropy \
    with low BALD means that the example itself is ambiguous. The small bars are the class \
    probabilities p̄, from 0 to 1; the true class is orange.";

fn cards(test: &Classification<'_>, chosen: impl Iterator<Item = usize>) -> Result<Markup> {
    let predicted = metrics::predictions(test.p);
    let cards = chosen.map(|n| {
        let (truth, class) = (test.labels[n], predicted[n]);
        let percent = 100.0 * test.p[[n, class]];
        let source = test.images.map(|(x, shape)| data_uri(x.row(n), shape)).transpose()?;
        Ok(html! {
            li.card {
                @if let Some(source) = source { img src=(source) alt={ "test example " (n) }; }
                div { "no. " (n) ", truth " b { (test.classes[truth]) } }
                div.wrong[class != truth] {
                    @if class != truth { "✗ " } @else { "✓ " }
                    "predicted " b { (test.classes[class]) } (format!(", {percent:.0}\u{a0}%"))
                }
                div { (format!("entropy {:.3} nats", test.entropy[n])) }
                div { (format!("BALD {:.3} nats", test.bald[n])) }
                (bars(test.p.row(n), truth))
            }
        })
    });
    let cards = cards.collect::<Result<Vec<Markup>>>()?;
    Ok(html! { ul.cards { @for card in cards { (card) } } })
}

/// `p [K]` as bars in a box of `K` × 1.
fn bars(p: ArrayView1<'_, f32>, truth: usize) -> Markup {
    let (mut others, mut true_bar) = (String::new(), String::new());
    for (c, &p) in p.iter().enumerate() {
        let path = if c == truth { &mut true_bar } else { &mut others };
        write!(path, "M{c}.1 1v-{p:.3}h.8V1z").expect("a String takes all");
    }
    html! {
        svg viewBox={ "0 0 " (p.len()) " 1" } preserveAspectRatio="none" aria-hidden="true" {
            path.others d=(others) {}
            path.truth d=(true_bar) {}
        }
    }
}

/// An image `x [C·H·W]` in `[0, 1]` (beyond, it is clamped) as PNG within a URI.
fn data_uri(x: ArrayView1<'_, f32>, [channels, height, width]: [usize; 3]) -> Result<String> {
    let color = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => {
            let advice = "Give the report no images.";
            return Err(Error::invalid("report: channels of an image", channels, "1 or 3", advice));
        }
    };
    let plane = height * width;
    let byte =
        |i: usize| (255.0 * x[i % channels * plane + i / channels].clamp(0.0, 1.0)).round() as u8;
    let bytes: Vec<u8> = (0..channels * plane).map(byte).collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&bytes, width as u32, height as u32, color)
        .expect("the buffer has the size of the image and memory takes all");
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_comes_back_with_its_channels_together() {
        // Planes red, green, blue of two pixels; beyond [0, 1] is clamped.
        let x = ndarray::array![1.0, 0.0, 0.2, 2.0, -1.0, 0.6];
        let uri = data_uri(x.view(), [3, 1, 2]).unwrap();
        let png = STANDARD.decode(uri.split_once(',').unwrap().1).unwrap();
        let pixels = image::load_from_memory(&png).unwrap().into_rgb8();
        assert_eq!(pixels.dimensions(), (2, 1));
        assert_eq!(pixels.into_raw(), [255, 51, 0, 0, 255, 153]);
    }
}
