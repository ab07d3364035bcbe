"""librispeech_conformer: speech to text with a conformer."""
