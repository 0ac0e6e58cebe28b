//! The copy of the tree in which mutants live.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::Mutant;
use crate::{test, tidy, workspace::Workspace};

/// A copy that is brought up to date file by file, so that cargo rebuilds only
/// what differs from the last run.
pub(super) struct Copy {
    tree: PathBuf,
    target: PathBuf,
    /// Holds a file for each mutant that is on.
    switches: PathBuf,
    path: std::ffi::OsString,
}

impl Copy {
    /// The tree with a switch for each of these.
    pub(super) fn of(workspace: &Workspace, mutants: &[Mutant]) -> Result<Copy> {
        let home = workspace.target.join("mutants");
        let copy = Copy {
            tree: home.join("tree"),
            target: home.join("target"),
            switches: home.join("on"),
            path: test::path_with_tools(workspace)?,
        };
        // Whatever a run that was broken off left on.
        if copy.switches.exists() {
            fs::remove_dir_all(&copy.switches).context("cannot remove the switches of the last run")?;
        }
        fs::create_dir_all(&copy.switches).context("cannot make a folder for switches")?;
        let changed = changed(&workspace.root, mutants, &copy.switches)?;
        let files: BTreeSet<String> = tidy::Tree::read(workspace)?.paths().map(str::to_owned).collect();
        mirror(&workspace.root, &copy.tree, &files, &changed)?;
        mirror(
            &workspace.components(),
            &copy.target.join("guests/components"),
            &names(&workspace.components())?,
            &BTreeMap::new(),
        )?;
        seed(workspace, &copy.target)?;
        Ok(copy)
    }

