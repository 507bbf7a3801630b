//! What of a replica's state its future depends on: its `Debug` form without what is the same in all
//! states, what is only remembered to save work, who signed a certificate, and when now is.

use std::fmt::{self, Write as _};

use pocket_consensus::Protocol;
use pocket_sim::soup::{Fingerprint, Local};

use super::super::Node;

/// Fields that are left out. Of the tip, the disk says what matters.
const SAME: [&str; 9] =
    ["config", "tip", "electorate", "next", "parent", "leaders", "identity", "started", "schedule"];
const REMEMBERED: [&str; 14] = [
    "pace",
    "fetch",
    "wanted",
    "asked",
    "evidence",
    "late",
    "certificates",
    "recent",
    "arrival",
    "arrivals",
    "served",
    "shown",
    "helped",
    "answered",
];
const SIGNERS: [&str; 2] = ["signers", "signatures"];

pub fn write<P: Protocol>(node: &Local<Node<P>>, to: &mut Fingerprint) -> fmt::Result {
    let disk = node.disk();
    write!(to, "{:?}{:?}{:?}", disk.marks, disk.decided, disk.broken)?;
    write!(to, "{:?}", node.deadline().map(|at| at.0.wrapping_sub(node.now().0)))?;
    let Some(machine) = &node.process().machine else { return Ok(()) };
    let text = format!("{:?}", machine.replica);
    to.write_str(&without(&text, node.now().0))
}

/// The text without the values of some fields, and with times that count from now.
fn without(text: &str, now: u64) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len() / 4);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let name: usize =
            rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if name == 0 {
            out.push(bytes[at] as char);
            at += 1;
            continue;
        }
        let (word, after) = rest.split_at(name);
        at += name;
        out.push_str(word);
        let left_out = || SAME.iter().chain(&REMEMBERED).chain(&SIGNERS).any(|of| *of == word);
        if after.starts_with(": ") && left_out() {
            at += value(after);
        } else if let Some(time) = after.strip_prefix('(').filter(|_| word == "Timestamp") {
            let digits = time.bytes().take_while(u8::is_ascii_digit).count();
            // What lies in the far future is a block's own time, or never comes.
            let time: u64 = time[..digits].parse().unwrap_or(u64::MAX);
            let shown = if time < 1 << 39 { time.wrapping_sub(now) } else { time >> 39 };
            let _ = write!(out, "{shown}");
            at += 2 + digits;
        }
    }
    out
}

/// How long a field's value is, to the comma or bracket that ends it.
fn value(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return at,
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}
