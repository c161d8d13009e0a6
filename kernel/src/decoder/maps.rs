//! Table maps, known by their bytes: the same bytes mean the same columns, whatever happened in between.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::Xxh3Default;

use crate::binlog::event::table_map;
use crate::decoder::way::{Way, WaySpec};
use crate::malformed::{malformed, Result};

/// Table maps kept; all forgotten together when more are seen.
const MAPS_MAX: usize = 4096;

enum State {
    Unrouted,
    Ignored,
    Used(Box<Way>),
}

pub enum Known<'a> {
    Unrouted,
    Ignored,
    Used(&'a mut Way),
}

struct Map {
    body: Vec<u8>,
    id: u64,
    state: State,
}

#[derive(Default)]
pub struct Maps {
    maps: Vec<Map>,
    first: u64, // number of `maps[0]`: numbers are never used again
    by_body: HashMap<Vec<u8>, u64, BuildHasherDefault<Xxh3Default>>,
    statement: Vec<(u64, u64)>, // table ids of the statement under way, and their maps
    last: Option<u64>,
    topics: Vec<String>,
    by_topic: HashMap<String, usize>,
    in_use: Vec<Option<u64>>, // map, by topic
}

impl Maps {
    /// A TABLE_MAP names the table of the row events that follow it in a statement.
    pub fn see(&mut self, body: &[u8]) -> Result<()> {
        let map = match self.last {
            Some(last) if self.map(last).body == body => last,
            _ => self.find(body)?,
        };
        self.last = Some(map);
        let id = self.map(map).id;
        match self.statement.iter_mut().find(|(known, _)| *known == id) {
            Some(entry) => entry.1 = map,
            None => self.statement.push((id, map)),
        }
        Ok(())
    }

    fn find(&mut self, body: &[u8]) -> Result<u64> {
        if let Some(&map) = self.by_body.get(body) {
            return Ok(map);
        }
        let id = table_map(body)?;
        if self.maps.len() >= MAPS_MAX && self.statement.is_empty() {
            self.first += self.maps.len() as u64;
            self.maps.clear();
            self.by_body.clear();
            self.in_use.iter_mut().for_each(|map| *map = None);
            self.last = None;
        }
        let map = self.first + self.maps.len() as u64;
        self.by_body.insert(body.to_vec(), map);
        self.maps.push(Map {
            body: body.to_vec(),
            id,
            state: State::Unrouted,
        });
        Ok(map)
    }

    pub fn end_statement(&mut self) {
        self.statement.clear();
    }

    pub fn in_statement(&self, table_id: u64) -> Option<u64> {
        self.statement.iter().find(|(id, _)| *id == table_id).map(|(_, map)| *map)
    }

    pub fn known(&mut self, map: u64) -> Known<'_> {
        match &mut self.maps[(map - self.first) as usize].state {
            State::Unrouted => Known::Unrouted,
            State::Ignored => Known::Ignored,
            State::Used(way) => Known::Used(way),
        }
    }

    pub fn way(&mut self, map: u64) -> Option<&mut Way> {
        match self.known(map) {
            Known::Used(way) => Some(way),
            _ => None,
        }
    }

    pub fn body(&self, map: u64) -> &[u8] {
        &self.map(map).body
    }

    pub fn take_way(&mut self, map: u64, spec: WaySpec) -> Result<()> {
        self.check(map)?;
        let topic = self.topic_number(&spec.topic);
        let way = Way::new(spec, topic)?;
        self.unroute(topic);
        self.in_use[topic] = Some(map);
        self.set(map, State::Used(Box::new(way)));
        Ok(())
    }

    pub fn ignore(&mut self, map: u64) {
        if self.check(map).is_ok() {
            self.set(map, State::Ignored);
        }
    }

    /// The map in use for the topic is unrouted.
    pub fn forget(&mut self, topic: &str) {
        if let Some(&topic) = self.by_topic.get(topic) {
            self.unroute(topic);
        }
    }

    pub fn topic(&self, number: usize) -> &str {
        &self.topics[number]
    }

    fn topic_number(&mut self, topic: &str) -> usize {
        match self.by_topic.entry(topic.to_owned()) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.topics.push(topic.to_owned());
                self.in_use.push(None);
                *entry.insert(self.topics.len() - 1)
            }
        }
    }

    fn unroute(&mut self, topic: usize) {
        if let Some(map) = self.in_use[topic].take() {
            self.set(map, State::Unrouted);
        }
    }

    fn map(&self, map: u64) -> &Map {
        &self.maps[(map - self.first) as usize]
    }

    fn set(&mut self, map: u64, state: State) {
        self.maps[(map - self.first) as usize].state = state;
    }

    fn check(&self, map: u64) -> Result<()> {
        if map < self.first || map - self.first >= self.maps.len() as u64 {
            return malformed(format!("no table map has the number {map}"));
        }
        Ok(())
    }
}
