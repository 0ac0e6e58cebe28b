//! What the audit records. Every text in it is bounded; no field is for a secret.

use odeon_protocol::{Code, Digest, Generation, PluginName, Serial};
use serde::Serialize;

use crate::{key::KeyId, words::is_unsafe};

/// A text of at most [`Text::MAX`] bytes on one line, without control
/// characters and without those that change the direction of writing; longer
/// ones are cut and end with `…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// The longest text, in bytes, without the mark of a cut.
    pub const MAX: usize = 512;
    const MAX_LIST: usize = 64;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// These texts, with the number of the rest in the place of those beyond 64.
    pub fn list(texts: &[String]) -> Vec<Text> {
        let mut list: Vec<Text> = texts
            .iter()
            .take(Self::MAX_LIST)
            .map(|text| Text::from(text.as_str()))
            .collect();
        if texts.len() > Self::MAX_LIST {
            list.push(Text(format!("… and {} more", texts.len() - Self::MAX_LIST)));
        }
        list
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut kept = String::new();
        for c in text.chars() {
            if kept.len() + c.len_utf8() > Self::MAX {
                kept.push('…');
                break;
            }
            kept.push(if is_unsafe(c) { ' ' } else { c });
        }
        Text(kept)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::from(text.as_str())
    }
}

