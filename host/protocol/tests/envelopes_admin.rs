//! What operators ask: the JSON that is taken, and the limits on it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets something else has failed"
)]

use std::collections::BTreeMap;

use odeon_protocol::{
    AdminError, AdminReply, AdminRequest, CancelReply, Code, Fault, Load, MAX_ADMIN_REQUEST, MAX_GRANTS,
    MAX_LIMITS, MAX_LOG_DIRECTIVE, MAX_LOG_TAIL, MAX_PATH, Serial, StatusReport,
};

fn load(path: &str) -> Load {
    Load {
        path: path.into(),
        name: None,
        allow_unsigned: false,
        allow_downgrade: false,
        transient: false,
        grants: vec![],
        limits: BTreeMap::new(),
        links: BTreeMap::new(),
        http: None,
    }
}

fn back(request: &AdminRequest) -> AdminRequest {
    AdminRequest::from_json(&request.to_json().unwrap()).unwrap()
}

#[test]
fn every_request_is_read_back_and_its_op_is_this() {
    let name = || "calc".parse().unwrap();
    let full = Load {
        name: Some(name()),
        allow_unsigned: true,
        transient: true,
        grants: vec!["fs=/srv/data,rw".into()],
        limits: [("memory".to_owned(), "64MiB".to_owned())].into(),
        links: [("a:b/c".to_owned(), name())].into(),
        http: Some("web/calc".into()),
        ..load("/tmp/calc.wasm")
    };
    let directive = Some("info,odeon=debug".to_owned());
    for (op, request) in [
        ("load", AdminRequest::Load(full)),
        ("load", AdminRequest::Load(load("/c.wasm"))),
        (
            "unload",
            AdminRequest::Unload {
                name: name(),
                now: true,
                drain_ms: None,
            },
        ),
        (
            "grant",
            AdminRequest::Grant {
                name: name(),
                add: vec!["secret=token".into()],
                revoke: vec!["env=A".into()],
            },
        ),
        ("list", AdminRequest::List {}),
        (
            "describe",
            AdminRequest::Describe {
                name: name(),
                wit: true,
            },
        ),
        ("methods", AdminRequest::Methods { name: name() }),
        ("status", AdminRequest::Status {}),
        ("metrics", AdminRequest::Metrics {}),
        ("stop", AdminRequest::Stop { drain_ms: Some(10) }),
        (
            "cancel",
            AdminRequest::Cancel {
                serial: Serial::new(),
            },
        ),
        (
            "logs",
            AdminRequest::Logs {
                name: Some(name()),
                follow: true,
                tail: 5,
            },
        ),
        ("log-level", AdminRequest::LogLevel { directive }),
        ("end-profile", AdminRequest::EndProfile { name: name() }),
    ] {
        assert_eq!(back(&request), request);
        let json: serde_json::Value = serde_json::from_slice(&request.to_json().unwrap()).unwrap();
        assert_eq!(json["op"], op);
    }
}

