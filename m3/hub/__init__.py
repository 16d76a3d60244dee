"""Agents on the Hugging Face Hub: fetched with a cache and checksums, and shared with a card."""
