//! The examples run, and what they say of their results holds.

#[path = "../examples/communities.rs"]
mod communities;
#[path = "../examples/embed.rs"]
mod embed;
#[path = "../examples/following.rs"]
mod following;

#[test]
fn communities() {
    communities::main().expect("the example runs");
}

#[test]
fn embed() {
    embed::main().expect("the example runs");
}

#[test]
fn following() {
    following::main().expect("the example runs");
}
