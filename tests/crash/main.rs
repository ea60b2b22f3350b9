//! The real binary, killed and started again: what it acknowledged is there, anything else is whole or absent.
//!
//! A case prints its seed and the command that repeats it when it fails. `KEYFOLD_CRASH_SEED` fixes the seed,
//! `KEYFOLD_CRASH_ROUNDS` makes the cases longer. A kill falls where the scheduler lets it fall: a seed repeats the
//! load and the settings, and the same failure soon, not the same instruction.

mod backup;
mod barrier;
mod disk;
mod http;
mod kill;
mod named;
mod process;
mod seed;
mod stop;
mod told;
mod writers;