    /// A `cargo` that runs in the copy.
    pub(super) fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("PATH", &self.path);
        command
    }

    /// nextest in the copy, for these packages.
    pub(super) fn nextest(&self, verb: &str, packages: &[&str]) -> Command {
        let mut command = self.cargo();
        command.args(["nextest", verb, "--release"]).args(packages);
        command
    }

    /// Writes down what was built, so that a row costs its tests and not a look
    /// at every source.
    pub(super) fn note_built(&self, packages: &[&str]) -> Result<()> {
        let mut list = self.nextest("list", packages);
        list.args(["--list-type", "binaries-only", "--message-format", "json"]);
        let mut metadata = self.cargo();
        metadata.args(["metadata", "--format-version", "1"]);
        for (mut command, file) in [(list, self.binaries()), (metadata, self.metadata())] {
            let output = command.output().context("cargo could not be started")?;
            if !output.status.success() {
                bail!(
                    "{command:?} ended with {}: {}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            fs::write(&file, output.stdout).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// nextest over what [`Copy::note_built`] has written down.
    pub(super) fn nextest_built(&self) -> Command {
        let mut command = self.cargo();
        command
            .args(["nextest", "run", "--binaries-metadata"])
            .arg(self.binaries())
            .arg("--cargo-metadata")
            .arg(self.metadata());
        command
    }

    fn binaries(&self) -> PathBuf {
        self.target.join("binaries.json")
    }

    fn metadata(&self) -> PathBuf {
        self.target.join("metadata.json")
    }

    /// Switches the enforcement off until the guard is dropped.
    pub(super) fn switch_off(&self, mutant: &Mutant) -> Result<SwitchedOff> {
        let switch = self.switches.join(&mutant.name);
        fs::write(&switch, "").with_context(|| format!("cannot write {}", switch.display()))?;
        Ok(SwitchedOff(switch))
    }
}

/// An enforcement that is off. Dropping it switches it on again.
pub(super) struct SwitchedOff(PathBuf);

impl Drop for SwitchedOff {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            // The next run removes all of them first.
            eprintln!("warning: {} is still off: {error}", self.0.display());
        }
    }
}

/// The files that hold enforcements, with a switch at each.
fn changed(root: &Path, mutants: &[Mutant], switches: &Path) -> Result<BTreeMap<String, String>> {
    let mut changed = BTreeMap::new();
    for mutant in mutants {
        let text = match changed.remove(&mutant.file) {
            Some(text) => text,
            None => fs::read_to_string(root.join(&mutant.file))
                .with_context(|| format!("cannot read {}", mutant.file))?,
        };
        let with_switch = mutant.apply(&text, &switches.join(&mutant.name))?;
        changed.insert(mutant.file.clone(), with_switch);
    }
    Ok(changed)
}

/// Gives the copy what the workspace has built of other people's crates, which
/// are the same there: compiling the engine again would take minutes.
fn seed(workspace: &Workspace, target: &Path) -> Result<()> {
    let (from, to) = (workspace.target.join("release"), target.join("release"));
    if to.exists() || !from.exists() {
        return Ok(());
    }
    let ours: Vec<String> = workspace
        .packages
        .iter()
        .flat_map(|package| [package.name.clone(), package.name.replace('-', "_")])
        .collect();
    for folder in [".fingerprint", "build", "deps"] {
        for name in names(&from.join(folder))? {
            let plain = name.trim_start_matches("lib");
            if !ours.iter().any(|package| plain.starts_with(package.as_str())) {
                copy_tree(&from.join(folder).join(&name), &to.join(folder).join(&name))?;
            }
        }
    }
    Ok(())
}

/// Copies a file or folder with its times: cargo goes by them.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let metadata = fs::metadata(from).with_context(|| format!("cannot read {}", from.display()))?;
    if metadata.is_dir() {
        fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
        for name in names(from)? {
            copy_tree(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    copy_file(from, to)?;
    let times = fs::FileTimes::new().set_modified(metadata.modified()?);
    let file = fs::File::options()
        .append(true)
        .open(to)
        .with_context(|| format!("cannot open {}", to.display()))?;
    file.set_times(times)
        .with_context(|| format!("cannot set the time of {}", to.display()))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(())
}

/// The names of what is in a folder.
fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Makes `to` hold exactly `files` of `from`, with the texts of `changed` in
/// their place. What is the same keeps its time.
fn mirror(
    from: &Path,
    to: &Path,
    files: &BTreeSet<String>,
    changed: &BTreeMap<String, String>,
) -> Result<()> {
    for file in files {
        let (source, copy) = (from.join(file), to.join(file));
        let bytes = match changed.get(file) {
            Some(text) => text.as_bytes().to_vec(),
            None => fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?,
        };
        if fs::read(&copy).is_ok_and(|old| old == bytes) {
            continue;
        }
        if changed.contains_key(file) {
            if let Some(folder) = copy.parent() {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            }
            fs::write(&copy, bytes).with_context(|| format!("cannot write {}", copy.display()))?;
        } else {
            copy_file(&source, &copy)?;
        }
    }
    remove_others(to, to, files)
}

fn remove_others(root: &Path, folder: &Path, files: &BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            remove_others(root, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(root)
            && !files.contains(relative.to_string_lossy().as_ref())
        {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_holds_exactly_the_files_and_keeps_the_time_of_the_same() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("a")).unwrap();
        fs::write(from.path().join("a/b.rs"), "1").unwrap();
        fs::write(from.path().join("a/c.rs"), "if x {}").unwrap();
        fs::write(to.path().join("old.rs"), "").unwrap();
        let files = BTreeSet::from(["a/b.rs".to_owned(), "a/c.rs".to_owned()]);
        let changed = BTreeMap::from([("a/c.rs".to_owned(), "if false {}".to_owned())]);
        mirror(from.path(), to.path(), &files, &changed).unwrap();
        assert!(!to.path().join("old.rs").exists());
        assert_eq!(
            fs::read_to_string(to.path().join("a/c.rs")).unwrap(),
            "if false {}"
        );
        let time = |name: &str| fs::metadata(to.path().join(name)).unwrap().modified().unwrap();
        let before = (time("a/b.rs"), time("a/c.rs"));
        mirror(from.path(), to.path(), &files, &changed).unwrap();
        assert_eq!((time("a/b.rs"), time("a/c.rs")), before);
    }

    #[test]
    fn what_is_seeded_keeps_its_time() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("deps")).unwrap();
        let file = from.path().join("deps/libserde.rlib");
        fs::write(&file, "code").unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let times = fs::FileTimes::new().set_modified(long_ago);
        fs::File::options()
            .append(true)
            .open(&file)
            .unwrap()
            .set_times(times)
            .unwrap();
        copy_tree(&from.path().join("deps"), &to.path().join("deps")).unwrap();
        let copied = to.path().join("deps/libserde.rlib");
        assert_eq!(fs::read(&copied).unwrap(), b"code");
        assert_eq!(fs::metadata(&copied).unwrap().modified().unwrap(), long_ago);
    }

    #[test]
    fn two_mutants_of_one_file_both_get_a_switch() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("a.rs"), "if a > b {} if c > d {}").unwrap();
        let row = |name: &str, find: &str| {
            format!(
                "[[mutant]]\nname='{name}'\nfile='a.rs'\nfind='{find}'\nreplace='!MUTATED && {find}'\n\
                 package='p'\ntests='test(t)'\n"
            )
        };
        let rows = row("first", "a > b") + &row("second", "c > d");
        let table = crate::mutants::Table::parse(&rows).unwrap();
        let changed = changed(tree.path(), &table.mutant, Path::new("/on")).unwrap();
        let text = &changed["a.rs"];
        assert!(
            text.contains("\"/on/first\"") && text.contains("\"/on/second\""),
            "{text}"
        );
        assert!(!text.contains("MUTATED"), "{text}");
    }
}
