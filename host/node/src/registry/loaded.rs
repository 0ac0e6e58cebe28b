//! One loaded generation, as the host sees it.
//!
//! Owns the table from a method's text to its number, so that the path of a
//! call by name is two lookups: every form that stands for one method alone is
//! in it. What is not in it takes the slow way, which also says why.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use odeon_authority::{Descriptor, GrantSet, Offer, Terms};
use odeon_protocol::wire::Validator;
use odeon_protocol::{
    Code, Fault, Fingerprint, FunctionType, Generation, MemberPath, PluginName, Problem, ValueError,
    ValueLimits, resolve_member,
};
use odeon_runtime::{MethodId, Plugin, WebHandler};

use super::{Origin, ServedAt};
use crate::load::{LoadRequest, Source};

/// A generation that was put into service.
pub(crate) struct Loaded {
    pub(crate) name: PluginName,
    pub(crate) generation: Generation,
    pub(crate) plugin: Plugin,
    pub(crate) origin: Origin,
    /// Where it is served over HTTP, if it is.
    pub(crate) route: Option<ServedAt>,
    pub(crate) limits: ValueLimits,
    methods: Vec<MethodEntry>,
    /// Which of them answers HTTP requests, if one does.
    web_handler: Option<(usize, WebHandler)>,
    forms: Forms,
    draining: AtomicBool,
    /// The policy has denied it while it was loaded: no code of it runs again.
    condemned: AtomicBool,
    /// What the operator allows it, where he said so after it was loaded.
    allowed: ArcSwapOption<GrantSet>,
    /// Why its unload is not on record, if it is not.
    unrecorded: OnceLock<Fault>,
}

/// A method and all that a call of it needs.
pub(crate) struct MethodEntry {
    pub(crate) id: MethodId,
    pub(crate) interface: Option<Arc<str>>,
    pub(crate) function: Arc<str>,
    pub(crate) ty: Arc<FunctionType>,
    pub(crate) fingerprint: Fingerprint,
    /// `plugin/` and the shortest text that names the method.
    pub(crate) path: Arc<str>,
    validator: Validator,
}

impl Loaded {
    pub(crate) fn new(plugin: Plugin, origin: Origin, route: Option<ServedAt>) -> Self {
        let spec = plugin.spec();
        let (name, generation) = (spec.name.clone(), spec.generation);
        let message = usize::try_from(spec.limits.message.bytes()).unwrap_or(usize::MAX);
        let limits = ValueLimits {
            max_bytes: message,
            max_depth: usize::try_from(spec.limits.value_depth).unwrap_or(ValueLimits::MAX_DEPTH),
            max_nodes: (message / 4).max(1),
            max_text: ValueLimits::MAX_TEXT,
        };
        let exports = plugin
            .methods()
            .iter()
            .map(|method| (method.interface.as_deref(), &*method.function));
        let forms = Forms::of(exports);
        let methods = plugin
            .methods()
            .iter()
            .enumerate()
            .map(|(index, method)| MethodEntry {
                id: method.id,
                interface: method.interface.clone(),
                function: method.function.clone(),
                ty: method.ty.clone(),
                fingerprint: Fingerprint::of(&method.ty),
                path: format!(
                    "{name}/{}",
                    forms.shortest(method.interface.as_deref(), &method.function, index)
                )
                .into(),
                validator: Validator::new(&method.ty),
            })
            .collect::<Vec<MethodEntry>>();
        let web_handler = plugin.web_handler().and_then(|handler| {
            let index = methods.iter().position(|method| method.id == handler.method())?;
            Some((index, handler))
        });
        Loaded {
            name,
            generation,
            plugin,
            origin,
            route,
            limits,
            methods,
            web_handler,
            forms,
            draining: AtomicBool::new(false),
            condemned: AtomicBool::new(false),
            allowed: ArcSwapOption::empty(),
            unrecorded: OnceLock::new(),
        }
    }

