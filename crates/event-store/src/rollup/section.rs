//! A section of a rollup in memory: the cells of names, or of names and the texts of one dimension.

use super::bytes::{Reader, put_text, put_u16, put_u32};
use super::{Block, By};

/// Stands for all names together: in sections of names, and in cells of all stretches.
pub(crate) const ANY: u16 = u16::MAX;

/// Stands for all stretches together.
pub(crate) const TOTAL: u16 = u16::MAX;

/// The most different names or texts of a section.
pub(crate) const TEXTS_MAX: usize = 65_000;

/// Events that share a stretch of time, a name and a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Which stretch, or [`TOTAL`].
    pub(crate) stretch: u16,
    /// Which name, or [`ANY`].
    pub(crate) name: u16,
    /// Which text; 0 for none.
    pub(crate) text: u16,
    /// Number of events, those without a subject included.
    pub(crate) events: u32,
    /// Number of different subjects.
    pub(crate) subjects: u32,
}

/// What a section is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) by: By,
    pub(crate) names: Vec<String>,
    /// The first is empty and stands for none.
    pub(crate) texts: Vec<String>,
    /// Stretches with too many cells, of which nothing is kept.
    pub(crate) is_left_out: Vec<bool>,
    /// Whether there are cells of [`TOTAL`], which hold every event.
    pub(crate) has_totals: bool,
    pub(crate) cells: Vec<Cell>,
}

impl Head {
    /// The name of a cell that has one.
    pub(crate) fn name(&self, cell: &Cell) -> &str {
        self.names.get(usize::from(cell.name)).map_or("", String::as_str)
    }

    /// The text of a cell.
    pub(crate) fn text(&self, cell: &Cell) -> Option<&str> {
        self.texts.get(usize::from(cell.text)).map(String::as_str).filter(|_| cell.text != 0)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.has_totals)];
        put_u32(&mut bytes, self.is_left_out.len() as u32);
        bytes.extend(self.is_left_out.iter().map(|is_left_out| u8::from(*is_left_out)));
        for texts in [&self.names, &self.texts] {
            put_u32(&mut bytes, texts.len() as u32);
            texts.iter().for_each(|text| put_text(&mut bytes, text));
        }
        put_u32(&mut bytes, self.cells.len() as u32);
        for cell in &self.cells {
            [cell.stretch, cell.name, cell.text].into_iter().for_each(|code| put_u16(&mut bytes, code));
            [cell.events, cell.subjects].into_iter().for_each(|count| put_u32(&mut bytes, count));
        }
        bytes
    }

    pub(crate) fn read(by: By, reader: &mut Reader<'_>) -> Option<Self> {
        let [has_totals] = reader.take()?;
        let stretches = reader.count(1)?;
        let mut head = Self { by, has_totals: has_totals == 1, ..Self::default() };
        for _ in 0..stretches {
            let [is_left_out] = reader.take()?;
            head.is_left_out.push(is_left_out == 1);
        }
        for texts in [&mut head.names, &mut head.texts] {
            for _ in 0..reader.count(4)? {
                texts.push(reader.text()?);
            }
        }
        for _ in 0..reader.count(14)? {
            let (stretch, name, text) = (reader.u16()?, reader.u16()?, reader.u16()?);
            let (events, subjects) = (reader.u32()?, reader.u32()?);
            let fits = (usize::from(stretch) < stretches || stretch == TOTAL)
                && (usize::from(name) < head.names.len() || name == ANY)
                && usize::from(text) < head.texts.len();
            if !fits {
                return None;
            }
            head.cells.push(Cell { stretch, name, text, events, subjects });
        }
        Some(head)
    }
}

/// A whole section.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    /// Where each stretch of time begins, and where the last one ends, in microseconds since 1970 UTC.
    pub(crate) edges: Vec<i64>,
    pub(crate) head: Head,
    /// By key.
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.head.names.iter().chain(&self.head.texts).map(|text| text.len() + 24);
        size_of::<Self>()
            + self.edges.len() * 8
            + texts.sum::<usize>()
            + self.head.cells.len() * size_of::<Cell>()
            + self.blocks.iter().map(Block::weight).sum::<usize>()
    }

    /// The block of those upper 16 bits.
    pub(crate) fn block(&self, key: u16) -> Option<&Block> {
        let at = self.blocks.binary_search_by_key(&key, |block| block.key).ok()?;
        self.blocks.get(at)
    }
}
