//! `wasi:filesystem/preopens`: the granted directories.

use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host;

use super::{Filesystem, Place};

impl Host for Filesystem<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let directories = Host::get_directories(&mut self.wasi)?;
        for (root, (descriptor, path)) in (0..).zip(&directories) {
            self.places.0.insert(
                descriptor.rep(),
                Place {
                    root,
                    path: Arc::from(path.as_str()),
                },
            );
        }
        Ok(directories)
    }
}
