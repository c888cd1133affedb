/// A column of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TextField {
    /// What happened.
    Name,
    /// The visit.
    Session,
    /// The course.
    Course,
    /// The lesson.
    Lesson,
    /// The exercise.
    Exercise,
    /// The country.
    Country,
    /// The family of the browser.
    Browser,
    /// The family of the operating system.
    Os,
    /// The class of the device.
    Device,
    /// The host that led here.
    Referrer,
    /// The `utm_source` of the visit.
    UtmSource,
    /// The plan.
    Plan,
}

impl TextField {
    /// How many there are.
    pub const COUNT: usize = 12;

    /// All of them, in the order of their indices.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Name,
        Self::Session,
        Self::Course,
        Self::Lesson,
        Self::Exercise,
        Self::Country,
        Self::Browser,
        Self::Os,
        Self::Device,
        Self::Referrer,
        Self::UtmSource,
        Self::Plan,
    ];

    /// The place of the column among the texts of a batch.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The column's name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Session => "session",
            Self::Course => "course",
            Self::Lesson => "lesson",
            Self::Exercise => "exercise",
            Self::Country => "country",
            Self::Browser => "browser",
            Self::Os => "os",
            Self::Device => "device",
            Self::Referrer => "referrer",
            Self::UtmSource => "utm_source",
            Self::Plan => "plan",
        }
    }
}

/// A set of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fields(u32);

impl Fields {
    /// Ids.
    pub const ID: Self = Self(1 << 16);
    /// Times.
    pub const TIME: Self = Self(1 << 17);
    /// Subjects.
    pub const SUBJECT: Self = Self(1 << 18);
    /// Values.
    pub const VALUE: Self = Self(1 << 19);
    /// The JSON objects of all else.
    pub const PROPS: Self = Self(1 << 20);
    /// Every column.
    pub const ALL: Self = Self((0b1_1111 << 16) | ((1 << TextField::COUNT) - 1));

    /// The set of one column of texts.
    #[must_use]
    pub const fn text(field: TextField) -> Self {
        Self(1 << field.index())
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The columns' names in files.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (field, name) in [
            (Self::ID, "id"),
            (Self::TIME, "time"),
            (Self::SUBJECT, "subject"),
            (Self::VALUE, "value"),
            (Self::PROPS, "props"),
        ] {
            names.extend(self.contains(field).then_some(name));
        }
        for field in TextField::ALL {
            names.extend(self.contains(Self::text(field)).then_some(field.as_str()));
        }
        names
    }
}
