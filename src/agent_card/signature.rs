//! Signatures of cards (A2A 1.0 §8.4).
