//! Grants as they are written in files.
//!
//! Owns the TOML form: a list of command-line grants, or a table with the
//! same words as keys, each holding one entry or a list, each entry a table
//! or the text that follows the `=` on a command line.

use std::{collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value},
};

use super::{
    Access, FsGrant, GrantSet, Protocol,
    parse::{self, Grant, InvalidGrant},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantTables {
    #[serde(default)]
    fs: Entries<FsTable>,
    #[serde(default)]
    tcp: Entries<EndpointTable>,
    #[serde(default)]
    udp: Entries<EndpointTable>,
    #[serde(default)]
    http: Entries<EndpointTable>,
    #[serde(default)]
    listen: Entries<EndpointTable>,
    #[serde(default)]
    env: BTreeMap<String, EnvValue>,
    #[serde(default)]
    secret: Entries<NoTable>,
    #[serde(default)]
    call: Entries<NoTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FsTable {
    host: Option<PathBuf>,
    guest: Option<String>,
    #[serde(default)]
    access: AccessWord,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AccessWord {
    #[default]
    Read,
    ReadWrite,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointTable {
    host: String,
    port: Option<PortWord>,
    #[serde(default)]
    private: bool,
}

/// A kind whose entries are texts only.
#[derive(Deserialize)]
enum NoTable {}

struct PortWord(String);

enum EnvValue {
    Given(String),
    FromHost,
}

enum Entry<T> {
    Text(String),
    Table(T),
}

struct Entries<T>(Vec<Entry<T>>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<T> Entries<T> {
    fn add_to(
        self,
        set: &mut GrantSet,
        kind: &str,
        of_table: impl Fn(T) -> Result<Grant, InvalidGrant>,
    ) -> Result<(), InvalidGrant> {
        for entry in self.0 {
            set.add(match entry {
                Entry::Text(text) => format!("{kind}={text}").parse()?,
                Entry::Table(table) => of_table(table)?,
            })?;
        }
        Ok(())
    }
}

impl TryFrom<GrantTables> for GrantSet {
    type Error = InvalidGrant;

    fn try_from(tables: GrantTables) -> Result<Self, InvalidGrant> {
        let mut set = GrantSet::default();
        tables
            .fs
            .add_to(&mut set, "fs", |table| directory(table).map(Grant::Fs))?;
        for (protocol, entries) in [
            (Protocol::Tcp, tables.tcp),
            (Protocol::Udp, tables.udp),
            (Protocol::Http, tables.http),
            (Protocol::Listen, tables.listen),
        ] {
            let kind = protocol.to_string();
            entries.add_to(&mut set, &kind, |EndpointTable { host, port, private }| {
                let grant = format!("{kind}={host}");
                parse::endpoint(
                    &grant,
                    protocol,
                    &host,
                    port.as_ref().map(|PortWord(text)| text.as_str()),
                    private,
                )
            })?;
        }
        for (name, value) in tables.env {
            set.add(match value {
                EnvValue::Given(value) => parse::env(&name, Some(value))?,
                EnvValue::FromHost => parse::env(&name, None)?,
            })?;
        }
        tables.secret.add_to(&mut set, "secret", |table| match table {})?;
        tables.call.add_to(&mut set, "call", |table| match table {})?;
        Ok(set)
    }
}

fn directory(table: FsTable) -> Result<FsGrant, InvalidGrant> {
    let guest = match (table.guest, &table.host) {
        (Some(guest), _) => guest,
        (None, Some(host)) => host.to_string_lossy().into_owned(),
        (None, None) => {
            return Err(InvalidGrant::new(
                "fs",
                "a guest path, a host directory, or both",
                "neither",
            ));
        }
    };
    let access = match table.access {
        AccessWord::Read => Access::Read,
        AccessWord::ReadWrite => Access::ReadWrite,
    };
    parse::directory(&format!("fs={guest}"), table.host, &guest, access)
}

impl<'de> Deserialize<'de> for GrantSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Set;
        impl<'de> Visitor<'de> for Set {
            type Value = GrantSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of grants, or a list of texts like \"http=example.com\"")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<GrantSet, A::Error> {
                let mut set = GrantSet::default();
                while let Some(text) = seq.next_element::<String>()? {
                    text.parse()
                        .and_then(|grant| set.add(grant))
                        .map_err(A::Error::custom)?;
                }
                Ok(set)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GrantSet, A::Error> {
                let tables = GrantTables::deserialize(value::MapAccessDeserializer::new(map))?;
                GrantSet::try_from(tables).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Set)
    }
}

/// Written as the list of its [`GrantSet::lines`], which holds no values of
/// variables.
impl Serialize for GrantSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.lines())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for One<T> {
            type Value = Entry<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, or the text that follows = on a command line")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Entry<T>, E> {
                Ok(Entry::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry<T>, A::Error> {
                T::deserialize(value::MapAccessDeserializer::new(map)).map(Entry::Table)
            }
        }
        deserializer.deserialize_any(One(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Many<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Many<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, a text, or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Entries<T>, E> {
                Ok(Entries(vec![Entry::Text(text.to_owned())]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entries<T>, A::Error> {
                T::deserialize(value::MapAccessDeserializer::new(map))
                    .map(|table| Entries(vec![Entry::Table(table)]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_any(Many(PhantomData))
    }
}

impl<'de> Deserialize<'de> for PortWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Port;
        impl Visitor<'_> for Port {
            type Value = PortWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port from 0 to 65535 or \"*\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<PortWord, E> {
                Ok(PortWord(number.to_string()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<PortWord, E> {
                Ok(PortWord(number.to_string()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PortWord, E> {
                Ok(PortWord(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Port)
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = EnvValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the variable's value, or true to pass the host's on")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<EnvValue, E> {
                Ok(EnvValue::Given(text.to_owned()))
            }

            fn visit_bool<E: Error>(self, from_host: bool) -> Result<EnvValue, E> {
                if from_host {
                    Ok(EnvValue::FromHost)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Bool(false), &self))
                }
            }
        }
        deserializer.deserialize_any(Value)
    }
}
