//! Patterns of the names of parameters that are held fixed in training.
use super::schema::Train;
use crate::error::{Error, Result, list};

impl Train {
    /// Whether a pattern of `freeze` matches the parameter `name`.
    pub fn freezes(&self, name: &str) -> bool {
        self.freeze.iter().any(|pattern| matches(pattern, name))
    }

    /// Check `freeze` against the names of all parameters.
    ///
    /// # Errors
    /// If a pattern matches no name, or every name is matched.
    pub(super) fn check_freeze<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let names: Vec<_> = names.collect();
        let is_unused = |pattern: &&String| !names.iter().any(|name| matches(pattern, name));
        if let Some(pattern) = self.freeze.iter().find(is_unused) {
            let expected = format!("a pattern of one of the parameters {}", list(&names));
            let advice = "Correct it; `*` stands for any characters.";
            return Err(Error::invalid("train.freeze", format!("`{pattern}`"), expected, advice));
        }
        if !self.freeze.is_empty() && names.iter().all(|name| self.freezes(name)) {
            let found = format!("all parameters: {}", list(&names));
            let advice = "Remove a pattern.";
            return Err(Error::invalid("train.freeze", found, "one that is left to train", advice));
        }
        Ok(())
    }
}

/// Whether `name` matches `pattern`, in which each `*` stands for any characters, or none.
fn matches(pattern: &str, name: &str) -> bool {
    let (first, rest) = pattern.split_once('*').unwrap_or((pattern, ""));
    let Some(mut name) = name.strip_prefix(first) else { return false };
    if first.len() == pattern.len() {
        return name.is_empty();
    }
    // The first occurrence of each part leaves the most for the parts after it.
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_characters() {
        for (pattern, name, expected) in [
            ("primary.*", "primary.0.v", true),
            ("primary.*", "primary.", true),
            ("primary.*", "my.primary.0.v", false),
            ("*", "primary.0.v", true),
            ("*.v", "primary.0.v", true),
            ("*.v", "primary.0.v.b", false),
            ("primary.*.v", "primary.0.v", true),
            ("primary.*.v", "primary.v", false),
            ("*a*ab", "aab", true),
            ("*ab*ab", "ab", false),
            ("a*a", "a", false),
            ("**", "", true),
            ("primary.0.v", "primary.0.v", true),
            ("primary.0", "primary.0.v", false),
            ("", "", true),
            ("", "primary.0.v", false),
            ("é*è", "éèè", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
