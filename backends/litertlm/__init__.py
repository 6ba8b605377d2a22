"""LiteRT-LM in parts: the bundle read as a file, the engine, decoding, acceptance from one line of the log."""
