//! `mutants.toml`: which line enforces what, and which test notices.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Where the table is, from the root.
pub(crate) const TABLE: &str = "xtask/mutants.toml";

/// Stands in a row's `replace` for a boolean that is true while the mutant is on.
const MUTATED: &str = "MUTATED";

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(default)]
    pub(crate) mutant: Vec<Mutant>,
}

/// One enforcement and how to switch it off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// Unique; what the limit or check is called elsewhere.
    pub(crate) name: String,
    /// From the root.
    pub(crate) file: String,
    /// The enforcing text; stands in the file exactly once.
    pub(crate) find: String,
    /// The same with a switch: an expression in which [`MUTATED`] stands for
    /// "the enforcement is off". It has to compile.
    pub(crate) replace: String,
    /// The package whose tests are run.
    pub(crate) package: String,
    /// A nextest filter of `test(name)`s; at least one of them must fail.
    pub(crate) tests: String,
}

impl Table {
    pub(crate) fn parse(text: &str) -> Result<Table> {
        let table: Table = toml::from_str(text).with_context(|| format!("{TABLE} cannot be used"))?;
        for (index, mutant) in table.mutant.iter().enumerate() {
            if table
                .mutant
                .iter()
                .take(index)
                .any(|other| other.name == mutant.name)
            {
                bail!("{TABLE}: two rows are called {}", mutant.name);
            }
        }
        Ok(table)
    }

    pub(crate) fn names(&self) -> String {
        self.mutant
            .iter()
            .map(|mutant| mutant.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Mutant {
    /// `text` with a switch at the enforcement, which is off where there is a
    /// file at `switch` when a process begins.
    pub(crate) fn apply(&self, text: &str, switch: &Path) -> Result<String> {
        if self.find.is_empty() || !self.replace.contains(MUTATED) {
            bail!(
                "{}: expected a `find` that is not empty, and `{MUTATED}` in `replace`",
                self.name
            );
        }
        // Files, because a compile child has no environment. Looked at before `main`,
        // because such a child looks at no file once it has confined itself.
        let is_off = format!(
            "{{ static OFF: ::std::sync::OnceLock<bool> = ::std::sync::OnceLock::new(); \
             fn is_off() -> bool {{ *OFF.get_or_init(|| ::std::path::Path::new({switch:?}).exists()) }} \
             extern \"C\" fn look() {{ is_off(); }} \
             #[allow(unsafe_code)] #[used] #[unsafe(link_section = \".init_array\")] \
             static BEFORE_MAIN: extern \"C\" fn() = look; \
             is_off() }}"
        );
        // A call, so that it can stand where a block would be taken for a body.
        let replace = self
            .replace
            .replace(MUTATED, &format!("::std::convert::identity({is_off})"));
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &replace, 1)),
            count => bail!(
                "{}: expected `{}` once in {}, found it {count} times; name the enforcing line as it is now",
                self.name,
                self.find.trim(),
                self.file
            ),
        }
    }

    /// The tests of the row, as nextest takes them.
    pub(crate) fn filter(&self) -> String {
        format!("(package({}) & ({}))", self.package, self.tests)
    }

    /// The functions that the filter names.
    pub(crate) fn test_names(&self) -> Result<Vec<&str>> {
        let mut names = Vec::new();
        for piece in self.tests.split("test(").skip(1) {
            let (name, _) = piece
                .split_once(')')
                .with_context(|| format!("{}: `tests` is cut off", self.name))?;
            let name = name.trim().trim_start_matches(['=', '~']);
            let name = name.rsplit("::").next().unwrap_or(name);
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                bail!(
                    "{}: expected `test(name_of_a_function)`, found `test({name})`",
                    self.name
                );
            }
            names.push(name);
        }
        if names.is_empty() {
            bail!(
                "{}: expected at least one `test(name)` in `tests`, found `{}`",
                self.name,
                self.tests
            );
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(find: &str, tests: &str) -> Mutant {
        Mutant {
            name: "size".to_owned(),
            file: "a.rs".to_owned(),
            find: find.to_owned(),
            replace: "!MUTATED && a > b".to_owned(),
            package: "a".to_owned(),
            tests: tests.to_owned(),
        }
    }

    #[test]
    fn the_line_must_stand_there_exactly_once() {
        let apply = |find: &str, text: &str| mutant(find, "").apply(text, Path::new("/on/size"));
        let changed = apply("a > b", "if a > b {}").unwrap();
        assert!(
            changed.starts_with("if !::std::convert::identity({ static OFF"),
            "{changed}"
        );
        assert!(
            changed.contains("Path::new(\"/on/size\").exists()")
                && changed.ends_with("is_off() }) && a > b {}"),
            "{changed}"
        );
        assert!(apply("a > b", "a > b; a > b").is_err());
        assert!(apply("a > b", "a < b").is_err());
        assert!(apply("", "a > b").is_err());
    }

    #[test]
    fn a_row_without_a_switch_is_refused() {
        let mut row = mutant("a > b", "");
        row.replace = "false".to_owned();
        assert!(row.apply("if a > b {}", Path::new("/on/size")).is_err());
    }

    #[test]
    fn tests_are_named_one_by_one() {
        let tests = |filter| mutant("x", filter).test_names().map(|names| names.join(" ")).ok();
        assert_eq!(
            tests("test(=limits::one) | test(two)").as_deref(),
            Some("one two")
        );
        assert_eq!(tests("test(/one.*/)"), None);
        assert_eq!(tests("all()"), None);
    }

    #[test]
    fn names_are_unique_and_fields_known() {
        let row = "[[mutant]]\nname='a'\nfile='f'\nfind='x'\nreplace='y'\npackage='p'\ntests='test(t)'\n";
        assert_eq!(Table::parse(row).unwrap().mutant.len(), 1);
        assert!(Table::parse(&row.repeat(2)).is_err());
        assert!(Table::parse(&format!("{row}skip = true\n")).is_err());
    }
}
