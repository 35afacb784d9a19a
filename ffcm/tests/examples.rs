//! The examples run, what they say of their results holds, and the walkthrough says what they say.

use std::error::Error;
use std::io::Write;

#[path = "../examples/communities.rs"]
#[allow(dead_code, reason = "the test asks for the output")]
mod communities;
#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "the test asks for the output")]
mod embed;
#[path = "../examples/following.rs"]
#[allow(dead_code, reason = "the test asks for the output")]
mod following;
#[path = "../examples/kernel.rs"]
#[allow(dead_code, reason = "the test asks for the output")]
mod kernel;
#[path = "../examples/nets.rs"]
#[allow(dead_code, reason = "the test asks for the output")]
mod nets;

const WALKTHROUGH: &str = include_str!("../examples/README.md");

type Run = fn(&mut dyn Write) -> Result<(), Box<dyn Error>>;

/// Each example, its source, and a line of its output that does not depend on the walkthrough.
const EXAMPLES: [(&str, Run, &str, &str); 5] = [
    (
        "embed",
        embed::run,
        include_str!("../examples/embed.rs"),
        "20 + 22 = 42",
    ),
    (
        "nets",
        nets::run,
        include_str!("../examples/nets.rs"),
        "the leaves sum to 1572352",
    ),
    (
        "following",
        following::run,
        include_str!("../examples/following.rs"),
        "22 iterations from nothing",
    ),
    (
        "communities",
        communities::run,
        include_str!("../examples/communities.rs"),
        "42 of 42 pairs that person 3 knows know each other, 42 of 56 for person 0",
    ),
    (
        "kernel",
        kernel::run,
        include_str!("../examples/kernel.rs"),
        "narrow scan is wrong: seed 0, size 257, byte 1034",
    ),
];

fn output(run: Run) -> String {
    let mut out = Vec::new();
    run(&mut out).expect("the example runs");
    String::from_utf8(out).expect("the example writes text")
}

/// Lines without what surrounds them, so that a block may stand at another depth than in its file.
fn trimmed(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

/// Whether the lines of `block` stand in `text`, one directly behind the other.
fn holds(text: &str, block: &str) -> bool {
    let (text, block) = (trimmed(text), trimmed(block));
    !block.is_empty() && text.windows(block.len()).any(|window| window == block)
}

/// The walkthrough's section on an example: its blocks with their languages.
fn blocks(example: &str) -> Vec<(&'static str, String)> {
    let heading = format!("## {example}");
    let mut lines = WALKTHROUGH.lines().skip_while(|line| *line != heading);
    assert!(
        lines.next().is_some(),
        "the walkthrough leaves {example} out"
    );
    let mut lines = lines.take_while(|line| !line.starts_with("## "));
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language, block.join("\n")));
        }
    }
    blocks
}

/// What is wrong with a section, given the example's source and output.
fn faults(blocks: &[(&str, String)], source: &str, output: &str) -> Vec<String> {
    let wrong = blocks.iter().filter(|(language, block)| match *language {
        "rust" => !holds(source, block),
        "text" => !holds(output, block),
        _ => true,
    });
    wrong
        .map(|(language, block)| format!("{language}:\n{block}\n"))
        .collect()
}

#[test]
fn the_walkthrough_says_what_the_examples_say() {
    for (example, run, source, line) in EXAMPLES {
        let output = output(run);
        assert!(
            output.lines().any(|said| said == line),
            "{example}: {output}"
        );
        let blocks = blocks(example);
        let of = |language| blocks.iter().filter(|(is, _)| *is == language).count();
        assert!(
            of("rust") > 0 && of("text") > 0,
            "{example}: too little is shown"
        );
        let faults = faults(&blocks, source, &output);
        assert!(
            faults.is_empty(),
            "{example}: not in its file or its output:\n{}\nThe output is:\n{output}",
            faults.join("\n")
        );
    }
}

#[test]
fn a_stale_walkthrough_is_found() {
    let block = |language, text: &str| vec![(language, text.to_owned())];
    let source = "fn f() {\n    let a = 1;\n    let b = 2;\n}\n";
    assert!(faults(&block("rust", "let a = 1;\nlet b = 2;"), source, "").is_empty());
    assert_eq!(
        faults(&block("rust", "let a = 1;\nlet b = 3;"), source, "").len(),
        1
    );
    assert_eq!(
        faults(&block("rust", "fn f() {\nlet b = 2;"), source, "").len(),
        1
    );
    assert_eq!(faults(&block("text", "42"), "42", "41").len(), 1);
    assert_eq!(faults(&block("text", ""), "", "").len(), 1);
    assert_eq!(faults(&block("sh", "ls"), "ls", "ls").len(), 1);
}
