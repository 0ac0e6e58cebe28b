//! Debug information, written by hand: as much of `.debug_line`, in its fourth
//! and fifth version, as tests of lines need.

use std::fmt::Write as _;

/// A row of a piece of code: its place, the number of its file (from one), and
/// its line.
pub type Row = (u32, u8, u32);

/// One unit: folders, files with the number of their folder (nought for where
/// the compiler ran), and the programs of its pieces of code.
pub fn unit(folders: &[&str], files: &[(&str, u8)], program: &[u8]) -> Vec<u8> {
    let mut lists = MACHINE.to_vec();
    for folder in folders {
        lists.extend_from_slice(folder.as_bytes());
        lists.push(0);
    }
    lists.push(0);
    for (file, folder) in files {
        lists.extend_from_slice(file.as_bytes());
        lists.extend_from_slice(&[0, *folder, 0, 0]);
    }
    lists.push(0);
    whole(&[4, 0], &lists, program)
}

/// The same in the fifth version, with names by their places in
/// `.debug_line_str`. The first folder is where the compiler ran, and files are
/// counted from nought.
pub fn unit_5(folders: &[u32], files: &[(u32, u8)], program: &[u8]) -> Vec<u8> {
    const PATH: [u8; 2] = [1, 0x1f];
    const FOLDER: [u8; 2] = [2, 0x0b];
    let count = |length: usize| u8::try_from(length).expect("a short list");
    let mut lists = MACHINE.to_vec();
    lists.push(1);
    lists.extend_from_slice(&PATH);
    lists.push(count(folders.len()));
    for folder in folders {
        lists.extend_from_slice(&folder.to_le_bytes());
    }
    lists.push(2);
    lists.extend_from_slice(&PATH);
    lists.extend_from_slice(&FOLDER);
    lists.push(count(files.len()));
    for (file, folder) in files {
        lists.extend_from_slice(&file.to_le_bytes());
        lists.push(*folder);
    }
    whole(&[5, 0, 4, 0], &lists, program)
}

/// How programs are to be read: every instruction is one byte; opcodes from 13
/// on are not used.
const MACHINE: [u8; 18] = [1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];

fn whole(version: &[u8], lists: &[u8], program: &[u8]) -> Vec<u8> {
    let rest = [version, &length(lists), lists, program].concat();
    [&length(&rest)[..], &rest].concat()
}

/// The program of one piece of code, which ends before `end`.
pub fn piece(rows: &[Row], end: u32) -> Vec<u8> {
    let mut program = Vec::new();
    let mut now = (rows.first().map_or(end, |row| row.0), 1);
    program.extend_from_slice(&[0, 5, 2]);
    program.extend_from_slice(&now.0.to_le_bytes());
    for (at, file, line) in rows {
        advance(&mut program, at - now.0);
        program.extend_from_slice(&[4, *file, 3]);
        signed(&mut program, i64::from(*line) - i64::from(now.1));
        program.push(1);
        now = (*at, *line);
    }
    advance(&mut program, end - now.0);
    program.extend_from_slice(&[0, 1, 1]);
    program
}

/// A component whose export `fail` calls a function that traps. Of its code,
/// the bytes from 2 to 5 are that function's, and those from 6 to 10 the other
/// one's.
pub fn failing(lines: &[u8]) -> Vec<u8> {
    failing_with(&[(".debug_line", lines)])
}

/// The same with these sections.
pub fn failing_with(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let custom = |(name, bytes): &(&str, &[u8])| format!("(@custom \"{name}\" \"{}\")", escaped(bytes));
    let sections: String = sections.iter().map(custom).collect();
    super::guests::assemble(&format!(
        r#"(component
            (core module $m
              (func $trap unreachable)
              (func $fail (export "fail") call $trap)
              {sections})
            (core instance $i (instantiate $m))
            (func (export "fail") (canon lift (core func $i "fail"))))"#
    ))
}

/// Bytes as the text of a component has them.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").expect("a string takes everything");
        text
    })
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a short list").to_le_bytes()
}

fn advance(program: &mut Vec<u8>, by: u32) {
    program.push(2);
    let mut left = by;
    while left >= 0x80 {
        program.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    program.push(left as u8);
}

fn signed(program: &mut Vec<u8>, by: i64) {
    let mut left = by;
    while !(-0x40..0x40).contains(&left) {
        program.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    program.push((left & 0x7f) as u8);
}