#[test]
fn what_may_be_left_out_has_its_safe_meaning() {
    let read = |json: &str| AdminRequest::from_json(json.as_bytes()).unwrap();
    assert_eq!(
        read(r#"{"op":"load","path":"/c.wasm"}"#),
        AdminRequest::Load(load("/c.wasm"))
    );
    assert_eq!(
        read(r#"{"op":"unload","name":"calc"}"#),
        AdminRequest::Unload {
            name: "calc".parse().unwrap(),
            now: false,
            drain_ms: None,
        }
    );
    assert_eq!(
        read(r#"{"op":"logs"}"#),
        AdminRequest::Logs {
            name: None,
            follow: false,
            tail: 0
        }
    );
    assert_eq!(read(r#"{"op":"stop"}"#), AdminRequest::Stop { drain_ms: None });
}

#[test]
fn a_field_that_no_request_has_is_refused() {
    for json in [
        r#"{"op":"load","path":"/c.wasm","alow_unsigned":true}"#,
        r#"{"op":"unload","name":"calc","force":true}"#,
        r#"{"op":"list","all":true}"#,
        r#"{"op":"status","x":1}"#,
        r#"{"op":"reboot"}"#,
        r#"{"op":"unload","name":"Calc"}"#,
        r#"{"op":"cancel","serial":"7"}"#,
        r#"{"path":"/c.wasm"}"#,
        r#"{"op":"list"} {}"#,
        "[]",
        "",
    ] {
        let error = AdminRequest::from_json(json.as_bytes()).unwrap_err();
        assert!(matches!(error, AdminError::NoRequest(_)), "{json}: {error}");
        assert_eq!(Fault::from(error).code, Code::ProtocolViolation);
    }
}

#[test]
fn every_field_is_taken_at_its_limit_and_refused_one_later() {
    let entries = |count: usize| (0..count).map(|n| (format!("l{n}"), "1".to_owned())).collect();
    #[allow(clippy::type_complexity, reason = "a table of cases")]
    let cases: [(&str, usize, &dyn Fn(usize) -> AdminRequest); 7] = [
        ("path", MAX_PATH, &|n| {
            AdminRequest::Load(load(&format!("/{}", "p".repeat(n - 1))))
        }),
        ("grants", MAX_GRANTS, &|n| {
            AdminRequest::Load(Load {
                grants: vec!["env=A".into(); n],
                ..load("/c")
            })
        }),
        ("limits", MAX_LIMITS, &|n| {
            AdminRequest::Load(Load {
                limits: entries(n),
                ..load("/c")
            })
        }),
        ("add", MAX_GRANTS, &|n| AdminRequest::Grant {
            name: "calc".parse().unwrap(),
            add: vec!["env=A".into(); n],
            revoke: Vec::new(),
        }),
        ("revoke", MAX_GRANTS, &|n| AdminRequest::Grant {
            name: "calc".parse().unwrap(),
            add: Vec::new(),
            revoke: vec!["env=A".into(); n],
        }),
        ("tail", MAX_LOG_TAIL as usize, &|n| AdminRequest::Logs {
            name: None,
            follow: false,
            tail: u32::try_from(n).unwrap(),
        }),
        ("directive", MAX_LOG_DIRECTIVE, &|n| AdminRequest::LogLevel {
            directive: Some("d".repeat(n)),
        }),
    ];
    for (field, max, make) in cases {
        let at = make(max);
        assert_eq!(back(&at), at, "{field}");
        let over = make(max + 1);
        let error = AdminError::Limit {
            field,
            count: max + 1,
            max,
        };
        assert_eq!(over.to_json(), Err(error.clone()));
        assert_eq!(
            AdminRequest::from_json(&serde_json::to_vec(&over).unwrap()),
            Err(error)
        );
    }
}

#[test]
fn a_request_ends_at_its_limit() {
    let padded = |length: usize| {
        let mut body = br#"{"op":"list"}"#.to_vec();
        body.resize(length, b' ');
        body
    };
    assert_eq!(
        AdminRequest::from_json(&padded(MAX_ADMIN_REQUEST)),
        Ok(AdminRequest::List {})
    );
    assert_eq!(
        AdminRequest::from_json(&padded(MAX_ADMIN_REQUEST + 1)),
        Err(AdminError::TooLong {
            length: MAX_ADMIN_REQUEST + 1
        })
    );
    let grants = vec!["g".repeat(1000); MAX_GRANTS];
    let long = AdminRequest::Load(Load { grants, ..load("/c") });
    assert!(matches!(long.to_json(), Err(AdminError::TooLong { .. })));
}

#[test]
fn a_path_that_depends_on_where_one_is_is_refused() {
    for path in ["c.wasm", "./c.wasm", "", "/c\0.wasm"] {
        assert_eq!(
            AdminRequest::Load(load(path)).to_json(),
            Err(AdminError::RelativePath),
            "{path:?}"
        );
    }
}

#[test]
fn an_answer_is_ok_or_a_fault() {
    let ok = AdminReply::Ok(CancelReply::AlreadySignalled);
    assert_eq!(ok.to_json().unwrap(), br#"{"ok":"already-signalled"}"#);
    assert_eq!(AdminReply::from_json(&ok.to_json().unwrap()), Ok(ok));

    let fault = Fault::new(Code::PluginNotFound, "no plugin calc");
    let reply = AdminReply::<()>::from(Err(fault.clone()));
    let json = String::from_utf8(reply.to_json().unwrap()).unwrap();
    assert!(json.starts_with(r#"{"fault":{"code":"ODN-1001""#), "{json}");
    assert_eq!(
        AdminReply::<()>::from_json(json.as_bytes())
            .unwrap()
            .into_result(),
        Err(fault)
    );

    let none = AdminReply::<StatusReport>::from_json(b"{}").unwrap_err();
    assert_eq!(none.code, Code::ProtocolViolation);
    let nothing = AdminReply::Ok(());
    assert_eq!(nothing.to_json().unwrap(), br#"{"ok":null}"#);
}

#[test]
fn a_word_that_only_a_newer_host_has_does_not_hide_the_answer() {
    let newer = r#"{"fault":{"code":"ODN-7042","kind":"bewitched","message":"the moon is full","blame":"moon",
        "retry":"tomorrow","details":{"phase":1}}}"#;
    let fault = AdminReply::<()>::from_json(newer.as_bytes())
        .unwrap()
        .into_result()
        .unwrap_err();
    assert_eq!(fault.code, Code::Internal);
    assert!(
        fault.message.contains("the moon is full") && fault.message.contains("ODN-7042"),
        "{fault}"
    );
    assert_eq!(fault.details.unwrap()["phase"], 1);
    let reply = AdminReply::<CancelReply>::from_json(br#"{"ok":"postponed"}"#).unwrap();
    assert_eq!(reply, AdminReply::Ok(CancelReply::Unknown));
    assert!(AdminReply::<()>::from_json(br#"{"fault":{"code":"none","message":""}}"#).is_err());
}
