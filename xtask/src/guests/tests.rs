//! What is left in the components folder.

use super::*;

fn components(rows: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    rows.iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect()
}

#[test]
fn only_what_changed_is_written_and_what_is_gone_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        publish(folder.path(), &components(&[("a", b"1"), ("b", b"2")])).unwrap(),
        2
    );
    assert_eq!(
        publish(folder.path(), &components(&[("a", b"1"), ("b", b"2")])).unwrap(),
        0
    );
    assert_eq!(publish(folder.path(), &components(&[("a", b"3")])).unwrap(), 2);
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a.wasm"]);
    assert_eq!(fs::read(folder.path().join("a.wasm")).unwrap(), b"3");
}

#[test]
fn hand_written_components_are_assembled_and_core_modules_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.wat"), "(component)").unwrap();
    fs::write(folder.path().join("README.md"), "").unwrap();
    fs::create_dir(folder.path().join("invalid")).unwrap();
    fs::write(folder.path().join("invalid/core.wat"), "(module)").unwrap();
    let assembled = assemble(folder.path()).unwrap();
    assert!(component::is_component(&assembled["wat-empty"]));
    assert!(!component::is_component(&assembled["wat-core"]));
    fs::write(folder.path().join("core2.wat"), "(module)").unwrap();
    let error = assemble(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("core2.wat") && error.contains("core module"),
        "{error}"
    );
    fs::write(folder.path().join("core2.wat"), "(component)").unwrap();
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    assert!(assemble(folder.path()).is_err());
}
