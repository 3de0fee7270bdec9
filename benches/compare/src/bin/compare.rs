//! Measures anyws, its peers and the floor, and writes `RESULTS.md` and `results.svg`.

use std::env;
use std::process::ExitCode;

use anyws_compare::Result;
use anyws_compare::options::{Command, Options, USAGE, server_names, workload_names};
use anyws_compare::{machine, plot, report, rounds};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Options::parse(env::args().skip(1))? {
        Command::Run(options) => compare(&options),
        Command::Help => {
            println!("{USAGE}");
            Ok(())
        }
        Command::List => {
            println!("workloads:");
            for name in workload_names() {
                println!("  {name}");
            }
            println!("servers:");
            for name in server_names() {
                println!("  {name}");
            }
            Ok(())
        }
    }
}

fn compare(options: &Options) -> Result<()> {
    // Before the measurement: a machine that cannot be described is known at once.
    let machine = machine::describe()?;
    let runner = env::current_exe()?;
    let folder = runner.parent().ok_or("the runner lies in no folder")?;
    let results = rounds::run(options, folder)?;
    plot::write(options, &results)?;
    let path = report::write(options, &machine, &results)?;
    println!("written: {}", path.display());
    Ok(())
}
