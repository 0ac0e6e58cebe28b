//! The embedding example of the README, as it stands there: a test compares
//! the two and runs this one.
#![allow(clippy::print_stdout, reason = "an example shows what it gets")]

use std::time::Duration;

use odeon::{Args, CallOptions, CompileChild, Compiler, Host, LoadRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First thing in main: components are compiled in a child process of this very program.
    let child = CompileChild::enter()?;
    tokio::runtime::Runtime::new()?.block_on(run(child))
}

async fn run(child: CompileChild) -> Result<(), Box<dyn std::error::Error>> {
    let host = Host::builder(Compiler::ThisProgram(child)).start()?;
    host.load(LoadRequest::component("sample-calculator.wasm").allow_unsigned())
        .await?;

    let reply = host
        .call("calculator/div-rem", Args::Wave("17, 5"), CallOptions::default())
        .await?;
    println!("{}", reply.wave()?); // ok((3, 2))

    let add = host.typed::<(u32, u32), (u32,)>("calculator/add")?;
    println!("{}", add.call((40, 2))?.0); // 42

    host.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
