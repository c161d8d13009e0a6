//! How the tests of arbitrary bytes run.

use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

/// Runs so many cases, or what PROPTEST_CASES says.
pub fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> TestCaseResult) {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    };
    TestRunner::new(config).run(&strategy, test).unwrap();
}
