//! What an operator does about a line of the record.
//!
//! Owns one line per code. More is on the code's page in `docs/errors`.

use odeon_protocol::Code;

use super::Kind;

/// What to do about something of this kind.
pub(super) fn of(kind: Kind, code: Option<Code>, grant: &str, for_others: bool) -> Option<String> {
    let advice = match kind {
        Kind::Refused | Kind::LoadFailed => return code.map(of_load),
        Kind::Stopped => {
            let limit = code.and_then(limit)?;
            return Some(format!(
                "see what the method does with such arguments; if it needs that much, allow it with --limit {limit}=… \
                 or under [limits] of its descriptor"
            ));
        }
        Kind::Denied if grant == "(others)" => {
            "it was denied more different things than are told apart; see the lines before this one"
        }
        Kind::Denied if for_others => {
            "while it works for others it may use what all of them may; if it is to use its own grants for them: \
             `odeon trust deputy add PLUGIN --for OTHER`"
        }
        Kind::Denied => {
            "if it is meant to, grant it (`odeon grant`, --grant when it is loaded, or [grants] of its descriptor); the \
             trust policy's ceilings and the manifest hold as well"
        }
        Kind::RolledBack => "replace it by a version that does not trap; `odeon logs` has its traps",
        Kind::Unloaded => "load it again if it is to serve",
        Kind::Restarted => {
            "what is to be loaded again after a start is what was loaded without --transient and --allow-unsigned, and \
             the descriptors; the host's log says what failed"
        }
        Kind::Revoked => "if that was a mistake, let it in again with `odeon trust`, then load it",
        Kind::Allowed | Kind::Loaded | Kind::Replaced | Kind::Regranted | Kind::Dumped => return None,
    };
    Some(advice.to_owned())
}

fn of_load(code: Code) -> String {
    let advice = match code {
        Code::Unsigned => {
            "sign it (`odeon sign FILE --key KEY`), trust these bytes (`odeon trust add --digest …`), or load it for \
             once with --allow-unsigned"
        }
        Code::SignatureInvalid | Code::SignatureMisplaced => {
            "get the file again from its author: it was changed after it was signed, or signed in the wrong way"
        }
        Code::KeyUnknown => "if you trust the key: `odeon trust add --key KEY.pub --name NAME`",
        Code::KeyRevoked | Code::PolicyDenied => {
            "`odeon trust list` shows the row; deny wins, so let it in again only by changing that row"
        }
        Code::VersionLowered => {
            "load the version that was accepted or a higher one, or say --allow-downgrade"
        }
        Code::NamePinned => {
            "load it under another name, or have it signed with the key that the name belongs to"
        }
        Code::NameNotAllowed => "add the name to the key's or digest's row: `odeon trust add … --name NAME`",
        Code::PolicyUnreadable => {
            "mend the trust policy's file or its mode; `odeon trust list` says what is wrong"
        }
        Code::SignedForOther => {
            "load it under the name it is signed for, or say so with signed-as in its descriptor"
        }
        Code::LinkFailed => {
            "build it against the interfaces in this host's wit/; `odeon check FILE` shows all of it"
        }
        Code::CompileFailed | Code::Malformed | Code::NotWasm | Code::CoreModule => {
            "build the component again; `odeon check FILE` shows what is wrong with it"
        }
        Code::CompileLimit => "see host-limits.compile-time, compile-memory and native-size",
        Code::ComponentTooLarge => "see host-limits.component-size",
        Code::TypeTooDeep => "see host-limits.type-depth and type-nodes",
        Code::DoesNotFit | Code::LimitUnsupported => {
            "raise the limit that is named, or build a smaller component"
        }
        Code::LoadHookFailed => {
            "its own load refused or failed: see `odeon logs`, its configuration and its grants"
        }
        Code::StateHandover => {
            "the old generation serves on: see `odeon logs`; give its calls a longer --drain, or load the new version \
             without the state after an unload"
        }
        Code::NameTaken => "unload what has the name, replace it with `odeon replace`, or use another name",
        Code::ManifestInvalid => "mend the manifest and pack it again with `odeon pack`",
        Code::ConfigInvalid | Code::DescriptorInvalid => "mend the configuration that is named",
        _ => return format!("see docs/errors/{code}.md"),
    };
    advice.to_owned()
}

/// The limit that a code is about, by its name in a descriptor.
pub(super) fn limit(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::MemoryLimit => "memory",
        Code::StackLimit => "stack",
        Code::DeadlineLimit => "deadline",
        Code::CpuLimit => "cpu",
        Code::HostCallBytesLimit => "host-call-bytes",
        Code::TableLimit => "table-elements",
        Code::HandleLimit => "handles",
        Code::InstanceLimit => "core-instances",
        Code::ResultTooLarge => "message",
        _ => return None,
    })
}
