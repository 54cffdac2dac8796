//! The percentile distribution of a histogram as HdrHistogram's own tools print and plot it (.hgrm).

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Lines per halving of the distance to 100 %, as the reference implementations have it.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// The distribution of a histogram of nanoseconds; its values are printed in microseconds.
pub fn percentile_distribution(histogram: &Histogram<u64>) -> String {
    let micros = |nanos: f64| nanos / 1_000.0;
    let mut out = String::with_capacity(8 * 1024);
    let lines = |out: &mut String| -> std::fmt::Result {
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        let mut total = 0;
        for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
            total += step.count_since_last_iteration();
            // The top of a bucket can lie above the greatest value recorded.
            let value = micros(step.value_iterated_to().min(histogram.max()) as f64);
            let quantile = step.quantile_iterated_to();
            write!(out, "{value:12.3} {quantile:14.12} {total:10}")?;
            if quantile < 1.0 {
                write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
            }
            out.push('\n');
        }
        let (mean, deviation) = (micros(histogram.mean()), micros(histogram.stdev()));
        writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
        let (max, count) = (micros(histogram.max() as f64), histogram.len());
        writeln!(out, "#[Max     = {max:12.3}, Total count    = {count:12}]")?;
        let sub_buckets = (2 * 10_u32.pow(u32::from(histogram.sigfig()))).next_power_of_two();
        writeln!(out, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", histogram.buckets())
    };
    if lines(&mut out).is_err() {
        debug_assert!(false, "writing to a String");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Latency, LatencySet};

    #[test]
    fn prints_what_hdrhistogram_tools_read() {
        let mut set = LatencySet::new();
        for micros in 1..=1_000 {
            set.record(Latency::Receipt, micros * 1_000);
        }
        let text = percentile_distribution(set.histogram(Latency::Receipt));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("       Value     Percentile TotalCount 1/(1-Percentile)"));
        assert_eq!(lines.next(), Some(""));
        let rows: Vec<Vec<f64>> = lines
            .by_ref()
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert!(rows.len() > 20);
        assert!(
            rows.windows(2)
                .all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1] && pair[0][2] <= pair[1][2])
        );
        let half = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((495.0..=510.0).contains(&half[0]) && half[3] == 2.0, "{half:?}");
        let last = rows.last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 1_000.0), "the last line has no distance");
        assert!((1_000.0..1_010.0).contains(&last[0]), "{last:?}");
        let footer: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(footer.len(), 3);
        assert!(footer[0].starts_with("#[Mean    =      5") && footer[0].contains(", StdDeviation   = "));
        assert!(footer[1].ends_with("Total count    =         1000]"));
        assert!(footer[2].ends_with("SubBuckets     =          256]"));
    }

    #[test]
    fn an_empty_histogram_has_header_and_footer() {
        let text = percentile_distribution(LatencySet::new().histogram(Latency::Commit));
        assert!(text.lines().all(|line| !line.contains("NaN")), "{text}");
        assert!(text.contains("Total count    =            0]"), "{text}");
    }
}
