//! The shapes of activations, and of the weights and masks between them.
use super::Layer;
use crate::error::Error;
use crate::kernels::conv::Window;
use crate::kernels::scalar::Scalar;
use ndarray::{Array2, ArrayView2};
use std::fmt;

/// The shape of a layer's input or output, for one example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A vector of this length.
    Flat(usize),
    /// An image, `[C, H, W]`.
    Image([usize; 3]),
}

/// A layer with the shapes of its input and output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// The layer.
    pub layer: Layer,
    /// The shape of its input.
    pub input: Shape,
    /// The shape of its output.
    pub output: Shape,
}

impl Shape {
    /// The shape of an input: `image`, that is `[C, H, W]`, if it is given, otherwise a vector of
    /// length `inputs`.
    pub fn of(inputs: usize, image: Option<[usize; 3]>) -> Self {
        image.map_or(Self::Flat(inputs), Self::Image)
    }

    /// The number of entries, saturating at `usize::MAX`.
    pub fn len(self) -> usize {
        match self {
            Self::Flat(n) => n,
            Self::Image(image) => image.into_iter().fold(1, usize::saturating_mul),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The axes on a tape, with channels last.
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

impl Layer {
    /// The layers of a network with the shapes between them, given the shape of its inputs. Images
    /// are flattened if no layer takes them as images.
    ///
    /// # Errors
    /// If a layer does not accept its input.
    pub fn place(layers: &[Self], inputs: Shape) -> Result<Vec<Placed>, Error> {
        let takes_image = |layer: &Self| {
            !matches!(layer, Self::Dense(_) | Self::Relu | Self::Tanh | Self::Dropout(_))
        };
        let of_images = layers.iter().any(takes_image);
        let mut shape = if of_images { inputs } else { Shape::Flat(inputs.len()) };
        let place = |&layer: &Self| {
            let (input, output) = (shape, layer.output(shape)?);
            shape = output;
            Ok(Placed { layer, input, output })
        };
        layers.iter().map(place).collect()
    }

    fn output(self, input: Shape) -> Result<Shape, Error> {
        let bad = |expected: &str, advice: &str| {
            let found = format!("`{self}` on {input}");
            Err(Error::invalid("primary.layers", found, expected, advice))
        };
        let slide = |window: Window, channels: Option<usize>| match input {
            Shape::Image([c, h, w]) => match window.over([h, w, c]) {
                Some(over) => {
                    let [h, w] = over.positions;
                    Ok(Shape::Image([channels.unwrap_or(c), h, w]))
                }
                None => bad("an image as large", "Use a smaller window, or pad the image."),
            },
            Shape::Flat(_) => {
                bad("an image, [C, H, W]", "Put it before `flatten`, in a network of images.")
            }
        };
        match (self, input) {
            (Self::Conv(_, Window { size, padding, .. }), _)
                if size.iter().zip(padding).any(|(&size, padding)| padding >= size) =>
            {
                bad("padding below the window's size", "Use a larger window, or less padding.")
            }
            (Self::Conv(n, window), _) => slide(window, Some(n)),
            (Self::Pool(window) | Self::AvgPool(window), _) if window.padding == [0, 0] => {
                slide(window, None)
            }
            (Self::Pool(_) | Self::AvgPool(_), _) => bad("no padding", "Remove the padding."),
            (Self::GlobalPool, Shape::Image([c, ..])) => Ok(Shape::Flat(c)),
            (Self::Flatten, Shape::Image(_)) => Ok(Shape::Flat(input.len())),
            (Self::Dense(n), Shape::Flat(_)) => Ok(Shape::Flat(n)),
            (Self::Dense(_), Shape::Image(_)) => bad("numbers", "Put `flatten` before it."),
            (Self::GlobalPool | Self::Flatten | Self::ChannelDropout(_), Shape::Flat(_)) => {
                bad("an image, [C, H, W]", "Remove it, or put it before `flatten`.")
            }
            (Self::Relu | Self::Tanh | Self::Dropout(_) | Self::ChannelDropout(_), _) => Ok(input),
        }
    }
}

impl Placed {
    /// The shape `[n, k]` of the layer's weights, if it has any. The weights of a convolution have
    /// one row per output channel. The axes of a row are, from outer to inner, the rows of the
    /// window, its columns, and the input channels.
    pub fn weights(&self) -> Option<[usize; 2]> {
        match (self.layer, self.input) {
            (Layer::Dense(n), _) => Some([n, self.input.len()]),
            (Layer::Conv(n, Window { size: [h, w], .. }), Shape::Image([c, ..])) => {
                Some([n, Shape::Image([c, h, w]).len()])
            }
            _ => None,
        }
    }

    /// The weights `[N, k]` of a convolution as `N` images in an array `[N, C·H·W]`, and the shape
    /// `[C, H, W]` of an image; `None` for other layers.
    ///
    /// # Panics
    /// If `weights` has another shape.
    pub fn filters<T: Scalar>(
        &self,
        weights: ArrayView2<'_, T>,
    ) -> Option<(Array2<T>, [usize; 3])> {
        let (Layer::Conv(n, Window { size: [h, w], .. }), Shape::Image([c, ..])) =
            (self.layer, self.input)
        else {
            return None;
        };
        let windows =
            weights.to_shape([n, h, w, c]).expect("Placed::filters: the shape of `weights`");
        let planes = windows.permuted_axes([0, 3, 1, 2]);
        let rows =
            planes.to_shape([n, c * h * w]).expect("the same number of entries").into_owned();
        Some((rows, [c, h, w]))
    }

    /// The number of entries of the layer's dropout mask, 0 for other layers.
    pub fn mask(&self) -> usize {
        match self.layer {
            Layer::Dropout(_) => self.output.len(),
            Layer::ChannelDropout(_) => self.units().iter().product(),
            _ => 0,
        }
    }

    /// The shape in which the layer's scales or its dropout mask, for one sample and example,
    /// broadcast with its output on a tape.
    pub(super) fn theta_axes(&self) -> Vec<usize> {
        if let Layer::Dropout(_) = self.layer { self.output.axes() } else { self.units() }
    }

    /// The shape in which one value per unit, or per channel, broadcasts with the layer's output on
    /// a tape.
    pub fn units(&self) -> Vec<usize> {
        match self.output {
            Shape::Flat(n) => vec![n],
            Shape::Image([c, ..]) => vec![1, 1, c],
        }
    }

    /// The number of entries of the largest activation or input, per example.
    pub fn widest<'a>(placed: impl IntoIterator<Item = &'a Self>) -> usize {
        let widths = placed.into_iter().map(|p| p.input.len().max(p.output.len()));
        widths.max().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_computes_shapes_and_names_mismatches() {
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
}
