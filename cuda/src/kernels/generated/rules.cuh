// The machine's specification. Generated from ffcm by `cargo xtask codegen`; do not edit.
#pragma once

namespace ffcm {

// Word: w0 = sub | tag | label | ext, w1 = offset or immediate; tag = class << 2 | variant.
constexpr unsigned int SUB = 2147483648u;
constexpr unsigned int CLASS_SHIFT = 28u;
constexpr unsigned int CLASS_MASK = 7u;
constexpr unsigned int VARIANT_SHIFT = 26u;
constexpr unsigned int VARIANT_MASK = 3u;
constexpr unsigned int LABEL_SHIFT = 8u;
constexpr unsigned int LABEL_MASK = 262143u;
constexpr unsigned int EXT_MASK = 255u;
constexpr unsigned int OFFSET_MASK = 2147483647u;

// Classes.
constexpr unsigned int CLASS_VAR = 0u;
constexpr unsigned int CLASS_REF = 1u;
constexpr unsigned int CLASS_ERA = 2u;
constexpr unsigned int CLASS_NUM = 3u;
constexpr unsigned int CLASS_CON = 4u;
constexpr unsigned int CLASS_DUP = 5u;
constexpr unsigned int CLASS_OPR = 6u;
constexpr unsigned int CLASS_SWI = 7u;

// Variants.
constexpr unsigned int VARIANT_PLAIN = 0u;
constexpr unsigned int VARIANT_WIRE = 1u;
constexpr unsigned int VARIANT_COPYABLE = 1u;

// Opcodes. All but LINK are counted.
constexpr unsigned int OP_LINK = 0u;
constexpr unsigned int OP_APPLY = 1u;
constexpr unsigned int OP_DUPLICATE = 2u;
constexpr unsigned int OP_DISTRIBUTE = 3u;
constexpr unsigned int OP_SUCC = 4u;
constexpr unsigned int OP_SWITCH = 5u;
constexpr unsigned int OP_COLLAPSE = 6u;
constexpr unsigned int OP_SPECIALIZE = 7u;

// Most nodes and redexes that an interaction allocates, by opcode; SPECIALIZE: see the definition.
static __constant__ const unsigned int NEED_NODES[8] = {
     0u,  0u,  0u,  4u,  1u,  2u,  0u,  0u,
};
static __constant__ const unsigned int NEED_REDEXES[8] = {
     1u,  2u,  2u,  4u,  1u,  1u,  2u,  0u,
};

// Rules: an opcode in the low bits, or one of two flags that decide between it and DUPLICATE.
constexpr unsigned int RULE_OPCODE_MASK = 7u;
constexpr unsigned int RULE_BY_LABEL = 8u;  // equal labels: DUPLICATE
constexpr unsigned int RULE_BY_COPYABLE = 16u;  // a copyable reference: DUPLICATE

// RULES[class of one term * 8 + class of the other].
static __constant__ const unsigned int RULES[64] = {
     0u,  0u,  0u,  0u,  0u,  0u,  0u,  0u,
     0u,  6u,  6u,  6u,  7u, 23u,  7u,  7u,
     0u,  6u,  6u,  6u,  6u,  6u,  6u,  6u,
     0u,  6u,  6u,  6u,  2u,  2u,  4u,  5u,
     0u,  7u,  6u,  2u,  1u,  3u,  3u,  3u,
     0u, 23u,  6u,  2u,  3u, 11u,  3u,  3u,
     0u,  7u,  6u,  4u,  3u,  3u,  1u,  3u,
     0u,  7u,  6u,  5u,  3u,  3u,  3u,  1u,
};

// Numbers: ext of a NUM term.
constexpr unsigned int NUM_SYMBOL = 0u;
constexpr unsigned int NUM_WIDE = 32u;
constexpr unsigned int NUM_NARROW_MASK = 16777215u;
constexpr unsigned int NUM_NAN_F24 = 8372225u;
constexpr unsigned int NUM_NAN_F32 = 2143289344u;
constexpr unsigned int NUM_U24 = 1u;
constexpr unsigned int NUM_I24 = 2u;
constexpr unsigned int NUM_F24 = 3u;
constexpr unsigned int NUM_U32 = 33u;
constexpr unsigned int NUM_I32 = 34u;
constexpr unsigned int NUM_F32 = 35u;

// Operators: ext of a partial number, payload of a symbol.
constexpr unsigned int OPERATOR_ADD = 4u;  // +
constexpr unsigned int OPERATOR_SUB = 5u;  // -
constexpr unsigned int OPERATOR_FLIP_SUB = 6u;  // :-
constexpr unsigned int OPERATOR_MUL = 7u;  // *
constexpr unsigned int OPERATOR_DIV = 8u;  // /
constexpr unsigned int OPERATOR_FLIP_DIV = 9u;  // :/
constexpr unsigned int OPERATOR_REM = 10u;  // %
constexpr unsigned int OPERATOR_FLIP_REM = 11u;  // :%
constexpr unsigned int OPERATOR_EQ = 12u;  // =
constexpr unsigned int OPERATOR_NE = 13u;  // !
constexpr unsigned int OPERATOR_LT = 14u;  // <
constexpr unsigned int OPERATOR_GT = 15u;  // >
constexpr unsigned int OPERATOR_AND = 16u;  // &
constexpr unsigned int OPERATOR_OR = 17u;  // |
constexpr unsigned int OPERATOR_XOR = 18u;  // ^
constexpr unsigned int OPERATOR_SHL = 19u;  // <<
constexpr unsigned int OPERATOR_FLIP_SHL = 20u;  // :<<
constexpr unsigned int OPERATOR_SHR = 21u;  // >>
constexpr unsigned int OPERATOR_FLIP_SHR = 22u;  // :>>

// Focus: mass of 1 as two words, damping as a Q32 fraction.
constexpr unsigned int FOCUS_MASS_LOW = 0u;
constexpr unsigned int FOCUS_MASS_HIGH = 1073741824u;
constexpr unsigned int FOCUS_DAMPING_DEFAULT = 3650722202u;

// Memory Arithmetic.
constexpr unsigned int MEMORY_SCALE = 1024u;
constexpr unsigned int MEMORY_CLIP = 8192u;
constexpr unsigned int MEMORY_LAYERS = 4u;
constexpr unsigned int MEMORY_SLOTS = 64u;
constexpr unsigned int MEMORY_DIMENSION = 128u;
constexpr unsigned int MEMORY_SCALAR_ONE = 10000u;
constexpr unsigned int MEMORY_DELTA_NORM_MAX = 2048u;
constexpr unsigned int MEMORY_DECAY_MIN = 8000u;
constexpr unsigned int MEMORY_DECAY_MAX = 9999u;
constexpr unsigned int MEMORY_DECAY_DEFAULT = 9850u;

}  // namespace ffcm
