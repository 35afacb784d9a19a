//! Plots: lines and points on logarithmic or linear axes, bars, and strips of single runs.

use super::svg::{Anchor, SERIES, Svg};

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps from zero.
    Linear,
    /// Equal factors.
    Log,
}

/// An axis: what it shows and how its numbers are written.
#[derive(Clone, Copy)]
pub struct Axis<'a> {
    /// Words beside it.
    pub label: &'a str,
    /// How it is divided.
    pub scale: Scale,
    /// Writes a number; nothing where a line would say nothing.
    pub show: fn(f64) -> String,
}

/// Points of one colour.
pub struct Series {
    /// Its colour and mark.
    pub number: usize,
    /// Name, for what appears on pointing.
    pub name: String,
    /// Where they are.
    pub points: Vec<(f64, f64)>,
    /// Whether lines join them.
    pub joined: bool,
    /// Whether they have marks; without, they are a line of the background, such as a ceiling.
    pub marked: bool,
}

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 44.0;

/// Whole decades around two numbers; where they are one, it lies in the middle.
pub fn decades(least: f64, most: f64) -> (f64, f64) {
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    match least == most && low == high {
        true => (10f64.powf(low - 1.0), 10f64.powf(high + 1.0)),
        false => (10f64.powf(low), 10f64.powf(high.max(low + 1.0))),
    }
}

/// An axis with its range, as positions from 0 to 1.
struct Range {
    scale: Scale,
    least: f64,
    most: f64,
}

impl Range {
    /// Around all values; whole decades where the axis is logarithmic.
    fn around(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Range> {
        let usable = |value: &f64| value.is_finite() && (scale == Scale::Linear || *value > 0.0);
        let (least, most) = values
            .filter(usable)
            .fold((f64::INFINITY, 0.0f64), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        if !least.is_finite() {
            return None;
        }
        Some(match scale {
            Scale::Linear => Range {
                scale,
                least: 0.0,
                most: if most > 0.0 { most * 1.08 } else { 1.0 },
            },
            Scale::Log => {
                let (least, most) = decades(least, most);
                Range { scale, least, most }
            }
        })
    }

    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.least) / (self.most - self.least),
            Scale::Log => {
                let (low, high) = (self.least.log10(), self.most.log10());
                (value.max(f64::MIN_POSITIVE).log10() - low) / (high - low)
            }
        }
    }

    /// Values that get a line and a number.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let raw = self.most / 5.0;
                let power = 10f64.powf(raw.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
                let step = step.into_iter().find(|step| *step >= raw).unwrap_or(raw);
                let count = (self.most / step) as usize;
                (0..=count).map(|at| at as f64 * step).collect()
            }
            Scale::Log => {
                let (low, high) = (
                    self.least.log10().round() as i32,
                    self.most.log10().round() as i32,
                );
                // At most seven or so, however many decades there are.
                let every = (high - low + 6) / 7;
                let every = every.max(1);
                let decades = (low..=high).filter(|at| (at - low) % every == 0);
                let factors: &[f64] = if high - low <= 2 {
                    &[1.0, 2.0, 5.0]
                } else {
                    &[1.0]
                };
                let all = decades.flat_map(|at| factors.iter().map(move |f| f * 10f64.powi(at)));
                all.filter(|value| *value <= self.most * 1.0001).collect()
            }
        }
    }
}

