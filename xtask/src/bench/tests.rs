//! How rows are read, judged and kept.

use super::*;

fn row(id: &str, value: f64) -> Row {
    let line = format!(
        r#"{{"section":"host","id":"{id}","value":{value},"unit":"ns","baseline":100,"baseline_name":"raw"}}"#
    );
    row::parse(&line).unwrap().remove(0)
}

fn targets() -> Vec<Target> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.toml");
    let text = "target = [{ section = 'host', id = 'call', gate = '<= 2.5', goal = '<= 1.5' },\
        { section = 'host', id = 'scaling', gate = '>= 0.75', goal = '>= 0.9' }]";
    fs::write(&path, text).unwrap();
    Target::read(&path).unwrap()
}

#[test]
fn a_row_gets_its_ratio_and_its_gate() {
    let mut row = row("call", 250.0);
    row.complete(&targets()).unwrap();
    assert_eq!((row.ratio, row.target.as_deref()), (Some(2.5), Some("<= 2.5")));
}

#[test]
fn verdicts_stand_at_the_bound_and_fall_past_it() {
    let targets = targets();
    assert_eq!(row("call", 150.0).verdict(&targets), Verdict::Goal);
    assert_eq!(row("call", 250.0).verdict(&targets), Verdict::Gate);
    assert_eq!(row("call", 251.0).verdict(&targets), Verdict::Missed);
    assert_eq!(row("scaling", 75.0).verdict(&targets), Verdict::Gate);
    assert_eq!(row("scaling", 74.0).verdict(&targets), Verdict::Missed);
    assert_eq!(row("other", 1.0).verdict(&targets), Verdict::Free);
}

#[test]
fn a_ratio_that_is_not_value_by_baseline_is_refused() {
    let mut wrong = row("call", 250.0);
    wrong.ratio = Some(1.0);
    assert!(wrong.complete(&targets()).is_err());
    let mut nothing = row("call", 250.0);
    nothing.baseline = 0.0;
    assert!(nothing.complete(&targets()).is_err());
}

#[test]
fn rows_are_replaced_by_section_and_id_and_others_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), &[row("call", 1.0), row("scaling", 2.0)]).unwrap();
    store(folder.path(), &[row("scaling", 3.0), row("new", 4.0)]).unwrap();
    let text = fs::read_to_string(folder.path().join("latest.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_str(&text).unwrap();
    let kept: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.value)).collect();
    assert_eq!(kept, [("call", 1.0), ("scaling", 3.0), ("new", 4.0)]);
}

#[test]
fn a_damaged_file_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latest.json"), "{").unwrap();
    assert!(store(folder.path(), &[row("call", 1.0)]).is_err());
    assert_eq!(
        fs::read_to_string(folder.path().join("latest.json")).unwrap(),
        "{"
    );
}

#[test]
fn a_target_without_a_row_is_missing_only_in_its_section() {
    let targets = targets();
    let ids = |missing: Vec<&Target>| missing.iter().map(|target| target.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        ids(row::missing(&targets, &[row("call", 1.0)], None)),
        ["scaling"]
    );
    assert_eq!(ids(row::missing(&targets, &[], Some("other"))), [""; 0]);
}

#[test]
fn lines_that_are_no_rows_are_errors() {
    assert!(row::parse("").is_err());
    assert!(row::parse("Compiling…").is_err());
}

#[test]
fn the_table_names_the_verdict() {
    let text = Table::of(&[row("call", 900.0)], &targets()).to_string();
    assert!(
        text.contains("host/call") && text.contains("9.00") && text.contains("MISSED"),
        "{text}"
    );
}
