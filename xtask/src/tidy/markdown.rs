//! The little of Markdown that checks need: links, table rows, code spans.

/// The targets of inline links and images, with their line. Code is left out.
pub(super) fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        for (index, part) in line.split('`').enumerate() {
            if index % 2 == 1 {
                continue; // Inside a code span.
            }
            for piece in part.split("](").skip(1) {
                if let Some((target, _)) = piece.split_once(')') {
                    links.push((number, target.split(' ').next().unwrap_or(target)));
                }
            }
        }
    }
    links
}

/// The rows of every table that has all of `columns`: the line, and the cells of those columns.
pub(super) fn rows<'a>(text: &'a str, columns: &[&str]) -> Vec<(usize, Vec<&'a str>)> {
    let mut rows = Vec::new();
    let mut places: Option<Vec<usize>> = None;
    for (number, line) in prose(text) {
        if !line.trim_start().starts_with('|') {
            places = None;
            continue;
        }
        let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        match &places {
            None => {
                let find = |column: &&str| cells.iter().position(|cell| cell.eq_ignore_ascii_case(column));
                places = columns.iter().map(find).collect();
                if places.is_none() {
                    places = Some(Vec::new());
                }
            }
            Some(places) if places.is_empty() => {}
            Some(_) if cells.iter().all(|cell| cell.trim_matches([':', '-']).is_empty()) => {}
            Some(places) => {
                let picked = places
                    .iter()
                    .map(|place| cells.get(*place).copied().unwrap_or_default())
                    .collect();
                rows.push((number, picked));
            }
        }
    }
    rows
}

/// The code spans of a cell.
pub(super) fn spans(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The lines outside of fenced code, numbered from one.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](b.md) and ![c](d.png \"t\")\n`[x](y)` [`e`](f.md#g)\n```\n[no](no)\n```\n[h](i)";
        assert_eq!(links(text), [(1, "b.md"), (1, "d.png"), (2, "f.md#g"), (6, "i")]);
    }

    #[test]
    fn rows_come_from_tables_with_the_columns_in_any_order() {
        let text = "| x |\n|---|\n| no |\n\n| Test | Field | z |\n|:--|---|---|\n| `t` | `memory` | 1 |\n";
        assert_eq!(rows(text, &["field", "test"]), [(7, vec!["`memory`", "`t`"])]);
        assert_eq!(spans("`a`, or `b`"), ["a", "b"]);
    }
}