    /// A generation that was replaced, in service again under another number.
    pub(crate) fn revived(before: &Loaded, number: Generation, route: Option<ServedAt>) -> Self {
        before.plugin.revive(number);
        Loaded {
            generation: number,
            allowed: ArcSwapOption::new(before.allowed.load_full()),
            ..Loaded::new(before.plugin.clone(), before.origin.clone(), route)
        }
    }

    /// What was decided upon, with the operator's terms of now.
    pub(crate) fn offered(&self) -> Option<(&Offer, Terms)> {
        let (offer, terms) = self.origin.offered.as_deref()?;
        let mut terms = terms.clone();
        if let Some(allowed) = self.allowed.load_full() {
            terms.grants = Some(GrantSet::clone(&allowed));
        }
        Some((offer, terms))
    }

    /// The load as it was asked, with the operator's terms of now. Where a file
    /// says them, it is read again.
    pub(crate) fn asked(&self) -> LoadRequest {
        let asked = &self.origin.asked;
        match (&asked.source, &asked.grants) {
            (Source::Descriptor(_), None) => asked.clone(),
            _ => self.on_terms_of_now(asked),
        }
    }

    /// The descriptor that it was loaded from, with the grants of now.
    pub(crate) fn described(&self) -> Option<Arc<Descriptor>> {
        let described = self.origin.complete.described.as_ref()?;
        Some(match self.allowed.load_full() {
            None => described.clone(),
            Some(allowed) => Arc::new(Descriptor {
                grants: GrantSet::clone(&allowed),
                ..Descriptor::clone(described)
            }),
        })
    }

    /// The same with what a descriptor said filled in.
    pub(crate) fn complete(&self) -> LoadRequest {
        self.on_terms_of_now(&self.origin.complete)
    }

    fn on_terms_of_now(&self, request: &LoadRequest) -> LoadRequest {
        let mut request = request.clone();
        if let Some(allowed) = self.allowed.load_full() {
            request.grants = Some(GrantSet::clone(&allowed));
        }
        request
    }

    /// From now on the operator allows it this.
    pub(crate) fn allow(&self, grants: GrantSet) {
        self.allowed.store(Some(Arc::new(grants)));
    }

    pub(crate) fn methods(&self) -> &[MethodEntry] {
        &self.methods
    }

    /// The number of the method that a text behind `plugin/` stands for.
    #[inline]
    pub(crate) fn find(&self, member: &str) -> Result<usize, Fault> {
        match self.forms.0.get(member) {
            Some(Form::One(index)) => Ok(*index),
            _ => self.search(member),
        }
    }

    /// The number of the method that has this one's name, whatever the version
    /// of its interface is.
    pub(crate) fn find_same(&self, method: &MethodEntry) -> Result<usize, Fault> {
        let interface = method.interface.as_deref();
        self.find(&written(interface, &method.function)).or_else(|fault| {
            match any_version(interface, &method.function).first() {
                Some(member) => self.find(member),
                None => Err(fault),
            }
        })
    }

    /// The number of the method that answers HTTP requests, and what the
    /// runtime needs for that.
    pub(crate) fn web_handler(&self) -> Option<(usize, WebHandler)> {
        self.web_handler
    }

    #[inline]
    pub(crate) fn method(&self, index: usize) -> Result<&MethodEntry, Fault> {
        self.methods
            .get(index)
            .ok_or_else(|| Fault::new(Code::MethodNotFound, "the plugin has no such method"))
    }

    #[cold]
    fn search(&self, member: &str) -> Result<usize, Fault> {
        let path: MemberPath = member.parse()?;
        let exports: Vec<(Option<&str>, &str)> = self
            .methods
            .iter()
            .map(|method| (method.interface.as_deref(), &*method.function))
            .collect();
        Ok(resolve_member(&exports, &path)?)
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::Relaxed)
    }

    pub(crate) fn condemn(&self) {
        self.condemned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why its unload is not on record. Said before the name is free again.
    pub(crate) fn unrecorded(&self) -> Option<&Fault> {
        self.unrecorded.get()
    }

    pub(crate) fn set_unrecorded(&self, fault: Fault) {
        // There is one unload of a generation; of two faults the first is as good.
        self.unrecorded.get_or_init(|| fault);
    }
}

