//! The alive grid of a node: one mark for each of the last blocks.

/// Escape codes; none where they do not belong.
#[derive(Clone, Copy, Debug)]
pub struct Colours {
    good: &'static str,
    bad: &'static str,
    dim: &'static str,
    bold: &'static str,
    end: &'static str,
}

impl Colours {
    /// Colours for a terminal, or none.
    pub fn new(on: bool) -> Self {
        if on {
            let (good, bad) = ("\x1b[32m", "\x1b[31m");
            Self { good, bad, dim: "\x1b[2m", bold: "\x1b[1m", end: "\x1b[0m" }
        } else {
            Self { good: "", bad: "", dim: "", bold: "", end: "" }
        }
    }

    /// For what is well.
    pub fn good(&self, text: &str) -> String {
        format!("{}{text}{}", self.good, self.end)
    }

    /// For what is not.
    pub fn bad(&self, text: &str) -> String {
        format!("{}{text}{}", self.bad, self.end)
    }

    /// For what matters less.
    pub fn dim(&self, text: &str) -> String {
        format!("{}{text}{}", self.dim, self.end)
    }

    /// For what matters most.
    pub fn bold(&self, text: &str) -> String {
        format!("{}{text}{}", self.bold, self.end)
    }
}

/// A grid of the RPC (`1`, `0`, `?`) as marks: full blocks for alive, a low line for dead, a dot for
/// not known, each run in one colour.
pub fn marks(grid: &str, colours: &Colours) -> String {
    let mut text = String::new();
    let mut rest = grid;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| c != first).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        let count = run.chars().count();
        text += &match first {
            '1' => colours.good(&"█".repeat(count)),
            '0' => colours.bad(&"▁".repeat(count)),
            _ => colours.dim(&"·".repeat(count)),
        };
        rest = behind;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_there_are_marks_alone() {
        assert_eq!(marks("??1101", &Colours::new(false)), "··██▁█");
        assert_eq!(marks("", &Colours::new(false)), "");
    }

    #[test]
    fn a_run_has_one_colour() {
        assert_eq!(marks("110", &Colours::new(true)), "\x1b[32m██\x1b[0m\x1b[31m▁\x1b[0m");
    }
}
