//! Unit triangular matrices. One square matrix stores two of them: one strictly below its diagonal,
//! one strictly above.
use crate::autodiff::{Owned, Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::kernels::{gemm, vector};
use ndarray::ArrayView2;
use std::ops::Range;

#[derive(Clone, Copy)]
enum Triangle {
    Lower,
    Upper,
}

impl Triangle {
    /// The columns of row `i` that are in the triangle of an `n × n` matrix.
    fn columns(self, i: usize, n: usize) -> Range<usize> {
        match self {
            Self::Lower => 0..i,
            Self::Upper => i + 1..n,
        }
    }

    /// The indices of the `n` rows, in the order of their lengths in the triangle, longest first.
    fn longest_first(self, n: usize) -> impl DoubleEndedIterator<Item = usize> {
        (0..n).map(move |k| match self {
            Self::Lower => n - 1 - k,
            Self::Upper => k,
        })
    }

    /// The triangle of `a`, 0 elsewhere.
    fn of<T: Scalar>(self, a: ArrayView2<'_, T>) -> Owned<T> {
        match self {
            Self::Lower => a.tril(-1).into_dyn(),
            Self::Upper => a.triu(1).into_dyn(),
        }
    }

    /// `x ← x (I + A)⁻¹`, row by row, with `A` this triangle of `a`.
    fn solve<T: Scalar>(self, a: &[T], n: usize, x: &mut Tensor<T>) {
        for x in x.as_slice_mut().chunks_exact_mut(n.max(1)) {
            for i in self.longest_first(n) {
                let part = self.columns(i, n);
                vector::axpy(-x[i], &a[i * n..][part.clone()], &mut x[part]);
            }
        }
    }

    /// `x ← x (I + Aᵀ)⁻¹`.
    fn solve_transposed<T: Scalar>(self, a: &[T], n: usize, x: &mut Tensor<T>) {
        for x in x.as_slice_mut().chunks_exact_mut(n.max(1)) {
            for i in self.longest_first(n).rev() {
                let part = self.columns(i, n);
                let above = vector::dot(&a[i * n..][part.clone()], &x[part]);
                x[i] -= above;
            }
        }
    }
}

fn side<T: Scalar>(name: &str, a: &Tensor<T>) -> usize {
    let fits = a.ndim() == 2 && a.shape()[0] == a.shape()[1];
    assert!(fits, "{name}: {:?} is not square", a.shape());
    a.shape()[0]
}

impl<T: Scalar> Var<'_, T> {
    /// `x [n, n]` strictly below the diagonal, 0 elsewhere; `dx = dy` there, 0 elsewhere.
    ///
    /// # Panics
    /// Unless the matrix is square.
    pub fn strictly_lower(self) -> Self {
        self.triangle("strictly_lower", Triangle::Lower)
    }

    /// `x [n, n]` strictly above the diagonal, 0 elsewhere; `dx = dy` there, 0 elsewhere.
    ///
    /// # Panics
    /// Unless the matrix is square.
    pub fn strictly_upper(self) -> Self {
        self.triangle("strictly_upper", Triangle::Upper)
    }

    fn triangle(self, name: &'static str, triangle: Triangle) -> Self {
        let x = self.value();
        side(name, &x);
        Self::record(name, &[self], triangle.of(x.as_matrix()), move |c, sink| {
            sink.add(0, || triangle.of(c.g.as_matrix()));
        })
    }

    /// `y = x L⁻¹` for `x [S, D]` and `L = I + strictly_lower(a)` with `a [D, D]`; `dx = dy L⁻ᵀ`,
    /// `da = −strictly_lower(yᵀ dx)`. No inverse is materialised.
    ///
    /// # Panics
    /// Unless the shapes are these.
    pub fn solve_unit_lower(self, a: Self) -> Self {
        self.solve_unit("solve_unit_lower", a, Triangle::Lower)
    }

    /// `y = x U⁻¹` for `x [S, D]` and `U = I + strictly_upper(a)` with `a [D, D]`; `dx = dy U⁻ᵀ`,
    /// `da = −strictly_upper(yᵀ dx)`. No inverse is materialised.
    ///
    /// # Panics
    /// Unless the shapes are these.
    pub fn solve_unit_upper(self, a: Self) -> Self {
        self.solve_unit("solve_unit_upper", a, Triangle::Upper)
    }

    fn solve_unit(self, name: &'static str, a: Self, triangle: Triangle) -> Self {
        let matrix = a.value();
        let (shape, n) = (self.shape(), side(name, &matrix));
        assert!(shape.len() == 2 && shape[1] == n, "{name}: {shape:?} by {:?}", matrix.shape());
        let mut y = self.value();
        triangle.solve(matrix.as_slice(), n, &mut y);
        Self::record(name, &[self, a], y, move |c, sink| {
            let mut dx = c.g.clone();
            triangle.solve_transposed(c.x(1).as_slice(), n, &mut dx);
            sink.add(1, || {
                let product = gemm::matmul(c.y.as_matrix().reversed_axes(), dx.as_matrix());
                triangle.of((-product).view())
            });
            sink.add(0, || dx);
        })
    }
}

crate::gradchecks! {
    strictly_lower: [[4, 4]] => |[x]| x.strictly_lower();
    strictly_upper: [[4, 4]] => |[x]| x.strictly_upper();
    solve_unit_lower: [[3, 4], [4, 4]] => |[x, a]| x.solve_unit_lower(a);
    solve_unit_upper: [[3, 4], [4, 4]] => |[x, a]| x.solve_unit_upper(a);
}

#[cfg(test)]
mod tests {
    use crate::autodiff::{Owned, Tape, Tensor};

    #[test]
    fn strict_triangles_exclude_the_diagonal() {
        let tape = Tape::<f64>::default();
        let a = Tensor::from_shape_vec(vec![3, 3], (1..10).map(f64::from).collect()).unwrap();
        let a = tape.constant(a);
        let (lower, upper) = (a.strictly_lower().value(), a.strictly_upper().value());
        assert_eq!(lower.as_slice(), [0., 0., 0., 4., 0., 0., 7., 8., 0.]);
        assert_eq!(upper.as_slice(), [0., 2., 3., 0., 0., 6., 0., 0., 0.]);
    }

    /// Multiplying a solution by the matrix recovers the right-hand side.
    #[test]
    fn solution_times_matrix_is_right_hand_side() {
        for n in [1, 2, 5, 40] {
            let tape = Tape::<f64>::default();
            let of = |rows: usize, size: f64| {
                let entry = |i: ndarray::IxDyn| size * ((i[0] * i[0] + 7 * i[1] + n) as f64).sin();
                tape.constant(Owned::from_shape_fn(vec![rows, n], entry))
            };
            let (x, a) = (of(3, 1.), of(n, 0.3));
            let identity =
                tape.constant(Owned::from_shape_fn(vec![n, n], |i| f64::from(i[0] == i[1])));
            let [lower, upper] = [a.strictly_lower() + identity, a.strictly_upper() + identity];
            for (y, matrix) in [(x.solve_unit_lower(a), lower), (x.solve_unit_upper(a), upper)] {
                let size = y.value().iter().fold(1., |m: f64, y| m.max(y.abs()));
                let error = (y.matmul(matrix) - x).abs().value();
                assert!(error.iter().all(|&e| e < 1e-13 * size * n as f64), "{n}: {error}");
            }
        }
    }
}
