//! Raises a wall around itself and says what it can still do.
//!
//! `confined compile|files|these|meddling FOLDER PORT`: one line for each thing
//! that it tries, with `done` or the number of the error.
#![allow(clippy::print_stdout, reason = "what it can do is the product")]

use std::{
    fs::File,
    io,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use odeon_runtime::{
    CompileLimits, Opening, Standing, confine, refuse_all_files, refuse_meddling, refuse_other_files,
};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().context("expected WALL FOLDER PORT");
    let (wall, folder, port) = (next()?, PathBuf::from(next()?), next()?.parse()?);
    let inside = File::open(&folder)?;
    let standing = match wall.as_str() {
        "compile" => {
            let confined = confine(&CompileLimits::default())?;
            println!("files {}", confined.files.as_str());
            confined.calls
        }
        "files" => refuse_all_files()?,
        "these" => refuse_other_files(&[(folder.clone(), Opening::Read)])?,
        "meddling" => refuse_meddling()?,
        "none" => Standing::Missing,
        other => bail!("expected compile, files, these, meddling or none, found {other}"),
    };
    println!("wall {}", standing.as_str());
    told("thread", std::thread::Builder::new().spawn(|| 1 + 1).map(drop));
    told("read-inside", File::open(folder.join("there")).map(drop));
    told("read-outside", File::open("/etc/passwd").map(drop));
    told("make", std::fs::create_dir(folder.join(&wall)));
    told("connect", TcpStream::connect(("127.0.0.1", port)).map(drop));
    told("start", started());
    told("signal", signalled());
    told(
        "look-into",
        rustix::process::chroot(Path::new("/")).map_err(io::Error::from),
    );
    told("enter", entered(&inside));
    Ok(())
}

fn told<T>(what: &str, done: io::Result<T>) {
    match done.map_err(|error| error.raw_os_error()) {
        Ok(_) => println!("{what} done"),
        Err(Some(number)) => println!("{what} {number}"),
        Err(None) => println!("{what} refused"),
    }
}

/// A program that is there everywhere.
fn started() -> io::Result<()> {
    Command::new("/bin/true").spawn()?.wait().map(drop)
}

/// Whether it could signal the process that started it. None is sent.
fn signalled() -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
    rustix::process::test_kill_process(parent).map_err(io::Error::from)
}

/// The namespace that this is none of.
fn entered(file: &File) -> io::Result<()> {
    use std::os::fd::AsFd as _;
    rustix::thread::move_into_link_name_space(file.as_fd(), None).map_err(io::Error::from)
}
