//! The program: how it is started, and what it is fed.

use crate::calls;

/// Where its standard input comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    Null,
    Pipe,
    Terminal,
}

/// Most input that waits for the program; more is left in the pipe.
const ROOM: usize = 16 * 1024;

/// The program, with the descriptors that lead to it.
pub(crate) struct Program {
    pid: i32,
    /// Writing end of its input; -1 when there is none.
    input: i32,
    /// Controlling end of its terminal; -1 when it has none.
    terminal: i32,
    waiting: [u8; ROOM],
    length: usize,
    /// Its input ends behind what waits.
    ends: bool,
}

impl Program {
    pub(crate) const NONE: Self =
        Self { pid: 0, input: -1, terminal: -1, waiting: [0; ROOM], length: 0, ends: false };

    /// Starts it. An error is the kernel's number.
    pub(crate) fn start(input: Input, argv: *const *const u8, environment: *const *const u8) -> Result<Self, u8> {
        let mut program = Self::NONE;
        let theirs = match input {
            Input::Null => calls::open_null()?,
            Input::Pipe => {
                let (reader, writer) = calls::pipe()?;
                program.input = writer;
                reader
            }
            Input::Terminal => {
                let (master, slave) = calls::terminal()?;
                program.input = master;
                program.terminal = master;
                slave
            }
        };
        if program.input >= 0 {
            calls::do_not_wait(program.input);
        }
        let (reader, writer) = calls::pipe()?;
        let pid = calls::fork()?;
        if pid == 0 {
            let error = execute(input, theirs, argv, environment);
            calls::write_all(writer, &[error]);
            calls::exit(127);
        }
        program.pid = pid;
        calls::close(writer);
        calls::close(theirs);
        let mut error = [0];
        // Closed without a word by the execution itself.
        let said = calls::read(reader, &mut error);
        calls::close(reader);
        if said == 1 { Err(error[0]) } else { Ok(program) }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn input(&self) -> i32 {
        self.input
    }

    pub(crate) fn terminal(&self) -> i32 {
        self.terminal
    }

    /// Whether nothing waits for it.
    pub(crate) fn has_room(&self) -> bool {
        self.length == 0
    }

    /// Gives it what waits, and then `bytes`. At most one piece of the pipe comes when nothing waits, which has room.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let room = bytes.len().min(ROOM - self.length);
        self.waiting[self.length..self.length + room].copy_from_slice(&bytes[..room]);
        self.length += room;
        if self.input < 0 {
            self.length = 0;
        }
        while self.length > 0 {
            let written = calls::write(self.input, &self.waiting[..self.length]);
            if written == calls::AGAIN {
                return;
            }
            // A program that does not read any more gets nothing.
            let written = usize::try_from(written).unwrap_or(self.length);
            self.waiting.copy_within(written..self.length, 0);
            self.length -= written;
        }
        if self.ends {
            self.close_now();
        }
    }

    /// Its input ends behind what waits.
    pub(crate) fn close_input(&mut self) {
        self.ends = true;
        if self.has_room() {
            self.close_now();
        }
    }

    fn close_now(&mut self) {
        // A terminal stays: what it shows is still to be read.
        if self.input >= 0 && self.input != self.terminal {
            calls::close(self.input);
            self.input = -1;
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        if signal == calls::KILL {
            self.end();
        }
        calls::kill(self.pid, signal);
    }

    /// Ends it and its own, at once. What PID 1 leaves is ended by the kernel.
    pub(crate) fn end(&self) {
        if !calls::is_first() {
            calls::kill(-self.pid, calls::KILL);
        }
    }
}

/// In the child: becomes the program. Comes back with the kernel's error number.
fn execute(input: Input, stdin: i32, argv: *const *const u8, environment: *const *const u8) -> u8 {
    calls::forget_signals();
    calls::new_session();
    if input == Input::Terminal {
        calls::make_controlling(stdin);
        calls::duplicate(stdin, 1);
        calls::duplicate(stdin, 2);
    }
    calls::duplicate(stdin, 0);
    // SAFETY: both lists end with a null, and their texts with zero bytes: they are the kernel's.
    unsafe { search(argv, environment) }
}

/// Executes the program as execvp(3) does. SAFETY: see the caller.
unsafe fn search(argv: *const *const u8, environment: *const *const u8) -> u8 {
    // SAFETY: promised by the caller.
    let name = unsafe { text(*argv) };
    if name.contains(&b'/') {
        // SAFETY: promised by the caller.
        return unsafe { calls::execute(*argv, argv, environment) };
    }
    let mut refused = None;
    // SAFETY: promised by the caller.
    let path = unsafe { variable(environment, b"PATH=") }.unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    for folder in path.split(|byte| *byte == b':') {
        let mut file = [0_u8; 4096];
        let length = folder.len() + 1 + name.len();
        if length >= file.len() {
            continue;
        }
        file[..folder.len()].copy_from_slice(folder);
        file[folder.len()] = b'/';
        file[folder.len() + 1..length].copy_from_slice(name);
        // SAFETY: the text ends with a zero byte; the rest is promised by the caller.
        let error = unsafe { calls::execute(file.as_ptr(), argv, environment) };
        if error != calls::NOT_FOUND && error != calls::NO_FOLDER {
            refused = Some(error);
        }
    }
    refused.unwrap_or(calls::NOT_FOUND)
}

unsafe fn variable<'a>(environment: *const *const u8, name: &[u8]) -> Option<&'a [u8]> {
    let mut at = environment;
    // SAFETY: the list ends with a null.
    while unsafe { !(*at).is_null() } {
        // SAFETY: as above.
        let one = unsafe { text(*at) };
        if let Some(value) = one.strip_prefix(name) {
            return Some(value);
        }
        // SAFETY: there is at least the null behind it.
        at = unsafe { at.add(1) };
    }
    None
}

unsafe fn text<'a>(start: *const u8) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: it ends with a zero byte.
    unsafe {
        while *start.add(length) != 0 {
            length += 1;
        }
        core::slice::from_raw_parts(start, length)
    }
}
