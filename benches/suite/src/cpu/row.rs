//! One line of the table: a figure, what it is held against, how the ratio reads and what it should be.

use serde::Serialize;

use super::Work;
use crate::timing::seconds;

/// Something measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "unit", content = "value", rename_all = "snake_case")]
pub enum Figure {
    /// Time.
    Seconds(f64),
    /// Resident memory.
    Mebibytes(f64),
    /// Work counted.
    Count(u64),
}

impl Figure {
    fn value(&self) -> f64 {
        match self {
            Figure::Seconds(value) | Figure::Mebibytes(value) => *value,
            Figure::Count(count) => *count as f64,
        }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Figure::Seconds(value) => f.write_str(&seconds(*value)),
            Figure::Mebibytes(value) => write!(f, "{value:.1} MiB"),
            Figure::Count(count) => write!(f, "{count}"),
        }
    }
}

/// How the two figures of a row make one number, and which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Ours ÷ theirs: less is better.
    Cost,
    /// Theirs ÷ ours: more is better.
    Speed,
    /// Floor ÷ ours, in percent: more is better.
    OfFloor,
    /// Ours alone: less is better.
    Amount,
}

impl Reading {
    /// Whether `value` is at least as good as `bar`. Nothing is as good as a bar without a number.
    fn reaches(self, value: f64, bar: f64) -> bool {
        match self {
            Reading::Cost | Reading::Amount => value <= bar,
            Reading::Speed | Reading::OfFloor => value >= bar,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Reading::Cost => format!("{value:.2} ×"),
            Reading::Speed => format!("{value:.2} × faster"),
            Reading::OfFloor => format!("{value:.0} % of floor"),
            Reading::Amount => format!("{value:.1}"),
        }
    }

    fn sign(self) -> char {
        match self {
            Reading::Cost | Reading::Amount => '≤',
            Reading::Speed | Reading::OfFloor => '≥',
        }
    }
}

/// What a ratio should be, in the sense of the row's [`Reading`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bar {
    /// What has to be reached.
    pub must: Option<f64>,
    /// What is aimed at.
    pub goal: Option<f64>,
}

/// How a row did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "because", rename_all = "snake_case")]
pub enum Verdict {
    /// There is no bar.
    Open,
    /// The goal is reached.
    Goal,
    /// The bar is reached, a goal beyond it is not.
    Met,
    /// The bar, or where there is none the goal, is not reached.
    Missed,
    /// Measured, but not such that a bar could be judged.
    NotJudged(String),
    /// Could not be measured.
    Unavailable(String),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The engine it is about.
    pub work: Work,
    /// What was done, with its size.
    pub what: String,
    /// Worker threads.
    pub threads: usize,
    /// What it took.
    pub ours: Option<Figure>,
    /// Work per second, in words.
    pub rate: Option<String>,
    /// Peer, floor or other way that it is held against.
    pub against: Option<String>,
    /// What that took.
    pub theirs: Option<Figure>,
    /// How the two make the ratio.
    pub reading: Reading,
    /// The two as one number.
    pub ratio: Option<f64>,
    /// What it should be.
    pub bar: Bar,
    /// How it did.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the verifier found before anything was timed.
    pub checked: String,
}

impl Row {
    /// A figure by itself. `checked` is the verifier's word: there is no row without it.
    pub fn new(
        work: Work,
        what: impl Into<String>,
        threads: usize,
        ours: Figure,
        checked: impl Into<String>,
    ) -> Row {
        Row {
            work,
            what: what.into(),
            threads,
            ours: Some(ours),
            rate: None,
            against: None,
            theirs: None,
            reading: Reading::Amount,
            ratio: None,
            bar: Bar::default(),
            verdict: Verdict::Open,
            checked: checked.into(),
        }
    }

