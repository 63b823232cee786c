//! The `watchtower` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    watchtower::cli::main()
}
