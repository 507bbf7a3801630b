//! Whether a payload is what its kind says: cheap, bounded, and without understanding it.

use pocket_types::relay::PayloadKind;

/// Judges payloads by kind before anything else is done with them. Bring your own to be stricter.
pub trait PayloadCheck {
    /// Says what is wrong with a payload.
    ///
    /// # Errors
    ///
    /// The reason, for the sender.
    fn check(&self, kind: PayloadKind, payload: &[u8]) -> Result<(), &'static str>;
}

/// JSON-RPC must be an object with `"jsonrpc": "2.0"` and a `"method"` that is a string, or a
/// non-empty batch (array) of such objects; REST and raw bytes may be anything but empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StandardPayloads;

impl PayloadCheck for StandardPayloads {
    fn check(&self, kind: PayloadKind, payload: &[u8]) -> Result<(), &'static str> {
        match kind {
            PayloadKind::JsonRpc => json_rpc(payload),
            _ if payload.is_empty() => Err("it is empty"),
            _ => Ok(()),
        }
    }
}

/// Deeper JSON is refused before it can exhaust a stack.
const MAX_DEPTH: usize = 64;

fn json_rpc(payload: &[u8]) -> Result<(), &'static str> {
    let text = core::str::from_utf8(payload).map_err(|_| "JSON must be UTF-8")?;
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.space();
    if scanner.peek() == Some(b'[') {
        scanner.at += 1;
        scanner.items(b']', |scanner| scanner.call())?;
    } else {
        scanner.call()?;
    }
    scanner.space();
    if scanner.peek().is_some() { Err("something follows the JSON value") } else { Ok(()) }
}

/// A JSON reader that keeps nothing.
struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Scanner<'b> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), &'static str> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err("it is not well-formed JSON")
        }
    }

    /// Elements separated by commas up to `end`; at least one.
    fn items(
        &mut self,
        end: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        loop {
            item(self)?;
            self.space();
            if self.peek() == Some(end) {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// One call: an object with the two members that every JSON-RPC 2.0 request has.
    fn call(&mut self) -> Result<(), &'static str> {
        self.space();
        if self.peek() != Some(b'{') {
            return Err("a JSON-RPC request is an object");
        }
        self.at += 1;
        let (mut version, mut method) = (false, false);
        self.space();
        if self.peek() == Some(b'}') {
            return Err("a JSON-RPC request needs \"jsonrpc\": \"2.0\"");
        }
        self.items(b'}', |scanner| {
            let name = scanner.string()?;
            scanner.expect(b':')?;
            scanner.space();
            match name {
                b"jsonrpc" => version = scanner.peek() == Some(b'"') && scanner.string()? == b"2.0",
                b"method" if scanner.peek() == Some(b'"') => method = !scanner.string()?.is_empty(),
                _ => scanner.value(0)?,
            }
            Ok(())
        })?;
        match (version, method) {
            (false, _) => Err("a JSON-RPC request needs \"jsonrpc\": \"2.0\""),
            (_, false) => Err("a JSON-RPC request needs a \"method\""),
            _ => Ok(()),
        }
    }

    /// The raw bytes between two quotes.
    fn string(&mut self) -> Result<&'b [u8], &'static str> {
        self.expect(b'"')?;
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(&self.bytes[start..self.at - 1]);
                }
                b'\\' => self.at += 2,
                0..=0x1f => return Err("it is not well-formed JSON"),
                _ => self.at += 1,
            }
        }
        Err("it is not well-formed JSON")
    }

    fn value(&mut self, depth: usize) -> Result<(), &'static str> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply");
        }
        self.space();
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(open @ (b'{' | b'[')) => {
                self.at += 1;
                let end = if open == b'{' { b'}' } else { b']' };
                self.space();
                if self.peek() == Some(end) {
                    self.at += 1;
                    return Ok(());
                }
                self.items(end, |scanner| {
                    if open == b'{' {
                        scanner.string()?;
                        scanner.expect(b':')?;
                    }
                    scanner.value(depth + 1)
                })
            }
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => self.scalar(),
            _ => Err("it is not well-formed JSON"),
        }
    }

    /// A number, true, false or null.
    fn scalar(&mut self) -> Result<(), &'static str> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E')) {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        let number = |word: &[u8]| {
            matches!(word.first(), Some(b'-' | b'0'..=b'9'))
                && word.last().is_some_and(u8::is_ascii_digit)
                && word.iter().all(|b| b.is_ascii_digit() || b"+-.eE".contains(b))
        };
        if matches!(word, b"true" | b"false" | b"null") || number(word) {
            Ok(())
        } else {
            Err("it is not well-formed JSON")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<(), &'static str> {
        StandardPayloads.check(PayloadKind::JsonRpc, text.as_bytes())
    }

    #[test]
    fn json_rpc_requests_need_a_version_and_a_method() {
        for good in [
            r#"{"jsonrpc":"2.0","method":"height","id":1}"#,
            r#" { "id" : null, "params" : [ {"a":[]}, -1.5e3, true, "x\"}" ], "method" : "m", "jsonrpc" : "2.0" } "#,
            r#"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]"#,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "{}",
            "[]",
            "1",
            r#"{"jsonrpc":"2.0"}"#,
            r#"{"method":"m"}"#,
            r#"{"jsonrpc":"1.0","method":"m"}"#,
            r#"{"jsonrpc":2.0,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","method":1}"#,
            r#"{"jsonrpc":"2.0","method":""}"#,
            r#"{"jsonrpc":"2.0","method":"m"} x"#,
            r#"{"jsonrpc":"2.0","method":"m""#,
            r#"{"jsonrpc":"2.0","method":"m","params":[1,]}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":nul}"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let deep = alloc::format!(
            r#"{{"jsonrpc":"2.0","method":"m","params":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(check(&deep), Err("it is nested too deeply"));
    }

    proptest! {
        #[test]
        fn what_passes_is_json_and_nothing_panics(bytes in prop::collection::vec(
            prop::sample::select(br#"{}[]":,\ 10.-etrufalsn"jsonrpc""2.0""method""#.to_vec()), 0..60)) {
            let head = br#"{"jsonrpc":"2.0","method":"m","params":"#;
            let payload = [&head[..], &bytes[..], b"}"].concat();
            let _ = StandardPayloads.check(PayloadKind::JsonRpc, &bytes);
            let ours = StandardPayloads.check(PayloadKind::JsonRpc, &payload).is_ok();
            let theirs = serde_json::from_slice::<serde_json::Value>(&payload).is_ok();
            // Numbers and escapes are looked at less closely; structure is not.
            prop_assert!(ours || !theirs || payload.windows(7).filter(|w| w == b"jsonrpc").count() > 1
                || payload.windows(6).filter(|w| w == b"method").count() > 1);
        }
    }
}
