//! The text of a scrape.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::table::Metric;

/// What the text is called.
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// The values of one metric, by the values of its labels.
#[derive(Debug)]
enum Values {
    Numbers(Vec<(Vec<(&'static str, String)>, f64)>),
    Distribution(Histogram),
}

/// What a scrape answers with, in the order in which it was added.
#[derive(Debug, Default)]
pub struct Page(Vec<(&'static Metric, Values)>);

impl Page {
    /// Adds a metric without labels.
    pub fn one(&mut self, metric: &'static Metric, value: f64) {
        self.each(metric, [([], value)]);
    }

    /// Adds a metric with a value for each set of its labels' values, which may be none.
    pub fn each<const N: usize>(
        &mut self,
        metric: &'static Metric,
        values: impl IntoIterator<Item = ([String; N], f64)>,
    ) {
        assert_eq!(metric.labels.len(), N, "a value for each label of {}", metric.name);
        let labelled = |labels: [String; N]| metric.labels.iter().copied().zip(labels).collect();
        let values = values.into_iter().map(|(labels, value)| (labelled(labels), value));
        self.0.push((metric, Values::Numbers(values.collect())));
    }

    /// Adds a distribution.
    pub fn distribution(&mut self, metric: &'static Metric, histogram: Histogram) {
        self.0.push((metric, Values::Distribution(histogram)));
    }

    /// In Prometheus' text format, with `namespace` before all names and the label `chain_id` on all.
    pub fn text(self, namespace: &str, chain_id: &str) -> String {
        let labels = [(Cow::from("chain_id"), Cow::from(chain_id.to_owned()))];
        let mut registry = Registry::with_prefix_and_labels(namespace, labels.into_iter());
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, values) in &self.0 {
            let Metric { name, help, kind, .. } = **metric;
            let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
            match values {
                Values::Distribution(histogram) => histogram.encode(encoder)?,
                Values::Numbers(values) => {
                    for (labels, value) in values {
                        match kind {
                            MetricType::Info => encoder.encode_info(labels)?,
                            MetricType::Counter => encoder
                                .encode_family(labels)?
                                .encode_counter::<NoLabelSet, f64, f64>(value, None)?,
                            _ => encoder.encode_family(labels)?.encode_gauge(value)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