    /// Something that cannot be measured here, and why.
    pub fn unavailable(
        work: Work,
        what: impl Into<String>,
        threads: usize,
        against: impl Into<String>,
        reason: impl Into<String>,
    ) -> Row {
        Row {
            ours: None,
            against: Some(against.into()),
            verdict: Verdict::Unavailable(reason.into()),
            ..Row::new(work, what, threads, Figure::Count(0), "")
        }
    }

    /// Adds a rate: `amount` of `unit` in the time that was taken.
    #[must_use]
    pub fn rate(mut self, amount: f64, unit: &str) -> Row {
        if let Some(Figure::Seconds(time)) = self.ours {
            let (scale, prefix) = match amount / time {
                rate if rate >= 1e9 => (1e9, "G "),
                rate if rate >= 1e6 => (1e6, "M "),
                rate if rate >= 1e3 => (1e3, "k "),
                _ => (1.0, ""),
            };
            self.rate = Some(format!("{:.2} {prefix}{unit}/s", amount / time / scale));
        }
        self
    }

    /// Holds it against something.
    #[must_use]
    pub fn against(mut self, name: impl Into<String>, theirs: Figure, reading: Reading) -> Row {
        let ours = self.ours.as_ref().map_or(f64::NAN, Figure::value);
        self.ratio = Some(match reading {
            Reading::Cost => ours / theirs.value(),
            Reading::Speed => theirs.value() / ours,
            Reading::OfFloor => 100.0 * theirs.value() / ours,
            Reading::Amount => ours,
        });
        self.against = Some(name.into());
        self.theirs = Some(theirs);
        self.reading = reading;
        self
    }

    /// Sets what the ratio should be; without a figure to be held against, the figure itself is judged.
    #[must_use]
    pub fn bar(mut self, must: impl Into<Option<f64>>, goal: impl Into<Option<f64>>) -> Row {
        self.bar = Bar {
            must: must.into(),
            goal: goal.into(),
        };
        if self.ratio.is_none() {
            self.ratio = self.ours.as_ref().map(Figure::value);
        }
        self
    }

    /// Decides how the row did. `unjudged` says why no bar may be judged in this run, if so.
    #[must_use]
    pub fn judged(mut self, unjudged: Option<&str>) -> Row {
        if matches!(self.verdict, Verdict::Unavailable(_)) {
            return self;
        }
        let reaches = |bar: Option<f64>| {
            let both = self.ratio.zip(bar);
            both.map(|(ratio, bar)| self.reading.reaches(ratio, bar))
        };
        self.verdict = match (reaches(self.bar.must), reaches(self.bar.goal), unjudged) {
            (None, None, _) => Verdict::Open,
            (_, _, Some(reason)) => Verdict::NotJudged(reason.to_owned()),
            (Some(false), _, _) | (None, Some(false), _) => Verdict::Missed,
            (_, Some(true), _) => Verdict::Goal,
            (Some(true), _, _) => Verdict::Met,
        };
        self
    }

