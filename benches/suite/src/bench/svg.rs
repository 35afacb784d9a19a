//! Just enough SVG: shapes with classes, so that a style sheet decides about colours in light, dark and on paper.

use std::fmt::Write;

/// Text that may stand in XML and HTML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No other control character may stand in XML.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Where a text is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// At its middle.
    Middle,
    /// At its end.
    End,
}

/// A picture under construction; lengths are pixels, y grows downwards.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty one.
    pub fn new(width: f64, height: f64) -> Svg {
        Svg {
            width,
            height,
            body: String::new(),
        }
    }

    fn put(&mut self, words: std::fmt::Arguments<'_>) {
        self.body
            .write_fmt(words)
            .expect("a String takes everything");
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// Straight lines from point to point.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        self.put(format_args!(
            r#"<polyline class="{class}" points="{points}"/>"#
        ));
    }

    /// A rectangle.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        self.put(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
    }

    /// A text.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.put(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// A mark of series `series`, its shape and colour by the number, with words that appear when it is pointed at.
    pub fn mark(&mut self, series: usize, (x, y): (f64, f64), words: &str) {
        let class = format!("m s{}", series % SERIES);
        let words = escape(words);
        let r = 4.0;
        let shape = match series % 4 {
            0 => format!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{r}">"#),
            1 => polygon(
                &class,
                &[
                    (x - r, y - r),
                    (x + r, y - r),
                    (x + r, y + r),
                    (x - r, y + r),
                ],
            ),
            2 => polygon(
                &class,
                &[(x, y - r - 1.0), (x + r + 1.0, y + r), (x - r - 1.0, y + r)],
            ),
            _ => polygon(
                &class,
                &[
                    (x, y - r - 1.5),
                    (x + r + 1.5, y),
                    (x, y + r + 1.5),
                    (x - r - 1.5, y),
                ],
            ),
        };
        let name = match series % 4 {
            0 => "circle",
            _ => "polygon",
        };
        self.put(format_args!("{shape}<title>{words}</title></{name}>"));
    }

    /// The element, with a title for those who cannot see it.
    pub fn finish(self, title: &str) -> String {
        self.finish_as("plot", title)
    }

    /// The same with a class of its own.
    pub fn finish_as(self, class: &str, title: &str) -> String {
        let title = escape(title);
        let (width, height) = (self.width, self.height);
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title>{}</svg>",
            self.body
        )
    }
}

/// Colours there are; a series beyond takes the first again.
pub const SERIES: usize = 8;

fn polygon(class: &str, points: &[(f64, f64)]) -> String {
    let points: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    format!(r#"<polygon class="{class}" points="{}">"#, points.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_drivers_cannot_leave_their_text() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("t", (1.0, 2.0), Anchor::End, "<script>&\"'\u{7}");
        svg.mark(1, (1.0, 1.0), "a < b");
        let text = svg.finish("x > y");
        assert!(
            text.contains("&lt;script&gt;&amp;&quot;&#39; </text>"),
            "{text}"
        );
        assert!(text.contains("a &lt; b") && text.contains("x &gt; y"));
        assert!(text.contains("</polygon>"));
    }
}
