//! The JSON Schema of descriptors.
//!
//! Owns how each form of a field is said in it. Which fields there are is said
//! by the tables that the parser reads by, not here.

use odeon_protocol::MAX_LINKS;
use serde_json::{Map, Value, json};

use super::{
    Descriptor,
    fields::{DescriptorField, Form},
};
use crate::{
    limits::{LimitField, LimitForm, Limits},
    route::RoutePath,
};

/// A plugin's name, as a pattern.
const NAME: &str = "^[a-z][a-z0-9.-]{0,63}$";

/// A listener's name, and the path of a route, as patterns.
const LISTENER: &str = "^[a-z][a-z0-9-]{0,31}$";
const PATH: &str = "^/$|^(/[A-Za-z0-9._~-]+)+$";

/// The name of a secret, as a pattern.
const SECRET: &str = "^[A-Za-z0-9._-]{1,64}$";

/// The name of an interface, as a pattern.
const INTERFACE: &str = "^[A-Za-z0-9-]+:[A-Za-z0-9-]+/[A-Za-z0-9-]+(@[0-9].*)?$";

impl Descriptor {
    /// The JSON Schema that editors check descriptors by. What it refuses is
    /// refused; whether a path, a limit or a grant is good is seen when the
    /// descriptor is read.
    pub fn schema() -> Value {
        let required: Vec<&str> = Self::FIELDS
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Odeon plugin descriptor",
            "description": "What an operator says about one plugin: a file NAME.toml in the folder of descriptors.",
            "type": "object",
            "additionalProperties": false,
            "required": required,
            "properties": Self::FIELDS.iter().map(property).collect::<Map<_, _>>(),
        })
    }
}

fn property(field: &DescriptorField) -> (String, Value) {
    let mut schema = form(field.form);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), field.about.into());
    }
    (field.name.to_owned(), schema)
}

fn form(form: Form) -> Value {
    match form {
        Form::Path => json!({ "type": "string", "minLength": 1 }),
        Form::Name => json!({ "type": "string", "pattern": NAME }),
        Form::Word(words) => json!({ "enum": words }),
        Form::Count(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        Form::Time => time("0s"),
        Form::Limits => json!({
            "type": "object",
            "additionalProperties": false,
            "properties": Limits::FIELDS.iter().map(limit).collect::<Map<_, _>>(),
        }),
        Form::Grants => grants(),
        Form::Texts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Form::Secrets => json!({
            "type": "object",
            "propertyNames": { "pattern": SECRET },
            "additionalProperties": { "type": "string", "minLength": 1 },
        }),
        Form::Links => json!({
            "type": "object",
            "maxProperties": MAX_LINKS,
            "propertyNames": { "pattern": INTERFACE },
            "additionalProperties": { "type": "string", "pattern": NAME },
        }),
        Form::Reserved => json!({ "not": {} }),
        Form::Route => json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["path"],
            "properties": {
                "listener": { "type": "string", "pattern": LISTENER },
                "path": { "type": "string", "pattern": PATH, "maxLength": RoutePath::MAX },
            },
        }),
    }
}

fn time(least: &str) -> Value {
    json!({ "type": "string", "minLength": 2, "examples": [least, "500ms", "30s", "5m"] })
}

fn limit(limit: &LimitField) -> (String, Value) {
    let mut schema = match limit.form {
        LimitForm::Size => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^ *[0-9]+ *(B|KiB|MiB|GiB)? *$" },
        ] }),
        LimitForm::Time => time("1ms"),
        LimitForm::Number => json!({ "type": "integer", "minimum": 0 }),
    };
    if let Some(schema) = schema.as_object_mut() {
        let about = format!("Stops {}. At most {}.", limit.stops, limit.ceiling);
        schema.insert("description".to_owned(), about.into());
        schema.insert("default".to_owned(), default(limit));
    }
    (limit.name.to_owned(), schema)
}

fn default(limit: &LimitField) -> Value {
    match limit.default.parse::<u64>() {
        Ok(number) => number.into(),
        Err(_) => limit.default.into(),
    }
}

/// A list of command-line grants, or a table of their kinds.
fn grants() -> Value {
    let directory = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["host"],
        "properties": {
            "host": { "type": "string", "minLength": 1 },
            "guest": { "type": "string", "minLength": 1 },
            "access": { "enum": ["read", "read-write"] },
        },
    });
    let endpoint = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["host"],
        "properties": {
            "host": { "type": "string", "minLength": 1 },
            "port": { "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 65535 }, { "type": "string" }] },
            "private": { "type": "boolean" },
        },
    });
    let text = json!({ "type": "string", "minLength": 1 });
    let entries = |table: Option<&Value>| {
        let entry = match table {
            Some(table) => json!({ "anyOf": [text, table] }),
            None => text.clone(),
        };
        json!({ "anyOf": [entry, { "type": "array", "items": entry }] })
    };
    json!({ "anyOf": [
        {
            "type": "array",
            "items": { "type": "string", "pattern": "^(fs|tcp|udp|http|listen|env|secret|call)=" },
        },
        {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "fs": entries(Some(&directory)),
                "tcp": entries(Some(&endpoint)),
                "udp": entries(Some(&endpoint)),
                "http": entries(Some(&endpoint)),
                "listen": entries(Some(&endpoint)),
                "env": { "type": "object", "additionalProperties": { "anyOf": [{ "type": "string" }, { "const": true }] } },
                "secret": entries(None),
                "call": entries(None),
            },
        },
    ] })
}

#[cfg(test)]
mod tests;
