//! Plugins beside each other, without a host around them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odeon_protocol::{Fault, PluginName};
use odeon_runtime::{Neighbours, Plugin, Runtime};
use odeon_tests::runtime::{Spec, runtime, spec};

/// What `guest-caller` imports and both export.
pub(crate) const STEPS: &str = "odeon-tests:links/steps";

/// A runtime, and plugins that see each other.
#[derive(Clone)]
pub(crate) struct Town {
    pub(crate) runtime: Runtime,
    people: Arc<People>,
}

#[derive(Default)]
struct People {
    plugins: Mutex<BTreeMap<PluginName, Plugin>>,
    ended: Mutex<Vec<String>>,
}

impl Neighbours for People {
    fn plugin(&self, name: &PluginName) -> Option<Plugin> {
        self.plugins.lock().unwrap().get(name).cloned()
    }

    fn ended(&self, plugin: &PluginName, method: &str, fault: &Fault) {
        let line = format!("{plugin} {method} {}", fault.code);
        self.ended.lock().unwrap().push(line);
    }
}

impl Town {
    pub(crate) fn new() -> Self {
        Town {
            runtime: runtime(),
            people: Arc::default(),
        }
    }

    /// A plugin of this town that is linked to that one.
    pub(crate) fn caller(&self, name: &str, provider: &str) -> Spec {
        self.spec(name).link(STEPS, provider)
    }

    pub(crate) fn spec(&self, name: &str) -> Spec {
        spec().name(name).near(self.people.clone())
    }

    /// Puts it into service under its name.
    pub(crate) async fn load(&self, spec: &Spec, guest: &str) -> Plugin {
        let plugin = spec.load(&self.runtime, guest).await;
        self.put(&plugin.spec().name.clone(), &plugin);
        plugin
    }

    /// Has this serve under that name.
    pub(crate) fn put(&self, name: &PluginName, plugin: &Plugin) {
        self.people
            .plugins
            .lock()
            .unwrap()
            .insert(name.clone(), plugin.clone());
    }

    pub(crate) fn remove(&self, name: &str) {
        self.people
            .plugins
            .lock()
            .unwrap()
            .remove(name.parse::<PluginName>().as_ref().unwrap());
    }

    /// Calls of each other that ended with a fault, by plugin, method and code.
    pub(crate) fn ended(&self) -> Vec<String> {
        self.people.ended.lock().unwrap().clone()
    }

    /// A `caller` that is linked to a `provider`, and both.
    pub(crate) async fn pair(&self) -> (Plugin, Plugin) {
        let provider = self.load(&self.spec("provider"), "guest-provider").await;
        let caller = self
            .load(&self.caller("caller", "provider"), "guest-caller")
            .await;
        (caller, provider)
    }
}

/// A plugin that is linked to itself: first to another of that name.
pub(crate) async fn circle(town: &Town, spec: &Spec) -> Plugin {
    let name = spec.build().name;
    let stand_in = town
        .spec(name.as_str())
        .load(&town.runtime, "guest-provider")
        .await;
    town.put(&name, &stand_in);
    town.load(spec, "guest-caller").await
}

/// `perform` with these steps.
pub(crate) fn perform<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> String {
    let steps: Vec<String> = steps
        .into_iter()
        .map(|step| format!("{:?}", step.as_ref()))
        .collect();
    format!("perform([{}])", steps.join(", "))
}

/// `next` so many times, then these steps.
pub(crate) fn onwards(times: usize, steps: &[&str]) -> String {
    perform(std::iter::repeat_n("next", times).chain(steps.iter().copied()))
}

/// Waits until something holds, which must happen soon.
pub(crate) async fn soon(holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(waited.await.is_ok(), "expected something soon");
}
