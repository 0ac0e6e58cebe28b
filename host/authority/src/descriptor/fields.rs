//! The fields of a descriptor: one table.
//!
//! Owns their names and forms. What the parser takes and what the published
//! schema says both come from here, so that neither knows a field that the other
//! does not.

use std::{collections::BTreeMap, path::PathBuf};

use odeon_protocol::PluginName;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    grant::GrantSet,
    limits::LimitsPatch,
    link::Links,
    placement::{ClassWish, InstanceMode, Placing},
    route::Route,
    unit::Patience,
};

/// One field of a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorField {
    /// Its name in the file.
    pub name: &'static str,
    /// Whether a descriptor without it is refused.
    pub required: bool,
    /// What it says.
    pub about: &'static str,
    pub(super) form: Form,
}

/// What a field looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// The path of a file.
    Path,
    /// The name of a plugin.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number from 1 to this one.
    Count(u32),
    /// A [`Patience`].
    Time,
    /// A table of limits.
    Limits,
    /// Grants, in either of their forms.
    Grants,
    /// A table of texts.
    Texts,
    /// A table of paths, under the names of secrets.
    Secrets,
    /// A table of plugins, under the names of interfaces.
    Links,
    /// A [`Route`], in parts.
    Route,
    /// Nothing yet: the name is kept for later.
    Reserved,
}

macro_rules! fields {
    (
        required { $($need:literal $needed:ident: $need_type:ty, $need_form:expr, $need_about:literal;)+ }
        optional { $($text:literal $field:ident: $type:ty, $form:expr, $about:literal;)+ }
        reserved { $($kept:literal $keeper:ident: $kind:ident, $kept_about:literal;)+ }
    ) => {
        $(/// A field that nothing can be said by yet.
        #[derive(Default)]
        pub(super) struct $kind;

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(D::Error::custom(reserved($kept)))
            }
        })+

        /// A descriptor as it is written.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Written {
            $(#[serde(rename = $need)]
            pub(super) $needed: $need_type,)+
            $(#[serde(rename = $text, default)]
            pub(super) $field: $type,)+
            $(#[serde(rename = $kept, default)]
            $keeper: $kind,)+
        }

        impl super::Descriptor {
            /// Every field of a descriptor, in the order of the documentation.
            pub const FIELDS: &[DescriptorField] = &[
                $(DescriptorField { name: $need, required: true, about: $need_about, form: $need_form },)+
                $(DescriptorField { name: $text, required: false, about: $about, form: $form },)+
                $(DescriptorField { name: $kept, required: false, about: $kept_about, form: Form::Reserved },)+
            ];
        }
    };
}

/// What is said about a name that is kept for later.
fn reserved(name: &str) -> String {
    format!("`{name}` is reserved for a later version, and says nothing in this one; leave it out")
}

fields! {
    required {
        "source" source: PathBuf, Form::Path, "The component file. A relative path is relative to the descriptor's folder.";
    }
    optional {
        "name" name: Option<PluginName>, Form::Name,
            "The name to load it under. Absent: as its signature or manifest says.";
        "signed-as" signed_as: Option<PluginName>, Form::Name,
            "The name that the file is signed for, if it is meant to stand in for another one.";
        "instance" instance: Option<InstanceMode>, Form::Word(&["fresh", "resident"]),
            "Whether every call gets an instance of its own, or instances keep their state between calls.";
        "workers" workers: Option<u32>, Form::Count(Placing::MAX_WORKERS),
            "How many resident instances share the calls.";
        "class" class: Option<ClassWish>, Form::Word(&["fast", "async", "heavy"]),
            "The engine class. Absent: the host chooses.";
        "grants" grants: GrantSet, Form::Grants,
            "What the plugin may touch, as far as it asks for it and the trust policy leaves it. Absent: nothing.";
        "limits" limits: LimitsPatch, Form::Limits,
            "What the plugin may cost, where that is not what the host's configuration says.";
        "config" config: BTreeMap<String, String>, Form::Texts,
            "Values of the plugin's configuration.";
        "secrets" secrets: BTreeMap<String, PathBuf>, Form::Secrets,
            "For each secret the file that holds it, which only its owner can read.";
        "links" links: Links, Form::Links,
            "For each interface that the component imports from another plugin the name of that plugin.";
        "http" http: Option<Route>, Form::Route,
            "Where the plugin is served over HTTP: `path` on the listener `listener` of the host's configuration, which can be left out where there is one. Absent: nowhere.";
        "drain" drain: Option<Patience>, Form::Time,
            "How long calls may go on when the host replaces or unloads the plugin because its descriptor or component has changed. Absent: as the host is configured.";
        "health-window" health_window: Option<Patience>, Form::Time,
            "How long a new generation is watched then, and replaced by the old one if it traps. 0s: not at all. Absent: 10s.";
    }
    reserved {
        "accept" _accept: Accept, "Reserved for a later version: a descriptor that has it is refused.";
        "forward" _forward: Forward, "Reserved for a later version: a descriptor that has it is refused.";
    }
}
