//! A chunk being filled: records in one buffer, and the source commits among them.

use std::sync::Arc;

use crate::binlog::gtid::{Gtid, Source};

/// Value and key lie one behind the other. `key_end` is None for a record without a key.
#[derive(Clone, Copy)]
pub struct Record {
    pub begin: usize,
    pub value_end: usize,
    pub key_end: Option<usize>,
}

/// Records of one topic, in order. `size_bytes`: of their values.
pub struct TopicRecords {
    pub topic: usize,
    pub records: Vec<Record>,
    pub size_bytes: usize,
}

/// Source transactions committed one after another; as `streamer.core.progress.SourceCommits`.
pub struct Commits {
    /// Who numbered them, the first and the last number.
    pub runs: Vec<(Source, u64, u64)>,
    pub count: u64,
    pub lowest_us: u64,
    pub newest_us: u64,
    pub backstep_us: u64,
    pub end: (Arc<str>, u64),
}

const NONE: usize = usize::MAX;

#[derive(Default)]
pub struct Chunk {
    pub arena: Vec<u8>,
    pub topics: Vec<TopicRecords>,
    pub commits: Option<Commits>,
    pub count: usize,
    place_of: Vec<usize>, // in `topics`, by topic
}

impl Chunk {
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.commits.is_none()
    }

    pub fn add(&mut self, topic: usize, record: Record) {
        if self.place_of.len() <= topic {
            self.place_of.resize(topic + 1, NONE);
        }
        if self.place_of[topic] == NONE {
            self.place_of[topic] = self.topics.len();
            self.topics.push(TopicRecords {
                topic,
                records: Vec::new(),
                size_bytes: 0,
            });
        }
        let of_topic = &mut self.topics[self.place_of[topic]];
        of_topic.records.push(record);
        of_topic.size_bytes += record.value_end - record.begin;
        self.count += 1;
    }

    pub fn committed(&mut self, gtid: &Gtid, file: &Arc<str>, end: u64) {
        let us = gtid.commit_us;
        let Some(commits) = &mut self.commits else {
            self.commits = Some(Commits {
                runs: vec![(gtid.source.clone(), gtid.number, gtid.number)],
                count: 1,
                lowest_us: us,
                newest_us: us,
                backstep_us: 0,
                end: (Arc::clone(file), end),
            });
            return;
        };
        match commits.runs.last_mut() {
            Some((source, _, last)) if *last + 1 == gtid.number && *source == gtid.source => *last += 1,
            _ => commits.runs.push((gtid.source.clone(), gtid.number, gtid.number)),
        }
        commits.count += 1;
        commits.backstep_us = commits.backstep_us.max(commits.newest_us.saturating_sub(us));
        commits.lowest_us = commits.lowest_us.min(us);
        commits.newest_us = commits.newest_us.max(us);
        commits.end = (Arc::clone(file), end);
    }

    /// Empties it, and keeps about `keep_bytes` of its memory for the next.
    pub fn clear(&mut self, keep_bytes: usize) {
        for of_topic in self.topics.drain(..) {
            self.place_of[of_topic.topic] = NONE;
        }
        self.arena.clear();
        self.arena.shrink_to(keep_bytes);
        self.commits = None;
        self.count = 0;
    }
}
