//! What is printed.

/// One round of one kind of check, in microseconds.
#[derive(Clone, Copy, Default)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
    pub mean: f64,
    /// CPU time per check, of the whole round.
    pub cpu: f64,
}

/// The rounds of one kind of check.
#[derive(Default)]
pub struct Series(pub Vec<Times>);

impl Series {
    pub fn best(&self, what: impl Fn(&Times) -> f64) -> f64 {
        least(&self.0.iter().map(what).collect::<Vec<_>>())
    }

    /// CPU time against another kind, round by round; the least.
    pub fn ratios(&self, base: &Self) -> f64 {
        let ratios = self.0.iter().zip(&base.0).map(|(this, base)| this.cpu / base.cpu);
        least(&ratios.collect::<Vec<_>>())
    }
}

pub struct Bound {
    what: &'static str,
    value: f64,
    target: f64,
    is_least: bool,
}

impl Bound {
    pub const fn at_most(what: &'static str, value: f64, target: f64) -> Self {
        Self { what, value, target, is_least: false }
    }

    pub const fn at_least(what: &'static str, value: f64, target: f64) -> Self {
        Self { what, value, target, is_least: true }
    }

    pub fn is_met(&self) -> bool {
        if self.is_least { self.value >= self.target } else { self.value <= self.target }
    }

    pub fn print(&self) {
        let sign = if self.is_least { ">=" } else { "<=" };
        let said = if self.is_met() { "met" } else { "MISSED" };
        println!("- {}: {:.2} (target {sign} {}): {said}", self.what, self.value, self.target);
    }
}

pub fn checks(all: &[(&'static str, Series)]) {
    println!("| check | p50 us | p99 us | mean us | CPU us | CPU / reference |");
    println!("|---|---|---|---|---|---|");
    let reference = all.iter().find(|(name, _)| *name == super::embedded::REFERENCE);
    let reference = &reference.expect("it was measured").1;
    for (name, series) in all {
        let of = |what: fn(&Times) -> f64| {
            let values: Vec<f64> = series.0.iter().map(what).collect();
            format!("{:.2} ({:.2})", median(&values), least(&values))
        };
        println!(
            "| {name} | {} | {} | {} | {} | {:.2} |",
            of(|it| it.p50),
            of(|it| it.p99),
            of(|it| it.mean),
            of(|it| it.cpu),
            series.ratios(reference),
        );
    }
    println!("\nMedian of the rounds, in brackets the best; the ratio is the best of the rounds.");
}

pub fn spread(values: &[f64], digits: usize, unit: &str) -> String {
    format!("{:.digits$} {unit} (best {:.digits$} {unit})", median(values), least(values))
}

pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

pub fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
