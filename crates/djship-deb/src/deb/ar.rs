//! The outer form of a `.deb`: an `ar` archive of a few members, read from memory.

/// One member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member<'bytes> {
    pub(super) name: &'bytes str,
    pub(super) content: &'bytes [u8],
}

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// The members in order; `None` in place of one that is cut off or malformed, and nothing after it. Without the magic there are
/// none at all, so callers miss the members that they want.
pub(super) fn members(bytes: &[u8]) -> impl Iterator<Item = Option<Member<'_>>> {
    let mut rest = bytes.strip_prefix(MAGIC).unwrap_or_default();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = member(rest);
        rest = read.map_or(&[], |(_, after)| after);
        Some(read.map(|(member, _)| member))
    })
}

fn member(bytes: &[u8]) -> Option<(Member<'_>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    if &header[58..] != b"`\n" {
        return None;
    }
    let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok().map(str::trim_end);
    // GNU ar writes a slash after the name, dpkg does not.
    let name = text(0..16)?.trim_end_matches('/');
    let size: usize = text(48..58)?.parse().ok()?;
    let (content, after) = rest.split_at_checked(size)?;
    // Members begin at even offsets.
    let after = if size % 2 == 1 { after.get(1..).unwrap_or_default() } else { after };
    Some((Member { name, content }, after))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes an archive, for the tests of whoever reads one.
    pub(crate) fn write(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            let size = content.len();
            bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").bytes());
            bytes.extend(*content);
            if size % 2 == 1 {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    #[test]
    fn members_are_read_back() {
        let bytes = write(&[("debian-binary", b"2.0\n"), ("odd", b"123"), ("empty", b""), ("last/", b"x")]);
        let read: Vec<_> =
            members(&bytes).map(|member| member.unwrap()).map(|one| (one.name, one.content)).collect();
        let expected: [(&str, &[u8]); 4] =
            [("debian-binary", b"2.0\n"), ("odd", b"123"), ("empty", b""), ("last", b"x")];
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 0_usize..200, with in any::<u8>(), length in 0_usize..200) {
            let mut bytes = write(&[("debian-binary", b"2.0\n"), ("odd", b"123"), ("other", &[7; 40])]);
            let at = at % bytes.len();
            bytes[at] = with;
            bytes.truncate(length);
            let _ = members(&bytes).count();
        }
    }
}
