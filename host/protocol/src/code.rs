//! Stable error codes: one row per thing that can go wrong across a boundary.
//!
//! Owns the one table that says, for every code, its kind, whom to blame and
//! whether trying again is safe. Codes are never reused or renumbered; each
//! has a page in `docs/errors/` (checked by `cargo xtask tidy`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What sort of thing happened. The word callers switch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No such file, plugin, method or request.
    NotFound,
    /// Trust policy, grant or principal said no.
    Denied,
    /// The arguments do not fit the method's type.
    InvalidArgument,
    /// The caller's idea of the method's type is not the plugin's.
    VersionMismatch,
    /// A queue or a limit on calls in flight is full; nothing was started.
    Overloaded,
    /// The caller's own waiting time ended.
    Timeout,
    /// The caller or the operator ended the request.
    Cancelled,
    /// The method returned its own typed error.
    GuestError,
    /// The guest trapped, or a limit of its own stopped it.
    Trapped,
    /// The plugin or instance went away before it answered.
    TargetGone,
    /// Bytes could not be carried, or made no sense.
    Transport,
    /// Known, but not in service now.
    Unavailable,
    /// Not a component, or one that does not compile or link.
    InvalidComponent,
    /// Another state of the world than the operation needs.
    Conflict,
    /// A fault of the host itself.
    Internal,
}

