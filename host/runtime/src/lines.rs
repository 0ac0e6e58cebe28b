//! Which line of its source an instruction of a component was made from.
//!
//! Owns the table of lines as it is kept: in memory, in the compile child's
//! answer and in the cache. It is plain data; debug information is read where
//! components are compiled (`compile/lines.rs`), never here.
//!
//! **Invariant:** reading a table takes nothing on trust and allocates by its
//! limits: a child that a component took over may have written it.

/// The most rows of a table.
pub(crate) const MAX_ROWS: usize = 100_000;
/// The most files that rows name.
pub(crate) const MAX_FILES: usize = 4096;
/// The most bytes of a file's name.
pub(crate) const MAX_FILE: usize = 160;
/// The longest table, written down.
pub(crate) const MAX_TABLE: usize = HEAD + MAX_ROWS * ROW + MAX_FILES * (1 + MAX_FILE);

/// Bytes of what stands before the rows, and of a row, written down.
const HEAD: usize = 16;
const ROW: usize = 10;

/// From where on instructions were made from which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The place of the first one, in bytes of the component.
    pub(crate) at: u32,
    pub(crate) line: u32,
    /// The file's number, or [`Row::NOWHERE`].
    pub(crate) file: u16,
}

impl Row {
    /// The file of instructions that nobody wrote.
    pub(crate) const NOWHERE: u16 = u16::MAX;
}

/// The lines of one component; empty where it has no debug information.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineTable {
    modules: u32,
    left_out: u32,
    /// In the order of their places.
    rows: Box<[Row]>,
    files: Box<[Box<str>]>,
}

impl LineTable {
    /// Rows in the order of their places, and the files that they name. None if
    /// they are not that.
    pub(crate) fn new(modules: u32, left_out: u32, rows: Vec<Row>, files: Vec<Box<str>>) -> Option<Self> {
        let few = rows.len() <= MAX_ROWS && files.len() <= MAX_FILES;
        let in_order = rows.is_sorted_by(|row, next| row.at < next.at);
        let known = |row: &Row| row.file == Row::NOWHERE || usize::from(row.file) < files.len();
        let plain = |file: &str| file.len() <= MAX_FILE && !file.chars().any(char::is_control);
        let good = few && in_order && rows.iter().all(known) && files.iter().all(|file| plain(file));
        good.then(|| LineTable {
            modules,
            left_out,
            rows: rows.into(),
            files: files.into(),
        })
    }

    /// How many places are known.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many files they are in.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// How much of the debug information was left out: rows beyond what a table
    /// may have, and parts that could not be read, each as one.
    pub fn left_out(&self) -> u32 {
        self.left_out
    }

    /// How many core modules the component has. What the engine adds to them has
    /// no source.
    pub(crate) fn modules(&self) -> u32 {
        self.modules
    }

    /// File and line of the instruction at this place of the component.
    pub(crate) fn place(&self, at: usize) -> Option<(&str, u32)> {
        let at = u32::try_from(at).ok()?;
        let after = self.rows.partition_point(|row| row.at <= at);
        let row = self.rows.get(after.checked_sub(1)?)?;
        let file = self.files.get(usize::from(row.file))?;
        Some((file, row.line))
    }

    /// The table as bytes; none for an empty one.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if *self == LineTable::default() {
            return bytes;
        }
        // Both fit: there are no more than a table may have.
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let counts = [
            self.modules,
            self.left_out,
            count(self.rows.len()),
            count(self.files.len()),
        ];
        for number in counts {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for row in &self.rows {
            bytes.extend_from_slice(&row.at.to_le_bytes());
            bytes.extend_from_slice(&row.line.to_le_bytes());
            bytes.extend_from_slice(&row.file.to_le_bytes());
        }
        for file in &self.files {
            bytes.push(u8::try_from(file.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(file.as_bytes());
        }
        bytes
    }

    /// Reads what [`LineTable::encode`] wrote; none if it is anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(LineTable::default());
        }
        if bytes.len() > MAX_TABLE {
            return None;
        }
        let mut reader = Reader(bytes);
        let (modules, left_out) = (reader.u32()?, reader.u32()?);
        let (rows, files) = (reader.u32()? as usize, reader.u32()? as usize);
        if rows > MAX_ROWS || files > MAX_FILES {
            return None;
        }
        let row = |reader: &mut Reader<'_>| {
            Some(Row {
                at: reader.u32()?,
                line: reader.u32()?,
                file: u16::from_le_bytes(reader.take()?),
            })
        };
        let rows = (0..rows).map(|_| row(&mut reader)).collect::<Option<_>>()?;
        let files = (0..files).map(|_| reader.text()).collect::<Option<_>>()?;
        match reader.0.is_empty() {
            true => LineTable::new(modules, left_out, rows, files),
            false => None,
        }
    }
}

/// Bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<Box<str>> {
        let [length] = self.take()?;
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.into())
    }
}

#[cfg(test)]
mod tests;
