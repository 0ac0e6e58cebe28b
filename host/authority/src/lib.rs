//! Who may do what, decided before it happens and on record.
//!
//! Owns what a host relies on to let code in: principals, manifests,
//! descriptors, limits, grants, signatures, the trust policy, decisions, and
//! the audit. Everything is denied until something here says yes.
//!
//! The crate reads and writes the operator's files; it opens no connection,
//! knows no engine and no async runtime, and reads no environment.
//!
//! The way in: [`Offer::read`] the bytes, [`decide`] under a [`Policy`] and the
//! operator's [`Terms`], [`Decision::record`] it in the [`Audit`]: what comes
//! out is an [`Admission`], and there is no other way to get one.

mod audit;
mod decision;
mod descriptor;
mod file;
mod grant;
mod key;
mod ledger;
mod limits;
mod link;
mod manifest;
mod placement;
mod policy;
mod principal;
mod route;
mod section;
mod signature;
mod unit;
mod why;
mod words;

pub use audit::{
    Audit, AuditError, Coalescer, Due, Event, Exported, FailedLoad, Finding, HeadCopy, LoadStep,
    Manifest as ExportManifest, Noted, Place, Record, Records, Repeated, Report, Text, export, verify,
    verify_export, verify_with,
};
pub use decision::{Admission, Bound, Decision, Offer, Refused, Sides, SignedAs, Terms, Verdict, decide};
pub use descriptor::{
    Descriptor, DescriptorError, DescriptorField, DescriptorFile, DescriptorFolder, FolderError,
};
pub use file::{FileError, NewFile, Stamp, read_into_room, read_operators_text, replace_private, sweep};
pub use grant::{
    Access, AddressClass, Askable, CallGrant, EgressDenied, EgressPolicy, EgressReason, Endpoint, Except,
    FsGrant, Grant, GrantDenied, GrantSet, HostPattern, InvalidGrant, PortRule, Protocol, Wanted,
    is_secret_name,
};
pub use key::{InvalidKey, KeyError, KeyId, PublicKey, SigningKey, keygen};
pub use ledger::{Ledger, LedgerError};
pub use limits::{
    HostLimits, HostLimitsPatch, InvalidLimit, LimitField, LimitForm, LimitTooHigh, LimitUnused, Limits,
    LimitsPatch,
};
pub use link::{InvalidLinks, Links, check_links};
pub use manifest::{ConfigKey, ConfigMismatch, Manifest, ManifestError};
pub use placement::{ClassWish, InstanceMode, InvalidWorkers, Placement, Placing};
pub use policy::{
    InvalidPattern, NamePattern, Policy, PolicyEdit, PolicyEditError, PolicyError, Selector, Trust, TrustRow,
};
pub use principal::Principal;
pub use route::{InvalidRoute, ListenerName, Route, RoutePath};
pub use section::{
    EmbedError, MANIFEST_SECTION, SIGNATURE_SECTION, SectionError, embed_manifest, manifest_of,
};
pub use signature::{
    Claim, MAX_SIGNATURES, SignError, SignatureError, Signed, digest_of, inspect, sign, sign_detached,
};
pub use unit::{ByteSize, InvalidUnit, Patience, TimeSpan};
pub use why::{Kind as WhyKind, Moment, Why, why};
pub use words::escaped;