impl Kind {
    /// The word, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::NotFound => "not-found",
            Kind::Denied => "denied",
            Kind::InvalidArgument => "invalid-argument",
            Kind::VersionMismatch => "version-mismatch",
            Kind::Overloaded => "overloaded",
            Kind::Timeout => "timeout",
            Kind::Cancelled => "cancelled",
            Kind::GuestError => "guest-error",
            Kind::Trapped => "trapped",
            Kind::TargetGone => "target-gone",
            Kind::Transport => "transport",
            Kind::Unavailable => "unavailable",
            Kind::InvalidComponent => "invalid-component",
            Kind::Conflict => "conflict",
            Kind::Internal => "internal",
        }
    }
}

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The component that ran.
    Guest,
    /// Odeon.
    Host,
    /// Whoever made the request.
    Peer,
    /// Whoever configured the host.
    Operator,
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// Nothing of the request was executed; sending it again is safe.
    Safe,
    /// It may have been executed in part or whole.
    Unsafe,
    /// The answer will be the same.
    Never,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $kind:ident, $blame:ident, $retry:ident;)+) => {
        /// A stable code. Its text (`ODN-1001`) is part of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order of its number.
            pub const ALL: &[Code] = &[$(Code::$name),+];

            /// The stable text, `ODN-` and four digits.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text),+ }
            }

            /// The code with this text.
            pub fn parse(text: &str) -> Option<Code> {
                match text { $($text => Some(Code::$name),)+ _ => None }
            }

            /// What sort of thing this is.
            pub const fn kind(self) -> Kind {
                match self { $(Code::$name => Kind::$kind),+ }
            }

            /// Whom to blame.
            pub const fn blame(self) -> Blame {
                match self { $(Code::$name => Blame::$blame),+ }
            }

            /// Whether a retry is safe.
            pub const fn retry(self) -> Retry {
                match self { $(Code::$name => Retry::$retry),+ }
            }

            /// One line on what the code means.
            pub const fn summary(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

codes! {
    /// No plugin of this name is loaded.
    PluginNotFound = "ODN-1001", NotFound, Peer, Safe;
    /// The plugin has no such method.
    MethodNotFound = "ODN-1002", NotFound, Peer, Never;
    /// The short form of a method fits more than one.
    MethodAmbiguous = "ODN-1003", InvalidArgument, Peer, Never;
    /// The arguments do not fit the method's type.
    InvalidArguments = "ODN-1004", InvalidArgument, Peer, Never;
    /// The request was made for another type of this method.
    VersionMismatch = "ODN-1005", VersionMismatch, Peer, Never;
    /// Too many calls are in flight or waiting.
    Overloaded = "ODN-1006", Overloaded, Host, Safe;
    /// The caller's waiting time ended; the call was stopped.
    WaitEnded = "ODN-1007", Timeout, Peer, Unsafe;
    /// The request's time to live ended before it was started.
    Expired = "ODN-1008", Timeout, Peer, Safe;
    /// The request was cancelled.
    Cancelled = "ODN-1009", Cancelled, Peer, Unsafe;
    /// The method returned its own error.
    GuestError = "ODN-1010", GuestError, Guest, Unsafe;
    /// The plugin is being unloaded, or the host stops; no calls are taken.
    Draining = "ODN-1011", Unavailable, Operator, Safe;
    /// No request of this serial is known.
    RequestNotFound = "ODN-1012", NotFound, Peer, Never;
    /// A value of the method's type cannot leave its store.
    NotCarriable = "ODN-1013", InvalidArgument, Guest, Never;
    /// The arguments or the result are larger than the message limit.
    MessageTooLarge = "ODN-1014", InvalidArgument, Peer, Never;
    /// The plugin was unloaded while the call ran.
    Unloaded = "ODN-1015", TargetGone, Operator, Unsafe;
    /// A plugin that this one is linked to is not in service.
    LinkUnavailable = "ODN-1016", Unavailable, Operator, Unsafe;

    /// The guest executed a trap (a panic, or an instruction that cannot go on).
    Trapped = "ODN-2001", Trapped, Guest, Unsafe;
    /// The guest reached its memory limit.
    MemoryLimit = "ODN-2002", Trapped, Guest, Unsafe;
    /// The guest ran out of stack.
    StackLimit = "ODN-2003", Trapped, Guest, Unsafe;
    /// The call reached the plugin's deadline.
    DeadlineLimit = "ODN-2004", Trapped, Guest, Unsafe;
    /// The call used up the plugin's CPU time.
    CpuLimit = "ODN-2005", Trapped, Guest, Unsafe;
    /// The guest made the host copy more bytes than it may in one call.
    HostCallBytesLimit = "ODN-2006", Trapped, Guest, Unsafe;
    /// The guest reached its limit of tables or table elements.
    TableLimit = "ODN-2007", Trapped, Guest, Unsafe;
    /// The guest holds as many handles as it may.
    HandleLimit = "ODN-2008", Trapped, Guest, Unsafe;
    /// The guest reached its limit of core instances.
    InstanceLimit = "ODN-2009", Trapped, Guest, Unsafe;
    /// The guest called `exit`.
    GuestExit = "ODN-2010", Trapped, Guest, Unsafe;
    /// The guest returned bytes that are no value of its own result type.
    BadResult = "ODN-2011", Trapped, Guest, Unsafe;
    /// The result is larger or deeper than the message limit.
    ResultTooLarge = "ODN-2012", Trapped, Guest, Unsafe;
    /// Plugins call each other in a circle, or deeper than they may.
    LinkDepth = "ODN-2013", Trapped, Guest, Unsafe;
    /// The guest gave no HTTP response that can be sent.
    NoHttpResponse = "ODN-2014", Trapped, Guest, Unsafe;

    /// There is no such file, or it cannot be read.
    FileUnreadable = "ODN-3001", NotFound, Peer, Safe;
    /// The bytes are no WebAssembly at all.
    NotWasm = "ODN-3002", InvalidComponent, Guest, Never;
    /// The bytes are a core module, not a component.
    CoreModule = "ODN-3003", InvalidComponent, Guest, Never;
    /// The component is cut off or malformed.
    Malformed = "ODN-3004", InvalidComponent, Guest, Never;
    /// The component is larger than the host accepts.
    ComponentTooLarge = "ODN-3005", InvalidComponent, Guest, Never;
    /// The compiler refused the component.
    CompileFailed = "ODN-3006", InvalidComponent, Guest, Never;
    /// Compiling reached its limit of time, memory or output.
    CompileLimit = "ODN-3007", InvalidComponent, Guest, Never;
    /// The component's imports cannot be satisfied.
    LinkFailed = "ODN-3008", InvalidComponent, Guest, Never;
    /// The embedded manifest cannot be used.
    ManifestInvalid = "ODN-3009", InvalidComponent, Guest, Never;
    /// The plugin's own `load` refused or failed.
    LoadHookFailed = "ODN-3010", Unavailable, Guest, Unsafe;
    /// More loads were asked for than the host takes in a minute.
    TooManyLoads = "ODN-3011", Overloaded, Operator, Safe;
    /// A type of the component is nested deeper or is larger than the host accepts.
    TypeTooDeep = "ODN-3012", InvalidComponent, Guest, Never;
    /// A limit that was asked for cannot be enforced here.
    LimitUnsupported = "ODN-3013", InvalidArgument, Operator, Never;
    /// The descriptor cannot be used.
    DescriptorInvalid = "ODN-3014", InvalidArgument, Operator, Never;
    /// The name is taken by what is loaded now.
    NameTaken = "ODN-3015", Conflict, Operator, Never;
    /// The host's configuration cannot be used.
    ConfigInvalid = "ODN-3016", InvalidArgument, Operator, Never;
    /// The component does not fit into the memory the host gives one instance.
    DoesNotFit = "ODN-3017", InvalidComponent, Operator, Never;
    /// The state of a plugin could not be handed to the generation in its place.
    StateHandover = "ODN-3018", Unavailable, Guest, Safe;
    /// A plugin that this one is to be linked to is not loaded.
    ProviderMissing = "ODN-3019", Unavailable, Operator, Safe;
    /// Plugins that are linked to this one would not link to what replaces it.
    DependantsBroken = "ODN-3020", Conflict, Operator, Never;
    /// Another plugin is served over HTTP at this path.
    RouteTaken = "ODN-3022", Conflict, Operator, Never;

    /// The component is not signed and nothing else lets it in.
    Unsigned = "ODN-4001", Denied, Operator, Never;
    /// A signature does not belong to these bytes.
    SignatureInvalid = "ODN-4002", Denied, Guest, Never;
    /// The signing key is not in the trust policy.
    KeyUnknown = "ODN-4003", Denied, Operator, Never;
    /// The signing key was revoked.
    KeyRevoked = "ODN-4004", Denied, Operator, Never;
    /// The signature section is not where it must be, or there is more than one.
    SignatureMisplaced = "ODN-4005", Denied, Guest, Never;
    /// A higher version of this name was accepted before.
    VersionLowered = "ODN-4006", Denied, Operator, Never;
    /// The name belongs to another key.
    NamePinned = "ODN-4007", Denied, Operator, Never;
    /// The trust policy denies this digest or name.
    PolicyDenied = "ODN-4008", Denied, Operator, Never;
    /// The name is not among those the key or digest may use.
    NameNotAllowed = "ODN-4009", Denied, Operator, Never;
    /// The principal may not do this.
    PrincipalDenied = "ODN-4010", Denied, Operator, Never;
    /// The trust policy cannot be read, so nothing is let in.
    PolicyUnreadable = "ODN-4011", Denied, Operator, Never;
    /// The decision could not be written to the audit, so it was not taken.
    AuditUnwritable = "ODN-4012", Denied, Operator, Safe;
    /// The name or version of the file is not what was signed.
    SignedForOther = "ODN-4013", Denied, Guest, Never;
    /// The plugin may not call this plugin or method by name.
    CallDenied = "ODN-4014", Denied, Operator, Never;
    /// A grant was taken away while the call used it.
    GrantRevoked = "ODN-4015", Denied, Operator, Unsafe;

    /// No host answers at the socket.
    NoHost = "ODN-5001", Transport, Operator, Safe;
    /// The connection ended before the answer; the call may have run.
    ConnectionLost = "ODN-5002", Transport, Host, Unsafe;
    /// The peer sent what the protocol does not allow.
    ProtocolViolation = "ODN-5003", Transport, Peer, Never;
    // ODN-5004 is kept free: it is for requests between nodes.
    /// The operation needs another state of the host.
    WrongState = "ODN-5005", Conflict, Operator, Safe;

    /// A fault of the host itself.
    Internal = "ODN-9001", Internal, Host, Unsafe;
    /// The host's own files cannot be read or written.
    StateUnwritable = "ODN-9002", Internal, Operator, Safe;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Code::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format_args!("unknown code {text:?}, expected ODN-…")))
    }
}
