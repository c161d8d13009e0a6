//! Raw binlog events: packets, headers, GTIDs, table maps, transaction payloads.
//!
//! Source: MySQL 9.7, libs/mysql/binlog/event; the twins are `streamer.core.{packets,events,gtids,payload,stream,commits}`.

pub mod commits;
pub mod cursor;
pub mod event;
pub mod gtid;
pub mod packets;
pub mod payload;