    /// The cells of the table.
    pub(super) fn cells(&self) -> [String; 10] {
        let show =
            |figure: &Option<Figure>| figure.as_ref().map_or(String::new(), Figure::to_string);
        let sign = self.reading.sign();
        let bar = match (self.bar.must, self.bar.goal) {
            (None, None) => String::new(),
            (Some(must), None) => format!("{sign} {must}"),
            (None, Some(goal)) => format!("goal {sign} {goal}"),
            (Some(must), Some(goal)) => format!("{sign} {must}, goal {goal}"),
        };
        let verdict = match &self.verdict {
            Verdict::Open => String::new(),
            Verdict::Goal => "goal met".to_owned(),
            Verdict::Met => "met".to_owned(),
            Verdict::Missed => "missed".to_owned(),
            Verdict::NotJudged(reason) => reason.clone(),
            Verdict::Unavailable(reason) => format!("unavailable: {reason}"),
        };
        [
            format!("{}: {}", self.work, self.what),
            self.threads.to_string(),
            show(&self.ours),
            self.rate.clone().unwrap_or_default(),
            self.against.clone().unwrap_or_default(),
            show(&self.theirs),
            self.ratio
                .map_or(String::new(), |ratio| self.reading.show(ratio)),
            bar,
            verdict,
            self.checked.clone(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, theirs: f64, reading: Reading) -> Row {
        Row::new(Work::Nets, "x", 1, Figure::Seconds(ours), "equal results").against(
            "y",
            Figure::Seconds(theirs),
            reading,
        )
    }

    fn verdict(row: Row, must: Option<f64>, goal: Option<f64>) -> Verdict {
        row.bar(must, goal).judged(None).verdict
    }

    #[test]
    fn less_is_better_or_more_is() {
        let cost = |ours| row(ours, 10.0, Reading::Cost);
        assert_eq!(cost(5.0).ratio, Some(0.5));
        assert_eq!(verdict(cost(5.0), Some(0.5), None), Verdict::Met);
        assert_eq!(verdict(cost(5.1), Some(0.5), Some(0.2)), Verdict::Missed);
        assert_eq!(verdict(cost(2.0), Some(0.5), Some(0.2)), Verdict::Goal);
        assert_eq!(verdict(cost(3.0), Some(0.5), Some(0.2)), Verdict::Met);
        let speed = |ours| row(ours, 10.0, Reading::Speed);
        assert_eq!(speed(5.0).ratio, Some(2.0));
        assert_eq!(verdict(speed(5.0), Some(1.7), Some(1.9)), Verdict::Goal);
        assert_eq!(verdict(speed(9.0), Some(1.7), Some(1.9)), Verdict::Missed);
        let floor = |ours| row(ours, 10.0, Reading::OfFloor);
        assert_eq!(floor(20.0).ratio, Some(50.0));
        assert_eq!(verdict(floor(20.0), Some(50.0), Some(80.0)), Verdict::Met);
        assert_eq!(verdict(floor(20.0), None, Some(80.0)), Verdict::Missed);
        assert_eq!(verdict(floor(20.0), None, None), Verdict::Open);
    }

    #[test]
    fn a_figure_may_have_a_bar_of_its_own_and_a_ratio_may_be_no_number() {
        let alone = |mib| Row::new(Work::Nets, "x", 1, Figure::Mebibytes(mib), "equal results");
        assert_eq!(verdict(alone(3.0), Some(14.0), Some(5.0)), Verdict::Goal);
        assert_eq!(verdict(alone(15.0), Some(14.0), Some(5.0)), Verdict::Missed);
        let nothing = row(0.0, 0.0, Reading::Cost);
        assert_eq!(verdict(nothing, Some(1.0), None), Verdict::Missed);
    }

    #[test]
    fn what_is_not_judged_says_why() {
        let small = row(1.0, 1.0, Reading::Cost).bar(2.0, None);
        let small = small.judged(Some("not measured at size"));
        assert_eq!(small.cells()[8], "not measured at size");
        let open = row(1.0, 1.0, Reading::Cost).judged(Some("not measured at size"));
        assert_eq!(open.verdict, Verdict::Open);
        let missing = Row::unavailable(Work::Nets, "x", 1, "run-c", "no compiler");
        let missing = missing.bar(1.0, None).judged(None);
        assert_eq!(missing.cells()[8], "unavailable: no compiler");
        let json = serde_json::to_value(&missing).expect("a row is JSON");
        assert_eq!(json["verdict"], "unavailable");
        assert_eq!(json["because"], "no compiler");
    }

    #[test]
    fn rates_choose_their_prefix() {
        let rate = |amount| row(0.5, 1.0, Reading::Cost).rate(amount, "edges").rate;
        assert_eq!(rate(1e9).as_deref(), Some("2.00 G edges/s"));
        assert_eq!(rate(10.0).as_deref(), Some("20.00 edges/s"));
    }
}
