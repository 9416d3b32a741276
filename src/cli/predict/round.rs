//! Rounding of printed numbers.

/// The number of digits of a standard deviation that a mean is printed to, at least.
const OF_STD: i32 = 4;
/// Digits that distinguish all doubles.
pub const ALL: usize = 17;

/// `x` rounded to `digits` significant digits.
pub fn significant(x: f64, digits: usize) -> f64 {
    if digits >= ALL || !x.is_finite() {
        return x;
    }
    format!("{x:.*e}", digits.max(1) - 1).parse().expect("a number")
}

/// The decimal place, as a power of ten, of the last digit of `x` that is printed: the last of
/// `digits` significant ones, or the fourth digit of `std` if that is finer.
pub fn place(x: f64, std: f64, digits: usize) -> i32 {
    let first = |x: f64| if x == 0. { i32::MAX / 2 } else { x.abs().log10().floor() as i32 };
    (first(x) - digits as i32 + 1).min(first(std) - OF_STD + 1)
}

/// `x` rounded to the decimal place `place`; `x` itself if all `digits` are wanted.
pub fn rounded(x: f64, place: i32, digits: usize) -> f64 {
    if digits >= ALL || x == 0. || !x.is_finite() {
        return x;
    }
    let digits = x.abs().log10().floor() as i32 - place + 1;
    match digits {
        ..0 => 0.,
        _ => significant(x, digits.max(1) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_and_more_if_their_deviation_needs_them() {
        let of = |x: f64, std: f64| rounded(x, place(x, std, 6), 6);
        assert_eq!(of(24.351_734_9, 3.2), 24.3517);
        assert_eq!(of(1_700_000_001.234_56, 1.), 1_700_000_001.235);
        assert_eq!(of(-0.000_123_456_789, 1.), -0.000_123_457);
        assert_eq!(of(0., 1.), 0.);
        assert_eq!(significant(0.123_456_789, 6), 0.123_457);
        assert_eq!(significant(f64::NAN, 6).to_bits(), f64::NAN.to_bits());
        assert_eq!(rounded(0.1 + 0.2, place(0.3, 1., 17), 17), 0.1 + 0.2);
    }
}
