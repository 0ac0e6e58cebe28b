//! The schema of descriptors says what the parser takes, and nothing else.

use std::{collections::BTreeSet, path::Path};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{Descriptor, fields::Written};
use crate::{
    grant::GrantSet,
    limits::{Limits, LimitsPatch},
};

fn parse(text: &str) -> Result<Descriptor, String> {
    Descriptor::parse(text.as_bytes(), Path::new("/plugins.d")).map_err(|error| error.to_string())
}

/// The fields that a parser names when it is given one that it does not know.
fn expected<T: DeserializeOwned>() -> BTreeSet<String> {
    let Err(error) = toml::from_str::<T>("x = 1") else {
        panic!("expected no field of this name");
    };
    let message = error.message().to_owned();
    let (_, list) = message
        .split_once("expected one of ")
        .unwrap_or_else(|| panic!("{message}"));
    let words = list.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn keys(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let properties = schema.pointer(pointer).and_then(Value::as_object);
    properties
        .unwrap_or_else(|| panic!("{pointer}"))
        .keys()
        .cloned()
        .collect()
}

#[test]
fn the_published_schema_is_the_one_that_is_generated() {
    let published = include_str!("../../../../../docs/descriptor.schema.json");
    let published: Value = serde_json::from_str(published).expect("a JSON document");
    assert_eq!(
        published,
        Descriptor::schema(),
        "write it with `odeon schema descriptor > docs/descriptor.schema.json`"
    );
}

#[test]
fn every_key_that_is_parsed_is_in_the_schema_and_the_reverse() {
    let schema = Descriptor::schema();
    assert_eq!(keys(&schema, "/properties"), expected::<Written>());
    assert_eq!(
        keys(&schema, "/properties/limits/properties"),
        expected::<LimitsPatch>()
    );
    assert_eq!(
        keys(&schema, "/properties/grants/anyOf/1/properties"),
        expected::<GrantSet>()
    );
    let required: Vec<&str> = Descriptor::FIELDS
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    assert_eq!(schema["required"], serde_json::json!(required));
    assert!(
        parse("name = \"a\"")
            .unwrap_err()
            .contains("missing field `source`")
    );
}

#[test]
fn defaults_and_examples_of_the_schema_are_taken() {
    let schema = Descriptor::schema();
    for limit in Limits::FIELDS {
        let value = &schema["properties"]["limits"]["properties"][limit.name]["default"];
        parse(&format!("source = \"a\"\n[limits]\n{} = {value}", limit.name)).unwrap();
    }
    for field in ["drain", "health-window"] {
        for example in schema["properties"][field]["examples"].as_array().unwrap() {
            parse(&format!("source = \"a\"\n{field} = {example}")).unwrap();
        }
    }
    for (field, words) in [("instance", 2), ("class", 3)] {
        let values = schema["properties"][field]["enum"].as_array().unwrap();
        assert_eq!(values.len(), words);
        for value in values {
            parse(&format!("source = \"a\"\n{field} = {value}")).unwrap();
        }
    }
}
