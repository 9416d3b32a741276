//! The Cholesky factorisation, in double precision.
use ndarray::{Array1, Array2, ArrayView1, s};

/// The lower triangular `L` with `A = L Lᵀ`, for a symmetric `A [D, D]`; `None` if `A` is not
/// positive definite.
///
/// ```
/// use bhn::kernels::cholesky::cholesky;
/// use ndarray::array;
/// assert_eq!(cholesky(&array![[4., 2.], [2., 10.]]), Some(array![[2., 0.], [1., 3.]]));
/// assert_eq!(cholesky(&array![[1., 2.], [2., 1.]]), None);
/// ```
pub fn cholesky(a: &Array2<f64>) -> Option<Array2<f64>> {
    let mut l = Array2::<f64>::zeros(a.raw_dim());
    for i in 0..a.nrows() {
        for j in 0..=i {
            let known: f64 = l.row(i).iter().zip(l.row(j)).take(j).map(|(a, b)| a * b).sum();
            let rest = a[[i, j]] - known;
            l[[i, j]] = match i == j {
                true if rest > 0. && rest.is_finite() => rest.sqrt(),
                true => return None,
                false => rest / l[[j, j]],
            };
        }
    }
    Some(l)
}

/// `L⁻¹ b` by substitution, for a lower triangular `L`.
pub fn solve_lower(l: &Array2<f64>, b: ArrayView1<'_, f64>) -> Array1<f64> {
    let mut x = Array1::zeros(b.len());
    for i in 0..b.len() {
        let known: f64 = l.row(i).iter().zip(&x).take(i).map(|(l, x)| l * x).sum();
        x[i] = (b[i] - known) / l[[i, i]];
    }
    x
}

/// `L⁻¹` for a lower triangular `L`.
pub fn inverse_lower(l: &Array2<f64>) -> Array2<f64> {
    let mut inverse = Array2::zeros(l.raw_dim());
    for (i, mut column) in inverse.columns_mut().into_iter().enumerate() {
        let unit = Array1::from_shape_fn(l.nrows(), |j| f64::from(u8::from(i == j)));
        column.assign(&solve_lower(l, unit.view()));
    }
    inverse
}

/// The lower triangular `L` with `A⁻¹ = L Lᵀ`; `None` if `A` is not positive definite.
///
/// `A` with its rows and columns in reverse order is `J A J = G Gᵀ`. Then
/// `A⁻¹ = (J G⁻ᵀ J)(J G⁻ᵀ J)ᵀ`, and `J G⁻ᵀ J` is lower triangular.
pub fn cholesky_of_inverse(a: &Array2<f64>) -> Option<Array2<f64>> {
    let reversed = a.slice(s![..;-1, ..;-1]).to_owned();
    let inverse = inverse_lower(&cholesky(&reversed)?);
    Some(inverse.t().slice(s![..;-1, ..;-1]).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factor_of_inverse_is_lower_and_inverts() {
        for d in [1, 2, 5, 20] {
            let entry = |(i, j): (usize, usize)| ((i * i + 7 * j + d) as f64).sin();
            let x = Array2::from_shape_fn((2 * d, d), entry);
            let a = x.t().dot(&x) + Array2::<f64>::eye(d);
            let l = cholesky_of_inverse(&a).unwrap();
            assert!(l.indexed_iter().all(|((i, j), &l)| (i < j) == (l == 0.)), "{l}");
            // The eigenvalues of A are between 1 and its trace, at most 1 + 2D².
            let error = (a.dot(&l.dot(&l.t())) - Array2::<f64>::eye(d)).mapv(f64::abs);
            assert!(error.iter().all(|&e| e < 1e-14 * (d * d + 1) as f64), "{error}");
        }
        assert!(cholesky_of_inverse(&Array2::from_elem((2, 2), f64::NAN)).is_none());
    }
}
