//! Bytes as a script: each line is a verb and its arguments.

/// What is left of a script. Reading beyond its end ends it.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// One byte as a choice among `count`.
    pub(crate) fn pick(&mut self, count: usize) -> Option<usize> {
        usize::from(self.byte()?).checked_rem(count)
    }

    /// A chosen item, or none of them.
    pub(crate) fn maybe<'t, T>(&mut self, items: &'t [T]) -> Option<Option<&'t T>> {
        self.pick(items.len() + 1).map(|choice| items.get(choice))
    }

    /// Bytes with their length in front, two bytes little-endian; all that is left if that is less.
    pub(crate) fn chunk(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_le_bytes([self.byte()?, self.byte()?]);
        let (chunk, rest) = self.0.split_at(usize::from(length).min(self.0.len()));
        self.0 = rest;
        Some(chunk)
    }

    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }
}
