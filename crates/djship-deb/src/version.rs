//! The order of Debian versions (Debian policy 5.6.12), on borrowed text: an index has 130,000 of them.
//!
//! Own code instead of a crate: the published one allocates, and brings a regular expression engine and big integers.

use std::cmp::Ordering;

/// Compares two versions as `dpkg --compare-versions` does. Text that is no version has a place in the order, too.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left) = split_epoch(left);
    let (right_epoch, right) = split_epoch(right);
    let (left_upstream, left_revision) = split_revision(left);
    let (right_upstream, right_revision) = split_revision(right);
    compare_digits(left_epoch.as_bytes(), right_epoch.as_bytes())
        .then_with(|| compare_part(left_upstream.as_bytes(), right_upstream.as_bytes()))
        .then_with(|| compare_part(left_revision.as_bytes(), right_revision.as_bytes()))
}

/// A relation in a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Relation {
    /// Reads the sign. `<` and `>` are the old spellings of `<=` and `>=`.
    pub fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "<<" => Self::Earlier,
            "<=" | "<" => Self::EarlierOrEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::LaterOrEqual,
            ">>" => Self::Later,
            _ => return None,
        })
    }

    /// The sign as control files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    /// Whether `version` stands in this relation to `bound`.
    pub fn holds(self, version: &str, bound: &str) -> bool {
        let order = compare(version, bound);
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

fn split_epoch(version: &str) -> (&str, &str) {
    version.split_once(':').unwrap_or(("", version))
}

fn split_revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// Alternates between text without digits and numbers, as the policy describes.
fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let order = compare_text(take(&mut left, |byte| !byte.is_ascii_digit()), {
            take(&mut right, |byte| !byte.is_ascii_digit())
        })
        .then_with(|| {
            compare_digits(take(&mut left, |byte| byte.is_ascii_digit()), {
                take(&mut right, |byte| byte.is_ascii_digit())
            })
        });
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Splits off the front of `rest` for which `wanted` holds.
fn take<'text>(rest: &mut &'text [u8], wanted: impl Fn(u8) -> bool) -> &'text [u8] {
    let end = rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

/// `~` before the end, the end before letters, letters before everything else.
fn compare_text(left: &[u8], right: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    (0..left.len().max(right.len()))
        .map(|at| weight(left.get(at)).cmp(&weight(right.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Numbers of any length.
fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    let strip = |digits: &[u8]| digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    let (left, right) = (&left[strip(left)..], &right[strip(right)..]);
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_order() {
        let sorted = [
            "1.0~rc1~git1",
            "1.0~rc1",
            "1.0",
            "1.0-0.1",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0a-1",
            "1.0+dfsg-1",
            "1.2",
            "1.10",
            "99999999999999999999998",
            "99999999999999999999999",
            "1:0.1",
            "10:0",
        ];
        for (at, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} and {right}");
            }
        }
        for (left, right) in [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("1.0", "1.0-")] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} and {right}");
        }
    }

    fn version() -> impl Strategy<Value = String> {
        // Few different characters, so that near misses are common.
        "([0-2]:)?[01][01a.+~]{0,5}(-[01a.+~]{1,4})?"
    }

    proptest! {
        #[test]
        fn is_a_total_order(a in version(), b in version(), c in version()) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn a_tilde_comes_first(a in "[0-9][0-9a-z.+]{0,6}", b in "[a-z0-9]{0,4}") {
            prop_assert_eq!(compare(&format!("{a}~{b}"), &a), Ordering::Less);
        }
    }
}
