//! Control sequences of terminals in what programs print (ECMA-48, and xterm's control sequences).
//!
//! Lines of several programs share one screen, so a line must not move the cursor, clear anything, rename the window or
//! ask the terminal for an answer. Colours harm nobody.

const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';
const RESET: &str = "\u{1b}[0m";

/// The text as it would stand on a line in the end: colours kept and ended, everything else that controls a terminal removed,
/// what a carriage return wrote over gone.
pub fn with_colours_only(text: &str) -> String {
    let mut shown = Shown { text: String::with_capacity(text.len()), colours: true, coloured: false };
    shown.take(text);
    if shown.coloured {
        shown.text.push_str(RESET);
    }
    shown.text
}

/// The same without colours.
pub fn without_controls(text: &str) -> String {
    let mut shown = Shown { text: String::with_capacity(text.len()), colours: false, coloured: false };
    shown.take(text);
    shown.text
}

struct Shown {
    text: String,
    colours: bool,
    /// A colour is on.
    coloured: bool,
}

impl Shown {
    fn take(&mut self, text: &str) {
        let mut rest = text.trim_end_matches('\r').chars();
        while let Some(character) = rest.next() {
            match character {
                ESCAPE => self.sequence(&mut rest),
                '\r' => {
                    self.text.clear();
                    self.coloured = false;
                }
                '\t' => self.text.push('\t'),
                character if character.is_control() => {}
                character => self.text.push(character),
            }
        }
    }

    fn sequence(&mut self, rest: &mut std::str::Chars<'_>) {
        match rest.next() {
            Some('[') => {
                let body = rest.as_str();
                let length = body.bytes().take_while(|byte| (0x20..=0x3f).contains(byte)).count();
                let parameters = &body[..length];
                *rest = body[length..].chars();
                // Cut off in the middle, or not a sequence after all: what follows is text.
                if !rest.clone().next().is_some_and(|last| matches!(last, '@'..='~')) {
                    return;
                }
                if rest.next() == Some('m') {
                    self.colour(parameters);
                }
            }
            // Strings for the terminal: up to BEL or ST.
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(character) = rest.next() {
                    if character == BELL {
                        break;
                    }
                    if character == ESCAPE {
                        rest.next();
                        break;
                    }
                }
            }
            // Character sets and the like: intermediate bytes, then a final one.
            Some(' '..='/') => {
                let _ = rest.find(|character| !matches!(character, ' '..='/'));
            }
            _ => {}
        }
    }

    fn colour(&mut self, parameters: &str) {
        let plain = parameters.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
        if !self.colours || !plain {
            return;
        }
        self.coloured = !parameters.bytes().all(|byte| matches!(byte, b'0' | b';'));
        self.text.push(ESCAPE);
        self.text.push('[');
        self.text.push_str(parameters);
        self.text.push('m');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_end_with_the_line() {
        for (text, shown) in [
            ("plain", "plain"),
            ("a\tb", "a\tb"),
            ("\u{1b}[31mred\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m"),
            ("\u{1b}[1;38:5:4mblue", "\u{1b}[1;38:5:4mblue\u{1b}[0m"),
            ("\u{1b}[mx", "\u{1b}[mx"),
        ] {
            assert_eq!(with_colours_only(text), shown, "{text:?}");
        }
        assert_eq!(without_controls("\u{1b}[31mred\u{1b}[0m"), "red");
    }

    #[test]
    fn nothing_moves_the_cursor_or_talks_to_the_terminal() {
        for (text, shown) in [
            ("\u{1b}[2J\u{1b}[Hx", "x"),
            ("\u{1b}[?25lx\u{1b}[6n", "x"),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y", "xy"),
            ("\u{1b}Pq#0\u{1b}\\x\u{1b}_a\u{1b}\\", "x"),
            ("\u{1b}(Bx\u{1b}7\u{1b}Mz", "xz"),
            ("\u{1b}[>4mx\u{1b}[0 qy", "xy"),
            ("a\u{8}\u{0}b\u{9b}c\u{7f}", "abc"),
            // Cut off, or never ended.
            ("x\u{1b}", "x"),
            ("x\u{1b}[", "x"),
            ("x\u{1b}[31", "x"),
            ("x\u{1b}]0;y", "x"),
            ("x\u{1b}[31\u{e9}", "x\u{e9}"),
            ("x\u{1b}\u{e9}y", "xy"),
        ] {
            assert_eq!(with_colours_only(text), shown, "{text:?}");
        }
    }

    #[test]
    fn what_was_written_over_is_gone() {
        assert_eq!(with_colours_only("10 %\r50 %\r100 %\r"), "100 %");
        assert_eq!(with_colours_only("\u{1b}[31m10 %\r\u{1b}[2Kdone"), "done");
    }
}
