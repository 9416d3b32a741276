//! bfloat16: the upper half of an `f32`, with its exponent and a significand of 8 bits.
//!
//! A number is rounded to nearest, ties to even; a subnormal one becomes 0 of its sign, and NaN
//! stays NaN. [`multiply_add`] defines how products are summed, bit for bit, on every processor: it
//! is what the instruction `vdpbf16ps` computes.
#[cfg(target_arch = "x86_64")]
use super::path::Path;
use super::path::multiversion;

/// Two bfloat16 numbers: `x₀` in the lower half, `x₁` in the upper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(pub u32);

/// `x₀` and `x₁`, rounded.
#[inline(always)]
pub fn pair([x0, x1]: [f32; 2]) -> Pair {
    Pair(rounded(x0) >> 16 | rounded(x1))
}

impl Pair {
    fn low(self) -> f32 {
        f32::from_bits(self.0 << 16)
    }

    fn high(self) -> f32 {
        f32::from_bits(self.0 & UPPER)
    }
}

const UPPER: u32 = 0xffff_0000;

/// The bits of `x` rounded to bfloat16, in the upper half.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    const SIGN: u32 = 1 << 31;
    const QUIET: u32 = 1 << 22;
    let bits = x.to_bits();
    // Adds a little less than half, and the rest if the last bit that stays is odd.
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let nearest = if x.abs() < f32::MIN_POSITIVE { bits & SIGN } else { nearest };
    (if x.is_nan() { bits | QUIET } else { nearest }) & UPPER
}

/// `s + x₀y₀ + x₁y₁`: `s ← s + x₁y₁`, then `s ← s + x₀y₀`, where each step rounds once, to nearest
/// with ties to even, and replaces a subnormal result by 0 of its sign.
#[inline(always)]
pub fn multiply_add(x: Pair, y: Pair, s: f32) -> f32 {
    let flushed = |s: f32| if s.abs() < f32::MIN_POSITIVE { 0_f32.copysign(s) } else { s };
    let s = flushed(x.high().mul_add(y.high(), s));
    flushed(x.low().mul_add(y.low(), s))
}

/// `to[p] ← (x[2p], x[2p + 1])`, the last with a 0 if there is an odd number of `x`.
///
/// # Panics
/// Unless there is a `to` for each pair.
pub fn along(x: &[f32], to: &mut [Pair]) {
    assert_eq!(to.len(), x.len().div_ceil(2), "along: lengths differ");
    #[cfg(target_arch = "x86_64")]
    if Path::current() == Path::Avx512Bf16 {
        // SAFETY: the processor has the instructions.
        #[allow(unsafe_code)]
        return unsafe { native::along(x, to) };
    }
    plain_along(x, to);
}

/// `to[j] ← (x[j], y[j])`.
///
/// # Panics
/// Unless the lengths agree.
pub fn across(x: &[f32], y: &[f32], to: &mut [Pair]) {
    assert!(x.len() == to.len() && y.len() == to.len(), "across: lengths differ");
    #[cfg(target_arch = "x86_64")]
    if Path::current() == Path::Avx512Bf16 {
        // SAFETY: the processor has the instructions.
        #[allow(unsafe_code)]
        return unsafe { native::across(x, y, to) };
    }
    plain_across(x, y, to);
}

multiversion! {
    fn plain_along[](x: &[f32], to: &mut [Pair]) {
        let (whole, rest) = x.as_chunks::<2>();
        for (to, &x) in to.iter_mut().zip(whole) {
            *to = pair(x);
        }
        if let &[x] = rest {
            to[whole.len()] = pair([x, 0.]);
        }
    }

    fn plain_across[](x: &[f32], y: &[f32], to: &mut [Pair]) {
        for ((to, &x), &y) in to.iter_mut().zip(x).zip(y) {
            *to = pair([x, y]);
        }
    }
}

/// With the processor's instructions.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod native {
    use super::Pair;
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// Elements of a vector.
    const LANES: usize = 16;

    /// The first `n` lanes.
    fn first(n: usize) -> __mmask16 {
        ((1_u32 << n.min(LANES)) - 1) as __mmask16
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn along(x: &[f32], to: &mut [Pair]) {
        for (x, to) in x.chunks(2 * LANES).zip(to.chunks_mut(LANES)) {
            // SAFETY: the masks include only elements of `x` and `to`.
            unsafe {
                let [low, high] = [0, LANES].map(|start| {
                    let at = x.as_ptr().wrapping_add(start);
                    _mm512_maskz_loadu_ps(first(x.len().saturating_sub(start)), at)
                });
                let pairs = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_mask_storeu_epi32(to.as_mut_ptr().cast(), first(to.len()), pairs);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub fn across(x: &[f32], y: &[f32], to: &mut [Pair]) {
        let order: [i16; 2 * LANES] = std::array::from_fn(|i| (i / 2 + i % 2 * LANES) as i16);
        let chunks = x.chunks(LANES).zip(y.chunks(LANES)).zip(to.chunks_mut(LANES));
        for ((x, y), to) in chunks {
            let mask = first(to.len());
            // SAFETY: the mask includes only elements of the three slices.
            unsafe {
                let order = _mm512_loadu_epi16(order.as_ptr());
                let [x, y] = [x, y].map(|x| _mm512_maskz_loadu_ps(mask, x.as_ptr()));
                let rounded = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(y, x));
                let pairs = _mm512_permutexvar_epi16(order, rounded);
                _mm512_mask_storeu_epi32(to.as_mut_ptr().cast(), mask, pairs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(x: f32) -> f32 {
        f32::from_bits(rounded(x))
    }

    /// The nearest of all bfloat16 numbers, the even one of two.
    fn nearest(x: f32) -> f32 {
        let down = x.to_bits() & UPPER;
        let of = |bits: u32| (f64::from(f32::from_bits(bits)) - f64::from(x)).abs();
        let up = down.wrapping_add(1 << 16);
        let is_even = down >> 16 & 1 == 0;
        let go_up = of(up) < of(down) || of(up) == of(down) && !is_even;
        f32::from_bits(if go_up { up } else { down })
    }

    #[test]
    fn numbers_are_rounded_to_nearest_even() {
        for i in 0..200_000_u32 {
            let x = f32::from_bits(i.wrapping_mul(2_654_435_761));
            if x.is_normal() && x.abs() < 3e38 {
                assert_eq!(round(x), nearest(x), "{x:e}");
                assert_eq!(pair([round(x), 0.]).low(), round(x));
            }
        }
        for (x, expected) in [
            (1. + 1. / 256., 1.),
            (1. + 3. / 256., 1. + 1. / 64.),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
            (0.999 * f32::MIN_POSITIVE, 0.),
        ] {
            assert_eq!(round(x), expected, "{x:e}");
        }
        assert!(round(-1e-40).is_sign_negative());
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xffc0_0000, 0xffff_ffff] {
            assert!(round(f32::from_bits(bits)).is_nan(), "{bits:x}");
        }
    }
}
