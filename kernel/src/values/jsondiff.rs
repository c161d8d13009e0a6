//! The diffs of partial JSON updates, applied to the document before them.
//!
//! Source: MySQL 9.7, sql-common/json_diff.cc (the form and its application) and json_path.cc (paths).

use std::borrow::Cow;
use std::cmp::Ordering;

use super::jsonb::{write_key, KeyCheck};
use super::jsonpath::{parse_path, Leg};
use super::jsonreader::{Reader, DEPTH_MAX, LARGE_ARRAY};
use crate::malformed::{malformed, Result};

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;
/// Deeper than any document a server has, and than the readable decoder's own stack goes for objects: what keeps ours from ending.
const NESTING_MAX: usize = 4 * DEPTH_MAX;

/// A document. Every scalar is text already: a span of the arena, escaped as it will be written.
enum Node<'a> {
    Scalar(usize, usize),
    Array(Vec<Node<'a>>),
    Object(Members<'a>),
}

struct Members<'a> {
    items: Vec<(Cow<'a, [u8]>, Node<'a>)>,
    /// Whether they are in MySQL's order, as they are unless the document is not the server's.
    sorted: bool,
}

/// Writes the JSON text of a document after a partial update, as a JSON string. Fails also when the diffs do not fit the document.
pub fn write_updated(document: &[u8], diffs: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut arena = Vec::with_capacity(document.len());
    let (mut root, _) = parse(document, &mut arena)?;
    let mut c = Cursor { data: diffs };
    while let Some((&operation, rest)) = c.data.split_first() {
        c.data = rest;
        if ![REPLACE, INSERT, REMOVE].contains(&operation) {
            return malformed(format!("JSON diffs: unknown operation {operation}"));
        }
        let Ok(path) = std::str::from_utf8(c.lenenc_bytes()?) else {
            return malformed("JSON diffs: a path is not UTF-8");
        };
        let path = parse_path(path)?;
        let value = if operation == REMOVE {
            Node::Scalar(0, 0)
        } else {
            let (value, nesting) = parse(c.lenenc_bytes()?, &mut arena)?;
            if path.len() + nesting > NESTING_MAX {
                return malformed(format!("JSON diffs: nested deeper than {NESTING_MAX}"));
            }
            value
        };
        apply(&mut root, operation, path, value)?;
    }
    out.push(b'"');
    render(&root, &arena, out)?;
    out.push(b'"');
    Ok(())
}

fn parse<'a>(data: &'a [u8], arena: &mut Vec<u8>) -> Result<(Node<'a>, usize)> {
    let Some(&kind) = data.first() else {
        let start = arena.len();
        arena.extend_from_slice(b"null");
        return Ok((Node::Scalar(start, arena.len()), 0));
    };
    let mut nesting = 0;
    let node = parse_value(&mut Reader::new(data), kind, 1, 1, arena, &mut nesting)?;
    Ok((node, nesting))
}

fn parse_value<'a>(
    reader: &mut Reader<'a>,
    kind: u8,
    at: usize,
    depth: usize,
    arena: &mut Vec<u8>,
    nesting: &mut usize,
) -> Result<Node<'a>> {
    if kind > LARGE_ARRAY {
        let start = arena.len();
        reader.write_scalar(kind, at, arena)?;
        return Ok(Node::Scalar(start, arena.len()));
    }
    let container = reader.container(kind, at, depth)?;
    *nesting = depth.max(*nesting);
    let mut array = Vec::new();
    let mut items = Vec::new();
    let mut keys = KeyCheck::default();
    for place in 0..container.count {
        let key = if container.object {
            Some(reader.key(&container, place)?)
        } else {
            None
        };
        let (inner, inner_at) = reader.entry(&container, place)?;
        let node = parse_value(reader, inner, inner_at, depth + 1, arena, nesting)?;
        match key {
            Some(key) => {
                if std::str::from_utf8(key).is_err() {
                    return malformed("JSON document: a key is not UTF-8");
                }
                keys.see(key);
                items.push((Cow::Borrowed(key), node));
            }
            None => array.push(node),
        }
    }
    if !container.object {
        return Ok(Node::Array(array));
    }
    keys.check(reader, &container)?;
    Ok(Node::Object(Members {
        items,
        sorted: keys.in_order(),
    }))
}

