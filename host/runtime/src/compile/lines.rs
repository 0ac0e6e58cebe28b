//! The lines of a component's source, from the debug information in it.
//!
//! Owns the reading of `.debug_line`, where components are compiled: in the
//! child, within its limits. Nothing here fails. What cannot be read, or is too
//! much, is left out and counted; a component without lines loads all the same.
//!
//! **Invariant:** work and memory are linear in the bytes that are read, with
//! small factors, and these bytes have a limit of their own: no debug
//! information has a component run into the limits of compiling.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::catch_unwind;

use gimli::{AttributeValue, DebugLine, DebugLineOffset, EndianSlice, LineProgramHeader, LittleEndian};
use wasmparser::{Encoding, Parser, Payload};

use crate::lines::{LineTable, MAX_FILE, MAX_FILES, MAX_ROWS, Row};

/// Bytes of `.debug_line` that are read, of all modules of a component: they
/// may take some twenty times as much memory.
const MAX_SECTIONS: usize = 8 << 20;
/// The longest list of files of one unit of it, in bytes: an entry of it takes
/// up to a hundred times as much memory.
const MAX_HEADER: u32 = 256 << 10;
/// How often a row's file is looked up, and the longest name that is looked at:
/// names are read where others have been read, so that few bytes could stand
/// for endless ones.
const MAX_LOOKUPS: usize = 64 << 10;
const MAX_NAME: usize = 1024;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;
type Header<'a> = LineProgramHeader<Bytes<'a>, usize>;

/// Reads the lines of a component that compiles.
pub(super) fn lines(component: &[u8]) -> LineTable {
    // A defect of the reader costs the lines, not the component.
    catch_unwind(|| read(component)).unwrap_or_default()
}

/// A core module, as far as its lines go.
#[derive(Default)]
struct Module<'a> {
    code: Range<usize>,
    lines: &'a [u8],
    line_texts: &'a [u8],
    texts: &'a [u8],
}