/// Something that was decided or done.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The host began to serve.
    Start {
        /// Odeon's version.
        version: Text,
    },
    /// The host ended.
    Stop {
        /// Why.
        reason: Text,
    },
    /// Whether a component may be loaded. Written before it takes effect.
    Decision {
        /// Yes or no.
        allowed: bool,
        /// The reason's stable code, for a no.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        /// The rule that let it in, or the reason why not.
        reason: Text,
        /// The component.
        digest: Digest,
        /// The name it was to be loaded under.
        name: Option<PluginName>,
        /// Its version.
        version: Option<Text>,
        /// The key that let it in.
        signed_by: Option<KeyId>,
        /// Not to be loaded again after a restart.
        transient: bool,
        /// What it may touch.
        grants: Vec<Text>,
        /// Who asked.
        principal: Text,
        /// The row or word that decided.
        rule: Text,
    },
    /// A plugin was put into service.
    Load {
        /// Its name.
        name: PluginName,
        /// Its generation.
        generation: Generation,
        /// The component.
        digest: Digest,
        /// Who asked.
        principal: Text,
    },
    /// A plugin was put into service in the place of another generation.
    Replace {
        /// Its name.
        name: PluginName,
        /// The generation that served until then.
        from: Generation,
        /// The one that serves from then on.
        to: Generation,
        /// The component.
        digest: Digest,
        /// Who asked.
        principal: Text,
    },
    /// A generation that had been replaced came back, because its successor was
    /// bad.
    Rollback {
        /// Its name.
        name: PluginName,
        /// The generation that was bad.
        from: Generation,
        /// The number under which the one before it serves again.
        to: Generation,
        /// The component that serves again.
        digest: Digest,
        /// Why.
        reason: Text,
    },
    /// A component that was let in did not get into service.
    LoadFailed {
        /// The name it was to be loaded under.
        name: PluginName,
        /// What failed.
        #[serde(flatten)]
        failed: FailedLoad,
        /// How often since the last line about the same.
        count: u64,
    },
    /// A plugin was taken out of service.
    Unload {
        /// Its name.
        name: PluginName,
        /// Its generation.
        generation: Generation,
        /// Why: asked for, revoked, …
        reason: Text,
        /// Who asked.
        principal: Text,
    },
    /// The calls that an unload of somebody else's waited for were ended.
    /// Written before they are.
    Hurry {
        /// Its name.
        name: PluginName,
        /// Its generation.
        generation: Generation,
        /// Who asked.
        principal: Text,
    },
    /// What a loaded plugin may use was changed. What it loses it has lost by
    /// then; what it gains it gets when this is on disk.
    GrantChange {
        /// Its name.
        name: PluginName,
        /// Its generation.
        generation: Generation,
        /// What it may use from now on.
        added: Vec<Text>,
        /// What it may not use any more.
        removed: Vec<Text>,
        /// Whose word it was.
        rule: Text,
        /// Who asked.
        principal: Text,
    },
    /// Core dumps of a plugin were ordered, or not wanted any more. Written before
    /// that takes effect.
    DumpOrder {
        /// Its name.
        name: PluginName,
        /// Its generation.
        generation: Generation,
        /// How many calls that trap leave one; none any more at 0.
        traps: u32,
        /// For how long, in milliseconds.
        for_ms: u64,
        /// Who asked.
        principal: Text,
    },
    /// A call that trapped left a core dump, or none although one was wanted.
    CoreDump {
        /// Which plugin.
        plugin: PluginName,
        /// Its generation.
        generation: Generation,
        /// The request, where it had a serial.
        #[serde(skip_serializing_if = "Option::is_none")]
        serial: Option<Serial>,
        /// The code of the fault that its caller got.
        code: Code,
        /// Where the dump is.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<Text>,
        /// Why there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        left_out: Option<Text>,
    },
    /// A profile of a plugin was begun, or ended by an operator. Written before it
    /// is begun.
    Profile {
        /// Its name.
        name: PluginName,
        /// Its generation.
        generation: Generation,
        /// For how long, in milliseconds; 0 where it was ended.
        for_ms: u64,
        /// Who asked.
        principal: Text,
    },
    /// A plugin used what it has no grant for.
    Denial {
        /// Which plugin.
        plugin: PluginName,
        /// What kind of grant was missing: `tcp`, `fs`, `secret`, …
        grant: Text,
        /// What it tried to reach.
        target: Text,
        /// Why it was refused: the nearest rule, where one concerned it.
        reason: Text,
        /// Whose word it is that it may not, where that can be told.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<Text>,
        /// The plugins it worked for, outermost first, and itself; empty where
        /// it worked for none.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        chain: Vec<Text>,
        /// How often since the last line about the same.
        count: u64,
    },
    /// A limit stopped a plugin.
    LimitStop {
        /// Which plugin.
        plugin: PluginName,
        /// The fault's stable code.
        code: Code,
        /// The method that ran.
        method: Text,
        /// How often since the last line about the same.
        count: u64,
    },
    /// A plugin was shown a secret.
    SecretReveal {
        /// Which plugin.
        plugin: PluginName,
        /// The secret's name.
        secret: Text,
        /// How often since the last line about the same.
        count: u64,
    },
    /// The trust policy was changed.
    TrustChange {
        /// What was done.
        change: Text,
        /// Who did it.
        principal: Text,
    },
    /// A request was cancelled by somebody.
    Cancel {
        /// The request.
        serial: Serial,
        /// Who asked.
        principal: Text,
    },
    /// The last line of a segment of the log.
    Rotate {
        /// The number of the segment's first line; the file is named after it.
        first: u64,
        /// The number of the next segment's first line.
        next: u64,
    },
    /// The end of the log was put right after a crash, or after somebody
    /// wrote there; what did not belong there is in `audit.torn`.
    Recovered {
        /// How many bytes were moved away.
        bytes_moved: u64,
    },
}

/// Why a component that was let in did not get into service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct FailedLoad {
    /// The component; not told where several stand in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// How far it came.
    pub step: LoadStep,
    /// The reason's stable code.
    pub code: Code,
    /// The reason.
    pub reason: Text,
    /// Everything that does not fit, where more than one thing may not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<Text>,
    /// The generation that serves on, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<Generation>,
    /// Who asked.
    pub principal: Text,
}

/// The steps of a load that come after the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadStep {
    /// Settling limits, configuration and placing.
    Settle,
    /// Compiling it.
    Compile,
    /// Linking its imports.
    Link,
    /// Fitting one instance of it into its limits.
    Fit,
    /// Its own `load`.
    Hook,
    /// Taking over the state of the generation that it was to replace.
    Handover,
    /// Putting it into service.
    Publish,
}
