//! Which crate may use which.
//!
//! Owns the order of the host's crates. A new crate gets its place here in the
//! same change that creates it.

use anyhow::Result;

use super::{Finding, Tree};
use crate::workspace::Package;

/// The host's crates; each may use only those before it.
const ORDER: &[&str] = &[
    "host/protocol",
    "host/authority",
    "host/actors",
    "host/transports",
    "host/coordination",
    "host/rmi",
    "host/cluster",
    "host/runtime",
    "host/node",
    "host/cli",
];

/// The crates of the host that may name the engine, in code or in tests.
const ENGINE: &[&str] = &["host/runtime"];

/// What a crate must do without, by the beginning of the dependency's name.
const WITHOUT: &[(&str, &[&str])] = &[
    ("host/protocol", &["tokio", "mio", "rustix", "hyper"]),
    ("host/authority", &["hyper", "reqwest", "tokio-rustls"]),
    ("host/transports", &["wasm-encoder", "wasmparser", "wit-"]),
    ("host/rmi", &["lapin", "async-nats", "rumqttc", "fe2o3-amqp"]),
    ("xtask", &["wasmtime"]),
];

pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    Ok(tree.packages.iter().flat_map(findings).collect())
}

fn findings(package: &Package) -> Vec<Finding> {
    let manifest = format!("{}/Cargo.toml", package.dir);
    let mut findings = Vec::new();
    let place = ORDER.iter().position(|dir| *dir == package.dir);
    if package.dir.starts_with("host/") && place.is_none() {
        let message = "expected a crate of the list in xtask/src/tidy/arrows.rs; give it its place there";
        findings.push(Finding::of(&manifest, message));
    }
    for dependency in &package.dependencies {
        let refused = match dependency.dir.as_deref() {
            Some(dir) if dir.starts_with("host/") => refused_host_crate(package, place, dir),
            _ => refused_foreign_crate(package, &dependency.name),
        };
        if let Some(why) = refused {
            findings.push(Finding::of(
                &manifest,
                format!("must not depend on `{}`: {why}", dependency.name),
            ));
        }
    }
    findings
}

fn refused_host_crate(package: &Package, place: Option<usize>, used: &str) -> Option<String> {
    // A crate names itself to switch its own test features on in its tests.
    if package.dir == "tests" || package.dir == used {
        return None;
    }
    let Some(place) = place else {
        return Some("nothing but the host itself and its tests uses the crates of host/".to_owned());
    };
    let below = ORDER.iter().take(place).any(|dir| *dir == used);
    (!below).then(|| {
        format!(
            "{} may use only the crates before it: {}",
            package.dir,
            list(place)
        )
    })
}

fn list(place: usize) -> String {
    let names: Vec<_> = ORDER
        .iter()
        .take(place)
        .map(|dir| dir.trim_start_matches("host/"))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn refused_foreign_crate(package: &Package, used: &str) -> Option<String> {
    let is_host = package.dir.starts_with("host/");
    if is_host && used.starts_with("wasmtime") && !ENGINE.contains(&package.dir.as_str()) {
        return Some("only host/runtime names the engine; ask it for what is needed".to_owned());
    }
    let (_, without) = WITHOUT.iter().find(|(dir, _)| *dir == package.dir)?;
    let stem = without.iter().find(|stem| used.starts_with(**stem))?;
    Some(format!(
        "{} does without {stem}*, so that it stays what it is",
        package.dir
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(dir: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, dir)| Dependency {
                name: (*name).to_owned(),
                dir: dir.map(str::to_owned),
            })
            .collect();
        Package {
            name: dir.to_owned(),
            dir: dir.to_owned(),
            dependencies,
            guest: None,
        }
    }

    #[test]
    fn arrows_point_down() {
        let fine = package(
            "host/rmi",
            &[("odeon-protocol", Some("host/protocol")), ("tokio", None)],
        );
        assert_eq!(findings(&fine), []);
        let up = findings(&package("host/rmi", &[("odeon", Some("host/node"))]));
        assert_eq!(up[0].place, "host/rmi/Cargo.toml");
        assert!(
            up[0].message.contains("`odeon`") && up[0].message.contains("protocol, authority"),
            "{up:?}"
        );
        let itself = package("host/rmi", &[("odeon-rmi", Some("host/rmi"))]);
        assert_eq!(findings(&itself), []);
    }

    #[test]
    fn only_the_runtime_names_the_engine() {
        assert_eq!(findings(&package("host/runtime", &[("wasmtime-wasi", None)])), []);
        assert_eq!(
            findings(&package(
                "tests",
                &[("wasmtime", None), ("odeon", Some("host/node"))]
            )),
            []
        );
        for dir in ["host/protocol", "host/node", "host/cli", "xtask"] {
            assert_eq!(
                findings(&package(dir, &[("wasmtime-environ", None)])).len(),
                1,
                "{dir}"
            );
        }
    }

    #[test]
    fn nothing_outside_uses_the_host() {
        for dir in [
            "guest-sdk",
            "guest-sdk/macros",
            "sample-plugins/calculator",
            "tests/guests/spin",
            "xtask",
        ] {
            let found = findings(&package(dir, &[("odeon-protocol", Some("host/protocol"))]));
            assert_eq!(found.len(), 1, "{dir}");
        }
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(findings(&package("host/extra", &[])).len(), 1);
    }

    #[test]
    fn the_vocabulary_does_no_io() {
        assert_eq!(
            findings(&package(
                "host/protocol",
                &[("tokio-util", None), ("serde", None)]
            ))
            .len(),
            1
        );
    }
}