fn read(component: &[u8]) -> LineTable {
    let mut found = Found::default();
    // Of modules and components that are open; none for a component.
    let mut open: Vec<Option<Module<'_>>> = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        // It was compiled: all of it can be read.
        let Ok(payload) = payload else { break };
        match payload {
            Payload::Version { encoding, .. } => {
                open.push((encoding == Encoding::Module).then(Module::default));
            }
            Payload::End(_) => {
                if let Some(Some(module)) = open.pop() {
                    found.module(&module);
                }
            }
            Payload::CodeSectionStart { range, .. } => {
                if let Some(Some(module)) = open.last_mut() {
                    module.code = range;
                }
            }
            Payload::CustomSection(section) => {
                if let Some(Some(module)) = open.last_mut() {
                    match section.name() {
                        ".debug_line" => module.lines = section.data(),
                        ".debug_line_str" => module.line_texts = section.data(),
                        ".debug_str" => module.texts = section.data(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    found.table()
}

/// What was found so far.
#[derive(Default)]
struct Found {
    modules: u32,
    rows: Vec<Row>,
    files: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u16>,
    bytes: usize,
    lookups: usize,
    left_out: u32,
}

impl Found {
    fn leave_out(&mut self, rows: usize) {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.left_out = self.left_out.saturating_add(rows);
    }

    fn module(&mut self, module: &Module<'_>) {
        self.modules = self.modules.saturating_add(1);
        self.bytes = self.bytes.saturating_add(module.lines.len());
        if self.bytes > MAX_SECTIONS {
            return self.leave_out(1);
        }
        let mut rest = module.lines;
        while !rest.is_empty() {
            // What follows one whose end is not known cannot be found.
            let Some((unit, after)) = split_unit(rest) else {
                return self.leave_out(1);
            };
            if self.unit(module, unit).is_none() {
                self.leave_out(1);
            }
            rest = after;
        }
    }

    /// Reads one unit; none if it broke off.
    fn unit(&mut self, module: &Module<'_>, unit: &[u8]) -> Option<()> {
        if header_length(unit)? > MAX_HEADER {
            return None;
        }
        let section = DebugLine::new(unit, LittleEndian);
        let program = section.program(DebugLineOffset(0), 4, None, None).ok()?;
        let mut rows = program.rows();
        let mut known: HashMap<u64, u16> = HashMap::new();
        let mut sequence = Vec::new();
        while let Some((header, row)) = rows.next_row().ok()? {
            let at = row.address();
            if row.end_sequence() {
                let end = Row {
                    at: u32::try_from(at).unwrap_or(u32::MAX),
                    line: 0,
                    file: Row::NOWHERE,
                };
                self.sequence(module, &mut sequence, end);
                continue;
            }
            let (Ok(at), Some(line)) = (u32::try_from(at), row.line()) else {
                push(
                    &mut sequence,
                    u32::try_from(at).unwrap_or(u32::MAX),
                    0,
                    Row::NOWHERE,
                );
                continue;
            };
            let index = row.file_index();
            let file = match known.get(&index) {
                Some(file) => *file,
                None => {
                    let file = self.file(module, header, index);
                    known.insert(index, file);
                    file
                }
            };
            push(
                &mut sequence,
                at,
                u32::try_from(line.get()).unwrap_or(u32::MAX),
                file,
            );
        }
        self.leave_out(sequence.len());
        Some(())
    }

    /// Keeps the rows of a piece of code, and empties them.
    fn sequence(&mut self, module: &Module<'_>, rows: &mut Vec<Row>, end: Row) {
        let first = rows.first().map_or(0, |row| row.at);
        // The linker lets what it has thrown away begin at nothing, or beyond all.
        let used = first > 0 && end.at as usize <= module.code.len();
        if used && self.rows.len() + rows.len() < MAX_ROWS {
            for row in rows.iter().chain([&end]) {
                match module.code.start.checked_add(row.at as usize).map(u32::try_from) {
                    Some(Ok(at)) => self.rows.push(Row { at, ..*row }),
                    _ => self.leave_out(1),
                }
            }
        } else if used {
            self.leave_out(rows.len());
        }
        rows.clear();
    }

    /// The number of a file by its number in the unit.
    fn file(&mut self, module: &Module<'_>, header: &Header<'_>, index: u64) -> u16 {
        self.lookups = self.lookups.saturating_add(1);
        if self.lookups > MAX_LOOKUPS {
            self.leave_out(1);
            return Row::NOWHERE;
        }
        let Some(name) = name(module, header, index) else {
            self.leave_out(1);
            return Row::NOWHERE;
        };
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        match u16::try_from(self.files.len()) {
            Ok(number) if self.files.len() < MAX_FILES => {
                self.files.push(name.clone());
                self.numbers.insert(name, number);
                number
            }
            _ => {
                self.leave_out(1);
                Row::NOWHERE
            }
        }
    }

    fn table(self) -> LineTable {
        let mut rows = self.rows;
        if rows.is_empty() && self.left_out == 0 {
            return LineTable::default();
        }
        // Where one piece ends and the next begins, the beginning counts.
        rows.sort_by_key(|row| (row.at, row.file != Row::NOWHERE));
        let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
        for row in rows {
            match kept.last_mut() {
                Some(last) if last.at == row.at => *last = row,
                _ => kept.push(row),
            }
        }
        LineTable::new(self.modules, self.left_out, kept, self.files).unwrap_or_default()
    }
}

/// Puts a row behind those of the same piece of code, if it says anything new.
fn push(rows: &mut Vec<Row>, at: u32, line: u32, file: u16) {
    let row = Row { at, line, file };
    match rows.last_mut() {
        Some(last) if last.at == at => *last = row,
        Some(last) if (last.line, last.file) == (line, file) => {}
        _ => rows.push(row),
    }
}

/// The first unit and what follows it; none where its length makes no sense, or
/// is of the form that is for gigabytes of debug information.
fn split_unit(section: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(*section.first_chunk::<4>()?);
    section.split_at_checked((length as usize).checked_add(4)?)
}

/// How long the lists of folders and files are.
fn header_length(unit: &[u8]) -> Option<u32> {
    let version = u16::from_le_bytes(*unit.get(4..)?.first_chunk::<2>()?);
    // From the fifth version on, two sizes stand before it.
    let at = if version >= 5 { 8 } else { 6 };
    Some(u32::from_le_bytes(*unit.get(at..)?.first_chunk::<4>()?))
}

/// What a file is called, below the folder in which it was compiled.
fn name(module: &Module<'_>, header: &Header<'_>, index: u64) -> Option<Box<str>> {
    let entry = header.file(index)?;
    let file = text(module, entry.path_name())?;
    // Folder 0 is the one in which the compiler ran: nobody else has it.
    let folder = match entry.directory_index() {
        0 => &[][..],
        number => text(module, header.directory(number)?)?,
    };
    let mut path = String::new();
    if !folder.is_empty() && !file.starts_with(b"/") {
        path.push_str(&String::from_utf8_lossy(folder));
        path.push('/');
    }
    path.push_str(&String::from_utf8_lossy(file));
    let path: String = path
        .chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect();
    if path.len() <= MAX_FILE {
        return Some(path.into());
    }
    // The end of a path says more than its beginning.
    const CUT: char = '…';
    let from = path.ceil_char_boundary(path.len().saturating_sub(MAX_FILE - CUT.len_utf8()));
    Some(format!("{CUT}{}", path.get(from..)?).into())
}

/// The bytes of a name.
fn text<'a>(module: &Module<'a>, value: AttributeValue<Bytes<'a>, usize>) -> Option<&'a [u8]> {
    let section = |texts: &'a [u8], at: usize| {
        let from = texts.get(at..)?;
        let looked_at = from.get(..MAX_NAME).unwrap_or(from);
        let end = looked_at.iter().position(|byte| *byte == 0)?;
        looked_at.get(..end)
    };
    match value {
        AttributeValue::String(text) => Some(text.slice()).filter(|text| text.len() <= MAX_NAME),
        AttributeValue::DebugLineStrRef(at) => section(module.line_texts, at.0),
        AttributeValue::DebugStrRef(at) => section(module.texts, at.0),
        _ => None,
    }
}
