//! A sink that remembers what observing left behind, and what is in a dump.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use odeon_runtime::{CoreDump, DumpOrder, DumpSink, LeftOut, Runtime, StoppedCall};
use wasmparser::{Encoding, KnownCustom, Parser, Payload};

/// What a plugin's calls left.
#[derive(Default)]
pub(crate) struct Left {
    dumps: Mutex<Vec<(StoppedCall, Vec<u8>)>>,
    left_out: Mutex<Vec<LeftOut>>,
}

impl DumpSink for Left {
    fn dumped(&self, dump: CoreDump<'_>) {
        let dump = (dump.call.clone(), dump.bytes.to_vec());
        self.dumps.lock().unwrap().push(dump);
    }

    fn left_out(&self, _: &StoppedCall, why: LeftOut) {
        self.left_out.lock().unwrap().push(why);
    }
}

impl Left {
    /// The dumps, when all are written.
    pub(crate) async fn dumps(&self, runtime: &Runtime) -> Vec<(StoppedCall, Vec<u8>)> {
        runtime.dumps_written().await;
        self.dumps.lock().unwrap().clone()
    }

    /// Why there were none, when all are written.
    pub(crate) async fn left_out(&self, runtime: &Runtime) -> Vec<LeftOut> {
        runtime.dumps_written().await;
        self.left_out.lock().unwrap().clone()
    }

    /// An order of so many.
    pub(crate) fn order(self: &Arc<Self>, traps: u32) -> DumpOrder {
        DumpOrder {
            traps,
            time: Duration::from_secs(600),
            largest: 256 << 20,
            sink: self.clone(),
        }
    }
}

/// What a core dump says: how many modules, instances and frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) name: String,
    pub(crate) modules: usize,
    pub(crate) instances: usize,
    pub(crate) frames: usize,
    pub(crate) data: u32,
}

/// Reads a dump as any tool would.
#[track_caller]
pub(crate) fn read(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.expect("a core dump is WebAssembly") {
            Payload::Version { encoding, .. } => assert_eq!(encoding, Encoding::Module),
            Payload::DataSection(section) => read.data = section.count(),
            Payload::CustomSection(section) => match section.as_known() {
                KnownCustom::CoreDump(dump) => read.name = dump.name.to_owned(),
                KnownCustom::CoreDumpModules(dump) => read.modules = dump.modules.len(),
                KnownCustom::CoreDumpInstances(dump) => read.instances = dump.instances.len(),
                KnownCustom::CoreDumpStack(dump) => read.frames = dump.frames.len(),
                _ => {}
            },
            _ => {}
        }
    }
    read
}
