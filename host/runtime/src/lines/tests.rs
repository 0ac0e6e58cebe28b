//! What the table says of a place, and what is taken for a table.

use super::*;

fn row(at: u32, line: u32, file: u16) -> Row {
    Row { at, line, file }
}

fn table() -> LineTable {
    let rows = vec![
        row(10, 3, 0),
        row(14, 8, 1),
        row(20, 0, Row::NOWHERE),
        row(30, 9, 1),
    ];
    LineTable::new(2, 7, rows, vec!["src/lib.rs".into(), "src/größe.rs".into()]).unwrap()
}

#[test]
fn a_place_belongs_to_the_last_row_before_it() {
    let table = table();
    let expected = [
        (0, None),
        (9, None),
        (10, Some(("src/lib.rs", 3))),
        (13, Some(("src/lib.rs", 3))),
        (14, Some(("src/größe.rs", 8))),
        (20, None),
        (29, None),
        (30, Some(("src/größe.rs", 9))),
        (u32::MAX as usize, Some(("src/größe.rs", 9))),
        (usize::MAX, None),
    ];
    for (at, place) in expected {
        assert_eq!(table.place(at), place, "{at}");
    }
    assert_eq!(LineTable::default().place(10), None);
}

#[test]
fn what_is_written_is_read_again() {
    for table in [LineTable::default(), table()] {
        assert_eq!(LineTable::decode(&table.encode()), Some(table));
    }
    assert!(LineTable::default().encode().is_empty());
}

/// Enforced by `LineTable::new` and `LineTable::decode`.
#[test]
fn what_is_no_table_is_not_read() {
    let good = table().encode();
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        bad
    };
    let names = HEAD + 4 * ROW;
    let bad = [
        ("cut", good[..good.len() - 1].to_vec()),
        ("longer", [good.clone(), vec![0]].concat()),
        ("the number of rows", with(8, 5)),
        ("more rows than a table may have", with(11, 1)),
        ("more files than a table may have", with(15, 1)),
        ("rows out of order", with(HEAD, 14)),
        ("a file that there is not", with(HEAD + 8, 2)),
        ("a control character", with(names + 1, 0x1b)),
        ("no text", with(names + 1, 0xff)),
        ("longer than any table", vec![0; MAX_TABLE + 1]),
    ];
    for (what, bytes) in bad {
        assert_eq!(LineTable::decode(&bytes), None, "{what}");
    }
}

/// Enforced by `LineTable::new`.
#[test]
fn a_table_at_its_limits_is_read_and_one_beyond_is_not() {
    let rows = |count: u32| (0..count).map(|at| row(at, 1, 0)).collect::<Vec<_>>();
    let files = |count: usize, length: usize| vec![Box::from("x".repeat(length)); count];
    let most = LineTable::new(1, 0, rows(MAX_ROWS as u32), files(MAX_FILES, MAX_FILE)).unwrap();
    let written = most.encode();
    assert_eq!(written.len(), MAX_TABLE);
    assert_eq!(LineTable::decode(&written), Some(most));
    assert_eq!(LineTable::new(1, 0, rows(MAX_ROWS as u32 + 1), files(1, 1)), None);
    assert_eq!(LineTable::new(1, 0, rows(1), files(MAX_FILES + 1, 1)), None);
    assert_eq!(LineTable::new(1, 0, rows(1), files(1, MAX_FILE + 1)), None);
}

/// Whatever a byte is changed to, there is a table or there is none.
#[test]
fn no_changed_byte_breaks_the_reading() {
    let good = table().encode();
    for at in 0..good.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = good.clone();
            bytes[at] = byte;
            if let Some(table) = LineTable::decode(&bytes) {
                assert_eq!(table.encode(), bytes, "byte {at} as {byte}");
            }
        }
    }
}
