//! Counting events into the cells of a section, subject by subject.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::section::TEXTS_MAX;
use super::{ANY, Block, By, Cell, Head, TOTAL};
use crate::NO_SUBJECT;

/// The code of a text for which there was no place.
pub(crate) const NO_CODE: u16 = u16::MAX;

/// A section has at most so many times as many cells of all stretches as one stretch may have.
const TOTALS_PER_CELL: usize = 8;

/// Texts and their codes.
#[derive(Debug, Default)]
struct Dictionary {
    texts: Vec<String>,
    codes: HashMap<String, u16>,
}

impl Dictionary {
    fn code(&mut self, text: &str) -> u16 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        if self.texts.len() >= TEXTS_MAX {
            return NO_CODE;
        }
        let code = self.texts.len() as u16;
        self.texts.push(text.to_owned());
        self.codes.insert(text.to_owned(), code);
        code
    }
}

/// Spreads the three codes of a cell; they come from our own counting, so nobody can choose them to collide.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A cell that is being counted.
#[derive(Debug)]
struct Growing {
    cell: Cell,
    last: u32,
    /// Of the block at hand.
    members: Vec<u16>,
}

/// Counts events, which come in the order of their subjects.
#[derive(Debug)]
pub(crate) struct SectionBuilder {
    by: By,
    cells_max: usize,
    has_totals: bool,
    /// How many cells are of all stretches.
    totals: usize,
    names: Dictionary,
    texts: Dictionary,
    index: HashMap<u64, u32, BuildHasherDefault<Spread>>,
    cells: Vec<Growing>,
    /// How many cells each stretch has.
    sizes: Vec<usize>,
    is_left_out: Vec<bool>,
    key: u16,
    /// Cells with members in the block at hand.
    touched: Vec<u32>,
    done: Vec<Block>,
}

impl SectionBuilder {
    /// Of so many stretches with at most `cells_max` cells each.
    pub(crate) fn new(by: By, stretches: usize, cells_max: usize, has_totals: bool) -> Self {
        let mut texts = Dictionary::default();
        texts.code("");
        Self {
            by,
            cells_max,
            has_totals,
            totals: 0,
            names: Dictionary::default(),
            texts,
            index: HashMap::default(),
            cells: Vec::new(),
            sizes: vec![0; stretches],
            is_left_out: vec![false; stretches],
            key: 0,
            touched: Vec::new(),
            done: Vec::new(),
        }
    }

    pub(crate) fn by(&self) -> By {
        self.by
    }

    /// The code of a name.
    pub(crate) fn name_code(&mut self, name: &str) -> u16 {
        self.names.code(name)
    }

    /// The code of a text, 0 of none.
    pub(crate) fn text_code(&mut self, text: &str) -> u16 {
        self.texts.code(text)
    }

    /// Counts an event whose subject is none, the last one or a greater one.
    pub(crate) fn push(&mut self, subject: u32, stretch: usize, name: u16, text: u16) {
        let key = (subject >> 16) as u16;
        if key != self.key {
            self.end_block();
            self.key = key;
        }
        let Some(is_left_out) = self.is_left_out.get_mut(stretch) else { return };
        if name == NO_CODE || text == NO_CODE {
            *is_left_out = true;
            self.has_totals = false;
        }
        if !*is_left_out {
            self.count(subject, stretch as u16, name, text);
            if self.by.is_none() {
                self.count(subject, stretch as u16, ANY, 0);
            }
        }
        if self.has_totals {
            self.count(subject, TOTAL, name, text);
            self.count(subject, TOTAL, ANY, text);
        }
    }

    fn count(&mut self, subject: u32, stretch: u16, name: u16, text: u16) {
        let number = u64::from(stretch) << 32 | u64::from(name) << 16 | u64::from(text);
        let at = match self.index.get(&number) {
            Some(at) => *at,
            None => {
                if let Some(size) = self.sizes.get_mut(usize::from(stretch)) {
                    *size += 1;
                    if *size > self.cells_max {
                        self.is_left_out[usize::from(stretch)] = true;
                        return;
                    }
                } else {
                    self.totals += 1;
                    if self.totals > self.cells_max.saturating_mul(TOTALS_PER_CELL) {
                        self.has_totals = false;
                        return;
                    }
                }
                let at = self.cells.len() as u32;
                let cell = Cell { stretch, name, text, events: 0, subjects: 0 };
                self.cells.push(Growing { cell, last: NO_SUBJECT, members: Vec::new() });
                self.index.insert(number, at);
                at
            }
        };
        let Some(growing) = self.cells.get_mut(at as usize) else { return };
        growing.cell.events += 1;
        if subject != growing.last {
            growing.last = subject;
            growing.cell.subjects += 1;
            if growing.members.is_empty() {
                self.touched.push(at);
            }
            growing.members.push(subject as u16);
        }
    }

    fn end_block(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        let mut block = Block::new(self.key);
        self.touched.sort_unstable();
        for at in self.touched.drain(..) {
            let Some(growing) = self.cells.get_mut(at as usize) else { continue };
            if self.is_left_out.get(usize::from(growing.cell.stretch)) != Some(&true) {
                block.push(at, &growing.members);
            }
            growing.members.clear();
        }
        self.done.push(block);
    }

    /// The blocks that are complete, once each.
    pub(crate) fn take_blocks(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.done)
    }

    /// What was counted, and the blocks that were not taken before.
    pub(crate) fn finish(mut self) -> (Head, Vec<Block>) {
        self.end_block();
        let head = Head {
            by: self.by,
            names: self.names.texts,
            texts: self.texts.texts,
            is_left_out: self.is_left_out,
            has_totals: self.has_totals,
            cells: self.cells.into_iter().map(|growing| growing.cell).collect(),
        };
        (head, self.done)
    }
}
