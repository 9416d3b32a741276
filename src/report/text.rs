//! Numbers as text.
use crate::stats::LARGE;

/// A fraction as a percentage.
pub(super) fn percent(share: f64) -> f64 {
    100.0 * share
}

/// `x` with four decimals, as in `0.7213`. Numbers below 0.1 or from 10⁷ on have four significant
/// digits: `0.001234`, `1.235e-7`, `1.700e9`.
pub fn number(x: f64) -> String {
    match x.abs() {
        0. => "0".into(),
        a if (0.1..LARGE).contains(&a) => format!("{x:.4}"),
        a if (1e-4..0.1).contains(&a) => {
            let decimals = 3 - a.log10().floor() as i32;
            format!("{x:.*}", decimals as usize)
        }
        _ => format!("{x:.3e}"),
    }
}

/// `v` rounded to a whole number, with a separator between thousands: `−12,345`.
pub(super) fn grouped(v: f64) -> String {
    let digits = format!("{:.0}", v.abs());
    let mut out = String::from(if v < 0.0 && digits != "0" { "−" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A duration as `12.3 s`, `4 min 5 s` or `2 h 3 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_formatted() {
        let found = [0.4, -0.4, 999.0, 1000.0, -1_234_567.0].map(grouped);
        assert_eq!(found, ["0", "0", "999", "1,000", "−1,234,567"]);
        let found = [0., -0.72134, 1234.56789, 0.00123449, 1.23456e-7, 3.4e-47, 1.7e9].map(number);
        let expected =
            ["0", "-0.7213", "1234.5679", "0.001234", "1.235e-7", "3.400e-47", "1.700e9"];
        assert_eq!(found, expected);
        assert_eq!(
            [59.4, 59.9, 3599.0, 3660.0].map(duration),
            ["59.4 s", "1 min 0 s", "59 min 59 s", "1 h 1 min"]
        );
    }
}
