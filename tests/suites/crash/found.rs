//! What a host finds after another was killed.
//!
//! Owns the check that it is of one piece: what is listed, what is loaded again
//! at the next start, the version on record and what a call answers all say the
//! same.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::ground::Site;

/// What is so, seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Which version serves, by name.
    pub serving: BTreeMap<String, u64>,
    /// The versions on record, by name.
    pub known: BTreeMap<String, u64>,
    /// What the trust policy says about its keys, in their order.
    pub trust: Vec<String>,
    /// What each may use that may use something, by name.
    pub grants: BTreeMap<String, Vec<String>>,
    /// What the list of loads says that each is allowed.
    pub terms: BTreeMap<String, Vec<String>>,
}

impl Found {
    pub fn of(serving: &[(&str, u64)], known: &[(&str, u64)], trust: &[&str]) -> Self {
        let map = |rows: &[(&str, u64)]| {
            let rows = rows.iter();
            rows.map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        Found {
            serving: map(serving),
            known: map(known),
            trust: trust.iter().map(|word| (*word).to_owned()).collect(),
            ..Found::default()
        }
    }

    /// The same, where a plugin may use this and the list of loads allows it that.
    pub fn granting(mut self, name: &str, grants: &[&str], terms: &[&str]) -> Self {
        for (rows, lines) in [(&mut self.grants, grants), (&mut self.terms, terms)] {
            if !lines.is_empty() {
                let lines = lines.iter().map(|line| (*line).to_owned()).collect();
                rows.insert(name.to_owned(), lines);
            }
        }
        self
    }
}

fn major(version: &Json) -> u64 {
    let text = version.as_str().unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

fn text(site: &Site<'_>, file: &str) -> String {
    std::fs::read_to_string(site.state.join(file)).unwrap_or_default()
}

/// What a plugin may use, if it may use something.
fn granted(site: &Site<'_>, name: &str) -> Result<Option<Vec<String>>, String> {
    let ran = site.odeon(&["grant", name, "--json"]);
    if ran.status != Some(0) {
        return Err(format!("it is not known what {name} may use: {}", ran.out));
    }
    let report: Json = serde_json::from_str(&ran.out).map_err(|error| error.to_string())?;
    let lines = report["grants"].as_array().unwrap().iter();
    let lines: Vec<String> = lines.map(|line| line.as_str().unwrap().to_owned()).collect();
    Ok((!lines.is_empty()).then_some(lines))
}

/// The component that a descriptor names for a plugin.
fn described(site: &Site<'_>, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(site.descriptors().join(format!("{name}.toml"))).ok()?;
    let descriptor: toml::Table = toml::from_str(&text).unwrap();
    Some(descriptor["source"].as_str().unwrap().to_owned())
}

/// Starts a host where one was killed and says what it found, or what does not
/// fit together.
pub fn look(site: &Site<'_>, small: bool) -> Result<Found, String> {
    let host = site.serve(small);
    let found = compare(site);
    drop(host);
    found
}

/// The same of the host that serves here.
pub fn compare(site: &Site<'_>) -> Result<Found, String> {
    let verified = site.odeon(&["audit", "--verify", "--json"]);
    if verified.status != Some(0) {
        return Err(format!("the audit is not sound: {}", verified.out));
    }
    let list = site.list().ok_or("the host does not answer")?;
    let rows: toml::Table = toml::from_str(&text(site, "loads.toml")).map_err(|error| error.to_string())?;
    let rows = rows.get("load").and_then(toml::Value::as_table).cloned();
    let rows = rows.unwrap_or_default();
    let versions = text(site, "versions.json");
    let versions: Json = match versions.as_str() {
        "" => serde_json::json!({}),
        text => serde_json::from_str(text).map_err(|error| error.to_string())?,
    };
    let known: BTreeMap<String, u64> = versions
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, version)| (name.clone(), major(version)))
        .collect();
    let (mut serving, mut grants) = (BTreeMap::new(), BTreeMap::new());
    for plugin in list["plugins"].as_array().unwrap() {
        let name = plugin["name"].as_str().unwrap();
        let number = major(&plugin["version"]);
        serving.insert(name.to_owned(), number);
        let answer = site.odeon(&["call", &format!("{name}/version")]);
        let listed = rows.get(name).map(|row| row["path"].as_str().unwrap().to_owned());
        let file = listed.or_else(|| described(site, name));
        if let Some(granted) = granted(site, name)? {
            grants.insert(name.to_owned(), granted);
        }
        let wanted = format!("{name}-{number}.wasm");
        let agrees = answer.out.trim() == number.to_string()
            && known.get(name) == Some(&number)
            && file.as_ref().is_some_and(|file| file.ends_with(&wanted));
        if !agrees {
            return Err(format!(
                "a mixture: {name} is listed as version {number}, is loaded again from {file:?}, has version {:?} on \
                 record, and answers {:?}",
                known.get(name),
                answer.out
            ));
        }
    }
    if let Some(name) = rows.keys().find(|name| !serving.contains_key(*name)) {
        return Err(format!(
            "a mixture: {name} is to be loaded again and does not serve"
        ));
    }
    for folder in [&site.state, &site.state.join("cache")] {
        let mut names = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        if let Some(left) = names.find(|name| name.to_str().unwrap().starts_with(".odeon-")) {
            return Err(format!("{left:?} is left behind in {}", folder.display()));
        }
    }
    let policy: toml::Table = toml::from_str(&text(site, "trust.toml")).map_err(|error| error.to_string())?;
    let keys = policy.get("key").and_then(toml::Value::as_array).cloned();
    let decision = |row: &toml::Value| {
        row.get("decision")
            .and_then(toml::Value::as_str)
            .unwrap_or("allow")
            .to_owned()
    };
    let terms = rows.iter().filter_map(|(name, row)| {
        let lines = row.get("grants")?.as_array().unwrap().iter();
        let lines: Vec<String> = lines.map(|line| line.as_str().unwrap().to_owned()).collect();
        (!lines.is_empty()).then(|| (name.clone(), lines))
    });
    Ok(Found {
        serving,
        known,
        grants,
        terms: terms.collect(),
        trust: keys.unwrap_or_default().iter().map(decision).collect(),
    })
}
