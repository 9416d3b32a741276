//! The operations of a tape as their documentation states them: formula, backward rule and source
//! line. They are read from the source, so that the page cannot differ from it.
use serde::Serialize;

/// The files of `autodiff/ops` by name.
const FILES: [(&str, &str); 8] = [
    ("arithmetic", include_str!("../autodiff/ops/arithmetic.rs")),
    ("elementwise", include_str!("../autodiff/ops/elementwise.rs")),
    ("linear", include_str!("../autodiff/ops/linear.rs")),
    ("loss", include_str!("../autodiff/ops/loss.rs")),
    ("reduce", include_str!("../autodiff/ops/reduce.rs")),
    ("shape", include_str!("../autodiff/ops/shape.rs")),
    ("triangular", include_str!("../autodiff/ops/triangular.rs")),
    ("root", include_str!("../autodiff/ops/root.rs")),
];

/// The documentation of an operation.
#[derive(Serialize)]
pub(super) struct Documented {
    /// The first paragraph of its documentation: the formula and the backward rule.
    about: String,
    /// The file and line of its definition.
    place: String,
}

/// The operation that a tape calls `op`; `None` for leaves and constants.
pub(super) fn documented(op: &str) -> Option<Documented> {
    let quoted = format!("\"{op}\"");
    FILES.iter().find_map(|(file, text)| {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let named = lines.iter().position(|line| line.contains(&quoted))?;
        let is_function = |line: &&str| line.starts_with("pub fn ") || line.starts_with("fn ");
        let at = lines[..=named].iter().rposition(is_function)?;
        let docs = lines[..at].iter().rposition(|line| !line.starts_with("///"))? + 1;
        let about = lines[docs..at].iter().map(|line| line.trim_start_matches("///").trim());
        let about = about.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        Some(Documented { about, place: format!("src/autodiff/ops/{file}.rs:{}", at + 1) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formula_rule_and_place_are_those_of_the_source() {
        for (op, about, file) in [
            ("add", "`a + b`; `da = dy`, `db = dy`.", "arithmetic"),
            ("div", "`a / b`, entry by entry; `da = dy / b`, `db = −y dy / b`.", "arithmetic"),
            ("exp", "`eˣ`; `dx = y dy`.", "elementwise"),
            ("sum", "`Σ x` over all entries, giving `[]`; `dx = dy`, repeated.", "reduce"),
        ] {
            let found = documented(op).unwrap();
            assert_eq!(found.about, about);
            assert!(found.place.starts_with(&format!("src/autodiff/ops/{file}.rs:")));
        }
        assert!(documented("constant").is_none());
    }
}
