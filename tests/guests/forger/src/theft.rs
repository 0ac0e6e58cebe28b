//! What the host keeps for others.

use odeon_sdk::config;
use odeon_sdk::secrets::{self, SecretError};

use crate::exports::odeon_tests::forger::theft::Guest;

impl Guest for crate::Forger {
    fn secret(name: String) -> Result<Vec<u8>, String> {
        secrets::get(&name)
            .and_then(|secret| secret.reveal())
            .map_err(|error| case(&error))
    }

    fn secrets_forever(name: String) -> (u64, String) {
        let mut kept = Vec::new();
        loop {
            match secrets::get(&name) {
                Ok(secret) => kept.push(secret),
                Err(error) => return (kept.len() as u64, case(&error)),
            }
        }
    }

    fn secrets(name: String, count: u32) -> Result<u64, String> {
        let kept: Result<Vec<_>, _> = (0..count).map(|_| secrets::get(&name)).collect();
        kept.map(|kept| kept.len() as u64).map_err(|error| case(&error))
    }

    fn reveal_again(name: String, times: u32) -> (u32, Option<String>) {
        for done in 0..times {
            if let Err(error) = Self::secret(name.clone()) {
                return (done, Some(error));
            }
        }
        (times, None)
    }

    fn config(key: String) -> Result<Option<String>, String> {
        config::get(&key).map_err(|error| format!("{error:?}"))
    }

    fn config_all() -> Result<Vec<(String, String)>, String> {
        config::all().map_err(|error| format!("{error:?}"))
    }

    fn huge_key(bytes: u32) -> Result<Option<String>, String> {
        Self::config("k".repeat(bytes as usize))
    }
}

/// The WIT name of the case.
fn case(error: &SecretError) -> String {
    match error {
        SecretError::Denied => "denied",
        SecretError::NotFound => "not-found",
        SecretError::Unavailable => "unavailable",
    }
    .to_owned()
}