impl MethodEntry {
    /// Checks arguments in the wire form. The runtime relies on it.
    #[inline]
    pub(crate) fn check(&self, args: &[u8], limits: &ValueLimits) -> Result<(), Fault> {
        self.validator.check_args(args, limits).map_err(bad_arguments)
    }
}

/// What a caller is told whose arguments do not fit.
#[cold]
pub(crate) fn bad_arguments(error: ValueError) -> Fault {
    let (code, limit) = match error.problem {
        Problem::TooLong { .. } | Problem::TooManyNodes { .. } => (Code::MessageTooLarge, Some("message")),
        Problem::TooDeep { .. } => (Code::MessageTooLarge, Some("value-depth")),
        Problem::Handle { .. } => (Code::NotCarriable, None),
        _ => (Code::InvalidArguments, None),
    };
    let details = match limit {
        Some(limit) => serde_json::json!({ "path": error.path, "limit": limit }),
        None => serde_json::json!({ "path": error.path }),
    };
    Fault::new(code, error.to_string()).with_details(details)
}

/// Every text that names a method inside one component.
struct Forms(HashMap<Box<str>, Form>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    One(usize),
    Many,
}

impl Forms {
    /// The same answers as `resolve_member`, for all texts at once: an exact
    /// interface counts before one without its version, and that before a
    /// short one.
    fn of<'a>(exports: impl Iterator<Item = (Option<&'a str>, &'a str)> + Clone) -> Self {
        let mut forms = HashMap::new();
        for rank in [exact, any_version, short] {
            let mut of_rank: HashMap<Box<str>, Form> = HashMap::new();
            for (index, (interface, function)) in exports.clone().enumerate() {
                for text in rank(interface, function) {
                    match of_rank.entry(text.into()) {
                        Entry::Vacant(free) => {
                            free.insert(Form::One(index));
                        }
                        Entry::Occupied(taken) if *taken.get() == Form::One(index) => {}
                        Entry::Occupied(mut taken) => {
                            taken.insert(Form::Many);
                        }
                    }
                }
            }
            for (text, form) in of_rank {
                forms.entry(text).or_insert(form);
            }
        }
        Forms(forms)
    }

    fn shortest(&self, interface: Option<&str>, function: &str, index: usize) -> String {
        // A short interface with its version is taken, and never shown.
        let mut texts = short(interface, function);
        texts.truncate(2);
        texts.extend(any_version(interface, function));
        texts.extend(exact(interface, function));
        let fits = |text: &String| self.0.get(text.as_str()) == Some(&Form::One(index));
        texts
            .into_iter()
            .find(fits)
            .unwrap_or_else(|| written(interface, function))
    }
}

fn written(interface: Option<&str>, function: &str) -> String {
    interface.map_or_else(
        || function.to_owned(),
        |interface| format!("{interface}.{function}"),
    )
}

fn exact(interface: Option<&str>, function: &str) -> Vec<String> {
    vec![written(interface, function)]
}

fn any_version(interface: Option<&str>, function: &str) -> Vec<String> {
    let name = interface.map(|interface| interface.split_once('@').map_or(interface, |(name, _)| name));
    name.map(|name| format!("{name}.{function}"))
        .into_iter()
        .collect()
}

fn short(interface: Option<&str>, function: &str) -> Vec<String> {
    let Some(interface) = interface else {
        return Vec::new();
    };
    let (name, version) = match interface.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (interface, None),
    };
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let mut texts = vec![function.to_owned(), format!("{last}.{function}")];
    texts.extend(version.map(|version| format!("{last}@{version}.{function}")));
    texts
}

#[cfg(test)]
mod tests;
