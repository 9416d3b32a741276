//! Shapes of convolutions and pools: a window, and the images over which it slides.

/// A window that slides over an image. Each field is `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Rows and columns of the window.
    pub size: [usize; 2],
    /// Distance between neighbouring positions.
    pub stride: [usize; 2],
    /// Rows and columns of zeros added on each side of the image.
    pub padding: [usize; 2],
}

impl Window {
    /// A window with stride 1 and no padding.
    pub fn new(size: [usize; 2]) -> Self {
        Self::of(size, [1, 1], [0, 0])
    }

    /// A window of this size, stride and padding.
    pub const fn of(size: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Self {
        Self { size, stride, padding }
    }

    /// Square windows that do not overlap, as pools use them: the stride is the side.
    pub fn squares(side: usize) -> Self {
        Self { stride: [side; 2], ..Self::new([side; 2]) }
    }

    /// This window over images `[H, W, C]`; `None` if it does not fit at least once, if the stride
    /// is 0, or if a size overflows.
    pub fn over(self, image: [usize; 3]) -> Option<Sliding> {
        let along = |i: usize| {
            let whole = image[i].checked_add(self.padding[i].checked_mul(2)?)?;
            let free = whole.checked_sub(self.size[i])?;
            (self.size[i] > 0).then_some(free.checked_div(self.stride[i])? + 1)
        };
        let over = Sliding { window: self, image, positions: [along(0)?, along(1)?] };
        // No product of sizes may overflow.
        let [h, w] = self.padding.map(|side| side.saturating_mul(2));
        let sizes = [h.saturating_add(image[0]), w.saturating_add(image[1]), image[2]];
        let all = sizes.into_iter().chain(self.size).try_fold(1, usize::checked_mul);
        (all.is_some() && !image.contains(&0)).then_some(over)
    }
}

/// A window and the images over which it slides, made by [`Window::over`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sliding {
    /// The window.
    pub window: Window,
    /// The shape of an image, `[H, W, C]`.
    pub image: [usize; 3],
    /// The number of positions of the window along height and width, `[H', W']`.
    pub positions: [usize; 2],
}

impl Sliding {
    /// The number of elements under the window: `h·w·C`.
    pub fn covered(&self) -> usize {
        self.window.size[0] * self.row_len()
    }

    /// The number of contiguous elements under one row of the window: `w·C`.
    pub(in crate::kernels) fn row_len(&self) -> usize {
        self.window.size[1] * self.image[2]
    }

    /// `H'·W'`.
    pub(in crate::kernels) fn count(&self) -> usize {
        self.positions[0] * self.positions[1]
    }

    /// `H·W·C`.
    pub(in crate::kernels) fn image_len(&self) -> usize {
        self.image.iter().product()
    }

    /// `C`.
    pub(in crate::kernels) fn channels(&self) -> usize {
        self.image[2]
    }

    /// The index, in a flattened image `[H, W, C]`, of the first element under row `row` of the
    /// window at position `at`. Padding is ignored: call this on [`padded`](Self::padded), with an
    /// image that includes its padding.
    pub(in crate::kernels) fn offset(&self, at: [usize; 2], row: usize) -> usize {
        let ([_, w, c], stride) = (self.image, self.window.stride);
        ((at[0] * stride[0] + row) * w + at[1] * stride[1]) * c
    }

    /// This window over images that include their padding.
    pub(super) fn padded(&self) -> Self {
        let ([h, w, c], [y, x]) = (self.image, self.window.padding);
        let window = Window { padding: [0, 0], ..self.window };
        Self { window, image: [h + 2 * y, w + 2 * x, c], ..*self }
    }

    /// All positions in row-major order.
    pub(super) fn each(&self) -> impl Iterator<Item = [usize; 2]> {
        let [h, w] = self.positions;
        (0..h).flat_map(move |y| (0..w).map(move |x| [y, x]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_positions_exist_only_if_it_fits() {
        let window = Window { padding: [1, 0], ..Window::new([4, 3]) };
        assert_eq!(window.over([2, 3, 1]).unwrap().positions, [1, 1]);
        assert!(window.over([1, 3, 1]).is_none() && window.over([2, 2, 1]).is_none());
        assert!(window.over([2, 3, 0]).is_none() && Window::new([0, 1]).over([2, 2, 1]).is_none());
        assert!(Window { stride: [0, 1], ..window }.over([9, 9, 1]).is_none());
        assert_eq!(Window::squares(2).over([5, 4, 1]).unwrap().positions, [2, 2]);
        assert!(Window { padding: [usize::MAX; 2], ..window }.over([9, 9, 1]).is_none());
    }
}
