//! `odeon:plugin/rmi`: other plugins' methods by name.
//!
//! **Invariant:** a plugin or a method that no grant names is not looked for:
//! what is loaded is not for everybody to know.

use std::time::Instant;

use odeon_protocol::{
    Code, Fault, Fingerprint, MemberPath, MethodPath, PluginName, Retry, resolve_member, wire,
};

use crate::bindings::odeon::plugin::rmi::{self, Host};
use crate::links::{Outgoing, PassedOn, Target, too_large};
use crate::plugin::{MethodId, Plugin};
use crate::state::HostState;
use crate::warrant::Present;

impl Host for HostState {
    async fn call(
        &mut self,
        method: String,
        fingerprint: Option<String>,
        args: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, rmi::Fault>> {
        let outgoing = Outgoing::of(self)?;
        let present = self.present().clone();
        let outcome = match Wanted::read(&method, fingerprint.as_deref()) {
            Ok(wanted) => {
                let function = wanted.member.to_string();
                let target = Target {
                    plugin: &wanted.plugin,
                    interface: None,
                    function: &function,
                };
                match wanted.may_be_called(&present) {
                    Ok(()) => {
                        let find = |plugin: &Plugin, args: &[u8]| wanted.find(&present, plugin, args);
                        outgoing.enter_and_call(target, find, args).await
                    }
                    Err(fault) => {
                        outgoing.not_made(target, Instant::now(), &fault);
                        Err(fault)
                    }
                }
            }
            Err(fault) => Err(fault),
        };
        match self.came_back(outcome) {
            Ok(bytes) => Ok(Ok(bytes)),
            // As a value, where a linked import could not say it.
            Err(ended) => ended.downcast().map(|PassedOn(fault)| Err(told(fault))),
        }
    }
}

/// What a guest wants to call.
struct Wanted {
    plugin: PluginName,
    member: MemberPath,
    fingerprint: Option<Fingerprint>,
}

impl Wanted {
    fn read(method: &str, fingerprint: Option<&str>) -> Result<Self, Fault> {
        let path: MethodPath = method.parse()?;
        let fingerprint = fingerprint.map(str::parse::<Fingerprint>).transpose();
        let fingerprint = fingerprint.map_err(|error: odeon_protocol::InvalidId| {
            Fault::new(Code::InvalidArguments, error.to_string())
        })?;
        Ok(Wanted {
            plugin: path.plugin().clone(),
            member: path.member().clone(),
            fingerprint,
        })
    }

    /// The method in this generation, if it may be called so.
    fn find(&self, present: &Present, plugin: &Plugin, args: &[u8]) -> Result<MethodId, Fault> {
        let methods = plugin.methods();
        let exports: Vec<(Option<&str>, &str)> = methods
            .iter()
            .map(|method| (method.interface.as_deref(), &*method.function))
            .collect();
        let granted = present.now();
        let grants = granted.set();
        let index = resolve_member(&exports, &self.member).map_err(|error| {
            // Whoever may not call all of them is not told what they are called.
            let all = grants.call(&self.plugin, &self.member, |_| false);
            all.map_or_else(
                |denied| self.denied(present, &denied.to_string()),
                |()| error.into(),
            )
        })?;
        let is = |granted: &MemberPath| resolve_member(&exports, granted) == Ok(index);
        let allowed = grants.call(&self.plugin, &self.member, is);
        allowed.map_err(|denied| self.denied(present, &denied.to_string()))?;
        let method = methods
            .get(index)
            .ok_or_else(|| Fault::new(Code::MethodNotFound, "the plugin has no such method"))?;
        let is = Fingerprint::of(&method.ty);
        if let Some(wanted) = self.fingerprint.filter(|wanted| *wanted != is) {
            return Err(Fault::new(
                Code::VersionMismatch,
                format!(
                    "expected {} with the fingerprint {wanted}, found {is}; build the caller against this version",
                    self.member
                ),
            ));
        }
        wire::validate_args(&method.ty, args, plugin.value_limits())
            .map_err(too_large)
            .inspect_err(|fault| plugin.refused(fault))?;
        Ok(method.id)
    }

    fn may_be_called(&self, present: &Present) -> Result<(), Fault> {
        let granted = present.now();
        let allowed = granted.set().calls_of(&self.plugin, &self.member);
        allowed.map_err(|denied| self.denied(present, &denied.to_string()))
    }

    fn denied(&self, present: &Present, reason: &str) -> Fault {
        let target = format!("{}/{}", self.plugin, self.member);
        let wanted = odeon_authority::Wanted::Call {
            plugin: &self.plugin,
            method: &self.member,
        };
        present.deny("call", &target, reason, &wanted);
        Fault::new(Code::CallDenied, reason)
    }
}

/// A fault as a guest sees it.
fn told(fault: Fault) -> rmi::Fault {
    let retry = match fault.retry() {
        Retry::Safe => rmi::Retry::Safe,
        Retry::Unsafe => rmi::Retry::Unsafe,
        Retry::Never => rmi::Retry::Never,
    };
    rmi::Fault {
        code: fault.code.to_string(),
        kind: fault.kind().as_str().to_owned(),
        chain: fault.chain(),
        message: fault.message,
        retry,
    }
}
