//! A load that failed after it was decided that it may.
//!
//! Owns what goes on record about it: how far it came, and everything that did
//! not fit. The fault that the caller gets is the same with or without.

use odeon_authority::{FailedLoad, LoadStep, Text};
use odeon_protocol::{Code, Digest, Fault, PluginName};
use odeon_runtime::{LinkReport, LoadError};

use super::{LetIn, Ready, blocking};
use crate::host::Host;

/// Why a load failed, and at which step.
pub(crate) struct Failed {
    /// None: that it failed is on record already, as a decision.
    step: Option<LoadStep>,
    mismatches: Vec<String>,
    fault: Box<Fault>,
}

/// What is known of a load before it fails.
pub(crate) struct About {
    name: PluginName,
    digest: Digest,
    principal: Text,
}

impl Failed {
    /// At this step.
    pub(super) fn at(step: LoadStep) -> impl Fn(Fault) -> Self {
        move |fault| Failed {
            step: Some(step),
            mismatches: Vec::new(),
            fault: Box::new(fault),
        }
    }

    /// By a decision, which says so itself.
    pub(super) fn on_record(fault: Fault) -> Self {
        Failed {
            step: None,
            mismatches: Vec::new(),
            fault: Box::new(fault),
        }
    }
}

impl From<LoadError> for Failed {
    fn from(error: LoadError) -> Self {
        let step = match &error {
            LoadError::Compile(_) => LoadStep::Compile,
            LoadError::Link(_) | LoadError::ProviderMissing(_) | LoadError::Lifecycle(_) => LoadStep::Link,
            LoadError::DoesNotFit(_) | LoadError::LimitUnsupported(_) => LoadStep::Fit,
            LoadError::Engine(_) => LoadStep::Publish,
        };
        let mismatches = match &error {
            LoadError::Link(report) => lines(report),
            _ => Vec::new(),
        };
        Failed {
            step: Some(step),
            mismatches,
            fault: Box::new(error.into()),
        }
    }
}

/// One line for each thing that does not link.
fn lines(report: &LinkReport) -> Vec<String> {
    let one_line = |text: String| text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    let mismatches = report.mismatches.iter().map(ToString::to_string);
    let mut lines: Vec<String> = mismatches.map(one_line).collect();
    lines.extend(report.engine.clone());
    if report.more > 0 {
        lines.push(format!("and {} more", report.more));
    }
    lines
}

/// What is wrong, without the list where that is told line by line.
fn reason<'a>(message: &'a str, mismatches: &[String]) -> &'a str {
    let first = message.lines().next().unwrap_or(message);
    match mismatches {
        [] => message,
        _ => first.trim_end_matches(':'),
    }
}

impl About {
    pub(super) fn new(host: &Host, let_in: &LetIn) -> Self {
        let admitted = &let_in.admitted;
        let principal = admitted.request.principal.as_ref();
        About {
            name: admitted.admission.name().clone(),
            digest: *admitted.admission.digest(),
            principal: principal.unwrap_or(&host.inner.principal).to_string().into(),
        }
    }

    /// Of what only has to be put into service.
    pub(crate) fn of(ready: &Ready) -> Self {
        let loaded = &ready.loaded;
        About {
            name: loaded.name.clone(),
            digest: loaded.origin.digest,
            principal: loaded.origin.principal.to_string().into(),
        }
    }
}

impl Host {
    /// Writes down that the state was not handed to what was ready to serve, and
    /// gives the fault to answer with.
    pub(crate) async fn note_not_handed_over(&self, ready: &Ready, fault: Fault) -> Fault {
        let about = About::of(ready);
        self.note_failed(about, Failed::at(LoadStep::Handover)(fault))
            .await
    }

    /// Writes down that it failed, and gives the fault to answer with.
    pub(super) async fn note_failed(&self, about: About, failed: Failed) -> Fault {
        let (host, fault) = (self.clone(), Fault::clone(&failed.fault));
        let noted = blocking(move || host.note_failed_now(about, failed)).await;
        noted.unwrap_or(fault)
    }

    /// The same. Blocks on the disk. A load that the end of the host broke off
    /// says nothing about the component.
    pub(crate) fn note_failed_now(&self, about: About, failed: Failed) -> Fault {
        let Failed {
            step,
            mismatches,
            fault,
        } = failed;
        let fault = *fault;
        let Some(step) = step.filter(|_| fault.code != Code::Draining) else {
            return fault;
        };
        let About {
            name,
            digest,
            principal,
        } = about;
        let serving = self.inner.registry.get(&name).ok();
        let failed = FailedLoad {
            digest: Some(digest),
            step,
            code: fault.code,
            reason: reason(&fault.message, &mismatches).into(),
            mismatches: Text::list(&mismatches),
            serving: serving.map(|loaded| loaded.generation),
            principal,
        };
        if !self.inner.recorder.load_failed(&name, failed) {
            tracing::error!(plugin = name.as_str(), %fault, "a load failed, and that could not be recorded");
        }
        fault
    }
}
