//! Links in pages of a Python index: made to lead through the proxy, so that files are fetched once too.

/// The page with every link of it leading to `/file/SCHEME/HOST/PATH` of the same server; `page` is where it came from.
pub(super) fn through_proxy(text: &str, page: &str) -> String {
    const LINK: &str = "href=\"";
    let mut pieces = text.split(LINK);
    let mut changed = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        changed.push_str(LINK);
        let (link, rest) = piece.split_once('"').unwrap_or((piece, ""));
        match absolute(link, page).split_once("://") {
            Some((scheme, place)) => {
                changed.push_str("/file/");
                changed.push_str(scheme);
                changed.push('/');
                changed.push_str(place);
            }
            None => changed.push_str(link),
        }
        changed.push('"');
        changed.push_str(rest);
    }
    changed
}

/// The address that a link on a page leads to.
fn absolute(link: &str, page: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let Some((scheme, place)) = page.split_once("://") else { return link.to_owned() };
    if let Some(place) = link.strip_prefix("//") {
        return format!("{scheme}://{place}");
    }
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    let link = if let Some(from_root) = link.strip_prefix('/') {
        folders.clear();
        from_root
    } else {
        link
    };
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    for part in path.split('/') {
        match part {
            ".." => {
                folders.pop();
            }
            "." => {}
            part => folders.push(part),
        }
    }
    let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    format!("{scheme}://{host}/{}{fragment}", folders.join("/"))
}

/// Undoes `%7E`.
pub(super) fn decode(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut parts = path.split('%');
    decoded.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        if let Some(byte) = byte {
            decoded.push(char::from(byte));
            decoded.push_str(&part[2..]);
        } else {
            decoded.push('%');
            decoded.push_str(part);
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_every_form_lead_through_the_proxy() {
        let page = "https://index.example/team/simple/shop/";
        for (link, through) in [
            (
                "https://files.example/a/shop-1.whl#sha256=00",
                "/file/https/files.example/a/shop-1.whl#sha256=00",
            ),
            ("//files.example/a.whl", "/file/https/files.example/a.whl"),
            ("/packages/a.whl", "/file/https/index.example/packages/a.whl"),
            ("../../packages/a.whl#md5=1", "/file/https/index.example/team/packages/a.whl#md5=1"),
            ("a.whl", "/file/https/index.example/team/simple/shop/a.whl"),
        ] {
            let text = format!("<a href=\"{link}\" data-yanked=\"x\">a</a>\n<b>");
            let expected = format!("<a href=\"{through}\" data-yanked=\"x\">a</a>\n<b>");
            assert_eq!(through_proxy(&text, page), expected);
        }
    }

    #[test]
    fn escaped_names_are_read() {
        assert_eq!(decode("pool/a_1%2bb%7E1.deb%"), "pool/a_1+b~1.deb%");
    }
}
