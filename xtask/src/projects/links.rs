//! The static file that a page links to.

/// Ends of names of files that a browser fetches with a page; style sheets first.
const KINDS: [&str; 9] = ["css", "js", "svg", "png", "ico", "webp", "jpg", "woff2", "gif"];

/// The path of a file of the same server that the page links to: a style sheet where there is one.
pub(super) fn static_file(page: &str) -> Option<String> {
    let links: Vec<&str> = ["href=", "src="].into_iter().flat_map(|name| values(page, name)).collect();
    KINDS.into_iter().find_map(|kind| links.iter().find_map(|link| as_file(link, kind)))
}

/// Quoted values of an attribute, in order.
fn values<'a>(page: &'a str, attribute: &'a str) -> impl Iterator<Item = &'a str> {
    page.split(attribute).skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''))?;
        rest[1..].split_once(quote).map(|(value, _)| value)
    })
}

fn as_file(link: &str, kind: &str) -> Option<String> {
    // Anything else is on another server, or relative to where nobody knows.
    let is_ours = link.starts_with('/') && !link.starts_with("//");
    let path = link.split(['?', '#']).next().unwrap_or_default();
    let is_file = path.rsplit_once('.').is_some_and(|(_, end)| end == kind);
    (is_ours && is_file).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_sheet_of_the_same_server_is_taken() {
        let page = "<script src='/static/a.js'></script><link href=\"//cdn.example/b.css\">\
                    <link href=\"https://cdn.example/c.css\"><a href=\"/polls/1/\"><img src=/d.css>\
                    <link rel=icon href=\"/static/e.css?v=1#x\">";
        assert_eq!(static_file(page).as_deref(), Some("/static/e.css"));
        assert_eq!(static_file("<img src='/media/ä.png'>").as_deref(), Some("/media/ä.png"));
        assert_eq!(static_file("<a href=\"/about\">css</a> <a href="), None);
    }
}
