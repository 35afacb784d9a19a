//! Apply transactions.
