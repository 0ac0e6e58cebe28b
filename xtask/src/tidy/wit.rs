//! The project's WIT packages: everything in them has a word of explanation.

use anyhow::{Result, bail};

use super::{Finding, Tree};

/// What a declaration begins with.
const KEYWORDS: &[&str] = &[
    "package",
    "interface",
    "world",
    "record",
    "variant",
    "enum",
    "flags",
    "resource",
    "type",
];

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let files: Vec<_> = tree
        .below("wit", ".wit")
        .filter(|(path, _)| path.starts_with("wit/odeon-"))
        .collect();
    if files.is_empty() {
        bail!("wit: expected packages in wit/odeon-*/, found none");
    }
    Ok(files
        .into_iter()
        .flat_map(|(path, text)| undocumented(path, text))
        .collect())
}

fn undocumented(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut documented = false;
    let mut in_comment = false;
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if in_comment || line.starts_with("/*") {
            documented |= line.starts_with("/**");
            in_comment = !line.ends_with("*/");
        } else if line.starts_with("///") {
            documented = true;
        } else if line.starts_with('@') || line.starts_with("//") {
            // Attributes and remarks may stand between the words and what they explain.
        } else {
            if let Some(name) = declared(line)
                && !documented
            {
                let message =
                    format!("`{name}` has no doc comment; say what it means, its order, blocking and errors");
                findings.push(Finding::at(path, index + 1, message));
            }
            documented = false;
        }
    }
    findings
}

/// The name of the function or type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let (first, rest) = line.split_once([' ', '(', ':'])?;
    if KEYWORDS.contains(&first) {
        return rest
            .split([' ', '{', '=', ';', '<'])
            .find(|word| !word.is_empty());
    }
    if first == "constructor" {
        return Some(first);
    }
    let (name, kind) = line.split_once(':')?;
    let kind = kind
        .trim_start()
        .trim_start_matches("static ")
        .trim_start_matches("async ");
    let name = name
        .trim()
        .trim_start_matches("export ")
        .trim_start_matches("import ");
    (kind.starts_with("func") && !name.contains(' ')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        undocumented("a.wit", text)
            .into_iter()
            .map(|finding| finding.place)
            .collect()
    }

    #[test]
    fn declarations_are_recognised() {
        assert_eq!(declared("interface request {"), Some("request"));
        assert_eq!(declared("type serial = string;"), Some("serial"));
        assert_eq!(declared("serial: func() -> string;"), Some("serial"));
        assert_eq!(declared("open: static async func(a: u8);"), Some("open"));
        assert_eq!(declared("constructor(name: string);"), Some("constructor"));
        assert_eq!(declared("export run: func();"), Some("run"));
        assert_eq!(declared("import request;"), None);
        assert_eq!(declared("name: string,"), None);
        assert_eq!(declared("too-large(u32),"), None);
    }

    #[test]
    fn what_has_no_words_is_found() {
        let text = "/// P.\npackage odeon:p@0.1.0;\n\n/// I.\ninterface i {\n  /// R.\n  record r {\n    a: u8,\n  }\n\n  \
            f: func();\n}\n";
        assert_eq!(places(text), ["a.wit:11"]);
    }

    #[test]
    fn words_above_an_attribute_or_in_a_block_count() {
        assert_eq!(places("/// F.\n@since(version = 0.1.0)\nf: func();"), [""; 0]);
        assert_eq!(places("/** F,\n more. */\nf: func();"), [""; 0]);
        assert_eq!(places("// not documentation\nf: func();"), ["a.wit:2"]);
    }

    #[test]
    fn words_belong_to_the_next_declaration_only() {
        assert_eq!(places("/// F.\nf: func();\ng: func();"), ["a.wit:3"]);
    }
}
