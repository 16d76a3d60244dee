"""Tokenizers: from raw observations to discrete tokens, and from tokens to what the policy sees."""
