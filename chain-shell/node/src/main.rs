//! The `focus` command.

mod api;
mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
