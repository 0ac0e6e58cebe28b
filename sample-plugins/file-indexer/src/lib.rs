//! Indexes the folder that the operator granted at `/data`, with the standard library's files.

odeon_sdk::plugin!();

mod walk;

use std::collections::BTreeMap;

use exports::odeon_samples::file_indexer::indexer::{File, Guest, Hit, IndexError, Kind, Summary};
use walk::{Text, each_file};

/// The most hits one search returns.
const MAX_HITS: usize = 1000;

struct Indexer;

impl Guest for Indexer {
    fn index() -> Result<Summary, IndexError> {
        let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
        let mut summary = Summary {
            files: 0,
            bytes: 0,
            kinds: Vec::new(),
            skipped: Vec::new(),
        };
        each_file(|path, text| {
            match text {
                Text::Unreadable => summary.skipped.push(path),
                Text::Read(text) => {
                    let file = measure(path, &text);
                    summary.files += 1;
                    summary.bytes += file.bytes;
                    let kind =
                        kinds
                            .entry(extension(&file.path).to_owned())
                            .or_insert_with_key(|extension| Kind {
                                extension: extension.clone(),
                                bytes: 0,
                                files: Vec::new(),
                            });
                    kind.bytes += file.bytes;
                    kind.files.push(file);
                }
            }
            true
        })?;
        summary.kinds = kinds.into_values().collect();
        Ok(summary)
    }

    fn search(word: String) -> Result<Vec<Hit>, IndexError> {
        let mut hits = Vec::new();
        each_file(|path, text| {
            if let Text::Read(text) = text {
                let found = (1..).zip(text.lines()).filter(|(_, line)| line.contains(&word));
                let found = found.map(|(line, text)| Hit {
                    path: path.clone(),
                    line,
                    text: text.to_owned(),
                });
                hits.extend(found.take(MAX_HITS - hits.len()));
            }
            hits.len() < MAX_HITS
        })?;
        Ok(hits)
    }
}

fn measure(path: String, text: &str) -> File {
    File {
        path,
        bytes: text.len() as u64,
        lines: text.lines().count() as u64,
        words: text.split_whitespace().count() as u64,
    }
}

fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

export!(Indexer);
