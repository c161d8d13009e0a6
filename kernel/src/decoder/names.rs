//! Names that every envelope of an event holds, made once for as long as they stay the same.

use std::sync::Arc;

use crate::binlog::gtid::{Gtid, Source};
use crate::values::write_string;

/// A GTID's text. Most differ from the one before in their number alone.
#[derive(Default)]
pub struct GtidText {
    source: Option<Source>,
    head: usize,
    pub text: String,
}

impl GtidText {
    pub fn set(&mut self, gtid: &Gtid) {
        if self.source.as_ref() != Some(&gtid.source) {
            self.text = gtid.to_string();
            self.head = self.text.rfind(':').map_or(0, |colon| colon + 1);
            self.source = Some(gtid.source.clone());
            return;
        }
        self.text.truncate(self.head);
        self.text.push_str(itoa::Buffer::new().format(gtid.number));
    }
}

/// The name of the binlog file as a JSON string.
#[derive(Default)]
pub struct FileText {
    file: Option<Arc<str>>,
    json: Vec<u8>,
}

impl FileText {
    pub fn json(&mut self, file: &Arc<str>) -> &[u8] {
        if !self.file.as_ref().is_some_and(|known| Arc::ptr_eq(known, file)) {
            self.json.clear();
            write_string(file, &mut self.json);
            self.file = Some(Arc::clone(file));
        }
        &self.json
    }
}
