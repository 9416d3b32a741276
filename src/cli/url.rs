//! URLs in messages.

/// Whether `text` is the address of a server, and not a path.
pub fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| scheme == "http" || scheme == "https")
}

/// `text` without the names and passwords of URLs in it: `https://user:password@host` becomes
/// `https://host`.
pub fn without_password(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find(char::is_whitespace);
        let (url, others) = after.split_at(end.unwrap_or(after.len()));
        let (authority, path) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        // A password may contain a slash, although it should be written %2F.
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        let is_cut = !authority.contains('@') && port.contains(|c: char| !c.is_ascii_digit());
        let host = match authority.rsplit_once('@') {
            Some((_, host)) => format!("{host}{path}"),
            None if is_cut => url.rsplit_once('@').map_or(url, |(_, host)| host).into(),
            None => url.into(),
        };
        shown += &format!("{before}://{host}");
        rest = others;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_cut() {
        for (text, expected) in [
            ("https://host/a@b", "https://host/a@b"),
            ("https://me:pass@host/a@b", "https://host/a@b"),
            ("https://me@host", "https://host"),
            ("https://me:p@ss@host:80/x", "https://host:80/x"),
            ("https://me:pa/ss@host/x", "https://host/x"),
            ("https://host:80/a@b", "https://host:80/a@b"),
            (
                "bad uri: http://a:b@c d, `https://e:f@g`: no",
                "bad uri: http://c d, `https://g`: no",
            ),
            ("https://me:s'e\"c<r`et@host/x: refused", "https://host/x: refused"),
            ("no address", "no address"),
        ] {
            assert_eq!(without_password(text), expected);
        }
    }
}
