// The machine's specification. Generated from ffcm by `cargo xtask codegen`; do not edit.

// Word: w0 = sub | tag | label | ext, w1 = offset or immediate; tag = class << 2 | variant.
const SUB: u32 = 2147483648u;
const CLASS_SHIFT: u32 = 28u;
const CLASS_MASK: u32 = 7u;
const VARIANT_SHIFT: u32 = 26u;
const VARIANT_MASK: u32 = 3u;
const LABEL_SHIFT: u32 = 8u;
const LABEL_MASK: u32 = 262143u;
const EXT_MASK: u32 = 255u;
const OFFSET_MASK: u32 = 2147483647u;

// Classes.
const CLASS_VAR: u32 = 0u;
const CLASS_REF: u32 = 1u;
const CLASS_ERA: u32 = 2u;
const CLASS_NUM: u32 = 3u;
const CLASS_CON: u32 = 4u;
const CLASS_DUP: u32 = 5u;
const CLASS_OPR: u32 = 6u;
const CLASS_SWI: u32 = 7u;

// Variants.
const VARIANT_PLAIN: u32 = 0u;
const VARIANT_WIRE: u32 = 1u;
const VARIANT_COPYABLE: u32 = 1u;

// Opcodes. All but LINK are counted.
const OP_LINK: u32 = 0u;
const OP_APPLY: u32 = 1u;
const OP_DUPLICATE: u32 = 2u;
const OP_DISTRIBUTE: u32 = 3u;
const OP_SUCC: u32 = 4u;
const OP_SWITCH: u32 = 5u;
const OP_COLLAPSE: u32 = 6u;
const OP_SPECIALIZE: u32 = 7u;

// Most nodes and redexes that an interaction allocates, by opcode; SPECIALIZE: see the definition.
const NEED_NODES: array<u32, 8> = array<u32, 8>(
     0u,  0u,  0u,  4u,  1u,  2u,  0u,  0u,
);
const NEED_REDEXES: array<u32, 8> = array<u32, 8>(
     1u,  2u,  2u,  4u,  1u,  1u,  2u,  0u,
);

// Rules: an opcode in the low bits, or one of two flags that decide between it and DUPLICATE.
const RULE_OPCODE_MASK: u32 = 7u;
const RULE_BY_LABEL: u32 = 8u;  // equal labels: DUPLICATE
const RULE_BY_COPYABLE: u32 = 16u;  // a copyable reference: DUPLICATE

// RULES[class of one term * 8 + class of the other].
const RULES: array<u32, 64> = array<u32, 64>(
     0u,  0u,  0u,  0u,  0u,  0u,  0u,  0u,
     0u,  6u,  6u,  6u,  7u, 23u,  7u,  7u,
     0u,  6u,  6u,  6u,  6u,  6u,  6u,  6u,
     0u,  6u,  6u,  6u,  2u,  2u,  4u,  5u,
     0u,  7u,  6u,  2u,  1u,  3u,  3u,  3u,
     0u, 23u,  6u,  2u,  3u, 11u,  3u,  3u,
     0u,  7u,  6u,  4u,  3u,  3u,  1u,  3u,
     0u,  7u,  6u,  5u,  3u,  3u,  3u,  1u,
);

// Numbers: ext of a NUM term.
const NUM_SYMBOL: u32 = 0u;
const NUM_WIDE: u32 = 32u;
const NUM_NARROW_MASK: u32 = 16777215u;
const NUM_NAN_F24: u32 = 8372225u;
const NUM_NAN_F32: u32 = 2143289344u;
const NUM_U24: u32 = 1u;
const NUM_I24: u32 = 2u;
const NUM_F24: u32 = 3u;
const NUM_U32: u32 = 33u;
const NUM_I32: u32 = 34u;
const NUM_F32: u32 = 35u;

// Operators: ext of a partial number, payload of a symbol.
const OPERATOR_ADD: u32 = 4u;  // +
const OPERATOR_SUB: u32 = 5u;  // -
const OPERATOR_FLIP_SUB: u32 = 6u;  // :-
const OPERATOR_MUL: u32 = 7u;  // *
const OPERATOR_DIV: u32 = 8u;  // /
const OPERATOR_FLIP_DIV: u32 = 9u;  // :/
const OPERATOR_REM: u32 = 10u;  // %
const OPERATOR_FLIP_REM: u32 = 11u;  // :%
const OPERATOR_EQ: u32 = 12u;  // =
const OPERATOR_NE: u32 = 13u;  // !
const OPERATOR_LT: u32 = 14u;  // <
const OPERATOR_GT: u32 = 15u;  // >
const OPERATOR_AND: u32 = 16u;  // &
const OPERATOR_OR: u32 = 17u;  // |
const OPERATOR_XOR: u32 = 18u;  // ^
const OPERATOR_SHL: u32 = 19u;  // <<
const OPERATOR_FLIP_SHL: u32 = 20u;  // :<<
const OPERATOR_SHR: u32 = 21u;  // >>
const OPERATOR_FLIP_SHR: u32 = 22u;  // :>>

// Focus: mass of 1 as two words, damping as a Q32 fraction.
const FOCUS_MASS_LOW: u32 = 0u;
const FOCUS_MASS_HIGH: u32 = 1073741824u;
const FOCUS_DAMPING_DEFAULT: u32 = 3650722202u;

// Memory Arithmetic.
const MEMORY_SCALE: u32 = 1024u;
const MEMORY_CLIP: u32 = 8192u;
const MEMORY_LAYERS: u32 = 4u;
const MEMORY_SLOTS: u32 = 64u;
const MEMORY_DIMENSION: u32 = 128u;
const MEMORY_SCALAR_ONE: u32 = 10000u;
const MEMORY_DELTA_NORM_MAX: u32 = 2048u;
const MEMORY_DECAY_MIN: u32 = 8000u;
const MEMORY_DECAY_MAX: u32 = 9999u;
const MEMORY_DECAY_DEFAULT: u32 = 9850u;