/// Lines and points. Nothing where there is no point to draw.
pub fn lines(title: &str, x: Axis<'_>, y: Axis<'_>, series: &[Series]) -> Option<String> {
    let marked = || series.iter().filter(|s| s.marked).flat_map(|s| &s.points);
    let across = Range::around(x.scale, marked().map(|point| point.0))?;
    let all = || series.iter().flat_map(|s| &s.points);
    let up = Range::around(y.scale, all().map(|point| point.1))?;
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let at = |(px, py): (f64, f64)| {
        (
            LEFT + width * across.place(px),
            TOP + height * (1.0 - up.place(py)),
        )
    };
    for tick in up.ticks() {
        let (_, py) = at((across.least, tick));
        svg.line("grid", (LEFT, py), (LEFT + width, py));
        svg.text("tick", (LEFT - 6.0, py + 4.0), Anchor::End, &(y.show)(tick));
    }
    for tick in across.ticks() {
        let words = (x.show)(tick);
        if words.is_empty() {
            continue;
        }
        let (px, _) = at((tick, up.least));
        svg.line("grid", (px, TOP), (px, TOP + height));
        let below = (px, TOP + height + 16.0);
        svg.text("tick", below, Anchor::Middle, &words);
    }
    svg.rect("frame", (LEFT, TOP), (width, height));
    let middle = (LEFT + width / 2.0, HEIGHT - 8.0);
    svg.text("axis", middle, Anchor::Middle, x.label);
    svg.text("axis", (LEFT, TOP - 9.0), Anchor::Start, y.label);
    for series in series {
        let places: Vec<(f64, f64)> = series.points.iter().copied().map(at).collect();
        let class = match series.marked {
            true => format!("l s{}", series.number % SERIES),
            false => format!("l roof s{}", series.number % SERIES),
        };
        if series.joined && places.len() > 1 {
            svg.path(&class, &places);
        }
        if series.marked {
            for (place, (px, py)) in places.iter().zip(&series.points) {
                let words = format!("{}: {}, {}", series.name, (x.show)(*px), (y.show)(*py));
                svg.mark(series.number, *place, &words);
            }
        }
    }
    Some(svg.finish(title))
}

/// A bar, and what is written at its end.
pub struct Bar {
    /// Its colour.
    pub number: usize,
    /// Name at its left.
    pub name: String,
    /// Its length.
    pub value: f64,
    /// Least and most.
    pub range: (f64, f64),
    /// Words at its end.
    pub words: String,
}

/// Pixels from one bar to the next.
const BAR: f64 = 26.0;
const NAMES: f64 = 96.0;
const WORDS: f64 = 84.0;

/// Bars from zero, each with a whisker from the least to the most.
pub fn bars(title: &str, bars: &[Bar]) -> Option<String> {
    let most = Range::around(Scale::Linear, bars.iter().map(|bar| bar.range.1))?;
    let height = BAR * bars.len() as f64 + 8.0;
    let mut svg = Svg::new(WIDTH, height);
    let width = WIDTH - NAMES - WORDS;
    let at = |value: f64| NAMES + width * most.place(value);
    svg.line("frame", (NAMES, 0.0), (NAMES, height));
    for (row, bar) in bars.iter().enumerate() {
        let top = 4.0 + BAR * row as f64;
        let middle = top + BAR / 2.0 - 3.0;
        svg.text("name", (NAMES - 6.0, middle + 4.0), Anchor::End, &bar.name);
        let class = format!("b s{}", bar.number % SERIES);
        svg.rect(&class, (NAMES, top), (at(bar.value) - NAMES, BAR - 8.0));
        let (least, most) = (at(bar.range.0), at(bar.range.1));
        svg.line("whisker", (least, middle), (most, middle));
        for end in [least, most] {
            svg.line("whisker", (end, middle - 4.0), (end, middle + 4.0));
        }
        let words = (at(bar.value).max(most) + 6.0, middle + 4.0);
        svg.text("value", words, Anchor::Start, &bar.words);
    }
    Some(svg.finish(title))
}

/// Single runs of one row, as shares of its median.
pub struct Strip {
    /// Their colour and mark.
    pub number: usize,
    /// Name at the left.
    pub name: String,
    /// Each run over the median, less one.
    pub shares: Vec<f64>,
}

const STRIP: f64 = 22.0;
const STRIP_NAMES: f64 = 230.0;
/// A run further from the median than this is drawn at the edge.
const FAR: f64 = 0.5;

