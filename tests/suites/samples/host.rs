//! A host, the sample of a test in it, and what it answers.

use odeon::{Args, CallOptions, Compiler, Fault, GrantSet, Host, HostLimits, LoadReport, LoadRequest};
use odeon_authority::TimeSpan;
use odeon_tests::guests;

/// A host with one sample, under the name its manifest gives it.
pub(crate) struct Sample {
    pub(crate) host: Host,
    pub(crate) report: LoadReport,
}

/// A small host. The samples are the project's own, so that they are compiled
/// in this process.
pub(crate) fn host() -> Host {
    Host::builder(Compiler::InProcess)
        .workers(1)
        .host_limits(HostLimits {
            connect_time: TimeSpan::secs(2),
            ..HostLimits::default()
        })
        .start()
        .expect("a host starts")
}

pub(crate) fn request(name: &str) -> LoadRequest {
    LoadRequest::component(guests::component(&format!("sample-{name}"))).allow_unsigned()
}

impl Sample {
    pub(crate) async fn load(name: &str) -> Self {
        Sample::granted(name, &[]).await
    }

    /// With these grants, as on a command line.
    pub(crate) async fn granted(name: &str, grants: &[&str]) -> Self {
        let host = host();
        let grants = GrantSet::parse(grants.iter().copied()).expect("grants");
        let request = request(name).with_grants(grants);
        let report = host.load(request).await.expect("the sample loads");
        assert_eq!(report.name.as_str(), name);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        Sample { host, report }
    }

    /// Calls as people type it: `add(1, 2)`; what it answers, as WAVE.
    pub(crate) async fn ask(&self, invocation: &str) -> String {
        let (function, args) = invocation
            .strip_suffix(')')
            .and_then(|text| text.split_once('('))
            .unwrap();
        let reply = self
            .call(function, Args::Wave(args), CallOptions::default())
            .await;
        match reply {
            Ok(reply) => reply.wave().expect("a reply can be written"),
            Err(fault) => panic!("{invocation}: {fault}"),
        }
    }

    /// Calls with arguments as JSON; what it answers, as JSON.
    pub(crate) async fn ask_json(&self, function: &str, args: &serde_json::Value) -> serde_json::Value {
        match self
            .call(function, Args::Json(args), CallOptions::default())
            .await
        {
            Ok(reply) => reply.json().expect("a reply can be written"),
            Err(fault) => panic!("{function}: {fault}"),
        }
    }

    pub(crate) async fn call(
        &self,
        function: &str,
        args: Args<'_>,
        options: CallOptions,
    ) -> Result<odeon::CallReply, Fault> {
        let path = format!("{}/{function}", self.report.name);
        self.host.call(&path, args, options).await
    }
}
