//! SIGINT and SIGTERM ask to stop; a second one insists.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;

/// A request to stop, shared between threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether somebody asked.
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts a thread that runs `on_stop` at the first SIGINT or SIGTERM and ends the process at the second.
pub(crate) fn watch(on_stop: impl Fn() + Send + 'static) -> Result<Stop, Failure> {
    let stop = Stop::default();
    let flag = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let start = || -> io::Result<()> {
        let runtime = runtime?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                if runtime.block_on(signal()).is_err() {
                    return;
                }
                flag.0.store(true, Ordering::Relaxed);
                on_stop();
                if runtime.block_on(signal()).is_ok() {
                    eprintln!("focus: stopped by a second signal");
                    std::process::exit(1);
                }
            })?;
        Ok(())
    };
    start().map_err(|e| Failure::new(format_args!("cannot watch for signals: {e}")))?;
    Ok(stop)
}

#[cfg(unix)]
async fn signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