fn render(node: &Node<'_>, arena: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match node {
        Node::Scalar(start, end) => out.extend_from_slice(arena.get(*start..*end).unwrap_or_default()),
        Node::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.extend_from_slice(b", ");
                }
                render(item, arena, out)?;
            }
            out.push(b']');
        }
        Node::Object(members) => {
            out.push(b'{');
            for (place, (key, value)) in members.items.iter().enumerate() {
                if place > 0 {
                    out.extend_from_slice(b", ");
                }
                write_key(key, out)?;
                render(value, arena, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn apply<'a>(root: &mut Node<'a>, operation: u8, mut path: Vec<Leg>, value: Node<'a>) -> Result<()> {
    let Some(last) = path.pop() else {
        if operation != REPLACE {
            return malformed("JSON diffs: only a replacement can be of the whole document");
        }
        *root = value;
        return Ok(());
    };
    let mut parent = root;
    for leg in &path {
        parent = child(parent, leg)?;
    }
    match (parent, last) {
        (Node::Object(members), Leg::Key(key)) => {
            let there = members.find(key.as_bytes());
            match (there, operation) {
                (Some(place), REPLACE) => members.items[place].1 = value,
                (Some(place), REMOVE) => drop(members.items.remove(place)),
                (None, INSERT) => members.insert(key.into_bytes(), value),
                _ => return malformed("JSON diffs: a key to insert is there already, or one to change is not"),
            }
        }
        (Node::Array(items), leg @ (Leg::Place(_) | Leg::FromEnd(_))) => {
            let place = leg.place(items.len());
            if operation == INSERT {
                items.insert(place.unwrap_or(0).min(items.len()), value); // beyond either end: at that end, as MySQL does
            } else {
                match place.filter(|&place| place < items.len()) {
                    Some(place) if operation == REMOVE => drop(items.remove(place)),
                    Some(place) => items[place] = value,
                    None => return malformed("JSON diffs: a place beyond the array's end"),
                }
            }
        }
        _ => return malformed("JSON diffs: a path that the document has not"),
    }
    Ok(())
}

fn child<'n, 'a>(node: &'n mut Node<'a>, leg: &Leg) -> Result<&'n mut Node<'a>> {
    let found = match (node, leg) {
        (Node::Object(members), Leg::Key(key)) => members
            .find(key.as_bytes())
            .and_then(|place| members.items.get_mut(place))
            .map(|item| &mut item.1),
        (Node::Array(items), leg) => leg.place(items.len()).and_then(|place| items.get_mut(place)),
        _ => None,
    };
    match found {
        Some(node) => Ok(node),
        None => malformed("JSON diffs: a path that the document has not"),
    }
}

fn in_order(left: &[u8], right: &[u8]) -> Ordering {
    (left.len(), left).cmp(&(right.len(), right))
}

impl<'a> Members<'a> {
    fn find(&self, key: &[u8]) -> Option<usize> {
        if self.sorted {
            return self.items.binary_search_by(|(other, _)| in_order(other, key)).ok();
        }
        self.items.iter().position(|(other, _)| other.as_ref() == key)
    }

    /// Puts all members in order, the new one included, which is not there yet.
    fn insert(&mut self, key: Vec<u8>, value: Node<'a>) {
        if !self.sorted {
            self.items.sort_by(|(left, _), (right, _)| in_order(left, right));
            self.sorted = true;
        }
        let place = self.items.partition_point(|(other, _)| in_order(other, &key) == Ordering::Less);
        self.items.insert(place, (Cow::Owned(key), value));
    }
}

/// What is left of the diffs.
struct Cursor<'a> {
    data: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        match usize::try_from(count).ok().and_then(|count| self.data.split_at_checked(count)) {
            Some((bytes, rest)) => {
                self.data = rest;
                Ok(bytes)
            }
            None => malformed(format!("JSON diffs: needs {count} bytes, has {}", self.data.len())),
        }
    }

    /// Bytes after their length. Source: MySQL internals, "Length-encoded integer". 251 (NULL) and 255 are no lengths.
    fn lenenc_bytes(&mut self) -> Result<&'a [u8]> {
        let first = self.take(1)?.first().copied().unwrap_or(u8::MAX);
        let width = match first {
            0..=250 => return self.take(u64::from(first)),
            252 => 2,
            253 => 3,
            254 => 8,
            _ => return malformed(format!("JSON diffs: {first} does not begin a length")),
        };
        let length = self
            .take(width)?
            .iter()
            .rev()
            .fold(0, |length, &byte| length << 8 | u64::from(byte));
        self.take(length)
    }
}
