//! A host with a listener, and plugins that are served there.

use std::net::SocketAddr;
use std::time::Duration;

use odeon::{Compiler, Host, HostBuilder, HostLimits, LimitsPatch, ListenerConfig, LoadRequest, WebListener};
use odeon_authority::TimeSpan;
use odeon_tests::guests;
use odeon_tests::web::{Answer, Client};

/// A host and its one listener, `web`.
pub(crate) struct Stage {
    pub(crate) host: Host,
    pub(crate) listener: WebListener,
}

/// How long what must happen soon may take.
const SOON: Duration = Duration::from_secs(20);

pub(crate) fn builder() -> HostBuilder {
    Host::builder(Compiler::InProcess).workers(2)
}

/// Short times, so that whoever is to be disconnected is.
pub(crate) fn short() -> HostLimits {
    HostLimits {
        http_head_time: TimeSpan::millis(400),
        http_idle_time: TimeSpan::millis(1_200),
        http_stall_time: TimeSpan::millis(400),
        ..HostLimits::default()
    }
}

pub(crate) fn config(name: &str) -> ListenerConfig {
    ListenerConfig::plain(name.parse().unwrap(), "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// A load of a guest that is served there.
pub(crate) fn served(guest: &str, name: &str, route: &str) -> LoadRequest {
    LoadRequest::component(guests::component(guest))
        .named(name.parse().unwrap())
        .served_at(route.parse().unwrap())
        .allow_unsigned()
}

impl Stage {
    /// With `guest-web` at `/w`.
    pub(crate) async fn new() -> Self {
        Stage::with(HostLimits::default(), LimitsPatch::default()).await
    }

    pub(crate) async fn with(host_limits: HostLimits, limits: LimitsPatch) -> Self {
        let stage = Stage::empty(builder().host_limits(host_limits)).await;
        let request = served("guest-web", "web", "web/w").with_limits(limits);
        stage.host.load(request).await.expect("the guest loads");
        stage
    }

    pub(crate) async fn empty(builder: HostBuilder) -> Self {
        let host = builder.start().expect("a host starts");
        let listener = host.listen(&config("web")).await.expect("a listener");
        Stage { host, listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Asks on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.client().await.get(path).await.expect("an answer")
    }

    /// Sends these bytes on a connection of their own.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut client = self.client().await;
        client.send(bytes).await.expect("they are sent");
        client.answer().await.expect("an answer")
    }

    /// How often this limit of the plugin's said no.
    pub(crate) fn hits(&self, limit: &str) -> u64 {
        let row = self
            .host
            .list()
            .into_iter()
            .find(|row| row.name.as_str() == "web");
        row.expect("the plugin")
            .limits_hit
            .get(limit)
            .copied()
            .unwrap_or_default()
    }

    /// Waits until no instance is left and no request is open.
    pub(crate) async fn quiet(&self) {
        soon("no request is open and no instance left", || {
            let status = self.host.status();
            status.in_flight.is_empty() && status.plugins.iter().all(|row| row.instances == 0)
        })
        .await;
    }

    /// Shows that the plugin answers, as ever.
    pub(crate) async fn works(&self) {
        let answer = self.get("/w/version").await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "answered by version 1")
        );
    }
}

/// Waits until something holds, which must happen soon.
pub(crate) async fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "expected soon: {what}");
}
