//! PID 1 of a container that Docker runs, and the parent of a program that is run in one.
//!
//! A program of its own without any library, so that it runs in every root; `build.rs` compiles it. It does what the embedded
//! engine's PID 1 does: standard input is the lifeline, and carries the program's input, window sizes and signals in frames.
//! When it ends, the caller is gone, and so is everything inside a moment later.
//!
//! ```text
//!  arguments   init STDIN PROGRAM ARGUMENT...             STDIN is `null`, `pipe` or `tty`
//!  in          KIND (one byte), LENGTH (four, big endian), bytes
//!                d  input     e  end of the input     w  rows and columns (two each)     s  signal (one)
//!  out         standard output and error are the program's; among its errors are records: MARK, KIND, VALUE (one byte each)
//!                x  it was executed, or the kernel's error number     c  it ended with this code     s  a signal ended it
//! ```

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "there is no library: everything is a system call")]

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod machine;
mod frames;
mod calls;
mod program;

use calls::{PollFd, Reaped};
use frames::{Frame, Frames};
use program::{Input, Program};

/// How a record begins. It is written in one piece, which a pipe keeps together.
const MARK: [u8; 8] = *b"\0djship:";
/// Exit code when the caller is gone: nobody sees it.
const ABANDONED: i32 = 137;
/// Exit code when this program is used in a wrong way.
const MISUSED: i32 = 125;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    calls::exit(MISUSED)
}

/// Called by `_start` with the stack as the kernel left it: the number of arguments, the arguments, the environment.
#[unsafe(no_mangle)]
unsafe extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the layout of the first stack is the kernel's, execve(2).
    let (count, arguments, environment) =
        unsafe { (*stack, stack.add(1).cast::<*const u8>(), stack.add(*stack + 2).cast::<*const u8>()) };
    if count < 3 {
        calls::exit(MISUSED);
    }
    // SAFETY: two arguments are there.
    let (input, argv) = unsafe { (*arguments.add(1), arguments.add(2)) };
    // SAFETY: arguments end with a zero byte.
    let input = match unsafe { *input } {
        b'n' => Input::Null,
        b'p' => Input::Pipe,
        b't' => Input::Terminal,
        _ => calls::exit(MISUSED),
    };
    let signals = calls::take_signals();
    let program = Program::start(input, argv, environment);
    let (mut program, error) = match program {
        Ok(program) => (program, 0),
        Err(error) => (Program::NONE, error),
    };
    say(b'x', error);
    if error != 0 {
        calls::exit(127);
    }
    run(&mut program, signals)
}

fn run(program: &mut Program, signals: i32) -> ! {
    let mut frames = Frames::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut watched = [
            PollFd::input(signals),
            // Input that the program does not take yet is not asked for.
            if program.has_room() { PollFd::input(0) } else { PollFd::hang_up(0) },
            PollFd::input(program.terminal()),
            if program.has_room() { PollFd::NONE } else { PollFd::output(program.input()) },
        ];
        calls::poll(&mut watched);
        if watched[3].is_ready() {
            program.feed(&[]);
        }
        if watched[2].is_ready() {
            copy_terminal(program, &mut buffer);
        }
        if watched[1].is_ready() {
            let length = if program.has_room() { calls::read(0, &mut buffer) } else { 0 };
            if length == 0 || (length < 0 && length != calls::AGAIN) {
                program.end();
                calls::exit(ABANDONED);
            }
            let mut left = &buffer[..usize::try_from(length).unwrap_or(0)];
            while let Some(frame) = frames.next(&mut left) {
                match frame {
                    Frame::Input(bytes) => program.feed(bytes),
                    Frame::End => program.close_input(),
                    Frame::Size(rows, columns) => calls::set_size(program.terminal(), rows, columns),
                    Frame::Signal(signal) => program.signal(i32::from(signal)),
                }
            }
        }
        if watched[0].is_ready() {
            match calls::read_signal(signals) {
                Some(calls::CHILD) => {
                    if let Some(reaped) = reap(program.pid()) {
                        copy_terminal(program, &mut buffer);
                        finish(reaped);
                    }
                }
                Some(signal) => program.signal(signal),
                None => {}
            }
        }
    }
}

/// Collects every child that has ended; the answer is the program's end.
fn reap(program: i32) -> Option<Reaped> {
    let mut end = None;
    while let Some((pid, reaped)) = calls::wait_any() {
        if pid == program {
            end = Some(reaped);
        }
    }
    end
}

/// What the program wrote to its terminal and nobody has read yet.
fn copy_terminal(program: &Program, buffer: &mut [u8]) {
    loop {
        let length = calls::read(program.terminal(), buffer);
        if length <= 0 {
            return;
        }
        calls::write_all(1, &buffer[..usize::try_from(length).unwrap_or(0)]);
    }
}

fn finish(reaped: Reaped) -> ! {
    let (kind, number, code) = match reaped {
        Reaped::Code(code) => (b'c', code, i32::from(code)),
        Reaped::Signal(signal) => (b's', signal, 128 + i32::from(signal)),
    };
    say(kind, number);
    calls::exit(code)
}

fn say(kind: u8, value: u8) {
    let mut record = [kind; MARK.len() + 2];
    record[..MARK.len()].copy_from_slice(&MARK);
    record[MARK.len() + 1] = value;
    calls::write_all(2, &record);
}
