//! The files under check, read once.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::licences;
use crate::{
    process,
    workspace::{Foreign, Package, Workspace},
};

/// The packages and the text files of the repository, by path from the root.
pub(crate) struct Tree {
    pub(crate) packages: Vec<Package>,
    /// What is compiled in from elsewhere.
    pub(crate) foreign: Vec<Foreign>,
    texts: BTreeMap<String, String>,
    /// What is no UTF-8 text.
    binaries: Vec<String>,
}

impl Tree {
    /// Reads what git tracks or would track; without git, what lies outside of
    /// cargo's folders.
    pub(crate) fn read(workspace: &Workspace) -> Result<Tree> {
        let mut tree = Tree {
            packages: workspace.packages.clone(),
            foreign: Vec::new(),
            texts: BTreeMap::new(),
            binaries: Vec::new(),
        };
        for path in files(&workspace.root)? {
            let file = workspace.root.join(&path);
            if !file.is_file() {
                continue; // Deleted, and not yet recorded.
            }
            let bytes = fs::read(&file).with_context(|| format!("cannot read {path}"))?;
            match String::from_utf8(bytes) {
                Ok(text) => drop(tree.texts.insert(path, text)),
                Err(_) => tree.binaries.push(path),
            }
        }
        let graph = licences::graph(tree.need(licences::RULES)?)?;
        tree.foreign = workspace.foreign(&graph)?;
        Ok(tree)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let texts = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        Tree {
            packages: Vec::new(),
            foreign: Vec::new(),
            texts,
            binaries: Vec::new(),
        }
    }

    /// Every path, text or not.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().chain(&self.binaries).map(String::as_str)
    }

    /// Every text with its path.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text at this path.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The text at this path; its absence is an error that says so.
    pub(crate) fn need(&self, path: &str) -> Result<&str> {
        self.text(path)
            .with_context(|| format!("{path}: expected this file, there is none"))
    }

    /// The files below `folder` whose name ends with `suffix`.
    pub(crate) fn below<'a>(
        &'a self,
        folder: &'a str,
        suffix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts()
            .filter(move |(path, _)| is_below(path, folder) && path.ends_with(suffix))
    }

    /// Whether there is such a file or folder.
    pub(crate) fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.paths().any(|known| known == path || is_below(known, path))
    }

    /// Whether a Rust file below `folder` has a function of this name.
    pub(crate) fn has_function(&self, folder: &str, name: &str) -> bool {
        let declaration = format!("fn {name}");
        self.below(folder, ".rs").any(|(_, text)| {
            text.match_indices(&declaration).any(|(at, found)| {
                let after = text.get(at + found.len()..).unwrap_or_default();
                after.starts_with(['(', '<'])
            })
        })
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn files(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root);
    if let Ok(list) = process::capture(&mut git)
        && !list.is_empty()
    {
        return Ok(list.split_terminator('\0').map(str::to_owned).collect());
    }
    let mut found = Vec::new();
    walk(root, root, &mut found)?;
    Ok(found)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path: PathBuf = entry?.path();
        let is_git = path.file_name().is_some_and(|name| name == ".git");
        // Cargo marks its own folders with this file.
        if is_git || path.join("CACHEDIR.TAG").exists() || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, found)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            found.push(relative.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_the_folders_of_cargo_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["src", "target", ".git"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("a.rs"), "").unwrap();
        }
        fs::write(root.path().join("target/CACHEDIR.TAG"), "").unwrap();
        let mut found = Vec::new();
        walk(root.path(), root.path(), &mut found).unwrap();
        assert_eq!(found, ["src/a.rs"]);
    }

    #[test]
    fn functions_are_found_by_their_whole_name() {
        let tree = Tree::of(&[("tests/a.rs", "async fn one_more() {}\nfn generic<T>() {}")]);
        assert!(tree.has_function("tests", "one_more") && tree.has_function("tests", "generic"));
        assert!(!tree.has_function("tests", "one") && !tree.has_function("host", "one_more"));
    }

    #[test]
    fn folders_exist_by_what_is_in_them() {
        let tree = Tree::of(&[("docs/adr/0001.md", "")]);
        assert!(tree.exists("docs") && tree.exists("docs/adr") && tree.exists("docs/adr/0001.md"));
        assert!(!tree.exists("doc") && !tree.exists("docs/adr/0002.md"));
    }
}
