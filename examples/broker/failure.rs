//! Why the broker ends without having served, or at the end of it.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// A sentence for the operator, and whose turn it is.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The options are wrong, or a file that they name is; exit code 2, as for options that the
    /// command line's parser refuses.
    Options(String),
    /// The options are right, and the machine says no: an address or a directory is in use, a
    /// disk is full; exit code 1.
    Machine(String),
}

impl Failure {
    /// What the machine did not do, and all that is known of why.
    pub(crate) fn machine(what: impl fmt::Display, error: &(dyn Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |&error| error.source());
        let causes: Vec<String> = causes.map(reason).collect();
        Failure::Machine(format!("{what}: {}", causes.join(": ")))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Options(_) => ExitCode::from(2),
            Failure::Machine(_) => ExitCode::from(1),
        }
    }
}

/// What an operator needs of an error: of storage's, not which of its operations it was.
fn reason(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<fanfare_storage::Error>() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Options(sentence) | Failure::Machine(sentence) => f.write_str(sentence),
        }
    }
}