/// A strip for each row, all on one axis; the median is the middle.
pub fn strips(title: &str, strips: &[Strip]) -> Option<String> {
    let shares = || strips.iter().flat_map(|strip| &strip.shares);
    let largest = shares().fold(0.01f64, |most, share| most.max(share.abs()));
    let steps = [0.01, 0.02, 0.05, 0.1, 0.2, FAR].into_iter();
    let span = { steps }.find(|step| *step >= largest).unwrap_or(FAR);
    if strips.is_empty() {
        return None;
    }
    let (width, height) = (2.0 * WIDTH, STRIP * strips.len() as f64);
    let mut svg = Svg::new(width, height + 34.0);
    let plot = width - STRIP_NAMES - 24.0;
    let at = |share: f64| STRIP_NAMES + plot * (share.clamp(-span, span) / span + 1.0) / 2.0;
    for part in [-1.0, -0.5, 0.0, 0.5, 1.0] {
        let share = span * part;
        let class = if part == 0.0 { "frame" } else { "grid" };
        svg.line(class, (at(share), 0.0), (at(share), height));
        let words = super::compare::signed(share);
        let words = if part == 0.0 { "median" } else { &words };
        svg.text("tick", (at(share), height + 16.0), Anchor::Middle, words);
    }
    for (row, strip) in strips.iter().enumerate() {
        let middle = STRIP * (row as f64 + 0.5);
        svg.text(
            "name",
            (STRIP_NAMES - 10.0, middle + 4.0),
            Anchor::End,
            &strip.name,
        );
        svg.line("grid", (STRIP_NAMES, middle), (STRIP_NAMES + plot, middle));
        for share in &strip.shares {
            let words = format!("{}: {}", strip.name, super::compare::signed(*share));
            svg.mark(strip.number, (at(*share), middle), &words);
        }
    }
    let axis = (STRIP_NAMES + plot / 2.0, height + 31.0);
    svg.text("axis", axis, Anchor::Middle, "distance from the median");
    Some(svg.finish_as("strip", title))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale) -> Axis<'static> {
        Axis {
            label: "items",
            scale,
            show: super::super::text::si,
        }
    }

    fn series(points: &[(f64, f64)]) -> Series {
        Series {
            number: 0,
            name: "cpu".into(),
            points: points.to_vec(),
            joined: true,
            marked: true,
        }
    }

    #[test]
    fn ticks_are_few_and_cover_the_range() {
        assert_eq!(decades(1.0, 1.0), (0.1, 10.0));
        assert_eq!(decades(1.0, 10.0), (1.0, 10.0));
        assert_eq!(decades(2.0, 2.0), (1.0, 10.0));
        let range = Range::around(Scale::Log, [3e2, 7e9].into_iter()).unwrap();
        assert_eq!((range.least, range.most), (1e2, 1e10));
        assert!(
            (4..=8).contains(&range.ticks().len()),
            "{:?}",
            range.ticks()
        );
        let close = Range::around(Scale::Log, [2.0, 3.0].into_iter()).unwrap();
        assert_eq!(close.ticks(), [1.0, 2.0, 5.0, 10.0]);
        let linear = Range::around(Scale::Linear, [1.0, 4.0].into_iter()).unwrap();
        assert_eq!(linear.ticks(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn there_is_no_plot_of_nothing_and_none_with_numbers_that_are_none() {
        let (x, y) = (axis(Scale::Log), axis(Scale::Log));
        assert!(lines("t", x, y, &[]).is_none());
        assert!(lines("t", x, y, &[series(&[])]).is_none());
        assert!(bars("t", &[]).is_none() && strips("t", &[]).is_none());
        let picture = lines("t", x, y, &[series(&[(1e3, 1e-3), (1e7, 2.0)])]).unwrap();
        assert!(
            !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
        let one = lines("t", axis(Scale::Linear), y, &[series(&[(0.0, 1.0)])]).unwrap();
        assert!(!one.contains("NaN"), "{one}");
        let same = Strip {
            number: 0,
            name: "cpu".into(),
            shares: vec![0.0; 5],
        };
        assert!(!strips("t", &[same]).unwrap().contains("NaN"));
    }
}
