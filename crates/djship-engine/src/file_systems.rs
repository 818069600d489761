//! Names of file systems, for messages.

/// Names from the magic numbers of statfs(2), the field `f_type`.
pub(crate) fn name_of(kind: u64) -> &'static str {
    match kind {
        0xef53 => "ext4",
        0x5846_5342 => "XFS",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "ZFS",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlay",
        0x6969 => "NFS",
        0xff53_4d42 | 0xfe53_4d42 => "CIFS",
        0x6573_5546 => "FUSE",
        _ => "an unknown file system",
    }
}
