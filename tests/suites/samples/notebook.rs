//! The notebook, which is nothing without two others.

use std::time::Duration;

use odeon::{Args, CallOptions, Fault, Host, UnloadMode};
use odeon_protocol::Code;

use crate::host::{host, request};

async fn page(host: &Host, markdown: &str) -> Result<String, Fault> {
    let args = serde_json::json!([markdown]);
    let reply = host
        .call("notebook/compose", Args::Json(&args), CallOptions::default())
        .await?;
    reply.wave()
}

#[tokio::test]
async fn a_page_is_rendered_by_one_plugin_and_numbered_by_another() {
    let host = host();
    host.load(request("markdown")).await.unwrap();
    host.load(request("counter")).await.unwrap();
    let linked = request("notebook")
        .linked("odeon-samples:markdown/renderer", "markdown".parse().unwrap())
        .linked("odeon-samples:counter/counting", "counter".parse().unwrap());
    let report = host.load(linked).await.unwrap();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    for number in 1..=2 {
        assert_eq!(
            page(&host, "# One\n## Two").await.unwrap(),
            format!(
                r#"ok({{number: {number}, contents: ["One", "  Two"], html: "<h1>One</h1>\n<h2>Two</h2>\n"}})"#
            )
        );
    }
    let drain = UnloadMode::Drain(Duration::from_secs(5));
    let counter = "counter".parse().unwrap();
    host.unload(&counter, drain, host.principal()).await.unwrap();
    let fault = page(&host, "# Three").await.unwrap_err();
    assert_eq!(fault.code, Code::LinkUnavailable, "{fault}");
    host.load(request("counter")).await.unwrap();
    assert!(
        page(&host, "# Three")
            .await
            .unwrap()
            .starts_with("ok({number: 1,")
    );
}
