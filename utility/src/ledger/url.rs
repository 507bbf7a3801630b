//! The shape of a service URL.

/// Checks for `http(s)://host:port`, the host with a dot, as Pocket's Go implementation asks; says
/// what is wrong.
pub(crate) fn check(url: &str) -> Result<(), &'static str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or("it must begin with http:// or https://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').ok_or("it must name a port")?;
    if !host.contains('.') {
        return Err("the host must contain a dot");
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if !host.chars().all(legal) {
        return Err("the host may contain letters, digits, dots and hyphens only");
    }
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the port must be a number");
    }
    port.parse::<u16>().map(|_| ()).map_err(|_| "the port must be at most 65535")
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_service_url_has_a_scheme_a_dotted_host_and_a_port() {
        for good in ["http://127.0.0.1:8080", "https://a.example:0/path", "http://a.b:65535?x=1"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a.example:80",
            "ftp://a.example:80",
            "http://a.example",
            "http://localhost:80",
            "http://a.example:",
            "http://a.example:65536",
            "http://a.example:8o",
            "http://a b.c:80",
            "http://user@a.example:80",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
