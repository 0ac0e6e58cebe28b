//! What a guest's path looks like, before anything is opened.
//!
//! Owns the limits on paths and the rules for what a link may say. Where a
//! path leads is not decided here.

/// The longest path, in bytes.
pub(super) const PATH: usize = 4096;

/// The longest part of a path between two slashes, in bytes.
pub(super) const COMPONENT: usize = 255;

/// The most parts of a path.
pub(super) const COMPONENTS: usize = 64;

/// Whether the path keeps to the limits; if not, which one it breaks.
pub(super) fn check(path: &str) -> Result<(), &'static str> {
    if path.len() > PATH {
        return Err("the path is longer than 4096 bytes");
    }
    let mut count = 0;
    for component in path.split('/').filter(|component| !component.is_empty()) {
        if component.len() > COMPONENT {
            return Err("a name in the path is longer than 255 bytes");
        }
        count += 1;
    }
    if count > COMPONENTS {
        Err("the path has more than 64 parts")
    } else {
        Ok(())
    }
}

pub(super) fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// Whether the path goes up anywhere.
pub(super) fn climbs(path: &str) -> bool {
    path.split('/').any(|component| component == "..")
}

/// A path below a start, for people; cut to a length.
pub(super) fn join(start: &str, path: &str, most: usize) -> String {
    let mut joined = start.to_owned();
    // An absolute path is shown as one, below the directory it was asked of.
    if !path.is_empty() {
        if !joined.ends_with('/') || path.starts_with('/') {
            joined.push('/');
        }
        let room = most.saturating_sub(joined.len());
        joined.push_str(path.get(..path.floor_char_boundary(room)).unwrap_or_default());
    }
    joined.truncate(joined.floor_char_boundary(most));
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_as_long_as_the_limit_and_no_longer() {
        let parts = |length: usize| {
            let mut path = "abcdefgh/".repeat(COMPONENTS);
            path.push_str(&"/".repeat(length - path.len()));
            path
        };
        assert_eq!(check(&parts(PATH)), Ok(()));
        assert!(check(&parts(PATH + 1)).is_err());
    }

    #[test]
    fn a_name_may_be_as_long_as_the_limit_and_no_longer() {
        assert_eq!(check(&format!("a/{}", "n".repeat(COMPONENT))), Ok(()));
        assert!(check(&format!("a/{}", "n".repeat(COMPONENT + 1))).is_err());
    }

    #[test]
    fn a_path_may_have_as_many_parts_as_the_limit_and_no_more() {
        assert_eq!(check(&vec!["d"; COMPONENTS].join("/")), Ok(()));
        assert!(check(&vec!["d"; COMPONENTS + 1].join("/")).is_err());
        assert_eq!(
            check(&format!("{}/", vec!["d"; COMPONENTS].join("//"))),
            Ok(()),
            "slashes are no parts"
        );
    }

    #[test]
    fn climbing_is_a_whole_part() {
        assert!(climbs("../a") && climbs("a/../b") && climbs("a/.."));
        assert!(!climbs("..a/b..") && !climbs("a/.../b"));
    }

    #[test]
    fn joined_paths_are_cut_between_characters() {
        assert_eq!(join("/data", "a/b", 100), "/data/a/b");
        assert_eq!(join("/data", "/etc/passwd", 100), "/data//etc/passwd");
        assert_eq!(join("/", "a", 100), "/a");
        assert_eq!(join("/data", "", 100), "/data");
        assert_eq!(join("/d", "ää", 6), "/d/ä");
    }
}
