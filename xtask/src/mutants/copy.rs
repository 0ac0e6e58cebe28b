//! The copy of the tree in which mutants live.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::Mutant;
use crate::{test, tidy, workspace::Workspace};

/// A copy that is brought up to date file by file, so that cargo rebuilds only
/// what differs from the last run.
pub(super) struct Copy {
    tree: PathBuf,
    target: PathBuf,
    path: std::ffi::OsString,
}

impl Copy {
    pub(super) fn of(workspace: &Workspace) -> Result<Copy> {
        let home = workspace.target.join("mutants");
        let (tree, target) = (home.join("tree"), home.join("target"));
        let files: BTreeSet<String> = tidy::Tree::read(workspace)?.paths().map(str::to_owned).collect();
        mirror(&workspace.root, &tree, &files)?;
        let components = names(&workspace.components())?;
        mirror(
            &workspace.components(),
            &target.join("guests/components"),
            &components,
        )?;
        Ok(Copy {
            tree,
            target,
            path: test::path_with_tools(workspace)?,
        })
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

    /// Switches the enforcement off until the guard is dropped.
    pub(super) fn apply(&self, mutant: &Mutant) -> Result<Applied> {
        let path = self.tree.join(&mutant.file);
        let original = fs::read_to_string(&path).with_context(|| format!("cannot read {}", mutant.file))?;
        let changed = mutant.apply(&original)?;
        fs::write(&path, changed).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Applied { path, original })
    }
}

/// A change to the copy. Dropping it takes the change back.
pub(super) struct Applied {
    path: PathBuf,
    original: String,
}

impl Drop for Applied {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.original) {
            // The next run compares every file and would notice.
            eprintln!("warning: {} still holds the mutant: {error}", self.path.display());
        }
    }
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Makes `to` hold exactly `files` of `from`. What is the same keeps its time.
fn mirror(from: &Path, to: &Path, files: &BTreeSet<String>) -> Result<()> {
    for file in files {
        let (source, copy) = (from.join(file), to.join(file));
        let bytes = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        if fs::read(&copy).is_ok_and(|old| old == bytes) {
            continue;
        }
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::copy(&source, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
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
        fs::write(to.path().join("old.rs"), "").unwrap();
        let files = BTreeSet::from(["a/b.rs".to_owned()]);
        mirror(from.path(), to.path(), &files).unwrap();
        assert!(!to.path().join("old.rs").exists());
        let time = || {
            fs::metadata(to.path().join("a/b.rs"))
                .unwrap()
                .modified()
                .unwrap()
        };
        let before = time();
        mirror(from.path(), to.path(), &files).unwrap();
        assert_eq!(time(), before);
    }

    #[test]
    fn a_mutant_is_taken_back() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("a.rs");
        fs::write(&path, "if a > b {}").unwrap();
        let copy = Copy {
            tree: tree.path().into(),
            target: PathBuf::new(),
            path: "".into(),
        };
        let text = "[[mutant]]\nname='a'\nfile='a.rs'\nfind='a > b'\nreplace='false'\npackage='p'\ntests='test(t)'\n";
        let table = crate::mutants::Table::parse(text).unwrap();
        let applied = copy.apply(&table.mutant[0]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "if false {}");
        drop(applied);
        assert_eq!(fs::read_to_string(&path).unwrap(), "if a > b {}");
    }
}
