//! A host that has no file descriptors left for those who connect.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use odeon_tests::clock::until;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::desk::{Desk, PATIENCE};

/// Ends it whatever a test comes to.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Says it once in a while, and counts each. Enforced by `listen::accept` and
/// `Failures::another`.
#[test]
fn connections_that_cannot_be_accepted_are_in_the_log_and_counted() {
    let desk = Desk::new();
    desk.write(
        "odeon.toml",
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\n",
    );
    let mut host = desk.command(&["serve", "--config", "odeon.toml"]);
    let host = host.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut host = Host(host.unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let (lines, kept) = (BufReader::new(host.0.stderr.take().unwrap()).lines(), log.clone());
    let reading = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            kept.lock().unwrap().push(line);
        }
    });
    desk.until_it_answers();
    let status = desk.odeon(&["status", "--json"]).ended(0).json();
    let address = status["status"]["listeners"][0]["address"].as_str().unwrap();
    let address: SocketAddr = address.parse().unwrap();

    let pid = Pid::from_raw(host.0.id().cast_signed());
    let began = Instant::now();
    let before = prlimit(
        pid,
        Resource::Nofile,
        Rlimit {
            current: Some(3),
            maximum: getrlimit(Resource::Nofile).maximum,
        },
    );
    let before = before.unwrap();
    let _connection = TcpStream::connect(address).unwrap();
    let said = || {
        let log = log.lock().unwrap();
        let of = |line: &&String| {
            line.contains("connections could not be accepted") && line.contains(&address.to_string())
        };
        log.iter().filter(of).count()
    };
    until("the log says so", PATIENCE, || said() > 0);
    prlimit(pid, Resource::Nofile, before).unwrap();
    let took = began.elapsed();
    let counted = || {
        let metrics = desk.odeon(&["metrics"]);
        let metrics = metrics.stdout;
        let row = "odeon_http_accept_failures_total{listener=\"web\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(row));
        count.map(|count| count.parse::<u64>().unwrap())
    };
    assert!(counted().unwrap() > 0);
    drop(host);
    reading.join().unwrap();
    // At once, and then once in ten seconds.
    let most = 2 + took.as_secs() / 10;
    assert!(said() as u64 <= most, "{} in {took:?}", said());
}
