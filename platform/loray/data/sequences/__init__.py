"""From a row's turns to token sequences: rendered, cut, packed, written."""
