//! How a command ends when it does not succeed: what happened, and what to do next.

use std::io;
use std::process::ExitCode;

use crate::client::{ClientError, Fault, Problem, Written};

use super::check::violation_lines;
use super::output::note;

/// Why a command ended.
#[derive(Debug)]
pub enum Failure {
    /// The server could not be reached or said no.
    Client(ClientError),
    /// Arguments that clap cannot check.
    Usage(String),
    /// What was asked for is not there, or could not be done.
    Failed(String),
    /// Nothing can be said: 2, where 1 would be an answer.
    Unable(String),
    Io(io::Error),
}

impl Failure {
    /// Prints what the person needs and gives the exit code. A broken pipe is a reader that has seen enough.
    pub fn report(self) -> ExitCode {
        let (code, text) = match self {
            Self::Io(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Io(cause) => (1, cause.to_string()),
            Self::Failed(text) => (1, text),
            Self::Usage(text) | Self::Unable(text) => (2, text),
            Self::Client(error @ (ClientError::Url(_) | ClientError::Unsendable(_))) => (2, error.to_string()),
            Self::Client(error) => (1, explain(&error)),
        };
        note(&format!("error: {text}"));
        ExitCode::from(code)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What happened, then what to do next, each on its own line.
pub fn explain(error: &ClientError) -> String {
    match error {
        ClientError::Unreachable { url, .. } => {
            format!(
                "{error}\n  is `keyfold serve` running there? Another address is given with --url or KEYFOLD_URL ({url} now)"
            )
        }
        ClientError::Transport { .. } => {
            format!("{error}\n  a write may have been made or not: look before you repeat it")
        }
        ClientError::Problem(problem) => explain_problem(problem),
        ClientError::Url(_)
        | ClientError::Answer(_)
        | ClientError::Unsendable(_)
        | ClientError::Entity { .. }
        | ClientError::Stopped => error.to_string(),
    }
}

fn explain_problem(problem: &Problem) -> String {
    let mut lines = vec![problem.to_string()];
    lines.extend(problem.errors.iter().map(|fault| format!("  {}", fault_line(fault))));
    for violation in &problem.violations {
        lines.extend(violation_lines(violation).into_iter().map(|line| format!("  {line}")));
    }
    if problem.more_errors > 0 {
        lines.push(format!("  and {} more", problem.more_errors));
    }
    let advice = match problem.status.as_u16() {
        401 => Some("give the server's token with --token or STREAMS_SECRET".to_owned()),
        404 if problem.is("stream-not-found") => Some("`keyfold inspect` prints the streams there are".to_owned()),
        404 if problem.is("collection-not-found") => {
            Some("`keyfold inspect STREAM` prints the types that a stream holds".to_owned())
        }
        404 if problem.is("subject-not-found") => Some("`keyfold schema list` prints the subjects".to_owned()),
        404 if problem.is("binding-not-found") => Some("`keyfold bind --list` prints the bindings".to_owned()),
        412 => {
            problem.current.as_ref().map(|current| format!("read it again, then repeat with --if-match {current}"))
        }
        429 | 503 => problem.retry_after.map(|after| format!("try again in {} s", after.as_secs().max(1))),
        _ => None,
    };
    lines.extend(advice.map(|text| format!("  {text}")));
    if problem.written == Written::Unknown {
        lines.push("  it may have been written or not: look before you repeat it".into());
    }
    lines.join("\n")
}

/// Which change or entity, where in it, and what is wrong.
pub fn fault_line(fault: &Fault) -> String {
    let mut subject: Vec<_> = fault.index.map(|index| format!("change {index}")).into_iter().collect();
    subject.extend([&fault.stream, &fault.entity_type, &fault.key].into_iter().flatten().cloned());
    subject.push(if fault.pointer.is_empty() { "as a whole".into() } else { fault.pointer.clone() });
    let keyword = if fault.keyword.is_empty() { String::new() } else { format!(" ({})", fault.keyword) };
    format!("{}: {}{keyword}", subject.join(" "), fault.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16) -> Problem {
        Problem {
            status: reqwest::StatusCode::from_u16(status).unwrap(),
            kind: String::new(),
            title: "Refused".into(),
            detail: "because".into(),
            written: Written::No,
            errors: Vec::new(),
            more_errors: 0,
            violations: Vec::new(),
            retry_after: None,
            current: None,
        }
    }

    #[test]
    fn a_refused_value_is_listed_per_change() {
        let fault = Fault {
            index: Some(2),
            pointer: "/status".into(),
            keyword: "enum".into(),
            message: "\"sleeping\" is not allowed".into(),
            ..Fault::default()
        };
        let text = explain_problem(&Problem { errors: vec![fault], ..problem(422) });
        assert_eq!(text, "422 Refused: because\n  change 2 /status: \"sleeping\" is not allowed (enum)");
    }

    #[test]
    fn what_to_do_next_follows_from_the_refusal() {
        for (given, expected) in [
            (problem(401), "--token"),
            (Problem { current: Some("0a".into()), ..problem(412) }, "--if-match 0a"),
            (Problem { retry_after: Some(std::time::Duration::from_secs(3)), ..problem(503) }, "in 3 s"),
            (Problem { written: Written::Unknown, ..problem(500) }, "look before you repeat"),
        ] {
            let text = explain_problem(&given);
            assert!(text.contains(expected), "{text}");
        }
    }
}
