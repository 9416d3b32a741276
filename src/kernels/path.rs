//! The instruction set that the kernels use, detected once: AVX-512, AVX2, or the target's
//! baseline. Where a processor multiplies bfloat16 numbers, products of these use that, too.
//!
//! Rust neither fuses `a * b + c` nor reorders sums, so loops that the compiler vectorises give
//! bitwise identical results with any instruction set. Micro-kernels use fused multiply-adds and
//! sum in vectors, in the same order with AVX-512 and AVX2.
#[cfg(test)]
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// AVX-512 F, VL, BW and BF16.
    Avx512Bf16,
    /// AVX-512 F and VL.
    Avx512,
    /// AVX2 with FMA.
    Avx2,
    /// The baseline of the compilation target.
    Portable,
}

/// All paths, fastest first.
const ALL: [Path; 4] = [Path::Avx512Bf16, Path::Avx512, Path::Avx2, Path::Portable];
/// An index into [`ALL`]; out of range until the instruction set has been detected.
static CHOSEN: AtomicU8 = AtomicU8::new(u8::MAX);

impl Path {
    /// The fastest path of this processor, or the one set by [`choose_path`].
    pub fn current() -> Self {
        #[cfg(test)]
        if let Some(path) = ON_THIS_THREAD.get() {
            return path;
        }
        match ALL.get(usize::from(CHOSEN.load(Relaxed))) {
            Some(&path) => path,
            None => Self::detect(),
        }
    }

    #[cold]
    fn detect() -> Self {
        let path = ALL.into_iter().find(|path| path.is_available());
        path.expect("every processor is portable").choose()
    }

    fn choose(self) -> Self {
        CHOSEN.store(self as u8, Relaxed);
        self
    }

    /// Whether this processor has the instruction set.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Avx512Bf16 => {
                is_x86_feature_detected!("avx512bf16")
                    && is_x86_feature_detected!("avx512bw")
                    && Self::Avx512.is_available()
            }
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && Self::Avx2.is_available()
            }
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Portable => true,
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Portable;
    }

    fn name(self) -> &'static str {
        match self {
            Self::Avx512Bf16 | Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }
}

/// The instruction set that the kernels use on this machine: `"avx512"`, `"avx2"` or `"portable"`.
/// The first two give bitwise identical results.
pub fn path() -> &'static str {
    Path::current().name()
}

/// Whether this processor has an instruction for products of bfloat16 numbers, in use by products
/// in that precision. Without it they have the same bits, and are slower than those of `f32`.
pub fn multiplies_bf16() -> bool {
    Path::current() == Path::Avx512Bf16
}

/// Sets the instruction set of the whole process, for tests that compare paths. Returns `false` if
/// the name is unknown or the processor does not have the instruction set.
#[doc(hidden)]
pub fn choose_path(name: &str) -> bool {
    let found = ALL.into_iter().find(|path| path.name() == name && path.is_available());
    found.map(Path::choose).is_some()
}

/// Function multiversioning: compiles each function for AVX-512, for AVX2 and for the baseline. A
/// call runs the version for [`Path::current`]. Type parameters are written in square brackets, and
/// no argument may be a pattern.
macro_rules! multiversion {
    ($($(#[$meta:meta])*
    $vis:vis fn $name:ident[$($generics:tt)*]($($arg:ident: $t:ty),* $(,)?) $(-> $out:ty)?
        $body:block)*) => {$(
        $(#[$meta])*
        #[allow(unsafe_code)]
        $vis fn $name<$($generics)*>($($arg: $t),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,fma")]
            fn avx512<$($generics)*>($($arg: $t),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$($generics)*>($($arg: $t),*) $(-> $out)? $body

            #[inline(always)]
            fn portable<$($generics)*>($($arg: $t),*) $(-> $out)? $body

            use $crate::kernels::path::Path;
            match Path::current() {
                // SAFETY: a path is chosen only if the processor has its instruction set.
                #[cfg(target_arch = "x86_64")]
                Path::Avx512Bf16 | Path::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => unsafe { avx2($($arg),*) },
                _ => portable($($arg),*),
            }
        }
    )*};
}
pub(super) use multiversion;

#[cfg(test)]
thread_local!(static ON_THIS_THREAD: Cell<Option<Path>> = const { Cell::new(None) });

#[cfg(test)]
impl Path {
    /// The results of `f`, called once for each path that this processor has, with that path in use
    /// on this thread alone.
    pub fn each<R>(f: impl Fn(Self) -> R) -> Vec<R> {
        let run = |path| {
            ON_THIS_THREAD.set(Some(path));
            f(path)
        };
        let found = ALL.into_iter().filter(|path| path.is_available()).map(run).collect();
        ON_THIS_THREAD.set(None);
        found
    }
}
