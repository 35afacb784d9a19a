//! The word: one term of the flat heap, two consecutive `u32`.
//!
//! ```text
//! w0 (meta)   [31] sub   [30:26] tag   [25:8] label   [7:0] ext
//! w1 (value)  [31] 0     [30:0] offset                or a full 32-bit immediate when the tag says number
//! ```
//!
//! * `sub` marks a wire cell that holds a substituted term.
//! * `tag` is `class (3 bits) << 2 | variant (2 bits)`.
//! * `label` distinguishes duplicators; other classes carry 0.
//! * `ext` holds the page high bits of an offset, or the numeric kind of a number.
//!
//! `w0 == 0` means *absent*; no live term has `w0 == 0` (the only class whose code is 0 is VAR, and VAR always
//! carries variant [`variant::WIRE`]). As a `u64` a term is `w1 << 32 | w0`, so native targets read, write and
//! exchange it in one access.

use core::fmt;

/// The eight classes of a term: the rows and columns of the rule table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// One end of a wire.
    Var = 0,
    /// Reference to a definition.
    Ref = 1,
    /// Eraser.
    Era = 2,
    /// Number, operator symbol or partially applied operator.
    Num = 3,
    /// Constructor: a binary node `(a b)`.
    Con = 4,
    /// Duplicator: a binary node `{a b}` with a label.
    Dup = 5,
    /// Arithmetic node `$(a b)`.
    Opr = 6,
    /// Numeric switch `?(a b)`.
    Swi = 7,
}

impl Class {
    /// All classes, in table order.
    pub const ALL: [Class; 8] = [
        Class::Var,
        Class::Ref,
        Class::Era,
        Class::Num,
        Class::Con,
        Class::Dup,
        Class::Opr,
        Class::Swi,
    ];

    /// The class with the given 3-bit code.
    #[inline(always)]
    pub const fn from_code(code: u8) -> Class {
        Class::ALL[(code & 7) as usize]
    }

    /// Whether terms of this class point to a binary node of the heap.
    #[inline(always)]
    pub const fn is_node(self) -> bool {
        self as u8 >= Class::Con as u8
    }

    /// Three-letter name, as the documentation writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Var => "VAR",
            Class::Ref => "REF",
            Class::Era => "ERA",
            Class::Num => "NUM",
            Class::Con => "CON",
            Class::Dup => "DUP",
            Class::Opr => "OPR",
            Class::Swi => "SWI",
        }
    }
}

/// Variant codes (the low two bits of a tag).
pub mod variant {
    /// The only variant of a class that has just one, VAR excepted.
    pub const PLAIN: u8 = 0;
    /// VAR: always set, so that no live term has an all-zero meta word.
    pub const WIRE: u8 = 1;
    /// REF: the definition holds no duplicator, directly or through others, so a DUP copies the reference
    /// instead of expanding it. See [`crate::net::Definition::copyable`].
    pub const COPYABLE: u8 = 1;
}

/// Highest label (18 bits).
pub const LABEL_MAX: u32 = (1 << 18) - 1;
/// Highest offset within a page group (31 bits), in terms.
pub const OFFSET_MAX: u32 = (1 << 31) - 1;

const SUB: u32 = 1 << 31;
const TAG_SHIFT: u32 = 26;
const LABEL_SHIFT: u32 = 8;

/// One term: `w1 << 32 | w0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Term(pub u64);

impl Term {
    /// The absent term: an empty wire cell or a free slot.
    pub const ABSENT: Term = Term(0);
    /// The eraser.
    pub const ERA: Term = Term::new(Class::Era, variant::PLAIN, 0, 0, 0);

    /// Packs the fields. `variant` is 2 bits, `label` 18; `value` is an offset, or an immediate for a number.
    #[inline(always)]
    pub const fn new(class: Class, variant: u8, label: u32, ext: u8, value: u32) -> Term {
        debug_assert!(variant < 4 && label <= LABEL_MAX);
        let tag = ((class as u32) << 2) | variant as u32;
        let w0 = (tag << TAG_SHIFT) | (label << LABEL_SHIFT) | ext as u32;
        Term(((value as u64) << 32) | w0 as u64)
    }

    /// A wire end whose meeting cell is at `offset`.
    #[inline(always)]
    pub const fn var(offset: u32) -> Term {
        debug_assert!(offset <= OFFSET_MAX);
        Term::new(Class::Var, variant::WIRE, 0, 0, offset)
    }

    /// A reference to definition number `definition`.
    #[inline(always)]
    pub const fn reference(definition: u32, copyable: bool) -> Term {
        Term::new(Class::Ref, copyable as u8, 0, 0, definition)
    }

    /// A binary node of `class` at `offset`.
    #[inline(always)]
    pub const fn node(class: Class, label: u32, offset: u32) -> Term {
        debug_assert!(class.is_node() && offset <= OFFSET_MAX);
        Term::new(class, variant::PLAIN, label, 0, offset)
    }

    /// The meta word `w0`.
    #[inline(always)]
    pub const fn w0(self) -> u32 {
        self.0 as u32
    }

    /// The value word `w1`.
    #[inline(always)]
    pub const fn w1(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether this is the absent term.
    #[inline(always)]
    pub const fn is_absent(self) -> bool {
        self.w0() == 0
    }

    /// The 5-bit tag, `class << 2 | variant`.
    #[inline(always)]
    pub const fn tag(self) -> u8 {
        ((self.w0() >> TAG_SHIFT) & 31) as u8
    }

    /// The class.
    #[inline(always)]
    pub const fn class(self) -> Class {
        Class::from_code(self.tag() >> 2)
    }

    /// The variant.
    #[inline(always)]
    pub const fn variant(self) -> u8 {
        self.tag() & 3
    }

    /// The label (18 bits).
    #[inline(always)]
    pub const fn label(self) -> u32 {
        (self.w0() >> LABEL_SHIFT) & LABEL_MAX
    }

    /// The ext byte: page high bits, or the numeric kind of a number.
    #[inline(always)]
    pub const fn ext(self) -> u8 {
        self.w0() as u8
    }

    /// The offset (31 bits) of a wire cell, node or definition.
    #[inline(always)]
    pub const fn offset(self) -> u32 {
        self.w1() & OFFSET_MAX
    }

    /// Whether the substitution bit is set.
    #[inline(always)]
    pub const fn is_sub(self) -> bool {
        self.w0() & SUB != 0
    }

    /// The same term with the substitution bit set.
    #[inline(always)]
    pub const fn with_sub(self) -> Term {
        Term(self.0 | SUB as u64)
    }

    /// The same term with the substitution bit clear.
    #[inline(always)]
    pub const fn without_sub(self) -> Term {
        Term(self.0 & !(SUB as u64))
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_absent() {
            return f.write_str("ABSENT");
        }
        let sub = if self.is_sub() { "sub " } else { "" };
        write!(
            f,
            "{sub}{}.{}#{}/{:#x}@{}",
            self.class().name(),
            self.variant(),
            self.label(),
            self.ext(),
            self.w1()
        )
    }
}

const _: () = assert!(core::mem::size_of::<Term>() == 8 && core::mem::align_of::<Term>() == 8);
const _: () = assert!(Term::var(0).w0() != 0 && Term::ERA.w0() != 0);
