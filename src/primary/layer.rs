//! A network described in words, as in `config.toml`.
use crate::autodiff::Var;
use crate::error::Error;
use crate::kernels::conv::Window;
use crate::kernels::scalar::Scalar;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One layer in words, such as `dense 800`, `conv 32 3x3 stride 2 pad 1`, `pool 2` or `dropout 0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layer {
    /// `dense N`: a fully connected layer of `N` units.
    Dense(usize),
    /// `conv N HxW`: a convolution with `N` channels; `stride 2` or `stride 2x1`, `pad 1`, if so.
    Conv(usize, Window),
    /// `pool N`: the largest of squares side by side; `pool HxW stride 2` otherwise.
    Pool(Window),
    /// `avg-pool N`: the mean in its stead.
    AvgPool(Window),
    /// `global-pool`: the mean of each channel.
    GlobalPool,
    /// `flatten`: an image's numbers in a row.
    Flatten,
    /// `relu`: `max(x, 0)`.
    Relu,
    /// `tanh`.
    Tanh,
    /// `dropout P`: a mask that is 0 with probability `P` and `1/(1 − P)` otherwise.
    Dropout(f64),
    /// `channel-dropout P`: the same for whole channels.
    ChannelDropout(f64),
}

/// What goes into a layer, or comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Numbers.
    Flat(usize),
    /// An image, `[C, H, W]`.
    Image([usize; 3]),
}

/// A layer where it stands in a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// The layer.
    pub layer: Layer,
    /// What goes in.
    pub input: Shape,
    /// What comes out.
    pub output: Shape,
}

impl Layer {
    /// Dense layers of these sizes with a ReLU between them, and one of `outputs` at the end.
    pub fn mlp(hidden: &[usize], outputs: usize) -> Vec<Self> {
        let hidden = hidden.iter().flat_map(|&n| [Self::Dense(n), Self::Relu]);
        hidden.chain([Self::Dense(outputs)]).collect()
    }

    /// These layers with dropout after every activation, or after the `pool` or `avg-pool` that follows it.
    pub fn with_dropout(layers: &[Self], rate: f64) -> Vec<Self> {
        let is_pool =
            |layer: Option<&Self>| matches!(layer, Some(Self::Pool(_) | Self::AvgPool(_)));
        let mut dropped = vec![];
        let mut is_due = false;
        for (i, &layer) in layers.iter().enumerate() {
            dropped.push(layer);
            is_due |= matches!(layer, Self::Relu | Self::Tanh);
            if is_due && !is_pool(layers.get(i + 1)) {
                dropped.push(Self::Dropout(rate));
                is_due = false;
            }
        }
        dropped
    }

    /// Where each of a network's layers stands, given its inputs. Images go into a network without any
    /// layer for them as numbers.
    ///
    /// # Errors
    /// If a layer does not fit what comes to it.
    pub fn place(layers: &[Self], inputs: Shape) -> Result<Vec<Placed>, Error> {
        let of_images = layers.iter().any(|layer| layer.is_of_images());
        let mut shape = if of_images { inputs } else { Shape::Flat(inputs.len()) };
        let place = |&layer: &Self| {
            let (input, output) = (shape, layer.output(shape)?);
            shape = output;
            Ok(Placed { layer, input, output })
        };
        layers.iter().map(place).collect()
    }

    /// The probability of a 0, if it is a dropout mask.
    pub fn rate(&self) -> Option<f64> {
        match *self {
            Self::Dropout(rate) | Self::ChannelDropout(rate) => Some(rate),
            _ => None,
        }
    }

    /// Whether it is a dropout mask.
    pub fn is_mask(&self) -> bool {
        self.rate().is_some()
    }

    fn is_of_images(self) -> bool {
        !matches!(self, Self::Dense(_) | Self::Relu | Self::Tanh | Self::Dropout(_))
    }

    fn output(self, input: Shape) -> Result<Shape, Error> {
        let bad = |expected: &str, advice: &str| {
            let found = format!("`{self}` on {input}");
            Err(Error::invalid("primary.layers", found, expected, advice))
        };
        let slide = |window: Window, channels: Option<usize>| match input {
            Shape::Image([c, h, w]) => match window.over([h, w, c]) {
                Some(over) => {
                    let [h, w] = over.positions();
                    Ok(Shape::Image([channels.unwrap_or(c), h, w]))
                }
                None => bad("an image that it fits in", "Take a smaller window, or pad the image."),
            },
            Shape::Flat(_) => {
                bad("an image, [C, H, W]", "Put it before `flatten`, in a network of images.")
            }
        };
        match (self, input) {
            (Self::Conv(_, Window { size, padding, .. }), _)
                if size.iter().zip(padding).any(|(&size, padding)| padding >= size) =>
            {
                bad("padding below the size of the window", "Take a larger window, or pad less.")
            }
            (Self::Conv(n, window), _) => slide(window, Some(n)),
            (Self::Pool(window) | Self::AvgPool(window), _) if window.padding == [0, 0] => {
                slide(window, None)
            }
            (Self::Pool(_) | Self::AvgPool(_), _) => bad("no padding", "Leave it out."),
            (Self::GlobalPool, Shape::Image([c, ..])) => Ok(Shape::Flat(c)),
            (Self::Flatten, Shape::Image(_)) => Ok(Shape::Flat(input.len())),
            (Self::Dense(n), Shape::Flat(_)) => Ok(Shape::Flat(n)),
            (Self::Dense(_), Shape::Image(_)) => bad("numbers", "Put `flatten` before it."),
            (Self::GlobalPool | Self::Flatten | Self::ChannelDropout(_), Shape::Flat(_)) => {
                bad("an image, [C, H, W]", "Take it out, or put it before `flatten`.")
            }
            (Self::Relu | Self::Tanh | Self::Dropout(_) | Self::ChannelDropout(_), _) => Ok(input),
        }
    }
}

impl Shape {
    /// That of inputs, which may be images `[C, H, W]`.
    pub fn of(inputs: usize, image: Option<[usize; 3]>) -> Self {
        image.map_or(Self::Flat(inputs), Self::Image)
    }

    /// How many numbers it has; those that memory cannot hold count as the most there can be.
    pub fn len(self) -> usize {
        match self {
            Self::Flat(n) => n,
            Self::Image(image) => image.into_iter().fold(1, usize::saturating_mul),
        }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its axes on a tape, where channels are last.
    pub fn axes(self) -> Vec<usize> {
        match self {
            Self::Flat(n) => vec![n],
            Self::Image([c, h, w]) => vec![h, w, c],
        }
    }
}

impl From<usize> for Shape {
    fn from(n: usize) -> Self {
        Self::Flat(n)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flat(n) => write!(f, "{n} numbers"),
            Self::Image(image) => write!(f, "an image {image:?}"),
        }
    }
}

impl Placed {
    /// Inputs `[B, …]` as the first layer of a network takes them: images `[C, H, W]` with their channels last.
    pub(super) fn enter<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        match self.input {
            Shape::Flat(_) => x,
            Shape::Image([c, h, w]) => {
                x.reshape(&[x.shape()[0], c, h, w]).permute_axes(&[0, 2, 3, 1])
            }
        }
    }

    /// What a layer without weights or masks makes of `h […, *axes]`.
    pub(super) fn pass<'t, T: Scalar>(&self, h: Var<'t, T>) -> Var<'t, T> {
        let flat = |h: Var<'t, T>| {
            let shape = h.shape();
            let lead = &shape[..shape.len() - 3];
            h.reshape(&[lead, &[shape[lead.len()..].iter().product()]].concat())
        };
        match (self.layer, self.input) {
            (Layer::Pool(window), _) => h.max_pool2d(window),
            (Layer::AvgPool(window), _) => h.avg_pool2d(window),
            (Layer::GlobalPool, Shape::Image([_, height, width])) => {
                flat(h.avg_pool2d(Window::new([height, width])))
            }
            (Layer::Flatten, _) => flat(h),
            (Layer::Tanh, _) => h.tanh(),
            (Layer::Relu, _) => h.relu(),
            (layer, _) => unreachable!("`{layer}` has weights or a mask"),
        }
    }

    /// `[n, k]`: the shape of its weights, if it has any. Those of a convolution are a row a channel, in the
    /// order row, column, channel of what its window covers.
    pub fn weights(&self) -> Option<[usize; 2]> {
        match (self.layer, self.input) {
            (Layer::Dense(n), _) => Some([n, self.input.len()]),
            (Layer::Conv(n, Window { size: [h, w], .. }), Shape::Image([c, ..])) => {
                Some([n, Shape::Image([c, h, w]).len()])
            }
            _ => None,
        }
    }

    /// Its weights `[N, k]` as `N` images of `[C, H, W]`, `[N, C·H·W]`, if it is a convolution.
    ///
    /// # Panics
    /// If they have another shape.
    pub fn filters<T: Scalar>(
        &self,
        weights: ArrayView2<'_, T>,
    ) -> Option<(Array2<T>, [usize; 3])> {
        let (Layer::Conv(n, Window { size: [h, w], .. }), Shape::Image([c, ..])) =
            (self.layer, self.input)
        else {
            return None;
        };
        let windows = weights.to_shape([n, h, w, c]).expect("Placed::filters: `weights`' shape");
        let planes = windows.permuted_axes([0, 3, 1, 2]);
        let rows = planes.to_shape([n, c * h * w]).expect("as many").into_owned();
        Some((rows, [c, h, w]))
    }

    /// How many entries of `θ` it has as a mask.
    pub fn mask(&self) -> usize {
        match self.layer {
            Layer::Dropout(_) => self.output.len(),
            Layer::ChannelDropout(_) => self.units().iter().product(),
            _ => 0,
        }
    }

    /// The most numbers that one example is between these layers, or as an input.
    pub fn widest(placed: &[Self]) -> usize {
        let widths = placed.iter().map(|placed| placed.input.len().max(placed.output.len()));
        widths.max().unwrap_or(1)
    }

    /// The shape in which one number a unit, or a channel, stands beside its output on a tape.
    pub fn units(&self) -> Vec<usize> {
        match self.output {
            Shape::Flat(n) => vec![n],
            Shape::Image([c, ..]) => vec![1, 1, c],
        }
    }
}

const EXPECTED: &str = "`dense N`, `conv N HxW` (`stride N`, `pad N`), `pool N` or `avg-pool N` (`stride N`), \
    `global-pool`, `flatten`, `relu`, `tanh`, `dropout P` or `channel-dropout P`, with N above 0 (of windows up \
    to 65536; of `pad` 0 too) and P from 0 to below 1";

impl FromStr for Layer {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let words: Vec<_> = text.split_whitespace().collect();
        let rate = |p: &str| p.parse().ok().filter(|p| (0. ..1.).contains(p));
        let pool = |size: &str, rest: &[&str]| {
            let size = pair(size, 1)?;
            window(Window { stride: size, ..Window::new(size) }, rest, &["stride"])
        };
        let layer = match words[..] {
            ["relu"] => Some(Self::Relu),
            ["tanh"] => Some(Self::Tanh),
            ["flatten"] => Some(Self::Flatten),
            ["global-pool"] => Some(Self::GlobalPool),
            ["dense", n] => n.parse().ok().filter(|&n| n > 0).map(Self::Dense),
            ["conv", n, size, ref rest @ ..] => {
                let n = n.parse().ok().filter(|&n: &usize| n > 0);
                let window = pair(size, 1)
                    .and_then(|size| window(Window::new(size), rest, &["stride", "pad"]));
                n.zip(window).map(|(n, window)| Self::Conv(n, window))
            }
            ["pool", size, ref rest @ ..] => pool(size, rest).map(Self::Pool),
            ["avg-pool", size, ref rest @ ..] => pool(size, rest).map(Self::AvgPool),
            ["dropout", p] => rate(p).map(Self::Dropout),
            ["channel-dropout", p] => rate(p).map(Self::ChannelDropout),
            _ => None,
        };
        layer.ok_or_else(|| {
            Error::invalid("primary.layers", format!("`{text}`"), EXPECTED, "Mend that layer.")
        })
    }
}

/// `3x2` or `3`, each at least so much.
fn pair(text: &str, least: usize) -> Option<[usize; 2]> {
    let (a, b) = text.split_once('x').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|&n| n >= least && n <= 1 << 16);
    Some([number(a)?, number(b)?])
}

/// The window with what is said of it, each of these words once at most.
fn window(mut window: Window, words: &[&str], allowed: &[&str]) -> Option<Window> {
    let mut seen = vec![];
    for said in words.chunks(2) {
        let &[word, value] = said else { return None };
        if !allowed.contains(&word) || seen.contains(&word) {
            return None;
        }
        seen.push(word);
        match word {
            "stride" => window.stride = pair(value, 1)?,
            _ => window.padding = pair(value, 0)?,
        }
    }
    Some(window)
}

impl TryFrom<String> for Layer {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Layer> for String {
    fn from(layer: Layer) -> Self {
        layer.to_string()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a}x{b}") };
        let pool = |Window { size, stride, .. }: &Window| match size == stride {
            true => short(*size),
            false => format!("{} stride {}", short(*size), short(*stride)),
        };
        match self {
            Self::Dense(n) => write!(f, "dense {n}"),
            Self::Conv(n, Window { size: [h, w], stride, padding }) => {
                write!(f, "conv {n} {h}x{w}")?;
                if *stride != [1, 1] {
                    write!(f, " stride {}", short(*stride))?;
                }
                if *padding == [0, 0] { Ok(()) } else { write!(f, " pad {}", short(*padding)) }
            }
            Self::Pool(window) => write!(f, "pool {}", pool(window)),
            Self::AvgPool(window) => write!(f, "avg-pool {}", pool(window)),
            Self::GlobalPool => write!(f, "global-pool"),
            Self::Flatten => write!(f, "flatten"),
            Self::Relu => write!(f, "relu"),
            Self::Tanh => write!(f, "tanh"),
            Self::Dropout(p) => write!(f, "dropout {p}"),
            Self::ChannelDropout(p) => write!(f, "channel-dropout {p}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_their_words() {
        for text in [
            "dense 10",
            "conv 32 3x3",
            "conv 8 5x3 stride 2x1 pad 1",
            "conv 8 1x1 pad 0x2",
            "pool 2",
            "pool 3x2 stride 2",
            "avg-pool 5",
            "global-pool",
            "flatten",
            "relu",
            "tanh",
            "dropout 0.25",
            "channel-dropout 0.5",
        ] {
            assert_eq!(text.parse::<Layer>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "dense",
            "dense 0",
            "conv 3",
            "conv 0 3x3",
            "conv 3 0x3",
            "conv 3 3x3x3",
            "pool",
            "conv 3 3x3 stride",
            "conv 3 3x3 stride 0",
            "conv 3 3x3 pad 1 pad 1",
            "pool 2 pad 1",
            "relu 1",
            "dropout 1",
            "conv 3 99999999x1",
        ] {
            assert!(text.parse::<Layer>().is_err(), "{text}");
        }
    }

    #[test]
    fn layers_fit_or_say_why() {
        let parse = |words: &[&str]| -> Vec<Layer> {
            words.iter().map(|word| word.parse().unwrap()).collect()
        };
        let layers = ["conv 6 5x5 stride 2", "relu", "pool 2", "flatten", "dense 10"];
        let placed = Layer::place(&parse(&layers), Shape::Image([3, 32, 31])).unwrap();
        let shapes: Vec<_> = placed.iter().map(|p| p.output).collect();
        let [conv, pool] = [[6, 14, 14], [6, 7, 7]].map(Shape::Image);
        assert_eq!(shapes, [conv, conv, pool, Shape::Flat(294), Shape::Flat(10)]);
        assert_eq!(placed[0].weights(), Some([6, 75]));
        assert_eq!(placed[4].weights(), Some([10, 294]));
        let flat = Layer::place(&Layer::mlp(&[], 10), Shape::Image([1, 28, 28])).unwrap();
        assert_eq!(flat[0].weights(), Some([10, 784]));
        for (layers, inputs, words) in [
            (&["conv 6 5x5"][..], Shape::Image([1, 4, 9]), "`conv 6 5x5` on an image [1, 4, 9]"),
            (&["conv 6 5x5"], Shape::Flat(9), "`conv 6 5x5` on 9 numbers"),
            (&["pool 2", "dense 9"], Shape::Image([1, 2, 2]), "`dense 9` on an image [1, 1, 1]"),
            (&["flatten", "flatten"], Shape::Image([1, 2, 2]), "`flatten` on 4 numbers"),
        ] {
            let error = Layer::place(&parse(layers), inputs).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn dropout_comes_after_the_pool() {
        let words = "conv 2 3x3,relu,pool 2,flatten,dense 3,tanh,dense 2";
        let layers: Vec<Layer> = words.split(',').map(|w| w.parse().unwrap()).collect();
        let found: Vec<_> =
            Layer::with_dropout(&layers, 0.5).iter().map(Layer::to_string).collect();
        let expected =
            "conv 2 3x3,relu,pool 2,dropout 0.5,flatten,dense 3,tanh,dropout 0.5,dense 2";
        assert_eq!(found.join(","), expected);
    }
}
