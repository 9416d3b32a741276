//! Parsing and printing of layers.
use super::Layer;
use crate::error::Error;
use crate::kernels::conv::Window;
use std::fmt;
use std::str::FromStr;

const EXPECTED: &str = "`dense N`, `conv N HxW` (`stride N`, `pad N`), `pool N` or `avg-pool N` \
    (`stride N`), `global-pool`, `flatten`, `relu`, `tanh`, `dropout P` or `channel-dropout P`, \
    with N at least 1 (for windows at most 65536, for `pad` also 0) and 0 <= P < 1";

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
            Error::invalid("primary.layers", format!("`{text}`"), EXPECTED, "Correct that layer.")
        })
    }
}

/// Parses `3x2`, or `3`, which is `3x3`. Each number must be from `least` to 65536.
fn pair(text: &str, least: usize) -> Option<[usize; 2]> {
    let (a, b) = text.split_once('x').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|&n| n >= least && n <= 1 << 16);
    Some([number(a)?, number(b)?])
}

/// Applies the options in `words`, such as `stride 2`, to `window`. `None` if an option is not in
/// `allowed`, is repeated, or has no valid value.
fn window(mut window: Window, words: &[&str], allowed: &[&str]) -> Option<Window> {
    let mut seen = vec![];
    for option in words.chunks(2) {
        let &[word, value] = option else { return None };
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
    fn layers_round_trip_through_text() {
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
}
