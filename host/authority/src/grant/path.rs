//! Guest paths: absolute, normalised, and one way to write each.

/// The longest guest path, in bytes.
pub(super) const MAX_GUEST_PATH: usize = 1024;

/// The absolute form of a guest path: `data/`, `./data` and `/data` are
/// `/data`, `.` is `/`. `None` when it goes up, is too long, or holds a
/// control character or the `::` that parts it from the host's directory.
pub(super) fn normal_guest_path(text: &str) -> Option<String> {
    if text.is_empty()
        || text.len() > MAX_GUEST_PATH
        || text.chars().any(char::is_control)
        || text.contains("::")
    {
        return None;
    }
    let mut path = String::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => {
                path.push('/');
                path.push_str(part);
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    Some(path)
}
