//! `cargo xtask demo`: a host at work, as a transcript that can be typed again.
//!
//! Owns the order of the scenes. Each command is run as a user would run it,
//! its real output is shown, and its exit status has to be the documented one.
//! **Invariant:** nothing of a demo is left: not on success, not on failure,
//! not on ctrl-c.

mod scenes;
mod server;
mod stage;
mod step;

use std::time::Instant;

use anyhow::Result;

use self::stage::Stage;
use crate::{guests, process, workspace::Workspace};

/// A part of the demo: its heading, and what happens in it.
struct Scene {
    heading: &'static str,
    play: fn(&mut Stage) -> Result<()>,
}

const SCENES: &[Scene] = &[
    Scene {
        heading: "One shot: a component is decided upon, loaded and called",
        play: scenes::one_shot,
    },
    Scene {
        heading: "Mistakes are found before anything is sent",
        play: scenes::mistakes,
    },
    Scene {
        heading: "A host starts, and trusts nobody",
        play: scenes::serve,
    },
    Scene {
        heading: "An unsigned file is refused",
        play: scenes::refused,
    },
    Scene {
        heading: "An author signs, the operator trusts, the plugin loads",
        play: scenes::trust,
    },
    Scene {
        heading: "Typed calls",
        play: scenes::calls,
    },
    Scene {
        heading: "Progress of long work, inside a granted directory",
        play: scenes::progress,
    },
    Scene {
        heading: "A call that is cancelled",
        play: scenes::cancel,
    },
    Scene {
        heading: "Three hostile guests beside a healthy one",
        play: scenes::hostile,
    },
    Scene {
        heading: "A new version goes on from the state of the old one; a bad one goes by itself",
        play: scenes::replace,
    },
    Scene {
        heading: "Plugins that use plugins",
        play: scenes::links,
    },
    Scene {
        heading: "A plugin that answers HTTP requests",
        play: scenes::web,
    },
    Scene {
        heading: "What was decided is on record",
        play: scenes::audit,
    },
    Scene {
        heading: "A clean stop",
        play: scenes::stop,
    },
];

/// Builds what is missing and plays every scene; the first failure ends it.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let began = Instant::now();
    println!("== Build");
    guests::run(workspace)?;
    process::run(workspace.cargo().args(["build", "--release"]))?;
    println!("   {:.1} s", began.elapsed().as_secs_f64());

    let mut stage = Stage::set(workspace)?;
    stage.introduce();
    for (number, scene) in SCENES.iter().enumerate() {
        println!("\n== {}. {}", number + 1, scene.heading);
        (scene.play)(&mut stage)?;
    }
    stage.clear()?;
    println!(
        "\n== Done: {} commands as expected in {:.1} s",
        stage.played(),
        began.elapsed().as_secs_f64()
    );
    Ok(true)
}
