//! What a story tells: a line for each step as it holds, and figures at the end.

use std::fmt::Display;
use std::time::Instant;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Output of one story: lines as it goes, or one JSON object at its end.
pub struct Report {
    json: bool,
    start: Instant,
    told: Told,
}

/// A story as JSON.
#[derive(Serialize)]
struct Told {
    story: String,
    holds: bool,
    seconds: f64,
    steps: Vec<Step>,
    #[serde(serialize_with = "as_map")]
    figures: Vec<(String, Value)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

#[derive(Serialize)]
struct Step {
    at_s: f64,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// Something was found to hold.
    Holds(String),
    /// Something was done to the network.
    Does(String),
}

fn as_map<S: Serializer>(figures: &[(String, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(figures.iter().map(|(name, value)| (name, value)))
}

impl Report {
    /// Begins a story.
    #[must_use]
    pub fn new(story: &str, about: &str, json: bool) -> Self {
        if !json {
            println!("{story}: {about}");
        }
        let told = Told {
            story: story.to_owned(),
            holds: false,
            seconds: 0.0,
            steps: Vec::new(),
            figures: Vec::new(),
            failure: None,
        };
        Self { json, start: Instant::now(), told }
    }

    fn seconds(&self) -> f64 {
        (self.start.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }

    /// Something holds.
    pub fn holds(&mut self, what: impl Display) {
        self.step('✓', What::Holds(what.to_string()));
    }

    /// Something is done, and nothing said of what comes of it.
    pub fn does(&mut self, what: impl Display) {
        self.step('·', What::Does(what.to_string()));
    }

    fn step(&mut self, mark: char, what: What) {
        let at_s = self.seconds();
        if !self.json {
            let (What::Holds(text) | What::Does(text)) = &what;
            println!("  {at_s:6.1} s  {mark} {text}");
        }
        self.told.steps.push(Step { at_s, what });
    }

    /// Something that a person may like to see and a script does not need, such as a table.
    pub fn shows(&self, text: impl Display) {
        if !self.json {
            for line in text.to_string().lines() {
                println!("             {line}");
            }
        }
    }

    /// A figure; its name ends in its unit.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.told.figures.push((name.to_owned(), value.into()));
    }

    /// Ends the story; `failure` is the first thing that did not hold.
    pub fn end(mut self, failure: Option<String>) {
        self.told.seconds = self.seconds();
        self.told.holds = failure.is_none();
        if self.json {
            self.told.failure = failure;
            println!("{}", serde_json::to_string(&self.told).expect("texts and numbers"));
            return;
        }
        let width = self.told.figures.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.told.figures {
            println!("             {name:width$}  {value}");
        }
        let Told { story, seconds, .. } = &self.told;
        match failure {
            None => println!("  {seconds:6.1} s  {story} holds\n"),
            Some(failure) => println!("  {seconds:6.1} s  ✗ {failure}\n"),
        }
    }
}
