//! Names of a descriptor that are kept for a later version.

use std::path::Path;

use odeon_authority::Descriptor;

/// Enforced by the reserved fields of `Written`: a file that is meant for a later
/// version is not taken for a mistake, and does not half work either.
#[test]
fn a_reserved_field_is_refused_and_said_to_be_one() {
    for name in ["accept", "forward"] {
        for text in [
            format!("source = \"a.wasm\"\n{name} = true\n"),
            format!("source = \"a.wasm\"\n{name} = [\"text/plain\"]\n"),
            format!("source = \"a.wasm\"\n[{name}]\nx = 1\n"),
            format!("source = \"a.wasm\"\n[[{name}]]\nx = 1\n"),
        ] {
            let refused = Descriptor::parse(text.as_bytes(), Path::new("/d")).unwrap_err();
            let message = refused.to_string();
            let expected = format!("`{name}` is reserved for a later version");
            assert!(message.contains(&expected), "{text}: {message}");
            assert!(message.contains("leave it out"), "{message}");
            assert!(!message.contains("unknown field"), "{message}");
        }
        let schema = Descriptor::schema();
        let said = &schema["properties"][name];
        assert_eq!(said["not"], serde_json::json!({}), "nothing fits it");
        assert!(said["description"].as_str().unwrap().starts_with("Reserved"));
    }
    let unknown = Descriptor::parse(b"source = \"a.wasm\"\naccepts = 1\n", Path::new("/d"));
    assert!(unknown.unwrap_err().to_string().contains("unknown field"));
}
